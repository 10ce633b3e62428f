"""What a user sees when something is wrong: one clear line, and status 1."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_process import finished

from pyagent.sandbox import Sandbox

OUTPUT = '[[outputs.file]]\nfiles = ["stdout"]\n'


async def refused(*arguments: str, environ: dict[str, str] | None = None, named: tuple[str, ...]) -> str:
    """It ends with 1 and one error line that names what is wrong; returns that line."""
    status, out, log = await finished(*arguments, environ=environ)
    errors = [line for line in log.splitlines() if "E! " in line]
    assert status == 1, log
    assert len(errors) == 1, log
    assert out == ""
    assert "Traceback" not in log
    for text in named:
        assert text in errors[0]
    return errors[0]


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        await sandbox.setup()
        yield sandbox


async def test_no_configuration(tmp_path: Path) -> None:
    await refused(environ={"HOME": str(tmp_path)}, named=("no configuration", "--config", "PYAGENT_CONFIG"))


async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    await refused("--config", str(tmp_path / "missing.conf"), named=("missing.conf",))


async def test_an_unreachable_url() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api/v2/telegrafs/0123456789abcdef"
    await refused("--config", url, "--config-url-retry-attempts", "1", named=(url, "Connection refused"))


async def test_a_wrong_token(server: Sandbox) -> None:
    config = await server.add_telegraf("ram", "[[inputs.mem]]\n" + OUTPUT)
    url = f"{server.url}/api/v2/telegrafs/{config}"
    environ = {"INFLUX_TOKEN": "not-the-token-0123"}
    line = await refused(
        "--config", url, "--config-url-retry-attempts", "1", environ=environ, named=(url, "401", "INFLUX_TOKEN")
    )
    assert "not-the-token-0123" not in line


async def test_a_configuration_that_is_not_there(server: Sandbox) -> None:
    url = f"{server.url}/api/v2/telegrafs/0123456789abcdef"
    environ = {"INFLUX_TOKEN": server.token}
    await refused("--config", url, "--config-url-retry-attempts", "1", environ=environ, named=(url, "404"))


@pytest.mark.parametrize("mode", ["--test", "--once"])
@pytest.mark.parametrize(("token", "named"), [("", "404"), ("not-the-token-0123", "401")])
async def test_where_somebody_waits_what_only_a_person_can_mend_is_told_at_once(
    server: Sandbox, mode: str, token: str, named: str
) -> None:
    """Without another request: ten seconds would lie before each."""
    url = f"{server.url}/api/v2/telegrafs/0123456789abcdef"
    line = await refused("--config", url, mode, environ={"INFLUX_TOKEN": token or server.token}, named=(url, named))
    assert "attempt" not in line


async def test_https_to_a_port_of_http_is_told_at_once(server: Sandbox) -> None:
    url = f"{server.url.replace('http:', 'https:')}/api/v2/telegrafs/0123456789abcdef"
    line = await refused("--config", url, "--test", named=(url, "this port speaks http: write http://"))
    assert "attempt" not in line


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[[inputs.mem]]\n[agent\n" + OUTPUT, ("agent.conf:2",)),
        ("[[inputs.memm]]\n" + OUTPUT, ("agent.conf:1", "memm", "mem")),
        ("\n[[inputs.mem]]\n  intervall = '5s'\n" + OUTPUT, ("agent.conf:3", "intervall", "interval")),
        (OUTPUT + "[[inputs.postgresql]]\n  adress = 'host=localhost'\n", ("agent.conf:4", "adress", "address")),
        ("[agent]\n  interval = 'soon'\n[[inputs.mem]]\n" + OUTPUT, ("agent.conf:2", "interval", "soon")),
        ("[[inputs.mem]]\n", ("no outputs",)),
        (OUTPUT, ("no inputs",)),
    ],
)
async def test_a_wrong_text(tmp_path: Path, text: str, named: tuple[str, ...]) -> None:
    config = tmp_path / "agent.conf"
    config.write_text(text)
    await refused("--config", str(config), named=named)


async def test_a_missing_client_library_names_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError(\"No module named 'psycopg'\", name='psycopg')\n")
    config = tmp_path / "agent.conf"
    config.write_text("[[inputs.postgresql]]\n" + OUTPUT)
    environ = {"PYTHONPATH": str(tmp_path)}
    await refused(
        "--config", str(config), environ=environ, named=("agent.conf:1", "psycopg[binary]", "python3-psycopg")
    )


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--confg", "x"), ("--confg", "--config")),
        (("-config",), ("--config",)),
        (("sandbocks",), ("sandbocks", "sandbox")),
        (("--config-url-retry-attempts", "-2"), ("--config-url-retry-attempts",)),
        (("--strict-env-handling", "--non-strict-env-handling"), ("--strict-env-handling",)),
    ],
)
async def test_a_wrong_command_line(arguments: tuple[str, ...], named: tuple[str, ...]) -> None:
    await refused(*arguments, named=named)


async def test_single_dashes_and_equals_signs_are_fine(tmp_path: Path) -> None:
    config = tmp_path / "agent.conf"
    config.write_text("[agent]\nomit_hostname = true\n[[inputs.mem]]\n")
    status, out, _ = await finished(f"-config={config}", "-test")
    assert status == 0
    assert out.startswith("> mem active=")


async def test_once_says_by_its_status_whether_everything_was_written(tmp_path: Path) -> None:
    config = tmp_path / "agent.conf"
    config.write_text("[[inputs.mem]]\n" + OUTPUT)
    status, out, log = await finished("--config", str(config), "--once")
    assert (status, out.count("mem,host=")) == (0, 1), log
    config.write_text(
        "[[inputs.mem]]\n[[outputs.influxdb_v2]]\nurls = ['http://127.0.0.1:1']\nbucket='b'\norganization='o'\n"
    )
    status, out, log = await finished("--config", str(config), "--once")
    assert status == 1
    assert "unable to send 1 metric" in log


@pytest.mark.parametrize("period", ["30s", "1ms"])
@pytest.mark.parametrize("mode", ["--test", "--once"])
async def test_what_is_summed_up_is_there_whenever_it_starts(tmp_path: Path, mode: str, period: str) -> None:
    config = tmp_path / "agent.conf"
    aggregator = f"[[aggregators.minmax]]\nperiod = '{period}'\ndelay = '1s'\ngrace = '1s'\ndrop_original = true\n"
    config.write_text("[[inputs.mem]]\n" + OUTPUT + aggregator)
    status, out, log = await finished("--config", str(config), mode)
    assert status == 0
    assert "used_max=" in out, log
    assert "used=" not in out


@pytest.mark.parametrize("mode", ["--test", "--once"])
async def test_a_failed_input_counts_where_that_is_asked_for(tmp_path: Path, mode: str) -> None:
    config = tmp_path / "agent.conf"
    config.write_text("[[inputs.mem]]\n[[inputs.file]]\nfiles = ['nowhere.influx']\n" + OUTPUT)
    arguments = ("--config", str(config), mode)
    assert (await finished(*arguments))[0] == 0
    status, out, log = await finished(*arguments, "--strict-exit")
    assert status == 1
    assert "mem,host=" in out, "the others' metrics are not withheld"
    assert "nowhere.influx" in log
    assert (await finished(*arguments, environ={"PYAGENT_STRICT_EXIT": "1"}))[0] == 1
    config.write_text("[[inputs.mem]]\n" + OUTPUT)
    assert (await finished(*arguments, "--strict-exit"))[0] == 0

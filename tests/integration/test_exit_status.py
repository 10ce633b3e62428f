"""What a user sees when something is wrong: one clear line, and status 1."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_process import DEADLINE, finished, running

from pyagent.sandbox import Sandbox
from pyagent.testing.servers import free_port

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
    url = f"http://127.0.0.1:{free_port()}/api/v2/telegrafs/0123456789abcdef"
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


@pytest.mark.parametrize("mode", [["--test"], ["--once"], []])
@pytest.mark.parametrize(("token", "named"), [("", "404"), ("not-the-token-0123", "401")])
async def test_where_somebody_waits_what_only_a_person_can_mend_is_told_at_once(
    server: Sandbox, mode: list[str], token: str, named: str
) -> None:
    """Without another request: ten seconds would lie before each."""
    url = f"{server.url}/api/v2/telegrafs/0123456789abcdef"
    line = await refused("--config", url, *mode, environ={"INFLUX_TOKEN": token or server.token}, named=(url, named))
    assert "attempt" not in line


async def test_who_asks_for_more_tries_gets_them(server: Sandbox) -> None:
    """A host may be up before the one who makes its token and its configuration."""
    url = f"{server.url}/api/v2/telegrafs/0123456789abcdef"
    arguments = ("--config", url, "--config-url-retry-attempts", "2")
    async with running(*arguments, environ={"INFLUX_TOKEN": server.token}) as agent:
        await agent.logged("(attempt 1 of 2, the next in 10 s)")


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
        "--config",
        str(config),
        environ=environ,
        named=("agent.conf:1", f"{sys.executable} -m pip install 'psycopg[binary]'"),
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


@pytest.mark.parametrize(("closed", "status"), [(">&-", 1), ("2>&-", 0), ("<&-", 0), ("<&- >&- 2>&-", 1)])
def test_where_one_of_them_is_closed_the_agent_runs(tmp_path: Path, closed: str, status: int) -> None:
    config = tmp_path / "a.conf"
    config.write_text("[[inputs.mem]]\n[[outputs.file]]\n")
    for mode in ("--test", "--once"):
        command = f"{sys.executable} -m pyagent {mode} --config {config} {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        assert ("mem," in done.stdout) == (status == 0)


OWN = "from pyagent.api import Input\nclass Own(Input):\n    def gather(self, acc): {code}\n"


async def test_a_plugin_that_does_not_import_stops_neither_itself_nor_others(tmp_path: Path) -> None:
    plugin, config, socket_file = tmp_path / "own.py", tmp_path / "agent.conf", tmp_path / "run" / "control.sock"
    socket_file.parent.mkdir()
    plugin.write_text(OWN.format(code="acc.add('own', {'v': 1})"))
    config.write_text(f"[agent]\ninterval = '100ms'\n[[inputs.own]]\n[[inputs.mem]]\n{OUTPUT}")
    arguments = ("--config", str(config), "--plugin-directory", str(tmp_path))

    async def problems() -> str:
        status, out, log = await finished("status", "--socket", str(socket_file))
        assert status == (2 if "problem: " in out else 0), log
        return out.partition("problem: ")[2]

    async with running(*arguments, "--runtime-directory", str(tmp_path / "run")) as agent:
        await agent.logged("outputs: file")
        assert await problems() == ""
        plugin.write_text("import nosuchlibrary\n")
        agent.signal(signal.SIGHUP)
        await agent.logged("the configuration is reloaded")
        wanted = f"{config}:3: inputs.own: cannot import {plugin}: the Python library 'nosuchlibrary' is missing; "
        assert (await problems()).startswith(f"{wanted}{sys.executable} -m pip install nosuchlibrary")
        written = agent.out.count("own,")
        async with asyncio.timeout(DEADLINE):
            while agent.out.count("own,") < written + 3:
                await asyncio.sleep(0.01)
        plugin.write_text(OWN.format(code="{}['x']"))
        agent.signal(signal.SIGHUP)
        await agent.logged("cannot gather: KeyError: 'x' (own.py:3)")
        assert (await problems()).startswith("inputs.own: cannot gather: KeyError: 'x' (own.py:3)")
        assert await agent.terminate() == 0

    plugin.write_text("import nosuchlibrary\n")
    status, _, log = await finished("config", "check", *arguments)
    assert status == 2
    assert wanted in log
    status, out, log = await finished(*arguments, "--test")
    assert status == 0
    assert "> mem" in out
    assert f"{wanted}{sys.executable} -m pip install nosuchlibrary" in log
    assert "; it is left out" in log

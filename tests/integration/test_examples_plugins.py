"""The plugins of docs/writing-plugins.md run, and the page shows them as they are."""

import asyncio
import gzip
import json
import logging
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from serving import serving

from pyagent.api import (
    Aggregator,
    ConfigError,
    Input,
    Metric,
    Output,
    ParseError,
    Parser,
    Processor,
    PyagentError,
    QueueFull,
    Retry,
    SecretStore,
)
from pyagent.config.registry import Registry
from pyagent.kit.http_client import HttpClient
from pyagent.testing import (
    MemoryBatch,
    assert_declared,
    gather,
    lines,
    make_input,
    make_output,
    make_parser,
    make_processor,
    process_async,
    run_aggregator,
    run_input,
    run_output,
    run_processor,
)
from pyagent.testing.inputs import make_options
from pyagent.testing.outputs import Answer, ScriptedServer, make_batch, write

EXAMPLES = sorted(path.name for path in (Path(__file__).parents[2] / "docs/examples").glob("*.py"))


def example(root: Path, name: str) -> type[Input[Any]]:
    """The class, found as the agent finds it."""
    found = Registry([root / "docs/examples"]).find("inputs", name)
    assert issubclass(found.plugin, Input)
    return found.plugin


def test_the_pages_show_the_examples_verbatim(root: Path) -> None:
    pages = [(root / "docs" / name).read_text() for name in ("writing-plugins.md", "kits.md")]
    shown = [text for page in pages for text in re.findall(r"(?ms)^```python\n(.*?)^```$", page)]
    assert sorted(shown) == sorted((root / "docs/examples" / name).read_text() for name in EXAMPLES)


def test_the_first_example_is_short(root: Path) -> None:
    text = (root / "docs/examples/spool.py").read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 25


def test_spool(root: Path, tmp_path: Path) -> None:
    spool = example(root, "spool")
    (tmp_path / "a.msg").touch()
    (tmp_path / "b.tmp").touch()
    (tmp_path / "folder.msg").mkdir()
    metrics = run_input(spool, {"directory": str(tmp_path), "suffix": ".msg"})
    assert_declared(spool, metrics)
    assert re.fullmatch(rf"spool,directory={tmp_path} files=1i,free=\d+i", lines(metrics)[0])
    with pytest.raises(ConfigError, match="the option 'directory' is missing"):
        run_input(spool)
    with pytest.raises(FileNotFoundError):
        run_input(spool, {"directory": str(tmp_path / "none")})


async def test_door_feed(root: Path) -> None:
    async with serving(example(root, "door_feed"), {"service_address": "tcp://127.0.0.1:0"}) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b'{"opened": 3}\nnonsense\n{"opened": 4}')
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(30):
            while len(served.output.queue) < 2:
                await asyncio.sleep(0.01)
        assert [line.rpartition(" ")[0] for line in served.lines()] == ["door_feed opened=3", "door_feed opened=4"]


async def test_parcels(root: Path) -> None:
    acknowledged: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        known = [
            line for line in (b"1 m v=1i\n", b"2 nonsense\n", b"3 m v=3i\n") if line[:1] + b"\n" not in acknowledged
        ]
        writer.writelines(known)
        acknowledged.append(await reader.readline())
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(broker, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PyagentError, match="cannot connect to port 1:"):
            await make_input(example(root, "parcels"), {"port": 1}).start(None)  # type: ignore[arg-type]
        async with serving(example(root, "parcels"), {"port": port}, listens=False) as served, asyncio.timeout(60):
            while len(set(acknowledged)) < 3:
                await asyncio.sleep(0.01)
            assert {line.rpartition(" ")[0] for line in served.lines()} == {"m v=1i", "m v=3i"}


async def test_tcp_connect(root: Path) -> None:
    tcp_connect = example(root, "tcp_connect")
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        metrics = await gather(make_input(tcp_connect, {"address": f"127.0.0.1:{port}"}))
    assert_declared(tcp_connect, metrics)
    assert metrics[0].tags == {"address": f"127.0.0.1:{port}"}
    with pytest.raises(PyagentError, match=f"^cannot connect to 127.0.0.1:{port}: "):
        await gather(make_input(tcp_connect, {"address": f"127.0.0.1:{port}"}))


async def test_queue_length(root: Path) -> None:
    queue_length = example(root, "queue_length")
    async with ScriptedServer(Answer(200, "17\n"), Answer(200, "many")) as server:
        plugin = make_input(queue_length, {"urls": [server.url], "token": "abcdef"})
        metrics = await gather(plugin)
        assert_declared(queue_length, metrics)
        assert lines(metrics) == [f"queue,url={server.url} length=17i"]
        assert server.requests[0].headers["authorization"] == "Bearer abcdef"
        with pytest.raises(PyagentError, match=f"^cannot read {server.url}: it is no number but 'many'$"):
            await gather(plugin)
        await plugin.stop()


def test_job_reports(root: Path, tmp_path: Path) -> None:
    job_reports = example(root, "job_reports")
    (tmp_path / "a/b").mkdir(parents=True)
    report = tmp_path / "a/b/backup.json"
    report.write_text('{"finished": "2026-01-02 03:04:05", "run": {"seconds": 12.5}}')
    (tmp_path / "a/notes.txt").write_text("no report")
    options = {"files": f"{tmp_path}/**.json", "timezone": "Europe/Berlin"}
    [metric] = run_input(job_reports, options)
    assert_declared(job_reports, [metric])
    assert (metric.tags, metric.fields) == ({"path": str(report)}, {"took": 12.5})
    assert metric.time == 1767319445 * 10**9
    for text, cause in [
        ('{"finished": "2026-01-02 03:04:05"}', "run.seconds or finished is missing"),
        ('{"finished": "soon", "run": {"seconds": 1}}', ""),
        ("{", ""),
    ]:
        report.write_text(text)
        with pytest.raises(PyagentError, match=f"^cannot read the report {report}: {cause}"):
            run_input(job_reports, options)
    with pytest.raises(ConfigError, match="cannot read the reports: unknown time zone 'Moon'"):
        make_input(job_reports, {"timezone": "Moon"})


async def test_beanstalk(root: Path) -> None:
    beanstalk = example(root, "beanstalk")
    answers = [b"OK 42\r\n---\nother: 1\ncurrent-jobs-ready: 17\nlast: 2\n\r\n", b"UNKNOWN_COMMAND\r\n"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readline() == b"stats\r\n"
        writer.write(answers.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        plugin = make_input(beanstalk, {"server": address})
        metrics = await gather(plugin)
        assert_declared(beanstalk, metrics)
        assert lines(metrics) == [f"beanstalk,server={address} ready=17i"]
        with pytest.raises(PyagentError, match=rf"^cannot read {address}: the answer to `stats` begins with "):
            await gather(plugin)
    with pytest.raises(PyagentError, match=rf"^cannot connect to {address}: Connection refused"):
        await gather(plugin)


def test_backups(root: Path, tmp_path: Path) -> None:
    backups = example(root, "backups")
    tool = tmp_path / "backup-tool"
    tool.write_text('#!/bin/sh\n[ "$1" = list ] && printf "home 60 5000\\nmail 70 %s\\n" "$SIZE"')
    tool.chmod(0o755)
    with pytest.raises(PyagentError, match=r"^cannot read the list of backups: line 2 is 'mail 70 '$"):
        run_input(backups, {"binary": str(tool)})
    tool.write_text(tool.read_text().replace("$SIZE", "7"))
    metrics = run_input(backups, {"binary": str(tool)})
    assert_declared(backups, metrics)
    assert lines(metrics) == ["backups,name=home age=60i,size=5000i", "backups,name=mail age=70i,size=7i"]


async def test_net_rates(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net_rates = example(root, "net_rates")
    monkeypatch.setenv("HOST_PROC", str(tmp_path))
    (tmp_path / "net").mkdir()
    head = "Inter-|   Receive  |  Transmit\n face |bytes packets ...|bytes packets ...\n"

    def plant(received: object, sent: int) -> None:
        row = f"  eth0: {received} 1 0 0 0 0 0 0 {sent} 1 0 0 0 0 0 0\n"
        (tmp_path / "net/dev").write_text(head + row + row.replace("eth0", "veth7") + row.replace("eth0", "lo"))

    plugin = make_input(net_rates, {"interfaces": ["*eth*"], "ignored_interfaces": ["veth*"]})
    plant(1000, 5000)
    assert await gather(plugin) == []
    plant(3000, 100)
    [metric] = await gather(plugin)
    assert_declared(net_rates, [metric])
    assert metric.tags == {"interface": "eth0"}
    assert float(metric.fields["received"]) / float(metric.fields["sent"]) == pytest.approx(20)
    plant("x", 100)
    with pytest.raises(PyagentError, match=rf"^cannot read {tmp_path}/net/dev: line 3: word 2 is no whole number: "):
        await gather(plugin)
    with pytest.raises(ConfigError, match="cannot use interfaces: cannot read the pattern"):
        make_input(net_rates, {"interfaces": ["[a"]})


def test_report(root: Path, tmp_path: Path) -> None:
    report = example(root, "report")
    (tmp_path / "report").write_text("job,v\nbackup,5\n")
    options = {"path": str(tmp_path / "report"), "data_format": "csv", "csv_header_row_count": 1}
    metrics = run_input(report, {**options, "csv_tag_columns": ["job"]})
    assert_declared(report, metrics)
    assert lines(metrics) == ["report,job=backup v=5i"]
    with pytest.raises(ConfigError, match="undefined but requested parser: yaml"):
        make_input(report, {"data_format": "yaml"})


def test_pseudonym(root: Path) -> None:
    found = Registry([root / "docs/examples"]).find("processors", "pseudonym").plugin
    assert issubclass(found, Processor)
    given = [Metric("logins", {"user": name, "host": "h"}, {"n": 1}, 0) for name in ("ann", "bob", "ann")]
    given.append(Metric("logins", {"host": "h"}, {"n": 1}, 0))
    users = [metric.tags.get("user") for metric in run_processor(found, given, {"tags": ["user"], "key": "k"})]
    assert users == ["9aaa321ce844", users[1], "9aaa321ce844", None]
    assert users[1] != users[0]
    assert given[0].tags["user"] == "ann", "what was given stays"
    for key in ("", 65 * "k"):
        with pytest.raises(ConfigError, match="cannot use the key") as raised:
            run_processor(found, given, {"tags": ["user"], "key": key})
        assert raised.value.option == "key"


async def test_rooms(root: Path) -> None:
    found = Registry([root / "docs/examples"]).find("processors", "rooms").plugin
    assert issubclass(found, Processor)
    given = [Metric("m", {"sensor": "a b"}, {"n": 1}, 0), Metric("m", {}, {"n": 2}, 0)]
    answers = (Answer(200, body=b'{"room": "lab"}'), Answer(200, body=b"{}"), Answer(503))
    async with ScriptedServer(*answers) as server:
        rooms = make_processor(found, {"url": f"{server.url}/rooms/"})
        for _ in range(2):
            assert [metric.tags.get("room") for metric in await process_async(rooms, given)] == ["lab", None]
        with pytest.raises(PyagentError, match=r"cannot read the room of 'c': the answer has none"):
            await process_async(rooms, [Metric("m", {"sensor": "c"}, {"n": 1}, 0)])
        with pytest.raises(PyagentError, match="503"):
            await process_async(rooms, [Metric("m", {"sensor": "c"}, {"n": 1}, 0)])
        await rooms.stop()
        assert [request.target for request in server.requests] == ["/rooms/a%20b", "/rooms/c", "/rooms/c"]


def test_spread(root: Path) -> None:
    found = Registry([root / "docs/examples"]).find("aggregators", "spread").plugin
    assert issubclass(found, Aggregator)
    values = [("a", 5), ("a", -1.5), ("b", 2), ("b", True), ("b", "text")]
    metrics = run_aggregator(found, [Metric("m", {"of": of}, {"v": value}, 0) for of, value in values])
    assert lines(metrics) == ["m,of=a v_spread=6.5", "m,of=b v_spread=0"]


class Taking:
    """The accumulator of a listener, with room for one delivery."""

    def __init__(self) -> None:
        self.metrics: list[Metric] = []

    async def deliver(self, metrics: Sequence[Metric]) -> None:
        if self.metrics:
            raise QueueFull("no room")
        self.metrics += metrics


async def test_doors(root: Path) -> None:
    doors, acc, client = example(root, "doors"), Taking(), HttpClient(timeout=30.0)
    plugin: Any = make_input(doors, {"service_address": "127.0.0.1:0"})
    await plugin.start(acc)
    try:
        bodies = (b"[]", b'{"door": "front", "open": true}', b'{"door": "back", "open": false}')
        url = f"http://127.0.0.1:{plugin._server.port}/"
        answers = [await client.request("POST", url, body=body) for body in bodies]
    finally:
        await client.close()
        await plugin.stop()
    assert [answer.status for answer in answers] == [400, 204, 429]
    assert json.loads(answers[0].body) == {"error": 'the body is not like {"door": "front", "open": true}'}
    assert answers[2].headers["Retry-After"] == "1"
    assert lines(acc.metrics) == ["door,door=front open=true"]
    assert_declared(doors, acc.metrics)


async def test_archive(root: Path, tmp_path: Path) -> None:
    found = Registry([root / "docs/examples"]).find("outputs", "archive").plugin
    assert issubclass(found, Output)
    await run_output(found, MemoryBatch(["m v=1 17", "m v=2 18"], oldest=17), {"directory": str(tmp_path)})
    [file] = tmp_path.iterdir()  # noqa: ASYNC240
    assert file.name.startswith("17-")
    assert gzip.decompress(file.read_bytes()) == b"m v=1 17\nm v=2 18\n"
    with pytest.raises(Retry, match=f"cannot write to {tmp_path}/none: No such file"):
        await run_output(found, MemoryBatch(["m v=1 17"]), {"directory": f"{tmp_path}/none"})
    with pytest.raises(ConfigError, match="give the whole path"):
        make_output(found, {"directory": "here"})


def test_pairs(root: Path) -> None:
    found = Registry([root / "docs/examples"]).find("parsers", "pairs").plugin
    assert issubclass(found, Parser)
    parser = make_parser(found, {"pairs_separator": ":"})
    assert lines(parser.parse(b"inside: 21.5\noutside: -3\n")) == ["test inside=21.5,outside=-3"]
    for wrong in (b"a: 1\nb\n", b"a: 1\nb: x\n"):
        with pytest.raises(ParseError, match=r"^line 2: "):
            parser.parse(wrong)


def test_keyfile(root: Path, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("influx=to=ken\n# none\nother=x\n")
    configuration = tmp_path / "agent.conf"
    configuration.write_text(f'[[secretstores.keyfile]]\n  id = "own"\n  path = "{tmp_path}/keys"\n')
    command = [sys.executable, "-m", "pyagent", "secrets", "list", "--config", str(configuration)]
    folder = ["--plugin-directory", str(root / "docs/examples")]
    done = subprocess.run([*command, *folder], capture_output=True, text=True, env={})
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-2:] == ["influx", "other"]
    found = Registry([root / "docs/examples"]).find("secretstores", "keyfile").plugin
    assert issubclass(found, SecretStore)
    store = found(make_options(found, {"path": f"{tmp_path}/keys"}), logging.getLogger("keyfile"))
    assert store.get("influx") == "to=ken"
    with pytest.raises(LookupError):
        store.get("none")
    (tmp_path / "keys").unlink()
    with pytest.raises(ConfigError, match="cannot read the secrets"):
        store.list()


def test_the_agent_runs_a_processor_and_an_aggregator_from_a_folder(root: Path, tmp_path: Path) -> None:
    page = (root / "docs/writing-plugins.md").read_text()
    [toml] = [text for text in re.findall(r"(?ms)^```toml\n(.*?)^```$", page) if "[[processors.pseudonym]]" in text]
    (tmp_path / "data").write_text("logins,user=ann n=1i\nother,user=ann n=2i\nlogins,user=ann n=4i\n")
    source = f'[[inputs.file]]\n  files = ["{tmp_path}/data"]\n  data_format = "influx"\n'
    spread = '[[aggregators.spread]]\n  namepass = ["logins"]\n  grace = "1m"\n[agent]\n  omit_hostname = true\n'
    spread += "  skip_processors_after_aggregators = true\n"
    (tmp_path / "agent.conf").write_text(toml + source + spread)
    done = subprocess.run(
        [sys.executable, "-m", "pyagent", "--config", str(tmp_path / "agent.conf"), "--test"],
        capture_output=True,
        text=True,
        env={"PYAGENT_PLUGIN_DIRECTORY": str(root / "docs/examples"), "PSEUDONYM_KEY": "k"},
    )
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(" ")[0] for line in done.stdout.splitlines()] == [
        "> logins,user=9aaa321ce844 n=1i",
        "> other,user=ann n=2i",
        "> logins,user=9aaa321ce844 n=4i",
        "> logins,user=9aaa321ce844 n_spread=3",
    ]


@pytest.mark.parametrize("address", ["localhost", ":22", "localhost:", "localhost:ssh"])
def test_tcp_connect_checks_its_address(root: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=r"it is not HOST:PORT") as raised:
        make_input(example(root, "tcp_connect"), {"address": address})
    assert raised.value.option == "address"


def test_the_examples_own_test_passes(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*command, "-c", "/dev/null", str(root / "docs/examples/test_spool.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("way", ["flag", "environment"])
def test_the_agent_runs_it_from_a_folder(root: Path, tmp_path: Path, way: str) -> None:
    page = (root / "docs/writing-plugins.md").read_text()
    [toml] = [text for text in re.findall(r"(?ms)^```toml\n(.*?)^```$", page) if "[[inputs.spool]]" in text]
    assert tomllib.loads(toml)["inputs"]["spool"] == [{"directory": "/var/spool/mail"}]
    config = tmp_path / "agent.conf"
    config.write_text(
        toml.replace("/var/spool/mail", str(tmp_path)) + "[[inputs.mem]]\n[agent]\n  omit_hostname = true\n"
    )
    folder = str(root / "docs/examples")
    command = [sys.executable, "-m", "pyagent", "--config", str(config), "--test", "--input-filter", "spool"]
    done = subprocess.run(
        [*command, "--plugin-directory", folder] if way == "flag" else command,
        capture_output=True,
        text=True,
        env={} if way == "flag" else {"PYAGENT_PLUGIN_DIRECTORY": folder},
    )
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert re.fullmatch(rf"(> )?spool,directory={tmp_path} files=1i,free=\d+i \d{{19}}", line)


def test_an_entry_point_may_name_the_module_or_the_class(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("spool", "pseudonym", "spread"):
        (tmp_path / f"my_{name}.py").write_text((root / f"docs/examples/{name}.py").read_text())
    metadata = tmp_path / "my_spool-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-spool\nVersion: 1.0\n")
    stages = "[pyagent.processors]\nown = my_pseudonym\n[pyagent.aggregators]\nown = my_spread:Spread\n"
    (metadata / "entry_points.txt").write_text(
        f"[pyagent.inputs]\nspool = my_spool\nspool_two = my_spool:Spool\n{stages}"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        found = [Registry().find("inputs", name) for name in ("spool", "spool_two")]
        assert Registry().find("processors", "own").plugin.__name__ == "Pseudonym"
        assert Registry().find("aggregators", "own").plugin.__name__ == "Spread"
    finally:
        module: ModuleType | None = sys.modules.pop("my_spool", None)
        for name in ("my_pseudonym", "my_spread"):
            sys.modules.pop(name, None)
    assert module is not None
    assert [entry.plugin for entry in found] == [module.Spool, module.Spool]


async def test_pipe(root: Path, tmp_path: Path) -> None:
    pipe = Registry([root / "docs/examples"]).find("outputs", "pipe").plugin
    assert issubclass(pipe, Output)
    path = tmp_path / "out"
    output = make_output(pipe, {"path": str(path), "data_format": "json", "json_timestamp_units": "1ms"})
    await write(output, make_batch(output, [Metric("m", {}, {"used": 1}, 1_700_000_000_123_000_000)]))
    assert path.read_text() == '{"fields":{"used":1},"name":"m","tags":{},"timestamp":1700000000123}\n'
    lost = make_output(pipe, {"path": str(tmp_path / "none" / "out")})
    with pytest.raises(Retry, match="No such file or directory; start its reader"):
        await write(lost, make_batch(lost, [Metric("m", {}, {"used": 1}, 1)]))

"""Each check of the doctor fails where something is wrong, and its own remedy mends it."""

import os
import re
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from doctor_hosts import MEM, answering, influxdb, output, wrong

from pyagent.cli.doctor import host
from pyagent.cli.doctor.examination import Examination
from pyagent.cli.doctor.findings import Level, Report
from pyagent.cli.doctor.screen import Screen
from pyagent.runtime.environment_files import EnvironmentFile
from pyagent.runtime.settings import RunSettings
from pyagent.sandbox import Sandbox


async def examine(config: str, *, probe: bool = False, **environ: str) -> Report:
    report = Report()
    settings = RunSettings(configs=(config,), environ=environ, plugin_directories=())
    await Examination(report, settings, probe=probe).run()
    return report


def texts(report: Report, level: Level) -> str:
    return "\n".join(f"{one.check}: {one.text}" for one in report.findings if one.level is level)


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as sandbox:
        await sandbox.setup(org="home", bucket="metrics")
        yield sandbox


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        (tmp_path / "a.conf").write_text(text)
        return str(tmp_path / "a.conf")

    return write


async def test_where_all_is_well_nothing_is_stored_and_the_probe_is_read_back(
    server: Sandbox, file: Callable[[str], str]
) -> None:
    config = file(MEM + output(server.url))
    report = await examine(config, INFLUX_TOKEN=server.token)
    assert wrong(report) == []
    assert report.exit_status == 0
    assert await server.count() == 0
    report = await examine(config, probe=True, INFLUX_TOKEN=server.token)
    assert "probe: a point 'pyagent_probe' was written and read back" in texts(report, Level.OK)
    assert await server.count() == 1
    assert server.token not in str(report.document())


async def test_a_token_of_influxdbs_page_may_not_read_and_that_is_no_fault(
    server: Sandbox, file: Callable[[str], str]
) -> None:
    token = await server.authorize(write=["metrics"], telegrafs=[])
    report = await examine(file(MEM + output(server.url)), probe=True, INFLUX_TOKEN=token)
    assert wrong(report) == []
    assert "the token may write and not read" in texts(report, Level.NOTE)
    assert "whether it is there cannot be seen" in texts(report, Level.OK)
    assert "points: the newest points are not looked at" in texts(report, Level.SKIPPED)


@pytest.mark.parametrize(
    ("options", "environ", "expected"),
    [
        ({}, {}, "token: the variable INFLUX_TOKEN is not set, its name was sent as the token -> put it into the"),
        ({"token": "$OTHER"}, {}, "token: the variable OTHER is not set, its name was sent as the token -> put it into the environment file of the unit as OTHER=..."),
        ({"token": ""}, {}, "token: there is no token -> set `token`"),
        ({"token": "'abc'"}, {}, "token: the token has quotes or blanks around it -> remove them"),
        ({"token": "$T"}, {"T": "abc"}, "token: this server does not know the token; it is only 3 characters long -> copy"),
        ({"bucket": "Metrics"}, {}, "bucket: there is no bucket 'Metrics' in 'home' that this token may see (there are 'metrics') -> write bucket = 'metrics'"),
        ({"bucket": "other"}, {}, "bucket: there is no bucket 'other' in 'home' that this token may see (there are 'metrics') -> make the bucket"),
        ({"org": "Home"}, {}, "organization: there is no organization 'Home' (there are 'home') -> write organization = 'home'"),
        ({"org": ""}, {}, "organization: no organization is named -> set `organization`"),
    ],
)  # fmt: skip
async def test_what_a_write_would_be_refused_for(
    server: Sandbox, file: Callable[[str], str], options: dict[str, str], environ: dict[str, str], expected: str
) -> None:
    if "bucket" in options or "org" in options:
        environ = {"INFLUX_TOKEN": server.token}
    report = await examine(file(MEM + output(server.url, **options)), **environ)
    assert len(wrong(report)) >= 1
    assert expected in "\n".join(wrong(report))
    assert report.exit_status == 2


async def test_an_address_with_a_path_that_influxdb_does_not_know(server: Sandbox, file: Callable[[str], str]) -> None:
    report = await examine(file(MEM + output(server.url + "/api/v2/telegrafs/1")), INFLUX_TOKEN=server.token)
    assert f"path '/api/v2/telegrafs/1': 404 path not found -> write urls = ['{server.url}']" in wrong(report)[0]


async def test_a_token_for_another_bucket(server: Sandbox, file: Callable[[str], str]) -> None:
    await server.add_bucket("second")
    token = await server.authorize(write=["second"], telegrafs=[])
    report = await examine(file(MEM + output(server.url)), INFLUX_TOKEN=token)
    assert [line.partition(" ->")[0] for line in wrong(report)] == [
        "write: the token may not write to bucket 'metrics'"
    ]
    report = await examine(file(MEM + output(server.url, bucket="second")), INFLUX_TOKEN=token)
    assert wrong(report) == []


async def test_the_way_to_a_server_each_step_on_its_own(file: Callable[[str], str], unused_tcp_port: int) -> None:
    report = await examine(file(MEM + output("http://nosuch.invalid:8086")), INFLUX_TOKEN="x" * 30)
    assert [one.check for one in report.findings if one.level is Level.FAILED] == ["dns"]
    report = await examine(file(MEM + output(f"http://127.0.0.1:{unused_tcp_port}")), INFLUX_TOKEN="x" * 30)
    assert [one.check for one in report.findings if one.level is Level.FAILED] == ["connect"]
    assert "write: the server cannot be reached" in texts(report, Level.SKIPPED)

    async def other(request: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>", headers={"Server": "nginx"})

    async with answering(other) as url:
        report = await examine(file(MEM + output(url + "/prefix")), INFLUX_TOKEN="x" * 30)
        assert (
            f"what answers is not InfluxDB: 404 Not Found of nginx -> write {url}, without /prefix" in wrong(report)[0]
        )

    async def old(request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"X-Influxdb-Version": "1.8.10"})

    async with answering(old) as url:
        report = await examine(file(MEM + output(url)), INFLUX_TOKEN="x" * 30)
        assert wrong(report)[0].startswith("server: this is InfluxDB 1.8.10")

    async with Sandbox() as empty:
        report = await examine(file(MEM + output(empty.url)), INFLUX_TOKEN="x" * 30)
        assert wrong(report)[0].startswith("setup: this server was never set up")
        assert "pyagent provision setup" in wrong(report)[0]


async def test_certificates(file: Callable[[str], str], certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    token = {"INFLUX_TOKEN": "x" * 30}
    async with answering(influxdb(), context) as url:
        report = await examine(file(MEM + output(url)), **token)
        assert wrong(report)[0].startswith("tls: no TLS with 127.0.0.1:")
        assert "tls_ca" in wrong(report)[0]
        authority = f'  tls_ca = "{certificates}/ca.pem"'
        report = await examine(file(MEM + output(url, more=authority)), **token)
        assert wrong(report) == []
        assert "tls: the certificate of 127.0.0.1 is good, for " in texts(report, Level.OK)
        name = authority + '\n  tls_server_name = "other.example"'
        report = await examine(file(MEM + output(url, more=name)), **token)
        assert "certificate is not valid for 'other.example'" in wrong(report)[0]
        assert "tls_server_name" in wrong(report)[0]
        report = await examine(file(MEM + output(url, more="  insecure_skip_verify = true")), **token)
        assert [one.level for one in report.findings if one.check == "tls"] == [Level.WARNING]
        report = await examine(file(MEM + output(url.replace("https", "http"))), **token)
        assert [one.check for one in report.findings if one.level is Level.FAILED] == ["server"]
    async with answering(influxdb()) as url:
        report = await examine(file(MEM + output(url.replace("http", "https"))), **token)
        assert wrong(report)[0].endswith("-> this port speaks http: write http:// in place of https://")


@pytest.mark.parametrize(("ahead", "level"), [(0.0, Level.OK), (-30.0, Level.WARNING), (7200.0, Level.FAILED)])
async def test_clocks(file: Callable[[str], str], ahead: float, level: Level) -> None:
    async with answering(influxdb(date=ahead)) as url:
        report = await examine(file(MEM + output(url)), INFLUX_TOKEN="x" * 30)
        found = [one for one in report.findings if one.check == "clock"]
        assert [one.level for one in found] == [level]
        if ahead:
            assert ("behind" if ahead > 0 else "ahead of") in found[0].text


async def test_points_of_1970_and_of_the_future_and_two_writers(server: Sandbox, file: Callable[[str], str]) -> None:
    now = time.time_ns()
    lines = [f"seconds,host=h v=1 {now // 10**9}", f"local,host=h v=1 {now + 7200 * 10**9}", f"mem,host=h v=1 {now}"]
    lines += [f"mem,host=h v=1 {now - second * 10**9}" for second in range(1, 120, 5)]
    await server.write("\n".join(lines))
    report = await examine(file(MEM + output(server.url) + '[agent]\nhostname = "h"\n'), INFLUX_TOKEN=server.token)
    found = "\n".join(wrong(report))
    assert "points: seconds: points of 1970: times in seconds or milliseconds were sent as nanoseconds" in found
    assert "in the future, which no page shows: local time was written as UTC (2 h)" in found
    assert "writers: mem has 2 points in each 10 s: two agents gather the same" in found
    assert re.search(r"points: the newest point of host 'h' is of \d+ s ago \(mem\)", texts(report, Level.OK))


async def test_a_hosted_configuration_that_cannot_be_had(server: Sandbox) -> None:
    config = await server.add_telegraf("x", MEM + output(server.url))
    url = f"{server.url}/api/v2/telegrafs/{config}"
    assert wrong(await examine(url, INFLUX_TOKEN=server.token)) == []
    assert (
        "no token is sent: INFLUX_TOKEN is not set -> put INFLUX_TOKEN=... into the environment"
        in wrong(await examine(url))[0]
    )
    assert "does not know the token in INFLUX_TOKEN" in wrong(await examine(url, INFLUX_TOKEN="x" * 88))[0]
    token = await server.authorize(write=["metrics"], telegrafs=[])
    assert "is known here, and may not read this configuration" in wrong(await examine(url, INFLUX_TOKEN=token))[0]
    gone = url[:-16] + "0123456789abcdef"
    assert (
        "there is no configuration '0123456789abcdef' on this server"
        in wrong(await examine(gone, INFLUX_TOKEN=server.token))[0]
    )
    assert "is no ID of a configuration" in wrong(await examine(url[:-3], INFLUX_TOKEN=server.token))[0]


async def test_inputs_and_filters(server: Sandbox, file: Callable[[str], str]) -> None:
    text = MEM + '  namepass = ["cpu"]\n[[inputs.file]]\n  files = ["/nosuch/x"]\n[[inputs.influxdb_v2_listener]]\n'
    report = await examine(file(text + output(server.url)), INFLUX_TOKEN=server.token)
    found = "\n".join(wrong(report))
    assert "filters: it gathers one metric, and its own filters keep all of them out" in found
    assert "gather: " in found
    assert "it is not started here: the running agent has its port" in texts(report, Level.SKIPPED)
    text = '[[inputs.intel_rdt]]\n  cores = ["0"]\n  pqos_path = "/nosuch/pqos"\n' + output(server.url)
    report = await examine(file(text), INFLUX_TOKEN=server.token)
    assert "inputs.intel_rdt: cannot run" in "\n".join(wrong(report)), "one that cannot be set up is told, too"
    text = MEM + output(server.url, more='  namepass = ["cpu"]')
    report = await examine(file(text), INFLUX_TOKEN=server.token)
    assert "filters: none of its metrics reaches outputs.influxdb_v2: its filters keep 1 out" in "\n".join(
        wrong(report)
    )


async def test_what_is_not_started_is_looked_at(tmp_path: Path, file: Callable[[str], str]) -> None:
    text = '[[inputs.execd]]\n  command = ["/nosuch/program", "sesame"]\n'
    text += f'[[inputs.tail]]\n  files = ["{tmp_path}/none"]\n  data_format = "influx"\n'
    text += '[[processors.execd]]\n  command = ["/nosuch/other"]\n[[outputs.discard]]\n'
    report = await examine(file(text))
    found = [(one.about.partition(" ")[0], one.level, one.text) for one in report.findings]
    assert ("inputs.execd", Level.FAILED, "cannot run '/nosuch/program': there is no such program") in found
    assert ("inputs.tail", Level.WARNING, f"no file is '{tmp_path}/none' so far") in found
    other = f"{tmp_path}/a.conf:7: processors.execd: cannot run '/nosuch/other': there is no such program"
    assert ("processors.execd", Level.FAILED, other) in found
    assert "sesame" not in str(report.document())


async def test_one_that_gathers_nothing_and_has_no_filter_is_not_sent_to_its_filters(
    file: Callable[[str], str],
) -> None:
    text = '[[inputs.filecount]]\n  directories = ["/nosuch"]\n'
    [found] = [
        one for one in (await examine(file(text + "[[outputs.discard]]\n"))).findings if one.level == Level.WARNING
    ]
    assert found.remedy == "look at whether this host has what it measures; remove the input where it has not"
    text += '  namepass = ["x"]\n'
    [found] = [
        one for one in (await examine(file(text + "[[outputs.discard]]\n"))).findings if one.level == Level.WARNING
    ]
    assert found.remedy.startswith("look at its filters (namepass, ")


async def test_what_others_wrote_is_named_also_where_it_fails(tmp_path: Path, file: Callable[[str], str]) -> None:
    text = ""
    for number in range(7):
        text += f'[[inputs.nagios.check]]\n  name = "c{number}"\n  command = "/bin/true secret-{number}"\n'
    (tmp_path / "mine.py").write_text("raise SystemExit(7)")
    for isolate in ("false", "true"):
        text += '[[inputs.collectd_python]]\n  modules = ["mine"]\n'
        text += f'  module_path = ["{tmp_path}"]\n  isolate = {isolate}\n'
    report = await examine(file(f"[[inputs.nagios]]\n{text}{MEM}"))
    found = [one.text for one in report.findings if one.check == "origin"]
    assert found == [
        "it runs what others wrote: " + ", ".join(f"c{number}: /bin/true" for number in range(5)) + " and 2 more",
        f"it runs what others wrote: mine: {tmp_path}/mine.py",
        f"it runs what others wrote: mine: {tmp_path}/mine.py",
    ]
    assert "secret" not in str(report.document())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[inputs.memm]]\n", "memm"),
        ("[[inputs.mem]\n", "a.conf:1"),
        ("", "configuration: it has no input"),
        (MEM, "configuration: it has no output"),
    ],
)
async def test_configurations_that_do_not_work(file: Callable[[str], str], text: str, expected: str) -> None:
    report = await examine(file(text))
    assert expected in "\n".join(wrong(report))
    assert report.exit_status == 2


async def test_a_configuration_that_is_not_there() -> None:
    assert "No such file or directory" in wrong(await examine("/nosuch/a.conf"))[0]
    report = Report()
    await Examination(report, RunSettings(environ={"HOME": "/nosuch"})).run()
    assert "no configuration" in wrong(report)[0]


# The host -------------------------------------------------------------------------------------------------------------


def test_files_of_an_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc/pyagent"
    folder.mkdir(parents=True)
    found = host.environment_files
    monkeypatch.setattr(host, "environment_files", lambda name: found(name, str(tmp_path)))
    report = Report()
    assert host.look_at_files(report, "ram") == {}
    assert "is there" in wrong(report)[0]
    file = folder / "ram.env"
    file.mkdir()
    report = Report()
    assert host.look_at_files(report, "ram") == {}
    assert f"Is a directory -> ls -ld {file}; it must be a file" in wrong(report)[0]
    with monkeypatch.context() as ordinary:
        # A file that only root may read, which root cannot be refused.
        ordinary.setattr(os, "geteuid", lambda: 1000)
        refused = EnvironmentFile(str(file), [], [], "Permission denied")
        ordinary.setattr(host, "environment_files", lambda _: [refused])
        report = Report()
        host.look_at_files(report, "ram")
        assert wrong(report)[0].endswith("sudo pyagent doctor ram")
    file.rmdir()
    file.touch()
    report = Report()
    assert host.look_at_files(report, "ram") == {}
    assert "no variable is set" in wrong(report)[0]
    file.write_text("INFLUX_TOKEN=s3cret-token\nthis is no setting\n")
    file.chmod(0o644)
    report = Report()
    assert host.look_at_files(report, "ram") == {"INFLUX_TOKEN": "s3cret-token"}
    assert any(f"{file}:2: this line is not understood" in one for one in wrong(report))
    assert any(f"chmod 0600 {file}" in one for one in wrong(report))
    assert "s3cret" not in str(report.document())


def test_what_the_account_of_the_unit_may_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "telegraf"
    folder.mkdir(mode=0o750)
    (folder / "a.conf").touch()
    for place in (tmp_path, *tmp_path.parents[:3]):
        os.chmod(place, 0o755)
    report = Report()
    host.look_at_readers(report, [str(folder / "a.conf")], "nobody")
    assert f"may not read the folder {folder}" in wrong(report)[0]
    folder.chmod(0o755)
    (folder / "a.conf").chmod(0o640)
    report = Report()
    host.look_at_readers(report, [str(folder / "a.conf")], "nobody")
    assert f"may not read the file {folder}/a.conf" in wrong(report)[0]
    (folder / "a.conf").chmod(0o644)
    report = Report()
    host.look_at_readers(report, [str(folder / "a.conf")], "nobody")
    assert wrong(report) == []


def test_what_the_running_agent_says() -> None:
    status: dict[str, Any] = {
        "uptime_seconds": 60,
        "version": "1",
        "configuration": {"last_reload_error": "no", "from_cache": True},
        "inputs": [{"name": "inputs.mem", "error": "cannot"}],
        "outputs": [
            {"name": "a", "error": "cannot write", "queued": 10, "limit": 100, "oldest_age_seconds": 5, "dropped": 3},
            {"name": "b", "error": "", "queued": 90, "limit": 100, "oldest_age_seconds": 5, "dropped": 0},
        ],
        "quarantine": {"metrics": 4},
    }
    report = Report()
    host.look_at_agent(report, status, "")
    assert len(wrong(report)) == 7
    report = Report()
    host.look_at_agent(report, None, "it is not running")
    assert texts(report, Level.SKIPPED) == "agent: it is not running"


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Programs of systemd that print what they are given."""
    monkeypatch.setattr(host, "RUNNING_SYSTEMD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def program(name: str, text: str) -> None:
        (tmp_path / f"{name}.out").write_text(text)
        (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path}/{name}.out\n")
        (tmp_path / name).chmod(0o755)

    return program


def test_the_unit_and_its_journal(systemd: Callable[[str, str], None]) -> None:
    systemd(
        "systemctl",
        f"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID={os.getpid()}\nUser=x\nNRestarts=0\nResult=success\n",
    )
    report = Report()
    unit = host.look_at_unit(report, "nosuch-instance")
    assert (unit.running, unit.pid, wrong(report)) == (True, os.getpid(), [])
    systemd(
        "systemctl",
        "LoadState=loaded\nActiveState=failed\nUnitFileState=disabled\nMainPID=0\nNRestarts=5\nResult=exit-code\n",
    )
    report = Report()
    unit = host.look_at_unit(report, "x")
    assert "it does not run (failed, exit-code) -> systemctl enable --now pyagent@x.service" in wrong(report)[0]
    systemd("journalctl", "E! [outputs.a] cannot write, try 1\nI! fine\nE! [outputs.a] cannot write, try 2\n")
    report = Report()
    host.look_at_journal(report, unit)
    assert texts(report, Level.NOTE) == "journal: [outputs.a] cannot write, try 2"


def test_a_screen_of_any_width_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(sys.stdout)
    report = Report(screen.show, screen.busy)
    report.about = "a\x1b[31m"
    report.ok("x", "good")
    report.failed("y", "bad " * 60, "do this")
    screen.end(report)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 100
    assert "1 failed: begin with the first." in shown
    assert "-> do this" in shown

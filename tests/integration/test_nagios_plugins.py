"""The input nagios with the programs of Debian's monitoring-plugins-basic: what it gives is what they print."""

import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_servers import unavailable

from pyagent.testing import assert_declared, run_input
from pyagent.testing.servers import Nginx
from pyagent_plugins.inputs.nagios import Nagios

PROGRAMS = Path("/usr/lib/nagios/plugins")
PERFDATA = re.compile(r"([^\s=|]+)=(-?[\d.]+)([a-zA-Z%]*)((?:;[^;\s]*)*)")
RECORDER = """#!/bin/sh
"$@" >{folder}/printed.$$
status=$?
cat {folder}/printed.$$
mv {folder}/printed.$$ {folder}/${{1##*/}}.$status
exit $status
"""


@pytest.fixture
def ssh_port() -> Iterator[int]:
    """Of a server that greets as an SSH server does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
                    client.settimeout(30)
                    client.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(30)


def test_values_are_those_that_the_programs_print(tmp_path: Path, ssh_port: int, nginx: Nginx) -> None:
    if not (PROGRAMS / "check_disk").exists():
        unavailable("the checks are missing: apt install monitoring-plugins-basic")
    file, recorded = tmp_path / "file", tmp_path / "printed"
    file.write_text("text")
    recorded.mkdir()
    recorder = tmp_path / "recorder"
    recorder.write_text(RECORDER.format(folder=recorded))
    recorder.chmod(0o755)
    checks = {
        "load": ("-w 500,400,300 -c 1000,600,400", 0),
        "disk": ("-w 1 -c 1 -p /", 0),
        "procs": ("-w 1:90000 -c 1:100000", 0),
        "users": ("-w 500 -c 1000", 0),
        "file_age": (f"-w 100000 -c 200000 -W 9 -C 2 -f {file}", 1),
        "dummy": ("2 'two words; and more'", 2),
        "cluster": ("--service -d 0,0,2 -l web -c 1", 0),
        "ssh": (f"-p {ssh_port} 127.0.0.1", 0),
        "tcp": (f"-H 127.0.0.1 -p {nginx.port} -w 50 -c 60", 0),
        "http": (f"-H 127.0.0.1 -p {nginx.port} -u /none -w 50 -c 60", 1),
        "ntp_time": ("--no-such-option", 3),
    }
    nrpe = [f"command[{name}]={PROGRAMS}/check_{name} {words}" for name, (words, _) in checks.items()]
    (tmp_path / "nrpe.cfg").write_text("\n".join([f"command_prefix={recorder}", *nrpe, ""]))
    metrics = run_input(Nagios, {"files": [f"{tmp_path}/nrpe.cfg"]})
    assert_declared(Nagios, metrics)
    states = {metric.tags["check"]: metric for metric in metrics if metric.name == "nagios_state"}
    assert {name: one.fields["state"] for name, one in states.items()} == {name: at for name, (_, at) in checks.items()}
    values = 0
    for name, (_, state) in checks.items():
        printed = (recorded / f"check_{name}.{state}").read_text()
        text, _, behind = printed.partition("\n")[0].partition("|")
        assert states[name].fields["service_output"] == text.strip()
        found = {
            metric.tags["perfdata"]: metric
            for metric in metrics
            if metric.name == "nagios" and metric.tags["check"] == name
        }
        said = PERFDATA.findall(behind)
        assert set(found) == {label for label, *_ in said}
        for label, value, unit, limits in said:
            metric = found[label]
            values += 1
            assert (metric.fields["value"], metric.tags.get("unit", "")) == (float(value), unit)
            warning, critical, least, most = [*limits.split(";")[1:], *[""] * 4][:4]
            for field, limit in (("warning", warning), ("critical", critical)):
                low, _, high = limit.rpartition(":")
                assert metric.fields.get(f"{field}_gt") == (float(high) if high else None)
                assert metric.fields.get(f"{field}_lt") == (float(low or 0) if high else None)
            assert metric.fields.get("min") == (float(least) if least else None)
            assert metric.fields.get("max") == (float(most) if most else None)
    assert values >= 10


def test_debians_own_definitions_are_read() -> None:
    folder = Path("/etc/nagios-plugins/config")
    if not folder.is_dir():
        unavailable("the definitions are missing: apt install monitoring-plugins-basic")
    options = {"files": [str(folder)], "check": [{"check_command": "check_all_disks!1!1"}]}
    metrics = run_input(Nagios, options)
    [state] = [metric for metric in metrics if metric.name == "nagios_state"]
    assert str(state.fields["service_output"]).startswith("DISK ")
    assert any(metric.tags.get("perfdata") == "/" and metric.tags["unit"] == "B" for metric in metrics)

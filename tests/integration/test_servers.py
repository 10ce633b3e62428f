"""The servers that other tests run against: they answer through their real protocols, and none is left over."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import psycopg
import pytest

from pyagent.testing.servers import InfluxDB1, PostgresServer, Server, ServerError, VictoriaMetrics, free_port

_DIE_BY_KILL = """
import os, signal, sys
from pyagent.testing.servers import VictoriaMetrics
server = VictoriaMetrics()
server.start()
print(server.port, server.directory, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_free_port_is_none_that_the_system_gives_to_connections() -> None:
    span = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(span.read_text().split()[0]) if span.exists() else 49152
    if first < 20_000:
        pytest.skip("the system picks nearly all ports by itself here")
    ports = [free_port() for _ in range(50)]
    assert 1024 < min(ports) < max(ports) < first
    for port in ports[:5]:
        with socket.create_server(("127.0.0.1", port)):
            assert _listens(port)


def test_postgresql_has_its_databases_over_tcp_and_its_socket(postgresql: PostgresServer) -> None:
    with psycopg.connect(postgresql.address) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate").fetchall()
    assert {row[0] for row in rows} == {"postgres", "app_production", "testing"}
    by_socket = f"host={postgresql.socket_directory} port={postgresql.port} user=postgres dbname=testing"
    with psycopg.connect(by_socket) as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ("testing",)


def test_postgresql_says_what_was_wrong_with_sql(postgresql: PostgresServer) -> None:
    with pytest.raises(ServerError, match='relation "nothing" does not exist'):
        postgresql.execute("SELECT * FROM nothing")


def test_victoria_metrics_keeps_what_is_written(victoria_metrics: VictoriaMetrics) -> None:
    line = b"servers_test,host=a value=1.5 1600000000000000000"
    request = urllib.request.Request(f"{victoria_metrics.url}/api/v2/write?bucket=b&org=o", line, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 204
    series = victoria_metrics.export('{__name__="servers_test_value"}')
    assert [one["values"] for one in series] == [[1.5]]


def test_influxdb_1_keeps_what_is_written(influxd_1: InfluxDB1) -> None:
    line = b"servers_test,host=a value=1.5 1600000000000000000"
    with urllib.request.urlopen(f"{influxd_1.url}/write?db=test", line, timeout=10) as answer:
        assert answer.status == 204
    query = urllib.parse.urlencode({"db": "test", "q": "SELECT value FROM servers_test"})
    with urllib.request.urlopen(f"{influxd_1.url}/query?{query}", timeout=10) as answer:
        series = json.load(answer)["results"][0]["series"]
    assert series[0]["values"][0][1] == 1.5


def test_stop_ends_the_server_and_removes_its_folder(victoria_metrics: VictoriaMetrics) -> None:
    server = VictoriaMetrics()
    server.start()
    assert _listens(server.port)
    server.stop()
    server.stop()
    assert not _listens(server.port)
    assert not server.directory.exists()


def test_a_server_does_not_outlive_the_process_that_started_it(victoria_metrics: VictoriaMetrics) -> None:
    done = subprocess.run([sys.executable, "-c", _DIE_BY_KILL], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    port, folder = done.stdout.split()
    deadline = time.monotonic() + 30
    while (_listens(int(port)) or os.path.exists(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _listens(int(port))
    assert not os.path.exists(folder)


def test_a_server_that_ends_at_once_is_an_error_with_its_last_words() -> None:
    class Broken(Server):
        name = "Broken"

        def command(self) -> list[str]:
            return ["/bin/sh", "-c", "echo no licence found; exit 3"]

        def answers(self) -> bool:
            return False

    for _ in range(10):  # whoever watches it may have hardly begun
        server = Broken()
        with pytest.raises(ServerError, match=r"cannot start Broken: it ended at once.*\s+no licence found"):
            server.start()
        assert not server.directory.exists()


def test_a_server_that_is_not_installed_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ServerError, match="apt install victoria-metrics"):
        VictoriaMetrics().start()

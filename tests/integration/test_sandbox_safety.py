"""The embedded server as a process: what it keeps through a kill, whom it answers, and the errors that it makes on demand."""

import asyncio
import http.client
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pyagent.sandbox import Sandbox, SandboxError

COMMAND = [sys.executable, "-m", "pyagent", "sandbox", "--port", "0"]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The command, and the values that it printed first."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        values: dict[str, str] = {}
        for line in process.stdout:
            name, _, value = line.rstrip().partition("=")
            values[name] = value
            if name in ("INFLUX_BUCKET",) or line.startswith("#"):
                break
        yield process, values
    finally:
        process.kill()
        process.communicate()


def connection(url: str) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=30))


def test_kill_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    with running("--ready", "--data", str(tmp_path / "data")) as (process, values):

        def write() -> None:
            headers = {"Authorization": f"Token {values['INFLUX_TOKEN']}"}
            with connection(values["INFLUX_URL"]) as client, suppress(OSError, http.client.HTTPException):
                for number in range(100_000):
                    body = "\n".join(f"m,n={number % 5} f={number}i {number * 100 + part}" for part in range(100))
                    client.request("POST", "/api/v2/write?org=home&bucket=monitoring-system", body, headers)
                    if client.getresponse().read() == b"":
                        acknowledged.append(number)

        writer = threading.Thread(target=write)
        writer.start()
        while len(acknowledged) < 50 and writer.is_alive():
            time.sleep(0.01)
        process.kill()
        writer.join()
    token = values["INFLUX_TOKEN"]
    with running("--ready", "--data", str(tmp_path / "data")) as (_, again):
        assert "INFLUX_TOKEN" not in again
        script = 'from(bucket: "monitoring-system") |> range(start: 0, stop: 1h) |> group() |> count()'
        headers = {"Authorization": f"Token {token}", "Content-Type": "application/vnd.flux"}
        with connection(again["INFLUX_URL"]) as client:
            client.request("POST", "/api/v2/query?org=home", script, headers)
            answer = client.getresponse().read().decode()
        stored = int(answer.split("\r\n")[1].split(",")[5])
    assert len(acknowledged) >= 50
    assert len(acknowledged) * 100 <= stored <= (len(acknowledged) + 1) * 100


def test_a_folder_belongs_to_one_process_and_says_so(tmp_path: Path) -> None:
    with running("--ready", "--data", str(tmp_path)):
        second = subprocess.run(
            [*COMMAND, "--data", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
        )
    assert second.returncode == 1
    assert re.fullmatch(r"E! cannot use the data folder .*: another sandbox has it open; .*\n", second.stderr)


@pytest.mark.parametrize("name", ["documents.sqlite", "points.sqlite"])
async def test_a_folder_that_holds_something_else_is_told_and_let_go(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("no database " * 1000)
    for _ in range(2):  # the second does not find it locked
        with pytest.raises(SandboxError, match="file is not a database; choose another with --data"):
            await Sandbox(tmp_path).start()


async def test_a_document_that_is_none_is_told(tmp_path: Path) -> None:
    async with Sandbox(tmp_path) as server:
        await server.setup()
    with closing(sqlite3.connect(tmp_path / "documents.sqlite")) as db:
        db.execute("UPDATE documents SET body = 'x' WHERE kind = 'orgs'")
        db.commit()
    with pytest.raises(SandboxError, match=r"cannot use the data folder .*: Expecting value"):
        await Sandbox(tmp_path).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it(number: signal.Signals) -> None:
    with running() as (process, values):
        assert next(iter(values)) == "INFLUX_URL"
        assert values["INFLUX_HOST"] == values["INFLUX_URL"]
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*COMMAND[:-1], str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"E! cannot listen on 127\.0\.0\.1:\d+: .*; choose another with --port\n", done.stderr)


def test_no_secret_is_on_the_disk_in_clear(tmp_path: Path) -> None:
    async def use() -> list[str]:
        async with Sandbox(tmp_path) as server:
            await server.setup(password="correct horse battery")
            return [server.token, await server.authorize(write=["monitoring-system"])]

    secrets = [*asyncio.run(use()), "correct horse battery"]
    for path in tmp_path.rglob("*"):
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()], path
        assert path.stat().st_mode & 0o077 == 0, path
    db = sqlite3.connect(tmp_path / "documents.sqlite")
    assert db.execute("SELECT count(*) FROM documents WHERE body LIKE '%$influxdb2-sha256$%'").fetchone() == (2,)
    db.close()


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    server = Sandbox(tmp_path)
    async with server:
        await server.setup()
        config = await server.add_telegraf("ram", "# one")
        await server.write('m,host=a f=1,u=1u,i=-1i,b=true,s="x" 1\nm,host=a f=2 2')
    async with server, aiohttp.ClientSession(headers={"Authorization": f"Token {server.token}"}) as client:
        await server.update_telegraf(config, "# two")
        async with client.get(f"{server.url}/api/v2/telegrafs/{config}") as response:
            assert await response.text() == "# two"
        rows = await server.query('from(bucket: "monitoring-system") |> range(start: 0, stop: 1s) |> last()')
        assert {row["_field"]: row["_value"] for row in rows} == {"f": 2.0, "u": 1, "i": -1, "b": True, "s": "x"}
        with pytest.raises(SandboxError, match="is type integer, already exists as type float"):
            await server.write("m,host=b f=1i 3")


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox(faults=True) as made:
        await made.setup()
        yield made


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "influxdb.example:8086"}, 403),
        ({"Host": "127.0.0.1.example"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:8086"}, 200),
        ({"Origin": "https://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
    ],
)
async def test_only_pages_and_names_of_this_machine_are_answered(
    server: Sandbox, headers: dict[str, str], status: int
) -> None:
    async with aiohttp.ClientSession() as client, client.get(f"{server.url}/health", headers=headers) as response:
        assert response.status == status
        assert "Set-Cookie" not in response.headers
        allowed = headers.get("Origin") if status == 200 else None
        assert response.headers.get("Access-Control-Allow-Origin") == allowed
        assert "Access-Control-Allow-Credentials" not in response.headers


async def test_listens_on_loopback_only(server: Sandbox) -> None:
    listening = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    port = f":{server.port:04X} "
    assert {line.split()[1][:8] for line in listening.splitlines() if port in line.split("  ")[-1] or port in line} == {
        "0100007F"
    }


@pytest.mark.parametrize(
    "head", ["garbage", "GET / HTTP/9.9\r\nHost: localhost", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x"]
)
async def test_what_is_no_http_is_no_news(server: Sandbox, head: str, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{head}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    first, *headers = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert first.endswith(b" 400 Bad Request")
    assert answer.endswith(b"\r\n\r\n400 Bad Request")
    assert not any(header.lower().startswith(b"server:") for header in headers)
    assert caplog.records == []


async def post(client: aiohttp.ClientSession, server: Sandbox, lines: str = "m f=1") -> tuple[int, Any]:
    headers = {"Authorization": f"Token {server.token}"}
    url = f"{server.url}/api/v2/write?org=home&bucket=monitoring-system"
    async with client.post(url, data=lines, headers=headers) as response:
        await response.read()
        return response.status, response.headers


async def test_statuses_on_demand(server: Sandbox) -> None:
    async with aiohttp.ClientSession() as client:
        await server.fault(kind="status", status=429, times=2, retry_after=7)
        await server.fault(kind="status", status=429, times=1, retry_after=3600, retry_after_form="date")
        await server.fault(kind="status", status=503, times=1, after=True)
        answers = [await post(client, server) for _ in range(5)]
        assert [status for status, _ in answers] == [429, 429, 429, 503, 204]
        assert [headers.get("Retry-After") for _, headers in answers[:2]] == ["7", "7"]
        assert parsedate_to_datetime(answers[2][1]["Retry-After"]).tzinfo is not None
        assert answers[0][1]["X-Platform-Error-Code"] == "too many requests"
        assert await server.count() == 2  # the 503 came after the write


async def test_too_large_and_other_paths(server: Sandbox) -> None:
    async with aiohttp.ClientSession() as client:
        await server.fault(kind="too-large", bytes=20)
        assert (await post(client, server, "m f=1 1"))[0] == 204
        assert (await post(client, server, "m f=1 1\n" * 10))[0] == 413
        await server.clear_faults()
        await server.fault(kind="status", status=500, paths=["/health"])
        async with client.get(f"{server.url}/health") as response:
            assert response.status == 500
        assert (await post(client, server))[0] == 204


async def test_broken_connections(server: Sandbox) -> None:
    async with aiohttp.ClientSession() as client:
        for kind in ("reset", "reset-within"):
            await server.fault(kind=kind, times=1)
            with pytest.raises(aiohttp.ClientError):
                await post(client, server)
        await server.fault(kind="stall", times=1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(client, server), 0.2)
        await server.fault(kind="slow", seconds=0.01, times=1)
        assert (await post(client, server))[0] == 204


async def test_the_door_for_faults(server: Sandbox) -> None:
    narrow = await server.authorize(write=["monitoring-system"])
    async with aiohttp.ClientSession() as client:
        url = f"{server.url}/sandbox/faults"
        operator = {"Authorization": f"Token {server.token}"}
        async with client.post(url, json={"kind": "slow"}, headers={"Authorization": f"Token {narrow}"}) as response:
            assert response.status == 403
        async with client.post(url, json={"kind": "nope"}, headers=operator) as response:
            assert response.status == 400
        async with client.post(url, json={"kind": "status", "times": 3}, headers=operator) as response:
            assert response.status == 201
        assert (await post(client, server))[0] == 503
        async with client.get(url, headers=operator) as response:
            assert (await response.json())["faults"] == [{"kind": "status", "times": 2}]
        async with client.delete(url, headers=operator) as response:
            assert response.status == 204
        assert (await post(client, server))[0] == 204


async def test_without_the_flag_there_is_no_such_door() -> None:
    async with Sandbox() as server, aiohttp.ClientSession() as client:
        await server.setup()
        async with client.post(
            f"{server.url}/sandbox/faults", headers={"Authorization": f"Token {server.token}"}
        ) as response:
            assert response.status == 404
        with pytest.raises(SandboxError, match="without faults"):
            await server.fault(kind="slow")


async def test_idle_clients_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.connections._most", 20)
    async with Sandbox() as server:
        crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b'"status":"pass"' in (await reader.read()).replace(b" ", b"")
        for _, one in (*crowd, (reader, writer)):
            one.transport.abort()

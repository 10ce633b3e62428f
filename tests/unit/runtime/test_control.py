"""The control socket: what it says, to whom, and that nobody can hold it up."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from control_documents import document
from waiting import until

from pyagent.api import PyagentError, QueueFull, Secret
from pyagent.runtime import stream_http
from pyagent.runtime.control import ControlServer
from pyagent.runtime.health import health
from pyagent.runtime.prometheus import prometheus

LOG = logging.getLogger("pyagent.control")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"configuration": {"waiting": "refused"}}, "waiting for the configuration: refused"),
        (
            {"configuration": {"last_reload_ok": False, "last_reload_error": "a.conf:1"}},
            "the last reload failed: a.conf:1",
        ),
        ({"input": {"error": "cannot gather"}}, 'inputs.mem::a"b: cannot gather'),
        ({"input": {"age_seconds": 31.0}}, 'inputs.mem::a"b: its gather has not ended for 31 s'),
        ({"output": {"error": "cannot write"}}, "outputs.influxdb_v2: cannot write"),
        ({"output": {"queued": 10}}, "outputs.influxdb_v2: its queue is full (10 metrics)"),
    ],
)
def test_problems_are_named(changes: dict[str, Any], problem: str) -> None:
    assert health(document()) == []
    assert health(document(**changes)) == [problem]


def test_a_processor_is_named_with_its_place() -> None:
    failing = {"name": "processors.own", "error": "cannot process"}
    places = [failing | {"behind_aggregators": behind} for behind in (False, True)]
    assert health(document() | {"processors": places}) == [
        "processors.own: cannot process",
        "processors.own (behind the aggregators): cannot process",
    ]


def test_prometheus_text_is_well_formed() -> None:
    lines = prometheus(document()).splitlines()
    assert 'pyagent_input_metrics_total{input="inputs.mem::a\\"b"} 7' in lines
    assert 'pyagent_input_dropped_total{input="inputs.mem::a\\"b"} 5' in lines
    assert 'pyagent_output_queued{output="outputs.influxdb_v2"} 3' in lines
    assert "pyagent_buffer_memory_bytes 99" in lines
    assert not [line for line in lines if "quarantine" in line]
    quarantine = {"metrics": 4, "bytes": 200, "entries": 2, "evicted": 1}
    lines = prometheus(document() | {"quarantine": quarantine}).splitlines()
    assert "pyagent_quarantine_metrics 4" in lines
    assert "pyagent_quarantine_evicted_total 1" in lines
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert all(line.startswith("#") or line.partition("{")[0].partition(" ")[0] in names for line in lines)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    control = ControlServer(tmp_path / "control.sock", document, LOG)
    await control.start()
    yield control
    await control.close()


async def ask(control: ControlServer, request: bytes) -> tuple[int, str]:
    reader, writer = await asyncio.open_unix_connection(control.path)
    writer.write(request)
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    assert f"Content-Length: {len(body.encode())}" in head
    return int(head.split()[1]), body


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/status", 200, '"problems": []'),
        ("/health", 200, '"status": "pass"'),
        ("/ready", 200, '"status": "pass"'),
        ("/metrics", 200, "pyagent_uptime_seconds 9"),
        ("/nothing", 404, "/status"),
    ],
)
async def test_pages(server: ControlServer, path: str, status: int, text: str) -> None:
    got, body = await ask(server, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert got == status
    assert text in body


async def test_whoever_says_nothing_is_in_nobodys_way(server: ControlServer) -> None:
    crowd = [await asyncio.open_unix_connection(server.path) for _ in range(100)]
    for _, writer in crowd[:50]:
        writer.write(b"GET /sta")
    assert (await ask(server, b"GET /status HTTP/1.1\r\n\r\n"))[0] == 200
    for _, writer in crowd:
        writer.transport.abort()


async def test_only_reading_is_possible(server: ControlServer) -> None:
    assert (await ask(server, b"POST /status HTTP/1.1\r\n\r\n"))[0] == 405


async def test_routes(tmp_path: Path) -> None:
    async def handler(words: list[str], query: Mapping[str, str]) -> object:
        if words == ["gone"]:
            raise LookupError("it is not there")
        if words == ["full"]:
            raise QueueFull("there is no room")
        if words == ["broken"]:
            raise OSError(5, "Input/output error")
        return {"words": words, "query": dict(query)}

    routes = {"GET /things/*": handler, "POST /things/*/do": handler, "GET /things/*/do": handler, "POST /x": handler}
    control = ControlServer(tmp_path / "control.sock", document, LOG, routes)
    await control.start()

    async def get(request: str) -> tuple[int, Any]:
        status, body = await ask(control, f"{request} HTTP/1.1\r\n\r\n".encode())
        return status, json.loads(body)

    assert await get("GET /things/a%2Fb%20%C3%BC?to=c%26d&e=f") == (
        200,
        {"words": ["a/b ü"], "query": {"to": "c&d", "e": "f"}},
    )
    assert await get("POST /things/7/do") == (200, {"words": ["7"], "query": {}})
    assert await get("POST /x") == (200, {"words": [], "query": {}})
    assert await get("GET /things/gone") == (404, {"error": "it is not there"})
    assert await get("POST /things/full/do") == (409, {"error": "there is no room"})
    assert await get("POST /things/broken/do") == (409, {"error": "[Errno 5] Input/output error"})
    assert await get("POST /things/7") == (405, {"error": "only GET is possible"})
    assert await get("GET /x") == (405, {"error": "only POST is possible"})
    status, body = await ask(control, b"GET /things HTTP/1.1\r\n\r\n")
    assert status == 404
    assert "POST /things/*/do" in body
    assert (await ask(control, b"GET /ready HTTP/1.1\r\n\r\n"))[0] == 200
    await control.close()


async def test_a_waiting_agent_is_neither_ready_nor_healthy(server: ControlServer) -> None:
    server._document = lambda: document(configuration={"waiting": "no route to host"})
    for path in (b"/ready", b"/health"):
        status, body = await ask(server, b"GET " + path + b" HTTP/1.1\r\n\r\n")
        assert status == 503
        assert "no route to host" in json.loads(body)["problems"][0]


async def test_no_secret_gets_out(server: ControlServer) -> None:
    Secret("correct-horse-battery")
    server._document = lambda: document(output={"error": "401 for correct-horse-battery"})
    _, body = await ask(server, b"GET /status HTTP/1.1\r\n\r\n")
    assert "correct-horse" not in body
    assert "401 for ***" in body


async def test_no_secret_gets_out_of_what_a_route_answers(tmp_path: Path) -> None:
    """Not even one that JSON writes in another way than it is."""
    Secret('correct"horse\\battery')

    async def shown(words: list[str], query: Mapping[str, str]) -> object:
        return {"first": ['401 for correct"horse\\battery']}

    async def failing(words: list[str], query: Mapping[str, str]) -> object:
        raise PyagentError('401 for correct"horse\\battery')

    control = ControlServer(tmp_path / "control.sock", document, LOG, {"GET /shown": shown, "GET /failing": failing})
    await control.start()
    assert json.loads((await ask(control, b"GET /shown HTTP/1.1\r\n\r\n"))[1]) == {"first": ["401 for ***"]}
    assert json.loads((await ask(control, b"GET /failing HTTP/1.1\r\n\r\n"))[1]) == {"error": "401 for ***"}
    await control.close()


async def test_a_head_has_no_body(server: ControlServer) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(b"HEAD /metrics HTTP/1.1\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: ")
    assert answer.endswith(b"\r\n\r\n")


async def test_only_the_owner_may_open_it(server: ControlServer) -> None:
    assert server.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "garbage", [b"\n", b"GET http://[ x\n\n", b"POST /a?%zz=%ff&& x\n\n", b"\x00\xff\n\n", b"GET\n\n", b"x" * 20000]
)
async def test_garbage_harms_nobody(server: ControlServer, garbage: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(server.path)
    writer.write(garbage + b"\r\n")
    with contextlib.suppress(ConnectionResetError):
        await reader.read()
    writer.close()
    assert (await ask(server, b"GET /ready HTTP/1.1\r\n\r\n"))[0] == 200


async def test_the_socket_of_a_dead_agent_is_replaced_and_that_of_a_living_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left_over:
        left_over.bind(str(path))
    first = ControlServer(path, document, LOG)
    await first.start()
    assert not caplog.records
    second = ControlServer(path, document, LOG)
    await second.start()
    assert "another agent of this instance uses it" in caplog.text
    assert (await ask(first, b"GET /ready HTTP/1.1\r\n\r\n"))[0] == 200
    await second.close()
    assert path.exists()
    await first.close()
    assert not path.exists()


async def test_an_agent_that_begins_while_another_ends_opens_the_socket_behind_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_http, "_PAUSE", 0.01)
    path = tmp_path / "control.sock"
    first, second = (ControlServer(path, document, LOG) for _ in range(2))
    await first.start()
    await second.start()
    await asyncio.sleep(0.05)
    assert len(caplog.records) == 1, "said once, however often it is tried"
    await first.close()
    await until(path.exists)
    assert (await ask(second, b"GET /ready HTTP/1.1\r\n\r\n"))[0] == 200
    await second.close()
    assert not path.exists()


async def test_a_socket_that_is_not_its_own_any_more_stays(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    first, second = (ControlServer(path, document, LOG) for _ in range(2))
    await first.start()
    path.unlink()
    await second.start()
    await first.close()
    assert (await ask(second, b"GET /ready HTTP/1.1\r\n\r\n"))[0] == 200
    await second.close()


async def test_a_folder_that_is_missing_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    control = ControlServer(tmp_path / "run" / "ram" / "control.sock", document, LOG)
    await control.start()
    assert control.path.is_socket()
    assert control.path.parent.stat().st_mode & 0o777 == 0o700
    await control.close()


async def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "run").touch()
    control = ControlServer(tmp_path / "run" / "control.sock", document, LOG)
    await control.start()
    assert "cannot open the control socket" in caplog.text
    assert "until then nobody can ask there, it is tried again" in caplog.text
    await control.close()

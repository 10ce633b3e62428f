"""What every HTTP listener does with senders that are too large, too slow, broken or hostile, and with its address."""

import asyncio
import gzip
import logging
import os
import re
import socket
import ssl
import stat
import subprocess
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import json_of, serving

from pyagent.api import Accumulator, ConfigError, Ingested, Input, PyagentError
from pyagent.api.errors import TooMuch
from pyagent.kit.http_client import HttpClient, HttpError
from pyagent.kit.http_server import HttpListener, HttpRefusal, ListenerOptions, Request, Response
from pyagent.kit.inflate import Inflater
from pyagent.kit.tls import TlsOptions, client_context
from pyagent.testing import make_input
from pyagent_plugins.inputs.influxdb_listener import InfluxDBListener
from pyagent_plugins.inputs.influxdb_v2_listener import InfluxDBV2Listener

WRITE = "/api/v2/write"
MIB = 2**20


def head(length: int | str, *lines: str, path: str = WRITE) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *lines, "", ""]).encode()


@pytest.fixture
def lingers_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server still reads what it has refused, though the test is gone: this long."""
    monkeypatch.setattr("pyagent.kit.http_server._LINGER", 0.05)


# Size -----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lingers_briefly")
async def test_a_body_over_the_limit_is_413_however_it_comes() -> None:
    async with serving(InfluxDBV2Listener, {"max_body_size": "1KiB"}) as served:
        line = b"m f=1i 1\n"
        fits, large = line * 100, line * 200
        assert (await served.post(WRITE, fits)).status == 204
        assert (await served.post(WRITE, gzip.compress(fits), Content_Encoding="gzip")).status == 204
        assert json_of(await served.post(WRITE, large))["code"] == "request too large"
        inflates = gzip.compress(large)
        assert len(inflates) < 1024
        assert (await served.post(WRITE, inflates, Content_Encoding="gzip")).status == 413
        # A length that nobody told.
        raw = await served.connect()
        raw.send(f"POST {WRITE} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(3):
            raw.send(f"{len(fits):x}\r\n".encode() + fits + b"\r\n")
        assert (await raw.answer())[0] == 413
        await raw.close()
        assert len(served.lines()) == 200


@pytest.mark.usefixtures("lingers_briefly")
async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent() -> None:
    async with serving(InfluxDBV2Listener) as served:
        raw = await served.connect()
        raw.send(head(10**12, "Expect: 100-continue"))
        assert (await raw.answer())[0] == 413
        await raw.close()


async def test_a_sender_that_asks_first_is_told_to_go_on() -> None:
    async with serving(InfluxDBV2Listener) as served:
        raw = await served.connect()
        raw.send(head(8, "Expect: 100-continue"))
        assert (await raw.answer())[0] == 100
        raw.send(b"m f=1i 1")
        assert (await raw.answer())[0] == 204
        await raw.close()


async def test_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = gzip.compress(bytes(64 * MIB), 1)
    assert len(bomb) < MIB
    async with serving(InfluxDBV2Listener, {"max_body_size": "4MiB"}) as served:
        tracemalloc.start()
        try:
            assert (await served.post(WRITE, bomb, Content_Encoding="gzip")).status == 413
            assert tracemalloc.get_traced_memory()[1] < 16 * MIB
        finally:
            tracemalloc.stop()


async def test_all_bodies_together_are_bounded() -> None:
    async with serving(InfluxDBV2Listener, {"max_body_size": "32MiB"}) as served:
        senders = [await served.connect() for _ in range(3)]
        for raw in senders:
            raw.send(head(30 * MIB))
            raw.send(b"#" * (25 * MIB))
        done, waiting = await asyncio.wait(
            [asyncio.create_task(raw.answer()) for raw in senders], return_when=asyncio.FIRST_COMPLETED
        )
        [(status, text, _)] = [task.result() for task in done]
        assert status == 503
        assert "Retry-After" in text
        for raw in senders:
            raw.send(b"#" * (5 * MIB))
        assert [(await task)[0] for task in waiting] == [204, 204]
        for raw in senders:
            await raw.close()
        assert (await served.post(WRITE, b"m f=1i 1")).status == 204


# Time -----------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lingers_briefly")
async def test_a_slow_sender_is_408_and_the_others_are_served_meanwhile() -> None:
    async with serving(InfluxDBV2Listener, {"read_timeout": "1s"}) as served:
        raw = await served.connect()
        raw.send(head(100) + b"m f=1i 1\n")
        slow = asyncio.create_task(raw.answer())
        assert (await served.post(WRITE, b"m f=2i 2")).status == 204
        assert not slow.done()
        for _ in range(5):
            assert (await served.post(WRITE, b"m f=2i 2")).status == 204
        status, text, body = await slow
        assert (status, b"1 s" in body) == (408, True)
        assert "Connection: close" in text
        assert served.lines() == ["m f=2i 2"] * 6
        await raw.close()


async def test_a_head_that_does_not_end_is_given_up_and_one_that_does_in_time_is_not() -> None:
    async with serving(InfluxDBV2Listener, {"read_timeout": "2s"}) as served:
        slow, silent, late = [await served.connect() for _ in range(3)]
        slow.send(head(8)[:-2])
        for byte in head(8):
            late.send(bytes([byte]))
            await asyncio.sleep(0)
        late.send(b"m f=1i 1")
        assert (await late.answer())[0] == 204
        async with asyncio.timeout(60):
            while not slow.closed:
                slow.send(b"X: y\r\n")
                await asyncio.sleep(0.02)
        assert await slow.rest() == b""
        late.send(head(8) + b"m f=2i 2")  # the time of its first head is over, and it has another one for the next
        assert (await late.answer())[0] == 204
        silent.send(head(8) + b"m f=3i 3")
        assert (await silent.answer())[0] == 204
        for raw in (slow, silent, late):
            await raw.close()


async def test_idle_clients_make_room_for_new_ones_and_those_at_work_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.connections._most", 5)
    async with serving(InfluxDBV2Listener) as served:
        busy, idle = await served.connect(), [await served.connect() for _ in range(4)]
        busy.send(head(16) + b"m f=0i 0\n")
        idle[0].send(head(1000)[:-4])  # a part of a head is no request yet
        for number in range(1, 9):
            assert (await served.post(WRITE, b"m f=%di %d" % (number, number))).status == 204
            raw = await served.connect()
            raw.send(head(8) + b"m f=1i 1")
            assert (await raw.answer())[0] == 204
            idle.append(raw)
        for raw in idle[:5]:
            assert await raw.rest() == b""
        busy.send(b"m f=9i 9")
        assert (await busy.answer())[0] == 204
        for raw in (busy, *idle):
            await raw.close()


async def test_room_that_comes_in_time_is_waited_for() -> None:
    async with serving(InfluxDBV2Listener, limit=2) as served:
        served.runner.plugin._server.patience = 30
        assert (await served.post(WRITE, b"m f=1i 1\nm f=2i 2")).status == 204
        late = [asyncio.create_task(served.post(WRITE, b"m f=3i 3")) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert not any(task.done() for task in late)
        assert len(served.lines()) == 2
        assert [(await task).status for task in late] == [204, 204]
        assert served.lines() == ["m f=3i 3", "m f=3i 3"]


# Nonsense -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"garbage\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (head("five"), 400),
        (head(-1), 400),
        (b"POST /api/v2/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /api/v2/write HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 10_000 + b"\r\n\r\n", 400),
        (head(4, "Content-Encoding: gzip") + b"oops", 400),
        (head(20, "Content-Encoding: gzip") + gzip.compress(b"m f=1i 1" * 9)[:20], 400),
        (head(4, "Content-Encoding: br") + b"oops", 415),
        (head(4, "Content-Encoding: snappy") + b"oops", 400),
        (head(6, "Content-Encoding: snappy") + b"\xff\xff\xff\xff\x0f\x00", 413),
        (head(4, "Authorization: Basic \xff\xfe") + b"oops", 400),
        (head(4) + b"oops", 400),
        (head(3) + b"\xff\x00\n", 400),
    ],
)
async def test_nonsense_is_answered_and_it_goes_on(data: bytes, status: int, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(InfluxDBV2Listener) as served:
        raw = await served.connect()
        raw.send(data)
        got, _, body = await raw.answer()
        assert got == status, body
        assert b'"code":' in body
        await raw.close()
        assert (await served.post(WRITE, b"m f=1i 1")).status == 204
        assert served.lines() == ["m f=1i 1"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("lines", [1, 9000])
async def test_snappy_is_taken_as_well(lines: int) -> None:
    """A small body, and one that others get their turns beside."""
    text = b"m f=1i 1\n" * lines
    pieces = [text[at : at + 60] for at in range(0, len(text), 60)]
    size = bytes([len(text) & 127 | 128, len(text) >> 7 & 127 | 128, len(text) >> 14])
    packed = size + b"".join(bytes([len(piece) - 1 << 2]) + piece for piece in pieces)
    async with serving(InfluxDBV2Listener) as served:
        raw = await served.connect()
        raw.send(head(len(packed), "Content-Encoding: snappy") + packed)
        status, _, body = await raw.answer()
        await raw.close()
        assert (status, body) == (204, b"")
        assert served.lines() == ["m f=1i 1"] * lines


async def test_a_sender_that_breaks_off_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(InfluxDBV2Listener) as served:
        for _ in range(3):
            raw = await served.connect()
            raw.send(head(1000) + b"m f=1i 1\n")
            await asyncio.sleep(0.02)
            await raw.close()
        assert (await served.post(WRITE, b"m f=2i 2")).status == 204
        async with asyncio.timeout(30):
            while served.runner.plugin._server._held:
                await asyncio.sleep(0.01)
        assert served.lines() == ["m f=2i 2"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), encoding=st.sampled_from(["", "gzip"]), plugin=st.sampled_from(["v1", "v2"]))
def test_any_body_is_answered(data: bytes, encoding: str, plugin: str) -> None:
    async def main() -> int:
        kind: type[Input[Any]] = InfluxDBListener if plugin == "v1" else InfluxDBV2Listener
        async with serving(kind) as served:
            headers = {"Content_Encoding": encoding} if encoding else {}
            return (await served.post("/write" if plugin == "v1" else WRITE, data, **headers)).status

    assert asyncio.run(main()) in (204, 400)


class Odd(Input[ListenerOptions]):
    """A listener with a defect."""

    def setup(self) -> None:
        self._server = HttpListener(self.options, self._answer, lambda r: Response(r.status, str(r).encode()), self.log)

    async def start(self, acc: Accumulator) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _answer(self, request: Request) -> Response:
        if request.path == "/refused":
            raise HttpRefusal(418, "no\nsuch: thing")
        raise ZeroDivisionError("on purpose")


async def test_a_defect_is_500_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Odd) as served:
        for _ in range(3):
            assert (await served.post("/", b"")).status == 500
        assert (await served.post("/refused", b"")).body == b"no\nsuch: thing"
    assert len([record for record in caplog.records if "on purpose" in record.getMessage()]) == 1


# Inflating ------------------------------------------------------------------------------------------------------------


def inflate(data: bytes, limit: int, step: int) -> bytes:
    inflater = Inflater(limit)
    parts = [part for at in range(0, len(data), step) for part in inflater.feed(data[at : at + step])]
    inflater.finish()
    return b"".join(parts)


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 400), st.integers(-3, 3))
def test_inflating_is_the_inverse_of_compressing(members: list[bytes], step: int, spare: int) -> None:
    wanted = b"".join(members)
    data, limit = b"".join(map(gzip.compress, members)), max(len(wanted) + spare, 0)
    if len(wanted) <= limit:
        assert inflate(data, limit, step) == wanted
    else:
        with pytest.raises(TooMuch):
            inflate(data, limit, step)


@given(st.binary(min_size=1, max_size=300), st.integers(1, 400))
def test_any_bytes_inflate_or_are_a_value_error(data: bytes, step: int) -> None:
    try:
        inflate(data, 10_000, step)
    except ValueError:
        with pytest.raises((zlib.error, EOFError, OSError)):
            gzip.decompress(data)


# The address ----------------------------------------------------------------------------------------------------------


async def start(address: str, **options: Any) -> Input[Any]:
    plugin = make_input(InfluxDBV2Listener, {"service_address": address, **options})
    await plugin.start(Nothing())  # type: ignore[arg-type]  # no request comes
    return plugin


class Nothing:
    async def ingest(self, data: bytes, **_: Any) -> Ingested:
        return Ingested(0)


async def test_a_port_in_use_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.listen_address._REBIND_TIME", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(PyagentError) as raised:
            await start(address)
    assert str(raised.value).startswith(f"cannot listen on {address}: Address already in use; stop the program")
    plugin = await start(address)
    await plugin.stop()
    await plugin.stop()


async def test_the_address_is_free_again_at_once_and_a_successor_may_wait_for_it() -> None:
    first = await start("127.0.0.1:0")
    address = f"127.0.0.1:{first._server.port}"
    second = asyncio.create_task(start(address))
    await asyncio.sleep(0.1)
    assert not second.done()
    await first.stop()
    await (await second).stop()


@pytest.mark.parametrize(("address", "family"), [(":0", None), ("[::1]:0", socket.AF_INET6), ("localhost:0", None)])
async def test_forms_of_the_address(address: str, family: int | None) -> None:
    if family == socket.AF_INET6:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            pytest.skip(f"this host has no IPv6: {error}")
    plugin = await start(address)
    for host in ("::1",) if family else ("127.0.0.1",):
        _, writer = await asyncio.open_connection(host, plugin._server.port)
        writer.close()
    await plugin.stop()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("192.0.2.1:0", "Cannot assign requested address; choose another"),
        ("no-such-host.invalid:0", "cannot listen on no-such-host.invalid:0: "),
        ("unix:///no/such/folder/s", "No such file or directory; choose another"),
    ],
)
async def test_an_address_that_cannot_be_had(address: str, message: str) -> None:
    with pytest.raises(PyagentError, match=re.escape(message)):
        await start(address)


async def test_a_unix_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.listen_address._REBIND_TIME", 0.1)
    path = tmp_path / "listener.sock"
    # One that a killed process left.
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    plugin = await start(f"unix://{path}", socket_mode="620")
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 204")
    writer.close()
    with pytest.raises(PyagentError, match="already in use"):
        await start(f"unix://{path}")
    await plugin.stop()
    assert not path.exists()


async def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(PyagentError, match="no socket"):
        await start(f"unix://{path}")
    assert path.read_text() == "data"


async def test_a_stop_without_a_start_and_one_with_requests_under_way() -> None:
    await make_input(InfluxDBV2Listener, {"service_address": ":0"}).stop()
    async with serving(InfluxDBV2Listener, limit=1) as served:
        served.runner.plugin._server.patience = 30
        assert (await served.post(WRITE, b"m f=1i 1")).status == 204
        half, waiting = await served.connect(), await served.connect()
        half.send(head(9))
        waiting.send(head(9) + b"m f=2i 2\n")
        await asyncio.sleep(0.1)
        await served.runner.stop(grace=3)
        # Neither is told that anything was taken, so both senders keep their lines.
        assert (await waiting.answer())[0] == 429
        assert await half.rest() == b""
        await half.close()
        await waiting.close()
        assert served.lines() == ["m f=1i 1"]


# TLS ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem; of it server.pem for 127.0.0.1 and client.pem, each with its .key; other.pem, which nobody signed."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    try:
        for name in ("ca", "other"):
            openssl(f"req -x509 {key} -subj /CN={name} -days 30 -keyout {name}.key -out {name}.pem")
    except FileNotFoundError:
        pytest.skip("the program openssl is missing: apt install openssl")
    for name in ("server", "client"):
        openssl(f"req {key} -subj /CN={name} -keyout {name}.key -out {name}.csr")
        openssl(
            f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out {name}.pem"
        )
    return folder


def server_tls(folder: Path, **more: Any) -> dict[str, Any]:
    return {"tls_cert": str(folder / "server.pem"), "tls_key": str(folder / "server.key"), **more}


async def ping(port: int, tls: TlsOptions) -> int:
    client = HttpClient(timeout=10, tls=tls)
    try:
        return (await client.request("GET", f"https://127.0.0.1:{port}/ping")).status
    finally:
        await client.close()


async def test_tls(certificates: Path) -> None:
    plugin = await start("127.0.0.1:0", **server_tls(certificates))
    assert await ping(plugin._server.port, TlsOptions(tls_ca=str(certificates / "ca.pem"))) == 204
    with pytest.raises(HttpError, match="certificate verify failed"):
        await ping(plugin._server.port, TlsOptions(tls_ca=str(certificates / "other.pem")))
    await plugin.stop()


async def test_clients_must_show_a_certificate_where_authorities_are_named(certificates: Path) -> None:
    options = server_tls(certificates, tls_allowed_cacerts=[str(certificates / "ca.pem")])
    plugin = await start("127.0.0.1:0", **options)
    ca = str(certificates / "ca.pem")
    for name, works in (("client", True), ("other", False), ("", False)):
        pair = {"tls_cert": str(certificates / f"{name}.pem"), "tls_key": str(certificates / f"{name}.key")}
        tls = TlsOptions(tls_ca=ca, **(pair if name else {}))
        if works:
            assert await ping(plugin._server.port, tls) == 204
        else:
            with pytest.raises(HttpError):
                await ping(plugin._server.port, tls)
    await plugin.stop()


async def test_versions_of_tls(certificates: Path) -> None:
    plugin = await start("127.0.0.1:0", **server_tls(certificates, tls_min_version="TLS13"))
    context = client_context(str(certificates / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", plugin._server.port, ssl=context)
    await plugin.stop()
    with pytest.raises(ConfigError, match="'SSL3'"):
        await start("127.0.0.1:0", **server_tls(certificates, tls_max_version="SSL3"))


def test_a_wrong_password_of_the_key_asks_nobody(certificates: Path) -> None:
    locked = certificates / "locked.key"
    command = f"openssl pkcs8 -topk8 -in server.key -out {locked} -passout pass:open-sesame"
    subprocess.run(command.split(), cwd=certificates, check=True, capture_output=True)
    options = server_tls(certificates, tls_key=str(locked), service_address=":0")
    for password, works in (("", False), ("wrong", False), ("open-sesame", True)):
        if works:
            make_input(InfluxDBV2Listener, {**options, "tls_key_pwd": password})
        else:
            with pytest.raises(ConfigError, match="cannot load tls_cert"):
                make_input(InfluxDBV2Listener, {**options, "tls_key_pwd": password})
    assert os.path.exists(locked)

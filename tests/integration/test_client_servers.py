"""A writer against servers: the embedded InfluxDB 2, an agent's listener on a Unix socket, TLS, proxies."""

import asyncio
import contextlib
import re
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from agent_process import running
from write_receiver import Receiver

from pyagent.client import Int, NotDelivered, Rejected, Writer
from pyagent.sandbox import Sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        await server.setup(org="home", bucket="b")
        yield server


def writer_to(sandbox: Sandbox, **options: Any) -> Writer:
    return Writer(sandbox.url, sandbox.token, "home", "b", sigterm=False, **options)


class TestInfluxDB:
    async def test_points_lines_and_their_types_arrive(self, sandbox: Sandbox) -> None:
        async with writer_to(sandbox) as writer:
            writer.write("m", {"f": 4, "i": Int(4), "s": "x y", "b": True}, {"host": "a b"}, datetime.now())
            writer.write_lines("lines n=1i\nlines n=2i 1\nlines n=\n")
        rows = await sandbox.query('from(bucket: "b") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "m")')
        found = {row["_field"]: row["_value"] for row in rows}
        assert found == {"f": 4.0, "i": 4, "s": "x y", "b": True}
        assert type(found["f"]) is float
        assert type(found["i"]) is int
        assert await sandbox.count("lines") == 1
        assert writer.statistics.refused == 2

    async def test_a_first_whole_number_makes_no_integer_of_a_field(self, sandbox: Sandbox) -> None:
        async with writer_to(sandbox, schema={"declared": float}) as writer:
            for value in (0, 0.4, Int(3)):
                writer.write("m", {"plain": float(value), "declared": value})
                await writer.aflush()
            assert writer.statistics.rejected == 0
        assert await sandbox.count("m") == 3

    async def test_a_field_that_is_an_integer_in_the_bucket_is_written_so_or_given_back_with_both_types(
        self, sandbox: Sandbox
    ) -> None:
        await sandbox.write("m n=1i")
        told: list[Rejected] = []
        async with writer_to(sandbox, on_rejected=told.append) as writer:
            for number in range(50):
                writer.write("m", {"n": number})
            writer.write("m", {"n": 0.5})
            writer.write("other", {"n": 0.5})
        (rejected,) = told
        assert rejected.line.startswith("m n=0.5 ")
        assert 'input field "n" on measurement "m" is type float, already exists as type integer' in rejected.reason
        counted = writer.statistics
        assert (counted.taken, counted.delivered, counted.rejected, counted.waiting) == (52, 51, 1, 0)
        assert await sandbox.count("other") == 1

    async def test_a_wrong_token_or_bucket_is_told_and_nothing_is_lost(self, sandbox: Sandbox) -> None:
        writer = Writer(sandbox.url, "not-a-token", "home", "b", sigterm=False)
        writer.write("m", {"n": 1})
        with pytest.raises(NotDelivered, match=r"401 unauthorized.*correct `token`"):
            await writer.aflush(5)
        assert await writer.aclose(0) == 1


async def test_an_agents_listener_on_a_unix_socket(receiver: Receiver, tmp_path: Path) -> None:
    socket, config = tmp_path / "in.sock", tmp_path / "agent.toml"
    config.write_text(
        f'[agent]\nomit_hostname = true\nflush_interval = "100ms"\n'
        f'[[inputs.influxdb_v2_listener]]\nservice_address = "unix://{socket}"\n'
        f'[[outputs.influxdb_v2]]\nurls = ["{receiver.url}"]\nbucket = "b"\n'
    )
    async with running("--config", str(config)) as agent:
        await agent.logged("istening")
        async with Writer(f"unix://{socket}", sigterm=False) as writer:
            for number in range(10):
                writer.write("m", {"n": number}, {"a": "b"})
        assert writer.statistics.delivered == 10
        await asyncio.to_thread(receiver.wait_for, 10)
    assert {line.partition(" ")[0] for line in receiver.lines} == {"m,a=b"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


class TestTls:
    @pytest.fixture
    def url(self, receiver: Receiver, certificates: Path) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
        receiver.encrypt(context)
        return receiver.url

    def write(self, url: str, **options: Any) -> None:
        writer = Writer(url, "t", "o", "b", sigterm=False, **options)
        try:
            writer.write("m", {"n": 1})
            writer.flush(10)
        finally:
            writer.close(0)

    def test_an_authority_by_option(self, url: str, receiver: Receiver, certificates: Path) -> None:
        self.write(url, tls_ca=str(certificates / "ca.pem"))
        assert len(receiver.lines) == 1

    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
    def test_an_authority_by_the_environment(
        self, variable: str, url: str, receiver: Receiver, certificates: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(variable, str(certificates / "ca.pem"))
        self.write(url)
        assert len(receiver.lines) == 1

    def test_none_at_all_if_it_is_wanted(self, url: str, receiver: Receiver) -> None:
        self.write(url, verify=False)
        assert len(receiver.lines) == 1

    def test_what_is_wrong_with_the_certificate_is_told(self, url: str, certificates: Path) -> None:
        writer, told = Writer(url, "t", "o", "b", sigterm=False, tls_ca=str(certificates / "another-ca.pem")), ""
        try:
            writer.write("m", {"n": 1})
            while ": " not in told:  # until it is tried
                with pytest.raises(NotDelivered) as raised:
                    writer.flush(0.2)
                told = str(raised.value)
        finally:
            writer.close(0)
        assert re.search(r"certificate verify failed: unable to get local issuer.*tls_ca", told)


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        with contextlib.closing(Writer("http://influx.example:8086", "t", "o", "b", sigterm=False)) as writer:
            writer.write("m", {"n": 1})
            writer.flush()
        proxy.shutdown()
    assert asked == ["http://influx.example:8086/api/v2/write?bucket=b&org=o"]


def test_hours_without_a_server_are_kept_and_counted(receiver: Receiver) -> None:
    """As long as it takes: many attempts fail, all that was taken arrives in the end, once."""
    receiver.rule = lambda body: (503, {"message": "down"})
    with Writer(receiver.url, "t", "o", "b", flush_interval=0.01, batch_size=100, sigterm=False) as writer:
        for number in range(1000):
            writer.write("m", {"n": number})
        while len(receiver.bodies) < 3:
            time.sleep(0.01)
        counted = writer.statistics
        assert (counted.taken, counted.waiting, counted.delivered) == (1000, 1000, 0)
        assert "503" in counted.error
        receiver.rule = None
        writer.flush()
    assert sorted(int(line.split()[1][2:]) for line in receiver.lines) == list(range(1000))

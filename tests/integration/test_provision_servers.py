"""`pyagent provision` and what is no InfluxDB 2, or not yet; the first set-up; sessions of the embedded server."""

import asyncio
import contextlib
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from commands import pyagent
from provisioning import PASSWORD, Host, background, host, new_server

from pyagent.influxdb import InfluxDBError, Management, Organization, server_state
from pyagent.testing.servers import InfluxDB1, VictoriaMetrics

__all__ = ["background", "host", "new_server", "pyagent"]  # fixtures

RAM = ("ram", "--bucket", "monitoring-system", "--input", "mem")


class Answers:
    """A small server that answers everything alike."""

    def __init__(self, status: int, body: bytes = b"", context: ssl.SSLContext | None = None, **headers: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def refusal(url: str, tls_ca: str = "") -> str:
    with pytest.raises(InfluxDBError) as refused:
        server_state(url, tls_ca=tls_ca, timeout=5)
    text = str(refused.value)
    assert "\n" not in text
    assert text.startswith("cannot ")
    return text


def test_an_influxdb_1(influxd_1: InfluxDB1) -> None:
    text = refusal(influxd_1.url)
    assert "it is InfluxDB 1." in text
    assert "hosts no Telegraf configurations; InfluxDB 2 does" in text


def test_a_victoria_metrics(victoria_metrics: VictoriaMetrics) -> None:
    assert "it is VictoriaMetrics" in refusal(victoria_metrics.url)


def test_a_login_page() -> None:
    with Answers(200, b"<!doctype html><form>", Content_Type="text/html") as url:
        assert "it answers with a web page" in refusal(url)
        assert f"write the address without a path: {url}" in refusal(f"{url}/orgs/0123")


@pytest.mark.parametrize(
    ("status", "body", "headers", "message"),
    [
        (404, b"404 page not found", {"X_Influxdb_Version": "1.8.10"}, "it is InfluxDB 1.8.10"),
        (404, b"", {"X_Influxdb_Version": "3.2.0"}, "it is InfluxDB 3.2.0"),
        (404, b'{"code":"not found","message":"path not found"}', {}, "404 path not found"),
        (302, b"", {"Location": "https://login.example/"}, "it redirects to another address"),
        (401, b"", {"WWW_Authenticate": "Basic"}, "401 Unauthorized"),
        (503, b'{"status":"starting"}', {}, "not ready yet"),
        (502, b"<html>\n<h1>Bad\x1b[31m Gateway", {}, "502 Bad Gateway"),
        (
            400,
            b"Client sent an HTTP request to an HTTPS server.\n",
            {},
            "this port speaks TLS; write https://127.0.0.1",
        ),
        (200, b"{}", {"Content_Type": "application/json"}, "answers with something else"),
        (200, b'{"allowed":"yes"}', {}, "answers with something else"),
        (200, b"\xff\xfe", {}, "bytes that are no text"),
        (204, b"", {}, "answers with something else"),
    ],
)
def test_other_servers(status: int, body: bytes, headers: dict[str, str], message: str) -> None:
    with Answers(status, body, **headers) as url:
        assert message in refusal(url)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert f"nothing listens on port {port} there" in refusal(f"http://127.0.0.1:{port}")


def test_a_name_that_is_not_known() -> None:
    assert "the name nowhere.invalid is not known" in refusal("http://nowhere.invalid:8086")


def test_a_server_that_speaks_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"220 mail ESMTP\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        assert "does not answer in HTTP" in refusal(f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join()


@pytest.mark.parametrize(
    "url", ["", "localhost:8086", "ftp://localhost", "http://", "http://h:x", "http://u:pw-1@h:8086", "http://h:8086?token=pw-1",
            "http://h\n:8086", "http://h:99999"],
)  # fmt: skip
def test_addresses_that_cannot_be(url: str) -> None:
    text = refusal(url)
    assert "write" in text
    assert "pw-1" not in text


@pytest.fixture
def tls_server(certificates: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    with Answers(200, b'{"allowed":false}', context, X_Influxdb_Version="v2.9.1") as url:
        yield url.replace("http:", "https:")


def test_tls(tls_server: str, certificates: Path) -> None:
    assert server_state(tls_server, tls_ca=str(certificates / "ca.pem")).version == "2.9.1"
    assert "not trusted" in refusal(tls_server)
    assert "name its authority with --tls-ca FILE" in refusal(tls_server)
    assert "not trusted" in refusal(tls_server, str(certificates / "another-ca.pem"))
    assert "for another name" in refusal(tls_server.replace("127.0.0.1", "localhost"), str(certificates / "ca.pem"))
    assert "cannot read the certificate authorities of /nowhere: " in refusal(tls_server, "/nowhere")
    assert "name a PEM file" in refusal(tls_server, str(certificates / "names"))


def test_tls_to_a_port_without() -> None:
    with Answers(200, b"{}") as url:
        text = refusal(url.replace("http:", "https:"))
    assert "this port does not speak TLS; write http://127.0.0.1" in text


def test_a_wrong_server_leaves_nothing_behind(host: Host) -> None:
    with Answers(200, b"<html>", Content_Type="text/html") as url:
        done = host.provision(*RAM, "--url", url, url=False)
    assert done.status == 1
    assert "web page" in done.err
    assert done.err.count("\n") == 1
    assert not host.settings.exists()


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"orgs":[{"id":1}]}', b'{"orgs":7}', b'{"orgs":[null]}', b'"x"', b"null", b"", b"<html>"]
)
def test_answers_of_another_form(body: bytes) -> None:
    with Answers(200, body) as url, Management(url, token="t") as management:
        for call in (
            management.organizations,
            lambda: management.create_bucket(Organization("0" * 16, "home"), "b", 0),
            lambda: management.authorize(Organization("0" * 16, "home"), "d", frozenset()),
        ):
            try:
                told = "" if call() == [] else "something was made of it"
            except InfluxDBError as error:
                told = str(error)
            assert told == "" or told.startswith("cannot ")
            assert "\n" not in told


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("user", ["", "admin"])
def test_an_answer_that_does_not_end_is_given_up(status: int, user: str) -> None:
    """A blank now and then: no single wait is long."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not ended.wait(0.02):
                    self.wfile.write(b" ")

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    # A hang guard: without a bound this is what ends it.
    guard = threading.Timer(20, ended.set)
    guard.start()
    url = f"http://127.0.0.1:{server.server_port}"
    secrets = {"username": user, "password": "correct-horse"} if user else {"token": "t"}
    try:
        with Management(url, timeout=0.2, **secrets) as management, pytest.raises(InfluxDBError) as refused:  # type: ignore[arg-type]
            management.organizations()
    finally:
        guard.cancel()
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
    assert "its answer did not end within 0.6 s; check the address" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_answer_that_is_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.influxdb.connection._MOST_BYTES", 1 << 20)
    refused = pytest.raises(InfluxDBError, match="its answer has more than 1 MiB; check the address")
    with Answers(200, b" " * (2 << 20)) as url, Management(url, token="t") as management, refused:
        management.organizations()


def test_waits_for_a_server_that_is_starting(host: Host) -> None:
    host.fault(kind="status", status=503, paths=["/api/v2/setup"], times=2)
    done = host.provision(*RAM)
    assert done.status == 1
    assert "not ready yet" in done.err
    assert host.provision(*RAM, "--wait", "60").status == 0


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Answers(200, b'{"allowed":true}', X_Influxdb_Version="v2.7.12") as url:
        monkeypatch.setenv("http_proxy", url)
        assert server_state("http://influx.example:8086").version == "2.7.12"
        # This host itself is reached without one, as the agent reaches it.
        assert "nothing listens on port 1 there" in refusal("http://127.0.0.1:1")


class Front:
    """TLS before a server, as a proxy has it."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._behind, self._context, self.port = port, context, 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, into = await asyncio.open_connection("127.0.0.1", self._behind)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            target.close()

        await asyncio.gather(copy(reader, into), copy(behind, writer))

    def __enter__(self) -> str:
        self._thread.start()
        assert self._ready.wait(30)
        return f"https://127.0.0.1:{self.port}"

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)


def test_an_authority_of_ones_own_is_the_agents_as_well(host: Host, certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    with Front(host.server.port, context) as url:
        words = (*RAM, "--url", url, "--token-file", str(host.token_file))
        assert "name its authority with --tls-ca FILE" in host.provision(*words, url=False).err
        done = host.provision(*words, "--tls-ca", str(certificates / "ca.pem"), url=False)
        assert done.status == 0, done.err
        assert host.variables["SSL_CERT_FILE"] == str(certificates / "ca.pem")
        environment = {**os.environ, **host.variables}
        done_once = subprocess.run(
            [sys.executable, "-m", "pyagent", "--once"], env=environment, capture_output=True, text=True
        )
        assert done_once.returncode == 0, done_once.stderr
        assert (
            "as it was        token" in host.provision(*words, "--tls-ca", str(certificates / "ca.pem"), url=False).out
        )


# The first set-up -----------------------------------------------------------------------------------------------------


@pytest.fixture
def password(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return str(path)


SETUP = ("setup", "--user", "admin", "--org", "home", "--bucket", "monitoring-system")


def test_setup_and_the_first_instance(new_server: Host, password: str, tmp_path: Path) -> None:
    token = tmp_path / "operator-token"
    done = new_server.provision(
        *SETUP, "--retention", "30d", "--password-file", password, "--token-file", str(token), token=False
    )
    assert done.status == 0, done.err
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text().strip() not in done.out + done.err
    assert PASSWORD not in done.out + done.err
    (bucket,) = new_server.all("buckets")
    assert (bucket["name"], bucket["retention"]) == ("monitoring-system", 30 * 86400)
    new_server.token_file = token
    assert new_server.provision(*RAM).status == 0


def test_setup_without_keeping_the_operators_token(new_server: Host, password: str) -> None:
    assert new_server.provision(*SETUP, "--password-file", password, token=False).status == 0
    words = ("--user", "admin", "--password-file", password)
    assert new_server.provision(*RAM, *words, token=False).status == 0
    assert len(new_server.all("authorizations")) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--org", "away"), "there is no organization 'away': make it at InfluxDB, or name one (there is home)"),
        (("--bucket", "none"), "there is no bucket 'none': make it with pyagent provision NAME"),
        (("--token-file", "FILE"), "the operator's token is not in FILE, and InfluxDB gives it at the first set-up"),
        (("--token-file", "FILE", "--bucket", "none"), "; there is no bucket 'none'"),
        (("--user", "eve"), "401"),
    ],
)
@pytest.mark.parametrize("check", [(), ("--check",)])
def test_setup_of_one_that_is_set_up_otherwise_says_what_is_missing(
    host: Host, password: str, tmp_path: Path, words: tuple[str, ...], message: str, check: tuple[str, ...]
) -> None:
    file = str(tmp_path / "not" / "there")
    given = [file if word == "FILE" else word for word in words]
    done = host.provision(*SETUP, *given, *check, "--password-file", password, token=False)
    assert done.status == 1
    assert message.replace("FILE", file) in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_setup_again_with_the_token_that_the_first_one_wrote(host: Host, password: str) -> None:
    done = host.provision(*SETUP, "--password-file", password)
    assert (done.status, done.err) == (0, "")
    assert "Nothing to do" in done.out
    host.token_file.write_text("wrong-but-secret")
    done = host.provision(*SETUP, "--password-file", password)
    assert done.status == 1
    assert "401" in done.err


def test_setup_says_what_it_cannot_check(host: Host, tmp_path: Path) -> None:
    done = host.provision(*SETUP, token=False)
    assert done.status == 0
    assert "W! cannot check whether" in done.err
    assert "the user 'admin', the organization 'home', the bucket 'monitoring-system': no password is given" in done.err
    done = host.provision(*SETUP, "--token-file", str(tmp_path / "no"), token=False)
    assert done.status == 1
    assert "W! cannot check whether" in done.err
    assert "E! cannot set up InfluxDB" in done.err


def test_setup_of_one_that_is_set_up_is_nothing_to_do(host: Host, password: str) -> None:
    done = host.provision(*SETUP, "--password-file", password, token=False)
    assert done.status == 0
    assert "Nothing to do" in done.out


@pytest.mark.parametrize(
    ("words", "secret", "message"),
    [
        (SETUP, "short", "8 to 72 characters"),
        (SETUP, "x" * 73, "8 to 72 characters"),
        (SETUP, "\n", "is empty"),
        ((*SETUP, "--retention", "60s"), PASSWORD, "1h at the least"),
        (("setup", "--user", "admin"), PASSWORD, "add --org, --bucket"),
        ((*SETUP, "--bucket", "_x"), PASSWORD, "InfluxDB's own"),
        ((*SETUP, "--org", " "), PASSWORD, "empty name"),
        ((*SETUP, "--token-file", "/nowhere/token"), PASSWORD, "cannot write the operator's token"),
    ],
)
def test_setup_checks_everything_before_the_one_request(
    new_server: Host, tmp_path: Path, words: tuple[str, ...], secret: str, message: str
) -> None:
    path = tmp_path / "secret"
    path.write_text(secret)
    done = new_server.provision(*words, "--password-file", str(path), token=False)
    assert done.status == 1
    assert message in done.err
    assert done.err.count("\n") == 1
    assert not new_server.server.is_set_up


def test_setup_never_overwrites_a_token(new_server: Host, password: str) -> None:
    new_server.token_file.write_text("another")
    done = new_server.provision(*SETUP, "--password-file", password)
    assert done.status == 1
    assert "is there already" in done.err
    assert new_server.token_file.read_text() == "another"
    assert not new_server.server.is_set_up


def test_a_setup_that_fails_half_way_is_said(
    new_server: Host, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server answers with an error and is spent."""
    right = Management.set_up

    def fails(management: Management, **words: object) -> str:
        right(management, **words)  # type: ignore[arg-type]
        raise InfluxDBError("cannot set up the server: 500", status=500)

    monkeypatch.setattr(Management, "set_up", fails)
    token = tmp_path / "token"
    done = new_server.provision(*SETUP, "--password-file", password, "--token-file", str(token), token=False)
    assert done.status == 1
    assert "the user is made nevertheless: go on with pyagent provision NAME --user admin" in done.err
    assert not token.exists()


def test_an_instance_of_a_server_that_is_new(new_server: Host) -> None:
    done = new_server.provision(*RAM)
    assert done.status == 1
    assert "pyagent provision setup --url" in done.err


# Sessions -------------------------------------------------------------------------------------------------------------


def test_a_session_may_what_the_user_may_and_ends(host: Host) -> None:
    with Management(host.server.url, username="admin", password=PASSWORD) as user:
        assert [org.name for org in user.organizations()] == ["home"]
        assert len(host.server.state.sessions) == 1
        for session in host.server.state.sessions.values():
            session["expires"] = 0
        with pytest.raises(InfluxDBError, match="401 unauthorized access"):
            user.organizations()
    assert host.server.state.sessions == {}


@pytest.mark.parametrize(("name", "secret"), [("admin", "wrong-horse"), ("nobody", PASSWORD), ("admin", "")])
def test_who_cannot_sign_in(host: Host, name: str, secret: str) -> None:
    user = Management(host.server.url, username=name, password=secret or "x")
    with user, pytest.raises(InfluxDBError, match="401 unauthorized access"):
        user.organizations()


def test_signing_out_ends_the_session(host: Host) -> None:
    with Management(host.server.url, username="admin", password=PASSWORD) as user:
        user.organizations()
    assert host.server.state.sessions == {}

"""A connection that fails says what to do."""

import asyncio
import errno
import os
import socket
import ssl
from pathlib import Path

import pytest

from pyagent.kit.connect_errors import explained, is_lasting, not_http, wants_https
from pyagent.kit.http_client import HttpClient, HttpError
from pyagent.kit.tls import TlsOptions
from pyagent.testing.outputs import Raw, ScriptedServer
from pyagent.testing.servers import free_port


async def failure(url: str, tls: TlsOptions | None = None, unix_socket: str = "") -> HttpError:
    client = HttpClient(tls=tls, unix_socket=unix_socket)
    try:
        with pytest.raises(HttpError) as caught:
            await client.request("GET", url)
    finally:
        await client.close()
    assert "_ssl.c" not in str(caught.value)
    return caught.value


async def test_nothing_listens() -> None:
    unused_port = free_port()
    error = await failure(f"http://127.0.0.1:{unused_port}/")
    wanted = f"cannot connect to 127.0.0.1:{unused_port}: Connection refused; is it running, and is this its port?"
    assert (str(error), error.lasting) == (wanted, False)


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    error = await failure("http://x/", unix_socket=f"{tmp_path}/s")
    assert str(error).endswith("/s: No such file or directory; is it running, and is this the path of its socket?")


async def test_https_to_a_port_of_http() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        error = await failure(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert str(error).endswith("this port speaks http: write http:// in place of https://")
    assert error.lasting


async def test_http_to_a_port_of_https(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    async with ScriptedServer(tls=context) as server:
        error = await failure(server.url.replace("https:", "http:"))
    assert "if this port speaks https, write https://" in str(error)


async def test_an_answer_that_is_not_http() -> None:
    async with ScriptedServer(Raw(b"SSH-2.0-OpenSSH_9\r\n")) as server:
        error = await failure(server.url)
    assert str(error) == "it does not answer in HTTP; it may speak TLS: try https://"
    assert not_http("https://h") == "it does not answer in HTTP; it may be another program"


async def test_an_authority_that_nobody_knows(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem", certificates / "key.pem")
    async with ScriptedServer(tls=context) as server:
        error = await failure(server.url)
        assert "certificate verify failed: unable to get local issuer certificate; give the file of its" in str(error)
        assert error.lasting
        error = await failure(server.url, TlsOptions(tls_ca=str(certificates / "ca.pem"), tls_server_name="other"))
    assert "certificate's subjectAltName, or give one that is as tls_server_name" in str(error)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (10, "renew it on the server; if it is not old, the clock of this host is wrong"),
        (9, "is the clock of this host right?"),
        (18, "give the file of its authority as tls_ca, or add it to the system's authorities"),
        (19, "give the file of its authority as tls_ca, or add it to the system's authorities"),
    ],
)
def test_certificates(code: int, advice: str) -> None:
    reason = ssl.SSLCertVerificationError(
        1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: why (_ssl.c:1006)"
    )
    reason.verify_code = code
    assert explained(reason) == f"certificate verify failed: why; {advice}"
    assert is_lasting(reason)


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "Name or service not known; check the name of the host",
        ),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
            "Temporary failure in name resolution; does the name server answer? see /etc/resolv.conf",
        ),
        (
            OSError(errno.EHOSTUNREACH, "Connect call failed ('10.0.0.1', 8086)"),
            f"{os.strerror(errno.EHOSTUNREACH)}; is the host up, and the address right?",
        ),
        (OSError(errno.EMFILE, "x"), os.strerror(errno.EMFILE)),
        (ConnectionError(), "the server closed the connection in the TLS handshake; does this port speak https?"),
    ],
)
def test_other_reasons(reason: OSError, wanted: str) -> None:
    assert explained(reason) == wanted
    assert not is_lasting(reason)


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (400, b"Client sent an HTTP request to an HTTPS server.\n", True),
        (400, b"<html><title>400 The plain HTTP request was sent to HTTPS port</title>", True),
        (400, b"Reason: You're speaking plain HTTP to an SSL-enabled server port.", True),
        (400, b'{"code":"invalid"}', False),
        (200, b"Client sent an HTTP request to an HTTPS server.\n", False),
    ],
)
def test_answers_of_servers_that_speak_https(status: int, body: bytes, wanted: bool) -> None:
    assert wants_https(status, body) is wanted

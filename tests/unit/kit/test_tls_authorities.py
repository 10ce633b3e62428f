"""aiohttp's own TLS context, which foreign code may use: the system's authorities are read when it is used, and hold then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import asyncio, ssl, sys
from pathlib import Path
from pyagent.kit import http_client
import aiohttp
from aiohttp import connector

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    await writer.drain()
    writer.close()

async def main(folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "key.pem")
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    print(len(connector._SSL_CONTEXT_VERIFIED.get_ca_certs()))
    connector._SSL_CONTEXT_VERIFIED.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python 3.13 asks more of authorities
    async with aiohttp.ClientSession() as session:
        try:
            async with session.get(url) as given:
                print(given.status)
        except aiohttp.ClientConnectorCertificateError:
            print("refused")
    print(len(connector._SSL_CONTEXT_VERIFIED.get_ca_certs()), type(connector._SSL_CONTEXT_VERIFIED).__name__)
    server.close()

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(("authority", "became"), [("ca.pem", "204"), ("another-ca.pem", "refused")])
def test_it_trusts_what_the_system_does_and_nothing_else(certificates: Path, authority: str, became: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(certificates)],
        env=os.environ | {"SSL_CERT_FILE": str(certificates / authority), "SSL_CERT_DIR": str(certificates / "none")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines() == ["0", became, "1 SSLContext"], done.stderr

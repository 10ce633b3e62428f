"""The certificates of a server, or of the bytes of a file."""

import asyncio
import base64
import binascii
import hashlib
import socket
import ssl
import struct
import warnings
from contextlib import suppress

from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509 import Certificate, load_der_x509_certificate

from pyagent.kit.connect_errors import explained

__all__ = ["from_jks", "from_pem", "from_pkcs12", "from_server", "load"]

_MOST = 1000
_FAMILIES = {"tcp4": socket.AF_INET, "tcp6": socket.AF_INET6}
_MAGIC = 0xFEEDFEED


def load(data: bytes) -> Certificate:
    """Raises ValueError for what is no certificate in DER."""
    with warnings.catch_warnings():  # the library does not like how some are made that are in use
        warnings.simplefilter("ignore")
        return load_der_x509_certificate(data)


async def from_server(
    scheme: str, host: str, port: int, context: ssl.SSLContext, name: str, timeout: float
) -> list[Certificate]:
    """What it shows in a handshake. Raises ValueError."""
    try:
        async with asyncio.timeout(timeout):
            family = _FAMILIES.get(scheme, socket.AF_UNSPEC)
            tls = context if scheme != "smtp" else None
            reader, writer = await asyncio.open_connection(
                host, port, family=family, ssl=tls, server_hostname=name if tls else None
            )
            try:
                if scheme == "smtp":
                    await _start_tls(reader, writer, context, name)
                return _shown(writer.get_extra_info("ssl_object"))
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise ValueError(f"no answer within {timeout:g} s") from None
    except OSError as error:
        raise ValueError(explained(error)) from None


async def _start_tls(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, name: str
) -> None:
    for said, expected in ((b"", b"220"), (f"EHLO {name}\r\n".encode(), b"250"), (b"STARTTLS\r\n", b"220")):
        writer.write(said)
        for _ in range(100):
            line = await reader.readline()
            if not line.startswith(expected):
                raise ValueError(
                    f"it answers {line[:80].decode('utf-8', 'replace').strip()!r}, not {expected.decode()}"
                )
            if line[3:4] != b"-":
                break
    await writer.start_tls(context, server_hostname=name)


def _shown(connection: ssl.SSLObject) -> list[Certificate]:
    if hasattr(connection, "get_unverified_chain"):  # from Python 3.13 on
        return [load(one) for one in connection.get_unverified_chain()]
    chain = connection._sslobj.get_unverified_chain() or []  # type: ignore[attr-defined]
    return [load(ssl.PEM_cert_to_DER_cert(one.public_bytes())) for one in chain]


def from_pem(data: bytes) -> list[Certificate]:
    """All that are in it; keys and the like are passed over. Raises ValueError where it is not PEM to its end."""
    found: list[Certificate] = []
    at = blocks = 0
    while not blocks or data[at:].strip():
        start = data.find(b"-----BEGIN ", at)
        stop = data.find(b"-----", start + 11)
        label = data[start + 11 : stop]
        end = data.find(b"-----END " + label + b"-----", stop) if start >= 0 and stop >= 0 else -1
        if end < 0:
            raise ValueError("it is not PEM, or it is cut off; openssl x509 -inform DER makes PEM of DER")
        at = end + len(label) + 14
        blocks += 1
        if label == b"CERTIFICATE":
            if len(found) >= _MOST:
                raise ValueError(f"it has more than {_MOST} certificates")
            try:
                found.append(load(base64.b64decode(b"".join(data[stop + 5 : end].split()), validate=True)))
            except (binascii.Error, ValueError):
                raise ValueError(f"certificate {len(found) + 1} in it is none") from None
    return found


def from_pkcs12(data: bytes, password: str) -> list[Certificate]:
    """Raises ValueError, for a wrong password too."""
    try:
        store = load_pkcs12(data, password.encode() if password else None)
    except ValueError:
        raise ValueError("the password is wrong, or it is no PKCS#12 file") from None
    own = [store.cert] if store.cert else []
    return [one.certificate for one in (*own, *store.additional_certs)][:_MOST]


def from_jks(data: bytes, password: str) -> list[Certificate]:
    """Of a Java key store (JKS): those that it trusts and the chains of its keys. Raises ValueError."""
    body, sum_ = data[:-20], data[-20:]
    if len(data) < 32 or struct.unpack_from(">I", data)[0] != _MAGIC:
        raise ValueError("it is no key store of the type JKS; give one of PKCS#12 as pkcs12://")
    # The format's own checksum.
    if hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body, usedforsecurity=False).digest() != sum_:
        raise ValueError("the password is wrong, or the file is damaged")
    try:
        return _entries(body)
    except (struct.error, IndexError):
        raise ValueError("it is cut off") from None


def _entries(body: bytes) -> list[Certificate]:
    found: list[Certificate] = []
    version, count = struct.unpack_from(">2I", body, 4)
    at = 12

    def block(width: str) -> bytes:
        nonlocal at
        (size,) = struct.unpack_from(width, body, at)
        at += struct.calcsize(width) + size
        if at > len(body):
            raise IndexError
        return body[at - size : at]

    for _ in range(min(count, _MOST)):
        (kind,) = struct.unpack_from(">I", body, at)
        at += 4
        block(">H")  # the alias
        at += 8  # when it was made
        certificates = 1
        if kind == 1:
            block(">I")  # the key
            (certificates,) = struct.unpack_from(">I", body, at)
            at += 4
        elif kind != 2:
            raise ValueError(f"it has an entry of the unknown kind {kind}")
        for _ in range(min(certificates, _MOST)):
            if version == 2:
                block(">H")  # X.509
            with suppress(ValueError):
                found.append(load(block(">I")))
    return found

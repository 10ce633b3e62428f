"""The input x509_cert: chains, names, key stores, servers of mail, and bytes that are none of these."""

import asyncio
import hashlib
import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, PyagentError
from pyagent.testing import gather, make_input
from pyagent_plugins.inputs.x509_cert import X509Cert

pytest.importorskip("cryptography", reason="the library cryptography is missing; install the extra x509")

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509.oid import NameOID

from pyagent_plugins.inputs.x509_cert.chains import Judge, joined
from pyagent_plugins.inputs.x509_cert.sources import from_jks, from_pem, from_pkcs12

NOW = datetime.now(UTC).replace(microsecond=0)
_DAY = timedelta(days=1)


class Made:
    """A certificate and its key."""

    def __init__(
        self,
        name: str,
        by: "Made | None" = None,
        *,
        ca: bool = True,
        days: int = 10,
        length: int | None = None,
        sans: str = "",
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = by or self
        builder = (
            x509.CertificateBuilder(issuer.name, self.name, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(NOW - 20 * _DAY)
            .not_valid_after(NOW + days * _DAY)
            .add_extension(x509.BasicConstraints(ca, length if ca else None), critical=True)
        )
        if sans:
            names = x509.SubjectAlternativeName([x509.DNSName(one) for one in sans.split()])
            builder = builder.add_extension(names, critical=False)
        self.certificate = builder.sign(issuer.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


ROOT = Made("root")
MIDDLE = Made("middle", ROOT)
LEAF = Made("leaf", MIDDLE, ca=False, sans="a.test *.b.test")


def problem(leaf: Made, *others: Made, roots: tuple[Made, ...] = (ROOT,), name: str = "") -> str:
    known = joined(None, [one.certificate for one in roots])
    return Judge(known, [one.certificate for one in others], NOW.timestamp()).problem(leaf.certificate, name)


def test_chains() -> None:
    unknown = "x509: certificate signed by unknown authority"
    assert problem(LEAF, MIDDLE) == ""
    assert problem(LEAF) == unknown
    assert problem(LEAF, MIDDLE, ROOT, roots=()) == unknown
    assert problem(LEAF, Made("middle", ROOT)) == unknown  # another key of the same name
    plain = Made("plain", ROOT, ca=False)
    assert problem(Made("leaf", plain), plain) == "x509: certificate is not authorized to sign other certificates"
    short = Made("short", length=0)
    below = Made("below", short)
    assert "not authorized" in problem(Made("leaf", below), below, roots=(short,))
    old = Made("old", ROOT, days=-1)
    until = (NOW - _DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert problem(Made("leaf", old), old).endswith(f"is after {until}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.test", ""),
        ("A.TEST.", ""),
        ("x.b.test", ""),
        ("b.test", "x509: certificate is valid for a.test, *.b.test, not b.test"),
        ("x.y.b.test", "x509: certificate is valid for a.test, *.b.test, not x.y.b.test"),
        ("10.0.0.1", "x509: cannot validate certificate for 10.0.0.1 because it doesn't contain any IP SANs"),
    ],
)
def test_names(name: str, message: str) -> None:
    assert problem(LEAF, MIDDLE, name=name) == message


def test_authorities_that_sign_each_other_come_to_an_end() -> None:
    many = [Made("same") for _ in range(3)]
    crossed = [Made("same", by) for by in many for _ in range(6)]
    assert problem(Made("leaf", crossed[0]), *crossed) == "x509: certificate signed by unknown authority"


async def test_types_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(ROOT.pem)
    (tmp_path / "all.pem").write_bytes(LEAF.pem + b"words\n" + MIDDLE.pem + ROOT.pem + b"\n\n")
    options = {"sources": [f"{tmp_path}/a*.pem"], "tls_ca": f"{tmp_path}/ca.pem"}
    metrics = await gather(make_input(X509Cert, options))
    found = [(one.tags["common_name"], one.tags["type"], one.tags["verification"]) for one in metrics]
    assert found == [("leaf", "leaf", "valid"), ("middle", "intermediate", "valid"), ("root", "root", "valid")]


def jks(*entries: bytes, password: str = "pw") -> bytes:
    body = struct.pack(">3I", 0xFEEDFEED, 2, len(entries)) + b"".join(entries)
    return body + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + body).digest()


def certificate_of(made: Made) -> bytes:
    return b"\0\x05X.509" + struct.pack(">I", len(made.der)) + made.der


TRUSTED = struct.pack(">I", 2) + b"\0\x01a" + bytes(8) + certificate_of(ROOT)
KEY = (
    struct.pack(">I", 1)
    + b"\0\x01b"
    + bytes(8)
    + struct.pack(">I", 3)
    + b"key"
    + struct.pack(">I", 1)
    + certificate_of(LEAF)
)


def test_a_java_key_store() -> None:
    assert from_jks(jks(TRUSTED, KEY), "pw") == [ROOT.certificate, LEAF.certificate]
    with pytest.raises(ValueError, match="the password is wrong"):
        from_jks(jks(TRUSTED), "other")
    with pytest.raises(ValueError, match="it is cut off"):
        from_jks(jks(TRUSTED[:-5]), "pw")
    with pytest.raises(ValueError, match="no key store of the type JKS"):
        from_jks(b"x" * 100, "pw")


async def test_a_store_of_pkcs12(tmp_path: Path) -> None:
    others = [MIDDLE.certificate, ROOT.certificate]
    store = serialize_key_and_certificates(b"n", LEAF.key, LEAF.certificate, others, BestAvailableEncryption(b"pw"))
    (tmp_path / "s.p12").write_bytes(store)
    source = f"pkcs12://{tmp_path}/s.p12"
    metrics = await gather(make_input(X509Cert, {"sources": [source], "password": "pw", "exclude_root_certs": True}))
    assert [(one.tags["common_name"], one.tags["verification"]) for one in metrics] == [("leaf", "valid")]
    with pytest.raises(PyagentError, match="the password is wrong"):
        await gather(make_input(X509Cert, {"sources": [source], "password": "no"}))


@given(st.integers(0, 2000), st.binary(max_size=40))
def test_any_bytes_are_certificates_or_a_value_error(at: int, data: bytes) -> None:
    pem = LEAF.pem + MIDDLE.pem
    for one in (data, pem[:at], pem[:at] + data + pem[at:], pem + data):
        with suppress(ValueError):
            from_pem(one)
        with suppress(ValueError):
            from_pkcs12(one, "pw")
    store = TRUSTED[: at % len(TRUSTED)] + data + KEY
    with suppress(ValueError):
        from_jks(jks(store, store), "pw")


@pytest.mark.parametrize("lines", [b"220 mail\r\n", b"554 no\r\n", b"220-a\r\n220 b\r\n"])
async def test_a_server_of_mail_that_does_not_know_starttls(lines: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(lines)
        await reader.readline()
        writer.write(b"502 what\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(PyagentError, match=f"cannot read smtp://127.0.0.1:{port}: it answers"):
        await gather(make_input(X509Cert, {"sources": [f"smtp://127.0.0.1:{port}"]}))
    server.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "there is no source"),
        ({"sources": ["https://"]}, "it names no host"),
        ({"sources": ["tcp://h:x"]}, "cannot use the source"),
        ({"sources": ["/a"], "server_name": "a", "tls_server_name": "b"}, "cannot use both"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_input(X509Cert, options)

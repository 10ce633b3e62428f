"""Which certificates are believed: those that Go's crypto/x509 believes, by clients and by listeners, whatever the Python."""

import asyncio
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyagent.influxdb import InfluxDB
from pyagent.kit.http_client import HttpClient, HttpError
from pyagent.kit.listen_address import TlsServerOptions
from pyagent.kit.tls import TlsOptions, client_context, server_context, system_context
from pyagent.testing.outputs import ScriptedServer

NAME = "subjectAltName=IP:127.0.0.1,DNS:influx.example\n"
CA = "basicConstraints=critical,CA:TRUE\n"
BARE = "subjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n"
KEY_USAGE = "keyUsage=critical,keyCertSign,cRLSign\n"


class Maker:
    """Makes certificates by the program openssl: NAME.pem and NAME.key in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, extensions: str, signer: str = "", *, subject: bool = True, more: str = "") -> str:
        (self.folder / "cnf").write_text(f"[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN={name}\n[e]\n{extensions}")
        signed = f"-CA {signer}.pem -CAkey {signer}.key" if signer else ""
        key = f"-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key"
        command = f"req -x509 {key} -config cnf -extensions e -out {name}.pem {signed} {more or '-days 30'}"
        done = subprocess.run(
            ["openssl", *command.split(), *([] if subject else ["-subj", "/"])],
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return name


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    if subprocess.run(["sh", "-c", "command -v openssl"], capture_output=True).returncode:
        pytest.skip("the program openssl is missing: apt install openssl")
    return Maker(tmp_path)


def bundle(maker: Maker, *names: str) -> str:
    """A file with these certificates, in this order."""
    path = maker.folder / "bundle.pem"
    path.write_text("".join((maker.folder / f"{name}.pem").read_text() for name in names))
    return str(path)


# Each gives what a peer shows, with its key's name, and what the other side trusts.
Case = tuple[list[str], str]


def plain(make: Maker, authority: str = CA, leaf: str = NAME, *, more: str = "") -> Case:
    make("ca", authority, more=more)
    return [make("leaf", leaf, "ca")], "ca"


def intermediate(make: Maker) -> Case:
    make("root", CA + KEY_USAGE)
    make("middle", CA, "root")
    return [make("leaf", NAME, "middle")], "middle"


def of_an_untrusted_root(make: Maker) -> Case:
    make("root", CA + KEY_USAGE)
    make("middle", CA, "root")
    return [make("leaf", NAME, "middle"), "middle"], "root"


def itself(make: Maker) -> Case:
    make("ca", CA)
    return [make("leaf", NAME, "ca")], "leaf"


def without_a_subject(make: Maker) -> Case:
    make("ca", CA)
    return [make("leaf", NAME, "ca", subject=False)], "ca"


def self_signed(make: Maker, extensions: str) -> Case:
    return [make("leaf", extensions)], "leaf"


def by_one_that_is_no_authority(make: Maker) -> Case:
    make("root", CA + KEY_USAGE)
    make("middle", "basicConstraints=CA:FALSE\n", "root")
    return [make("leaf", NAME, "middle"), "middle"], "root"


BELIEVED: dict[str, Callable[[Maker], Case]] = {
    "without a key usage": lambda make: plain(make),
    "with all that a public one has": lambda make: plain(make, CA + KEY_USAGE),
    "without key identifiers": lambda make: plain(make, CA + BARE, NAME + BARE),
    "constraints that are not critical": lambda make: plain(make, "basicConstraints=CA:TRUE\n" + BARE, NAME + BARE),
    "the serial number 0": lambda make: plain(make, more="-days 30 -set_serial 0"),
    "an intermediate is trusted": intermediate,
    "an intermediate is shown": of_an_untrusted_root,
    "the certificate itself is trusted": itself,
    "no subject, and names that are not critical": without_a_subject,
    "self-signed": lambda make: self_signed(make, NAME + "basicConstraints=CA:FALSE\n"),
    "self-signed, an authority besides": lambda make: self_signed(make, NAME + CA),
}
REFUSED: dict[str, Callable[[Maker], Case]] = {
    "another authority": lambda make: (plain(make)[0], make("another", CA)),
    "an authority that is none": by_one_that_is_no_authority,
    "an authority without constraints": lambda make: plain(make, BARE),
    "an authority whose key is for other things": lambda make: plain(make, CA + "keyUsage=digitalSignature\n"),
    "a use of the other side": lambda make: plain(make, leaf=NAME + "extendedKeyUsage=codeSigning\n"),
    "an unknown extension that is critical": lambda make: plain(make, CA + "1.2.3.4=critical,ASN1:NULL\n"),
}
NAMELESS: dict[str, Callable[[Maker], Case]] = {
    "a common name alone": lambda make: self_named(make, "influx.example", ""),
    "another name": lambda make: self_named(make, "influx.example", "subjectAltName=DNS:other.example\n"),
}


def self_named(make: Maker, name: str, extensions: str) -> Case:
    make("ca", CA)
    return [make(name, extensions, "ca")], "ca"


def shown(make: Maker, case: Case) -> tuple[str, str, str]:
    """Paths: the chain that is shown, its key, what is trusted."""
    chain, trusted = case
    return bundle(make, *chain), str(make.folder / f"{chain[0]}.key"), str(make.folder / f"{trusted}.pem")


async def get(make: Maker, case: Case, tls: TlsOptions | None = None, *, name: str = "") -> int:
    """Ask a server that shows this case's certificate."""
    chain, key, trusted = shown(make, case)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    client = HttpClient(tls=tls or TlsOptions(tls_ca=trusted, tls_server_name=name))
    async with ScriptedServer(tls=context) as server:
        try:
            return (await client.request("GET", server.url)).status
        finally:
            await client.close()


@pytest.mark.parametrize("case", BELIEVED.values(), ids=BELIEVED)
async def test_a_server_is_believed(make: Maker, case: Callable[[Maker], Case]) -> None:
    assert await get(make, case(make)) == 204


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_a_server_is_not_believed(make: Maker, case: Callable[[Maker], Case]) -> None:
    with pytest.raises(HttpError, match="certificate verify failed"):
        await get(make, case(make))


@pytest.mark.parametrize("case", NAMELESS.values(), ids=NAMELESS)
async def test_a_server_is_not_the_one_that_is_meant(make: Maker, case: Callable[[Maker], Case]) -> None:
    with pytest.raises(HttpError, match=r"not valid for 'influx\.example'.*; .*subjectAltName.* tls_server_name"):
        await get(make, case(make), name="influx.example")


async def test_authorities_of_the_system_are_judged_alike(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that came into the system's store by hand; the configuration's own request has no TLS settings."""
    case = plain(make)
    monkeypatch.setenv("SSL_CERT_FILE", str(make.folder / "ca.pem"))
    system_context.cache_clear()
    try:
        client = HttpClient()
        chain, key, _ = shown(make, case)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        async with ScriptedServer(tls=context) as server:
            assert (await client.request("GET", server.url)).status == 204
            await client.close()
            # What the commands use is another library.
            with InfluxDB(server.url, timeout=10) as influxdb:
                assert await asyncio.to_thread(influxdb.query, "buckets()") == []
    finally:
        system_context.cache_clear()


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """A whole handshake in memory, the client's certificate included. Raises ssl.SSLError where one side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("case", [*BELIEVED, *REFUSED])
def test_clients_of_a_listener_are_judged_alike(make: Maker, case: str) -> None:
    chain, key, trusted = shown(make, (BELIEVED | REFUSED)[case](make))
    listener = TlsServerOptions(tls_cert=chain, tls_key=key, tls_allowed_cacerts=[trusted]).ssl_context()
    client = TlsOptions(insecure_skip_verify=True, tls_cert=chain, tls_key=key).ssl_context()
    assert listener is not None
    assert client is not None
    if case in BELIEVED:
        handshake(client, listener)
    else:
        with pytest.raises(ssl.SSLError, match="certificate verify failed"):
            handshake(client, listener)


def contexts() -> Iterator[ssl.SSLContext | None]:
    yield client_context()
    yield system_context()
    yield server_context()
    yield TlsOptions(insecure_skip_verify=True).ssl_context()
    yield TlsOptions(tls_min_version="TLS13").ssl_context()


def test_the_rules_are_those_of_no_particular_python() -> None:
    """Python 3.13 changed its own."""
    for context in contexts():
        assert context is not None
        assert context.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
        assert not context.hostname_checks_common_name


def test_contexts_are_made_in_one_place(root: Path) -> None:
    """One that is made elsewhere would have the rules of the Python that runs it."""
    makers = ("create_default_context", "SSLContext(", "_create_unverified_context")
    found = {
        str(path.relative_to(root))
        for folder in ("agent", "plugins")
        for path in (root / folder).rglob("*.py")
        if any(maker in path.read_text() for maker in makers)
    }
    assert found == {"agent/pyagent/kit/tls.py"}

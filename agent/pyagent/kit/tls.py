"""TLS: the options of a client, and every TLS context of the agent, so that each Python judges a certificate alike.

The measure is Go's crypto/x509, by which Telegraf judges them.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, Literal

from pyagent.api.errors import ConfigError
from pyagent.api.files import readable_path
from pyagent.api.options import Options, option
from pyagent.api.units import Secret

__all__ = ["TlsOptions", "authorities_when_used", "client_context", "server_context", "system_context", "tls_version"]

_VERSIONS = {"TLS10": "TLSv1", "TLS11": "TLSv1_1", "TLS12": "TLSv1_2", "TLS13": "TLSv1_3"}


def client_context(authorities: str = "") -> ssl.SSLContext:
    """For connections to servers. `authorities`: path of a PEM file; it replaces the system's (as Go does it).

    Raises OSError, ValueError.
    """
    return _as_go(ssl.create_default_context(cafile=authorities or None))


def server_context() -> ssl.SSLContext:
    """For a listener. It trusts no authority of clients until one is added."""
    return _as_go(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH))


@cache
def system_context() -> ssl.SSLContext:
    """For connections without TLS settings: one for all of them, as the system's authorities may take a megabyte."""
    return client_context()


@contextmanager
def authorities_when_used() -> Iterator[None]:
    """Contexts that are made inside read the system's authorities, which take 2 MiB, at their first connection."""
    made: list[ssl.SSLContext] = []
    read = ssl.SSLContext.load_default_certs

    def put_off(context: ssl.SSLContext, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        if type(context) is ssl.SSLContext and purpose is ssl.Purpose.SERVER_AUTH:
            made.append(context)
        else:
            read(context, purpose)

    ssl.SSLContext.load_default_certs = put_off  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        ssl.SSLContext.load_default_certs = read  # type: ignore[method-assign]
        for context in made:
            context.__class__ = _Unread


class _Unread(ssl.SSLContext):
    def wrap_bio(self, *given: Any, **named: Any) -> ssl.SSLObject:
        return _read(self).wrap_bio(*given, **named)

    def wrap_socket(self, *given: Any, **named: Any) -> ssl.SSLSocket:
        return _read(self).wrap_socket(*given, **named)


def _read(context: ssl.SSLContext) -> ssl.SSLContext:
    context.__class__ = ssl.SSLContext
    context.load_default_certs()
    return context


def _as_go(context: ssl.SSLContext) -> ssl.SSLContext:
    # Python 3.13 turned this on: it refuses authorities without a key usage or key identifiers, which is how most private
    # ones are made.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # And this one: each certificate that is given as trusted is, an intermediate's or the server's own, too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False  # names count in subjectAltName only
    return context


def tls_version(name: str, option: str) -> ssl.TLSVersion:
    """The version that Telegraf's configurations call TLS12, for instance. Raises ConfigError."""
    if name not in _VERSIONS:
        raise ConfigError(f"unknown TLS version {name!r}; use one of {', '.join(_VERSIONS)}", option=option)
    return ssl.TLSVersion[_VERSIONS[name]]


class TlsOptions(Options, frozen=True):
    """The TLS settings that every client plugin shares, under Telegraf's names. Inherit from it."""

    tls_ca: Annotated[str, option("file of certificate authorities to trust, PEM", reads_path=True)] = ""
    tls_cert: Annotated[str, option("client certificate, PEM", reads_path=True)] = ""
    tls_key: Annotated[str, option("key of the client certificate, PEM", reads_path=True)] = ""
    tls_key_pwd: Annotated[Secret, option("password of the key")] = Secret("")
    tls_min_version: Annotated[str, option("oldest TLS version to accept: TLS10, TLS11, TLS12 or TLS13")] = "TLS12"
    tls_server_name: Annotated[str, option("name to expect in the server's certificate")] = ""
    insecure_skip_verify: Annotated[bool, option("accept any certificate")] = False
    tls_enable: Annotated[bool, option("false: never use TLS settings")] = True
    tls_cipher_suites: Annotated[
        list[str], option("cipher suites to allow, by their IANA names ([]: OpenSSL's choice)")
    ] = []
    tls_renegotiation_method: Annotated[
        Literal["", "never", "once", "freely"],
        option("whether a server may ask for a new handshake; `once` is as `freely` (empty: never)"),
    ] = ""

    def ssl_context(self) -> ssl.SSLContext | None:
        """The context for these options, None where they are all default. Raises ConfigError naming the file at fault."""
        if self.tls_enable is False or not (  # a plugin may have it of three values
            self.tls_ca
            or self.tls_cert
            or self.insecure_skip_verify
            or self.tls_min_version not in ("", "TLS12")
            or self.tls_cipher_suites
            or self.tls_renegotiation_method in ("once", "freely")
        ):
            return None
        option, path = "tls_ca", self.tls_ca
        try:
            with readable_path(self.tls_ca) as authorities:
                context = client_context(authorities)
            if self.tls_cert:
                option, path = "tls_cert", self.tls_cert
                with readable_path(self.tls_cert) as certificate, readable_path(self.tls_key) as key:
                    # Always a password, also an empty one: without any, OpenSSL asks for it at the terminal.
                    context.load_cert_chain(certificate, key or None, self.tls_key_pwd.reveal)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ConfigError(
                f"cannot load {option} {path!r}: {cause}; give the path of a PEM file", option=option
            ) from None
        context.minimum_version = tls_version(self.tls_min_version or "TLS12", "tls_min_version")
        if self.tls_renegotiation_method not in ("once", "freely"):
            context.options |= ssl.OP_NO_RENEGOTIATION
        if self.tls_cipher_suites:
            _allow_suites(context, self.tls_cipher_suites)
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


_NO_CHOICE = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
"""Those of TLS 1.3 are all good, and all allowed, as in Go."""


def _allow_suites(context: ssl.SSLContext, names: list[str]) -> None:
    """Raises ConfigError for a name that nobody knows."""
    chosen = {name: _openssl_name(name) for name in names if name not in _NO_CHOICE}
    if not chosen or chosen.keys() & {"secure", "all"}:
        return  # OpenSSL's own choice is what is secure
    for name, openssl in chosen.items():
        try:
            context.set_ciphers(openssl)
        except ssl.SSLError:
            raise ConfigError(
                f"cannot allow the cipher suite {name!r}: OpenSSL does not know it; use IANA's names, such as "
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                option="tls_cipher_suites",
            ) from None
    context.set_ciphers(":".join(chosen.values()))


def _openssl_name(name: str) -> str:
    """OpenSSL's name of a suite of TLS 1.2: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 is ECDHE-RSA-AES128-GCM-SHA256."""
    exchange, _, cipher = name.removeprefix("TLS_").partition("_WITH_")
    cipher = cipher.replace("AES_128", "AES128").replace("AES_256", "AES256").replace("_CBC_", "_")
    cipher = cipher.replace("3DES_EDE_SHA", "DES_CBC3_SHA").replace("RC4_128", "RC4")
    cipher = cipher.replace("POLY1305_SHA256", "POLY1305")
    return (cipher if exchange == "RSA" else f"{exchange}_{cipher}").replace("_", "-")

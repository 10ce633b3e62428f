"""Where every TLS context of the agent is made, so that a certificate is judged alike everywhere and by every Python.

The measure is Go's crypto/x509, by which Telegraf judges them.
"""

import ssl
from functools import cache

from pyagent.api.errors import ConfigError

__all__ = ["client_context", "server_context", "system_context", "tls_version"]

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

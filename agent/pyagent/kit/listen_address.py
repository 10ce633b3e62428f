"""Where a service listens, whatever its protocol: the forms of an address, and the server's side of TLS."""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from typing import Annotated, Any

from pyagent.api.errors import ConfigError, PyagentError
from pyagent.api.files import readable_path
from pyagent.api.options import Options, option
from pyagent.api.units import Secret
from pyagent.kit.tls import server_context, tls_version

__all__ = ["ListenAddress", "TlsServerOptions", "bind_everywhere", "bound_socket", "socket_mode"]

_REBIND_TIME, _REBIND_PAUSE = 1.0, 0.05
"""Seconds: the listener that a reload replaces gives up the address a moment after the new one wants it."""


class TlsServerOptions(Options, frozen=True):
    """The TLS settings that every listening plugin shares, under Telegraf's names. Inherit from it."""

    tls_cert: Annotated[str, option("certificate of this server, PEM: turns TLS on", reads_path=True)] = ""
    tls_key: Annotated[str, option("key of the certificate, PEM", reads_path=True)] = ""
    tls_key_pwd: Annotated[Secret, option("password of the key")] = Secret("")
    tls_allowed_cacerts: Annotated[
        list[str], option("authorities, PEM: clients must have a certificate of one of these", reads_path=True)
    ] = []
    tls_min_version: Annotated[str, option("oldest TLS version to accept: TLS10, TLS11, TLS12 or TLS13")] = "TLS12"
    tls_max_version: Annotated[str, option("newest TLS version to accept (empty: any)")] = ""
    tls_cipher_suites: Annotated[list[str], option("cipher suites to allow (not supported yet)")] = []
    tls_allowed_dns_names: Annotated[list[str], option("names of clients to allow (not supported yet)")] = []

    def ssl_context(self) -> ssl.SSLContext | None:
        """The context for these options, None without TLS. Raises ConfigError naming the file at fault."""
        for name in ("tls_cipher_suites", "tls_allowed_dns_names"):
            if getattr(self, name):
                raise ConfigError(f"cannot use {name}: it is not supported yet; remove it", option=name)
        if not (self.tls_cert or self.tls_key or self.tls_allowed_cacerts):
            return None
        if not self.tls_cert:
            raise ConfigError("cannot use TLS: there is no certificate; set tls_cert and tls_key", option="tls_cert")
        context = server_context()
        name, path = "tls_cert", self.tls_cert
        try:
            # Always a password, also an empty one: without any, OpenSSL asks for it at the terminal.
            with readable_path(self.tls_cert) as certificate, readable_path(self.tls_key) as key:
                context.load_cert_chain(certificate, key or None, self.tls_key_pwd.reveal)
            for path in self.tls_allowed_cacerts:
                name = "tls_allowed_cacerts"
                with readable_path(path) as authorities:
                    context.load_verify_locations(authorities)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            message = f"cannot load {name} {path!r}: {cause}; give the path of a PEM file"
            raise ConfigError(message, option=name) from None
        if self.tls_allowed_cacerts:
            context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = tls_version(self.tls_min_version or "TLS12", "tls_min_version")
        if self.tls_max_version:
            context.maximum_version = tls_version(self.tls_max_version, "tls_max_version")
        return context


@dataclass(frozen=True, slots=True)
class ListenAddress:
    text: str
    """As it was given, for messages."""
    host: str = ""
    port: int = 0
    path: str = ""
    """Of a unix socket; else empty."""
    mode: int | None = None
    option: str = "service_address"
    """Where it was given."""

    @classmethod
    def of(cls, text: str, mode: str, option: str = "service_address") -> "ListenAddress":
        """Raises ConfigError."""
        scheme, found, rest = text.partition("://")
        if not found:
            scheme, rest = "tcp", text
        if scheme == "unix" and rest.startswith("/"):
            return cls(text, path=rest, mode=socket_mode(mode), option=option)
        host, colon, port = rest.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            colon = ""
        if scheme != "tcp" or not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535:
            raise ConfigError(
                f"cannot listen on {text!r}: it is no address; give ':PORT', 'HOST:PORT' or 'unix:///PATH'",
                option=option,
            )
        return cls(text, host, int(port), option=option)

    async def bind(self) -> socket.socket:
        """A bound socket. Raises PyagentError, with a remedy."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _REBIND_TIME
        while True:
            try:
                return await self._bind()
            except OSError as error:
                if error.errno != errno.EADDRINUSE or loop.time() >= deadline:
                    raise PyagentError(self._explain(error)) from None
            await asyncio.sleep(_REBIND_PAUSE)

    async def _bind(self) -> socket.socket:
        if self.path:
            return self._bind_path()
        if not self.host:
            return bind_everywhere(self.port)
        infos = await asyncio.get_running_loop().getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # As Go does it: one address, an IPv4 one if there is one.
        family, _, _, _, address = min(infos, key=lambda info: info[0] != socket.AF_INET)
        return bound_socket(family, address)

    def _bind_path(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        # A socket file that nobody listens on is left over from a process that was killed.
        try:
            if not stat.S_ISSOCK(os.stat(self.path).st_mode):
                raise OSError(errno.EEXIST, "a file that is no socket has this name")
            if not _is_left_over(self.path, kind):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
            os.unlink(self.path)
        except FileNotFoundError:
            pass
        listening = bound_socket(socket.AF_UNIX, self.path, kind)
        if self.mode is not None:
            os.chmod(self.path, self.mode)
        return listening

    def remove(self) -> None:
        """Take away the file of a unix socket, unless a successor listens on it."""
        if not self.path:
            return
        if _is_left_over(self.path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def _explain(self, error: OSError) -> str:
        remedy = f"choose another {self.option}"
        if error.errno == errno.EADDRINUSE:
            remedy = f"stop the program that listens there ('ss -lp' shows it), or {remedy}"
        elif error.errno in (errno.EACCES, errno.EPERM):
            remedy = (
                "let the agent's account write into that folder" if self.path else "ports below 1024 need a privilege"
            )
            remedy += f", or choose another {self.option}"
        # A resolver's own numbers are negative, and asyncio puts the address where the system's words should be.
        number = error.errno or 0
        cause = error.strerror if number in (0, errno.EEXIST) or number < 0 else os.strerror(number)
        return f"cannot listen on {self.text}: {cause or error}; {remedy}"


def socket_mode(text: str) -> int | None:
    """Permissions of a unix socket; None where none are given. Raises ConfigError."""
    if text and (not text.isdecimal() or set(text) - set("01234567") or int(text, 8) > 0o7777):
        raise ConfigError(f"cannot use socket_mode {text!r}: give it octal, as '660'", option="socket_mode")
    return int(text, 8) if text else None


def _is_left_over(path: str, kind: int = socket.SOCK_STREAM) -> bool:
    """Whether nobody has the socket of this name, of whatever kind, any more."""
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.settimeout(0)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def bind_everywhere(port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """IPv6 and IPv4 by one socket; by IPv4 alone on a host without IPv6."""
    try:
        return bound_socket(socket.AF_INET6, ("::", port), kind, shared=kind == socket.SOCK_STREAM)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return bound_socket(socket.AF_INET, ("0.0.0.0", port), kind, shared=kind == socket.SOCK_STREAM)  # noqa: S104  # asked for


def bound_socket(
    family: int, address: Any, kind: int = socket.SOCK_STREAM, *, only_six: bool = False, shared: bool = True
) -> socket.socket:
    """`only_six`: one for every IPv6 address takes no IPv4. `shared`: the address may be one that another has had or has."""
    bound = socket.socket(family, kind)
    try:
        if family != socket.AF_UNIX and shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_six or address[0] != "::")
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound

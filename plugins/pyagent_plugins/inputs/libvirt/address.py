"""libvirt's URIs (https://libvirt.org/uri.html), and connections to what they name."""

import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from pyagent.api import ConfigError, PyagentError
from pyagent.api.files import open_file, path_of
from pyagent.kit.command import NOT_INHERITED
from pyagent.kit.connect_errors import explained
from pyagent.kit.procfs import host_path
from pyagent.kit.tls import TlsOptions
from pyagent_plugins.inputs.libvirt.rpc import Lost, Stream

__all__ = ["Address"]

_TRANSPORTS = ("unix", "ssh", "tcp", "tls")
_PORTS = {"tcp": 16509, "tls": 16514}
_SCHEME = re.compile(r"([a-z]+)(?:\+([a-z]+))?", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][-A-Za-z0-9_.]*\$?", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9_:][-A-Za-z0-9_.:%]*", re.ASCII)
_PARAMETERS = ("name", "socket", "keyfile", "known_hosts", "no_verify", "pkipath", "mode", "command", "tls_priority")
_GREETING = b"\1"
"""What a daemon sends over TLS when it takes the client's certificate."""
_LONGEST_SAID = 300
_END = 1.0
"""Seconds that ssh has to end."""


@dataclass(frozen=True, slots=True)
class Address:
    """`driver[+transport]://[user@][host][:port]/path[?parameters]`."""

    text: str
    driver: str
    transport: str
    user: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str) -> "Address":
        """Raises ConfigError, without a password that the text may have."""
        try:
            parts = urlsplit(text)
            port = parts.port or 0
        except ValueError:
            _refuse("it is no URI with a port between 1 and 65535")
        scheme = _SCHEME.fullmatch(parts.scheme)
        if scheme is None or "://" not in text:
            _refuse("it is not like qemu:///system")
        driver, transport = scheme[1], scheme[2] or ("tls" if parts.hostname else "unix")
        if transport not in _TRANSPORTS:
            _refuse(f"there is no transport {transport!r}, but {', '.join(_TRANSPORTS)}")
        if parts.password is not None:
            _refuse("libvirt takes no password in it")
        user, host = parts.username or "", parts.hostname or ""
        if (user and not _USER.fullmatch(user)) or (host and not _HOST.fullmatch(host)):
            _refuse("its user or host has characters that none has")
        if transport != "unix" and not host:
            _refuse(f"it names no host for {transport}: {driver}+{transport}://HOST/system")
        parameters = {}
        for pair in filter(None, parts.query.split("&")):
            name, equals, value = pair.partition("=")
            if not equals or name not in _PARAMETERS:
                _refuse(
                    f"it has the parameter {name[:40]!r}; there are {', '.join(_PARAMETERS)}, each with `=` and a value"
                )
            parameters[name] = path_of(unquote(value), text)
        if not re.fullmatch(r"[+-]?\d{1,9}", parameters.get("no_verify", "0")):
            _refuse("no_verify is no number")
        return cls(text, driver, transport, user, host, port, parts.path, parameters)

    @property
    def name(self) -> str:
        """What the daemon is asked to open."""
        if given := self.parameters.get("name"):
            return given
        return "" if self.driver == "remote" else f"{self.driver}://{self.path}"

    @property
    def unverified(self) -> bool:
        return int(self.parameters.get("no_verify", "0")) > 0

    def connect(self, seconds: float) -> Stream:
        """`seconds`: for this, and for each answer after it. Raises PyagentError."""
        try:
            if self.transport == "unix":
                return self._unix(seconds)
            if self.transport == "ssh":
                return _Ssh(self._command(), self.host, seconds)
            connection = socket.create_connection((self.host, self.port or _PORTS[self.transport]), seconds)
            return connection if self.transport == "tcp" else self._tls(connection)
        except OSError as error:
            raise PyagentError(f"cannot connect to libvirt at {self.text}: {explained(error)}") from None

    def sockets(self) -> list[str]:
        """Where the daemon may listen on this host, as libvirt names them; those that allow no more than to look come first."""
        if given := self.parameters.get("socket"):
            return [given]
        if self.path == "/session":
            runtime = os.environ.get("XDG_RUNTIME_DIR") or os.path.expanduser("~/.cache")
            return [f"{runtime}/libvirt/{name}-sock" for name in (f"virt{self.driver}d", "libvirt")]
        folder = host_path("run", "libvirt")
        return [f"{folder}/{name}-sock{end}" for end in ("-ro", "") for name in (f"virt{self.driver}d", "libvirt")]

    def _unix(self, seconds: float) -> socket.socket:
        paths = self.sockets()
        path = next(filter(os.path.exists, paths), None)
        if path is None:
            raise PyagentError(
                f"cannot connect to libvirt at {self.text}: there is none of {', '.join(paths)}; start libvirtd"
                f" (apt install libvirt-daemon-system), or name its socket: {self.driver}+unix:///system?socket=PATH"
            )
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(seconds)
            connection.connect(path)
        except OSError as error:
            connection.close()
            cause = explained(error)
            if isinstance(error, PermissionError):
                cause = "permission denied; add the agent's account to the group libvirt, or name the socket PATH-ro"
            raise PyagentError(f"cannot connect to libvirt at {path}: {cause}") from None
        return connection

    def _tls(self, connection: socket.socket) -> ssl.SSLSocket:
        folder = self.parameters.get("pkipath", "")
        authority, certificate, key = (
            path_of(path, folder)
            for path in (
                (f"{folder}/cacert.pem", f"{folder}/clientcert.pem", f"{folder}/clientkey.pem")
                if folder
                else (
                    "/etc/pki/CA/cacert.pem",
                    "/etc/pki/libvirt/clientcert.pem",
                    "/etc/pki/libvirt/private/clientkey.pem",
                )
            )
        )
        has_own = not self.unverified or os.path.exists(certificate)
        try:
            context = TlsOptions(
                tls_ca="" if self.unverified else authority,
                tls_cert=certificate if has_own else "",
                tls_key=key if has_own else "",
                insecure_skip_verify=self.unverified,
            ).ssl_context()
            assert context is not None
            # From here on the connection is the secured one's; the other's end would leave it open.
            connection = secured = context.wrap_socket(connection, server_hostname=self.host)
            try:
                greeting = secured.recv(1)
            except ssl.SSLError as error:
                if "ALERT" not in (error.reason or ""):
                    raise
                greeting = b""  # since TLS 1.3 what is wrong with our certificate is told when all else is done
            if greeting != _GREETING:
                raise PyagentError(
                    f"cannot connect to libvirt at {self.text}: it does not take the certificate {certificate!r} of this host;"
                    " see ca_file and tls_allowed_dn_list in its libvirtd.conf"
                )
        except (OSError, PyagentError):
            connection.close()
            raise
        return secured

    def _command(self) -> list[str]:
        """ssh, which runs on the other host what connects to the daemon there."""
        command = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes"]
        if key := self.parameters.get("keyfile"):
            path = os.path.expanduser(key)
            try:
                open_file(path_of(path, key)).close()
            except OSError as error:
                raise PyagentError(f"cannot read the key {path!r} (keyfile) for ssh: {error.strerror}") from None
            command += ["-i", path, "-o", "IdentitiesOnly=yes"]
        known = "/dev/null" if self.unverified else self.parameters.get("known_hosts", "")
        if known:
            command += ["-o", f'UserKnownHostsFile="{os.path.expanduser(known)}"']
        command += ["-o", f"StrictHostKeyChecking={'no' if self.unverified else 'yes'}"]
        command += ["-p", str(self.port)] if self.port else []
        command += ["-l", self.user] if self.user else []
        if given := self.parameters.get("socket"):
            there = f"nc -U {shlex.quote(given)}"
        else:
            helper = f"virt-ssh-helper -r {shlex.quote(self.name)}"
            netcat = "nc -U /var/run/libvirt/libvirt-sock-ro"
            there = f"if command -v virt-ssh-helper >/dev/null 2>&1; then exec {helper}; else exec {netcat}; fi"
        return [*command, "--", self.host, f"sh -c {shlex.quote(there)}"]


def _refuse(cause: str) -> NoReturn:
    raise ConfigError(f"cannot use libvirt_uri: {cause}", option="libvirt_uri")


class _Ssh:
    """A program whose standard input and output are the connection."""

    def __init__(self, command: list[str], host: str, seconds: float) -> None:
        self._host = host
        self._socket, other = socket.socketpair()
        self._socket.settimeout(seconds)
        environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        try:
            with other:
                self._process = subprocess.Popen(  # noqa: S603  # no shell of this host sees what the URI has
                    command,
                    stdin=other.fileno(),
                    stdout=other.fileno(),
                    stderr=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            self._socket.close()
            raise PyagentError(f"cannot run `ssh`: {error.strerror}; apt install openssh-client") from None

    def sendall(self, data: bytes, /) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            raise self._ended() from None

    def recv(self, most: int, /) -> bytes:
        data = b""
        with suppress(OSError):
            data = self._socket.recv(most)
        if not data:
            raise self._ended()
        return data

    def shutdown(self, how: int, /) -> None:
        self._socket.shutdown(how)

    def close(self) -> None:
        self._socket.close()
        self._end()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _end(self) -> None:
        try:
            self._process.wait(_END)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_END)

    def _ended(self) -> Lost:
        """With what it wrote to standard error."""
        assert self._process.stderr is not None
        self._end()
        text = ""
        os.set_blocking(self._process.stderr.fileno(), False)  # what ssh has started may hold it open
        with suppress(BlockingIOError):
            text = os.read(self._process.stderr.fileno(), 65536).decode("utf-8", "replace").strip()
        said = f": {text.splitlines()[-1][:_LONGEST_SAID]}" if text else ""
        return Lost(f"ssh to {self._host} has ended, or has no answer{said}")

"""Connections of TCP by state, and sockets of UDP.

/proc/net/tcp, tcp6, udp, udp6 and unix. Names and types are those of Telegraf 1.40.
"""

import os
import re

from pyagent.api import About, Accumulator, Chart, Input, Measurement, PyagentError, fields
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.once import Once
from pyagent.kit.procfs import host_path, read_bytes

__all__ = ["Netstat"]

_STATES = {
    b"01": "tcp_established",
    b"02": "tcp_syn_sent",
    b"03": "tcp_syn_recv",
    b"04": "tcp_fin_wait1",
    b"05": "tcp_fin_wait2",
    b"06": "tcp_time_wait",
    b"07": "tcp_close",
    b"08": "tcp_close_wait",
    b"09": "tcp_last_ack",
    b"0A": "tcp_listen",
    b"0B": "tcp_closing",
}
_NONE, _UDP = "tcp_none", "udp_socket"
_STREAM, _DATAGRAM = 1, 2
_FILES = (("tcp", _STREAM), ("tcp6", _STREAM), ("udp", _DATAGRAM), ("udp6", _DATAGRAM))
_ADDRESS = re.compile(rb"((?:[0-9A-F]{2})*):0*([0-9A-F]{1,4})")
_MAPPED = b"0000000000000000FFFF0000"
"""Before the IPv4 address in one of IPv6."""
_LEAST_WORDS, _LEAST_OF_UNIX = 10, 7
_TYPE, _PATH = 4, 7


class Netstat(Input):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "netstat",
            "Connections and sockets; those with the same addresses, ports and state count once.",
            fields=fields(
                "int",
                "1",
                tcp_established="open connections",
                tcp_syn_sent="wait for the answer to a request for a connection",
                tcp_syn_recv="wait for the last part of a request for a connection",
                tcp_fin_wait1="closed here, and the other side has not confirmed it",
                tcp_fin_wait2="closed here, and not yet by the other side",
                tcp_time_wait="closed, and waiting for late packets",
                tcp_close="not in use",
                tcp_close_wait="closed by the other side, and not yet here",
                tcp_last_ack="closed by both, and the other side has not confirmed it",
                tcp_listen="listening sockets",
                tcp_closing="closed by both at the same time",
                tcp_none="stream sockets of unix",
                udp_socket="sockets of UDP, and datagram sockets of unix",
            ),
            charts=(
                Chart("Connections", ("tcp_established", "tcp_time_wait", "tcp_close_wait", "tcp_listen")),
                Chart("UDP sockets", ("udp_socket",)),
            ),
        ),
    )

    def setup(self) -> None:
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: a host may have a hundred thousand connections.
        counts = dict.fromkeys((*_STATES.values(), _NONE, _UDP), 0)
        seen: set[tuple[int, bytes, bytes, bytes]] = set()
        for name, kind in _FILES:
            path = host_path("proc", "net", name)
            if name.endswith("6") and not os.path.exists(path):
                continue  # a kernel without IPv6
            for socket in self._inet(path, kind):
                if socket in seen:
                    continue
                seen.add(socket)
                if field := _UDP if kind == _DATAGRAM else _STATES.get(socket[3]):
                    counts[field] += 1
        for kind, _path in set(self._unix(host_path("proc", "net", "unix"))):
            # Those of UDP have addresses, and cannot be the same.
            counts[_UDP if kind == _DATAGRAM else _NONE] += 1
        acc.add("netstat", counts)

    def _inet(self, path: str, kind: int) -> list[tuple[int, bytes, bytes, bytes]]:
        found = []
        for number, line in enumerate(_lines(path), start=2):
            words = line.split(None, _LEAST_WORDS)
            if len(words) >= _LEAST_WORDS:
                local, remote = _address(words[1], path), _address(words[2], path)
                if local and remote:
                    found.append((kind, local, remote, words[3] if kind == _STREAM else b""))
                    continue
            if words:
                self._warn(path, number, line)
        return found

    def _unix(self, path: str) -> list[tuple[int, bytes]]:
        found = []
        for number, line in enumerate(_lines(path), start=2):
            words = line.split()
            if len(words) < _LEAST_OF_UNIX:
                if words:
                    self._warn(path, number, line)
                continue
            kind = parse_unsigned(words[_TYPE].decode("latin-1"))
            if kind is None:
                raise PyagentError(f"cannot read {path}: line {number}: word {_TYPE + 1} is no type of a socket")
            found.append((kind, words[_PATH] if len(words) == _PATH + 1 else b""))
        return found

    def _warn(self, path: str, number: int, line: bytes) -> None:
        if self._once(path):
            shown = line.strip()[:80].decode("utf-8", "backslashreplace")
            self.log.warning("cannot read %s: line %d: it is no socket, and does not count: %r", path, number, shown)


def _lines(path: str) -> list[bytes]:
    """Those behind the first one, which names the columns. Raises PyagentError for a file that is cut."""
    data = read_bytes(path)
    if b"\0" in data or not data:
        raise PyagentError(f"cannot read {path}: line 1: it has no names of columns")
    if data and not data.endswith(b"\n"):
        number = data.count(b"\n") + 1
        raise PyagentError(f"cannot read {path}: line {number}: the file ends within it")
    return data.split(b"\n")[1:]


def _address(word: bytes, path: str) -> bytes:
    """One text for one address and port, as IPv4 where it is that; empty for what is none."""
    match = _ADDRESS.fullmatch(word.upper())
    if match is None:
        return b""
    address, port = match.groups()
    if path.endswith("6"):
        if len(address) != 32:
            return b""
        address = address.removeprefix(_MAPPED)
    return b"%s:%s" % (address, port.rjust(4, b"0"))

"""Traffic of the network interfaces.

Linux: /proc/net/dev, and /sys/class/net for the speed. Elsewhere: psutil. Names and types are those of Telegraf 1.40.
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

from pyagent.api import (
    Accumulator,
    Chart,
    Field,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Uint,
    counters,
    option,
)
from pyagent.kit.filter import name_filter
from pyagent.kit.procfs import host_path, read_int, read_rows

__all__ = ["Net", "NetOptions"]


class NetOptions(Options, frozen=True):
    interfaces: Annotated[
        list[str], option("report these, whatever their state; wildcards may be used ([]: those that are up, but lo)")
    ] = []
    ignore_protocol_stats: Annotated[
        bool, option("statistics of protocols are those of inputs.nstat", no_effect=True)
    ] = False


_COLUMNS = {
    "bytes_recv": 0,
    "packets_recv": 1,
    "err_in": 2,
    "drop_in": 3,
    "bytes_sent": 8,
    "packets_sent": 9,
    "err_out": 10,
    "drop_out": 11,
}
"""Field -> its place behind the colon in /proc/net/dev."""
_LEAST_COLUMNS = 13
_HEADERS = 2
_PSUTIL = {
    "bytes_recv": "bytes_recv",
    "packets_recv": "packets_recv",
    "err_in": "errin",
    "drop_in": "dropin",
    "bytes_sent": "bytes_sent",
    "packets_sent": "packets_sent",
    "err_out": "errout",
    "drop_out": "dropout",
}
_SIOCGIFFLAGS, _IFF_UP, _IFF_LOOPBACK = 0x8913, 0x1, 0x8
_NO_SPEED = -1

Values = dict[str, int]


class Net(Input[NetOptions]):
    measurements = (
        Measurement(
            "net",
            "Traffic of one interface since it came up.",
            tags={"interface": "its name"},
            fields=counters("uint", "bytes", bytes_sent="sent", bytes_recv="received")
            | counters(
                "uint",
                "1",
                packets_sent="packets sent",
                packets_recv="packets received",
                err_in="errors of receiving",
                err_out="errors of sending",
                drop_in="packets received and dropped",
                drop_out="packets dropped instead of sent",
            )
            | {"speed": Field("int", "Mbit/s", "speed of the link, -1 where there is none (Linux)")},
            charts=(
                Chart("Network traffic", ("bytes_recv", "bytes_sent"), overview=True),
                Chart("Packets", ("packets_recv", "packets_sent")),
                Chart("Network errors, and dropped packets", ("err_in", "err_out", "drop_in", "drop_out")),
            ),
        ),
    )

    def setup(self) -> None:
        wanted = self.options.interfaces
        self._wanted = name_filter(wanted, names=("interfaces", "")) if wanted else None
        # Which interfaces there are is asked of the kernel, which answers for the network that this process is in: in a
        # container that is not the one of the host whose /proc is read.
        self._asks = not os.environ.get("HOST_PROC")

    async def gather(self, acc: Accumulator) -> None:
        for name, found in self._linux() if sys.platform == "linux" else self._portable():
            acc.add("net", found, {"interface": name}, kind=MetricType.COUNTER)

    def _linux(self) -> Iterator[tuple[str, Values]]:
        path = host_path("proc", "net/dev")
        speeds = host_path("sys", "class/net")
        header, seen = 0, set[str]()
        with _Flags() as flags:
            for row in read_rows(path, whole=True):
                name, colon, rest = row.text.rpartition(":")
                if not colon:
                    header += 1
                    if header > _HEADERS or seen or "|" not in row.text:
                        row.fail("it names no interface")
                    continue
                name, row.words = name.strip(), rest.split()
                if not name or len(row.words) < _LEAST_COLUMNS:
                    row.fail(f"it is no interface with {_LEAST_COLUMNS} numbers or more")
                if name in seen:
                    row.fail("this interface is there twice")
                seen.add(name)
                values = row.all_unsigned(0, _LEAST_COLUMNS)
                if self._reports(name, flags):
                    found: Values = {field: values[place] for field, place in _COLUMNS.items()}
                    found["speed"] = _speed(os.path.join(speeds, name, "speed"))
                    yield name, found
        if header != _HEADERS:
            raise PyagentError(f"cannot read {path}: it has no two lines of titles")
        if not seen:
            raise PyagentError(f"cannot read {path}: it names no interface, not even lo")

    def _reports(self, name: str, flags: "_Flags") -> bool:
        if self._wanted is not None:
            return self._wanted(name)
        return not self._asks or flags.of(name) & (_IFF_UP | _IFF_LOOPBACK) == _IFF_UP

    def _portable(self) -> Iterator[tuple[str, Values]]:
        import psutil  # type: ignore[import-untyped]  # it comes without type information

        stats = psutil.net_if_stats()
        for name, counted in psutil.net_io_counters(pernic=True).items():
            if self._wanted is not None:
                if not self._wanted(name):
                    continue
            elif name not in stats or not stats[name].isup or "loopback" in getattr(stats[name], "flags", ""):
                continue
            found: Values = {field: Uint(getattr(counted, attribute)) for field, attribute in _PSUTIL.items()}
            yield name, found | {"speed": _NO_SPEED}


def _speed(path: str) -> int:
    with suppress(PyagentError):
        return read_int(path)
    return _NO_SPEED  # most virtual ones have none, and one that is down does not tell it


class _Flags:
    """The flags of this network's interfaces, by netdevice(7)."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def __enter__(self) -> "_Flags":
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def of(self, name: str) -> int:
        """0 for one that there is not. Raises PyagentError."""
        import fcntl

        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            request = os.fsencode(name).ljust(40, b"\0")
            answer = fcntl.ioctl(self._socket, _SIOCGIFFLAGS, request)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return 0
            raise PyagentError(f"cannot ask for the state of {name}: {error.strerror}") from None
        return int.from_bytes(answer[16:18], sys.byteorder)

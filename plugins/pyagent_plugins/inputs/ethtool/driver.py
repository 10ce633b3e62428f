"""What the drivers of network interfaces tell by the ioctl SIOCETHTOOL: <linux/ethtool.h>, <linux/sockios.h>."""

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

from pyagent.kit.numbers import UINT64_MAX

__all__ = ["NAME_SIZE", "Driver", "Statistics", "Unsupported"]

NAME_SIZE = 32
"""Bytes of the name of a statistic, with zeros at its end."""

_SIOCETHTOOL = 0x8946
_GET_SETTINGS, _GET_DRIVER, _GET_LINK, _GET_STRINGS, _GET_STATISTICS = 0x1, 0x3, 0xA, 0x1B, 0x1D
_OF_STATISTICS = 1
_REQUEST = struct.Struct("16sP16x")
_DRIVER = struct.Struct("=I32s32s32s32s32s12sIIIII")
_STRINGS = struct.Struct("=III")
_STATISTICS = struct.Struct("=II")
_SETTINGS = struct.Struct("=IIIHBBBBBBIIHBBIII")
_LINK = struct.Struct("=II")
_VALUE_SIZE = 8
_MOST = 32768
_ATTEMPTS = 3
_UNKNOWN_SPEEDS = (0xFFFF, 0xFFFFFFFF)
_LONGEST_NAME = 15


class Unsupported(Exception):
    """The driver does not tell it."""


@dataclass(frozen=True, slots=True)
class Statistics:
    driver: str
    names: bytes
    """NAME_SIZE bytes for each of them."""
    values: tuple[int, ...]


class Driver:
    """Asks drivers. All methods take a socket of the network namespace in which the interface is.

    They raise OSError with what the kernel says, and Unsupported.
    """

    def __init__(self) -> None:
        # The kernel writes as many names as the driver has by then, whatever room there is said to be. There is room for the
        # most that are read; pages that nobody writes to take no memory.
        self._area = mmap.mmap(-1, _STRINGS.size + _MOST * NAME_SIZE)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._area))

    def statistics(self, opened: socket.socket, name: str) -> Statistics:
        for _ in range(_ATTEMPTS):
            told = self._ask(opened, name, _DRIVER, _GET_DRIVER)
            driver = os.fsdecode(told[1].partition(b"\0")[0])
            count = told[8]
            if count > _MOST:
                raise OSError(
                    errno.EOVERFLOW, f"the driver {driver} has {count} statistics; {_MOST} are read at the most"
                )
            _, _, named = self._ask(opened, name, _STRINGS, _GET_STRINGS, _OF_STATISTICS, count)
            names = self._area[_STRINGS.size : _STRINGS.size + count * NAME_SIZE]
            _, valued = self._ask(opened, name, _STATISTICS, _GET_STATISTICS, count)
            if count == named == valued:
                return Statistics(driver, names, struct.unpack_from(f"={count}Q", self._area, _STATISTICS.size))
        raise OSError(
            errno.EAGAIN, f"the number of statistics changed while they were read, {_ATTEMPTS} times in a row"
        )

    def link(self, opened: socket.socket, name: str) -> dict[str, int]:
        """Speed in Mbit/s (the largest number there is where it is not known), duplex, autoneg and link."""
        told = self._ask(opened, name, _SETTINGS, _GET_SETTINGS)
        speed = told[12] << 16 | told[3]
        _, link = self._ask(opened, name, _LINK, _GET_LINK)
        return {
            "speed": UINT64_MAX if speed in _UNKNOWN_SPEEDS else speed,
            "duplex": told[4],
            "autoneg": told[8],
            "link": link,
        }

    def _ask(self, opened: socket.socket, name: str, layout: struct.Struct, *words: int) -> tuple[Any, ...]:
        """What the kernel writes over a question of `layout`, whose first fields are `words`, the others 0."""
        self._area[: layout.size] = struct.pack(f"={len(words)}I", *words).ljust(layout.size, b"\0")
        request = _REQUEST.pack(os.fsencode(name)[:_LONGEST_NAME], self._address)
        try:
            fcntl.ioctl(opened, _SIOCETHTOOL, request)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                raise Unsupported from None
            raise
        return layout.unpack_from(self._area)

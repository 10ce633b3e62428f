"""Caches of block devices (bcache).

Linux: /sys/fs/bcache. Names and types are those of Telegraf 1.40.
"""

import glob
import os
import struct
from typing import Annotated

from pyagent.api import About, Accumulator, Input, Measurement, Options, PyagentError, Uint, counters, fields, option
from pyagent.api.files import path_of
from pyagent.kit.numbers import parse_finite, parse_unsigned
from pyagent.kit.procfs import host_path, read_text

__all__ = ["Bcache", "BcacheOptions"]


class BcacheOptions(Options, frozen=True):
    bcachePath: Annotated[  # Telegraf's names
        str, option("where bcache is (empty: /sys/fs/bcache, or that of HOST_SYS)", reads_path=True)
    ] = ""
    bcacheDevs: Annotated[list[str], option("report these devices alone, such as bcache0 ([]: all)")] = []


_FACTORS = {"k": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}


class Bcache(Input[BcacheOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "bcache",
            "Each cached device, since it was attached. A field for each file of stats_total.",
            tags={"backing_dev": "the device that is cached", "bcache_dev": "the device that uses the cache"},
            fields=fields("uint", "bytes", dirty_data="not yet written back")
            | counters("uint", "bytes", bypassed="read and written past the cache")
            | counters(
                "uint",
                "1",
                cache_hits="requests that the cache answered",
                cache_misses="requests that it did not",
                cache_bypass_hits="of those meant to go past it, those that it had",
                cache_bypass_misses="of those meant to go past it, those that it had not",
                cache_miss_collisions="misses in which a write came before the cache was filled",
                cache_readaheads="reads ahead",
            )
            | fields("uint", "percent", cache_hit_ratio="hits of all requests"),
            open=True,
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        root = self.options.bcachePath or host_path("sys", "fs/bcache")
        devices = sorted(glob.glob(os.path.join(glob.escape(root), "*", "bdev*")))
        if not devices:
            raise PyagentError(f"cannot read {root}: there is no bcache device; remove this input, or set `bcachePath`")
        for device in devices:
            tags = {"backing_dev": _target(device, -2), "bcache_dev": _target(os.path.join(device, "dev"), -1)}
            if not self.options.bcacheDevs or tags["bcache_dev"] in self.options.bcacheDevs:
                acc.add("bcache", _read(path_of(device, root)), tags)


def _target(link: str, part: int) -> str:
    try:
        return os.readlink(link).split("/")[part]
    except (OSError, IndexError):
        raise PyagentError(f"cannot read {link}: it is no link to a device") from None


def _read(device: str) -> dict[str, Uint]:
    folder = os.path.join(device, "stats_total")
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise PyagentError(f"cannot read {folder}: {error.strerror}") from None
    if not names:
        raise PyagentError(f"cannot read {folder}: there is no file in it")
    found = {"dirty_data": _size(os.path.join(device, "dirty_data"))}
    for name in names:
        path = os.path.join(folder, name)
        found[name] = _size(path) if name == "bypassed" else _count(path)
    return found


def _count(path: str) -> Uint:
    value = parse_unsigned(text := read_text(path))
    if value is None:
        raise PyagentError(f"cannot read {path}: line 1: it is no number of 64 bits: {text[:80]!r}")
    return Uint(value)


def _size(path: str) -> Uint:
    """Bytes of a size such as 1.5G, with the precision of 32 bits, as Telegraf reads it."""
    text = read_text(path)
    power = _FACTORS.get(text[-1:], 0)
    number = parse_finite(text[:-1] if power else text)
    try:
        if number is None or not number >= 0:
            raise ValueError
        size = int(struct.unpack("f", struct.pack("f", number))[0] * (1 << power))
    except (ValueError, OverflowError):
        size = 1 << 64
    if size >= 1 << 64:
        raise PyagentError(f"cannot read {path}: line 1: it is no size of 64 bits, such as 1.5G: {text[:80]!r}")
    return Uint(size)

"""Caches of the device mapper (dm-cache).

Runs `sudo /sbin/dmsetup status --target cache`. Names and types are those of Telegraf 1.40.
"""

from typing import Annotated

from pyagent.api import About, Accumulator, Input, Measurement, Options, counters, fields, option
from pyagent.kit.command import Commands
from pyagent.kit.numbers import parse_integer
from pyagent.kit.procfs import Row, rows_of

__all__ = ["DmCache", "DmCacheOptions"]


class DmCacheOptions(Options, frozen=True):
    per_device: Annotated[bool, option("report each device, and not only the sum of all")] = True


_COMMAND = ["/sbin/dmsetup", "status", "--target", "cache"]
_TIMEOUT = 30.0
_WORDS = 15
_PLACES = {
    "length": (2, None),
    "metadata_blocksize": (4, None),
    "metadata_used": (5, 0),
    "metadata_total": (5, 1),
    "cache_blocksize": (6, None),
    "cache_used": (7, 0),
    "cache_total": (7, 1),
    "read_hits": (8, None),
    "read_misses": (9, None),
    "write_hits": (10, None),
    "write_misses": (11, None),
    "demotions": (12, None),
    "promotions": (13, None),
    "dirty": (14, None),
}
"""The word of each number, and its part where that is USED/TOTAL."""


class DmCache(Input[DmCacheOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "dmcache",
            "Each cached device, and all of them.",
            tags={"device": "its name; all: the sum"},
            fields=fields(
                "int",
                "1",
                length="length of the device, sectors",
                metadata_blocksize="size of a block of metadata, sectors",
                metadata_used="blocks of metadata in use",
                metadata_total="blocks of metadata",
                cache_blocksize="size of a block of the cache, sectors",
                cache_used="blocks of the cache in use",
                cache_total="blocks of the cache",
                dirty="blocks of the cache that are not yet written back",
            )
            | counters(
                "int",
                "1",
                read_hits="reads from the cache",
                read_misses="reads past the cache",
                write_hits="writes to the cache",
                write_misses="writes past the cache",
                demotions="blocks moved out of the cache",
                promotions="blocks moved into the cache",
            ),
        ),
    )

    def setup(self) -> None:
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="", use_sudo=True)

    def gather(self, acc: Accumulator) -> None:
        output = self._commands.run(_COMMAND).stdout
        total = dict.fromkeys(_PLACES, 0)
        for row in rows_of("the output of `dmsetup status`", b"" if output == b"No devices found\n" else output):
            found = {name: _number(row, *place) for name, place in _PLACES.items()}
            if self.options.per_device:
                acc.add("dmcache", found, {"device": row.words[0].rstrip(":")})
            for name, value in found.items():
                total[name] += value
        acc.add("dmcache", total, {"device": "all"})

    async def stop(self) -> None:
        self._commands.stop()


def _number(row: Row, place: int, part: int | None) -> int:
    if len(row.words) < _WORDS:
        row.fail(f"it has {len(row.words)} words, and not {_WORDS} or more")
    if part is None:
        return row.integer(place)
    parts = row.words[place].split("/")
    value = parse_integer(parts[part]) if len(parts) == 2 else None
    if value is None:
        row.fail(f"word {place + 1} is not as in 1018/1501122")
    return value

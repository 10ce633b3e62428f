"""Link quality of wireless interfaces.

Linux: /proc/net/wireless. Names and types are those of Telegraf 1.40.
"""

import os
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    counters,
    fields,
    option,
)
from pyagent.kit.numbers import parse_integer
from pyagent.kit.procfs import Row, host_path, read_rows

__all__ = ["Wireless", "WirelessOptions"]


class WirelessOptions(Options, frozen=True):
    host_proc: Annotated[str, option("where /proc is (empty: HOST_PROC, else /proc)", reads_path=True)] = ""


_GAUGES = ("status", "link", "level", "noise")
_COUNTERS = ("nwid", "crypt", "frag", "retry", "misc", "beacon")
_HEADER = 2


class Wireless(Input[WirelessOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "wireless",
            "Each wireless interface.",
            tags={"interface": "its name"},
            fields=fields("int", "1", status="state, as its driver counts", link="quality of the link")
            | fields("int", "dBm", level="level of the signal", noise="level of the noise")
            | counters(
                "int",
                "1",
                nwid="packets of another network",
                crypt="packets that could not be decrypted",
                frag="packets that could not be put together again",
                retry="retries that were given up",
                misc="other packets that were lost",
                beacon="beacons that were missed",
            ),
        ),
    )

    async def gather(self, acc: Accumulator) -> None:
        path = os.path.join(self.options.host_proc or host_path("proc"), "net/wireless")
        rows = list(read_rows(path, missing="the kernel has no wireless extensions", whole=True))
        if not rows or rows[0].words[0] != "Inter-|":
            raise PyagentError(f"cannot read {path}: line 1: it does not begin with Inter-|")
        if rows[-1].number < _HEADER:
            raise PyagentError(f"cannot read {path}: it has no two lines of titles")
        interfaces = [(row, _numbers(row)) for row in rows if row.number > _HEADER]
        odd = None
        for row, numbers in interfaces:
            if len(numbers) != len(_GAUGES) + len(_COUNTERS):
                odd = odd or row
                continue
            tags = {"interface": row.words[0].strip(":")}
            acc.add("wireless", dict(zip(_GAUGES, numbers, strict=False)), tags, kind=MetricType.GAUGE)
            rest = numbers[len(_GAUGES) :]
            acc.add("wireless", dict(zip(_COUNTERS, rest, strict=True)), tags, kind=MetricType.COUNTER)
        if odd:
            odd.fail(f"it has {len(odd.words) - 1} numbers, and not {len(_GAUGES) + len(_COUNTERS)}")


def _numbers(row: Row) -> list[int]:
    numbers = []
    for place, word in enumerate(row.words[1:], start=2):
        value = parse_integer(word.strip("."))
        if value is None:
            row.fail(f"word {place} is no number of 64 bits")
        numbers.append(value)
    return numbers

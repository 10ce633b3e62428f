"""What the demonstration knows of the series in the bucket: their latest points, read as they come."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

from pyagent.cli.readable import unit_of
from pyagent.cli.terminal import harmless

__all__ = ["History", "Series", "change", "changed", "empty", "grouped", "row_tags"]

HOUR = 3600.0
MOST_POINTS = 720
"""Of a series that are kept."""
OVERLAP = 40
"""Seconds that each look reaches back behind the one before: an agent writes up to a flush interval later than it gathers."""

_HOST = ("mem", "system", "cpu")
"""Measurements that come first."""
_FIRST = (
    "used",
    "used_percent",
    "available",
    "cached",
    "load1",
    "load5",
    "load15",
    "usage_user",
    "usage_system",
    "usage_idle",
    "numbackends",
    "xact_commit",
    "blks_hit",
    "tup_fetched",
    "tup_returned",
)
"""Fields that say the most, for where there is not room for all."""
_IDENTIFIERS = ("datid", "oid", "pid")


@dataclass(slots=True)
class Series:
    measurement: str
    tags: Mapping[str, str]
    field: str
    unit: str
    """As `pyagent.cli.readable` has them."""
    points: deque[tuple[float, Any]] = attribute(default_factory=lambda: deque(maxlen=MOST_POINTS))
    """Seconds since the epoch and value, oldest first; an hour at most."""

    @property
    def time(self) -> float:
        return self.points[-1][0]

    @property
    def value(self) -> Any:
        return self.points[-1][1]

    @property
    def numbers(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        return [(time, value) for time, value in self.points if _is_number(value)]


class History:
    """`units`: measurement and field -> declared unit."""

    def __init__(self, units: Mapping[tuple[str, str], str]) -> None:
        self._units = units
        self._series: dict[tuple[str, str, str], Series] = {}
        self._newest: dict[tuple[str, str], float] = {}
        self._looked = 0.0
        self.counts: Counter[str] = Counter()
        """Points that came, by measurement."""

    @property
    def series(self) -> Sequence[Series]:
        return list(self._series.values())

    def seconds_back(self) -> int:
        """How far the next look must reach back; `add` takes what it finds."""
        now = time.monotonic()
        since, self._looked = now - self._looked if self._looked else HOUR, now
        return min(int(since) + OVERLAP, int(HOUR))

    def add(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Take rows of a query, as `InfluxDB.query` gives them; whether any was new."""
        new = False
        for row in sorted(rows, key=lambda row: row["_time"]):
            tags, at = row_tags(row), row["_time"].timestamp()
            key = (row["_measurement"], str(tags), row["_field"])
            if (one := self._series.get(key)) is None:
                unit = unit_of(key[2], self._units.get((key[0], key[2]), ""))
                one = self._series[key] = Series(key[0], tags, key[2], unit)
            if one.points and at <= one.time:
                continue
            new = True
            one.points.append((at, row["_value"]))
            while at - one.points[0][0] > HOUR:
                one.points.popleft()
            if at > self._newest.get(key[:2], 0.0):
                self._newest[key[:2]] = at
                self.counts[key[0]] += 1
        return new


def row_tags(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: value for name, value in sorted(row.items()) if name[:1] != "_" and name not in ("result", "table")}


def changed(one: Series) -> bool:
    """Whether its value was not always the same."""
    return any(value != one.value for _, value in one.points)


def empty(one: Series) -> bool:
    """Whether it says nothing: it was always 0, always the same text, or is an identifier."""
    identifies = one.field in _IDENTIFIERS or one.field.endswith("_id")
    return identifies or ((not one.value or not _is_number(one.value)) and not changed(one))


def change(one: Series) -> float:
    """From the last point but one to the last; 0 for what is no number."""
    numbers = one.numbers
    return numbers[-1][1] - numbers[-2][1] if len(numbers) > 1 else 0.0


def grouped(series: Sequence[Series]) -> dict[str, list[Series]]:
    """The fields of one measurement and tag set together, by a name with those tags that tell sets apart. Fields that change
    come first, then those that say the most."""
    values: dict[tuple[str, str], set[str]] = {}
    for one in series:
        for tag, value in one.tags.items():
            values.setdefault((one.measurement, tag), set()).add(value)
    groups: dict[str, list[Series]] = {}
    for one in sorted(series, key=lambda one: (*_place(one.measurement, _HOST), str(one.tags), *_rank(one))):
        telling = (f"{tag}={value}" for tag, value in one.tags.items() if len(values[one.measurement, tag]) > 1)
        groups.setdefault(harmless(" ".join((one.measurement, *telling))), []).append(one)
    return groups


def _rank(one: Series) -> tuple[Any, ...]:
    return (not changed(one), empty(one), *_place(one.field, _FIRST))


def _place(name: str, first: Sequence[str]) -> tuple[int, str]:
    return (first.index(name) if name in first else len(first), name)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

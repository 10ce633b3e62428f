"""A body of plain lines, read series by series: all values of a field at once.

Agents write the same fields of the same series again and again. What does not look like that, or holds anything of which the
scanner has something to say, is left to `points.parse`, which is the definition; this gives the same points, or nothing.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pyagent.sandbox.points import (
    BOOLEAN,
    FIELDS,
    FLOAT,
    INTEGER,
    KEY,
    MAX_KEY,
    MAX_TIME,
    MIN_TIME,
    PRECISIONS,
    STRING,
    TRUE,
    UNSIGNED,
    UnparsableBody,
    ValueUnreadable,
    canonical,
    parse,
)

Fields = tuple[tuple[bytes, str], ...]
"""Names and types."""


class Run(NamedTuple):
    """Points of one series with the same fields. Of two at one time the later one of the run counts."""

    key: bytes
    fields: Fields
    times: list[int]
    columns: list[list[Any]]
    """The values of each field."""


_LINES: Final = 4
"""Lines of a series, from which on it is quicker to read them together."""
_PATTERNS: Final = {
    FLOAT: rb"(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)",
    INTEGER: rb"(-?\d{1,18})i",
    UNSIGNED: rb"(\d{1,19})u",
    STRING: rb'"([^"\\\n]*)"',
    BOOLEAN: rb"(true|false|True|False|TRUE|FALSE|[tTfF])",
}
_READ: Final[dict[str, Callable[[Sequence[bytes]], list[Any]]]] = {
    FLOAT: lambda texts: list(map(float, texts)),
    INTEGER: lambda texts: list(map(int, texts)),
    UNSIGNED: lambda texts: list(map(int, texts)),
    STRING: list,
    BOOLEAN: lambda texts: [text in TRUE for text in texts],
}


def parse_runs(body: bytes, now: int, precision: str) -> list[Run] | None:
    """The points of a body, the runs of a series in the order of its lines; None: `points.parse` must or had better read it."""
    of_key: dict[bytes, list[bytes]] = {}
    for line in body.removesuffix(b"\n").split(b"\n"):
        key, _, rest = line.partition(b" ")
        some = of_key.get(key)
        if some is None:
            of_key[key] = [rest]
        else:
            some.append(rest)
    if sum(map(len, of_key.values())) < _LINES * len(of_key):
        return None
    unit = PRECISIONS.get(precision, 1)
    default = now // unit * unit
    made: list[Run] = []
    series: set[bytes] = set()
    for key, rests in of_key.items():
        found = canonical(key) if KEY.fullmatch(key) else None
        if found is None or found in series:
            return None
        series.add(found)
        if len(key) + max(map(len, rests)) >= MAX_KEY:
            return None
        run = _run(found, rests, default, unit)
        if run is not None:
            made.append(run)
            continue
        try:
            points = parse(b"\n".join([key + b" " + rest for rest in rests]), now, precision)
        except (UnparsableBody, ValueUnreadable):
            return None
        if len(points) != len(rests):
            return None
        for found, fields, time in points:
            shape = tuple((name, kind) for name, kind, _ in fields)
            made.append(Run(found, shape, [time], [[value] for _, _, value in fields]))
    return made


def _run(key: bytes, rests: list[bytes], default: int, unit: int) -> Run | None:
    fields = tuple(
        (name, INTEGER if integer else UNSIGNED if unsigned else FLOAT if number else BOOLEAN if boolean else STRING)
        for name, integer, unsigned, number, _, boolean in FIELDS.findall(rests[0])
    )
    rows = _pattern(fields).findall(b"\n".join(rests)) if fields else []
    if len(rows) != len(rests):  # a row is of one line: so every line is one
        return None
    *texts, stamps = zip(*rows, strict=True)
    times = [int(stamp) * unit if stamp else default for stamp in stamps]
    columns = [_READ[kind](some) for (_, kind), some in zip(fields, texts, strict=True)]
    infinite = any(
        kind == FLOAT and (max(values) == math.inf or min(values) == -math.inf)
        for (_, kind), values in zip(fields, columns, strict=True)
    )
    return None if infinite or min(times) < MIN_TIME or max(times) > MAX_TIME else Run(key, fields, times, columns)


@lru_cache(4096)
def _pattern(fields: Fields) -> re.Pattern[bytes]:
    """A line's text behind the key."""
    text = b",".join(re.escape(name) + b"=" + _PATTERNS[kind] for name, kind in fields)
    return re.compile(b"^" + text + rb"(?: +(-?\d{1,19}))? *$", re.MULTILINE)

"""Line protocol that a program has ready: what can be taken of it, and what is wrong with the rest."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pyagent.api.line_options import LineOptions
from pyagent.api.metric import Metric
from pyagent.client.points import MOST_TEXT, too_long
from pyagent.client.times import EARLIEST, LATEST, time_ns
from pyagent.lineprotocol import Encoded, Precision, encode, parse, relay
from pyagent.lineprotocol.text import to_bytes

__all__ = ["Checked", "check_lines"]

_LINE_OPTIONS = LineOptions(uint_support=True)


@dataclass(frozen=True, slots=True)
class Checked:
    encoded: Encoded
    refused: list[tuple[str, str]]
    """Lines, with the reason."""
    more: int
    """Bad lines besides."""


def check_lines(lines: bytes | str, unit: str, tags: Mapping[str, str]) -> Checked:
    precision = cast("Precision", unit)
    now = time.time_ns()
    relayed = relay(lines, now, precision, _LINE_OPTIONS, tags=tags or None)
    encoded = relayed.encoded
    refused = [(error.text, str(error)) for error in relayed.errors]
    refused += [(metric.name, reason) for metric, reason in encoded.rejected]
    if encoded.count and (not EARLIEST <= encoded.oldest <= encoded.newest <= LATEST or _has_long_line(encoded)):
        good = []
        for metric in parse(lines, now, precision).metrics:
            metric.tags = {**tags, **metric.tags}
            try:
                time_ns(metric.time)
            except ValueError:
                text = encode([metric], _LINE_OPTIONS).data.decode("utf-8", "replace").rstrip("\n")
                refused.append((text, _no_time(metric.time, unit)))
            else:
                if reason := _too_long(metric):
                    refused.append((metric.name, reason))
                else:
                    good.append(metric)
        encoded = encode(good, _LINE_OPTIONS)
    return Checked(encoded, refused, relayed.bad - len(relayed.errors))


def _has_long_line(encoded: Encoded) -> bool:
    """Whether a field may be too long."""
    if len(encoded.data) <= MOST_TEXT:
        return False
    return any(end - start > MOST_TEXT for start, end in zip((0, *encoded.ends), encoded.ends, strict=False))


def _too_long(metric: Metric) -> str:
    for field, value in metric.fields.items():
        if isinstance(value, str) and len(value) > MOST_TEXT // 4 and (size := len(to_bytes(value))) > MOST_TEXT:
            return too_long(field, size)
    return ""


def _no_time(ns: int, unit: str) -> str:
    """In the words of a bare number of that unit."""
    from pyagent.client.times import UNITS

    try:
        time_ns(ns // UNITS[unit], unit)
    except ValueError as error:
        return f"{str(error).partition(';')[0]}; give the right precision"
    return "its time is out of range"

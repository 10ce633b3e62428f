"""Graphite's plain text: lines `NAME VALUE [TIME]`, of whose names templates make measurement, tags and field.

A name may have tags behind it: `cpu.load;host=web1;core=0`. One bad line costs all of the data that came with it.
"""

from math import floor, inf
from typing import Annotated

from pyagent.api import Metric, Options, ParseError, Parser, option
from pyagent.kit.memo import Memo
from pyagent.kit.numbers import parse_float
from pyagent.kit.page_room import check_room
from pyagent.kit.templates import Templates

__all__ = ["Graphite", "GraphiteOptions"]


class GraphiteOptions(Options, frozen=True):
    separator: Annotated[str, option("between words of a name that come together; empty: a point")] = "."
    templates: Annotated[list[str], option("how names are read: [SEPARATOR] [FILTER] TEMPLATE [TAG=VALUE,...]")] = []


_SECOND = 1_000_000_000
_FIRST, _LAST = -2_147_558_400 * _SECOND, 2_147_472_000 * _SECOND
"""From 1901-12-13 to 2038-01-19."""
_LAST_TEXT = str(_LAST // _SECOND)
_NAMES_BYTES = 1 << 20


class Graphite(Parser[GraphiteOptions]):
    def setup(self) -> None:
        self._templates = Templates(self.options.templates, self.options.separator or ".")
        self._names = Memo(self._name, most=_NAMES_BYTES)

    def parse(self, data: bytes) -> list[Metric]:
        lines = data.count(b"\n")
        check_room(len(data), lines, 2 * lines + data.count(b";"))
        names, default = self._names, self.default_tags
        plain = data.isascii()
        metrics = []
        errors: list[tuple[int, str]] = []
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), start=1):
            words = line.split()
            try:
                if len(words) == 3:
                    name, value, when = words
                    if len(when) == 10 and plain and when.isdigit() and when <= _LAST_TEXT:
                        time = int(when) * _SECOND
                    else:
                        time = self._time(when, name)
                elif len(words) == 2:
                    name, value = words
                    time = self.now()
                elif words:
                    raise ValueError(f"{line.strip()[:80]!r} is not NAME VALUE TIME")
                else:
                    continue
                measurement, tags, field = names[name]
                tags = {**default, **tags} if default else tags.copy()
                # Digits and points alone are read alike by all, and are most of what comes.
                quick = plain and value.replace(".", "", 1).isdigit() and len(value) < 300
                metrics.append(
                    Metric(measurement, tags, {field: float(value) if quick else _number(value, name, "value")}, time)
                )
            except ValueError as error:
                if len(errors) < 5:
                    errors.append((number, str(error)))
        if errors:
            (first, reason), *others = errors
            raise ParseError("; ".join([reason, *(f"line {line}: {text}" for line, text in others)]), first)
        return metrics

    def _name(self, text: str) -> tuple[str, dict[str, str], str]:
        name, *pairs = text.split(";")
        measurement, tags, field = self._templates.apply(name)
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key and value and "=" not in value and "!" not in key and "^" not in key and value[0] != "~":
                tags[key] = value
        return measurement or name, tags, field or "value"

    def _time(self, text: str, name: str) -> int:
        seconds = _number(text, name, "time")
        if seconds == -1:
            return self.now()
        time = int(seconds) * _SECOND + int((seconds - floor(seconds)) * 1e9) if -inf < seconds < inf else _LAST + 1
        if not _FIRST <= time <= _LAST:
            raise ValueError(f"the time {text[:80]} of {name[:80]!r} is out of range: from 1901 to 2038 can be kept")
        return time


def _number(text: str, name: str, what: str) -> float:
    number = parse_float(text)
    if number is None:
        raise ValueError(f"the {what} of {name[:80]!r} must be a number, and is {text[:80]!r}")
    return number

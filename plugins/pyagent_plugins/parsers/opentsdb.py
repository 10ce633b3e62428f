"""Lines of OpenTSDB's telnet protocol: `put NAME TIME VALUE key=value ...`.

A line that is none, as another command, is logged and left out.
"""

from pyagent.api import Metric, Parser
from pyagent.kit.numbers import INT64_MAX, INT64_MIN, parse_float, parse_integer
from pyagent.kit.page_room import check_room

__all__ = ["Opentsdb"]

_MILLISECONDS_FROM = 1_000_000_000_000
"""Times from here on are milliseconds."""

_MOST_TOLD = 10
"""Bad lines of one text that are logged one by one."""


class Opentsdb(Parser):
    def parse(self, data: bytes) -> list[Metric]:
        check_room(len(data), data.count(b"\n"), data.count(b"="))
        lines = data.decode("utf-8", "surrogateescape").split("\n")
        if not lines[-1]:
            lines.pop()
        metrics, bad = [], 0
        for number, line in enumerate(lines, start=1):
            try:
                metrics.append(self._metric(line.split()))
            except ValueError as error:
                bad += 1
                if bad <= _MOST_TOLD:
                    self.log.error("line %d is left out: %r: %s", number, line[:200], error)
        if bad > _MOST_TOLD:
            self.log.error("%d more lines are left out", bad - _MOST_TOLD)
        return metrics

    def _metric(self, words: list[str]) -> Metric:
        if len(words) < 4 or words[0] != "put":
            raise ValueError("it is not `put NAME TIME VALUE key=value`")
        _, name, when, text, *pairs = words
        value, time = parse_float(text), parse_integer(when)
        if value is None:
            raise ValueError(f"the value of {name[:80]!r} must be a number, and is {text[:80]!r}")
        if time is None:
            raise ValueError(f"the time of {name[:80]!r} must be an integer, and is {when[:80]!r}")
        time *= 1_000_000_000 if time < _MILLISECONDS_FROM else 1_000_000
        if not INT64_MIN <= time <= INT64_MAX:
            raise ValueError(f"the time of {name[:80]!r} is out of range: from 1677 to 2262 can be kept")
        tags = dict(self.default_tags)
        for pair in pairs:
            key, _, tag = pair.partition("=")
            if key and tag and "=" not in tag:
                tags[key] = tag
        return Metric(name, tags, {"value": value}, time)

"""Lines of a log, by patterns such as `%{COMBINED_LOG_FORMAT}` or `%{WORD:verb:tag} took %{NUMBER:seconds:float}`.

The patterns are logstash's, Telegraf's, and those that the configuration defines. A line that no pattern matches is left
out. What a key's modifier cannot read is logged, and costs that key alone.
"""

from collections.abc import Callable
from typing import Annotated

from pyagent.api import ConfigError, FieldValue, Metric, Options, Parser, option
from pyagent.api.files import read_file
from pyagent.kit.page_room import check_room
from pyagent.kit.problems import Problems
from pyagent.kit.timestamps import Zone, load_zone
from pyagent_plugins.parsers.grok.patterns import Line, compile_lines, definitions
from pyagent_plugins.parsers.grok.values import UniqueTimes, duration, fraction, integer, time_reader

__all__ = ["Grok", "GrokOptions"]


class GrokOptions(Options, frozen=True):
    grok_patterns: Annotated[
        list[str], option("patterns; the first that matches a line counts; []: %{COMBINED_LOG_FORMAT}")
    ] = []
    grok_named_patterns: Annotated[
        list[str], option("Telegraf makes them of the patterns, whatever stands here", no_effect=True)
    ] = []
    grok_custom_patterns: Annotated[str, option("patterns of your own: lines NAME REGULAR-EXPRESSION")] = ""
    grok_custom_pattern_files: Annotated[list[str], option("files of such lines", reads_path=True)] = []
    grok_timezone: Annotated[str, option("zone of times that name none: an IANA name or Local; empty: UTC")] = ""
    grok_unique_timestamp: Annotated[
        str, option("auto: lines of the same time are moved apart; any other text: they are not")
    ] = "auto"
    grok_multiline: Annotated[bool, option("what comes at once is one text, not lines")] = False


_READERS: dict[str, tuple[str, Callable[[str], FieldValue]]] = {
    "int": ("an integer", integer),
    "float": ("a number", fraction),
    "duration": ("a duration", duration),
}


class _Plan:
    """What becomes of the groups of one pattern: pairs of their numbers and keys."""

    def __init__(self, line: Line, zone: Zone) -> None:
        self.find = line.find
        self.is_empty = not line.keys
        self.fields: list[tuple[int, str]] = []
        self.tags: list[tuple[int, str]] = []
        self.values: list[tuple[int, str, str, Callable[[str], FieldValue]]] = []
        """With what is read, and how."""
        self.names: list[int] = []
        self.time: tuple[int, Callable[[str], int]] | None = None
        for number, key, modifier in line.keys:
            if modifier in ("", "string"):
                self.fields.append((number, key))
            elif modifier == "tag":
                self.tags.append((number, key))
            elif modifier in _READERS:
                self.values.append((number, key, *_READERS[modifier]))
            elif modifier == "measurement":
                self.names.append(number)
            elif modifier != "drop":
                self.time = number, time_reader(modifier, zone)


class Grok(Parser[GrokOptions]):
    def setup(self) -> None:
        self._problems = Problems(self.log)
        options = self.options
        name = "grok_custom_patterns"
        try:
            custom = definitions(options.grok_custom_patterns.splitlines())
            name = "grok_custom_pattern_files"
            for path in options.grok_custom_pattern_files:
                custom |= definitions(read_file(path).decode("utf-8", "surrogateescape").splitlines())
            name = "grok_patterns"
            lines = compile_lines(tuple(options.grok_patterns or ["%{COMBINED_LOG_FORMAT}"]), tuple(custom.items()))
        except (ValueError, OSError) as error:
            raise ConfigError(f"cannot use {name}: {error}", option=name) from None
        if not lines:
            raise ConfigError("cannot use grok_patterns: all are empty", option="grok_patterns")
        try:
            zone = load_zone(options.grok_timezone)
        except ValueError as error:
            self.log.warning("cannot use grok_timezone: %s; times are taken as UTC", error)
            zone = load_zone("")
        self._plans = [_Plan(line, zone) for line in lines]
        self._unique = UniqueTimes() if options.grok_unique_timestamp in ("auto", "") else None
        self._warned = False

    def parse(self, data: bytes) -> list[Metric]:
        text = data.decode("utf-8", "surrogateescape")
        if self.options.grok_multiline:
            lines = [text]
        else:
            count = data.count(b"\n")
            check_room(len(data), count, 2 * count)
            lines = text.split("\n")
            if not lines[-1]:
                lines.pop()
            if "\r" in text:
                lines = [line.removesuffix("\r") for line in lines]
        plans, default, now, unique = self._plans, self.default_tags, self.now, self._unique
        metrics = []
        for line in lines:
            for plan in plans:
                try:
                    groups = plan.find(line)
                except ValueError as error:
                    self._undecided(error)
                    continue
                if groups is not None and not plan.is_empty:
                    break
            else:
                self.log.debug("no pattern matches %r", line[:1000])
                continue
            fields: dict[str, FieldValue] = {key: value for number, key in plan.fields if (value := groups[number])}
            tags = dict(default)
            for number, key in plan.tags:
                if value := groups[number]:
                    tags[key] = value
            for number, key, what, read in plan.values:
                if value := groups[number]:
                    try:
                        fields[key] = read(value)
                    except ValueError as error:
                        problem = f"cannot read {value[:1000]!r} as {what}, for {key!r}: {error}"
                        self._problems.add(f"{what} {key}", problem)
            for number in plan.names:
                # As in Telegraf it is also the name of lines behind it that have none.
                self.measurement = groups[number] or self.measurement
            time = self._time(plan.time, groups) if plan.time is not None else now()
            metrics.append(Metric(self.measurement, tags, fields, time if unique is None else unique.of(time)))
        return metrics

    def _time(self, plan: tuple[int, Callable[[str], int]], groups: tuple[str, ...]) -> int:
        number, read = plan
        if text := groups[number]:
            try:
                return read(text)
            except ValueError as error:
                self._problems.add("time", f"cannot read {text[:1000]!r} as a time; the present is taken: {error}")
        return self.now()

    def _undecided(self, error: ValueError) -> None:
        if not self._warned:
            self.log.warning("a line is left out, and so are others like it: %s", error)
            self._warned = True

"""What the demonstration shows of a state, as lines of text: a function of data, width and height."""

import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pyagent.cli.demo_chart import Glyphs, chart, sparkline
from pyagent.cli.demo_series import Series, change, changed, empty, grouped
from pyagent.cli.readable import readable, signed
from pyagent.cli.terminal import cells, counted, cut, harmless, span

__all__ = ["Agent", "Line", "State", "news", "screen"]

HEADING, QUIET, GRAPH, PLAIN = "bold", "dim", "cyan", ""

_CHARTS = (("mem", "used"), ("system", "load1"), ("cpu", "usage_idle"))
"""What is drawn, those that there are; the first one alone where there is not room for two beside each other."""
_NARROWEST_CHART, _BETWEEN = 48, 3
_LOWEST_WITH_CHART, _LOWEST_WITH_LONG_TEXTS = 16, 24
_NUMBER = 11
"""Columns of a value, and of a change."""
_MOST_TREND = 60
_AT_FIRST = 3
"""Fields that change of each group, before any group gets more; one where there is little room."""


@dataclass(slots=True)
class Agent:
    name: str
    """Of its configuration and instance."""
    measurement: str
    """The first that it is expected to write."""
    url: str
    """Of its configuration."""
    started: float
    """`time.monotonic()`."""
    first_point: float | None = None
    """Seconds from its start until a query saw its first point."""


@dataclass(frozen=True, slots=True)
class State:
    url: str
    org: str
    bucket: str
    agents: Sequence[Agent]
    series: Sequence[Series]
    counts: Mapping[str, int]
    """Points by measurement."""
    note: str
    now: float = field(default_factory=time.time)
    pages: str = ""
    """Where the server's pages are, and how one signs in."""


@dataclass(frozen=True, slots=True)
class Line:
    """Parts with the style that each has where there are styles."""

    parts: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


def screen(state: State, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """At most `height` lines of at most `width` columns; what is cut ends with a sign."""
    lines = list(_header(state, width, 1 if height < _LOWEST_WITH_LONG_TEXTS else 2))
    if height >= _LOWEST_WITH_CHART:
        lines += _charts(state, width, max(7, min(14, (height - len(lines)) // 2)), glyphs)
    lines += _table(state, width, height - len(lines) - 1, glyphs)
    return [_fitted(line, width, glyphs) for line in lines[:height]]


def news(group: Sequence[Series]) -> str:
    """The newest values of a group in one line."""
    shown = [f"{harmless(one.field)} {readable(one.value, one.unit)}" for one in group[:4]]
    rest = len(group) - len(shown)
    return ", ".join(shown) + (f", {rest} more" if rest else "")


# The parts of the screen ------------------------------------------------------------------------------------------------


def _header(state: State, width: int, most: int) -> Iterator[Line]:
    title, keys = "pyagent demo", "Ctrl-C ends it"
    yield Line(((title, HEADING), (keys.rjust(max(width - len(title), len(keys) + 2)), QUIET)))
    server = f"InfluxDB 2 (embedded) at {state.url}, organisation {state.org}, bucket {state.bucket}"
    yield from _wrapped(server, width, most)
    if state.pages:
        yield from _wrapped(state.pages, width, most)
    longest = max((len(agent.name) for agent in state.agents), default=0)
    for agent in state.agents:
        name = f"agent {agent.name:{longest}}  "
        yield Line(((name, HEADING), (_progress(agent, state, width - len(name)), PLAIN)))
    if state.note:
        yield from _wrapped(" ".join(state.note.split()), width, most, QUIET)


def _wrapped(text: str, width: int, most: int, style: str = PLAIN) -> Iterator[Line]:
    """`most`: lines that it may take; longer texts are cut, with a sign."""
    for line in textwrap.wrap(harmless(text), width, subsequent_indent="  ", max_lines=most, placeholder=" ..."):
        yield Line(((line, style),))


def _progress(agent: Agent, state: State, width: int) -> str:
    if agent.first_point is None:
        return "waiting for its first point"
    first = f"first point after {agent.first_point:.2f} s"
    newest = max((one.time for one in state.series if one.measurement == agent.measurement), default=None)
    if newest is None:
        return first
    points = f"{counted(state.counts.get(agent.measurement, 0), 'point')}, the last {span(state.now - newest)} ago"
    return next((text for text in (f"{first}; {points}", points) if len(text) <= width), first)


def _charts(state: State, width: int, height: int, glyphs: Glyphs) -> Iterator[Line]:
    """One chart, or two beside each other, below an empty line: `height` lines in all."""
    found = [one for name in _CHARTS for one in state.series if (one.measurement, one.field) == name and one.numbers]
    beside = max(1, min(len(found), (width + _BETWEEN) // (_NARROWEST_CHART + _BETWEEN)))
    share = (width - _BETWEEN * (beside - 1)) // beside
    drawn = []
    for one in found[:beside]:
        title = f"{one.measurement} {one.field}: {readable(one.value, one.unit)}"
        lines = chart(one.numbers, share, height - 2, one.unit, glyphs)
        if lines:
            drawn.append([title, *lines])
    for number, row in enumerate(zip(*drawn, strict=True)):
        if not number:
            yield Line()
        style = GRAPH if number else HEADING
        yield Line((*((text.ljust(share + _BETWEEN), style) for text in row[:-1]), (row[-1], style)))


def _table(state: State, width: int, room: int, glyphs: Glyphs) -> Iterator[Line]:
    """The groups of fields; `room`: lines below the first one, which is empty."""
    groups = grouped(state.series)
    rows = _shares(groups, room - 1)
    if not rows:
        return
    names = max(min(max(cells(harmless(one.field)) for one in state.series), width // 3), 8)
    trend = max(4, min(width - names - 2 * _NUMBER - 8, _MOST_TREND))

    def line(name: str, now: str, values: str, difference: str, style: str = PLAIN) -> Line:
        return Line(
            (
                (f"  {_left(name, names, glyphs)}  {_right(now, _NUMBER, glyphs)}  ", style),
                (f"{values:{trend}}  ", style or GRAPH),
                (_right(difference, _NUMBER, glyphs), style),
            )
        )

    yield Line()
    yield line("", "now", "trend", "change", QUIET)
    for name, count in rows.items():
        group = groups[name]
        rest = f"  {count} of {counted(len(group), 'field')}" if count < len(group) else ""
        yield Line(((name, HEADING), (rest, QUIET)))
        for one in group[:count]:
            numbers = [number for _, number in one.numbers]
            yield line(
                harmless(one.field),
                readable(one.value, one.unit),
                sparkline(numbers, trend, glyphs),
                signed(change(one), one.unit),
            )
    if missing := [name for name in groups if name not in rows]:
        yield Line(((f"and {', '.join(missing)}", QUIET),))


def _shares(groups: Mapping[str, Sequence[Series]], room: int) -> dict[str, int]:
    """How many fields of each group are shown, each group below a line with its name: some of all that change, more of them
    while there is room, the others then. Missing are groups that say nothing, or have no room: one line names them."""
    changing = {name: sum(map(changed, group)) for name, group in groups.items()}
    telling = [name for name, group in groups.items() if not all(map(empty, group))]
    shares: dict[str, int] = {}
    left = room
    at_first = _AT_FIRST if room >= len(telling) * (1 + _AT_FIRST) else 1
    for index, name in enumerate(sorted(telling, key=lambda name: not changing[name])):
        first = min(max(1, changing[name]), at_first, left - 1 - (index < len(groups) - 1))
        if first < 1:
            break
        shares[name] = first
        left -= 1 + first
    left -= len(shares) < len(groups)
    for wanted in (changing, {name: len(group) for name, group in groups.items()}):
        while left > 0 and (open_ := [name for name in shares if shares[name] < wanted[name]]):
            for name in open_[:left]:
                shares[name] += 1
                left -= 1
    return shares


def _left(text: str, width: int, glyphs: Glyphs) -> str:
    text = cut(text, width, glyphs.cut)
    return text + " " * (width - cells(text))


def _right(text: str, width: int, glyphs: Glyphs) -> str:
    text = cut(text, width, glyphs.cut)
    return " " * (width - cells(text)) + text


def _fitted(line: Line, width: int, glyphs: Glyphs) -> Line:
    parts = []
    for text, style in line.parts:
        if not glyphs.unicode:
            text = text.encode("ascii", "backslashreplace").decode("ascii")
        parts.append((cut(text, width, glyphs.cut), style))
        width -= cells(parts[-1][0])
    return Line(tuple(parts))

"""What the demonstration shows: a view for a terminal, lines for everything else."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

__all__ = ["Agent", "Display", "Lines", "Screen", "Series", "State"]

_FIRST = (
    "used_percent",
    "available_percent",
    "available",
    "used",
    "free",
    "numbackends",
    "xact_commit",
    "blks_hit",
    "tup_fetched",
)
"""Fields that say the most, for where there is not room for all."""
_HEADING, _COMMAND, _QUIET = "bold", "green", "dim"


@dataclass(slots=True)
class Agent:
    name: str
    """Of its configuration and instance."""
    measurement: str
    url: str
    """Of its configuration."""
    token: str
    """Only its first characters."""
    started: float
    """`time.monotonic()`."""
    first_point: float | None = None
    """Seconds from its start until a query saw its first point."""


@dataclass(frozen=True, slots=True)
class Series:
    measurement: str
    tags: Mapping[str, str]
    field: str
    value: object
    time: datetime
    last_minute: int
    """Points within the last minute."""


@dataclass(frozen=True, slots=True)
class State:
    url: str
    org: str
    bucket: str
    agents: Sequence[Agent]
    series: Sequence[Series]
    note: str


class Display(Protocol):
    def say(self, text: str) -> None: ...

    def show(self, state: State) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Lines:
    """One line for each thing that happens and each new point."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: set[str] = set()
        self._newest: dict[str, datetime] = {}

    def say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=self._stream, flush=True)

    def show(self, state: State) -> None:
        self._say_once(f"InfluxDB 2 at {state.url}, organisation {state.org}, bucket {state.bucket}")
        if state.note:
            self._say_once(state.note)
        for agent in state.agents:
            self._say_once(f"agent {agent.name} started with {agent.url}")
            if agent.first_point is not None:
                self._say_once(f"agent {agent.name}: first point stored {agent.first_point:.2f} s after its start")
        for name, group in _groups(state.series).items():
            newest = max(each.time for each in group)
            if newest != self._newest.get(name):
                self._newest[name] = newest
                shown = ", ".join(f"{each.field} {_value(each.value)}" for each in group[:3])
                self.say(f"{name}: {len(group)} fields: {shown}" + (", ..." if len(group) > 3 else ""))

    def _say_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self.say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class Screen:
    """The whole terminal, drawn anew at each `show`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        # No thread of rich's own: the demonstration starts processes, and says itself when there is news.
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def say(self, text: str) -> None:
        self._console.print(text)

    def show(self, state: State) -> None:
        header = _header(state)
        lines = len(header.wrap(self._console, self._console.width))
        self._live.update(Group(header, _table(state, self._console.height - lines - 4)), refresh=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()


def _header(state: State) -> Text:
    text = Text()
    text.append("pyagent demo", _HEADING).append("   Ctrl-C ends everything\n", _QUIET)
    text.append(f"InfluxDB 2 (embedded) at {state.url}, organisation {state.org}, bucket {state.bucket}\n")
    for agent in state.agents:
        came = (
            "waiting for its first point"
            if agent.first_point is None
            else f"first point after {agent.first_point:.2f} s"
        )
        text.append(f"agent {agent.name}: {came}\n")
    if state.note:
        text.append(f"{state.note}\n", _QUIET)
    text.append("\nThe same on a host, with an InfluxDB 2 of your own:\n", _HEADING)
    for agent in state.agents:
        text.append(f"  /etc/telegraf/telegraf-{agent.name}.env", _COMMAND)
        text.append(f"   INFLUX_TOKEN={agent.token}\n")
        text.append(f"{'':{len(agent.name) + 32}}TELEGRAF_CONFIG={agent.url}\n")
    names = " ".join(f"pyagent@{agent.name}" for agent in state.agents)
    text.append(f"  systemctl start {names}\n", _COMMAND)
    return text


def _table(state: State, room: int) -> Table:
    table = Table(expand=True, header_style=_HEADING, box=None, pad_edge=False)
    table.add_column("measurement", no_wrap=True)
    table.add_column("field", no_wrap=True)
    for name in ("last value", "points/s", "age"):
        table.add_column(name, justify="right", no_wrap=True)
    groups = _groups(state.series)
    now, clock = datetime.now(UTC), time.monotonic()
    since = {agent.measurement: clock - agent.started for agent in state.agents}
    for index, (name, group) in enumerate(groups.items()):
        share = max(2, room // (len(groups) - index))
        shown = group if len(group) <= share else group[: share - 1]
        for row, each in enumerate(shown):
            # A rate over less than an interval would say nothing.
            rate = each.last_minute / min(60.0, max(10.0, since.get(each.measurement, 60.0)))
            age = max(0.0, (now - each.time).total_seconds())
            table.add_row("" if row else name, each.field, _value(each.value), f"{rate:.2f}", f"{age:.0f} s")
        if len(shown) < len(group):
            table.add_row("", Text(f"and {len(group) - len(shown)} more", _QUIET))
        room -= min(share, len(group))
    return table


def _groups(series: Sequence[Series]) -> dict[str, list[Series]]:
    """The fields of one measurement and tag set together, by a name with those tags that tell sets apart."""
    values: dict[tuple[str, str], set[str]] = {}
    for each in series:
        for tag, value in each.tags.items():
            values.setdefault((each.measurement, tag), set()).add(value)
    groups: dict[str, list[Series]] = {}
    for each in sorted(series, key=lambda each: (each.measurement, _rank(each.field), each.field)):
        telling = (f"{tag}={value}" for tag, value in each.tags.items() if len(values[each.measurement, tag]) > 1)
        groups.setdefault(" ".join((each.measurement, *telling)), []).append(each)
    return dict(sorted(groups.items()))


def _rank(field: str) -> int:
    return _FIRST.index(field) if field in _FIRST else len(_FIRST)


def _value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"

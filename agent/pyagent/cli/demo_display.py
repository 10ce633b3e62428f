"""Where the demonstration shows itself: a screen for a terminal, lines for everything else."""

import os
import select
import sys
import time
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from pyagent.cli.demo_chart import ASCII, UNICODE
from pyagent.cli.demo_series import grouped
from pyagent.cli.demo_view import State, news, screen
from pyagent.cli.terminal import harmless, shows_unicode

__all__ = ["Display", "Lines", "Screen", "display"]


class Display(Protocol):
    def say(self, text: str) -> None: ...

    def show(self, state: State) -> None: ...

    def outdated(self) -> bool:
        """Whether it has to be shown anew though nothing is new."""

    def abandoned(self) -> bool:
        """Whether nobody looks at it any more."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def display(*, as_json: bool) -> Display:
    """A screen where standard output is a terminal that can be drawn on; with JSON, lines on standard error."""
    if as_json:
        return Lines(sys.stderr)
    drawable = sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return Screen() if drawable else Lines(sys.stdout)


class Lines:
    """One line for each thing that happens and each point that differs from the one before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: set[str] = set()
        self._values: dict[str, dict[str, object]] = {}

    def say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=self._stream, flush=True)

    def show(self, state: State) -> None:
        self._say_once(f"InfluxDB 2 at {state.url}, organisation {state.org}, bucket {state.bucket}")
        if state.note:
            self._say_once(harmless(" ".join(state.note.split())))
        for agent in state.agents:
            self._say_once(f"agent {agent.name} started with {agent.url}")
            if agent.first_point is not None:
                self._say_once(f"agent {agent.name}: first point stored {agent.first_point:.2f} s after its start")
        for name, group in grouped(state.series).items():
            values = {one.field: one.value for one in group}
            if values != self._values.get(name):
                self._values[name] = values
                self.say(f"{name}: {news(group)}")

    def outdated(self) -> bool:
        return False

    def abandoned(self) -> bool:
        # A pipe says so without being written to, which happens every ten seconds only.
        poll = select.poll()
        try:
            poll.register(self._stream.fileno(), 0)
        except (OSError, ValueError):
            return False
        return any(event & select.POLLERR for _, event in poll.poll(0))

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
        self._console = console or Console(highlight=False)
        self._glyphs = UNICODE if shows_unicode(self._console.encoding, os.environ) else ASCII
        # No thread of rich's own: the demonstration starts processes, and says itself when there is news.
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._size: ConsoleDimensions | None = None
        self._plain = "NO_COLOR" in os.environ

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def show(self, state: State) -> None:
        self._size = self._console.size
        lines = screen(state, self._size.width, self._size.height, self._glyphs)
        texts = (
            Text.assemble(*((text, "" if self._plain else style) for text, style in line.parts), no_wrap=True)
            for line in lines
        )
        self._live.update(Group(*texts), refresh=True)

    def outdated(self) -> bool:
        return self._size is not None and self._console.size != self._size

    def abandoned(self) -> bool:
        return False

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

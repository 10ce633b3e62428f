"""Where the demonstration shows itself: a screen for a terminal, lines for everything else."""

import os
import select
import shutil
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

from pyagent.cli.demo_chart import ASCII, UNICODE
from pyagent.cli.demo_series import grouped
from pyagent.cli.demo_view import Line, State, news, screen
from pyagent.cli.terminal import harmless, shows_unicode
from pyagent.runtime.colours import coloured, has_colours

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
    return Screen(sys.stdout) if drawable else Lines(sys.stdout)


class Lines:
    """One line for each thing that happens and each point that differs from the one before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: set[str] = set()
        self._values: dict[str, dict[str, object]] = {}

    def say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {text}", file=self._stream, flush=True)

    def show(self, state: State) -> None:
        self._say_once(f"InfluxDB 2 at {state.url}, organisation {state.org}, bucket {state.bucket}")
        if state.pages:
            self._say_once(state.pages)
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
        if text not in self._shown:
            self._shown.add(text)
            self.say(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass


class Screen:
    """The whole terminal, drawn anew at each `show`."""

    def __init__(self, stream: TextIO, size: Callable[[], tuple[int, int]] = shutil.get_terminal_size) -> None:
        self._stream = stream
        self._terminal_size = size
        """Columns and lines."""
        self._glyphs = UNICODE if shows_unicode(stream.encoding, os.environ) else ASCII
        self._size: tuple[int, int] | None = None
        self._colours = has_colours(stream)

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def show(self, state: State) -> None:
        self._size = width, height = self._terminal_size()
        lines = [self._drawn(line) for line in screen(state, width, height, self._glyphs)]
        # Line by line over what is there, and no break behind the last one: nothing flickers or scrolls.
        self._write("\x1b[H" + "\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J")

    def outdated(self) -> bool:
        return self._size is not None and self._terminal_size() != self._size

    def abandoned(self) -> bool:
        return False

    def _drawn(self, line: Line) -> str:
        return "".join(coloured(text, style) if style and self._colours else text for text, style in line.parts)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> Self:
        self._write("\x1b[?1049h\x1b[?25l")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._write("\x1b[?25h\x1b[?1049l")

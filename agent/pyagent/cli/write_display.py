"""What `pyagent write` shows on standard error: a line of progress on a terminal, what was found, what was refused, the sum."""

import os
import shutil
import sys
import time

from pyagent.cli.readable import readable
from pyagent.cli.terminal import counted, cut, harmless, shows_unicode, span
from pyagent.importer.pieces import Rejected
from pyagent.importer.session import Outcome

__all__ = ["Display"]

_MOST_REFUSED = 10
"""Refused rows that are shown one by one."""
_SECONDS = 0.2
"""Between two looks of the progress."""
_BAR = 20
_MANY = 10_000
"""Points, above which the sum has their rate."""


class Display:
    """`pyagent.importer.session.Watcher`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty() and not quiet and os.environ.get("TERM") != "dumb"
        self._unicode = shows_unicode(sys.stderr.encoding, os.environ)
        self._shown = False
        self._next = 0.0
        self._name, self._size = "", 0
        self._started = self._first = 0.0
        self._before: tuple[int, int] | None = None
        self._refused = 0

    def note(self, text: str) -> None:
        if not self._quiet:
            self._print(f"I! {harmless(text)}")

    def warn(self, text: str) -> None:
        self._print(f"W! {harmless(text)}")

    def error(self, text: str) -> None:
        self._print(f"E! {harmless(text)}")

    def refused(self, rejected: Rejected, name: str) -> None:
        self._refused += 1
        if self._refused > _MOST_REFUSED:
            return
        where = f"{name}, line {rejected.line}" if rejected.line else f"{name}, some line"
        if rejected.column:
            where += f", column {rejected.column}"
        self._print(f"E! {harmless(where)}: {harmless(cut(rejected.message, 500))}")

    def begin(self, name: str, size: int) -> None:
        self._name, self._size = name, size
        self._started = time.monotonic()
        self._before = None

    def advance(self, read: int, points: int) -> None:
        now = time.monotonic()
        if self._before is None:
            self._before = read, points
        if not self._terminal or now < self._next:
            return
        self._next = now + _SECONDS
        elapsed = max(now - self._started, 1e-3)
        rate = (points - self._before[1]) / elapsed
        parts = [f"{points:,} points", f"{readable(int(rate))}/s"]
        if self._size and read <= self._size:
            share = read / self._size
            read_now = read - self._before[0]
            left = (self._size - read) * elapsed / read_now if read_now else 0.0
            parts = [f"{self._bar(share)} {100 * share:.0f} %", *parts, f"{span(left)} left"]
        if self._refused:
            parts.append(f"{self._refused:,} refused")
        text = cut("  ".join([harmless(os.path.basename(self._name)), *parts]), shutil.get_terminal_size().columns - 1)
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()
        self._shown = True

    def finish(self, outcome: Outcome, bucket: str, seconds: float, has_file: bool, again: str = "") -> None:
        self.close()
        if self._refused > _MOST_REFUSED:
            more = "" if has_file else "; --errors-file FILE keeps them"
            self._print(f"E! ... and {self._refused - _MOST_REFUSED:,} rows more{more}")
        if outcome.failure:
            self.error(outcome.failure)
        for text in outcome.warnings:
            self.warn(text)
        if again:
            self.note(again)
        if self._quiet and not outcome.failure and not outcome.rejected:
            return
        parts = []
        if bucket:
            new = outcome.written - outcome.resumed
            # Of a small file it says how long a program takes to start.
            rate = f" ({readable(int(new / seconds))}/s)" if new > _MANY and seconds > 0 else ""
            parts.append(f"{counted(outcome.written, 'point')} written to {bucket!r}{rate}")
            if outcome.resumed:
                parts.append(f"{outcome.resumed:,} of them before")
        if outcome.rejected:
            parts.append(f"{counted(outcome.rejected, 'row')} refused")
        if outcome.skipped:
            parts.append(f"{counted(outcome.skipped, 'row')} without a value left out")
        if parts:
            self._print(harmless("; ".join(parts)) + ".")

    def close(self) -> None:
        """Take the progress away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def _bar(self, share: float) -> str:
        full = round(share * _BAR)
        one, other = ("\u2588", "\u2591") if self._unicode else ("#", ".")
        return one * full + other * (_BAR - full)

    def _print(self, text: str) -> None:
        self.close()
        print(text, file=sys.stderr, flush=True)

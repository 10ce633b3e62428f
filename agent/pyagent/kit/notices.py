"""What strangers cause, for the log: the first time at once, and after that how often, at most once a minute."""

import asyncio
import logging

__all__ = ["FewLines", "Notices"]

_EVERY = 60.0
_MOST = 100
_MOST_LINES = 300


class Notices:
    """One line of the log for each kind of event in `every` seconds; the next one has the number of those in between."""

    def __init__(self, log: logging.Logger, every: float = _EVERY) -> None:
        self._log = log
        self._every = every
        self._due: dict[str, float] = {}
        """Kind: loop time from which it may be logged again."""
        self._more: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def is_due(self, kind: str) -> bool:
        return asyncio.get_running_loop().time() >= self._due.get(kind, 0.0)

    def add(self, kind: str, message: str, level: int = logging.WARNING) -> None:
        """`kind` counts: its messages may differ."""
        if not self.is_due(kind) or (kind not in self._due and len(self._due) >= _MOST):
            self._more[kind] = self._more.get(kind, 0) + 1
            return
        self._due[kind] = asyncio.get_running_loop().time() + self._every
        self._first[kind] = message
        more = self._more.pop(kind, 0)
        self._log.log(level, "%s%s", message, f" (and {more} more of this kind before it)" if more else "")

    def finish(self) -> None:
        """Log what was counted and not logged."""
        for kind, more in self._more.items():
            self._log.warning("%d more like this: %s", more, self._first.get(kind, kind))
        self._more.clear()


class FewLines:
    """The lines that a program says, all up to `most` in `every` seconds; then one with the number of those that are left out.
    `what` they are, for that one. Those below the log's level do not count."""

    def __init__(self, log: logging.Logger, what: str, *, most: int = _MOST_LINES, every: float = _EVERY) -> None:
        self._log = log
        self._what = what
        self._most = most
        self._every = every
        self._until = 0.0
        """Loop time up to which `_count` lines were logged."""
        self._count = 0
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, level: int, message: str) -> None:
        if not self._log.isEnabledFor(level):
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._until:
            self.finish()
            self._until, self._count = loop.time() + self._every, 0
        self._count += 1
        if self._count <= self._most:
            self._log.log(level, "%s", message)
            return
        self._left_out += 1
        if self._timer is None:
            self._timer = loop.call_at(self._until, self.finish)

    def finish(self) -> None:
        """Log how many were left out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._left_out:
            self._log.warning("%d more lines of %s are left out", self._left_out, self._what)
            self._left_out = 0

"""What strangers cause, for the log: the first time at once, and after that how often, at most once a minute."""

import asyncio
import logging

__all__ = ["Notices"]

_EVERY = 60.0
_MOST = 100


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

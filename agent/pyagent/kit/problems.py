"""What is wrong with single metrics, for the log: the first of each kind at once, and after that how many, once a minute."""

import logging
import time

__all__ = ["Problems"]

_EVERY = 60.0
_MOST = 100


class Problems:
    """`self._problems.add("the field x", f"cannot read the field x: {error}")`: `kind` counts, its messages may differ. Of too
    many kinds the rest is one kind. For what runs in an event loop and knows when it ends there is `pyagent.kit.notices`."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._due: dict[str, float] = {}
        """Kind: time from which it may be logged again."""
        self._more: dict[str, int] = {}

    def add(self, kind: str, message: str) -> None:
        if kind not in self._due and len(self._due) >= _MOST:
            kind = ""
        now = time.monotonic()
        if now < self._due.get(kind, 0.0):
            self._more[kind] = self._more.get(kind, 0) + 1
            return
        self._due[kind] = now + _EVERY
        more = self._more.pop(kind, 0)
        self._log.error("%s%s", message, f" (and {more} more of this kind before it)" if more else "")

"""What the embedded server logs of answers that say "check server logs": bounded, as any client can cause them."""

import logging
import time
from collections.abc import Callable
from typing import Final

__all__ = ["ErrorLog"]

_MOST: Final = 10
_EVERY: Final = 60.0
_LONGEST: Final = 4000
"""Characters: a traceback fits."""


class ErrorLog:
    """Ten lines in a minute; the next one has the number of those that were left out."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._until = float("-inf")
        self._written = 0
        self._left_out = 0

    def add(self, message: str, level: int) -> None:
        now = self._clock()
        if now >= self._until:
            self._until, self._written = now + _EVERY, 0
        if self._written >= _MOST:
            self._left_out += 1
            return
        self._written += 1
        more, self._left_out = self._left_out, 0
        letter = "E" if level >= logging.ERROR else "W"
        before = f" (and {more} more before it)" if more else ""
        # Of a traceback the end says what happened.
        text = message if len(message) <= _LONGEST else f"{message[:200]} ... {message[-_LONGEST:]}"
        self._log.log(level, "%s! %s%s", letter, text, before)

"""Failures told once: a plugin that fails at every tick must not fill the log, nor fail unseen."""

import logging
import re

from pyagent.api.asking import how_to_ask

__all__ = ["FailureLog", "explain", "one_line"]

_NUMBERS = re.compile(r"\d+")
_MOST_CAUSES = 100
_MOST_AT_ONCE = 10


class FailureLog:
    """Logs a cause when it is new since the last success, counts it after that, and says when it is over.

    Two messages that differ only in numbers (a process id, a port, a time) are one cause. Of many that fail `among` others at
    the same time only the first few are logged.
    """

    def __init__(self, log: logging.Logger, among: "set[FailureLog] | None" = None) -> None:
        """`among`: the ones of a kind that have logged a failure and did not succeed since; shared by all of the kind."""
        self._log = log
        self._among: set[FailureLog] = set() if among is None else among
        self._causes: set[str] = set()
        self.current = ""
        """The last failure's message; empty when the last attempt succeeded."""
        self.total = 0
        self._in_a_row = 0

    def failed(self, reason: str) -> None:
        self.total += 1
        self._in_a_row += 1
        self.current = reason
        cause = _NUMBERS.sub("#", reason)
        if cause in self._causes or not self._may_log():
            self._log.debug("%s (%d times)", reason, self._in_a_row)
        elif len(self._causes) < _MOST_CAUSES:
            self._causes.add(cause)
            self._log.error("%s", reason)

    def _may_log(self) -> bool:
        if self not in self._among and len(self._among) < _MOST_AT_ONCE:
            self._among.add(self)
            if len(self._among) == _MOST_AT_ONCE:
                how = how_to_ask("status")
                more = f"; {how} shows if there are more" if how else ""
                self._log.warning("%d partitions fail%s", _MOST_AT_ONCE, more)
        return self in self._among

    def succeeded(self, what: str = "") -> None:
        """`what` works, where that is not the plugin itself."""
        if self._in_a_row:
            count = f"{self._in_a_row} failures" if self._in_a_row > 1 else "one failure"
            if self in self._among:
                self._among.discard(self)
                self._log.info("%sworks again after %s", f"{what} " * bool(what), count)
            self._in_a_row = 0
            self.current = ""
            self._causes.clear()


def explain(what: str, error: BaseException) -> str:
    """A failure for the log: its own words where they say what could not be done, else `what` before them."""
    text = one_line(error)
    return text if text.startswith("cannot ") else f"{what}: {text}"


def one_line(error: BaseException) -> str:
    """An exception as one line for the log: its text, or its type where it has none."""
    text = " ".join(str(error).split())
    if not text:
        return type(error).__name__
    return text if len(text) <= 500 else text[:497] + "..."

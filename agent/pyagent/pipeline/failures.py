"""Failures logged once: a plugin that fails at every tick must not fill the log, nor fail unseen."""

import asyncio
import logging
import math
import re
import traceback
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from pyagent.api import ConfigError, NotConnected, PartialWrite, PyagentError, QueueFull, Reject, Retry, TooLarge
from pyagent.api.asking import how_to_ask
from pyagent.api.foreign import describe, plain_text
from pyagent.kit.shown import readable

__all__ = [
    "FailureLog",
    "PluginFailure",
    "as_own_error",
    "as_partial_write",
    "explain",
    "grace_period",
    "reason_of",
]

_NUMBERS = re.compile(r"\d+")
_MOST_CAUSES = 100
_MOST_AT_ONCE = 10


class FailureLog:
    """Logs a cause when it is new since the last success, counts it after that, and says when it is over.

    Two messages that differ only in numbers (a process id, a port, a time) are one cause. One that returns after another
    is logged again, as what was logged last would not be what is wrong now; as two may alternate for ever, only its first,
    second, fourth, eighth ... return is. Of many that fail `among` others at the same time only the first few are logged.
    """

    def __init__(self, log: logging.Logger, among: "set[FailureLog] | None" = None, *, once_each: bool = False) -> None:
        """`among`: the ones of a kind that have logged a failure and did not succeed since; shared by all of the kind.
        `once_each`: what fails is now this metric, now that one; so one that returns says nothing new."""
        self._log = log
        self._among: set[FailureLog] = set() if among is None else among
        self._causes: dict[str, int] = {}
        """How often each has returned after another one."""
        self._last = ""
        self._once_each = once_each
        self.current = ""
        """The last failure's message; empty when the last attempt succeeded."""
        self.total = 0
        self._in_a_row = 0

    def failed(self, reason: str) -> None:
        self.total += 1
        self._in_a_row += 1
        self.current = reason
        cause = _NUMBERS.sub("#", reason)
        returns, self._last = cause != self._last and not self._once_each, cause
        if cause in self._causes:
            if returns:
                self._causes[cause] += 1
            count = self._causes[cause]
            if returns and count & (count - 1) == 0:
                self._log.error("%s (again, after another failure; %d in a row)", reason, self._in_a_row)
            else:
                self._log.debug("%s (%d times)", reason, self._in_a_row)
        elif len(self._causes) == _MOST_CAUSES or not self._may_log():
            self._log.debug("%s (%d times)", reason, self._in_a_row)
        else:
            self._causes[cause] = 0
            self._log.error("%s", reason)
            if len(self._causes) == _MOST_CAUSES:
                how = how_to_ask("status")
                more = f"; {how} shows the last" if how else ""
                self._log.warning("it has failed in %d ways; what else fails is not logged%s", _MOST_CAUSES, more)

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
            self._last = ""


@asynccontextmanager
async def grace_period(seconds: float, log: logging.Logger, what: str, passed: float = 0.0) -> AsyncIterator[None]:
    """Give what stands inside so long to end, less what has `passed`; then it is cancelled, a warning says that `what` did
    not end, and all goes on behind it."""
    try:
        async with asyncio.timeout(seconds - passed) as deadline:
            yield
    except TimeoutError:
        if not deadline.expired():
            raise
        log.warning("%s did not end within %g s; it is abandoned", what, seconds)


class PluginFailure(PyagentError):
    """What a plugin's code raised, in words: nothing of the plugin's is in it."""


def as_own_error(error: BaseException, files: Iterable[str]) -> Exception:
    """What an external plugin raised, as an exception of the engine's own; call it where the plugin runs. `files`: the
    plugin's."""
    files = tuple(files)
    text = describe(error, files)
    result: Exception = PluginFailure(text)
    # What is in an exception of the contract may be anything as well: then it is a failure like any other.
    with suppress(BaseException):
        kind = type(error)
        if issubclass(kind, Retry):
            after = None if error.after is None else float(error.after)  # type: ignore[attr-defined]
            usable = after is not None and math.isfinite(after) and after >= 0
            own_kind = NotConnected if issubclass(kind, NotConnected) else Retry
            result = own_kind(text, after if usable else None, needs_operator=bool(error.needs_operator))  # type: ignore[attr-defined]
        elif issubclass(kind, Reject):
            if (partial := as_partial_write(error)) is not None:
                result = PartialWrite(text, int(partial.rejected), tuple(map(int, partial.suspects)))
            else:
                indices = None if error.indices is None else tuple(map(int, error.indices))  # type: ignore[attr-defined]
                result = Reject(text, indices)
        elif issubclass(kind, ConfigError):
            option = error.option  # type: ignore[attr-defined]
            result = ConfigError(text, option=None if option is None else plain_text(option))
        else:
            result = next((own(text) for own in (TooLarge, QueueFull) if issubclass(kind, own)), result)
    if logging.getLogger("pyagent").isEnabledFor(logging.DEBUG):
        with suppress(BaseException):
            result.add_note("".join(traceback.format_exception(error)))
    return result


def as_partial_write(error: BaseException) -> PartialWrite | None:
    """A partial write, also where it is raised in the form before 0.2; None for anything else."""
    if isinstance(error, PartialWrite) or not isinstance(error, Reject) or not error.rest_stored:
        return error if isinstance(error, PartialWrite) else None
    return PartialWrite(str(error), error.dropped, error.indices or ())


def explain(what: str, error: BaseException, files: Iterable[str] = ()) -> str:
    """A failure for the log: its own words where they say what could not be done, else `what` before them. `files`: where the
    line at fault is looked for."""
    text = _cut(describe(error, files))
    return text if text.startswith("cannot ") else f"{what}: {text}"


def reason_of(error: BaseException) -> str:
    """An exception as one line for the log: its text, or its type where it has none."""
    return _cut(" ".join(str(error).split()) or type(error).__name__)


def _cut(text: str) -> str:
    text = readable(text)  # of a plugin, about a metric
    if len(text) <= 500:
        return text
    # The place at its end is worth more than what is before it.
    end = text[text.rindex(" (") :] if text.endswith(")") and " (" in text[-120:] else ""
    return f"{text[: 497 - len(end)]}...{end}"

"""What plugins raise and what the engine makes of it.

A message reads "cannot <do what> <to what>: <cause>; <what to do>".
"""

import warnings

from pyagent.api.moved import moved, renamed

__all__ = [
    "ConfigError",
    "NotConnected",
    "ParseError",
    "PartialWrite",
    "PyagentError",
    "QueueFull",
    "Reject",
    "Retry",
    "TooLarge",
    "TooMuch",
]


class PyagentError(Exception):
    """An expected failure, told in one line. It never reaches the user as a traceback."""


class ConfigError(PyagentError):
    """The configuration is wrong. The engine adds file and line where the plugin does not know them.

    `option` names the option at fault, so that the message can point at its line.
    """

    def __init__(self, message: str, *, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class ParseError(PyagentError):
    """Data are not of the format that they should be of.

    `line`: where, from 1; None where the format has no lines or they cannot be told. The message begins with it.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason if line is None else f"line {line}: {reason}")
        self.line = line


class QueueFull(PyagentError):
    """The queue cannot take what a listener offers: refuse it (HTTP 429), nothing of it was taken."""


class Retry(PyagentError):
    """An output could not deliver now; the batch is kept.

    `after`: seconds to wait at the least, as the server asked (Retry-After); None leaves it to the engine's back-off.
    `needs_operator`: only a person can mend this (a wrong token, a missing bucket), so the engine comes again seldom.
    """

    def __init__(
        self, reason: str, after: float | None = None, *, needs_operator: bool = False, slow: bool | None = None
    ) -> None:
        super().__init__(reason)
        if slow is not None:
            # The name before 0.2: goes with the next version.
            warnings.warn("Retry(slow=...) is called Retry(needs_operator=...) now", DeprecationWarning, stacklevel=2)
        self.after = after
        self.needs_operator = needs_operator if slow is None else slow

    slow = renamed("Retry", "slow", "needs_operator")


class NotConnected(Retry):
    """The connection that `connect` made is gone; the batch is kept. Before the next `write`, `connect` is called again, with
    the engine's back-off."""


class Reject(PyagentError):
    """The receiver refused metrics of the batch for good, and stored nothing of it (else it is a PartialWrite).

    `indices`: those refused; the others are sent again. None where the receiver does not say: then the engine halves the
    batch until it knows.
    """

    def __init__(
        self,
        reason: str,
        indices: tuple[int, ...] | None = None,
        *,
        lines: tuple[int, ...] | None = None,
        rest_stored: bool = False,
        dropped: int | None = None,
    ) -> None:
        super().__init__(reason)
        # The form before 0.2: goes with the next version.
        if lines is not None:
            warnings.warn("Reject(lines=...) is called Reject(indices=...) now", DeprecationWarning, stacklevel=2)
        if rest_stored:
            warnings.warn("Reject(rest_stored=True) is PartialWrite now", DeprecationWarning, stacklevel=2)
        self.indices = indices if indices is not None else lines
        self.rest_stored = rest_stored
        self.dropped = dropped if dropped is not None else len(self.indices or (0,))

    @property
    def lines(self) -> tuple[int, ...] | None:
        """The name of `indices` before 0.2."""
        return self.indices


class PartialWrite(Reject):
    """The receiver stored the batch but for `rejected` of its metrics, which it refused for good: nothing is sent again.

    `suspects`: indices of those that it may have meant, where its words tell; they are kept in the quarantine as such.
    """

    def __init__(self, reason: str, rejected: int = 1, suspects: tuple[int, ...] = ()) -> None:
        super().__init__(reason, suspects or None, dropped=rejected)
        self.rest_stored = True
        self.rejected = rejected
        self.suspects = suspects


class TooLarge(PyagentError):
    """The batch is too large for the receiver; nothing of it was stored: the engine halves it."""


class TooMuch(PyagentError):
    """What somebody sent is more, or would become more, than there is room for: refuse it (HTTP 413), nothing was taken."""


__getattr__ = moved(__name__, {"Full": "pyagent.api.errors:QueueFull"})

"""What plugins raise and what the engine makes of it.

A message reads "cannot <do what> <to what>: <cause>; <what to do>".
"""

__all__ = ["ConfigError", "Full", "ParseError", "PyagentError", "Reject", "Retry", "TooLarge", "TooMuch"]


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


class Full(PyagentError):
    """The queue cannot take what a listener offers: refuse it (HTTP 429), nothing of it was taken."""


class Retry(PyagentError):
    """An output could not deliver now; the batch is kept.

    `after`: seconds to wait at the least, as the server asked (Retry-After); None leaves it to the engine's back-off.
    `slow`: only a person can mend this (a wrong token, a missing bucket), so asking often is of no use.
    """

    def __init__(self, reason: str, after: float | None = None, *, slow: bool = False) -> None:
        super().__init__(reason)
        self.after = after
        self.slow = slow


class Reject(PyagentError):
    """The receiver refused metrics of the batch for good.

    `lines`: indices into the batch of those refused; None where the receiver does not say. `rest_stored`: the receiver
    has stored all others (a partial write), so nothing is sent again, and `lines` are those that it may have meant; else it
    stored nothing, and the engine sends the others again, after bisecting where it does not know which they are.
    `dropped`: how many were refused, where a receiver that stored the rest tells only that.
    """

    def __init__(
        self,
        reason: str,
        lines: tuple[int, ...] | None = None,
        *,
        rest_stored: bool = False,
        dropped: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.lines = lines
        self.rest_stored = rest_stored
        self.dropped = dropped if dropped is not None else len(lines or (0,))


class TooLarge(PyagentError):
    """The batch is too large for the receiver; nothing of it was stored: the engine halves it."""


class TooMuch(PyagentError):
    """What somebody sent is more, or would become more, than there is room for: refuse it (HTTP 413), nothing was taken."""

"""What InfluxDB's API answers when it refuses: a code, a status and a text."""

from typing import Any, Final

STATUS: Final = {
    "invalid": 400,
    "empty value": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not found": 404,
    "method not allowed": 405,
    "request too large": 413,
    "unprocessable entity": 422,
    "conflict": 422,
    "too many requests": 429,
    "internal error": 500,
    "not implemented": 501,
    "unavailable": 503,
}

_HIDDEN: Final = "An internal error has occurred - check server logs"


class InfluxError(Exception):
    """Ends a request with InfluxDB's error body; `code` is a key of STATUS.

    `final`: the message is whole; what calls the script's function that failed adds nothing to it.
    """

    def __init__(self, code: str, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.final = final
        self.cause = ""
        """Of a message that hides it: for the log."""
        self.partial: list[Any] = []
        """Tables that were made before; they are answered, and the error behind them."""

    @property
    def status(self) -> int:
        return STATUS[self.code]


class SandboxError(Exception):
    """The embedded server cannot start, or refused what its programmatic door was asked."""


def hidden(cause: str) -> InfluxError:
    """As InfluxDB refuses where it says nothing but that its log has more; the log gets `cause`, which holds no secrets."""
    error = InfluxError("internal error", _HIDDEN)
    error.cause = cause
    return error


def not_found(what: str) -> InfluxError:
    return InfluxError("not found", f"{what} not found")


def invalid(message: str) -> InfluxError:
    return InfluxError("invalid", message)

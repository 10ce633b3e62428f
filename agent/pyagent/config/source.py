"""Where configuration text comes from: files, directories and URLs."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyagent.api import ConfigError

__all__ = ["SourceError", "SourceText", "read_source"]


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of one source. `where` is its path or URL as given, for messages."""

    where: str
    text: str


class SourceError(ConfigError):
    """A source cannot be read. `retryable`: it may be there later (no connection, a server's failure, 401, 404)."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


async def read_source(where: str, *, environ: Mapping[str, str] | None = None, timeout: float = 10.0) -> SourceText:
    """Read a file or, where `where` begins with a scheme, GET a URL. `timeout` in seconds, for URLs.

    The token is `TELEGRAF_CONTROLLER_TOKEN` (Bearer), else `INFLUX_TOKEN` of `environ` (the process's by default).
    Raises SourceError.
    """
    raise NotImplementedError

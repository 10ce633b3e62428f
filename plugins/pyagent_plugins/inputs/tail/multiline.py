"""Events of several lines: which lines belong together."""

from typing import Annotated, Literal

from pyagent.api import ConfigError, Duration, Options, option
from pyagent.kit.regex import Regex, compile_regex

__all__ = ["Multiline", "MultilineOptions"]

_QUOTES = {"single-quotes": "'", "double-quotes": '"', "backticks": "`"}
_DEFAULT_TIMEOUT = 5.0


class MultilineOptions(Options, frozen=True):
    pattern: Annotated[str, option("regular expression for lines that belong to another one; empty: none")] = ""
    match_which_line: Annotated[
        str, option("previous: such a line belongs to the one before it; next: to the one behind it")
    ] = "previous"
    invert_match: Annotated[bool, option("lines that do not match are those that belong to another one")] = False
    preserve_newline: Annotated[bool, option("keep line ends within an event")] = False
    quotation: Annotated[
        Literal["ignore", "single-quotes", "double-quotes", "backticks", ""],
        option("lines belong together while such quotes are open"),
    ] = "ignore"
    timeout: Annotated[Duration, option("an event has ended when nothing comes for so long; 0: 5s")] = Duration("5s")

    @property
    def enabled(self) -> bool:
        return bool(self.pattern) or self.quotation in _QUOTES

    @property
    def seconds(self) -> float:
        return self.timeout.seconds or _DEFAULT_TIMEOUT

    def check(self) -> Regex | None:
        """The pattern. Raises ConfigError."""
        if self.match_which_line.lower() not in ("previous", "next"):
            problem = f"multiline: cannot use match_which_line {self.match_which_line!r}; use previous or next"
            raise ConfigError(problem, option="multiline")
        try:
            return compile_regex(self.pattern) if self.pattern else None
        except ValueError as error:
            raise ConfigError(f"multiline: {error}", option="multiline") from None


class Multiline:
    """The lines of one file."""

    def __init__(self, options: MultilineOptions, regex: Regex | None) -> None:
        self._regex = regex
        self._quote = _QUOTES.get(options.quotation, "")
        self._inverted = options.invert_match
        self._next = options.match_which_line.lower() == "next"
        self._joint = "\n" if options.preserve_newline else ""
        self._in_quotes = False
        self._lines: list[str] = []
        self.begin = 0
        """Where the first line of the event that has not ended begins in the file."""
        self.size = 0
        """Characters that wait."""

    @property
    def waits(self) -> bool:
        return bool(self._lines)

    def add(self, line: str, begin: int) -> str | None:
        """An event that has ended; None: it goes on."""
        if self._belongs(line):
            self._keep(line, begin)
            return None
        if self._next:
            if not self._lines:
                return line
            self._keep(line, begin)
            return self.flush()
        event = self.flush()
        self._keep(line, begin)
        return event

    def flush(self) -> str | None:
        """What waits, as an event that has ended."""
        event = self._joint.join(self._lines) if self._lines else None
        self._lines.clear()
        self.size = 0
        return event

    def _keep(self, line: str, begin: int) -> None:
        if not self._lines:
            self.begin = begin
        self._lines.append(line)
        self.size += len(line)

    def _belongs(self, line: str) -> bool:
        if self._quote and self._quoted(line):
            return True
        if self._regex is None:
            return False
        try:
            return (self._regex.search(line) is not None) != self._inverted
        except ValueError:  # too long for an expression that could take for ever
            return False

    def _quoted(self, line: str) -> bool:
        """Whether quotes are open at the end of the line; those behind an odd number of backslashes do not count."""
        if self._quote in line:
            count = escaped = 0
            for character in line:
                if character == "\\":
                    escaped += 1
                    continue
                if character == self._quote and escaped % 2 == 0:
                    count += 1
                escaped = 0
            self._in_quotes ^= count % 2 == 1
        return self._in_quotes

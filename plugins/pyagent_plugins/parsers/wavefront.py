"""Lines of Wavefront: `NAME VALUE [TIME] source=HOST key="value" ...`.

One bad line costs all of the data that came with it, as in Telegraf.
"""

import re

from pyagent.api import Metric, ParseError, Parser
from pyagent.kit.numbers import parse_float, parse_integer
from pyagent.kit.page_room import check_room

__all__ = ["Wavefront"]

_LITERAL = r"[A-Za-z0-9\-_./\\,]"
_PAIR = rf'(?:"[^"\\\0]*+"|{_LITERAL}++)=(?:"[^"\\\0]*+"|{_LITERAL}++)'
_USUAL = re.compile(
    rf"([\u2206\u0394]?{_LITERAL}++)[ \t]++([A-Za-z0-9.\-]++)[ \t]++([0-9]++)((?:[ \t]++{_PAIR})*+)[ \t]*+"
)
_TAGS = re.compile(rf'(?:"([^"]*+)"|({_LITERAL}++))=(?:"([^"]*+)"|({_LITERAL}++))')
_IN_LITERAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./\\,\u2206\u0394")
_IN_NUMBER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")
_DELTA = frozenset("\u2206\u0394")
_BLANKS = frozenset(" \t\n")
_DIGITS = frozenset("0123456789")
_UNITS = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}
"""By the number of digits of a time: parts of a second."""


class Wavefront(Parser):
    def parse(self, data: bytes) -> list[Metric]:
        check_room(len(data), data.count(b"\n"), data.count(b"="))
        text = data.decode("utf-8", "replace").removeprefix("\n")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        metrics = []
        for number, line in enumerate(lines, start=1):
            try:
                metrics.append(self._metric(line))
            except ValueError as error:
                raise ParseError(str(error), number) from None
        return metrics

    def _metric(self, line: str) -> Metric:
        name, value, time, tags = _usual(line) or _Line(line).read()
        number = parse_float(value)
        if number is None:
            raise ValueError(f"the value must be a number, and is {value[:80]!r}")
        return Metric(name, {**tags, **self.default_tags}, {"value": number}, self._time(time))

    def _time(self, digits: str) -> int:
        seconds = parse_integer(digits or "0")
        if seconds is None:
            raise ValueError(f"the time {digits[:80]!r} is out of range")
        unit = _UNITS.get(len(digits))
        if unit is None:
            if seconds:
                raise ValueError(f"the time {digits[:80]!r} must have 10, 13, 16 or 19 digits")
            return self.now() // 1_000_000_000 * 1_000_000_000
        return seconds // unit * 1_000_000_000


_Parts = tuple[str, str, str, dict[str, str]]
"""Name, value, time and tags."""


def _usual(line: str) -> _Parts | None:
    """Of a line in which nothing is odd; None for others."""
    found = _USUAL.fullmatch(line)
    if found is None:
        return None
    name, value, time, rest = found.groups()
    return name, value, time, {key or word: text or tag for key, word, text, tag in _TAGS.findall(rest)}


class _Line:
    """Reads a line that is not as usual, character by character, as Telegraf does: how far it goes back counts."""

    def __init__(self, line: str) -> None:
        self._text = line + "\n"
        self._at = 0

    def read(self) -> _Parts:
        name = self._literal()
        if not self._blanks():
            raise ValueError("there is no value")
        value = self._value()
        self._blanks()
        time = ""
        while (character := self._next()) in _DIGITS:
            time += character
        self._at -= 1 if time else 2
        self._blanks()
        return name, value, time, self._tags()

    def _next(self) -> str:
        """The next character, empty at the end, and for NUL."""
        self._at += 1
        character = self._text[self._at - 1 : self._at]
        return "" if character == "\0" else character

    def _blanks(self) -> bool:
        """Whether there is more behind blanks."""
        while (character := self._next()) in _BLANKS:
            pass
        if character:
            self._at -= 1
        return bool(character)

    def _value(self) -> str:
        value = ""
        while (character := self._next()) in _IN_NUMBER:
            value += character
        self._at -= 1
        if parse_float(value) is None:
            raise ValueError(f"the value must be a number, and is {value[:80]!r}")
        return value

    def _tags(self) -> dict[str, str]:
        tags: dict[str, str] = {}
        while True:
            try:
                key = self._literal()
            except ValueError:
                pass  # Telegraf passes over it
            else:
                if (character := self._next()) != "=":
                    raise ValueError(f"there must be a = behind {key[:80]!r}, and there is {character!r}")
                tags[key] = self._literal()
            if not self._blanks():
                return tags

    def _literal(self) -> str:
        character = self._next()
        if not character:
            raise ValueError("it ends where a word must be")
        if character == '"':
            return self._quoted()
        literal = []
        while character in _IN_LITERAL:
            literal.append(character)
            if (character := self._next()) in _DELTA:
                raise ValueError(f"there is a {character} within a name")
        if character == '"':
            raise ValueError(f"there is a quote within {''.join(literal)[:80]!r}")
        self._at -= 1
        return "".join(literal)

    def _quoted(self) -> str:
        """What stands in quotes, with its backslashes."""
        quoted = []
        escaped = False
        while (character := self._next()) and (character != '"' or escaped):
            escaped = character == "\\"
            quoted.append(character)
        if not character:
            raise ValueError("quotes are not closed")
        return "".join(quoted)

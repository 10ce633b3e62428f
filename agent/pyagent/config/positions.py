"""On which line each key of a TOML text stands: tomli gives values without positions.

The scanner knows TOML's structure and nothing of its rules: it is asked about texts that tomli has accepted, and about the
part of a broken text that lies before the fault.
"""

import re
from collections.abc import Iterator

import tomli

__all__ = ["Path", "last_key", "line_numbers", "statement_lines"]

Path = tuple[str | int, ...]
"""Keys and, in arrays, indices from 0: `("inputs", "mem", 0, "tags", "room")`."""

_BLANK = re.compile(r"[ \t]*+")
_SPACE = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'""")
_DOT = re.compile(r"[ \t]*+\.[ \t]*+")
_EQUALS = re.compile(r"[ \t]*+=[ \t]*+")
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*+"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*+"'
    r"|'[^'\n]*+'"
    r"|\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]*+"  # a date and a time with a blank between
    r"|[^\s,\]}#]++",
    re.DOTALL,
)


def line_numbers(text: str) -> dict[Path, int]:
    """The line, from 1, of every key path and array element of a text that tomli reads without an error."""
    lines: dict[Path, int] = {}
    for path, line, explicit in _Scanner(text).statements():
        for end in range(1, len(path)):
            lines.setdefault(path[:end], line)
        if explicit:
            lines[path] = line
        else:
            lines.setdefault(path, line)
    return lines


def statement_lines(text: str) -> dict[Path, range]:
    """The lines, from 0, of every `key = value` that is a statement of its own, in a text that tomli reads without an error:
    no dotted key, and none in an inline table."""
    scanner = _Scanner(text)
    for _ in scanner.statements():
        pass
    return scanner.lines


def last_key(text: str) -> tuple[Path, int, int | None] | None:
    """The last key or table that begins in a text, which may be broken after it; its line, and where it stood before."""
    seen: dict[Path, int] = {}
    last: tuple[Path, int, int | None] | None = None
    scanner = _Scanner(text)
    try:
        for path, line, _ in scanner.statements():
            if not scanner.depth:
                # The first of an array of tables may meet a table of that name.
                last = path, line, seen.get(path, seen.get(path[:-1]) if path[-1:] == (0,) else None)
                seen.setdefault(path, line)
    except ValueError:
        pass
    return last


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1
        self._counted = 0
        self._arrays: dict[Path, int] = {}
        self.depth = 0
        """Of the value that the last path is in; 0 for what is a statement of its own."""
        self.lines: dict[Path, range] = {}
        """Of statements with a plain key so far, from 0."""

    def statements(self) -> Iterator[tuple[Path, int, bool]]:
        """Path and line of headers, keys and array elements; False for a key that only leads to another one."""
        table: Path = ()
        while self._skip(_SPACE) < len(self._text):
            line = self._here()
            if self._take("[["):
                self._skip(_BLANK)
                path = self._resolve(self._key(), last=False)
                index = self._arrays[path] = self._arrays.get(path, -1) + 1
                yield path, line, index == 0
                table = (*path, index)
                yield table, line, True
                self._skip(_BLANK)
                self._expect("]]")
            elif self._take("["):
                self._skip(_BLANK)
                table = self._resolve(self._key(), last=True)
                yield table, line, True
                self._skip(_BLANK)
                self._expect("]")
            else:
                yield from self._pair(table)

    def _pair(self, table: Path) -> Iterator[tuple[Path, int, bool]]:
        line = self._here()
        keys = self._key()
        path = (*table, *keys)
        yield path, line, True
        self._match(_EQUALS)
        yield from self._value(path)
        if not self.depth and len(keys) == 1:
            self.lines[path] = range(line - 1, self._here())

    def _value(self, path: Path) -> Iterator[tuple[Path, int, bool]]:
        self.depth += 1
        if self._take("{"):
            self._skip(_SPACE)
            while not self._take("}"):
                yield from self._pair(path)
                self._skip(_SPACE)
                self._take(",")
                self._skip(_SPACE)
        elif self._take("["):
            index = 0
            self._skip(_SPACE)
            while not self._take("]"):
                yield (*path, index), self._here(), True
                yield from self._value((*path, index))
                index += 1
                self._skip(_SPACE)
                self._take(",")
                self._skip(_SPACE)
        else:
            self._match(_SCALAR)
        self.depth -= 1

    def _resolve(self, keys: list[str], *, last: bool) -> Path:
        """A header's keys as a path: a key of an array of tables stands for its last element."""
        path: Path = ()
        for number, key in enumerate(keys, 1):
            path += (key,)
            if path in self._arrays and (last or number < len(keys)):
                path += (self._arrays[path],)
        return path

    def _key(self) -> list[str]:
        parts = [self._key_part()]
        while match := _DOT.match(self._text, self._position):
            self._position = match.end()
            parts.append(self._key_part())
        return parts

    def _key_part(self) -> str:
        part = self._match(_KEY_PART)
        if part[0] == '"' and "\\" in part:
            return next(iter(tomli.loads(f"{part} = 0")))
        return part[1:-1] if part[0] in "\"'" else part

    def _skip(self, pattern: re.Pattern[str]) -> int:
        self._match(pattern)
        return self._position

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise ValueError(f"line {self._here()}: not TOML")
        self._position = match.end()
        return match[0]

    def _take(self, token: str) -> bool:
        found = self._text.startswith(token, self._position)
        if found:
            self._position += len(token)
        return found

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise ValueError(f"line {self._here()}: expected {token!r}")

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

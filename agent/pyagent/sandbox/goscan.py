"""What Go's scanner of JSON says of a text that is none."""

import re
from typing import Final

_SPACE: Final = " \t\r\n"
_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]*')
_RUN: Final = re.compile(
    r'(?:[ \t\r\n]*+(?:"[^"\\\x00-\x1f]*+"|-?(?:0|[1-9][0-9]*+)(?![0-9.eE])|true|false|null)[ \t\r\n]*+,)*+'
)
"""Elements of an array that hold nothing else, each with the comma behind it: most of a long text."""
_MAX_DEPTH: Final = 10000
_ESCAPES: Final = {
    "'": "\\'", "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip
_AFTER: Final = {"key": "after object key", "member": "after object key:value pair", "element": "after array element"}


class _Refused(Exception):
    """A byte that cannot stand where it stands."""


def syntax_error(raw: bytes) -> str | None:
    """Why the first value of a text cannot be read, in the words of Go's `json.Decoder`; None: it can."""
    try:
        _Scan(raw).first_value()
    except _Refused as error:
        return str(error)
    except IndexError:
        return "unexpected EOF" if raw.strip() else "EOF"
    return None


def after_value(behind: bytes) -> str | None:
    """What Go's `json.Unmarshal` says of the bytes behind a value; None: they are white space."""
    rest = behind.lstrip(_SPACE.encode())
    return f"invalid character {_quoted(chr(rest[0]))} after top-level value" if rest else None


def _quoted(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return f"'{_ESCAPES[character]}'"
    if code < 0x20 or code == 0x7F:
        return f"'\\x{code:02x}'"
    return f"'\\u{code:04x}'" if not character.isprintable() else f"'{character}'"


class _Scan:
    """One pass over a text, a byte a step; an IndexError where it ends too early."""

    def __init__(self, raw: bytes) -> None:
        self._text = raw.decode("latin-1")
        self._at = 0
        self._open: list[str] = []
        """What is open: `key`, `member` (its key was read) or `element`, the innermost last."""

    def _refuse(self, where: str) -> None:
        raise _Refused(f"invalid character {_quoted(self._text[self._at])} {where}")

    def _space(self) -> str:
        while self._text[self._at] in _SPACE:
            self._at += 1
        return self._text[self._at]

    def first_value(self) -> None:
        while True:
            if self._value():
                continue
            while self._open:
                if self._end_of_value():
                    break
            else:
                return

    def _push(self, kind: str) -> None:
        self._open.append(kind)
        if len(self._open) > _MAX_DEPTH:
            raise _Refused("exceeded max depth")

    def _value(self) -> bool:
        """Read a value, or the start of one; whether another one must follow it at once."""
        if self._open and self._open[-1] == "element":
            self._at = _RUN.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches anywhere
        first = self._space()
        if first == "{":
            self._at += 1
            self._push("key")
            if self._space() != "}":
                self._key()
                return True
            self._close()
        elif first == "[":
            self._at += 1
            self._push("element")
            if self._space() != "]":
                return True
            self._close()
        elif first == '"':
            self._string()
        elif first in "tfn":
            self._literal({"t": "true", "f": "false", "n": "null"}[first])
        elif first in "-0123456789":
            self._number()
        else:
            self._refuse("looking for beginning of value")
        return False

    def _close(self) -> None:
        self._at += 1
        self._open.pop()

    def _key(self) -> None:
        if self._space() != '"':
            self._refuse("looking for beginning of object key string")
        self._string()
        if self._space() != ":":
            self._refuse(_AFTER["key"])
        self._at += 1
        self._open[-1] = "member"

    def _end_of_value(self) -> bool:
        """Read what is behind a value; whether another value follows."""
        kind, found = self._open[-1], self._space()
        if found == ",":
            self._at += 1
            if kind == "member":
                self._key()
            return True
        if found != ("}" if kind == "member" else "]"):
            self._refuse(_AFTER[kind])
        self._close()
        return False

    def _string(self) -> None:
        self._at += 1
        while True:
            self._at = _PLAIN.match(self._text, self._at).end()  # type: ignore[union-attr]  # matches anywhere
            found = self._text[self._at]
            if found == '"':
                break
            if found != "\\":
                self._refuse("in string literal")
            self._at += 1
            self._escape(self._text[self._at])
            self._at += 1
        self._at += 1

    def _escape(self, found: str) -> None:
        if found == "u":
            for _ in range(4):
                self._at += 1
                if self._text[self._at] not in "0123456789abcdefABCDEF":
                    self._refuse("in \\u hexadecimal character escape")
        elif found not in 'bfnrt\\/"':
            self._refuse("in string escape code")

    def _literal(self, word: str) -> None:
        for wanted in word:
            if self._text[self._at] != wanted:
                self._refuse(f"in literal {word} (expecting '{wanted}')")
            self._at += 1

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _digits(self, where: str) -> None:
        if not ("0" <= self._text[self._at] <= "9"):
            self._refuse(where)
        while "0" <= self._peek() <= "9":
            self._at += 1

    def _number(self) -> None:
        if self._peek() == "-":
            self._at += 1
        if self._text[self._at] == "0":
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._peek() == ".":
            self._at += 1
            self._digits("after decimal point in numeric literal")
        if self._peek() in ("e", "E"):
            self._at += 1
            if self._text[self._at] in "+-":
                self._at += 1
            self._digits("in exponent of numeric literal")

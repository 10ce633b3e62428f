"""A template's text, cut into plain text and actions, and these into words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Action", "Token", "cut"]


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    """`text`, `number`, `field` (`.Name`), `variable` (`$x`), `word`, or the mark itself."""
    value: object
    position: int
    apart: bool
    """White space stands before it."""


@dataclass(frozen=True, slots=True)
class Action:
    position: int
    tokens: list[Token]


class Unreadable(Exception):
    """With the position in the text."""

    def __init__(self, position: int, cause: str) -> None:
        super().__init__(cause)
        self.position = position


_OPEN = re.compile(r"\{\{(?:-(?=\s))?")
_CLOSE = re.compile(r"(?:\s+-|\s*)\}\}")
_COMMENT = re.compile(r"\s*/\*.*?\*/(\s+-|\s*)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s*)(?:
    (?P<text>"(?:[^"\\\n]|\\.)*") | (?P<raw>`[^`]*`) | (?P<char>'(?:[^'\\\n]|\\.[0-9a-fA-F]*)')
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)(?![A-Za-z0-9_]))
    | (?P<field>\.[^\W\d]\w*) | (?P<variable>\$\w*) | (?P<word>[^\W\d]\w*) | (?P<mark>:=|[=|(),.])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.?))", re.DOTALL
)
_ESCAPES = dict(zip("abfnrtv\\'\"", "\a\b\f\n\r\t\v\\'\"", strict=True))


def cut(text: str) -> Iterator[str | Action]:
    """Raises Unreadable."""
    position, trims = 0, False
    while match := _OPEN.search(text, position):
        plain = text[position : match.start()]
        if trims:
            plain = plain.lstrip(" \t\r\n")
        if match[0].endswith("-"):
            plain = plain.rstrip(" \t\r\n")
        yield plain
        if comment := _COMMENT.match(text, match.end()):
            trims, position = comment[1].endswith("-"), comment.end()
            continue
        tokens: list[Token] = []
        position = match.end()
        while not (close := _CLOSE.match(text, position)):
            token = _TOKEN.match(text, position)
            if token is None:
                raise _unreadable(text, position, match.start())
            tokens.append(_token(token))
            position = token.end()
        trims, position = close[0].endswith("-}}"), close.end()
        yield Action(match.start(), tokens)
    rest = text[position:]
    yield rest.lstrip(" \t\r\n") if trims else rest


def _unreadable(text: str, position: int, start: int) -> Unreadable:
    rest = text[position:].lstrip()
    if not rest:
        return Unreadable(start, "it is not closed by }}")
    position = len(text) - len(rest)
    if rest[0] in "\"`'":
        return Unreadable(position, "a text is not closed")
    if rest.startswith("/*"):
        return Unreadable(start, "a comment is not closed, or not alone in its braces")
    return Unreadable(position, f"{rest[:1]!r} cannot stand here")


def _token(match: re.Match[str]) -> Token:
    kind = match.lastgroup or ""
    source, position, apart = match[kind], match.start(kind), bool(match["space"])
    if kind == "mark":
        return Token(source, source, position, apart)
    if kind in ("raw", "text", "char"):
        value = source[1:-1].replace("\r", "") if kind == "raw" else _unescaped(source[1:-1], position)
        if kind != "char":
            return Token("text", value, position, apart)
        if len(value) != 1:
            raise Unreadable(position, f"{source} is not one character")
        return Token("number", ord(value), position, apart)
    if kind == "number":
        return Token(kind, _number(source, position), position, apart)
    return Token(kind, source[1:] if kind == "field" else source, position, apart)


def _number(source: str, position: int) -> int | float:
    digits = source.lstrip("+-").replace("_", "")
    try:
        if digits[:2].lower() in ("0x", "0b", "0o"):
            value: int | float = int(digits, 0)
        elif digits.isdigit():
            value = int(digits, 8 if digits[0] == "0" and len(digits) > 1 else 10) if len(digits) < 25 else 2**64
        else:
            value = float(digits)
    except ValueError:
        raise Unreadable(position, f"{source} is not a number") from None
    value = -value if source[0] == "-" else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 and "." not in digits:
        value = int(value)  # 1e3
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Unreadable(position, f"{source} does not fit 64 bits")
    return value


def _unescaped(text: str, position: int) -> str:
    def one(match: re.Match[str]) -> str:
        simple, two, four, eight, octal, other = match.groups()
        if simple is not None:
            return _ESCAPES[simple]
        if code := two or octal:
            byte = int(code, 16 if two else 8)
            return chr(byte) if byte < 128 else chr(0xDC00 + byte) if byte < 256 else _refused(match[0])
        if code := four or eight:
            return chr(int(code, 16)) if int(code, 16) < 0x110000 else _refused(match[0])
        return _refused(f"\\{other}")

    def _refused(escape: str) -> str:
        raise Unreadable(position, f"a text has the escape {escape}, which there is not")

    found = _ESCAPE.sub(one, text)
    # Bytes that are UTF-8 together.
    return found if found.isascii() else found.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")

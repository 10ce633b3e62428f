"""The words of an expression (cel-spec, langdef: Syntax)."""

import math
import re
from dataclasses import dataclass
from typing import Any

from pyagent.api import Uint
from pyagent.api.metric import INT64_MAX, UINT64_MAX
from pyagent.cel.syntax import ExpressionError

__all__ = ["Token", "tokens"]

_STRING = r"""
    [rR](?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\r\n]*"|'[^'\r\n]*')
    |\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}
    |"(?:\\[^\r\n]|[^"\\\r\n])*"|'(?:\\[^\r\n]|[^'\\\r\n])*'
"""
_EXPONENT = r"(?:[eE][+-]?[0-9]+)"
_TOKEN = re.compile(
    rf"""
    (?P<blank>[\t\ \r\n\f]+|//[^\n]*)
    |(?P<bytes>[bB](?:{_STRING}))
    |(?P<string>{_STRING})
    |(?P<double>[0-9]+\.[0-9]+{_EXPONENT}?|[0-9]+{_EXPONENT}|\.[0-9]+{_EXPONENT}?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|[0-9]+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<quoted>`[A-Za-z0-9_./\ -]+`)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{{}}])
    """,
    re.VERBOSE,
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_ESCAPE = re.compile(
    r"\\(?:(?P<one>[abfnrtv\"'\\?`])|[xX](?P<byte>[0-9a-fA-F]{2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})"
    r"|(?P<octal>[0-3][0-7]{2}))"
)
_ONE = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    """literal, name, quoted (a field's name in backticks), sign (`in` is one) or end"""
    text: str
    position: int
    value: Any = None
    """Of a literal. Numbers are without a sign: an int may be one more than the largest."""


def tokens(text: str) -> list[Token]:
    """All of them, the end last. Raises ExpressionError."""
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(_unreadable(text[position:]), text, position)
        kind, word = match.lastgroup or "", match[0]
        if kind == "name" and word in _CONSTANTS:
            found.append(Token("literal", word, position, _CONSTANTS[word]))
        elif kind in ("name", "quoted", "sign"):
            found.append(Token("sign" if word == "in" else kind, word, position))
        elif kind != "blank":
            try:
                found.append(Token("literal", word, position, _value(kind, word)))
            except ValueError as error:
                raise ExpressionError(str(error), text, position) from None
        position = match.end()
    return [*found, Token("end", "", len(text))]


def _unreadable(rest: str) -> str:
    character = rest[0]
    if character in "\"'":
        return f"the text {rest.splitlines()[0][:20]} is not closed; end it with {character}"
    if character in "&|=":
        return f"a single {character} means nothing; write {character * 2}"
    return f"the character {character!r} means nothing here"


def _value(kind: str, word: str) -> Any:
    if kind == "string":
        return _unquoted(word)
    if kind == "bytes":
        return _unquoted_bytes(word[1:])
    if kind == "double":
        value = float(word)
        if math.isinf(value):
            raise ValueError(f"the number {word} is too large")
        return value
    digits = word.rstrip("uU")
    number = int(digits, 16) if digits[:2] == "0x" else _decimal(digits)
    if kind == "uint":
        if number > UINT64_MAX:
            raise ValueError(f"the number {word} does not fit 64 bits")
        return Uint(number)
    if number > INT64_MAX + 1:
        raise ValueError(f"the number {word} does not fit 64 bits")
    return number


def _decimal(digits: str) -> int:
    # Python refuses thousands of digits in a message of its own.
    return int(digits) if len(digits.lstrip("0")) < 30 else UINT64_MAX + 1


def _body(word: str) -> tuple[str, bool]:
    """What stands between the quotes, and whether backslashes mean themselves."""
    raw = word[0] in "rR"
    word = word[raw:].replace("\r\n", "\n").replace("\r", "\n")
    width = 3 if len(word) >= 6 and word[:3] in ('"""', "'''") else 1
    return word[width:-width], raw


def _unquoted(word: str) -> str:
    body, raw = _body(word)
    if raw or "\\" not in body:
        return body
    return "".join(part if isinstance(part, str) else chr(_scalar(part)) for part in _parts(body))


def _unquoted_bytes(word: str) -> bytes:
    body, raw = _body(word)
    if raw or "\\" not in body:
        return body.encode("utf-8", "surrogateescape")
    parts = []
    for part in _parts(body):
        if isinstance(part, str):
            parts.append(part.encode("utf-8", "surrogateescape"))
        elif part["short"] or part["long"]:
            raise ValueError(f"{part[0]} cannot stand in bytes; write \\x and two digits for each byte")
        else:
            parts.append(bytes((_number(part),)))
    return b"".join(parts)


def _parts(body: str) -> list[str | re.Match[str]]:
    """Text, and escapes that stand for a number. Raises ValueError for an escape that is none."""
    parts: list[str | re.Match[str]] = []
    position = 0
    while position < len(body):
        end = body.find("\\", position)
        if end != position:
            end = len(body) if end < 0 else end
            parts.append(body[position:end])
            position = end
            continue
        match = _ESCAPE.match(body, position)
        if match is None:
            escape = body[position : position + 2]
            raise ValueError(
                rf"{escape} is no escape; write \{escape} for a backslash, or r'...' for text without escapes"
            )
        parts.append(_ONE.get(match["one"], match["one"]) if match["one"] else match)
        position = match.end()
    return parts


def _number(escape: re.Match[str]) -> int:
    if escape["octal"]:
        return int(escape["octal"], 8)
    return int(escape["byte"] or escape["short"] or escape["long"], 16)


def _scalar(escape: re.Match[str]) -> int:
    number = _number(escape)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise ValueError(f"{escape[0]} is no character")
    return number

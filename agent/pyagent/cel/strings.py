"""Functions of text: the language's own, and cel-go's extensions Strings and Encoders. Positions count characters."""

import base64 as codec
from typing import Any

from pyagent.cel.cost import spend
from pyagent.cel.functions import Library
from pyagent.cel.values import Failure, shown
from pyagent.kit.regex import compile_regex

__all__ = ["LIBRARY"]

LIBRARY = Library()
function, method = LIBRARY.function, LIBRARY.method

# Unicode's white space. Python's strip() takes some control characters as well.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_QUOTED = str.maketrans({"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"})
_QUOTED |= str.maketrans({"\\": r"\\", '"': r"\""}) | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


@method("contains", "string, string -> bool")
def contains(text: str, part: str) -> bool:
    return part in text


method("startsWith", "string, string -> bool")(str.startswith)
method("endsWith", "string, string -> bool")(str.endswith)


@function("matches", "string, string -> bool")
@method("matches", "string, string -> bool")
def matches(text: str, pattern: str) -> bool:
    spend(100 + len(pattern))
    regex = compile_regex(pattern)
    spend(len(text) * regex.weight // 1000)
    return regex.search(text) is not None


def _index(position: int) -> Failure:
    return Failure(f"the position {position} is not within the text")


@method("charAt", "string, int -> string")
def char_at(text: str, position: int) -> str:
    if not 0 <= position <= len(text):
        raise _index(position)
    return text[position : position + 1]


@method("indexOf", "string, string -> int", "string, string, int -> int")
def index_of(text: str, part: str, start: int = 0) -> int:
    if start < 0:
        raise _index(start)
    return text.find(part, start) if part else min(start, len(text))


@method("lastIndexOf", "string, string -> int")
def last_index_of(text: str, part: str) -> int:
    return text.rfind(part)


@method("lastIndexOf", "string, string, int -> int")
def last_index_of_before(text: str, part: str, last: int) -> int:
    """The last one that begins at `last` or before it."""
    if last < 0:
        raise _index(last)
    if not part:
        return min(last, len(text))
    return text.rfind(part, 0, last + len(part)) if last < len(text) else -1


@method("lowerAscii", "string -> string")
def lower_ascii(text: str) -> str:
    return text.translate(_LOWER)


@method("upperAscii", "string -> string")
def upper_ascii(text: str) -> str:
    return text.translate(_UPPER)


@method("replace", "string, string, string -> string", "string, string, string, int -> string")
def replace(text: str, old: str, new: str, limit: int = -1) -> str:
    found = text.count(old)
    spend((len(text) + len(new) * (found if limit < 0 else min(found, limit))) >> 4)  # before it is made
    return text.replace(old, new, limit)


@method("split", "string, string -> list(string)", "string, string, int -> list(string)")
def split(text: str, separator: str, limit: int = -1) -> list[str]:
    """Into `limit` parts at the most; negative: all, 0: none. Without a separator, into characters."""
    if limit == 0:
        return []
    spend(len(text) >> 2)  # each part is a text of its own
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


@method("substring", "string, int -> string", "string, int, int -> string")
def substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    for position in (start, end):
        if not 0 <= position <= len(text):
            raise _index(position)
    if start > end:
        raise Failure(f"the substring's start {start} comes after its end {end}")
    return text[start:end]


@method("trim", "string -> string")
def trim(text: str) -> str:
    return text.strip(_SPACE)


@method("reverse", "string -> string")
def reverse(text: str) -> str:
    return text[::-1]


@method("join", "list(string) -> string", "list(string), string -> string")
def join(items: list[Any], separator: str = "") -> str:
    for item in items:
        if not isinstance(item, str):
            raise Failure(f"join takes texts only, and {shown(item)} is none")
    spend((sum(map(len, items)) + len(items) * (1 + len(separator))) >> 4)  # before it is made
    return separator.join(items)


@function("strings.quote", "string -> string")
def quote(text: str) -> str:
    return f'"{text.translate(_QUOTED)}"'


@function("base64.encode", "bytes -> string")
def encode(value: bytes) -> str:
    return codec.b64encode(value).decode()


@function("base64.decode", "string -> bytes")
def decode(text: str) -> bytes:
    """With padding or without."""
    given = text.replace("\r", "").replace("\n", "")
    padded = given if given.endswith("=") else given + "=" * (-len(given) % 4)
    try:
        return codec.b64decode(padded, validate=True)
    except ValueError:
        raise Failure(f"{shown(text)} is not base64") from None

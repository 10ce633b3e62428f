r"""Text and its bytes: what is escaped where.

| position | escaped |
|---|---|
| measurement | comma and space by a backslash; TAB, LF, FF, CR become the two characters `\t`, `\n`, `\f`, `\r` |
| tag key, tag value, field key | as above, and `=` by a backslash |
| string field value | only `"` and backslash, by a backslash; newlines stay |

A backslash that escapes nothing stands for itself and is not doubled, so one at the end of a name would escape what
follows: those are cut off. So are NULs at the start of measurement and field key, which InfluxDB skips like spaces.
"""

import re

__all__ = [
    "as_bytes",
    "field_key",
    "from_bytes",
    "measurement",
    "string_value",
    "tag_text",
    "to_bytes",
    "unescape",
    "unquote",
]

_CONTROL = {"\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_MEASUREMENT = str.maketrans(_CONTROL | {",": "\\,", " ": "\\ "})
_KEY = str.maketrans(_CONTROL | {",": "\\,", " ": "\\ ", "=": "\\="})
_NEEDS_ESCAPE = re.compile(r"[\\, =\t\n\f\r\0]")
# InfluxDB reads the backslashes before a separator in pairs when it looks for the end of the fields, and not in pairs
# when it looks for the end of a key. Both agree where their number is odd.
_ODD_BACKSLASHES = re.compile(r"(?<!\\)((?:\\\\)*)\\(?=[, =])")
_LONE_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_NOWHERE = "\ud800"  # no bytes are decoded to it


def measurement(name: str) -> str:
    """The name as it stands in a line; empty if nothing of it is left."""
    if not _NEEDS_ESCAPE.search(name):
        return name
    return name.lstrip("\0").translate(_MEASUREMENT).rstrip("\\")


def tag_text(text: str) -> str:
    """A tag's key or value as it stands in a line; empty if nothing of it is left."""
    if not _NEEDS_ESCAPE.search(text):
        return text
    return text.translate(_KEY).rstrip("\\")


def field_key(key: str) -> str:
    """A field's key as it stands in a line; empty if nothing of it is left."""
    if not _NEEDS_ESCAPE.search(key):
        return key
    return _ODD_BACKSLASHES.sub(r"\1", key.lstrip("\0")).translate(_KEY).rstrip("\\")


def string_value(text: str) -> str:
    """A string field's value as it stands in a line, with its quotes."""
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def to_bytes(text: str) -> bytes:
    """UTF-8; bytes that were not UTF-8 as they were; other lone surrogates, which no bytes stand for, as U+FFFD."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", text).encode("utf-8", "surrogateescape")


def as_bytes(data: bytes | str) -> bytes:
    """What is to be parsed. Raises TypeError."""
    if isinstance(data, str):
        return to_bytes(data)
    if isinstance(data, bytes):
        return data
    raise TypeError(f"cannot parse an object of type {type(data).__name__}: line protocol is bytes or str")


def from_bytes(data: bytes) -> str:
    """Text of UTF-8; other bytes by surrogateescape."""
    return data.decode("utf-8", "surrogateescape")


def unescape(raw: bytes, separators: bytes = b",= ") -> str:
    """The text of a name, tag or field key: a backslash before a separator is dropped, any other stands for itself."""
    if b"\\" in raw:
        for separator in separators:
            raw = raw.replace(b"\\%c" % separator, b"%c" % separator)
    return from_bytes(raw)


def unquote(raw: bytes) -> str:
    """The text between the quotes of a string field."""
    text = from_bytes(raw)
    if "\\" not in text:
        return text
    # Not by a pattern: of a text of megabytes, each escape would be an object.
    return text.replace("\\\\", _NOWHERE).replace('\\"', '"').replace(_NOWHERE, "\\")

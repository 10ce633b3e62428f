r"""Text of metrics in messages: bytes that are not UTF-8, which a text has by surrogateescape, are shown as `\xff`."""

import re

__all__ = ["escaped", "quoted", "readable"]

_ESCAPE = re.compile(r"(\\\\)|\\udc([89a-f][0-9a-f])")
_BYTE = re.compile("[\udc80-\udcff]")


def quoted(text: str | bytes) -> str:
    """As `repr` has a text."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    shown = repr(text)
    return shown if text.isascii() else _ESCAPE.sub(lambda found: found[1] or rf"\x{found[2]}", shown)


def readable(text: str) -> str:
    """Without quotes; characters that can be printed or not stay."""
    return text if text.isascii() else _BYTE.sub(lambda found: rf"\x{ord(found[0]) - 0xDC00:02x}", text)


def escaped(text: str) -> str:
    r"""One line of what a stranger says: of what cannot be printed only tabs stay, all else, as what commands a terminal, is
    shown as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\t" else quoted(each)[1:-1] for each in text)

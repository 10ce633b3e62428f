"""Halves of surrogate pairs in JSON texts, which are no characters."""

import re

__all__ = ["whole_characters"]

_HALVES = re.compile(r"(\\[^u])|\\u([dD][89a-fA-F][0-9a-fA-F]{2})(?:\\u([0-9a-fA-F]{4}))?", re.DOTALL)


def whole_characters(text: str) -> str:
    r"""A JSON text in which halves of a surrogate pair, which \u escapes can spell alone, are U+FFFD."""
    return _HALVES.sub(_whole, text) if "\\ud" in text or "\\uD" in text else text


def _whole(match: re.Match[str]) -> str:
    if match[1]:
        return match[0]
    high, low = int(match[2], 16), int(match[3] or "0", 16)
    return match[0] if high < 0xDC00 <= low < 0xE000 else r"\ufffd"

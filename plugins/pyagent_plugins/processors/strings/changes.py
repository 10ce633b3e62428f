"""What may be done with a text, as Go does it. Bytes that are not UTF-8 are in a text by surrogateescape."""

import binascii
import re
import unicodedata

__all__ = ["SPACE", "base64_decoded", "lower", "of_utf8", "replaced", "shortened", "title", "upper"]

SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""White space."""
_NO_UTF8 = re.compile("[\ud800-\udfff]+")
_UNKNOWN = "\ufffd"
_BETWEEN = frozenset("'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a")
"""What ends no word where it stands alone between two letters."""


def lower(text: str) -> str:
    """Character by character, whatever stands beside it."""
    if text.isascii():
        return text.lower()
    return "".join([_UNKNOWN if _is_byte(c) else c.lower()[0] for c in text])


def upper(text: str) -> str:
    """Character by character: none becomes two."""
    if text.isascii():
        return text.upper()
    return "".join(map(_upper, text))


def _upper(character: str) -> str:
    if _is_byte(character):
        return _UNKNOWN
    for changed in (character.upper(), character.title()):
        if len(changed) == 1:
            return changed
    return character


def title(text: str) -> str:
    """The first letter of each word; the others stay."""
    result = []
    in_word = between = False
    for character in text:
        is_between = character in _BETWEEN
        if between and is_between:
            in_word = False
        between = is_between
        if character.islower() or character.isupper() or character.istitle():
            result.append(character if in_word else character.title())
            in_word = True
            continue
        result.append(character)
        if not is_between and _ends_word(character):
            in_word = False
    return "".join(result)


def _ends_word(character: str) -> bool:
    if character.isascii():
        return not (character.isalnum() or character == "_")
    category = unicodedata.category(character)
    if category[0] == "M" or category == "Nd" or _JOINING.match(character):
        return False
    return _ENDING.match(character) is not None or (category[0] != "L" and category not in ("Nl", "Cf", "Pc"))


_ENDING = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17dc\u1950-\u19df\u1a20-\u1a54\u1aa7\u200b\u3006-\u3029\u3031-\u303a\u303d-\u30ff\u31f0-\u31ff"
    "\u3400-\u9fff\ua9e0-\ua9fe\uaa60-\uaadd\uf900-\ufaff\uff66-\uff9d\U00011700-\U00011746\U00017000-\U00018d08"
    "\U0001aff0-\U0001b2fb\U00020000-\U0003ffff]"
)
"""Letters that are no part of words: scripts without a space between words, and signs that are whole words."""
_JOINING = re.compile(
    "[\u02c2-\u02d7\u02de-\u02ff\u055a-\u055c\u055e\u058a\u05f3\u066b\u202f\ua708-\ua716\ua720\ua721\ua789\ua78a\uab5b\U0001f3fb-\U0001f3ff]"
)
"""Other signs that are a part of words."""


def replaced(text: str, old: str, new: str) -> str:
    return text.replace(old, new) or text


def shortened(text: str, width: int) -> str:
    """The first `width` bytes: a character may be cut in two."""
    if text.isascii():
        return text[:width]
    return text.encode("utf-8", "surrogateescape")[:width].decode("utf-8", "surrogateescape")


def base64_decoded(text: str) -> str:
    """As it is where it is no base64, or that of bytes that are not UTF-8."""
    try:
        return binascii.a2b_base64(text.replace("\r", "").replace("\n", ""), strict_mode=True).decode()
    except ValueError:
        return text


def of_utf8(text: str, replacement: str) -> str:
    """With each run of bytes that are not UTF-8 replaced."""
    return text if text.isascii() else _NO_UTF8.sub(lambda _: replacement, text)


def _is_byte(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"

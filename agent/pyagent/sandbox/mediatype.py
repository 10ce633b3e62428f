"""What Go's mime package says of a Content-Type that is none."""

import re
from typing import Final

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TYPE: Final = re.compile(rf"(?P<type>{_WORD})?(?P<slash>/(?P<subtype>{_WORD})?)?(?P<rest>.*)", re.DOTALL)
_PARAMETER: Final = re.compile(rf'\s*;\s*{_WORD}\s*=\s*(?:{_WORD}|"(?:[^"\\]|\\.)*")', re.DOTALL)


def refusal(header: str) -> str:
    """Why a header cannot be read; empty: it can."""
    media, semicolon, behind = header.partition(";")
    found = _TYPE.fullmatch(media.strip().lower())
    assert found is not None
    if not found["type"]:
        return "mime: no media type"
    if found["rest"] and not found["slash"]:
        return "mime: expected slash after first token"
    if found["slash"] and not found["subtype"]:
        return "mime: expected token after slash"
    if found["rest"]:
        return "mime: unexpected content after media subtype"
    rest = (semicolon + behind).strip()
    while rest:
        parameter = _PARAMETER.match(rest)
        if parameter is None:
            return "" if rest == ";" else "mime: invalid media parameter"
        rest = rest[parameter.end() :].strip()
    return ""

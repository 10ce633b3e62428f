"""Whether a stream is to have colours, and texts in them. A log file and the journal never have any."""

import os
from typing import Any

__all__ = ["coloured", "has_colours"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def has_colours(stream: Any) -> bool:
    """Whether `stream` is a terminal with colours. NO_COLOR says no; FORCE_COLOR and CLICOLOR_FORCE say yes to any stream."""
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    if os.environ.get("TERM") in (None, "", "dumb"):
        return False
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False  # there is none, or it is closed


def coloured(text: str, colour: str) -> str:
    return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if text else text

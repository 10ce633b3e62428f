"""Times in RFC 3339 as Go's time package reads them, with its words for what is none."""

import re
from typing import Final

from pyagent.sandbox.times import days_in_month, days_of

_LAYOUT: Final = "2006-01-02T15:04:05Z07:00"
_PARTS: Final = (
    (r"\d{4}", "2006"), ("-", "-"), (r"\d\d", "01"), ("-", "-"), (r"\d\d", "02"), ("T", "T"), (r"\d\d?", "15"), (":", ":"),
    (r"\d\d", "04"), (":", ":"), (r"\d\d", "05"),
)  # fmt: skip
_BOUNDS: Final = {"01": (1, 12, "month"), "15": (0, 23, "hour"), "04": (0, 59, "minute"), "05": (0, 59, "second")}


def parse_go_time(text: str, layout: str = _LAYOUT) -> int:
    """Nanoseconds since the epoch.

    Raises:
        ValueError: the text is no time; the message is that of Go's `time.Parse`.
    """
    rest, found = text, {}
    for pattern, name in _PARTS:
        part = re.match(pattern, rest, re.ASCII)
        if part is None:
            raise ValueError(_cannot(text, layout, rest, name))
        rest = rest[part.end() :]
        if part[0].isdigit():
            found[name] = int(part[0])
        if name in _BOUNDS and not _BOUNDS[name][0] <= found[name] <= _BOUNDS[name][1]:
            raise ValueError(f"parsing time {_shown(text)}: {_BOUNDS[name][2]} out of range")
    fraction = re.match(r"[.,](\d+)", rest, re.ASCII)
    nanoseconds = 0
    if fraction is not None:
        rest = rest[fraction.end() :]
        nanoseconds = int(fraction[1][:9].ljust(9, "0"))
    zone = re.match(r"Z|([+-])(\d\d):(\d\d)", rest, re.ASCII)
    if zone is None:
        raise ValueError(_cannot(text, layout, rest, "Z07:00"))
    if rest[zone.end() :]:
        raise ValueError(f"parsing time {_shown(text)}: extra text: {_shown(rest[zone.end() :])}")
    if zone[1] and (int(zone[2]) > 24 or int(zone[3]) > 60):
        unit = "hour" if int(zone[2]) > 24 else "minute"
        raise ValueError(f"parsing time {_shown(text)}: time zone offset {unit} out of range")
    if not 1 <= found["02"] <= days_in_month(found["2006"], found["01"]):
        raise ValueError(f"parsing time {_shown(text)}: day out of range")
    offset = (int(zone[2]) * 60 + int(zone[3])) * (-60 if zone[1] == "-" else 60) if zone[1] else 0
    days = days_of(found["2006"], found["01"], found["02"])
    seconds = days * 86400 + found["15"] * 3600 + found["04"] * 60 + found["05"] - offset
    return seconds * 10**9 + nanoseconds


def _cannot(text: str, layout: str, rest: str, part: str) -> str:
    return f'parsing time {_shown(text)} as "{layout}": cannot parse {_shown(rest)} as "{part}"'


def _shown(text: str) -> str:
    """In quotes, what is not ASCII by its bytes."""
    shown = "".join(
        f"\\{chr(byte)}" if byte in b'"\\' else chr(byte) if 0x20 <= byte < 0x80 else f"\\x{byte:02x}"
        for byte in text.encode()
    )
    return f'"{shown}"'

"""Times written by layouts, which spell out Go's reference time `Mon Jan 2 15:04:05 MST 2006`: the counterpart of
`timestamps`, which reads them."""

import time as clock
from datetime import UTC, datetime, timedelta, tzinfo

from pyagent.kit.timestamps import CYCLE, cycles_beyond, layout_elements

__all__ = ["TimeLayout", "is_layout"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905


class TimeLayout:
    """`2006-01-02T15:04:05.000Z07:00`, say. `zone`: as `timestamps.load_zone` gives it; None is this host's own."""

    def __init__(self, layout: str, zone: tzinfo | None = UTC) -> None:
        self._elements = layout_elements(layout)
        self._zone = zone
        self.grain = 1 if any(element[:1] in (".", ",") for _, element in self._elements) else 1_000_000_000
        """Nanoseconds: all times between two multiples of it are the same text."""

    def format(self, time: int) -> str:
        """A time, ns since the epoch."""
        seconds, rest = divmod(time, 1_000_000_000)
        cycles = cycles_beyond(seconds)
        seconds -= cycles * CYCLE
        at = _EPOCH + timedelta(seconds=seconds)
        east, name = (0, "UTC") if self._zone is UTC else _zone_at(self._zone, at, seconds)
        at += timedelta(seconds=east)
        year = at.year + 400 * cycles
        return "".join([text + _written(element, at, year, rest, east, name) for text, element in self._elements])


def is_layout(text: str) -> bool:
    """Whether times differ in the text."""
    return len(layout_elements(text)) > 1


def _zone_at(zone: tzinfo | None, at: datetime, seconds: int) -> tuple[int, str]:
    """Seconds east of UTC, and the abbreviation."""
    if zone is None:
        local = clock.localtime(seconds)
        return local.tm_gmtoff, local.tm_zone
    there = at.astimezone(zone)
    offset = there.utcoffset() or timedelta()
    return round(offset.total_seconds()), there.tzname() or ""


def _east(element: str, east: int) -> str:
    """By one of `-07`, `-0700`, `-07:00`, `-070000` and `-07:00:00`."""
    minutes, seconds = divmod(abs(east), 60)
    hours, minutes = divmod(minutes, 60)
    mark = ":" if ":" in element else ""
    parts = [f"{hours:02d}", f"{minutes:02d}", f"{seconds:02d}"]
    return ("-" if east < 0 else "+") + mark.join(parts[: len(element.replace(":", "")) // 2])


def _written(element: str, at: datetime, year: int, ns: int, east: int, name: str) -> str:
    if element[:1] in (".", ","):
        digits = f"{ns:09d}"[: len(element) - 1]
        if element[1] == "0":
            return element[0] + digits
        digits = digits.rstrip("0")
        return element[0] + digits if digits else ""
    if element[:1] in ("Z", "-"):
        return "Z" if element[0] == "Z" and not east else _east(element, east)
    hour = at.hour % 12 or 12
    match element:
        case "":
            return ""
        case "2006":
            return f"{year:04d}"
        case "06":
            return f"{year % 100:02d}"
        case "January":
            return _MONTHS[at.month - 1]
        case "Jan":
            return _MONTHS[at.month - 1][:3]
        case "1":
            return str(at.month)
        case "01":
            return f"{at.month:02d}"
        case "Monday":
            return _DAYS[at.weekday()]
        case "Mon":
            return _DAYS[at.weekday()][:3]
        case "2":
            return str(at.day)
        case "_2":
            return f"{at.day:2d}"
        case "02":
            return f"{at.day:02d}"
        case "002":
            return f"{at.timetuple().tm_yday:03d}"
        case "__2":
            return f"{at.timetuple().tm_yday:3d}"
        case "15":
            return f"{at.hour:02d}"
        case "3":
            return str(hour)
        case "03":
            return f"{hour:02d}"
        case "4":
            return str(at.minute)
        case "04":
            return f"{at.minute:02d}"
        case "5":
            return str(at.second)
        case "05":
            return f"{at.second:02d}"
        case "PM":
            return "PM" if at.hour >= 12 else "AM"
        case "pm":
            return "pm" if at.hour >= 12 else "am"
        case "MST":
            return name or _east("-07", east)
    raise AssertionError(f"BUG: the element {element!r} of a layout is not written")

"""Which column of a CSV without annotations has the times, and how they are written."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyagent.importer.content import Content
from pyagent.importer.pieces import ImportFailure
from pyagent.importer.times import DAY_FIRST, EXCEL, MONTH_FIRST, YEAR_FIRST, reader_of, split_date, zone_of
from pyagent.kit.timestamps import parse_timestamp

__all__ = [
    "TIME_NAMES",
    "Clock",
    "Given",
    "Seen",
    "clock_column",
    "looks_like_time",
    "time_column",
    "time_form",
    "timeless",
    "with_times",
]

TIME_NAMES = (
    "_time", "time", "timestamp", "datetime", "date_time", "date", "ts", "created_at", "created", "time_stamp", "zeit",
    "zeitstempel", "datum", "zeitpunkt", "datum/zeit", "day", "when", "epoch", "utc", "recorded_at", "measured_at",
    "date of reading",
)  # fmt: skip
_CLOCK_PARTS = ("time", "zeit", "uhr", "clock", "hour", "heure", "hora", "ora", "tijd")
_CLOCK_LAYOUTS = ("15:04:05", "15:04", "3:04:05 PM", "3:04 PM", "3:04:05PM", "3:04PM", "3:04:05 pm", "3:04 pm")
_BETWEEN = (" ", ", ", "T", "")
_HOUR = re.compile(r"15|(?<![0-9])0?3(?![0-9])")
"""The hour in a layout."""
_DIGIT, _WORD = re.compile("[0-9]"), re.compile(r"[^\W\d_]{4,}")
_DATE_WORDS = (
    "january", "february", "march", "april", "june", "july", "august", "september", "october", "november", "december", "sept",
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "tues", "thur", "thurs", "cest", "eest",
    "aest", "aedt", "akst", "akdt", "hast", "hadt",
)  # fmt: skip
"""Of four letters or more."""
_TIMES = re.compile(r"(?:[0-9][0-9:.,/TZ +-]*+\n)*+")
"""Of many cells at once, each with a line break behind it: nothing else needs to be looked at."""
_ORDERS = (YEAR_FIRST, DAY_FIRST, MONTH_FIRST)
_TIME_PARTS = ("time", "date", "zeit", "datum", "stamp")
_COMPACT = re.compile(r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9](?:[0-2][0-9][0-5][0-9][0-5][0-9])?")
_LAYOUTS = (
    "20060102", "20060102150405", "20060102 150405", "20060102T150405", "20060102T150405Z07:00", "02-Jan-2006",
    "02-Jan-2006 15:04:05", "02-Jan-2006 15:04", "2 Jan 2006", "2 Jan 2006 15:04:05", "2 Jan 2006 15:04", "Jan 2, 2006",
    "Jan 2, 2006 15:04:05", "Jan 2, 2006 15:04", "Jan 2, 2006 3:04:05 PM", "Jan 2, 2006 3:04 PM", "2 January 2006",
    "2 January 2006 15:04", "January 2, 2006", "Mon, 02 Jan 2006 15:04:05 MST", "Mon, 02 Jan 2006 15:04:05 -0700",
    "Mon Jan _2 15:04:05 2006",
)  # fmt: skip
_UNITS = (
    (1e17, 1, "nanoseconds"),
    (1e14, 10**3, "microseconds"),
    (1e11, 10**6, "milliseconds"),
    (1e8, 10**9, "seconds"),
)


@dataclass(frozen=True, slots=True)
class Given:
    """What the command says. `types`: of columns, by name. `form`: of times: a layout of Go, or a name of `times`. `decimal`:
    the decimal separator. `unit`: ns of a time that is a number; `precise`: it was said."""

    measurement: str = ""
    time: str = ""
    tags: Sequence[str] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    form: str = ""
    zone: str = ""
    decimal: str = ""
    separator: str = ""
    unit: int = 0
    precise: bool = False


@dataclass(slots=True)
class Seen:
    """A pass over a file of the dialect TABLE."""

    header: list[str]
    contents: list[Content]
    rows: int = 0
    doubles: int = 0
    others: int = 0
    """Cells of a row that has not as many as the header."""
    double_rows: list[list[str]] = field(default_factory=list)
    """Of `doubles`, where they may be of an hour that came twice."""
    ends: list[list[str]] = field(default_factory=list)
    """The first row of data and the last one."""


def time_column(seen: Seen, given: Given) -> int:
    if given.time:
        return seen.header.index(given.time)
    names = [label.strip().lower() for label in seen.header]
    usable = [
        i
        for i, content in enumerate(seen.contents)
        if (content.may_be_time or _is_asked_for(content, given)) and seen.header[i] not in given.tags
    ]
    known = [names.index(name) for name in TIME_NAMES if name in names]
    for index in known:
        if index in usable or not seen.contents[index].values:
            return index
    written = [i for i in usable if seen.contents[i].dates]
    hinted = [i for i in usable if any(part in names[i] for part in _TIME_PARTS)]
    for candidates in ([i for i in written if i in hinted], written, hinted):
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            found = ", ".join(repr(seen.header[i]) for i in candidates)
            raise ImportFailure(f"several columns may be the time: {found}; name one by --time-column")
    if known:
        # Why it is no time is told then.
        return next((index for index in known if not seen.contents[index].clock), known[0])
    columns = ", ".join(repr(label) for label in seen.header if label)
    hint = ""
    if not seen.rows and seen.others:
        hint = f" (the rows have {seen.others} cells: --skipHeader passes over lines before the names of the columns)"
    raise ImportFailure(
        f"it has no annotations, and no column of times was found among {columns}{hint}; name one by --time-column, "
        "and its form by --time-format"
    )


@dataclass(frozen=True, slots=True)
class Clock:
    """The column with the time of the day of dates. `between`: what stands between the two for `form`, which reads both; empty
    where the format of the dates alone reads them."""

    index: int
    between: str = " "
    form: str = ""


def timeless(rows: Sequence[Sequence[str]], header: Sequence[str], given: Given) -> int:
    """The column whose cells tell rows of data from totals, units and remarks, which have no time; -1: all are data."""
    names = [label.strip().lower() for label in header]
    known = [header.index(given.time)] if given.time else [names.index(name) for name in TIME_NAMES if name in names]
    dated = []
    for index in (*known, *(i for i in range(len(header)) if i not in known)):
        cells = [row[index] for row in rows if may_be_time(row[index])]
        if not cells or (index not in known and len(cells) * 3 <= len(rows)):
            continue
        content = Content()
        content.add(cells)
        if index in known and (given.form or content.numeric or content.dates or _layout_of(content)):
            return index
        if content.dates or (content.values and not content.numeric and _layout_of(content)):
            dated.append(index)
    return dated[0] if len(dated) == 1 else -1


def with_times(rows: list[list[str]], index: int) -> list[list[str]]:
    """Those that may have a time in that column."""
    if _TIMES.fullmatch("\n".join([*[row[index] for row in rows], ""])) is not None:
        return rows
    return [row for row in rows if may_be_time(row[index])]


def may_be_time(cell: str) -> bool:
    """Whether a cell can be a time of any format: it has a digit, and no word but the names of months and days."""
    return _DIGIT.search(cell) is not None and all(word.lower() in _DATE_WORDS for word in _WORD.findall(cell))


def clock_column(seen: Seen, given: Given, time: int) -> Clock | None:
    """The column with the time of the day, where that of times has dates alone; None: there is none."""
    content = seen.contents[time]
    usable = [
        i for i, other in enumerate(seen.contents) if other.clock and seen.header[i] not in (*given.types, *given.tags)
    ]
    hinted = [i for i in usable if any(part in seen.header[i].lower() for part in _CLOCK_PARTS)]
    if len(hinted) != 1 or hinted[0] == time or ":" in content.date or ":" in content.example:
        return None
    (index,) = hinted
    if given.form in ("", *_ORDERS) and split_date(content.example) is not None:
        return Clock(index)
    layout = given.form or ("" if content.dated else _layout_of(content))
    if not layout or layout in (*_ORDERS, "number", EXCEL, "RFC3339", "RFC3339Nano"):
        return None
    return _joined_by(layout, content.example, seen.contents[index].example, index)


def _joined_by(layout: str, date: str, clock: str, index: int) -> Clock | None:
    """How a layout, of the date alone or of both, reads a date with its time of the day."""
    if not _HOUR.search(layout):
        for of_clock in _CLOCK_LAYOUTS:
            if _reads(f"{layout} {of_clock}", f"{date} {clock}"):
                return Clock(index, " ", f"{layout} {of_clock}")
        return None
    if _reads(layout, date):
        return None
    return next((Clock(index, sign, layout) for sign in _BETWEEN if _reads(layout, f"{date}{sign}{clock}")), None)


def _reads(form: str, text: str) -> bool:
    try:
        reader_of(form, UTC)(text.encode("utf-8", "surrogateescape"))
    except ValueError:
        return False
    return True


def time_form(label: str, content: Content, given: Given) -> tuple[str, int, str]:
    """The format, ns of one unit of a number (0: no matter), and how it is told."""
    zone = f"in {given.zone}" if given.zone else "in UTC where none is given; --timezone names another"
    if given.form:
        reader_of(given.form, zone_of(given.zone))
        return given.form, given.unit, f"by {given.form}, {zone}"
    if not content.values:
        return "", 0, "without a value"
    if content.rfc3339:
        return "RFC3339", 0, "RFC 3339"
    orders = content.orders if content.dated else set()
    if len(orders) == 1:
        (order,) = orders
        return order, 0, f"the {order.partition('-')[0]} first, {zone}"
    if orders:
        one, other = (reader_of(order, zone_of(""))(content.date.encode()) for order in (DAY_FIRST, MONTH_FIRST))
        raise ImportFailure(
            f"the dates of the column {label!r} can be read in two ways: {content.date!r} is {_day(one)} with the day "
            f"first, {_day(other)} with the month first; say which: --time-format {DAY_FIRST} or --time-format {MONTH_FIRST}"
        )
    if layout := _layout_of(content):
        reader_of(layout, zone_of(given.zone))
        return layout, 0, f"by {layout}, {zone}"
    if content.whole and content.numeric:
        if given.precise:
            return "number", given.unit, "a number of the unit that --precision says"
        for least, unit, name in _UNITS:
            if content.least_size >= least:
                if unit != next(u for low, u, _ in _UNITS if content.most_size >= low):
                    break
                return "number", unit, f"{name} since 1970; --precision says another unit"
    if content.numeric:
        raise ImportFailure(
            f"the numbers of the column {label!r} ({content.example}) are no times by themselves; give their unit by "
            f"--precision, or --time-format {EXCEL} for the day numbers of a spreadsheet"
        )
    example = content.no_date if content.date and content.no_date else content.example
    raise ImportFailure(
        f"the times of the column {label!r} are of no form that is known, such as {example!r}; "
        "give it by --time-format, as the time 15:04:05 of 2 January 2006 would be written: '02.01.2006 15:04'"
    )


def looks_like_time(text: str) -> bool:
    """Whether a text by itself can be nothing else than a date, with or without a time of the day, or a time since 1970."""
    content = Content()
    content.add((text,))
    return content.may_be_time or bool(content.values and _layout_of(content))


def _is_asked_for(content: Content, given: Given) -> bool:
    """Whether its values are times of a layout that is given."""
    return (
        given.form not in ("", "number", EXCEL, *_ORDERS)
        and bool(content.values)
        and _reads(given.form, content.example)
    )


def _layout_of(content: Content) -> str:
    """The layout of times with names of months, or without anything between their numbers; empty where it is none of them."""
    examples = [content.example]
    if content.whole and content.numeric:
        if not all(_COMPACT.fullmatch(str(int(size))) for size in (content.least_size, content.most_size)):
            return ""
        examples = [str(int(content.least_size)), str(int(content.most_size))]
    for layout in _LAYOUTS:
        with suppress(ValueError):
            for example in examples:
                parse_timestamp(layout, example)
            return layout
    return ""


def _day(time: int) -> str:
    return datetime.fromtimestamp(time / 1e9, UTC).strftime("%d %B %Y").lstrip("0")

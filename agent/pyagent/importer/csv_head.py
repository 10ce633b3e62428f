"""What the head of a CSV says: whether it has annotations, what stands between cells, and whether it names its columns."""

import csv
from collections.abc import Iterator, Sequence

from pyagent.importer.content import Content
from pyagent.importer.pieces import ImportFailure
from pyagent.importer.time_column import TIME_NAMES, Given, looks_like_time
from pyagent.importer.values import FIELD_TYPES

__all__ = ["check_is_header", "check_names", "checked", "is_plain", "separator_of"]

_SEPARATORS = ",;\t|"
_ANNOTATIONS = ("#group", "#datatype", "#default", "#constant", "#concat", "#timezone")
_TYPED = ("measurement", "tag", "field", "ignore", "time", "dateTime", *FIELD_TYPES)


def is_plain(first_lines: Sequence[str], separator: str) -> bool:
    """Whether a file that begins so has no annotations, so that it needs the first pass."""
    for line in first_lines:
        if line.startswith(("# ", '"# ')) or not line.strip():
            continue
        if line.lower().startswith(_ANNOTATIONS):
            return False
        cells = next(csv.reader([line], delimiter=separator), [])
        for cell in cells:
            _, bar, kind = cell.partition("|")
            if bar and kind.partition(":")[0].partition("|")[0].startswith(_TYPED):
                return False
        return True
    return False


def separator_of(first_lines: Sequence[str]) -> str:
    """What stands between the cells: `sep=;` says it, else that which the header and the rows have equally often."""
    if not first_lines:
        return ","
    first = first_lines[0]
    if first[:4].lower() == "sep=" and len(first) > 4:
        return first[4]
    counts: dict[str, list[int]] = {}
    for separator in _SEPARATORS:
        rows = list(checked(csv.reader(first_lines, delimiter=separator)))
        counts[separator] = [len(row) for row in rows if row]
    usable = [s for s, widths in counts.items() if widths and widths[0] > 1]
    if len(usable) > 1 and "|" in usable:
        usable.remove("|")  # in a header it stands before a type
    if not usable:
        return ","
    return max(usable, key=lambda s: (sum(width == counts[s][0] for width in counts[s]), counts[s][0]))


def checked(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """What csv cannot read is told by the second pass, with its place."""
    try:
        yield from rows
    except csv.Error:
        return


def check_is_header(names: list[str]) -> None:
    """A row of data is not taken for names, which would lose it."""
    lowered = [name.lower() for name in names]
    if any(name in TIME_NAMES for name in lowered):
        return
    times = [index for index, name in enumerate(names) if looks_like_time(name)]
    numbers = sum(_looks_like_number(name) for name in names)
    if not times and numbers * 2 <= sum(map(bool, names)):
        return
    time = times[0] if times else 0
    values = ["value", *(f"value{number}" for number in range(2, len(names)))]
    values.insert(time, "time")
    example = repr(names[time]) if names else ""
    raise ImportFailure(
        f"its first row has no names of columns, but values ({example}); name the columns by "
        f"--header {','.join(values[: len(names)])!r}"
    )


def _looks_like_number(text: str) -> bool:
    content = Content()
    content.add((text,))
    return bool(content.values) and content.numeric


def check_names(header: list[str], given: Given) -> None:
    known = [f"{label!r}" for label in header if label]
    for name in (*([given.time] if given.time else ()), *given.tags, *given.types):
        if name not in header:
            raise ImportFailure(f"there is no column {name!r}; there are {', '.join(known)}")
    twice = next((label for label in header if label.strip() and header.count(label) > 1), "")
    if twice:
        raise ImportFailure(
            f"two columns are named {twice!r}; pass over the file's names by --skipHeader 1, and give others by "
            "--header 'time,host,value'"
        )
    if not any(label.strip() for label in header):
        raise ImportFailure("its first row has no names of columns; name them by --header 'time,host,value'")

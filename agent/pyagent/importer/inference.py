"""What the columns of a CSV without annotations are: a first pass through all of it."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from operator import itemgetter

from pyagent.api.units import counted
from pyagent.importer.annotations import Column, Table
from pyagent.importer.columns import Rows, Settings
from pyagent.importer.content import TEXT, Content
from pyagent.importer.dialects import QUERY, TABLE, V1, Plain
from pyagent.importer.pieces import Failure, ImportFailure
from pyagent.importer.time_column import (
    TIME_NAMES,
    Given,
    Seen,
    clock_column,
    looks_like_time,
    time_column,
    time_form,
    timeless,
    with_times,
)
from pyagent.importer.times import zone_of
from pyagent.importer.values import ALIASES, FIELD_TYPES

__all__ = ["Given", "infer", "is_plain"]

_SEPARATORS = ",;\t|"
_ANNOTATIONS = ("#group", "#datatype", "#default", "#constant", "#concat", "#timezone")
_TYPED = ("measurement", "tag", "field", "ignore", "time", "dateTime", *FIELD_TYPES)
_BLOCK = 2000
"""Rows whose columns are looked at together."""
_MOST_SEEN = 1_000_000
"""Rows among which those of one time are looked for."""
_MOST_DOUBLES = 10_000
"""That are looked at one by one."""
_NAMED = ("_start", "_stop", "result", "table", "")


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
        rows = list(_checked(csv.reader(first_lines, delimiter=separator)))
        counts[separator] = [len(row) for row in rows if row]
    usable = [s for s, widths in counts.items() if widths and widths[0] > 1]
    if len(usable) > 1 and "|" in usable:
        usable.remove("|")  # in a header it stands before a type
    if not usable:
        return ","
    return max(usable, key=lambda s: (sum(width == counts[s][0] for width in counts[s]), counts[s][0]))


def infer(lines: Iterable[str], given: Given, measurement: str, *, named: bool = False) -> Plain:
    """Go through a whole file. `lines`: with their ends, without a byte order mark. `measurement`: where neither the file nor
    the command says one. `named`: the first row is the command's (--header). Raises ImportFailure, with what to do."""
    source = iter(lines)
    head: list[str] = []
    for line in source:
        head.append(line)
        if len(head) >= 20:
            break
    separator = given.separator or separator_of([line.rstrip("\r\n") for line in head])
    if head and head[0][:4].lower() == "sep=":
        head = head[1:]
    rows = csv.reader(chain(head, source), delimiter=separator, skipinitialspace=True)
    header = next((row for row in _checked(rows) if row and any(row) and not row[0].startswith("# ")), [])
    settings = Settings(given.measurement or measurement, unit=given.unit or 1)
    if header[:3] == ["name", "tags", "time"]:
        return _of_v1(_checked(rows), header, given, Plain(V1, separator.encode(), replace(settings, skip_empty=True)))
    if {"_measurement", "_field", "_value"} <= set(header):
        return _of_query(_checked(rows), header, given, Plain(QUERY, separator.encode(), settings))
    if not named:
        _check_is_header([label.strip() for label in header])
    return _of_table(rows, header, given, separator, settings)


def _checked(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """What csv cannot read is told by the second pass, with its place."""
    try:
        yield from rows
    except csv.Error:
        return


def _of_v1(rows: Iterator[list[str]], header: list[str], given: Given, plain: Plain) -> Plain:
    contents: dict[tuple[str, str], Content] = {}
    for row in rows:
        if row[:3] == ["name", "tags", "time"]:
            header = row
        elif len(row) > 3:
            for label, cell in zip(header[3:], row[3:], strict=False):
                contents.setdefault((row[0], label), Content()).add((cell,))
    plain.types = {key: content.kind(words=False) for key, content in contents.items()}
    plain.notes.append("it is the CSV of InfluxDB 1: name is the measurement, tags holds the tags")
    return plain


def _of_query(rows: Iterator[list[str]], header: list[str], given: Given, plain: Plain) -> Plain:
    contents: dict[str, Content] = {}
    name, value = header.index("_field"), header.index("_value")
    for row in rows:
        if {"_measurement", "_field", "_value"} <= set(row):
            name, value = row.index("_field"), row.index("_value")
        elif len(row) > max(name, value):
            contents.setdefault(row[name], Content()).add((row[value],))
    plain.types = {("", label): content.kind(words=False) for label, content in contents.items()}
    tags = [label for label in header if not label.startswith("_") and label not in _NAMED]
    found = ", ".join(f"{label} ({kind})" for (_, label), kind in plain.types.items())
    plain.notes.append(
        f"it is the result of a query without annotations: tags {_listed(tags)}; fields {found or 'none'}"
    )
    return plain


def _of_table(rows: Iterator[list[str]], header: list[str], given: Given, separator: str, settings: Settings) -> Plain:
    plain = Plain(TABLE, separator.encode(), replace(settings, missing_words=True, skip_empty=True))
    if not header:
        return plain
    header = [label.strip() for label in header]
    _check_names(header, given)
    seen = Seen(header, [Content() for _ in header])
    _go_through(rows, seen, given)
    time = time_column(seen, given)
    clock = clock_column(seen, given, time)
    form, unit, note = time_form(seen.header[time], seen.contents[time], given)
    if unit:
        plain.settings = replace(plain.settings, unit=unit)
    if clock is not None and clock.form:
        form = clock.form
        note = f"by {form}"
    decimal = _decimal(seen, separator, given, time)
    tags, fields = [], []
    for index, label in enumerate(header):
        column = Column(index, label)
        kind = given.types.get(label, "")
        content = seen.contents[index]
        if (clock is not None and index in (time, clock.index)) or (label in _NAMED and "_time" in header):
            column.part = "ignored"
        elif index == time:
            column.part, column.kind, column.form = "time", "dateTime", form
        elif label in given.tags:
            column.part = "tag"
            tags.append(label)
        elif kind:
            column.set_type(ALIASES.get(kind, kind))
        elif content.values or label.strip():
            column.kind = content.kind()
            if column.kind == "double" and content.comma_only(decimal):
                column.form = ",. '\u00a0\u202f\u2019"
            elif column.kind == "double" and (content.grouped or "," in content.doubt):
                column.form = ".,_ '\u00a0\u202f\u2019"
        if column.part == "" and label.strip() and label != "_measurement":
            plain.notes += _about_text(label, column, content, given)
            fields.append(f"{label} ({column.kind})")
            if column.kind == "double" and content.no_numbers:
                plain.notes.append(
                    f"{counted(content.no_numbers, 'cell', separator=',')} of the column {label!r} without a number, such as "
                    f"{content.no_number!r}: refused; --type '{label}=string' takes all of them as text"
                )
        column.zone = zone_of(given.zone)
        plain.columns.append(column)
    named = repr(header[time])
    if clock is not None:
        both = Column(-1, "date and time", "time", "dateTime", form, zone=zone_of(given.zone))
        both.template = f"${{{header[time]}}}{clock.between}${{{header[clock.index]}}}"
        plain.extras.append(both)
        named += f" with {header[clock.index]!r}"
    if given.zone:
        _about_order(seen, plain)
    if separator != ",":
        plain.notes.append(f"its cells are separated by {'tabs' if separator == chr(9) else repr(separator)}")
    if any(column.form[:1] == "," and column.kind == "double" for column in plain.columns):
        plain.notes.append("its numbers have decimal commas")
    plain.notes.append(
        f"measurement {plain.settings.measurement!r}; time {named} ({note}); tags {_listed(tags)}; "
        f"fields {_listed(fields)}"
    )
    if seen.doubles:
        verb = "has" if seen.doubles == 1 else "have"
        plain.notes.append(
            f"{seen.doubles:,} of {seen.rows:,} rows {verb} the series and time of another, of which the last is kept; "
            "--keep-duplicates gives each a nanosecond of its own"
        )
    return plain


def _about_text(label: str, column: Column, content: Content, given: Given) -> list[str]:
    """Why a column that a person may take for numbers, or for true and false, is text."""
    if label in given.types or column.kind != TEXT:
        return []
    if content.zeros and content.numeric:
        return [
            f"the column {label!r} is text, as numbers lose the zeros before them, such as {content.zeros!r}; "
            f"--type '{label}=double' makes it numbers"
        ]
    if dress := content.dress:
        return [
            f"the column {label!r} is text because of {dress!r} in {content.example!r}; without it the values would be "
            "numbers: take it out of the file"
        ]
    if pair := content.words_of_truth:
        return [
            f"the column {label!r} is text, as {content.example!r} is neither true nor false by itself; "
            f"--type '{label}=boolean:{pair}' says which words are"
        ]
    return []


def _check_is_header(names: list[str]) -> None:
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


def _check_names(header: list[str], given: Given) -> None:
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


def _go_through(rows: Iterator[list[str]], seen: Seen, given: Given) -> None:
    width = len(seen.header)
    watched = [i for i, label in enumerate(seen.header) if label in given.tags or label == "_measurement"]
    key: Callable[[list[str]], object] | None = None
    known: set[object] = set()
    block: list[list[str]] = []
    telling: int | None = None

    def settle() -> None:
        nonlocal key, telling
        if telling is None:
            telling = timeless(block, seen.header, given)
        if telling >= 0:
            # A total or a row of units is refused alone: what it holds is no matter for the types of the others.
            block[:] = with_times(block, telling)
        if not block:
            return
        for content, cells in zip(seen.contents, zip(*block, strict=True), strict=True):
            content.add(cells)
        if key is None:
            key = _series_and_time(seen, given, watched)
        if key is not None:
            if given.zone:
                _keep_doubles(block, key, known, seen)
            else:
                before = len(known)
                known.update(map(key, block))
                seen.doubles += len(block) - (len(known) - before)
            if len(known) > _MOST_SEEN:
                known.clear()
        seen.rows += len(block)
        seen.ends = [*seen.ends[:1], block[-1]] if seen.ends else [block[0], block[-1]]
        block.clear()

    header = seen.header
    with suppress(csv.Error):  # told by the second pass, with its place
        for row in rows:
            if len(row) == width:
                if row == header or row[0].startswith("# error : "):
                    continue
                block.append(row)
                if len(block) >= _BLOCK:
                    settle()
            else:
                seen.others = len(row)
    settle()


def _keep_doubles(block: list[list[str]], key: Callable[[list[str]], object], known: set[object], seen: Seen) -> None:
    for row in block:
        one = key(row)
        if one in known:
            seen.doubles += 1
            if len(seen.double_rows) < _MOST_DOUBLES:
                seen.double_rows.append(row)
        known.add(one)


def _about_order(seen: Seen, plain: Plain) -> None:
    """Whether the rows go back in time; those of an hour that came twice are no doubles."""
    rows = Rows(Table(lambda _: None, columns=[*plain.columns], extras=[*plain.extras]), plain.settings, lambda _: None)

    def moment(row: list[str]) -> int:
        found = rows.moment([cell.strip().encode("utf-8", "surrogateescape") for cell in row])
        return 0 if found is None else found

    with suppress(Failure):
        plain.descending = bool(seen.ends) and moment(seen.ends[0]) > moment(seen.ends[-1])
    for row in seen.double_rows:
        with suppress(Failure):
            moment(row)
            seen.doubles -= rows.twice.found


def _series_and_time(seen: Seen, given: Given, watched: list[int]) -> Callable[[list[str]], object] | None:
    """What tells the points of rows apart, as the first rows look; None where their time is not known yet."""
    try:
        time = time_column(seen, given)
    except ImportFailure:
        return None
    clock = clock_column(seen, given, time)
    return itemgetter(time, *([clock.index] if clock is not None else []), *watched)


def _decimal(seen: Seen, separator: str, given: Given, time: int) -> str:
    """The decimal separator of columns that fit both."""
    if given.decimal:
        return given.decimal
    numbers = [c for i, c in enumerate(seen.contents) if i != time and c.numeric]
    commas, points = (any(c.only(sign) for c in numbers) for sign in ",.")
    doubtful = next((i for i, c in enumerate(seen.contents) if i != time and c.numeric and c.doubtful), -1)
    if doubtful < 0 or commas != points:
        return "," if commas and not points else "."
    content = seen.contents[doubtful]
    if not commas and separator == "," and "." in content.doubt:
        return "."  # a comma would have to stand in quotes
    raise ImportFailure(
        f"the numbers of the column {seen.header[doubtful]!r} can be read in two ways: in {content.doubt!r} the separator may "
        "be that of decimals or of thousands; say what the decimal one is: --decimal . or --decimal ,"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"

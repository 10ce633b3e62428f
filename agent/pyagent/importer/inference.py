"""What the columns of a CSV without annotations are: a first pass through all of it."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from pyagent.api.units import counted
from pyagent.importer.annotations import Column
from pyagent.importer.columns import Settings
from pyagent.importer.content import TEXT, Content
from pyagent.importer.csv_head import check_is_header, check_names, checked, separator_of
from pyagent.importer.csv_walk import about_order, go_through
from pyagent.importer.dialects import QUERY, TABLE, V1, Plain
from pyagent.importer.pieces import ImportFailure
from pyagent.importer.time_column import (
    Given,
    Seen,
    clock_column,
    time_column,
    time_form,
)
from pyagent.importer.times import zone_of
from pyagent.importer.values import ALIASES

__all__ = ["infer"]

_NAMED = ("_start", "_stop", "result", "table", "")


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
    header = next((row for row in checked(rows) if row and any(row) and not row[0].startswith("# ")), [])
    settings = Settings(given.measurement or measurement, unit=given.unit or 1)
    if header[:3] == ["name", "tags", "time"]:
        return _of_v1(checked(rows), header, given, Plain(V1, separator.encode(), replace(settings, skip_empty=True)))
    if {"_measurement", "_field", "_value"} <= set(header):
        return _of_query(checked(rows), header, given, Plain(QUERY, separator.encode(), settings))
    if not named:
        check_is_header([label.strip() for label in header])
    return _of_table(rows, header, given, separator, settings)


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
    plain = Plain(TABLE, separator.encode(), replace(settings, missing_words=True, skip_empty=True, table=True))
    if not header:
        return plain
    header = [label.strip() for label in header]
    check_names(header, given)
    seen = Seen(header, [Content() for _ in header])
    go_through(rows, seen, given)
    time = time_column(seen, given)
    clock = clock_column(seen, given, time)
    form, unit, note = time_form(seen.header[time], seen.contents[time], given)
    if unit:
        plain.settings = replace(plain.settings, unit=unit)
    if clock is not None and clock.form:
        form = clock.form
        note = f"by {form}"
    decimal = _decimal(seen, separator, given, time)
    # A name of InfluxDB's alone is a name like any other: what is announced as a field is written as one.
    own = [
        label
        for label in ("_field", "_value")
        if label in given.tags or given.types.get(label) in ("ignored", "ignore")
    ]
    paired = not own and {"_field", "_value"} <= set(header)
    plain.settings = replace(plain.settings, paired=paired)
    tags, fields, left_out = [], [], []
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
            if label == "time":
                raise ImportFailure(
                    "the column 'time' cannot be a field, InfluxDB keeps that name for itself and drops it; name it otherwise, "
                    "or leave it out by --type time=ignored"
                )
            if paired and label not in ("_field", "_value"):
                column.part = "ignored"
                left_out.append(repr(label))
                plain.columns.append(column)
                continue
            plain.notes += _about_text(label, column, content, given)
            fields.append(f"{label} ({column.kind})")
            if column.kind == "double" and content.no_numbers:
                plain.notes.append(
                    f"{counted(content.no_numbers, 'cell', separator=',')} of the column {label!r} without a number, such as "
                    f"{content.no_number!r}: refused; --type '{label}=string' takes all of them as text"
                )
        elif not label.strip() and content.values and "_time" not in header:
            left_out.append(f"number {index + 1}, which has no name")
        column.zone = zone_of(given.zone)
        plain.columns.append(column)
    named = repr(header[time])
    if clock is not None:
        both = Column(-1, "date and time", "time", "dateTime", form, zone=zone_of(given.zone))
        both.template = f"${{{header[time]}}}{clock.between}${{{header[clock.index]}}}"
        plain.extras.append(both)
        named += f" with {header[clock.index]!r}"
    if given.zone:
        about_order(seen, plain)
    if separator != ",":
        plain.notes.append(f"its cells are separated by {'tabs' if separator == chr(9) else repr(separator)}")
    if any(column.form[:1] == "," and column.kind == "double" for column in plain.columns):
        plain.notes.append("its numbers have decimal commas")
    by_column = "_measurement" in header and plain.columns[header.index("_measurement")].part in ("", "measurement")
    kind = next((column.kind for column in plain.columns if column.label == "_value"), "")
    plain.notes.append(
        f"measurement {'by _measurement' if by_column else repr(plain.settings.measurement)}; time {named} ({note}); "
        f"tags {_listed(tags)}; fields {f'named by _field, with _value ({kind})' if paired else _listed(fields)}"
    )
    if left_out:
        remedy = "; --tag NAME makes a column a tag" if paired else "; name it in the header, or by --header"
        plain.notes.append(
            f"left out: the {'column' if len(left_out) == 1 else 'columns'} {', '.join(left_out)}{remedy}"
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

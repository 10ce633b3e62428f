"""One row of a CSV to one line of line protocol: the reference for the native reader of rows."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC

from pyagent.importer.annotations import Column, Table
from pyagent.importer.pieces import Failure
from pyagent.importer.times import Reader, reader_of
from pyagent.importer.twice import Twice
from pyagent.importer.values import Convert, NoValue, converter_of
from pyagent.lineprotocol.text import field_key, from_bytes, measurement, tag_text, to_bytes

__all__ = ["Cell", "Line", "Rows", "Settings", "mapping_text"]

_REFERENCE = re.compile(rb"\$\{([^}]*)\}")
_MAX_KEY = 65_535
_NO_MEASUREMENT = "no measurement column found; name one, give a #constant or --measurement"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command says of all files. `measurement`: where the file names none. `unit`: ns of a time that is a number."""

    measurement: str = ""
    unit: int = 1
    missing_words: bool = False
    """NULL, N/A and the like are no value."""
    skip_empty: bool = False
    """A row without any value is left out and counted, not refused."""
    table: bool = False
    """What a column is was found out before: its name makes it neither the time nor, where it is a tag, the measurement."""
    paired: bool = True
    """`_field` names the field whose value is in `_value`, as InfluxDB reads them; else both are columns like any other."""


@dataclass(slots=True)
class Cell:
    """Where a value comes from: the cell at `index`, `default` where that is missing or empty."""

    column: Column
    index: int
    default: bytes = b""
    template: list[tuple[bytes, int]] = field(default_factory=list)
    unknown: str = ""
    """Why no row can be converted."""

    def of(self, cells: Sequence[bytes]) -> bytes:
        if self.unknown:
            raise Failure(self.unknown, name=self.column.label)
        if self.template:
            return b"".join(text + (cells[i] if 0 <= i < len(cells) else b"") for text, i in self.template)
        return (cells[self.index] if 0 <= self.index < len(cells) else b"") or self.default

    @property
    def label(self) -> str:
        return self.column.label


@dataclass(slots=True)
class Line:
    """`head`, `fields`: as they stand in a line. `time`: ns, None where the row has no column of times."""

    head: bytes
    fields: bytes
    time: int | None


class Rows:
    """What the rows of a table become. The columns' places are found once."""

    def __init__(self, table: Table, settings: Settings, warn: Callable[[str], None]) -> None:
        self.settings = settings
        self.measurement: Cell | None = None
        self.time: Cell | None = None
        self.field_name: Cell | None = None
        self.field_value: Cell | None = None
        self.tags: list[tuple[bytes, Cell]] = []
        """By key, as it stands in a line, sorted by the key itself."""
        self.fields: list[tuple[bytes, Cell, Convert]] = []
        self.read_time: Reader = lambda _: 0
        self.twice = Twice(UTC)
        """Of times that the clock shows twice."""
        self.width = max((column.index for column in table.columns), default=-1) + 1
        self.problem = ""
        """Why no row can be converted."""
        self._table = table
        self._warn = warn
        self._convert_value: Convert = converter_of("", "")
        self._value_types: dict[str, Convert] = {}
        self._assign()

    def _assign(self) -> None:
        table = self._table
        columns = [*table.columns, *table.extras]
        labels = {column.label: column.index for column in table.columns if column.label}
        paired, known = self.settings.paired, self.settings.table
        any_is_field = not paired or "_field" not in labels
        tags: dict[str, tuple[int, Cell]] = {}
        for column in columns:
            cell = self._cell(column, labels)
            if column.part == "measurement" or (column.label == "_measurement" and not (known and column.part)):
                self.measurement = cell
            elif column.part == "time" or (column.label == "_time" and not known):
                self._assign_time(cell)
            elif column.part == "ignored" or not column.label.strip():
                continue
            elif paired and column.label == "_field":
                self.field_name = cell
            elif paired and column.label == "_value":
                self.field_value = cell
                self._convert_value = self._converter(column)
            elif column.part == "tag":
                if column.label in tags:
                    self._warn(f"two columns are the tag {column.label!r}: the later one is taken")
                tags[column.label] = (column.index, cell)
            elif (column.part == "field" or any_is_field) and (key := to_bytes(field_key(column.label))):
                self.fields.append((key, cell, self._converter(column)))
        for label in sorted(tags, key=to_bytes):
            if label in ("time", "_field", "_measurement"):
                self.problem = (
                    f"a tag cannot be named {label!r}, InfluxDB keeps that name for itself; name the column otherwise"
                )
            if key := to_bytes(tag_text(label)):
                self.tags.append((key, tags[label][1]))
        if self.measurement is None and self.settings.measurement:
            self.measurement = Cell(Column(label="--measurement"), -1, to_bytes(self.settings.measurement))
        if self.time is not None:
            column = self.time.column
            unit = self.settings.unit
            form = column.form if column.kind == "dateTime" else ""
            self.read_time = reader_of(form, column.zone, unit)
            self.twice = Twice(column.zone, form)

    def _assign_time(self, cell: Cell) -> None:
        earlier = self.time
        if earlier is not None:
            if earlier.label == "_time" or cell.label in ("_start", "_stop"):
                if cell.label not in ("_start", "_stop"):
                    self._warn(f"there are two columns of times: {earlier.label!r} is taken")
                return
            if earlier.label not in ("_start", "_stop"):
                self._warn(f"there are two columns of times: {cell.label!r} is taken, {earlier.label!r} is left out")
        self.time = cell

    def _cell(self, column: Column, labels: dict[str, int]) -> Cell:
        cell = Cell(column, column.index, to_bytes(column.default))
        if not column.template:
            return cell
        position, template = 0, to_bytes(column.template)
        for match in _REFERENCE.finditer(template):
            label = from_bytes(match[1])
            if label not in labels:
                known = ", ".join(labels)
                cell.unknown = f"{column.template!r} names a column {label!r} that is not there; there are {known}"
            cell.template.append((template[position : match.start()], labels.get(label, -1)))
            position = match.end()
        cell.template.append((template[position:], -1))
        return cell

    def _converter(self, column: Column) -> Convert:
        if column.kind == "dateTime":
            # A second time as a field: nanoseconds.
            read = reader_of(column.form, column.zone, self.settings.unit)
            return lambda cell: b"%di" % read(cell)
        try:
            return converter_of(column.kind, column.form, missing_words=self.settings.missing_words, told=self._warn)
        except ValueError as error:
            reason = str(error)

            def refuse(cell: bytes) -> bytes:
                raise ValueError(reason)

            return refuse

    def set_field_types(self, types: dict[str, str]) -> None:
        """Of the values of a query's result, by the field's name, where the file does not tell."""
        self._value_types = {
            name: converter_of(kind, "", missing_words=self.settings.missing_words) for name, kind in types.items()
        }

    @property
    def is_plain(self) -> bool:
        """All that is special is in the columns: nothing depends on what stands in another cell."""
        return not self.problem and not self._value_types

    def line(self, cells: Sequence[bytes]) -> Line | None:
        """None for a row without any value, where such are left out. Raises Failure."""
        if self.problem:
            raise Failure(self.problem)
        if self.measurement is None:
            raise Failure(_NO_MEASUREMENT)
        if self.settings.missing_words:
            cells = [cell.strip(b" ") for cell in cells]
        name = measurement(_text(self.measurement, cells))
        if not name:
            raise Failure("no measurement is given", self.measurement.index, self.measurement.label)
        if name.startswith("#"):
            raise Failure(
                "a measurement cannot begin with #, that would be a comment",
                self.measurement.index,
                self.measurement.label,
            )
        head = [to_bytes(name)]
        for key, cell in self.tags:
            if (raw := cell.of(cells)) and (value := tag_text(_text(cell, cells))):
                if self.settings.missing_words and not raw.strip():
                    continue
                head.append(b"%b=%b" % (key, to_bytes(value)))
        if (size := sum(map(len, head)) + len(head) - 1) > _MAX_KEY:
            raise Failure(f"measurement and tags have {size:,} bytes, and InfluxDB takes {_MAX_KEY:,} at the most")
        fields = self._fields_of(cells)
        if not fields:
            if self.settings.skip_empty:
                return None
            raise Failure("no field data found")
        series = b",".join(head)
        return Line(series, b",".join(fields), self._time_of(cells, series))

    def _fields_of(self, cells: Sequence[bytes]) -> list[bytes]:
        found: list[bytes] = []
        if self.field_name is not None and self.field_value is not None:
            value, name = self.field_value.of(cells), _text(self.field_name, cells)
            if value and (key := field_key(name)):
                convert = self._value_types.get(name, self._convert_value)
                if (converted := _converted(convert, value, self.field_value)) is not None:
                    found.append(b"%b=%b" % (to_bytes(key), converted))
        for known_key, cell, convert in self.fields:
            if (value := cell.of(cells)) and (converted := _converted(convert, value, cell)) is not None:
                found.append(b"%b=%b" % (known_key, converted))
        return found

    def moment(self, cells: Sequence[bytes]) -> int | None:
        """The time of a row, ns. Raises Failure."""
        return self._time_of(cells, b"")

    def _time_of(self, cells: Sequence[bytes], series: bytes) -> int | None:
        if self.time is None:
            return None
        text = self.time.of(cells)
        if not text:
            raise Failure("the row has no time", self.time.index, self.time.label)
        try:
            return self.twice.of(series, text, self.read_time(text))
        except ValueError as error:
            raise Failure(str(error), self.time.index, self.time.label) from None


def _converted(convert: Convert, value: bytes, cell: Cell) -> bytes | None:
    try:
        return convert(value)
    except NoValue:
        return None
    except ValueError as error:
        raise Failure(str(error), cell.index, cell.label) from None


def _text(cell: Cell, cells: Sequence[bytes]) -> str:
    raw = cell.of(cells)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Failure(
            f"it is not UTF-8 (byte 0x{raw[error.start]:02x}); give the file's encoding, such as --encoding ISO-8859-1",
            cell.index,
            cell.label,
        ) from None


def mapping_text(rows: Rows) -> str:
    """What the columns are taken for, as --debug prints it."""

    def labels(found: Sequence[object]) -> str:
        return ", ".join(map(str, found)) or "none"

    parts = [f"measurement: {rows.measurement.label if rows.measurement else 'none'}"]
    parts.append(f"tags: {labels([cell.label for _, cell in rows.tags])}")
    if rows.field_name is not None and rows.field_value is not None:
        parts.append(f"field: {rows.field_name.label} with {rows.field_value.label}")
    else:
        fields = [f"{cell.label} ({cell.column.kind or 'as it stands'})" for _, cell, _ in rows.fields]
        parts.append(f"fields: {labels(fields)}")
    parts.append(f"time: {rows.time.label if rows.time else 'none'}")
    return "; ".join(parts)

"""Comma separated values: each row is a metric.

Each column is a field, a tag, the measurement or the time. Rows are read as Go's encoding/csv does, whose rules are RFC
4180's: a quote stands only around a whole value, blank lines count for nothing. A row may be shorter or longer than the
header. Values take the first type that fits: integer, float, boolean, text.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.api.files import without_mark
from pyagent.api.units import format_number
from pyagent.kit.csv_rows import BadRow, csv_rows
from pyagent.kit.numbers import guess_value, parse_boolean, parse_float, parse_integer
from pyagent.kit.page_room import check_room
from pyagent.kit.records import read_rows
from pyagent.kit.timestamps import load_zone, parse_timestamp

__all__ = ["Csv", "CsvOptions"]


class CsvOptions(Options, frozen=True):
    csv_header_row_count: Annotated[int, option("rows of column names; those of several rows are joined", ge=0)] = 0
    csv_column_names: Annotated[list[str], option("names of the columns, in place of a header's")] = []
    csv_column_types: Annotated[list[str], option("int, float, bool or string for each column; []: by its look")] = []
    csv_skip_rows: Annotated[int, option("lines to leave out at the start", ge=0)] = 0
    csv_metadata_rows: Annotated[
        int, option("lines after these that hold a key and a value: they become tags", ge=0)
    ] = 0
    csv_metadata_separators: Annotated[list[str], option("what stands between the two")] = []
    csv_metadata_trim_set: Annotated[str, option("characters to cut from both ends of the two")] = ""
    csv_skip_columns: Annotated[int, option("columns to leave out on the left", ge=0)] = 0
    csv_delimiter: Annotated[str, option("one character between values")] = ","
    csv_comment: Annotated[str, option("one character that begins lines to leave out")] = ""
    csv_trim_space: Annotated[bool, option("cut spaces around values and names")] = False
    csv_tag_columns: Annotated[list[str], option("columns that are tags")] = []
    csv_tag_overwrite: Annotated[bool, option("tags of columns win over those of metadata")] = False
    csv_measurement_column: Annotated[str, option("column of the measurement")] = ""
    csv_timestamp_column: Annotated[str, option("column of the time; without one it is the present")] = ""
    csv_timestamp_format: Annotated[
        str, option("unix, unix_ms, unix_us, unix_ns, a name such as RFC3339, or a layout of Go's reference time")
    ] = ""
    csv_timezone: Annotated[str, option("zone of times that name none: an IANA name or Local; empty: UTC")] = ""
    csv_skip_values: Annotated[list[str], option("values that count as missing")] = []
    csv_skip_errors: Annotated[bool, option("leave out rows that cannot be read, instead of everything")] = False
    metric_name: Annotated[str, option("measurement, where no column gives it; empty: the name of the plugin")] = ""
    csv_reset_mode: Annotated[
        Literal["none", "always"], option("always: every piece of data has its own header, none: only the first")
    ] = "none"


class Csv(Parser[CsvOptions]):
    def setup(self) -> None:
        options = self.options
        if not options.csv_header_row_count and not options.csv_column_names:
            problem = "there are no names for the columns; set csv_header_row_count or csv_column_names"
            raise ConfigError(problem, option="data_format")
        if options.csv_column_names and len(options.csv_column_types) not in (0, len(options.csv_column_names)):
            problem = "csv_column_types must have one type for each of csv_column_names"
            raise ConfigError(problem, option="csv_column_types")
        if len(options.csv_delimiter) > 1:
            problem = f"csv_delimiter must be one character, not {options.csv_delimiter!r}"
            raise ConfigError(problem, option="csv_delimiter")
        self._delimiter, self._stands_for_comma = options.csv_delimiter or ",", ""
        if self._delimiter in _NO_DELIMITERS:
            self._delimiter, self._stands_for_comma = ",", self._delimiter
        if len(options.csv_comment) > 1 or options.csv_comment == self._delimiter:
            problem = f"csv_comment must be one character other than the delimiter, not {options.csv_comment!r}"
            raise ConfigError(problem, option="csv_comment")
        if options.csv_metadata_rows and not options.csv_metadata_separators:
            problem = "csv_metadata_rows needs csv_metadata_separators beside it"
            raise ConfigError(problem, option="csv_metadata_rows")
        self.measurement = options.metric_name or self.measurement
        try:
            self._zone = load_zone(options.csv_timezone)
        except ValueError as error:
            raise ConfigError(f"the option 'csv_timezone': {error}", option="csv_timezone") from None
        self._separators = sorted(dict.fromkeys(options.csv_metadata_separators), key=len, reverse=True)
        self._metadata: dict[str, str] = {}
        self._reset()

    def _reset(self) -> None:
        self._columns = list(self.options.csv_column_names)
        self._skip = self.options.csv_skip_rows
        self._metadata_rows = self.options.csv_metadata_rows
        self._header_rows = self.options.csv_header_row_count

    def parse(self, data: bytes) -> list[Metric]:
        # Cells are mostly short, and what is equal is kept once.
        check_room(len(data), data.count(b"\n"), data.count(self._delimiter.encode()) // 2)
        if self.options.csv_reset_mode == "always":
            self._reset()
        return self._read(data, read_rows)

    def reference(self, data: bytes) -> list[Metric]:
        """What `parse` makes of any data, in Python alone."""
        return self._read(data, None)

    def _read(self, data: bytes, natively: "Callable[..., list[Metric] | None] | None") -> list[Metric]:
        text = without_mark(data).decode("utf-8", "surrogateescape")
        if self._stands_for_comma:  # as Telegraf reads what cannot be a delimiter
            text = text.replace(",", "\ufffd").replace(self._stands_for_comma, ",")
        text = text.replace("\r\n", "\n").removesuffix("\r")
        first = 1
        while (self._skip or self._metadata_rows) and text:
            line, _, text = text.partition("\n")
            first += 1
            if self._skip:
                self._skip -= 1
            else:
                self._metadata_rows -= 1
                self._read_metadata(line)
        if self._skip or self._metadata_rows:
            raise ParseError("the data end before the rows that the options tell to skip")
        options = self.options
        delimiter = self._delimiter
        if natively is not None and delimiter.isascii() and not options.csv_comment and not options.csv_trim_space:
            header, lines = _header(text, self._header_rows)
            if len(header) == self._header_rows:
                self._read_header(enumerate(line.split(delimiter) for line in header))
                text, first = text[sum(map(len, lines)) :], first + len(lines)
                if (cells := self._cells(delimiter)) is not None:
                    metrics = natively(text.encode("utf-8", "surrogateescape"), **cells)
                    if metrics is not None:
                        return metrics
        rows = csv_rows(text, delimiter, options.csv_comment, options.csv_trim_space)
        try:
            self._read_header(rows)
            return self._metrics(rows, first)
        except BadRow as error:
            raise ParseError(error.reason, first + error.line) from None

    def _cells(self, delimiter: str) -> dict[str, Any] | None:
        """As `pyagent.kit.records.read_rows` wants it; None where it cannot read such rows."""
        options = self.options
        timed, unit = options.csv_timestamp_column, options.csv_timestamp_format
        names = [name for name in self._columns if name]
        if timed and (not unit or timed in options.csv_tag_columns or timed == options.csv_measurement_column):
            return None
        if len(set(names)) < len(names):
            return None
        given = {**self.default_tags, **self._metadata}
        if not options.csv_tag_overwrite:
            given = {**self._metadata, **self.default_tags}
        return {
            "delimiter": ord(delimiter),
            "skipped": options.csv_skip_columns,
            "names": self._columns,
            "columns": [self._column(index, name) for index, name in enumerate(self._columns)],
            "missing": [text.encode("utf-8", "surrogateescape") for text in options.csv_skip_values],
            "before": given if options.csv_tag_overwrite else {},
            "behind": {} if options.csv_tag_overwrite else given,
            "measurement": self.measurement,
            "measurement_column": options.csv_measurement_column or None,
            "guess": guess_value,
            "typed": _typed_cell,
            "time": self._time,
            "unit": _UNITS.get(unit, 0),
            "timed": bool(timed),
            "now": self.now,
            "named": _name,
        }

    def _column(self, index: int, name: str) -> int:
        options = self.options
        if not name:
            return _LEFT_OUT
        if name in options.csv_tag_columns:
            return _TAG
        if name == options.csv_timestamp_column:
            return _TIME
        if not options.csv_column_types:
            return _GUESS
        if index < len(options.csv_column_types):
            return _TYPES.get(options.csv_column_types[index], _TEXT)
        return _UNTYPED

    def _time(self, text: str) -> int:
        return parse_timestamp(self.options.csv_timestamp_format, text, self._zone)

    def _read_metadata(self, line: str) -> None:
        for separator in self._separators:
            key, found, value = line.partition(separator)
            if found and (key := key.strip(self.options.csv_metadata_trim_set or "\n")):
                self._metadata[key] = value.strip(self.options.csv_metadata_trim_set or "\n")
                return

    def _read_header(self, rows: "Iterator[tuple[int, list[str]]]") -> None:
        named = bool(self.options.csv_column_names)
        read = self._header_rows > 0
        while self._header_rows:
            _, names = next(rows, (0, None))
            if names is None:
                raise ParseError("the data end within the header")
            self._header_rows -= 1
            if named:
                continue
            for index, name in enumerate(names):
                name = name.strip(" ") if self.options.csv_trim_space else name
                if index < len(self._columns):
                    self._columns[index] += name
                else:
                    self._columns.append(name)
        if read and not named:
            del self._columns[: self.options.csv_skip_columns]

    def _metrics(self, rows: "Iterator[tuple[int, list[str]]]", first: int) -> list[Metric]:
        metrics = []
        for line, row in rows:
            try:
                metrics.append(self._metric(row))
            except ValueError as error:
                if not self.options.csv_skip_errors:
                    raise BadRow(line, str(error)) from None
                self.log.debug("line %d is left out: %s", first + line, error)
        return metrics

    def _metric(self, row: list[str]) -> Metric:
        options = self.options
        from_columns: dict[str, str] = {}
        fields: dict[str, FieldValue] = {}
        for index, (name, value) in enumerate(zip(self._columns, row[options.csv_skip_columns :], strict=False)):
            if options.csv_trim_space:
                value = value.strip(" ")
            if not name or value in options.csv_skip_values:
                continue
            if name in options.csv_tag_columns:
                from_columns[name] = value
            elif name == options.csv_timestamp_column:
                fields[name] = value
            elif not options.csv_column_types:
                fields[name] = guess_value(value)
            elif index < len(options.csv_column_types):
                fields[name] = _typed(name, value, options.csv_column_types[index])
            else:
                raise ValueError(f"csv_column_types has no type for the column {name!r}")
        # As in Telegraf, unless told otherwise.
        given = {**self.default_tags, **self._metadata} if options.csv_tag_overwrite else {}
        tags = {**given, **from_columns} if given else {**from_columns, **self._metadata, **self.default_tags}
        if options.csv_timestamp_column:
            text = fields.pop(options.csv_timestamp_column, None)
            if text is None:
                raise ValueError(f"there is no time in the column {options.csv_timestamp_column!r}")
            if not options.csv_timestamp_format:
                raise ValueError("csv_timestamp_column needs csv_timestamp_format beside it")
            time = parse_timestamp(options.csv_timestamp_format, text, self._zone)
        else:
            time = self.now()
        measurement = fields.pop(options.csv_measurement_column, "") if options.csv_measurement_column else ""
        return Metric(_name(measurement) or self.measurement, tags, fields, time)


_NO_DELIMITERS = ('"', "\r", "\n", "\0", "\ufffd")


def _header(text: str, count: int) -> tuple[list[str], list[str]]:
    """The first lines of a text that are not blank, and all lines up to them with their ends; fewer where one has a quote, or
    the text ends before."""
    header: list[str] = []
    lines: list[str] = []
    position = 0
    while len(header) < count and position < len(text):
        end = text.find("\n", position) + 1 or len(text)
        lines.append(text[position:end])
        position = end
        if '"' in lines[-1]:
            break
        if line := lines[-1].removesuffix("\n"):
            header.append(line)
    return header, lines


_UNITS = {"unix": 1_000_000_000, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}
# What becomes of a column's values: numbers of `Column` in pyagent/kit/native/records.hpp.
_LEFT_OUT, _TAG, _TIME, _GUESS, _INT, _FLOAT, _BOOL, _TEXT, _UNTYPED = range(9)
_TYPES = {"int": _INT, "float": _FLOAT, "bool": _BOOL}


def _typed_cell(cell: tuple[str, str, int]) -> FieldValue:
    """A value of a column: its name, the text, and its number in `_TYPES`. Raises ValueError."""
    name, text, column = cell
    for kind, number in _TYPES.items():
        if number == column:
            return _typed(name, text, kind)
    raise ValueError(f"csv_column_types has no type for the column {name!r}")


def _typed(name: str, text: str, kind: str) -> FieldValue:
    value: FieldValue | None
    match kind:
        case "int":
            value = parse_integer(text)
        case "float":
            value = parse_float(text)
        case "bool":
            value = parse_boolean(text)
        case _:
            return text
    if value is None:
        raise ValueError(f"the column {name!r} must be of type {kind}, and is {text!r:.80}")
    return value


def _name(value: FieldValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, float):
        return str(value)
    if abs(value) >= 1e21 or 0 < abs(value) < 1e-4:  # as Go writes these, always with two digits behind the e
        return repr(value).replace(".0e", "e")
    return format_number(value)

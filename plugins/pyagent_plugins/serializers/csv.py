"""CSV: a row for each metric, of its time, its name, its tags and its fields.

Rows of metrics with other tags or fields have other columns; `csv_columns` gives all rows the same ones.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from pyagent.api import ConfigError, Metric, Options, Serializer, option
from pyagent.kit.field_texts import FieldTexts, SeriesMemo, float_text
from pyagent.kit.layouts import TimeLayout, is_layout
from pyagent.kit.memo import KeysMemo
from pyagent.kit.records import write_rows

__all__ = ["Csv", "CsvOptions"]


class CsvOptions(Options, frozen=True):
    csv_timestamp_format: Annotated[
        str, option("unix, unix_ms, unix_us, unix_ns, or a layout of Go's reference time, in UTC (empty: unix)")
    ] = "unix"
    csv_separator: Annotated[str, option("one character between columns (empty: a comma)")] = ","
    csv_header: Annotated[bool, option("write the names of the first metric's columns as the first row")] = False
    csv_column_prefix: Annotated[bool, option("write tag_ and field_ before names in the header")] = False
    csv_columns: Annotated[
        list[str], option("columns in their order: timestamp, name, tag.KEY and field.KEY ([]: all that a metric has)")
    ] = []


_UNITS = {"unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}
_PLAIN_UNITS = _UNITS | {"unix": 1_000_000_000}
_IN_NUMBERS = "+-.0123456789NaInftruefls"
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Csv(Serializer[CsvOptions]):
    def setup(self) -> None:
        options = self.options
        self._separator = separator = options.csv_separator or ","
        if len(separator.encode()) != 1 or separator in '"\r\n\0':
            raise ConfigError(
                f"cannot separate columns by {separator!r}: give one ASCII character that is no quote and no line end",
                option="csv_separator",
            )
        quoted = _quoted(separator)
        self._quoted = quoted
        self._time = time = _time(options.csv_timestamp_format or "unix", quoted)
        self._headed = not options.csv_header
        self.stateful = options.csv_header
        self._texts = FieldTexts(text=quoted)
        if separator in _IN_NUMBERS:  # then they are quoted, too
            self._time = lambda ns: quoted(time(ns))
            self._texts = FieldTexts(
                text=quoted,
                number=lambda value: quoted(float_text(value)),
                boolean=lambda value: quoted("true" if value else "false"),
                whole=lambda value: quoted(str(value)),
            )
        self._heads: SeriesMemo[str] = SeriesMemo(self._head)
        self._orders: KeysMemo[tuple[str, ...]] = KeysMemo(lambda keys: tuple(sorted(keys)))
        self._columns = [self._column(name) for name in options.csv_columns]
        self._unit = _PLAIN_UNITS.get(options.csv_timestamp_format or "unix", 0)
        if self._columns or separator in _IN_NUMBERS:
            self._unit = 0

    def serialize(self, metric: Metric) -> bytes:
        return self.serialize_batch([metric])

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        if not metrics:
            return b""
        if self._unit and write_rows is not None:
            head = b""
            if not self._headed:
                head = f"{self._header(metrics[0])}\n".encode("utf-8", "surrogateescape")
                self._headed = True
            return head + write_rows(metrics, self._unit, ord(self._separator), self._row_bytes)
        return self.reference(metrics)

    def reference(self, metrics: Sequence[Metric]) -> bytes:
        """What `serialize_batch` makes of one metric and more, in Python alone."""
        rows = [*map(self._chosen if self._columns else self._row, metrics)]
        if not self._headed:
            rows.insert(0, self._header(metrics[0]))
            self._headed = True
        rows.append("")
        return "\n".join(rows).encode("utf-8", "surrogateescape")

    def _row(self, metric: Metric) -> str:
        fields, texts = metric.fields, self._texts
        values = [texts[type(value)](value) for value in [fields[key] for key in self._orders[tuple(fields)]]]
        return self._separator.join([self._time(metric.time), self._heads.of(metric), *values])

    def _row_bytes(self, metric: Metric) -> bytes:
        return f"{self._row(metric)}\n".encode("utf-8", "surrogateescape")

    def _chosen(self, metric: Metric) -> str:
        return self._separator.join([column(metric) for column in self._columns])

    def _head(self, metric: Metric) -> str:
        texts = [metric.name, *[metric.tags[key] for key in sorted(metric.tags)]]
        return self._separator.join(map(self._quoted, texts))

    def _header(self, metric: Metric) -> str:
        prefixed = self.options.csv_column_prefix
        if columns := self.options.csv_columns:
            names = [
                name.replace(".", "_") if prefixed else name.removeprefix("tag.").removeprefix("field.")
                for name in columns
            ]
        else:
            tag, field = ("tag_", "field_") if prefixed else ("", "")
            names = ["timestamp", "measurement"]
            names += [tag + key for key in sorted(metric.tags)] + [field + key for key in sorted(metric.fields)]
        return self._separator.join(map(self._quoted, names))

    def _column(self, name: str) -> Callable[[Metric], str]:
        if name == "timestamp":
            time = self._time
            return lambda metric: time(metric.time)
        quoted, texts = self._quoted, self._texts
        if name == "name":
            return lambda metric: quoted(metric.name)
        kind, _, key = name.partition(".")
        if kind == "tag" and name != kind:
            return lambda metric: quoted(metric.tags.get(key, ""))
        if kind == "field" and name != kind:
            return lambda metric: texts[type(value := metric.fields.get(key, ""))](value)
        raise ConfigError(
            f"cannot write the column {name!r}: there are timestamp, name, tag.KEY and field.KEY", option="csv_columns"
        )


def _time(text: str, quoted: Callable[[str], str]) -> Callable[[int], str]:
    if text == "unix":
        return lambda time: str(time // 1_000_000_000)
    if unit := _UNITS.get(text):
        # Towards 0, as integers are divided there.
        return lambda time: str(time // unit if time >= 0 else -(-time // unit))
    if not is_layout(text):
        raise ConfigError(
            f"cannot write times as {text!r}: give unix, unix_ms, unix_us, unix_ns, or a layout such as "
            '"2006-01-02T15:04:05Z07:00"',
            option="csv_timestamp_format",
        )
    layout = TimeLayout(text)
    return lambda time: quoted(layout.format(time))


def _quoted(separator: str) -> Callable[[str], str]:
    """Texts in quotes where a reader would take them for something else without."""

    def quoted(text: str) -> str:
        plain = '"' not in text and "\n" not in text and "\r" not in text and separator not in text
        if plain and (not text or text[0] not in _SPACE) and text != "\\.":
            return text
        return '"' + text.replace('"', '""') + '"'

    return quoted

"""Files of Apache Parquet: each row is a metric, each column a tag or a field.

Row groups are read one after the other, and of each only so many rows at a time.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

from pyagent.api import ConfigError, FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.api.units import format_number
from pyagent.kit.libraries import missing_library
from pyagent.kit.numbers import shortest_float32
from pyagent.kit.timestamps import load_zone, parse_timestamp

__all__ = ["Parquet", "ParquetOptions"]

_ROWS_AT_A_TIME = 4096
_MOST_ROWS = 1_000_000
"""Of a file: a few bytes can stand for any number of them."""
_MOST_BYTES = 1 << 30
"""That the columns of a file say they are when they are decompressed."""
_MOST_OF_HEADER = 16 << 20

Text = Callable[[Any], str]
Column = tuple[str, list[Any], Text]


class ParquetOptions(Options, frozen=True):
    measurement_column: Annotated[str, option("column with the measurement (empty: the name of the plugin)")] = ""
    tag_columns: Annotated[list[str], option("columns that become tags")] = []
    timestamp_column: Annotated[str, option("column with the time (empty: the present)")] = ""
    timestamp_format: Annotated[
        str, option("unix, unix_ms, unix_us, unix_ns, or a layout of Go's reference time (empty: unix)")
    ] = ""
    timestamp_timezone: Annotated[str, option("zone of times that name none: an IANA name or Local (empty: UTC)")] = ""


class Parquet(Parser[ParquetOptions]):
    def setup(self) -> None:
        options = self.options
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ConfigError(
                f"cannot read files of Parquet: {missing_library('pyarrow')}", option="data_format"
            ) from None
        self._arrow: Any = pyarrow
        self._tags = frozenset(options.tag_columns)
        try:
            self._zone = load_zone(options.timestamp_timezone)
        except ValueError as error:
            raise ConfigError(f"the option 'timestamp_timezone': {error}", option="timestamp_timezone") from None

    def parse(self, data: bytes) -> list[Metric]:
        arrow = self._arrow
        metrics: list[Metric] = []
        try:
            file = arrow.parquet.ParquetFile(
                arrow.BufferReader(data),
                thrift_string_size_limit=_MOST_OF_HEADER,
                thrift_container_size_limit=_MOST_ROWS,
            )
            self._check(file.metadata)
            for batch in file.iter_batches(batch_size=_ROWS_AT_A_TIME, use_threads=False):
                metrics += self._rows(list(self._columns(batch)), self.now())
                if len(metrics) > _MOST_ROWS:
                    raise ValueError(f"it has more than {_MOST_ROWS:,} rows")
        except (arrow.ArrowException, ValueError, OSError, NotImplementedError, LookupError, OverflowError) as error:
            raise ParseError(f"the data are no file of Parquet that can be read: {_first_line(error)}") from None
        except MemoryError:
            raise ParseError("the file of Parquet needs more memory than there is") from None
        return metrics

    def _check(self, metadata: Any) -> None:
        """Raises ValueError."""
        if metadata.num_rows > _MOST_ROWS:
            raise ValueError(f"it has {metadata.num_rows:,} rows, and {_MOST_ROWS:,} are read at the most")
        # What columns say by themselves is not asked for: where it is damaged, the library ends the process.
        size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
        if size > _MOST_BYTES:
            raise ValueError(f"it has {size:,} bytes when it is decompressed, and {_MOST_BYTES:,} are read at the most")

    def _columns(self, batch: Any) -> Iterator[Column]:
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            plain = _plain(self._arrow, array)
            if plain is None:
                self.log.debug("the column %r is left out: its type is %s", name, array.type)
                continue
            yield name, plain.to_pylist(), shortest_float32 if self._arrow.types.is_float32(plain.type) else _text

    def _rows(self, columns: list[Column], now: int) -> list[Metric]:
        """Raises ValueError."""
        options = self.options
        layout = options.timestamp_format or "unix"
        names = [name for name, _, _ in columns]
        texts = [text for _, _, text in columns]
        metrics = []
        for row in zip(*(values for _, values, _ in columns), strict=True):
            measurement, time = self.measurement, now
            tags = dict(self.default_tags)
            fields: dict[str, FieldValue] = {}
            is_empty = True
            for name, value, text in zip(names, row, texts, strict=True):
                if value is None:
                    continue
                is_empty = False
                if name == options.measurement_column:
                    measurement = text(value)
                elif name in self._tags:
                    if given := text(value):
                        tags[name] = given
                elif name == options.timestamp_column:
                    time = parse_timestamp(layout, text(value), self._zone)
                else:
                    fields[name] = _text(value) if isinstance(value, bytes) else value
            if not is_empty:
                metrics.append(Metric(measurement, tags, fields, time))
        return metrics


def _plain(arrow: Any, array: Any) -> Any:
    """With numbers and texts as they are stored, whatever they mean; None for what is nested."""
    types = arrow.types
    if isinstance(array, arrow.ExtensionArray):
        array = array.storage
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    as_stored = partial(array.view)
    if types.is_timestamp(kind) or types.is_time64(kind) or types.is_duration(kind) or types.is_uint64(kind):
        return as_stored(arrow.int64())
    if types.is_date32(kind) or types.is_time32(kind) or types.is_uint32(kind):
        return as_stored(arrow.int32())
    if types.is_decimal(kind):
        return array.cast(arrow.float64())
    if types.is_float16(kind):
        return array.cast(arrow.float32())
    if types.is_string(kind) or types.is_large_string(kind):
        return array.cast(arrow.binary() if types.is_string(kind) else arrow.large_binary())
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return array if is_bytes or is_number else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, bool):
        return "true" if value else "false"
    return format_number(value) if isinstance(value, float) else str(value)


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__

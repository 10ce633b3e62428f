"""Rows of pandas and polars frames, by the frames' own methods: neither is imported.

Each column has one type, chosen before anything is sent, so that a later frame has the same one: numbers are floats.
"""

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from datetime import time as midnight
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pyagent.api.metric import Uint
from pyagent.client.points import EXACT, Int, PointError, typed
from pyagent.client.times import time_ns

__all__ = ["frame_codes", "rows_of"]

Codes = Mapping[str | None, Mapping[str, int]] | None
Row = tuple[int, dict[str, Any], dict[str, Any], Any]

_NAT = -(2**63)
_FLOAT, _INTEGER, _UNSIGNED = 1, 2, 3


def frame_codes(measurement: str, writer: Codes, frame: Codes) -> dict[str, int]:
    """The declared types of the frame's columns."""
    found: dict[str, int] = {}
    for codes in (writer, frame):
        if codes:
            found.update(codes.get(measurement) or codes.get(None) or {})
    return found


def rows_of(
    frame: Any,
    *,
    tags: Sequence[str],
    time: str | None,
    fields: Sequence[str] | None,
    timezone: str | None,
    codes: Mapping[str, int],
) -> Iterator[Row]:
    """Number, fields, tags and time of each row; None is no time. All columns are looked at before the first row is given.
    Raises PointError."""
    table = _table(frame)
    names = list(table.names)
    tags = [tags] if isinstance(tags, str) else list(tags)
    wanted = [name for name in names if name not in tags and name != time] if fields is None else list(fields)
    for name in (*tags, *wanted):
        if name not in names:
            raise PointError(f"cannot write the frame: it has no column {name!r}; it has {', '.join(names)[:300]}")
    if not wanted:
        raise PointError("cannot write the frame: it has no column for a field")
    zone = _zone(timezone)
    times = table.times(time, timezone, zone)
    columns = [_field_column(name, table.values(name), table.is_single(name), codes.get(name, 0)) for name in wanted]
    labels = [[_tag_value(value) for value in table.values(name)] for name in tags]
    return _rows(wanted, columns, tags, labels, times)


def _rows(
    wanted: list[str], columns: list[list[Any]], tags: list[str], labels: list[list[Any]], times: list[Any]
) -> Iterator[Row]:
    tagged = zip(*labels, strict=True) if tags else (() for _ in times)
    for number, (when, values, texts) in enumerate(zip(times, zip(*columns, strict=True), tagged, strict=True)):
        fields = {name: value for name, value in zip(wanted, values, strict=True) if value is not None}
        yield number, fields, {name: text for name, text in zip(tags, texts, strict=True) if text is not None}, when


def _table(frame: Any) -> "_Pandas | _Polars":
    if hasattr(frame, "iloc") and hasattr(frame, "columns") and hasattr(frame, "index"):
        return _Pandas(frame)
    if hasattr(frame, "get_column") and hasattr(frame, "columns"):
        return _Polars(frame)
    if hasattr(frame, "collect") and hasattr(frame, "collect_schema"):
        raise PointError("cannot write the frame: it is lazy; give frame.collect()")
    raise PointError(f"cannot write a {type(frame).__name__}: it is no frame of pandas or polars")


class _Pandas:
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names = _unique([str(name) for name in frame.columns])

    def values(self, name: str) -> list[Any]:
        found: list[Any] = self._series(name).tolist()
        return found

    def is_single(self, name: str) -> bool:
        return str(self._series(name).dtype).lower() in ("float32", "float[pyarrow]", "float16", "halffloat[pyarrow]")

    def _series(self, name: str) -> Any:
        return self._frame.iloc[:, self.names[name]]

    def times(self, time: str | None, timezone: str | None, zone: Any) -> list[Any]:
        frame, what = self._frame, "the index"
        index = frame.index
        if time is not None and not (time not in self.names and time == index.name):
            if time not in self.names:
                raise PointError(f"cannot write the frame: it has no column {time!r} for the time")
            what, index = f"the column {time!r}", frame.set_index(frame.columns[self.names[time]]).index
        if hasattr(index, "asi8") and hasattr(index, "tz_localize"):
            if index.tz is None and timezone == "local":
                return [None if value is None else time_ns(value) for value in _missing_out(index.tolist())]
            if index.tz is None:
                try:
                    index = index.tz_localize(_named(zone, what))
                except Exception as error:
                    if isinstance(error, PointError):
                        raise
                    raise PointError(
                        f"cannot write the frame: {what} has times that {timezone} has not: {error}"
                    ) from None
            return [None if value == _NAT else value for value in index.as_unit("ns").asi8.tolist()]
        if time is None:
            raise PointError(
                f"cannot write the frame: its index is a {type(index).__name__} and no time; name the column of the time as"
                " `time`, or give it a DatetimeIndex"
            )
        return _any_times(what, _missing_out(index.tolist()), timezone, zone)


class _Polars:
    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names = _unique(list(frame.columns))

    def values(self, name: str) -> list[Any]:
        found: list[Any] = self._frame.get_column(name).to_list()
        return found

    def is_single(self, name: str) -> bool:
        return str(self._frame.get_column(name).dtype) == "Float32"

    def times(self, time: str | None, timezone: str | None, zone: Any) -> list[Any]:
        if time is None:
            raise PointError("cannot write the frame: name the column of the time as `time`")
        if time not in self.names:
            raise PointError(f"cannot write the frame: it has no column {time!r} for the time")
        column, what = self._frame.get_column(time), f"the column {time!r}"
        if str(column.dtype).startswith("Datetime") and (column.dtype.time_zone is not None or timezone != "local"):
            if column.dtype.time_zone is None:
                try:
                    column = column.dt.replace_time_zone(str(_named(zone, what)))
                except Exception as error:
                    if isinstance(error, PointError):
                        raise
                    raise PointError(
                        f"cannot write the frame: {what} has times that {timezone} has not: {error}"
                    ) from None
            found: list[Any] = column.dt.epoch("ns").to_list()
            return found
        return _any_times(what, _missing_out(column.to_list()), timezone, zone)


def _any_times(what: str, values: list[Any], timezone: str | None, zone: Any) -> list[Any]:
    """Of a column of Python's own values."""
    found: list[Any] = []
    for row, value in enumerate(values):
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, midnight())
        if isinstance(value, datetime):
            if value.tzinfo is None and timezone != "local":
                value = value.replace(tzinfo=_named(zone, what))
            value = time_ns(value)
        elif isinstance(value, str):
            raise PointError(
                f"cannot write the frame: {what} holds text ({value!r:.40} in row {row}); convert it to times first"
            )
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise PointError(
                f"cannot write the frame: {what} holds a {type(value).__name__} in row {row}, which is no time"
            )
        found.append(value)
    return found


def _named(zone: Any, what: str) -> Any:
    if zone is None:
        raise PointError(
            f'cannot write the frame: the times of {what} have no zone; give timezone="UTC", "Europe/Berlin" or "local"'
        )
    return zone


def _zone(timezone: str | None) -> Any:
    if timezone in (None, "local"):
        return None
    try:
        return ZoneInfo(str(timezone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PointError(f"cannot write the frame: there is no time zone {timezone!r}") from None


def _unique(names: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in found:
            raise PointError(f"cannot write the frame: two columns are called {name!r}")
        found[name] = index
    return found


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and not math.isfinite(value)


def _missing_out(values: list[Any]) -> list[Any]:
    return [None if _is_missing(value) else value for value in values]


def _field_column(name: str, values: list[Any], single: bool, code: int) -> list[Any]:
    """One type for all of the column. Raises PointError with column and row."""
    kinds = set(map(type, values))
    if kinds == {float} and code in (0, _FLOAT):
        return [_shortest(value) for value in values] if single else [v if math.isfinite(v) else None for v in values]
    if kinds == {int} and code in (0, _FLOAT) and max(map(abs, values), default=0) <= EXACT:
        return values
    found: list[Any] = []
    first: tuple[str, int] | None = None
    for row, value in enumerate(values):
        if _is_missing(value):
            found.append(None)
            continue
        try:
            plain = typed(name, _shortest(value) if single and type(value) is float else value, code)
        except PointError as error:
            raise PointError(f"cannot write the frame: column {name!r}, row {row}: {error}") from None
        kind = "number" if isinstance(plain, int | float) and not isinstance(plain, bool) else type(plain).__name__
        if first is None:
            first = kind, row
        if kind != first[0]:
            raise PointError(
                f"cannot write the frame: column {name!r} has more than one type: {_a(first[0])} in row {first[1]},"
                f" {_a(kind)} ({value!r:.40}) in row {row}"
            )
        if code == _INTEGER and plain is not None:
            plain = Int(int(plain))
        elif code == _UNSIGNED and plain is not None:
            plain = Uint(int(plain))
        found.append(plain)
    return found


def _a(kind: str) -> str:
    return f"a {kind}"


def _shortest(value: float) -> float | None:
    """A float32 by its shortest form: 1.1, and not 1.100000023841858."""
    if not math.isfinite(value):
        return None
    packed = struct.pack("<f", value)
    for digits in range(6, 10):
        shorter = float(f"{value:.{digits}g}")
        if struct.pack("<f", shorter) == packed:
            return shorter
    return value


def _tag_value(value: Any) -> Any:
    return None if _is_missing(value) else value

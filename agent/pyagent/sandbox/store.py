"""The points, in SQLite.

A column is one field of one series with one type. Its points are in blocks of up to 1,024, times and values as bytes, so
that a range of a series is a few rows, and "last" is one. Series and columns are few, live in memory too, and are chosen
there; SQL only ever sees column ids.

What one request writes is one row of its own first, a batch, and goes to the blocks with those of other requests: otherwise
each write would write a block anew for every series. Reads put the batches' points over those of the blocks.

`write`, `delete`, `drop` and `expire` must be called from one thread at a time,
the caller's writer; reads may come from any.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from pyagent.sandbox import blocktable
from pyagent.sandbox.blocks import ColumnBatch, decode_times, ends, make_batch, merged
from pyagent.sandbox.points import STRING, Point, Value, quote, split_key
from pyagent.sandbox.runs import Run
from pyagent.sandbox.series import Column, Series, Tags
from pyagent.sandbox.times import go_duration, rfc3339
from pyagent.sandbox.view import View

MAX_STRING: Final = 1_048_576
_ZERO_TIME: Final = 62_135_596_800 * 10**9
"""Shards are aligned to Go's zero time, the first of January of the year 1."""
_MERGE_BATCHES: Final = 64
_MERGE_BYTES: Final = 1_000_000
_MERGE_BYTES_EACH: Final = 256
_MERGE_BYTES_MOST: Final = 4_000_000
"""So many batches, or bytes of them, go to the blocks: more where there are many columns, of which each is a block."""
_WRITER_CACHE: Final = 16_384
_READER_CACHE: Final = 8_192
"""KiB of pages that a connection keeps."""
_LOWEST: Final = -(2**63)

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS series(id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS columns(id INTEGER PRIMARY KEY, series INTEGER NOT NULL, field BLOB NOT NULL, type TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS types(bucket TEXT, shard INTEGER, measurement BLOB, field BLOB, type TEXT NOT NULL,
  PRIMARY KEY(bucket, shard, measurement, field)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""

Rows = dict[int, tuple[str, list[int], list[Any]]]
"""Type, times and values of each column."""


class _Bucket:
    def __init__(self) -> None:
        self.series: dict[tuple[bytes, Tags], Series] = {}
        self.by_key: dict[bytes, Series] = {}
        self.types: dict[tuple[int, bytes, bytes], str] = {}
        self.columns: list[Column] = []


class PartialWrite(Exception):
    """Some points were refused, the others are stored; str() is InfluxDB's reason."""


class _Refused(Exception):
    pass


class PointStore:
    """`path`: the database file, made when missing. A write that has returned survives the death of the process.

    `keep`: the file stays whole when the machine dies, too, though the last writes may be missing.
    """

    def __init__(self, path: Path, *, keep: bool = True) -> None:
        self._path = path
        self._synchronous = "NORMAL" if keep else "OFF"
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._buckets: dict[str, _Bucket] = {}
        self._next_batch = 1
        """The id of a batch is not used again, so that `_batches` never has another one's."""
        self._batches: dict[int, ColumnBatch] = {}
        self._db = self._connect(_WRITER_CACHE)
        try:
            self._db.executescript(_SCHEMA + blocktable.SCHEMA)
            with self._transaction():
                columns = "SELECT id, type FROM columns"
                blocktable.bring_over(self._db, lambda: self._db.execute(columns).fetchall())
            self._load()
        except BaseException:
            self._db.close()
            raise

    def _connect(self, cache: int) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=60)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA synchronous={self._synchronous}")
            db.execute(f"PRAGMA cache_size=-{cache}")
            db.execute("PRAGMA wal_autocheckpoint=16384")
            db.execute("PRAGMA journal_size_limit=134217728")
        except BaseException:
            db.close()
            raise
        return db

    def _load(self) -> None:
        self._buckets = {}
        self._next_series = self._next_column = 1
        by_id: dict[int, tuple[_Bucket, Series]] = {}
        for number, bucket_id, key in self._db.execute("SELECT id, bucket, key FROM series"):
            bucket = self._bucket(bucket_id)
            name, tags = split_key(key)
            series = bucket.series[name, tags] = bucket.by_key[key] = Series(number, name, tags)
            by_id[number] = bucket, series
            self._next_series = max(self._next_series, number + 1)
        for number, owner, field, kind in self._db.execute("SELECT id, series, field, type FROM columns"):
            bucket, series = by_id[owner]
            series.columns[field, kind] = number
            bucket.columns.append(Column(number, series, field, kind))
            self._next_column = max(self._next_column, number + 1)
        for bucket_id, shard, measurement, field, kind in self._db.execute("SELECT * FROM types"):
            self._bucket(bucket_id).types[shard, measurement, field] = kind
        self._latest: dict[int, int] = dict(self._db.execute("SELECT column, max(last) FROM blocks GROUP BY column"))
        query = "SELECT count(*), coalesce(sum(length(data)), 0), coalesce(max(id), 0) FROM batches"
        self._waiting, self._waiting_bytes, last = self._db.execute(query).fetchone()
        self._next_batch = max(last + 1, self._next_batch)

    def close(self) -> None:
        for db in (*self._readers, self._db):
            db.close()

    def _bucket(self, bucket_id: str) -> _Bucket:
        return self._buckets.setdefault(bucket_id, _Bucket())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except PartialWrite:
            self._db.execute("COMMIT")
            raise
        except BaseException:
            self._db.execute("ROLLBACK")
            self._load()
            raise
        self._db.execute("COMMIT")

    def write(self, bucket_id: str, points: list[Point], retention: int, shard_duration: int, now: int) -> None:
        """Store points; on return, or with PartialWrite, what was taken is durable.

        `retention` (0: for ever), `shard_duration` and `now` are ns.

        Raises:
            PartialWrite: with `partial write: <reason> dropped=<n>...`.
            sqlite3.Error: nothing was stored.
        """
        bucket = self._bucket(bucket_id)
        shards: dict[int, list[Point]] = {}
        too_old: list[Point] = []
        low = now - retention if retention else _LOWEST
        for point in points:
            if point[2] >= low:
                shards.setdefault((point[2] + _ZERO_TIME) // shard_duration, []).append(point)
            else:
                too_old.append(point)
        dropped: list[Point] = []
        for point in too_old:
            shard = (point[2] + _ZERO_TIME) // shard_duration
            shards.get(shard, dropped).append(point)
        with self._transaction():
            rows: Rows = {}
            problems = [
                problem
                for shard, some in shards.items()
                if (problem := self._resolve(bucket_id, bucket, shard, some, rows))
            ]
            if rows:
                self._insert(rows)
            if problems:
                raise PartialWrite(problems[0].replace("{bucket}", bucket_id))
            if dropped:
                raise PartialWrite(_outside(dropped, bucket_id, retention, low))

    def write_runs(self, bucket_id: str, runs: list[Run], retention: int, shard_duration: int, now: int) -> bool:
        """Store points as `write` does, if there is nothing to refuse; else nothing is stored, and False returned.

        Raises:
            sqlite3.Error: nothing was stored.
        """
        bucket = self._bucket(bucket_id)
        low = now - retention if retention else _LOWEST
        found: list[tuple[Series | None, set[int]]] = []
        types: dict[tuple[int, bytes, bytes], str] = {}
        for run in runs:
            first, last = min(run.times), max(run.times)
            shards = {(time + _ZERO_TIME) // shard_duration for time in (first, last)}
            if len(shards) > 1:
                shards = {(time + _ZERO_TIME) // shard_duration for time in run.times}
            if first < low:
                return False
            series = bucket.by_key.get(run.key)
            if not _all_fit(bucket, types, run, series, shards):
                return False
            found.append((series, shards))
        rows: Rows = {}
        own: set[int] = set()
        with self._transaction():
            for run, (known, shards) in zip(runs, found, strict=True):
                series = known or self._series(bucket_id, bucket, run.key)
                for (name, kind), values in zip(run.fields, run.columns, strict=True):
                    ids = [self._column_of(bucket_id, bucket, shard, series, name, kind) for shard in shards]
                    column = ids[0]
                    before = rows.get(column)
                    if before is None:
                        rows[column] = kind, run.times, values
                        continue
                    if column not in own:  # the columns of a run have one list of times
                        own.add(column)
                        before = rows[column] = kind, list(before[1]), before[2]
                    before[1].extend(run.times)
                    before[2].extend(values)
            if rows:
                self._insert(rows)
        return True

    def _insert(self, rows: Rows) -> None:
        data = make_batch(rows)
        number, self._next_batch = self._next_batch, self._next_batch + 1
        self._db.execute("INSERT INTO batches VALUES(?, ?)", (number, data))
        self._waiting += 1
        self._waiting_bytes += len(data)
        if self._waiting >= _MERGE_BATCHES or self._waiting_bytes >= min(
            max(_MERGE_BYTES, self._next_column * _MERGE_BYTES_EACH), _MERGE_BYTES_MOST
        ):
            self._merge()

    def _merge(self) -> None:
        """Move the batches to the blocks."""
        kinds: dict[int, str] = {}
        times: dict[int, bytes] = {}
        values: dict[int, bytes] = {}
        last: dict[int, int] = {}
        for batch in self._waiting_batches(self._db):
            for column in batch:
                kind, piece = batch.get(column) or ("", (b"", b""))
                low, high = ends(piece[0])
                if column not in kinds:
                    kinds[column], times[column], values[column] = kind, *piece
                elif low > last[column]:
                    times[column] += piece[0]
                    values[column] += piece[1]
                else:
                    times[column], values[column] = merged(kind, [(times[column], values[column]), piece])
                    high = max(high, last[column])
                last[column] = high
        columns = ((column, kinds[column], (times[column], values[column])) for column in sorted(kinds))
        blocktable.add(self._db, columns, self._latest)
        self._db.execute("DELETE FROM batches")
        self._waiting = self._waiting_bytes = 0
        self._batches = {}

    def _waiting_batches(self, db: sqlite3.Connection) -> list[ColumnBatch]:
        made = []
        for (number,) in db.execute("SELECT id FROM batches ORDER BY id").fetchall():
            batch = self._batches.get(number)
            if batch is None:
                (data,) = db.execute("SELECT data FROM batches WHERE id = ?", (number,)).fetchone()
                batch = self._batches[number] = ColumnBatch(data)
            made.append(batch)
        return made

    def _resolve(self, bucket_id: str, bucket: _Bucket, shard: int, points: list[Point], rows: Rows) -> str | None:
        """Append the rows of one shard's points; the reason when some were refused."""
        reason, dropped, stripped = "", 0, ""
        by_key = bucket.by_key
        for key, fields, time in points:
            series = by_key.get(key) or self._series(bucket_id, bucket, key)
            checked = series.checked
            taken: list[tuple[int, str, Value]] = []
            try:
                for name_, kind, value in fields:
                    column = checked.get((shard, name_, kind))
                    if column is None:
                        if name_ == b"time":
                            where = f'input field "time" on measurement {quote(series.measurement)}'
                            fate = 'Field "time" has been stripped from point.'
                            stripped = f"invalid field name: {where} is invalid. {fate}"
                            continue
                        column = self._column(bucket_id, bucket, shard, series, name_, kind)
                    if kind is STRING and len(value) > MAX_STRING:  # type: ignore[arg-type]  # a string's value is bytes
                        size = len(value)  # type: ignore[arg-type]
                        where = f"input field {quote(name_)} on measurement {quote(series.measurement)}"
                        raise _Refused(f"{where} is too long, {size} > {MAX_STRING}")
                    taken.append((column, kind, value))
                if not taken:
                    name = quote(series.measurement)
                    raise _Refused(f'invalid field name: input field "time" on measurement {name} is invalid')
            except _Refused as error:
                dropped += 1
                reason = reason or str(error)
                continue
            for column, kind, value in taken:
                of_column = rows.get(column)
                if of_column is None:
                    of_column = rows[column] = kind, [], []
                of_column[1].append(time)
                of_column[2].append(value)
        if dropped:
            return f"partial write: {reason} dropped={dropped}"
        if stripped:
            return f"partial write: {stripped} dropped=0 for database: {{bucket}} for retention policy: autogen"
        return None

    def _series(self, bucket_id: str, bucket: _Bucket, key: bytes) -> Series:
        name, tags = split_key(key)
        series = bucket.series.get((name, tags))
        if series is None:
            series = Series(self._next_series, name, tags)
            self._next_series += 1
            self._db.execute("INSERT INTO series VALUES(?, ?, ?)", (series.id, bucket_id, key))
            bucket.series[name, tags] = series
        bucket.by_key[key] = series
        return series

    def _column_of(self, bucket_id: str, bucket: _Bucket, shard: int, series: Series, field: bytes, kind: str) -> int:
        known = series.checked.get((shard, field, kind))
        return self._column(bucket_id, bucket, shard, series, field, kind) if known is None else known

    def _column(self, bucket_id: str, bucket: _Bucket, shard: int, series: Series, field: bytes, kind: str) -> int:
        """The column's id, after the type was checked, or set, for the measurement's field in this shard."""
        known = bucket.types.get((shard, series.measurement, field))
        if known is None:
            bucket.types[shard, series.measurement, field] = kind
            row = (bucket_id, shard, series.measurement, field, kind)
            self._db.execute("INSERT INTO types VALUES(?, ?, ?, ?, ?)", row)
        elif known != kind:
            where = f"input field {quote(field)} on measurement {quote(series.measurement)}"
            raise _Refused(f"field type conflict: {where} is type {kind}, already exists as type {known}")
        number = series.columns.get((field, kind))
        if number is None:
            number = series.columns[field, kind] = self._next_column
            self._next_column += 1
            self._db.execute("INSERT INTO columns VALUES(?, ?, ?, ?)", (number, series.id, field, kind))
            bucket.columns.append(Column(number, series, field, kind))
        series.checked[shard, field, kind] = number
        return number

    def delete(self, bucket_id: str, start: int, stop: int, keep: Callable[[Series], bool]) -> None:
        """Delete the points of the series that `keep` refuses, from `start` to `stop` (ns), both included."""
        with self._transaction():
            self._merge()
            for column in self.columns(bucket_id):
                if not keep(column.series):
                    self._delete(column, start, stop + 1)

    def expire(self, bucket_id: str, retention: int, shard_duration: int, now: int) -> None:
        """Delete the shards of a bucket that lie wholly before its retention."""
        first = (now - retention + _ZERO_TIME) // shard_duration
        limit = max(first * shard_duration - _ZERO_TIME, _LOWEST)
        bucket = self._bucket(bucket_id)
        with self._transaction():
            self._merge()
            for column in self.columns(bucket_id):
                self._delete(column, _LOWEST, limit)
            self._db.execute("DELETE FROM types WHERE bucket = ? AND shard < ?", (bucket_id, first))
        bucket.types = {key: kind for key, kind in bucket.types.items() if key[0] >= first}
        for series in bucket.series.values():
            series.checked.clear()

    def drop(self, bucket_id: str) -> None:
        """Delete a bucket's points, series and types."""
        with self._transaction():
            self._merge()
            for column in self.columns(bucket_id):
                self._db.execute("DELETE FROM blocks WHERE column = ?", (column.id,))
            self._db.execute(
                "DELETE FROM columns WHERE series IN (SELECT id FROM series WHERE bucket = ?)", (bucket_id,)
            )
            self._db.execute("DELETE FROM series WHERE bucket = ?", (bucket_id,))
            self._db.execute("DELETE FROM types WHERE bucket = ?", (bucket_id,))
        self._buckets.pop(bucket_id, None)

    def _delete(self, column: Column, start: int, stop: int) -> None:
        blocktable.delete(self._db, column.id, column.type, start, min(stop, 2**63 - 1))

    def columns(self, bucket_id: str) -> list[Column]:
        bucket = self._buckets.get(bucket_id)
        return list(bucket.columns) if bucket else []

    def reader(self) -> sqlite3.Connection:
        """The connection for reads of the calling thread."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = self._connect(_READER_CACHE)
            db.execute("PRAGMA query_only=ON")
            self._readers.append(db)
        return db

    def view(self) -> View:
        """The points as they are now, for the calling thread; in a transaction of its reader: as they are there."""
        db = self.reader()
        return View(db, self._waiting_batches(db))

    def count(self, bucket_ids: Iterable[str], measurement: bytes | None = None) -> int:
        """Points (one series at one time) that are stored."""
        db = self.reader()
        total = 0
        db.execute("BEGIN")
        try:
            view = self.view()
            for bucket_id in bucket_ids:
                of_series: dict[int, set[bytes]] = {}
                for column in self.columns(bucket_id):
                    if measurement is None or column.series.measurement == measurement:
                        of_series.setdefault(column.series.id, set()).add(view.raw(column)[0])
                for found in of_series.values():
                    if len(found) == 1:
                        total += len(found.pop()) // 8
                    else:
                        total += len(set().union(*(decode_times(times) for times in found)))
        finally:
            db.execute("COMMIT")
        return total


def _all_fit(
    bucket: _Bucket, types: dict[tuple[int, bytes, bytes], str], run: Run, series: Series | None, shards: set[int]
) -> bool:
    """Whether nothing of a run is refused. `types`: those of the fields that are new in this request."""
    measurement = series.measurement if series is not None else split_key(run.key)[0]
    names = {name for name, _ in run.fields}
    if b"time" in names or len(names) < len(run.fields):
        return False
    for (name, kind), values in zip(run.fields, run.columns, strict=True):
        if kind == STRING and max(map(len, values)) > MAX_STRING:
            return False
        for shard in shards:
            if series is not None and (shard, name, kind) in series.checked:
                continue
            field = shard, measurement, name
            if (bucket.types.get(field) or types.setdefault(field, kind)) != kind:
                return False
    return True


def _outside(dropped: list[Point], bucket_id: str, retention: int, low: int) -> str:
    bound = f"dropped because it violates a Retention Policy Lower Bound at {rfc3339(low)}"
    oldest, newest = min(dropped, key=itemgetter(2)), max(dropped, key=itemgetter(2))
    return (
        f"partial write: dropped {len(dropped)} points outside retention policy of duration {go_duration(retention)} - "
        f"oldest point {_text(oldest[0])} at {rfc3339(oldest[2])} {bound}, "
        f"newest point {_text(newest[0])} at {rfc3339(newest[2])} {bound} "
        f"dropped={len(dropped)} for database: {bucket_id} for retention policy: autogen"
    )


def _text(key: bytes) -> str:
    return key.decode("utf-8", "replace")

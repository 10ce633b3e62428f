"""What a query may use of time and memory.

A query runs in one thread, which counts what it takes and looks again and again whether it has been ended: by the bound of
time, or because its client went away. Nothing else can stop a thread, so every loop over what a script chooses the size of
calls `check` or `take`. Outside of a query both do nothing.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, Final, Protocol, TypeVar

from pyagent.sandbox.errors import InfluxError

T = TypeVar("T")

ROW: Final = 56
"""Bytes of a time and a number."""
_TABLE: Final = 1000
"""Bytes of a table without its columns: its key, its types, and what finds these."""
_LIST: Final = 100
"""Bytes that it takes to know of a list."""
_TEXT: Final = 64
"""Characters of a text that is too short to be counted: it goes with its row."""
_OPERATIONS: Final = 100_000
"""Steps of SQLite, a millisecond's work, between two looks whether the query has ended."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """The bounds of queries; 0 is no bound of time or memory."""

    timeout: float = 300.0
    """Seconds from its start to the last byte of its answer."""
    memory_bytes: int = 2**30
    """Of one query's tables, texts and answer."""
    concurrency: int = 16
    """Queries that run at the same time."""
    queue_size: int = 1024
    """Queries that wait for their turn."""


DEFAULT_LIMITS: Final = QueryLimits()


class HasColumns(Protocol):
    """A table."""

    @property
    def data(self) -> Mapping[str, Any]:
        """Its columns by name."""


class Ended(BaseException):
    """The query is over; nothing in it catches this. `error`: what its client gets."""

    def __init__(self, error: InfluxError) -> None:
        super().__init__(error.message)
        self.error = error


class Budget:
    """One query's; `limit`: bytes, 0 without a bound."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self.used = 0
        self.texts = 0
        """Bytes of the texts and lists that functions of the script made: a call leaves those that it gives back."""
        self.ended: InfluxError | None = None
        self._lists: dict[int, int] = {}
        """Bytes by the identity of lists: tables share their columns, which are counted once."""

    def end(self, error: InfluxError) -> None:
        """Have the query stop at its next look, with this error; for any thread."""
        self.ended = self.ended or error

    def check(self) -> None:
        ended = self.ended
        if ended is not None:
            raise Ended(ended)

    def take(self, size: int) -> None:
        """Count memory of the query. Raises Ended where there is none left."""
        self._need(size)
        self.used += size

    def make(self, size: int) -> None:
        """Count a text or a list that a function of the script makes. Raises Ended."""
        self._need(size)
        self.texts += size

    def _need(self, size: int) -> None:
        self.check()
        if self.limit and self.used + self.texts + size > self.limit:
            self.end(_too_much(self.limit, self.used + self.texts, size))
            self.check()

    def keep(self, before: int, value: Any) -> None:
        """Behind a call: of the texts that it made, only those in its value are left."""
        self.texts = before + _size(value)

    def account(self, tables: Iterable[HasColumns]) -> None:
        """Count the columns of tables, but for those that were counted before."""
        self.check()
        if not self.limit:
            return
        known = self._lists
        for table in tables:
            size = 0
            for values in table.data.values():
                own = getsizeof(values)
                before = known.get(id(values))
                if before is None:
                    known[id(values)] = own
                    size += own + _LIST
                elif before < own:
                    known[id(values)] = own
                    size += own - before
            if size:
                self.take(size + _TABLE)

    def run(self, work: Callable[[], T], db: sqlite3.Connection | None = None) -> T:
        """Do the query's work in this thread; `db`: what it reads from, which is interrupted too.

        Raises:
            InfluxError: the work's own, or the one that ended it.
        """
        outer, RUNNING.budget = RUNNING.budget, self
        if db is not None:
            db.set_progress_handler(lambda: self.ended is not None, _OPERATIONS)
        error: InfluxError | None = None
        try:
            self.check()
            return work()
        except Ended as ended:
            error = ended.error
        except InfluxError as own:
            error = own
        except MemoryError:
            error = _too_much(self.limit, self.used, 0)
        except sqlite3.OperationalError:
            if self.ended is None:
                raise
            error = self.ended
        finally:
            RUNNING.budget = outer
            self._lists.clear()
            if db is not None:
                db.set_progress_handler(None, 0)
        # Without the frames that it came through, and all that these hold.
        raise InfluxError(error.code, error.message, final=error.final)


class _Running(threading.local):
    budget = Budget()


RUNNING: Final = _Running()
"""The budget of the query that this thread runs."""


def check() -> None:
    """Go on only while the query of this thread may. Raises Ended."""
    if RUNNING.budget.ended is not None:
        RUNNING.budget.check()


def take(size: int) -> None:
    """Count bytes that the query of this thread is about to use; a negative number, those that it is done with.

    Raises Ended where there are none left.
    """
    RUNNING.budget.take(size)


def account(tables: Iterable[HasColumns]) -> None:
    """Count the columns of tables for the query of this thread. Raises Ended where memory ran out."""
    RUNNING.budget.account(tables)


def making(size: int) -> None:
    """Count a text of so many characters, or a list of so many eighths of entries, that a function is about to make."""
    if size > _TEXT:
        RUNNING.budget.make(size)


def made(value: T) -> T:
    """A text or a list that a function made, counted."""
    if isinstance(value, str | bytes | list):
        making(len(value) * (8 if isinstance(value, list) else 1))
    return value


def _size(value: Any) -> int:
    """Bytes of a text, and of the texts in a list or a record."""
    if isinstance(value, str | bytes):
        return len(value) if len(value) > _TEXT else 0
    if isinstance(value, dict):
        return sum(_size(part) for part in value.values() if isinstance(part, str | bytes))
    if isinstance(value, list):
        return 8 * len(value) + sum(_size(part) for part in value if isinstance(part, str | bytes))
    return 0


def _too_much(limit: int, used: int, wanted: int) -> InfluxError:
    message = f"memory allocation limit reached: limit {limit} bytes, allocated: {used}, wanted: {wanted}"
    return InfluxError("invalid", message, final=True)

"""What the handlers share: the documents, the points, and the threads that work on these."""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pyagent.sandbox.documents import Document, Documents
from pyagent.sandbox.errors import SandboxError
from pyagent.sandbox.limits import DEFAULT_LIMITS, QueryLimits
from pyagent.sandbox.permissions import hash_token
from pyagent.sandbox.queries import Queries
from pyagent.sandbox.store import PointStore

T = TypeVar("T")

VERSION, COMMIT = "v2.9.1", "85b84f4413"
"""The version of InfluxDB that this server answers like, and its commit."""


class State:
    """One data folder, opened; another process that opens it is refused.

    Raises:
        SandboxError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], int] = time.time_ns,
        *,
        keep: bool = True,
        limits: QueryLimits = DEFAULT_LIMITS,
    ) -> None:
        self.clock = clock
        self.started = now_text(clock)
        self._started = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SandboxError(
                f"cannot use the data folder {folder}: {error.strerror}; choose another with --data"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise SandboxError(
                f"cannot use the data folder {folder}: another sandbox has it open; "
                "stop that one or choose another with --data"
            ) from None
        try:
            with ExitStack() as opened:
                opened.callback(os.close, self._lock)
                self.documents = Documents(folder / "documents.sqlite")
                opened.callback(self.documents.close)
                self.points = PointStore(folder / "points.sqlite", keep=keep)
                opened.pop_all()
        except (sqlite3.Error, ValueError) as error:  # ValueError: a document that is no JSON
            raise SandboxError(f"cannot use the data folder {folder}: {error}; choose another with --data") from None
        self.sessions: dict[str, Document] = {}
        """Of users who signed in, by what their cookies say, the oldest first; gone at the end."""
        self.known_passwords: dict[str, str] = {}
        """Quick hashes of passwords that were found right, by the authorization of InfluxDB 1 that they belong to."""
        for name in ("documents.sqlite", "points.sqlite"):
            (folder / name).chmod(0o600)
        self._writer = ThreadPoolExecutor(1, "sandbox-writer")
        self._readers = ThreadPoolExecutor(2, "sandbox-reader")
        self.queries = Queries(limits)

    def close(self) -> None:
        self.queries.close()
        self._writer.shutdown()
        self._readers.shutdown()
        self.points.close()
        self.documents.close()
        os.close(self._lock)

    async def in_writer(self, work: Callable[[], T]) -> T:
        """Run in the one thread that changes points."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    async def in_reader(self, work: Callable[[], T]) -> T:
        """Run in a thread that only reads; a query is run by `queries`."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    def write_from_thread(self, work: Callable[[], None]) -> None:
        """Run in the writer's thread and wait; for readers' threads."""
        self._writer.submit(work).result()

    def uptime(self) -> float:
        return time.monotonic() - self._started

    def now_text(self) -> str:
        return now_text(self.clock)

    def authorization(self, token: str) -> Document | None:
        """The authorization of a token; one that is switched off is known, and may do nothing."""
        return self.documents.find("authorizations", hash=hash_token(token))


def now_text(clock: Callable[[], int]) -> str:
    """The time as Go's JSON writes it."""
    seconds, fraction = divmod(clock(), 10**9)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + "Z"

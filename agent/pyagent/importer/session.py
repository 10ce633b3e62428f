"""An import from its first input to its last: convert, send, keep what was refused, and record how far it has come."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from pyagent.importer.delivery import Delivery
from pyagent.importer.pieces import ImportFailure, Piece, Rejected
from pyagent.importer.reading import Reading, ReadingOptions
from pyagent.importer.rejects import ErrorsFile
from pyagent.importer.resume import InputProgress, Progress, Record, check_same
from pyagent.importer.sources import Source

__all__ = ["Outcome", "Session", "Watcher"]


@dataclass(slots=True)
class Outcome:
    """`failure`: why it ended early, empty where all was read. `skipped`: rows without a value. `resumed`: points that an
    earlier run had written."""

    written: int = 0
    rejected: int = 0
    skipped: int = 0
    resumed: int = 0
    failure: str = ""
    warnings: list[str] = field(default_factory=list)


class Watcher(Protocol):
    """Who looks on."""

    def note(self, text: str) -> None:
        """Something that was seen or decided."""

    def warn(self, text: str) -> None:
        """Something that is not as it should be."""

    def refused(self, rejected: Rejected, name: str) -> None:
        """A row was refused."""

    def begin(self, name: str, size: int) -> None:
        """An input of so many bytes (0: not known) begins."""

    def advance(self, read: int, points: int) -> None:
        """So many of its bytes are done; points of all inputs so far."""


class Session:
    def __init__(
        self,
        sources: Sequence[Source],
        options: ReadingOptions,
        watcher: Watcher,
        *,
        errors_file: ErrorsFile | None = None,
        debug: bool = False,
    ) -> None:
        self.outcome = Outcome()
        self.begun = False
        """Something may have been sent, and a record of the import is on disk."""
        self._refused = False
        self.repeating: list[str] | None = None
        """Flags with which the rows that were refused can be written again; None where one command cannot do it."""
        self._sources = sources
        self._options = options
        self._watcher = watcher
        self._errors = errors_file
        self._debug = debug

    def dry_run(self, write: Callable[[bytes], object]) -> Outcome:
        """Give the lines to `write` in place of a server."""
        for source in self._sources:
            reading = self._reading(source)
            try:
                for piece in reading.pieces():
                    self._tell(reading)
                    write(piece.data)
                    self._settled(piece, [], reading)
                    self.outcome.written += piece.count
                    if piece.failure:
                        raise ImportFailure(piece.failure)
            except ImportFailure as error:
                self.outcome.failure = str(error)
                break
            finally:
                self._tell_warnings(reading)
        return self.outcome

    async def run(self, delivery: Delivery, record: Record, progress: Progress) -> Outcome:
        """Send everything that is not settled yet. Raises Undelivered, ImportFailure; the outcome then says how far it came."""
        self.outcome.resumed = progress.written
        self.outcome.written, self.outcome.rejected = progress.written, progress.rejected
        try:
            for number, source in enumerate(self._sources):
                if number >= len(progress.inputs):
                    progress.inputs.append(InputProgress(source.name))
                if not progress.inputs[number].complete:
                    await self._run_one(source, delivery, record, progress, progress.inputs[number])
                    progress.inputs[number].complete = True
                    self._save(record, progress)
        finally:
            await delivery.close()
        return self.outcome

    async def _run_one(
        self, source: Source, delivery: Delivery, record: Record, progress: Progress, at: InputProgress
    ) -> None:
        reading = self._reading(source)
        pieces = reading.pieces()
        loop = asyncio.get_running_loop()
        passed = InputProgress(at.name)
        resuming = at.done
        with ThreadPoolExecutor(1, "convert") as pool:
            # One is made while the one before it is sent.
            following = loop.run_in_executor(pool, _next, pieces)
            try:
                first = True
                while (piece := await following) is not None:
                    if first:
                        first = False
                        self._tell(reading)
                        check_same(at, source.name, reading.size, reading.digest)
                        at.size, at.digest = reading.size, reading.digest
                        # Before the first byte is sent: what the server stores and never acknowledges must be sent again
                        # as the same points, with the same times for rows without one.
                        self._save(record, progress, sync=True)
                        self.begun = True
                        self._watcher.begin(source.name, reading.size)
                    if not piece.failure:
                        following = loop.run_in_executor(pool, _next, pieces)
                    passed.passed(piece.text)
                    if passed.done <= resuming:
                        if passed.done == resuming and passed.crc != at.crc:
                            raise ImportFailure(
                                f"cannot resume: {source.name} has changed before line {passed.line}; start without --resume"
                            )
                        self._watcher.advance(piece.read, self.outcome.written)
                    else:
                        rejected = await delivery.send(piece)
                        self.outcome.written += piece.count - len(rejected)
                        self._settled(piece, rejected, reading)
                        at.done, at.crc, at.line = passed.done, passed.crc, passed.line
                        progress.written, progress.rejected = self.outcome.written, self.outcome.rejected
                        self._save(record, progress)
                        self._watcher.advance(piece.read, self.outcome.written)
                    if piece.failure:
                        raise ImportFailure(piece.failure)
                if passed.done < resuming:
                    raise ImportFailure(f"cannot resume: {source.name} is shorter than it was; start without --resume")
            finally:
                with contextlib.suppress(Exception, asyncio.CancelledError):
                    await following
                pieces.close()
                self._tell_warnings(reading)

    def _save(self, record: Record, progress: Progress, *, sync: bool = False) -> None:
        if self._errors is not None:
            progress.errors_size = self._errors.size
        problem = record.problem
        record.save(progress, sync=sync)
        if record.problem and not problem:
            self._watcher.warn(f"cannot record how far it has come, so that --resume will not do: {record.problem}")

    def _reading(self, source: Source) -> Reading:
        reading = Reading(source, self._options)
        if self._debug:
            reading.debug = []
        return reading

    def _name(self, source: Source) -> str:
        return source.name if len(self._sources) > 1 else ""

    def _settled(self, piece: Piece, refused: list[Rejected], reading: Reading) -> None:
        name = self._name(reading.source)
        rejected = sorted([*piece.rejected, *refused], key=lambda one: one.line) if refused else piece.rejected
        if self._errors is not None:
            self._errors.add(rejected, name, is_csv=reading.is_csv)
        for one in rejected:
            self._watcher.refused(one, reading.source.name)
        self.outcome.rejected += len(rejected)
        if rejected:
            flags = reading.repeating()
            self.repeating = flags if not self._refused or self.repeating == flags else None
            self._refused = True
        self.outcome.skipped += piece.skipped

    def _tell(self, reading: Reading) -> None:
        for note in reading.notes:
            self._watcher.note(f"{reading.source.name}: {note}")
        reading.notes.clear()
        if reading.debug:
            for text in reading.debug:
                self._watcher.note(f"{reading.source.name}: {text}")
            reading.debug.clear()

    def _tell_warnings(self, reading: Reading) -> None:
        self._tell(reading)
        for text in reading.warnings.texts():
            self._watcher.warn(f"{reading.source.name}: {text}")


def _next(pieces: Iterator[Piece]) -> Piece | None:
    return next(pieces, None)

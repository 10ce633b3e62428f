"""What receivers refused for good, kept with their words until somebody looks: bounded, and on disk where there is one."""

import contextlib
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import time as now

from pyagent.buffer.log.files import Files
from pyagent.buffer.quarantine.files import Place, QuarantineFiles
from pyagent.buffer.quarantine.record import QuarantineEntry, pack, unpack

__all__ = ["Quarantine", "QuarantineEntry"]


@dataclass(slots=True, eq=False)
class _Held:
    """What is known of an entry; its text is read when somebody asks."""

    number: int
    count: int
    size: int
    place: Place | None = None
    record: bytes = b""
    """The text itself, where it is in no file."""


class Quarantine:
    """At most `max_metrics` metrics, in files (with what waits for them in memory) of at most `max_bytes`.

    The oldest go first, counted. Files lie in `directory`; without one, all is in memory. A file is begun anew after
    `file_size` bytes, and its room comes back when nothing in it is wanted any more. A disk that is full or broken
    stops nothing: what it does not take waits in memory, and is tried again at the next `put`, `flush` and `close`. Damage
    costs the damaged entries alone, and nothing of it is thrown away. What was put survives the end of the process however
    it comes; `sync` makes it survive a loss of power.

    Invariant: total + restored = metrics + evicted + removed. Everything is for the main loop, but for `sync`.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        max_metrics: int = 10_000,
        max_bytes: int = 16 << 20,
        file_size: int = 256 << 10,
        log: logging.Logger,
        files: Files | None = None,
    ) -> None:
        """`files`: what is asked of the operating system."""
        self._max_metrics = max_metrics
        self._max_bytes = max_bytes
        self._log = log
        self.metrics = 0
        """Metrics held."""
        self.bytes = 0
        """Size of their records."""
        self.total = 0
        """Metrics ever put in by this process."""
        self.restored = 0
        """Metrics found on disk."""
        self.evicted = 0
        """Metrics that had to go for newer ones."""
        self.removed = 0
        """Metrics taken out by `remove`, or found damaged after the start."""
        self._held: dict[int, _Held] = {}
        """By number, which is by age."""
        self._waiting: deque[_Held] = deque()
        """Those that are to be written to a file."""
        self._next = 1
        self._trouble = False
        self._files: QuarantineFiles | None = None
        if directory is not None:
            self._files = QuarantineFiles(directory, file_size=file_size, most=2 * max_bytes, log=log, files=files)
            if self._files.exists:
                self.flush()

    def __len__(self) -> int:
        return len(self._held)

    def figures(self) -> dict[str, int]:
        """For the status page."""
        return {"metrics": self.metrics, "bytes": self.bytes, "entries": len(self), "evicted": self.evicted}

    def put(
        self,
        output: str,
        partition: str | None,
        lines: Sequence[bytes],
        reason: str,
        *,
        suspected: bool = False,
        time: float | None = None,
    ) -> int:
        """Keep metrics that were refused at `time` (seconds since the epoch; None: now); returns how many had to go for them.

        `output` is the identity of its queue; `lines` are encoded, each with its line break; `reason` is one line without
        secrets; `suspected`: the receiver stored a part and did not say which. Never raises for a disk. Of what is too
        much for the bounds all by itself, the last lines are kept.
        """
        before = self.evicted
        self.total += len(lines)
        kept = tuple(lines[-self._max_metrics :])
        record = b""
        while kept:
            record = pack(
                QuarantineEntry(self._next, now() if time is None else time, output, partition, reason, suspected, kept)
            )
            if len(record) <= self._max_bytes:
                break
            kept = kept[(len(kept) + 1) // 2 :]
        self.evicted += len(lines) - len(kept)
        if kept:
            self._make_room(len(kept), len(record))
            self._hold(_Held(self._next, len(kept), len(record), record=record))
        self.flush()
        return self.evicted - before

    def numbers(self) -> list[int]:
        """Of all entries, oldest first."""
        return list(self._held)

    def entries(self) -> Iterator[QuarantineEntry]:
        """All that can be read, oldest first; each is read when it is its turn."""
        for number in self.numbers():
            with contextlib.suppress(LookupError, OSError):
                yield self.get(number)

    def get(self, number: int) -> QuarantineEntry:
        """Raises LookupError where there is none of this number, OSError where the disk does not give it now."""
        held = self._held.get(number)
        if held is None:
            raise LookupError(f"there is no entry {number} in the quarantine")
        entry = unpack(self._files.read(held.place) if self._files and held.place else held.record)
        if entry is not None:
            return replace(entry, id=number)
        self._forget(held, damaged=True)
        self.removed += held.count
        raise LookupError(f"the entry {number} of the quarantine is damaged")

    def remove(self, number: int) -> int:
        """Forget an entry; returns how many metrics it held, 0 where there is none. Never raises for a disk."""
        held = self._held.get(number)
        if held is None:
            return 0
        self._forget(held)
        self.removed += held.count
        return held.count

    def flush(self) -> None:
        """Write what waits in memory, oldest first. Never raises for a disk."""
        files = self._files
        if files is None:
            self._waiting.clear()
            return
        try:
            if not files.is_open:
                self._open(files)
            while self._waiting:
                held = self._waiting[0]
                held.place = files.append(held.number, held.record)
                held.record = b""
                self._waiting.popleft()
        except OSError as error:
            self._tell(
                "cannot use the quarantine %s: %s; what is refused is kept in memory until it can be used", error
            )
        else:
            if self._trouble:
                self._log.info("the quarantine %s can be used again", files.directory)
            self._trouble = False

    def sync(self) -> None:
        """Make what is in files outlast a loss of power. Blocking: for another thread. Raises OSError."""
        if self._files is not None:
            self._files.sync()

    def close(self) -> None:
        """The last call: write what waits, and leave the folder to others."""
        if self._waiting:
            self.flush()
        if self._files is not None:
            self._files.close()

    def _hold(self, held: _Held) -> None:
        self._held[held.number] = held
        self._next = max(self._next, held.number + 1)
        self.metrics += held.count
        self.bytes += held.size
        if held.place is None:
            self._waiting.append(held)

    def _make_room(self, count: int, size: int) -> None:
        dead = self._files
        while self._held and (
            self.metrics + count > self._max_metrics
            or self.bytes + size + (dead.dead_bytes if dead else 0) > self._max_bytes
        ):
            held = next(iter(self._held.values()))
            self._forget(held)
            self.evicted += held.count

    def _forget(self, held: _Held, *, damaged: bool = False) -> None:
        del self._held[held.number]
        self.metrics -= held.count
        self.bytes -= held.size
        if held.place is None:
            with contextlib.suppress(ValueError):
                self._waiting.remove(held)
        elif self._files is not None:
            try:
                (self._files.damaged if damaged else self._files.drop)(held.place)
            except OSError as error:
                self._tell("cannot remove from the quarantine %s: %s; it is there again after a restart", error)

    def _open(self, files: QuarantineFiles) -> None:
        """What was put in before the folder could be read gets numbers behind what is in it."""
        stored = files.open()
        newer, self._held = self._held, {}
        self._waiting.clear()
        self.metrics = self.bytes = 0
        self._next = files.last_number + 1
        for one in stored:
            number = self._next if one.number in self._held else one.number
            self._hold(_Held(number, one.count, one.place.size, one.place))
        self.restored = self.metrics
        for held in newer.values():
            entry = unpack(held.record)
            assert entry is not None
            record = pack(replace(entry, id=self._next))
            self._hold(_Held(self._next, held.count, len(record), record=record))
        self._make_room(0, 0)

    def _tell(self, message: str, error: OSError) -> None:
        if not self._trouble and self._files is not None:
            self._log.warning(message, self._files.directory, error.strerror or error)
        self._trouble = True

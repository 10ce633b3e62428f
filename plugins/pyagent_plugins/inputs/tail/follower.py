"""One open file: its lines, in their order, each handed on before the position behind it is kept."""

import asyncio
import codecs
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Protocol

from pyagent.api import Parser
from pyagent.kit.globpath import match_files
from pyagent.kit.shown import quoted
from pyagent_plugins.inputs.tail.multiline import Multiline

__all__ = ["Credits", "Event", "Follower", "Opened", "digest_of", "obstacles_of"]

_CHUNK = 256 * 2**10
_AT_ONCE = 1000
"""Events that are handed on together."""
LONGEST = 1 << 20
"""Bytes of a line; what is longer is left out."""
_HEAD = 256
"""Bytes at the begin of a file by which it is known again."""
GRACE = 30.0
"""Seconds without a new line until a file that was renamed or removed is closed: who writes may go on for a while."""
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])")
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Event:
    data: bytes
    end: int
    """Where to go on when it is held."""


class Owner(Protocol):
    @property
    def executor(self) -> Executor: ...

    room: "Credits"
    encoding: str
    colours: bool
    stopping: bool

    def new_parser(self) -> Parser[Any]: ...

    def new_multiline(self) -> Multiline | None: ...

    def multiline_seconds(self) -> float: ...

    async def hand_on(self, follower: "Follower", events: Sequence[Event]) -> bool: ...

    def keep(self, follower: "Follower") -> None: ...

    def watch_pipe(self, follower: "Follower") -> None: ...

    def note(self, follower: "Follower", kind: str, message: str) -> None: ...


class Credits:
    """Lines that may be under way at once, over all files."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._turn = asyncio.Lock()
        self._given = asyncio.Event()

    async def take(self, wanted: int) -> int:
        """As many of them as there is room for, and at least one; who came first is served first."""
        async with self._turn:
            while not self._free:
                self._given.clear()
                await self._given.wait()
            taken = min(wanted, self._free)
            self._free -= taken
            return taken

    def give(self, count: int) -> None:
        self._free += count
        self._given.set()


@dataclass(slots=True)
class Opened:
    """A file as it was opened."""

    path: str
    descriptor: int
    device: int
    inode: int
    close: Callable[[], object]
    pipe: bool = False

    @property
    def identity(self) -> tuple[int, int]:
        return self.device, self.inode


def digest_of(descriptor: int, length: int) -> str:
    """Of so many bytes at the begin of a file. Raises OSError."""
    return _of_bytes(os.pread(descriptor, min(length, 4096), 0))


def _of_bytes(head: bytes) -> str:
    return hashlib.sha256(head).hexdigest()[:32]


class Follower:
    def __init__(self, owner: Owner, opened: Opened, offset: int) -> None:
        self.opened = opened
        self.path = opened.path
        self.changed = asyncio.Event()
        self.caught_up = asyncio.Event()
        """All that was there has been read once."""
        self.held = offset
        """Everything before it is held by the outputs' queues."""
        self.head = b""
        """The first bytes of the file."""
        self.gone = False
        """Its name is another file's by now, or nobody's."""
        self.replaced = False
        """Its name is another file's by now."""
        self.renamed_to = ""
        """The name that it has now, where that matches as well."""
        self.final = False
        """It ends as soon as it has been read: nobody writes any more."""
        self.handing_on = False
        """What it has read is on its way into the outputs' queues."""
        self.watch = 0
        self.seen: tuple[int, ...] = ()
        """How it looked the last time."""
        self.parser = owner.new_parser()
        self._owner = owner
        self._begin = offset
        """Where `_rest` begins."""
        self._rest = b""
        self._read_to = offset
        self._skips = False
        """Within a line that is too long."""
        self._multiline = owner.new_multiline()
        self._wide = 2 if owner.encoding.startswith("utf-16") else 1
        self._newline = "\n".encode(owner.encoding) if self._wide == 2 else b"\n"

    def know_begin(self) -> None:
        """Where reading begins behind it. Raises OSError."""
        self.head = os.pread(self.opened.descriptor, _HEAD, 0)

    async def run(self) -> None:
        """Until the owner stops, or the file has gone and nothing comes any more."""
        loop = asyncio.get_running_loop()
        quiet = loop.time()
        while not self._owner.stopping:
            self.changed.clear()
            if await self._read():
                quiet = loop.time()
                continue
            self.caught_up.set()
            if self.final or (self.gone and loop.time() - quiet >= GRACE):
                await self._finish()
                return
            if self.opened.pipe:
                self._owner.watch_pipe(self)
            waits = self._multiline is not None and self._multiline.waits
            pause = self._owner.multiline_seconds() if waits else 1.0 if self.gone else None
            try:
                async with asyncio.timeout(pause):
                    await self.changed.wait()
            except TimeoutError:
                if waits:
                    await self._flush()

    async def end_event(self) -> None:
        """At a stop after which nobody reads on from here."""
        await self._flush()

    # Reading ----------------------------------------------------------------------------------------------------------

    async def _read(self) -> bool:
        """Hand on what there is. Whether there was anything."""
        if self.opened.pipe:
            data: bytes | None = self._from_pipe()
        else:
            data = await asyncio.get_running_loop().run_in_executor(self._owner.executor, self._from_file)
        if data is None:
            # Emptied and written anew: what follows is another file's text.
            await self._finish()
            self._begin = self._read_to = self.held = 0
            self._rest, self.head, self._skips = b"", b"", False
            self.parser = self._owner.new_parser()
            self._multiline = self._owner.new_multiline()
            self._owner.keep(self)
            return True
        if not data:
            return False
        self._read_to += len(data)
        self._rest += data
        await self._hand_on(self._events())
        return True

    def _from_file(self) -> bytes | None:
        """The next bytes; None where the file is no longer the one that was read. Raises OSError."""
        descriptor = self.opened.descriptor
        size = os.fstat(descriptor).st_size
        if size < self._read_to or os.pread(descriptor, len(self.head), 0) != self.head:
            return None
        if len(self.head) < _HEAD and size > len(self.head):
            self.head = os.pread(descriptor, _HEAD, 0)
        return os.pread(descriptor, _CHUNK, self._read_to)

    def _from_pipe(self) -> bytes:
        try:
            return os.read(self.opened.descriptor, _CHUNK)
        except BlockingIOError:
            return b""

    def fingerprint(self) -> tuple[int, str]:
        """Of the begin of the file, as far as it was held: how many bytes, and what they are."""
        head = self.head[: self.held]
        return len(head), _of_bytes(head)

    # Lines ------------------------------------------------------------------------------------------------------------

    def _events(self) -> list[Event]:
        events: list[Event] = []
        rest, begin = self._rest, 0
        while (end := self._line_end(rest, begin)) >= 0:
            line = rest[begin : end - self._wide]
            start = self._begin + begin
            begin = end
            if self._skips or len(line) > LONGEST:
                if not self._skips:
                    self._too_long(start)
                self._skips = False
                continue
            self._add(events, line, start, self._begin + end)
        self._rest = rest[begin:]
        self._begin += begin
        if len(self._rest) > LONGEST:
            if not self._skips:
                self._too_long(self._begin)
            self._skips = True
            whole = len(self._rest) - len(self._rest) % self._wide
            self._begin += whole
            self._rest = self._rest[whole:]
        return events

    def _line_end(self, text: bytes, begin: int) -> int:
        """Behind the line that begins there; -1 where it has no end yet."""
        place = text.find(self._newline, begin)
        while place >= 0 and (place - begin) % self._wide:
            place = text.find(self._newline, place + 1)
        return place + self._wide if place >= 0 else -1

    def _add(self, events: list[Event], raw: bytes, start: int, end: int) -> None:
        line = self._text(raw, start)
        if self._multiline is None:
            events.append(Event(self._filtered(line), end))
            return
        event = self._multiline.add(line.decode("utf-8", "surrogateescape"), start)
        if event is None and self._multiline.size > LONGEST:
            event = self._multiline.flush()
        if event:
            behind = self._multiline.begin if self._multiline.waits else end
            events.append(Event(self._filtered(event.encode("utf-8", "surrogateescape")), behind))

    def _text(self, raw: bytes, start: int) -> bytes:
        if self._owner.encoding:
            text = raw.decode(self._owner.encoding, "replace")
            raw = (text.removeprefix("\ufeff") if start == 0 else text).encode("utf-8", "replace")
        elif start == 0:
            raw = raw[len(next(filter(raw.startswith, _MARKS), b"")) :]
        return raw.rstrip(b"\r")

    def _filtered(self, data: bytes) -> bytes:
        return _ESCAPES.sub(b"", data) if self._owner.colours and b"\x1b" in data else data

    def _too_long(self, start: int) -> None:
        self._owner.note(
            self,
            "long",
            f"the line of {quoted(self.path)} at byte {start} is longer than {LONGEST:,} bytes; it is left out",
        )

    async def _flush(self) -> None:
        """Hand on an event of several lines, though it may go on."""
        if self._multiline is not None and (event := self._multiline.flush()):
            await self._hand_on([Event(self._filtered(event.encode("utf-8", "surrogateescape")), self._begin)])

    async def _finish(self) -> None:
        """The text ends here: what has no line end is a line as well."""
        events: list[Event] = []
        if self._rest and not self._skips:
            self._add(events, self._rest, self._begin, self._read_to)
            self._rest, self._begin = b"", self._read_to
        await self._hand_on(events)
        await self._flush()

    async def _hand_on(self, events: Sequence[Event]) -> None:
        """What is on its way is waited for, also at a stop; what is not goes on next time."""
        done = 0
        while done < len(events) and not self._owner.stopping:
            count = await self._owner.room.take(min(len(events) - done, _AT_ONCE))
            try:
                portion = events[done : done + count]
                self.handing_on = True
                if await self._owner.hand_on(self, portion):
                    self.held = portion[-1].end
                    self._owner.keep(self)
            finally:
                self.handing_on = False
                self._owner.room.give(count)
            done += count


def obstacles_of(files: Sequence[str]) -> list[str]:
    """What keeps the files of these patterns from being followed now, for each of them."""
    found = []
    for pattern in files:
        try:
            paths = match_files(pattern)
        except (ValueError, OSError) as error:
            found.append(f"cannot look for {quoted(pattern)}: {error}")
            continue
        denied = [path for path in paths if not os.access(path, os.R_OK)]
        found += [f"cannot follow {quoted(one)}: Permission denied; let the agent's account read it" for one in denied]
        if not paths:
            found.append(f"no file is {quoted(pattern)} so far; correct `files`, or wait until there is one")
    return found

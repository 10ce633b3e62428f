"""Lines that are added to files, as they come.

Each line is parsed by itself, and counts as read when the outputs' queues hold its metrics, not before. Where a file was read
to is kept, so that it goes on there after a reload and a restart. Files that are renamed (rotated) are read to their end, new
ones of their name from the beginning, and so are files that are emptied.
"""

import asyncio
import hashlib
import logging
import os
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from pyagent.api import Accumulator, ConfigError, Input, Measurement, Metric
from pyagent.kit.globpath import match_files
from pyagent.kit.handover import ingest_patiently
from pyagent.kit.notices import Notices
from pyagent.kit.positions import Positions, PositionsUnreadable
from pyagent.kit.shown import quoted
from pyagent_plugins.inputs.tail.earlier import BEFORE, Earlier
from pyagent_plugins.inputs.tail.files import find_renamed, open_log, read_header, states_of
from pyagent_plugins.inputs.tail.follower import Credits, Event, Follower, Opened, digest_of, obstacles_of
from pyagent_plugins.inputs.tail.multiline import Multiline
from pyagent_plugins.inputs.tail.notify import Notify
from pyagent_plugins.inputs.tail.options import ENCODINGS, TailOptions

__all__ = ["Tail", "TailOptions"]

_POLL, _LOOK = 0.25, 1.0
"""Seconds between two looks at the files, without and with the kernel's word for their changes."""
_STOP_GRACE = 2.0
_FIRST_READ = 0.8
_MOST_BEFORE = 30
"""As many files of one name as can be read at once."""

Position = dict[str, Any]


class Tail(Input[TailOptions]):
    measurements = (Measurement("tail", "what the lines say, where they give it no name of its own", open=True),)

    def setup(self) -> None:
        options = self.options
        if options.character_encoding not in ENCODINGS:
            problem = (
                f"cannot read the character encoding {options.character_encoding!r}; use utf-8, utf-16le or utf-16be"
            )
            raise ConfigError(problem, option="character_encoding")
        self.encoding = ENCODINGS[options.character_encoding]
        self.colours = "ansi_color" in options.filters
        self.stopping = False
        self._regex = options.multiline.check()
        self._from = options.initial_read_offset or ("beginning" if options.from_beginning else "saved-or-end")
        self._followers: dict[tuple[int, int], Follower] = {}
        """By device and inode."""
        self._paths: dict[str, Follower] = {}
        """The one of each name."""
        self._tasks: dict[asyncio.Task[None], Follower] = {}
        self._ended: dict[tuple[int, int], tuple[int, tuple[int, str]]] = {}
        """Files that were read to their end under another name: how far, and how they begin."""
        self._before: dict[str, dict[tuple[int, int], Position]] = {}
        """By path: the positions of files that had it before, and are not read to their end."""
        self._first = True
        self._there: dict[str, tuple[tuple[int, int], int]] = {}
        """Files that were there at the first look and could not be begun, as their positions cannot be read: device and inode,
        and the size."""
        self._unreadable = False
        """Said of positions."""
        self._gathered = False
        self._running = False

    # The input --------------------------------------------------------------------------------------------------------

    def obstacles(self) -> Sequence[str]:
        return obstacles_of(self.options.files)

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        self._notices = Notices(self.log)
        self.executor = ThreadPoolExecutor(2, thread_name_prefix="tail")
        self.room = Credits(self.options.max_undelivered_lines)
        options = self.options
        self._positions = Positions("tail", repr((options.files, options.data_format, self.log.name)))
        self._earlier = Earlier(self._positions)
        self._loop = asyncio.get_running_loop()
        self._notify: Notify | None = None
        self._look_soon = asyncio.Event()
        if options.watch_method != "poll" and not options.pipe:
            try:
                self._notify = Notify(self._look_soon.set)
            except OSError as error:
                self.log.warning("cannot watch files by inotify: %s; they are looked at every 250 ms", error)
        self._looking = asyncio.Lock()
        self._running = True
        self._looks = asyncio.create_task(self._look_again())
        await self._look_for_files()

    async def gather(self, acc: Accumulator) -> None:
        """Look for new files that the patterns match. The first time what is there is waited for, for --once and --test."""
        if not self._running or asyncio.get_running_loop() is not self._loop:
            return
        await self._look_for_files()
        if not self._gathered:
            self._gathered = True
            with suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_READ):
                    for follower in list(self._followers.values()):
                        await follower.caught_up.wait()

    async def stop(self) -> None:
        if not self._running:
            return
        self._running = False
        self.stopping = True
        self._looks.cancel()
        for follower in self._tasks.values():
            follower.changed.set()
        try:
            hung = await self._end_followers()
        finally:
            for follower in list(self._followers.values()):
                self._close(follower, ended=False)
            if self._notify is not None:
                self._notify.close()
            self._notices.finish()
        self.executor.shutdown(wait=not hung, cancel_futures=True)

    async def _end_followers(self) -> bool:
        """Whether one of them hung, perhaps on a file system that does not answer."""
        hung: set[asyncio.Task[None]] = set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_STOP_GRACE)
            # What is on its way into the queues may be there already: not waited for, it would be read again.
            hung = {task for task in late if not self._tasks[task].handing_on}
            for task in hung:
                task.cancel()
            if late:
                await asyncio.wait(late)
        self.stopping = False
        if not self._from.startswith("saved"):
            # Nobody reads on from here: an event that waits for more lines would be lost.
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_GRACE):
                    for follower in list(self._followers.values()):
                        await follower.end_event()
        return bool(hung)

    # Files ------------------------------------------------------------------------------------------------------------

    async def _look_for_files(self) -> None:
        async with self._looking:
            found, looked_at = await self._loop.run_in_executor(self.executor, self._matching)
            begun = True
            try:
                if self._saves:
                    await self._loop.run_in_executor(self.executor, self._earlier.read, self.options.files)
            except PositionsUnreadable as error:
                begun = False
                for path in found:
                    self._hold_back(path, error)
            else:
                for path, patterns in found.items():
                    if path not in self._paths:
                        begun &= await self._follow(path, patterns)
            self._first = False
            if begun:
                self._unreadable = False
                if self._saves:
                    await self._loop.run_in_executor(self.executor, self._keep_patterns, looked_at)

    @property
    def _saves(self) -> bool:
        """Where to begin depends on what was read before."""
        return self._from.startswith("saved") and not self.options.pipe

    def _matching(self) -> tuple[dict[str, list[str]], list[str]]:
        """The files, each with the patterns that it matches, and the patterns that could be looked at."""
        found: dict[str, list[str]] = {}
        looked_at = []
        for pattern in self.options.files:
            try:
                for path in match_files(pattern):
                    found.setdefault(path, []).append(pattern)
            except ValueError as error:
                self._loop.call_soon_threadsafe(self._tell, f"pattern {pattern}", str(error))
            except OSError as error:
                self._loop.call_soon_threadsafe(
                    self._tell, f"pattern {pattern}", f"cannot look for {pattern!r}: {error.strerror}"
                )
            else:
                looked_at.append(pattern)
        return found, looked_at

    def _keep_patterns(self, looked_at: Sequence[str]) -> None:
        error = self._earlier.looked_at(looked_at)
        if error is not None:
            text = f"cannot keep that `files` was looked at: {error}; at a restart, new files may be begun at their end"
            self._loop.call_soon_threadsafe(self._tell, "patterns", text)

    def _hold_back(self, path: str, error: PositionsUnreadable) -> None:
        """Begun anywhere, it would be lost or repeated in part: it waits, and is tried at each look."""
        if self._first:
            with suppress(OSError):
                status = os.stat(path)
                self._there[path] = (status.st_dev, status.st_ino), status.st_size
        if not self._unreadable:
            self._unreadable = True
            self.log.error("%s; until then %s is not read", error, quoted(path))

    async def _look_again(self) -> None:
        """Files that were renamed, removed, emptied, or came anew under their name."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL if self._notify is None or self._any_gone() else _LOOK):
                    await self._look_soon.wait()
            self._look_soon.clear()
            try:
                await self._look_once()
            except Exception as error:
                self._tell(f"BUG {type(error).__name__}", f"BUG: cannot look at the files: {error!r}")

    async def _look_once(self) -> None:
        if self.options.pipe:
            await self._look_for_files()
            return
        states = await self._loop.run_in_executor(self.executor, states_of, list(self._paths))
        for path, state in states.items():
            follower = self._paths.get(path)
            if follower is None:
                continue
            if state is not None and state[:2] == follower.opened.identity:
                if state != follower.seen:
                    follower.seen = state
                    follower.changed.set()
                continue
            follower.gone = True
            follower.changed.set()
            if state is not None:
                async with self._looking:
                    if self._paths.get(path) is not follower:
                        continue  # it was found in the meantime
                    del self._paths[path]
                    follower.replaced = True
                    self.keep(follower)  # as that of the file before
                    await self._follow(path)

    def _any_gone(self) -> bool:
        return any(follower.gone for follower in self._paths.values())

    async def _follow(self, path: str, patterns: Sequence[str] = ()) -> bool:
        """Begin to read, where that can be done. False: nobody knows yet where; its patterns are not done with."""
        try:
            opened = await self._loop.run_in_executor(self.executor, open_log, path, self.options.pipe)
        except OSError as error:
            await self._cannot_follow(path, patterns, error)
            return True
        if opened is None:
            return True  # a folder
        if opened.identity in self._followers:
            opened.close()
            reading = self._followers[opened.identity]
            if reading.replaced:  # it was renamed, and is being read
                reading.renamed_to = path
                self.keep(reading)
            return True
        if opened.pipe:
            self._begin(Follower(self, opened, 0))
            return True
        try:
            size = os.fstat(opened.descriptor).st_size
            offset = await self._loop.run_in_executor(self.executor, self._offset, opened, size, patterns)
            follower = Follower(self, opened, offset)
            if offset:
                await self._loop.run_in_executor(self.executor, follower.know_begin)
        except PositionsUnreadable as error:
            opened.close()
            self._hold_back(path, error)
            return False
        except OSError as error:
            opened.close()
            await self._cannot_follow(path, patterns, error)
            return True
        self._there.pop(path, None)
        if offset:
            await self._loop.run_in_executor(self.executor, read_header, follower)
        self._begin(follower)
        return True

    async def _cannot_follow(self, path: str, patterns: Sequence[str], error: OSError) -> None:
        self._tell(f"open {path}", f"cannot follow {quoted(path)}: {error.strerror or error}")
        if self._first and self._saves and self._from == "saved-or-end":
            await self._loop.run_in_executor(self.executor, self._keep_end, path, patterns)

    def _keep_end(self, path: str, patterns: Sequence[str]) -> None:
        """Of a file that cannot be opened or read: when it can, what is there now is old."""
        with suppress(OSError, PositionsUnreadable):
            status = os.stat(path)
            known = self._earlier.knows(patterns) or self._positions.get(path) is not None
            if stat.S_ISREG(status.st_mode) and not known and path not in self._positions.damaged:
                head = 0, hashlib.sha256(b"").hexdigest()[:32]
                record = {"offset": status.st_size, "device": status.st_dev, "inode": status.st_ino, "head": head}
                self._positions.put(path, record)

    def _offset(self, opened: Opened, size: int, patterns: Sequence[str]) -> int:
        """Where to begin to read. Raises PositionsUnreadable, and OSError where the file itself cannot be read."""
        path = str(opened.path)
        known = self._ended.get(opened.identity)
        if known is not None and known[0] <= size and digest_of(opened.descriptor, known[1][0]) == known[1][1]:
            return known[0]
        saved = self._positions.get(path) if self._saves else None
        before: list[tuple[int, int]] = []
        if (
            opened.path not in self._before
            and saved is not None
            and (kept := self._positions.get(f"{opened.path}{BEFORE}")) is not None
        ):
            with suppress(KeyError, TypeError, ValueError):
                for one in kept["files"]:
                    self._find_rest(one, opened)
                    before.append((one["device"], one["inode"]))
        if saved is not None:
            with suppress(KeyError, TypeError, ValueError):  # somebody else's file
                return self._saved_offset(saved, opened, size, before)
        if self._saves:
            if (read_to := self._earlier.offset(opened, size)) is not None:
                return read_to  # rotated while nobody looked
            if path in self._positions.damaged:
                text = f"the record of how far {quoted(path)} was read is damaged; it is read from its beginning"
                self._loop.call_soon_threadsafe(self._tell, "damaged", text)
                return 0
            if self._earlier.knows(patterns):
                return 0  # it came while nobody looked
        if self._from not in ("end", "saved-or-end"):
            return 0
        if self._first:
            return size
        # A file that comes later was empty before: its first lines are new as well.
        identity, was = self._there.get(path, ((0, 0), 0))
        return was if identity == opened.identity and was <= size else 0

    def _saved_offset(self, saved: Position, opened: Opened, size: int, before: Sequence[tuple[int, int]]) -> int:
        """`before`: files that had the name before, whose rest is read already."""
        offset, length, digest = int(saved["offset"]), int(saved["head"][0]), saved["head"][1]
        identity = saved["device"], saved["inode"]
        if identity == opened.identity:
            return offset if offset <= size and digest_of(opened.descriptor, length) == digest else 0
        if identity not in before:
            self._find_rest(saved, opened)
        # Else the end came when it had been renamed, and before the new file's position was kept.
        return self._earlier.offset(opened, size) or 0

    def _find_rest(self, saved: Position, opened: Opened) -> None:
        """It was rotated meanwhile: what the file before has beyond is read as well."""
        offset, length, digest = int(saved["offset"]), int(saved["head"][0]), saved["head"][1]
        before = find_renamed(opened.path, (saved["device"], saved["inode"]), length, digest)
        if before is not None:
            self._loop.call_soon_threadsafe(self._read_rest, before, offset)

    def _read_rest(self, opened: Opened, offset: int) -> None:
        if opened.identity in self._followers or not self._running:
            opened.close()
            return
        follower = Follower(self, opened, offset)
        follower.gone = follower.replaced = follower.final = True
        self._begin(follower)

    def _begin(self, follower: Follower) -> None:
        opened = follower.opened
        self._followers[opened.identity] = follower
        if not follower.gone:
            self._paths[opened.path] = follower
        if self._notify is not None and not opened.pipe:
            try:
                follower.watch = self._notify.add(opened.descriptor, follower.changed.set)
            except OSError as error:
                self._tell(
                    "watch",
                    f"cannot watch {quoted(follower.path)} by inotify: {error.strerror}; it is looked at every second",
                )
        if not opened.pipe:
            self.keep(follower)
        self.log.debug("following %s from byte %d", follower.path, follower.held)
        task = asyncio.create_task(follower.run())
        self._tasks[task] = follower
        task.add_done_callback(self._has_ended)

    def watch_pipe(self, follower: Follower) -> None:
        """Wake it when there is something to read."""
        self._loop.add_reader(follower.opened.descriptor, self._pipe_is_ready, follower)

    def _pipe_is_ready(self, follower: Follower) -> None:
        self._loop.remove_reader(follower.opened.descriptor)
        follower.changed.set()

    def _has_ended(self, task: "asyncio.Task[None]") -> None:
        follower = self._tasks.pop(task)
        if task.cancelled() or self.stopping:
            return
        error = task.exception()
        if error is not None:
            self._tell(f"read {follower.path}", f"cannot read {quoted(follower.path)}: {error}")
        self._close(follower)

    def _close(self, follower: Follower, *, ended: bool = True) -> None:
        """`ended`: nothing comes of it any more."""
        opened = follower.opened
        self._followers.pop(opened.identity, None)
        if self._paths.get(opened.path) is follower:
            del self._paths[opened.path]
        if follower.gone and ended:
            if not follower.replaced:
                self._positions.forget(str(follower.path))
            elif self._before.get(follower.path, {}).pop(opened.identity, None) is not None:
                self._keep_before(str(follower.path))
            self._ended[opened.identity] = follower.held, follower.fingerprint()
            while len(self._ended) > 10_000:
                del self._ended[next(iter(self._ended))]
        if opened.pipe:
            self._loop.remove_reader(opened.descriptor)
        elif self._notify is not None:
            self._notify.remove(follower.watch)
        opened.close()

    # What a follower asks for -----------------------------------------------------------------------------------------

    def new_multiline(self) -> Multiline | None:
        options = self.options.multiline
        return Multiline(options, self._regex) if options.enabled else None

    def multiline_seconds(self) -> float:
        return self.options.multiline.seconds

    async def hand_on(self, follower: Follower, events: Sequence[Event]) -> bool:
        tag, path = self.options.path_tag, str(follower.path)
        pieces = [event.data for event in events]
        if not tag:
            return await self._ingest(follower, pieces, None, None)
        if tag.isalnum() and tag.isascii() and not any(tag.encode() in piece for piece in pieces):
            return await self._ingest(follower, pieces, {tag: path}, None)

        def tagged(_: int, metrics: list[Metric]) -> list[Metric]:
            for metric in metrics:
                metric.tags = {**metric.tags, tag: path}
            return metrics

        return await self._ingest(follower, pieces, None, tagged)

    async def _ingest(self, follower: Follower, pieces: Sequence[bytes], tags: Any, adjust: Any) -> bool:
        what = f"a line of {quoted(follower.path)}"
        return await ingest_patiently(
            *(self._acc, pieces, follower.parser, self._notices, adjust),
            tags=tags,
            what=what,
            given_up=lambda: self.stopping,
        )

    def keep(self, follower: Follower) -> None:
        """Where it is to go on after a restart."""
        if follower.opened.pipe:
            return
        opened = follower.opened
        record: Position = {
            "offset": follower.held,
            "device": opened.device,
            "inode": opened.inode,
            "head": follower.fingerprint(),
        }
        if follower.replaced:
            self._before.setdefault(str(follower.path), {})[opened.identity] = record
            self._keep_before(str(follower.path))
            if follower.renamed_to:
                self._put(follower.renamed_to, record)
        else:
            self._put(str(follower.path), record)

    def _keep_before(self, path: str) -> None:
        files = list(self._before[path].values())[-_MOST_BEFORE:]
        if files:
            self._put(f"{path}{BEFORE}", {"files": files})
        else:
            del self._before[path]
            self._positions.forget(f"{path}{BEFORE}")

    def _put(self, key: str, record: dict[str, Any]) -> None:
        error = self._positions.put(key, record)
        if error is not None:
            self._tell("position", f"cannot keep how far {key.partition(BEFORE)[0]!r} was read: {error}")

    def note(self, follower: Follower, kind: str, message: str) -> None:
        self._tell(f"{kind} {follower.path}", message, logging.WARNING)

    def _tell(self, kind: str, message: str, level: int = logging.ERROR) -> None:
        self._notices.add(kind, message, level)

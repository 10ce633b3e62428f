"""Reads the files that come into a folder, each once.

It moves them to another folder. Names and options are those of Telegraf 1.40. A file is moved when the outputs' queues
hold its metrics, and not before.
"""

import asyncio
import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    Input,
    Measurement,
    Metric,
    ParseError,
    ParserOptions,
    PyagentError,
    QueueFull,
    option,
)
from pyagent.api.errors import TooMuch
from pyagent.api.files import open_file, path_of
from pyagent.kit.inflate import Inflater
from pyagent.kit.notices import Notices
from pyagent.kit.regex import Regex, compile_regex
from pyagent.kit.shown import quoted

__all__ = ["DirectoryMonitor", "DirectoryMonitorOptions"]

_BLOCK = 256 * 2**10
_LONGEST_LINE = 1 << 20
_LARGEST = 128 << 20
"""Bytes of a file that is read at once, and of what one that is compressed holds."""
_AT_ONCE = 1000
"""Metrics that are handed on together, at the most."""
_PAUSE = 0.25
"""Seconds until full queues are tried again."""
_FIRST_READ = 0.8
"""Seconds for which the first gather waits for the files, for --once and --test."""
_STOP_GRACE = 2.0
"""Seconds for the file that is being read when the plugin is stopped."""
_LAST_GRACE = 0.8
"""And after that for it to be moved, where all of it is in the queues."""

_Identity = tuple[int, ...]
_T = TypeVar("_T")


class DirectoryMonitorOptions(ParserOptions, frozen=True):
    directory: Annotated[str, option("folder that files come into", reads_path=True)] = ""
    finished_directory: Annotated[str, option("folder that they are moved to", writes=True)] = ""
    error_directory: Annotated[
        str, option("folder for files that cannot be read; empty: they stay where they are", writes=True)
    ] = ""
    recursive: Annotated[bool, option("read the files of the folders in it as well")] = False
    directory_duration_threshold: Annotated[
        Duration, option("leave a file alone that was read or changed within this time: it may not be whole")
    ] = Duration(0)
    files_to_monitor: Annotated[
        list[str],
        option("read only files whose path in the folder, such as /a.csv, matches one of these regular expressions"),
    ] = []
    files_to_ignore: Annotated[list[str], option("leave files out whose path matches one of these")] = []
    max_buffered_metrics: Annotated[int, option("metrics that are handed on together; 1,000 at the most", ge=1)] = (
        10_000
    )
    file_queue_size: Annotated[int, option("files that may wait to be read; the others are found again", ge=1)] = (
        100_000
    )
    file_tag: Annotated[str, option("tag for the file's name; empty: none")] = ""
    preserve_timestamps: Annotated[bool, option("moved files keep the times of their last read and change")] = False
    parse_method: Annotated[
        Literal["line-by-line", "at-once"], option("read each line by itself, or a file as a whole")
    ] = "line-by-line"


class DirectoryMonitor(Input[DirectoryMonitorOptions]):
    measurements = (
        Measurement("directory_monitor", "what the files hold, where they give it no name of its own", open=True),
    )

    def setup(self) -> None:
        options = self.options
        for name in ("directory", "finished_directory"):
            if not getattr(options, name):
                raise ConfigError(f"cannot work without {name}; name a folder", option=name)
        top = os.path.realpath(options.directory)
        for name in ("finished_directory", "error_directory"):
            if (target := getattr(options, name)) and os.path.realpath(target) == top:
                problem = (
                    f"cannot move files to {quoted(target)}, which is `directory` itself: they would be read again and"
                    " again; name another folder"
                )
                raise ConfigError(problem, option=name)
        self._wanted = _compiled(options.files_to_monitor, "files_to_monitor")
        self._ignored = _compiled(options.files_to_ignore, "files_to_ignore")
        self._targets = [one for one in (options.finished_directory, options.error_directory) if one]
        self._moves: dict[str, tuple[_Identity, str]] = {}
        """Files that were read, and could not be moved to this folder; of one that could not be read and has none to go to,
        that is empty."""
        self._task: asyncio.Task[None] | None = None

    def obstacles(self) -> Sequence[str]:
        found = []
        directory = self.options.directory
        if not os.path.isdir(directory):
            found.append(
                f"cannot look into {quoted(directory)}: there is no such folder; make it, or correct `directory`"
            )
        elif not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            found.append(
                f"cannot move files out of {quoted(directory)}: Permission denied; let the agent's account read and write it"
            )
        for folder in self._targets:
            place = folder
            while not os.path.exists(place) and place != (above := os.path.dirname(os.path.abspath(place))):
                place = above
            if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
                what = "move files to" if place == folder else "make the folder"
                found.append(f"cannot {what} {quoted(folder)}: make it, and let the agent's account write it")
        return found

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        self._loop = asyncio.get_running_loop()
        for folder in self._targets:
            try:
                os.makedirs(folder, 0o750, exist_ok=True)
            except OSError as error:
                raise PyagentError(f"cannot make the folder {quoted(folder)}: {error.strerror}") from None
        self._notices = Notices(self.log)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="directory_monitor")
        self._queue: asyncio.Queue[str] = asyncio.Queue(self.options.file_queue_size)
        self._queued: set[str] = set()
        self._first = True
        self._stopping = self._given_up = self._handing_on = False
        self._task = asyncio.create_task(self._read_files())

    async def gather(self, acc: Accumulator) -> None:
        """Look for files."""
        if self._task is None or asyncio.get_running_loop() is not self._loop:
            return
        found = await self._loop.run_in_executor(None, self._found)
        for path in found:
            if path not in self._queued and not self._queue.full():
                self._queued.add(path)
                self._queue.put_nowait(path)
        if self._first:
            self._first = False
            with suppress(TimeoutError):
                await asyncio.wait_for(self._queue.join(), _FIRST_READ)

    async def stop(self) -> None:
        if self._task is None:
            return
        self._stopping = True
        if not self._queued:
            self._task.cancel()
        try:
            await asyncio.wait([self._task], timeout=_STOP_GRACE)
            self._given_up = True
            # What is on its way into the queues may be there already: not waited for, its file would be read again.
            while self._handing_on and not self._task.done():
                await asyncio.wait([self._task], timeout=0.05)
            await asyncio.wait([self._task], timeout=_LAST_GRACE)
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._notices.finish()

    # Looking ----------------------------------------------------------------------------------------------------------

    def _found(self) -> list[str]:
        """Raises PyagentError."""
        top = self.options.directory
        left_out = {os.path.realpath(one) for one in self._targets}
        threshold, now = self.options.directory_duration_threshold, time.time_ns()
        found: list[str] = []
        waiting = [str(top)]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in sorted(entries, key=lambda one: one.name):
                        path = os.path.join(folder, entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            if self.options.recursive and os.path.realpath(path) not in left_out:
                                waiting.append(path)
                            continue
                        with suppress(OSError):  # it is gone again
                            state = entry.stat()
                            age = now - max(state.st_atime_ns, state.st_mtime_ns)
                            if stat.S_ISREG(state.st_mode) and age >= threshold and self._is_wanted(path):
                                found.append(path)
            except OSError as error:
                raise PyagentError(f"cannot read the folder {quoted(folder)}: {error.strerror}") from None
        return found

    def _is_wanted(self, path: str) -> bool:
        name = "/" + os.path.relpath(path, self.options.directory)
        if self._wanted and not any(regex.search(name) for regex in self._wanted):
            return False
        return not any(regex.search(name) for regex in self._ignored)

    # Reading ----------------------------------------------------------------------------------------------------------

    async def _read_files(self) -> None:
        while not self._stopping:
            path = await self._queue.get()
            try:
                await self._read_file(path)
            except Exception as error:
                self._notices.add(f"BUG {type(error).__name__}", f"BUG: cannot read {quoted(path)}: {error!r}")
            finally:
                self._queued.discard(path)
                self._queue.task_done()

    async def _read_file(self, path: str) -> None:
        identity = await self._run(_identity, path)
        if identity is None:
            return
        known = self._moves.get(path)
        if known is not None and known[0] == identity:
            if known[1]:
                await self._moved(path, identity, known[1])
            return
        tags = {self.options.file_tag: os.path.basename(path)} if self.options.file_tag else {}
        metrics = self._metrics(path)
        try:
            target = await self._handed_on(path, metrics, tags)
        finally:
            with suppress(ValueError):  # it is still at work, and ends with the executor
                metrics.close()
        if target is None:
            return
        if target:
            await self._moved(path, identity, target)
        else:
            self._moves[path] = (identity, "")

    async def _handed_on(self, path: str, metrics: Iterator[list[Metric]], tags: dict[str, str]) -> str | None:
        """The folder that the file goes to; None: none yet, it could not be opened or not be read to its end."""
        while True:
            try:
                some = await self._run(next, metrics, None)
            except OSError as error:
                self._notices.add("open", f"cannot read {quoted(path)}: {error.strerror or error}")
                return None
            except (ParseError, TooMuch, ValueError) as error:
                self.log.error("cannot read %s: %s", quoted(path), error)
                return str(self.options.error_directory)
            if some is None:
                return str(self.options.finished_directory)
            for metric in some:
                metric.tags.update(tags)
            if not await self._hand_on(some):
                return None

    async def _hand_on(self, metrics: list[Metric]) -> bool:
        """False: the plugin ends within the file, which is read again."""
        while not self._given_up:
            self._handing_on = True
            try:
                await self._acc.deliver(metrics)
                return True
            except QueueFull as full:
                self._handing_on = False  # nothing of it is there, as far as a stop goes
                self._notices.add("wait", f"the files have to wait: {str(full).partition(';')[0]}")
                await asyncio.sleep(_PAUSE)
            finally:
                self._handing_on = False
        return False

    def _metrics(self, path: str) -> Generator[list[Metric], None, None]:
        """Portions of a file. Raises OSError, ParseError, TooMuch and ValueError, behind what came before."""
        most = min(self.options.max_buffered_metrics, _AT_ONCE)
        parser = self.new_parser()
        waiting: list[Metric] = []
        blocks = self._blocks(path)
        try:
            if self.options.parse_method == "at-once":
                waiting = parser.parse(b"".join(blocks))
            else:
                for number, line in enumerate(_lines(blocks), 1):
                    try:
                        waiting += parser.parse(line)
                    except (ParseError, ValueError) as error:
                        place = f"line {number}"
                        text = str(error)
                        text = text.removeprefix("line 1") if text.startswith(("line 1:", "line 1,")) else f": {text}"
                        raise ParseError(place + text) from None
                    if len(waiting) >= most:
                        yield waiting[:most]
                        waiting = waiting[most:]
        except (OSError, ParseError, TooMuch, ValueError) as error:
            if waiting:
                yield waiting
            raise error
        finally:
            blocks.close()
        while waiting:
            yield waiting[:most]
            waiting = waiting[most:]

    def _blocks(self, path: str) -> Generator[bytes, None, None]:
        inflater = Inflater(_LARGEST) if path.endswith(".gz") else None
        whole = self.options.parse_method == "at-once"
        size = 0
        with open_file(path_of(path, self.options.directory)) as file:
            while block := file.read(_BLOCK):
                size += len(block)
                if whole and size > _LARGEST:
                    raise TooMuch(f"it has more than {_LARGEST} bytes; read it line-by-line")
                if inflater is None:
                    yield block
                else:
                    yield from inflater.feed(block)
        if inflater is not None:
            inflater.finish()

    # Moving -----------------------------------------------------------------------------------------------------------

    async def _moved(self, path: str, identity: _Identity, target: str) -> None:
        try:
            await self._run(self._move, path, target)
        except OSError as error:
            self._moves[path] = (identity, target)
            self._notices.add(
                f"move {target}",
                f"cannot move {quoted(path)} to {quoted(target)}: {error.strerror or error}; it is not read again",
            )
        else:
            self._moves.pop(path, None)

    def _move(self, path: str, target: str) -> None:
        place = os.path.join(target, os.path.relpath(path, self.options.directory))
        os.makedirs(os.path.dirname(place), 0o750, exist_ok=True)
        times = os.stat(path)
        if os.path.islink(path):
            self._copy(path, place)
        else:
            try:
                os.replace(path, place)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy(path, place)
        if self.options.preserve_timestamps:
            os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
        else:
            os.utime(place)

    @staticmethod
    def _copy(path: str, place: str) -> None:
        """To another file system, or of what a link leads to: whole or not at all."""
        shutil.copyfile(path, f"{place}.part")
        os.replace(f"{place}.part", place)
        os.unlink(path)

    async def _run(self, function: Callable[..., _T], *args: Any) -> _T:
        return await self._loop.run_in_executor(self._executor, partial(function, *args))


def _lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Without their ends."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise ParseError(f"a line has more than {_LONGEST_LINE} bytes")
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest.removesuffix(b"\r")


def _identity(path: str) -> _Identity | None:
    """None: it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _compiled(patterns: list[str], name: str) -> list[Regex]:
    try:
        return [compile_regex(pattern) for pattern in patterns]
    except ValueError as error:
        raise ConfigError(str(error), option=name) from None

"""Writes metrics to files and to standard output.

Rotation and names of archives are those of Telegraf 1.40. Unlike there, a write that fails leaves nothing behind, so that
the next attempt neither doubles lines nor continues a torn one, and a file that was moved or removed is made again.
"""

import errno
import logging
import os
import select
import stat
import sys
import threading
import zlib
from contextlib import suppress
from typing import Annotated, Literal

from pyagent.api import (
    Batch,
    ConfigError,
    Duration,
    Output,
    QueueFormat,
    Retry,
    Serialized,
    SerializerOptions,
    Size,
    option,
)
from pyagent.kit.rotate import Rotation, archive, remove_archives

__all__ = ["File", "FileOptions"]


class FileOptions(SerializerOptions, frozen=True):
    files: Annotated[list[str], option("files to append to; stdout is standard output ([]: stdout)", writes=True)] = []
    use_batch_format: Annotated[bool, option("write each batch as one document, in formats that have such")] = False
    rotation_interval: Annotated[Duration, option("archive a file after this time (0: never)", ge=0)] = Duration(0)
    rotation_max_size: Annotated[Size, option("archive a file that has reached this size (0: never)", ge=0)] = Size(0)
    rotation_max_archives: Annotated[int, option("archives of a file to keep (-1: all)", ge=-1)] = 5
    compression_algorithm: Annotated[
        Literal["", "identity", "gzip", "zlib", "zstd"], option("compress what is written (zstd is not supported yet)")
    ] = ""
    compression_level: Annotated[int, option("0 (none) to 9 (best); -1: the algorithm's default", ge=-1, le=9)] = -1


_WBITS = {"gzip": 31, "zlib": 15}
_ADVICE = {
    errno.ENOENT: "make its folder",
    errno.ENOTDIR: "correct `files`",
    errno.EISDIR: "correct `files`",
    errno.ENXIO: "correct `files`",
    errno.EACCES: "give the agent's account the right to write there",
    errno.EPERM: "give the agent's account the right to write there",
    errno.EROFS: "make the file system writable",
    errno.EBADF: "start the agent with an open standard output",
    errno.EPIPE: "its reader is gone: start the agent again with one",
}
"""What a person can do; any other failure may end by itself."""


class File(Output[FileOptions]):
    def destination(self, partition: str | None) -> str:
        return ", ".join(self.options.files or ["stdout"])

    def setup(self) -> None:
        options = self.options
        if options.compression_algorithm == "zstd":
            problem = "cannot compress with zstd: it is not supported yet; use gzip or zlib"
            raise ConfigError(problem, option="compression_algorithm")
        if "" in options.files:
            raise ConfigError("cannot use the file '': it has no name; give a path or stdout", option="files")
        names = dict.fromkeys(options.files or ["stdout"])
        self._targets: list[_Target] = [_RotatingFile(name, options, self.log) for name in names if name != "stdout"]
        if "stdout" in names:
            self._targets.append(_Stdout())  # last, because a pipe cannot take back what it was given
        self._lock = threading.Lock()

    def queue_format(self) -> QueueFormat:
        return Serialized(self.serializer, documents=self.options.use_batch_format)

    def write(self, batch: Batch) -> None:
        data = self._encode(batch)
        with self._lock:
            written: list[_Target] = []
            for target in tuple(self._targets):
                try:
                    target.append(data)
                except OSError as error:
                    if isinstance(target, _Stdout) and isinstance(error, BrokenPipeError) and len(self._targets) > 1:
                        self._targets.remove(target)
                        self.log.error(
                            "cannot write to %s: its reader is gone; only the files are written", target.name
                        )
                        continue
                    # All or none: the batch comes again, for all of them.
                    for other in written:
                        other.undo()
                    raise _retry(target, error) from None
                written.append(target)
            for target in written:
                target.rotate_if_due()

    async def close(self) -> None:
        # A write that hangs in its thread keeps its files: their numbers must not come to name other ones.
        if self._lock.acquire(blocking=False):
            try:
                for target in self._targets:
                    target.close()
            finally:
                self._lock.release()

    def _encode(self, batch: Batch) -> bytes:
        """Each write is a whole compressed stream: a file of several can be read by gunzip and its like."""
        algorithm, level = self.options.compression_algorithm, self.options.compression_level
        if algorithm == "gzip" and level == -1:
            return batch.payload("gzip")
        if algorithm in _WBITS:
            compressor = zlib.compressobj(level, wbits=_WBITS[algorithm])
            return compressor.compress(batch.payload()) + compressor.flush()
        return batch.payload()


class _Target:
    """What is written to. Where it is a regular file, a write is done whole or not at all."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_pipe = False
        """A named one."""
        self._fd: int | None = None
        self._regular = False
        self._start = self._end = 0
        """Where the last write began and ended."""

    def append(self, data: bytes) -> None:
        """Write all of `data`; waits where a pipe's reader is slow. Raises OSError."""
        fd = self._descriptor()
        if self._regular:
            self._start = self._end = os.lseek(fd, 0, os.SEEK_END)
        rest = memoryview(data)
        try:
            while rest:
                try:
                    count = os.write(fd, rest)
                except BlockingIOError:  # whoever shares it with us made it non-blocking
                    poll = select.poll()
                    poll.register(fd, select.POLLOUT)
                    poll.poll()
                    continue
                rest = rest[count:]
                self._end += count
        except OSError:
            self.undo()
            raise

    def undo(self) -> None:
        """Take the last write back, unless somebody has written behind it."""
        if self._regular and self._fd is not None:
            with suppress(OSError):
                if os.fstat(self._fd).st_size == self._end > self._start:
                    os.ftruncate(self._fd, self._start)
                    os.lseek(self._fd, self._start, os.SEEK_SET)

    def rotate_if_due(self) -> None:
        """Archive the file where its time or size says so. Never raises: what is written is delivered."""

    def close(self) -> None:
        """Harmless when it is not open."""

    def _descriptor(self) -> int:
        raise NotImplementedError


class _Stdout(_Target):
    def __init__(self) -> None:
        super().__init__("stdout")

    def _descriptor(self) -> int:
        if sys.__stdout__ is None:  # closed at the start: the number may name something else by now
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        self._fd = sys.__stdout__.fileno()
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        return self._fd


class _RotatingFile(_Target):
    def __init__(self, path: str, options: FileOptions, log: logging.Logger) -> None:
        super().__init__(path)
        self._rotation = Rotation(
            interval=options.rotation_interval.seconds,
            max_size=options.rotation_max_size,
            max_archives=options.rotation_max_archives,
        )
        self._log = log
        self._identity = (0, 0)
        self._logged = ""

    def close(self) -> None:
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def _descriptor(self) -> int:
        if self._fd is None or self._moved():
            self._open()
            self.rotate_if_due()  # a file of the day before the restart
        if self._fd is None:
            self._open()
        assert self._fd is not None
        return self._fd

    def _moved(self) -> bool:
        """Whether the path leads to another file by now, or to none: somebody rotates it from outside."""
        try:
            found = os.stat(self.name)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return (found.st_dev, found.st_ino) != self._identity

    def _open(self) -> None:
        self.close()
        # For reading too, whatever it may be besides: opening must not hang. A pipe that we read ourselves would always have
        # a reader, and take what nobody reads.
        self.is_pipe = _is_pipe(self.name)
        flags = os.O_WRONLY | os.O_NONBLOCK if self.is_pipe else os.O_RDWR | os.O_CREAT | os.O_APPEND
        self._fd = os.open(self.name, flags | os.O_CLOEXEC, 0o644)
        found = os.fstat(self._fd)
        self._regular = stat.S_ISREG(found.st_mode)
        self._identity = (found.st_dev, found.st_ino)
        self._rotation.began(found.st_mtime)

    def rotate_if_due(self) -> None:
        if self._fd is None or not self._regular:
            return
        try:
            if self._rotation.is_due(os.fstat(self._fd).st_size):
                archive(self.name)
                self._open()
                remove_archives(self.name, self._rotation.max_archives)
            self._logged = ""
        except OSError as error:
            if self._logged != (reason := str(error)):
                self._logged = reason
                self._log.warning("cannot rotate %s: %s; it grows on", self.name, error.strerror)


def _is_pipe(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return False  # opening it says why


def _retry(target: _Target, error: OSError) -> Retry:
    if target.is_pipe and error.errno in (errno.ENXIO, errno.EPIPE):
        return Retry(f"cannot write to {target.name}: no program reads this pipe; start its reader")
    advice = _ADVICE.get(error.errno or 0)
    reason = (
        f"cannot write to {target.name}: {error.strerror or error}; {advice or 'make room, or wait until it is back'}"
    )
    return Retry(reason, needs_operator=advice is not None)

"""Counts the files in folders.

With their size, and the times of the oldest and the newest one. Names, types and options are those of Telegraf 1.40.
Unlike there, a folder without files does not count as the oldest one of the folder above it.
"""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

from pyagent.api import (
    Accumulator,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Size,
    option,
)
from pyagent.api.hosted import HostedPath
from pyagent.kit.each import joined_failures
from pyagent.kit.glob import compile_patterns
from pyagent.kit.globpath import check_readable, match_files, name_matcher
from pyagent.kit.shown import quoted

__all__ = ["Filecount", "FilecountOptions"]


class FilecountOptions(Options, frozen=True):
    directories: Annotated[
        list[str], option("folders; wildcards, ** stands for folders in folders", reads_path=True)
    ] = []
    name: Annotated[str, option("count only files with such names, a pattern")] = "*"
    recursive: Annotated[bool, option("count what folders in it hold as well")] = True
    regular_only: Annotated[bool, option("count regular files only")] = True
    follow_symlinks: Annotated[bool, option("follow links, also those to folders")] = False
    size: Annotated[Size, option("count only files of at least this size; negative: only smaller ones")] = Size(0)
    mtime: Annotated[
        Duration, option("count only files that were not changed for this time; negative: only those that were")
    ] = Duration(0)
    timeout: Annotated[Duration, option("stop counting after this time (0: never)")] = Duration(0)


_Matcher = Callable[[str], bool]


@dataclass(slots=True)
class _Folder:
    """One that is being counted, with those above it that are not counted to their end."""

    path: str
    identity: tuple[int, int]
    names: Iterator[str]
    files: int = 0
    size: int = 0
    oldest: int = 0
    newest: int = 0

    def add(self, files: int, size: int, oldest: int, newest: int) -> None:
        self.files += files
        self.size += size
        if not self.oldest or (oldest and oldest < self.oldest):
            self.oldest = oldest
        if not self.newest or (newest and newest > self.newest):
            self.newest = newest


class _Late(Exception):
    pass


class Filecount(Input[FilecountOptions]):
    measurements = (
        Measurement(
            "filecount",
            "A folder.",
            tags={"directory": "its path"},
            fields={
                "count": Field("int", "1", "files"),
                "size_bytes": Field("int", "bytes", "their size"),
                "oldest_file_timestamp": Field(
                    "int", "ns", "when the oldest was changed, since 1970; 0: there is none"
                ),
                "newest_file_timestamp": Field(
                    "int", "ns", "when the newest was changed, since 1970; 0: there is none"
                ),
            },
        ),
    )

    def setup(self) -> None:
        try:
            self._named = None if self.options.name == "*" else name_matcher(self.options.name)
        except ValueError as error:
            raise ConfigError(str(error), option="name") from None

    def gather(self, acc: Accumulator) -> None:
        timeout = self.options.timeout.seconds
        self._deadline = time.monotonic() + timeout if timeout > 0 else None
        failures: list[Exception] = []
        for given in self.options.directories:
            try:
                roots, matches = _roots(given)
            except (ValueError, OSError) as error:
                failures.append(PyagentError(str(error)))
                continue
            for root in roots:
                try:
                    self._count(root, matches, "**" in given, acc)
                except _Late:
                    self.log.warning("counting has taken longer than `timeout`, and ends at %s", quoted(root))
                    return
                except OSError as error:
                    path = quoted(str(error.filename or root))
                    failures.append(PyagentError(f"cannot count the files of {path}: {error.strerror}"))
        if failures:
            raise joined_failures(failures)

    def _count(self, root: str, matches: _Matcher, deep: bool, acc: Accumulator) -> None:
        """Raises OSError, and _Late."""
        options = self.options
        state = os.stat(root, follow_symlinks=options.follow_symlinks)
        if not stat.S_ISDIR(state.st_mode):
            raise OSError(errno.ENOTDIR, "it is a link; set follow_symlinks", root)
        now = time.time_ns()
        top = self._opened(root, state)
        folders = [top] if top else []
        while folders:
            folder = folders[-1]
            for name in folder.names:
                if self._deadline is not None and time.monotonic() > self._deadline:
                    raise _Late
                path = os.path.join(folder.path, name)
                found = self._state(path)
                if found is None:
                    continue
                if self._counts(name, found, now):
                    folder.add(1, found.st_size, found.st_mtime_ns, found.st_mtime_ns)
                if stat.S_ISDIR(found.st_mode) and (options.recursive or deep):
                    if any(one.identity == (found.st_dev, found.st_ino) for one in folders):
                        raise OSError(errno.ELOOP, "a link leads back to a folder above it", path)
                    below = self._opened(path, found)
                    if below is not None:
                        folders.append(below)
                        break
            else:
                folders.pop()
                if matches(folder.path):
                    fields = {
                        "count": folder.files,
                        "size_bytes": folder.size,
                        "oldest_file_timestamp": folder.oldest,
                        "newest_file_timestamp": folder.newest,
                    }
                    acc.add("filecount", fields, {"directory": folder.path}, kind=MetricType.GAUGE)
                if options.recursive and folders:
                    folders[-1].add(folder.files, folder.size, folder.oldest, folder.newest)

    def _opened(self, path: str, state: os.stat_result) -> _Folder | None:
        """None: it is gone meanwhile, or may not be read."""
        try:
            names = os.listdir(path)
        except FileNotFoundError:
            return None
        except PermissionError as error:
            self.log.debug("cannot read %s: %s", quoted(path), error.strerror)
            return None
        return _Folder(path, (state.st_dev, state.st_ino), iter(names))

    def _state(self, path: str) -> os.stat_result | None:
        """Of a file that may count. Raises OSError: for a link to nothing, too, where links are followed."""
        try:
            found = os.lstat(path)
            if not stat.S_ISLNK(found.st_mode):
                return found
            return os.stat(path) if self.options.follow_symlinks else None
        except PermissionError as error:
            self.log.debug("cannot look at %s: %s", quoted(path), error.strerror)
            return None
        except FileNotFoundError:
            if os.path.islink(path):
                raise
            return None

    def _counts(self, name: str, state: os.stat_result, now: int) -> bool:
        options = self.options
        regular = stat.S_ISREG(state.st_mode)
        if self._named is not None and not self._named(name):
            return False
        if (options.regular_only or options.size) and not regular:
            return False
        if options.size and (state.st_size >= abs(options.size)) != (options.size > 0):
            return False
        if options.mtime > 0:
            return state.st_mtime_ns < now - options.mtime
        return options.mtime == 0 or state.st_mtime_ns > now + options.mtime


def _roots(given: str) -> tuple[list[str], _Matcher]:
    """The folders below which all lie that the pattern means, and which of their folders it means. Raises ValueError."""
    if isinstance(given, HostedPath):
        check_readable(given)
    pattern = os.path.normpath(given)
    if pattern.startswith("//"):
        pattern = pattern[1:]
    if not any(character in pattern for character in "*?["):
        return [pattern] if os.path.isdir(pattern) else [], pattern.__eq__
    if "**" in pattern:
        matches = compile_patterns([pattern], "/")
        looked_for = pattern[: pattern.index("**") + 1]
    else:
        looked_for = pattern
        parts = [name_matcher(part) for part in pattern.split("/")]

        def matches(path: str) -> bool:
            names = path.split("/")
            return len(names) == len(parts) and all(map(_applied, parts, names))

    braces_as_they_are = looked_for.replace("{", r"\{")
    return [path for path in match_files(braces_as_they_are) if os.path.isdir(path)], matches


def _applied(matches: _Matcher, name: str) -> bool:
    return matches(name)

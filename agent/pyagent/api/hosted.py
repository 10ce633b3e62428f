"""What a configuration from a URL may read of this host: files, but none that hold its secrets.

Checked when a file is opened, and again at each opening: the path is followed here, step by step, and the very file that was
found is then opened. So no link leads past the check, whoever changes it meanwhile.
"""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = ["Guard", "HostedPath"]

_FOLDERS = (
    "/etc/pyagent",
    "/run/pyagent",
    "/var/lib/pyagent",
    "/var/lib/private/pyagent",
    "/run/credentials",
    "/run/credstore",
    "/etc/credstore",
    "/etc/credstore.encrypted",
    "/run/secrets",
)
"""State and settings of all instances; credentials of systemd, Docker and Kubernetes."""
_FOLDER_VARIABLES = (
    "PYAGENT_STATE_DIRECTORY",
    "STATE_DIRECTORY",
    "CACHE_DIRECTORY",
    "PYAGENT_RUNTIME_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
)
_IN_HOME = (
    ".ssh",
    ".pgpass",
    ".netrc",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".docker",
    ".kube",
    ".influxdbv2",
    ".telegraf",
)
_FILES = (
    "/etc/default/telegraf",
    "/etc/telegraf/*.env",
    "/etc/telegraf/*.conf",
    "/etc/telegraf/telegraf.d/*.conf",
    "/etc/systemd/system/pyagent*.d/*.conf",
    "/etc/systemd/system/telegraf*.d/*.conf",
)
"""Environment files, configurations and drop-ins: where tokens are written. Certificates lie beside them, and may be read."""
_MOST_LINKS = 40
"""As the kernel."""
_PROC_ROOT = 1
"""The inode of the root of each procfs."""

_Identity = tuple[int, int]
"""Device and inode: what a file is, whatever it is called."""


class HostedPath(str):
    """A path, or a pattern of paths, that a configuration from a URL names."""

    __slots__ = ("guard",)
    guard: "Guard"

    def __new__(cls, path: str, guard: "Guard") -> "HostedPath":
        self = super().__new__(cls, path)
        self.guard = guard
        return self

    def __add__(self, other: str) -> "HostedPath":
        """What is below it, as `os.path.join` makes it, has its guard."""
        return HostedPath(super().__add__(other), self.guard)


class Guard:
    """Keeps paths from secrets of the host: of processes, of the agents, of systemd, and of the account's home."""

    def __init__(self, environ: Mapping[str, str], root: str = "") -> None:
        """`root`: what stands before the usual places; tests have another one."""
        named = [path for name in _FOLDER_VARIABLES for path in environ.get(name, "").split(":") if path]
        if home := environ.get("HOME"):
            named += [os.path.join(home, name) for name in _IN_HOME]
        self._folders = (*(root + path for path in _FOLDERS), *named)
        self._files = tuple(root + path for path in _FILES)

    def check(self, path: str) -> None:
        """Raises PermissionError for a path that leads to a secret; one that leads nowhere is none, yet."""
        try:
            os.close(self._find(path))
        except PermissionError as error:
            if error.errno == errno.EPERM:
                raise
        except OSError:
            pass

    @contextmanager
    def held(self, path: str) -> Iterator[str]:
        """A name of the file that `path` leads to, which no link can change. Raises OSError."""
        descriptor = self._find(path)
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)

    def _find(self, path: str) -> int:
        """A descriptor (O_PATH) of the file that `path` leads to."""
        secrets, proc = self._secrets(), _proc_devices()
        rest = [part for part in reversed(os.path.join(os.getcwd(), path).split("/")) if part not in ("", ".")]
        way: list[str] = []
        links, place = 0, ""
        current = _open_root()
        try:
            while rest:
                name = rest.pop()
                if name == "..":
                    # Back to the start: what is above is where we came from, not where the folder may be by now.
                    rest += reversed(way[:-1])
                    way, place = [], ""
                    current = _replace(current, _open_root())
                else:
                    if place == "root" and (name.isdecimal() or name in ("self", "thread-self")):
                        raise _refusal()
                    # Of the reader itself, these two say nothing of it: they are about the host.
                    follow = place == "root" and name in ("net", "mounts")
                    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
                    current = _replace(current, os.open(name, flags, dir_fd=current))
                    found = os.fstat(current)
                    if stat.S_ISLNK(found.st_mode):
                        links += 1
                        target = os.readlink("", dir_fd=current)
                        rest += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                        if not target.startswith("/"):
                            rest += reversed(way)
                        way, place = [], ""
                        current = _replace(current, _open_root())
                    else:
                        way.append(name)
                        place = _place_in_proc(place, found, proc)
                        if _identity(found) in secrets:
                            raise _refusal()
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            found = os.fstat(current)
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1 and self._holds(_identity(found)):
                raise _refusal()
        except BaseException:
            os.close(current)
            raise
        return current

    def _secrets(self) -> set[_Identity]:
        """Folders and files that are out of bounds, as far as they are there now."""
        import glob  # only where a text from a URL names files

        paths = [*self._folders, *(path for pattern in self._files for path in glob.glob(pattern))]
        found = set()
        for path in paths:
            try:
                found.add(_identity(os.stat(path)))
            except OSError:
                continue
        return found

    def _holds(self, file: _Identity) -> bool:
        """Whether a file has another name in one of the folders."""
        for folder in self._folders:
            for parent, _, names in os.walk(folder):
                for name in names:
                    try:
                        if _identity(os.lstat(os.path.join(parent, name))) == file:
                            return True
                    except OSError:
                        continue
        return False


def _refusal() -> PermissionError:
    return PermissionError(
        errno.EPERM, "it leads to secrets of this host, which a configuration from a URL may not read"
    )


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino


def _open_root() -> int:
    return os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def _place_in_proc(before: str, found: os.stat_result, proc: set[int]) -> str:
    """Where in a procfs a step has led to: "root", "inside", or "" for outside of any."""
    if found.st_dev not in proc:
        return ""
    if found.st_ino == _PROC_ROOT:
        return "root"
    if not before:  # a part of it that is mounted elsewhere: it may be a process's
        raise _refusal()
    return "inside"


def _proc_devices() -> set[int]:
    """The file systems that are a procfs, wherever they are mounted (proc(5), /proc/PID/mountinfo)."""
    found = set()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.startswith("proc "):
                major, _, minor = left.split()[2].partition(":")
                found.add(os.makedev(int(major), int(minor)))
    return found

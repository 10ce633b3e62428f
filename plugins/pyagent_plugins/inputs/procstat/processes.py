"""What /proc/PID tells about a process (proc(5)). Files are read whole, a few for each process; there may be thousands."""

import errno
import os
import pwd
import struct
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from pyagent.api import PyagentError, Uint
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.procfs import host_path, read_text

__all__ = ["Process", "Processes", "Values"]

Values = dict[str, Any]

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK = 8192
_MOST = 4 << 20
"""Bytes of a file: a command line has 2 MiB at most."""
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UINT64_MAX = (1 << 64) - 1
_GONE = (FileNotFoundError, ProcessLookupError, NotADirectoryError, PermissionError)
"""Of a file of a process: it has ended, it is a thread of the kernel, or it is not for this account."""
_NAME_KEPT = 15
"""Bytes that the kernel keeps of a name."""
_USERS_KEPT = 60.0
"""Seconds: names may come from a directory service."""

_STATES = {
    "D": "blocked",
    "U": "blocked",
    "I": "idle",
    "L": "lock",
    "R": "running",
    "S": "sleep",
    "T": "stop",
    "W": "wait",
    "Z": "zombie",
}
_FAULTS = ("minor_faults", "child_minor_faults", "major_faults", "child_major_faults")
_PPID, _MINOR, _USER, _PRIORITY, _NICE, _STARTED, _DELAYED = 1, 7, 11, 15, 16, 19, 39
"""Words behind the name in stat."""
_IO = [b"rchar:", b"wchar:", b"syscr:", b"syscw:", b"read_bytes:", b"write_bytes:"]
_IO_FIELDS = ("read_bytes", "write_bytes", "read_count", "write_count", "disk_read_bytes", "disk_write_bytes")
_MAPS = {
    b"Size:": "memory_size",
    b"Pss:": "memory_pss",
    b"Shared_Clean:": "memory_shared_clean",
    b"Shared_Dirty:": "memory_shared_dirty",
    b"Private_Clean:": "memory_private_clean",
    b"Private_Dirty:": "memory_private_dirty",
    b"Referenced:": "memory_referenced",
    b"Anonymous:": "memory_anonymous",
    b"Swap:": "memory_swap",
}
_LIMITS = {
    b"Max cpu time": "cpu_time",
    b"Max data size": "memory_data",
    b"Max stack size": "memory_stack",
    b"Max resident set": "memory_rss",
    b"Max open files": "num_fds",
    b"Max locked memory": "memory_locked",
    b"Max address space": "memory_vms",
    b"Max file locks": "file_locks",
    b"Max pending signals": "signals_pending",
    b"Max nice priority": "nice_priority",
    b"Max realtime priority": "realtime_priority",
}
_LIMIT_NAME = 26
"""Bytes of a line of limits."""


@dataclass(slots=True)
class Process:
    """One process, as long as it runs."""

    pid: int
    started: Uint
    """Clock ticks after the host."""
    name: str
    then: float = 0.0
    cpu: int = 0
    """Clock ticks that it had used at that time."""
    gather: int = -1
    values: Values = field(default_factory=dict)
    """Fields of that gather."""


class Processes:
    """Reads processes; of one that several filters select only once in a gather.

    `features`: cpu, limits, memory, mmap. `problem` is called with what files are damaged. `clock`: seconds that never go
    back.
    """

    def __init__(
        self,
        features: Collection[str],
        problem: Callable[[PyagentError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cpu, self._limits = "cpu" in features, "limits" in features
        self._memory, self._mmap = "memory" in features, "mmap" in features
        self._problem = problem
        self._clock = clock
        self._known: dict[int, Process] = {}
        self._gather = 0
        self._proc = ""
        self._booted = 0
        self._total = 0
        self._users: dict[str, str] = {}
        self._users_until = 0.0

    def begin(self) -> None:
        """Before all of a gather. Forgets processes that the one before did not see."""
        self._known = {pid: process for pid, process in self._known.items() if process.gather == self._gather}
        self._gather += 1
        self._proc = host_path("proc")
        if not self._booted:
            self._booted = self._number("stat", b"\nbtime ", 1)
        if self._memory:
            self._total = self._number("meminfo", b"MemTotal:", 1024)
        if self._clock() >= self._users_until:
            self._users.clear()
            self._users_until = self._clock() + _USERS_KEPT

    def pids(self) -> list[int]:
        """All that run. Raises PyagentError."""
        try:
            return sorted(int(name) for name in os.listdir(self._proc) if name.isdecimal() and len(name) <= 10)
        except OSError as error:
            raise PyagentError(f"cannot read {self._proc}: {error.strerror}") from None

    def parents(self) -> dict[int, list[int]]:
        """The children of each process that has some, those with the least number first. Raises PyagentError."""
        found: dict[int, list[int]] = {}
        for pid in self.pids():
            words = self._try(self._stat, pid)
            if words and words[_PPID].isdigit():
                found.setdefault(int(words[_PPID]), []).append(pid)
        return found

    def exists(self, pid: int) -> bool:
        return pid > 0 and os.path.isdir(f"{self._proc}/{pid}")

    def command_line(self, pid: int) -> str | None:
        data = self._read(pid, "cmdline")
        return None if data is None else _line(data)

    def executable(self, pid: int) -> str | None:
        """Its path, None where that cannot be had."""
        path = f"{self._proc}/{pid}/exe"
        try:
            return os.readlink(path)
        except OSError as error:
            if error.errno != errno.EINVAL:
                return None
        try:
            return read_text(path)  # a copy of /proc may have lost its links
        except PyagentError:
            return None

    def name(self, pid: int) -> str:
        """Empty where it has none, or none any more."""
        known = self._known.get(pid)
        if known is not None and known.gather == self._gather:
            return known.name
        data = self._read(pid, "comm")
        if data is None:
            return ""
        data = data.removesuffix(b"\n")
        if len(data) >= _NAME_KEPT:
            data = _after(b"\n" + (self._read(pid, "status") or b""), b"\nName:") or data
            first = (self._read(pid, "cmdline") or b"").partition(b"\0")[0]
            longer = first.rstrip(b"/").rpartition(b"/")[2]
            data = longer if len(data) >= _NAME_KEPT and longer.startswith(data) else data
        return data.decode("utf-8", "surrogateescape")

    def user(self, pid: int) -> str:
        """The account it runs for, its number where that has no name; empty where it is not known."""
        status = self._read(pid, "status")
        return self._user_of(status) if status else ""

    def process(self, pid: int) -> Process | None:
        """What it does; None where it does not run (any more), or has no name."""
        known = self._known.get(pid)
        if known is not None and known.gather == self._gather:
            return known
        words = self._try(self._stat, pid) or []
        if not words and not self.exists(pid):
            return None
        started = Uint(words[_STARTED]) if words else Uint(0)
        if known is None or known.started != started:
            # Numbers of processes come again.
            name = self.name(pid)
            if not name:
                return None
            known = self._known[pid] = Process(pid, started, name)
        known.values = self._values(known, words)
        known.gather = self._gather
        return known

    def _values(self, process: Process, words: list[bytes]) -> Values:
        pid = process.pid
        values: Values = {}
        status = self._read(pid, "status")
        if status:
            self._try(self._status, pid, status, values)
        descriptors = self._descriptors(pid)
        if descriptors is not None:
            # One type, also where the limits cannot be read.
            values["num_fds"] = Uint(descriptors) if self._limits else descriptors
        if words:
            values |= zip(_FAULTS, (Uint(word) for word in words[_MINOR : _MINOR + 4]), strict=True)
            values["created_at"] = (int(process.started) * 1000 // _TICKS + self._booted * 1000) * 1_000_000
            values["ppid"] = int(words[_PPID])
        if io := self._read(pid, "io"):
            self._try(self._io, pid, io, values)
        if self._cpu and words:
            self._usage(process, words, values)
        if self._memory and (statm := self._read(pid, "statm")):
            self._try(self._resident, pid, statm, values)
        if self._mmap:
            self._try(self._maps, pid, values)
        if self._limits and words and status:
            self._try(self._limited, pid, words, status, values)
        if (data := self._read(pid, "cmdline")) is not None:
            values["cmdline"] = _line(data)
        if status and (user := self._user_of(status)):
            values["user"] = user
        return values

    def _stat(self, pid: int) -> list[bytes]:
        """The words behind the name; none where it has ended. Raises PyagentError."""
        data = self._read(pid, "stat")
        if data is None:
            return []
        # The name is in brackets, and may hold any character.
        words = data.rpartition(b")")[2].split()
        wanted = []
        if len(words) > _DELAYED:
            signs = [words[place].removeprefix(b"-") for place in (_PPID, _PRIORITY, _NICE)]
            # Ticks of a thousand years are less.
            short = all(len(word) <= 10 for word in signs) and len(words[_STARTED]) <= 13
            wanted = [*signs, *words[_MINOR : _USER + 2], words[_STARTED], words[_DELAYED]] if short else []
        if not wanted or not _plain(wanted):
            raise PyagentError(f"cannot read {self._proc}/{pid}/stat: line 1: it is {data[:80].decode('latin-1')!r}")
        return words

    def _status(self, pid: int, data: bytes, values: Values) -> None:
        state = _after(data, b"\nState:").decode("latin-1")[:1].upper()
        if not state or not data.endswith(b"\n"):
            cause = "the file ends within it" if state else "it is no status of a process"
            line = data.count(b"\n") + 1 if state else 1
            raise PyagentError(f"cannot read {self._proc}/{pid}/status: line {line}: {cause}")
        values["status"] = _STATES.get(state, "")
        found = [_after(data, key) or b"0" for key in (b"\nThreads:", b"\nvoluntary_ctxt_", b"\nnonvoluntary_ctxt_")]
        found[1:] = [text.rpartition(b":")[2].strip() for text in found[1:]]
        for name, text in zip(
            ("num_threads", "voluntary_context_switches", "involuntary_context_switches"), found, strict=True
        ):
            if not text.isdigit() or len(text) > 18:
                raise _damaged(f"{self._proc}/{pid}/status", data, text)
            values[name] = int(text)

    def _io(self, pid: int, data: bytes, values: Values) -> None:
        path = f"{self._proc}/{pid}/io"
        words = data.split(None, 12)[:12]
        if len(words) < 12 or words[::2] != _IO:
            names = ", ".join(name.decode() for name in _IO)
            raise PyagentError(f"cannot read {path}: line {min(data.count(10), 5) + 1}: the lines are not {names}")
        if not data.endswith(b"\n"):
            raise PyagentError(f"cannot read {path}: line {data.count(10) + 1}: the file ends within it")
        values |= zip(_IO_FIELDS, _unsigned(path, data, words[1::2]), strict=True)

    def _usage(self, process: Process, words: list[bytes], values: Values) -> None:
        user, system = int(words[_USER]), int(words[_USER + 1])
        values["cpu_time_user"] = user / _TICKS
        values["cpu_time_system"] = system / _TICKS
        values["cpu_time_iowait"] = int(words[_DELAYED]) / _TICKS
        now = self._clock()
        if process.gather >= 0 and now > process.then:
            values["cpu_usage"] = max(user + system - process.cpu, 0) / _TICKS / (now - process.then) * 100
        process.then, process.cpu = now, user + system

    def _resident(self, pid: int, data: bytes, values: Values) -> None:
        path = f"{self._proc}/{pid}/statm"
        words = data.split(None, 2)
        if len(words) < 2 or (len(words) == 2 and not data.endswith(b"\n")):
            raise PyagentError(f"cannot read {path}: line 1: it is {data[:80].decode('latin-1')!r}")
        size, resident = _unsigned(path, data, words[:2])
        rss = int(resident) * _PAGE
        values["memory_rss"], values["memory_vms"] = _bytes(path, rss), _bytes(path, int(size) * _PAGE)
        if self._total:
            # As Telegraf: with 24 bits.
            values["memory_usage"] = _single(_single(100 * _single(rss)) / _single(self._total))

    def _maps(self, pid: int, values: Values) -> None:
        path, data = f"{self._proc}/{pid}/smaps_rollup", self._read(pid, "smaps_rollup")
        if data is None and not os.path.exists(path):  # before Linux 4.15
            path, data = f"{self._proc}/{pid}/smaps", self._read(pid, "smaps")
        if data is None:
            return
        sums = dict.fromkeys(_MAPS.values(), 0)
        lines = data.splitlines()
        if lines and b"-" not in lines[0].partition(b" ")[0]:
            raise PyagentError(f"cannot read {path}: line 1: it does not begin with a range of addresses")
        if not data.endswith(b"\n"[: len(lines)]):
            raise PyagentError(f"cannot read {path}: line {len(lines)}: the file ends within it")
        for number, line in enumerate(lines, start=1):
            words = line.split(None, 2)
            if words and (name := _MAPS.get(words[0])):
                if len(words) < 2 or not words[1].isdigit() or len(words[1]) > 19:
                    raise PyagentError(f"cannot read {path}: line {number}: it is {line[:80].decode('latin-1')!r}")
                sums[name] += int(words[1])
        values |= {name: _bytes(path, value) for name, value in sums.items()}

    def _limited(self, pid: int, words: list[bytes], status: bytes, values: Values) -> None:
        path, data = f"{self._proc}/{pid}/limits", self._read(pid, "limits")
        if not data or "num_fds" not in values:
            return
        priority = int(words[_PRIORITY])
        used: Values = {
            "cpu_time": (int(words[_USER]) + int(words[_USER + 1])) // _TICKS,
            "memory_data": _kibibytes(status, b"\nVmData:"),
            "memory_stack": _kibibytes(status, b"\nVmStk:"),
            "memory_rss": _kibibytes(status, b"\nVmRSS:"),
            "num_fds": values["num_fds"],
            "memory_locked": _kibibytes(status, b"\nVmLck:"),
            "memory_vms": _kibibytes(status, b"\nVmSize:"),
            "signals_pending": self._signals(pid, status),
            "nice_priority": 20 - int(words[_NICE]),
            "realtime_priority": -priority - 1 if priority < 0 else 0,
        }
        if not data.endswith(b"\n"):
            raise PyagentError(f"cannot read {path}: line {data.count(10) + 1}: the file ends within it")
        found: Values = {}
        for number, line in enumerate(data.splitlines(), start=1):
            name = _LIMITS.get(line[:_LIMIT_NAME].rstrip())
            if name is None:
                continue
            limits = line[_LIMIT_NAME:].split()[:2]
            if len(limits) < 2 or any(not text.isdigit() and text != b"unlimited" for text in limits):
                raise PyagentError(f"cannot read {path}: line {number}: it is {line[:80].decode('latin-1')!r}")
            for kind, text in zip(("soft", "hard"), limits, strict=True):
                found[f"rlimit_{name}_{kind}"] = _bytes(
                    path, _UINT64_MAX if text == b"unlimited" else int(text[:40]), number
                )
            if name in used:
                found[name] = Uint(max(used[name], 0))
        values |= found

    def _signals(self, pid: int, status: bytes) -> int:
        text = _after(status, b"\nShdPnd:") or b"0"
        number = parse_unsigned(text.decode("latin-1"), 16)
        if number is None:
            raise _damaged(f"{self._proc}/{pid}/status", status, text)
        return number

    def _descriptors(self, pid: int) -> int | None:
        path = f"{self._proc}/{pid}/fd"
        try:
            # Since Linux 6.2 the size of the folder is their number.
            return os.stat(path).st_size if _COUNTED and self._proc == "/proc" else len(os.listdir(path))
        except OSError:
            return None

    def _user_of(self, status: bytes) -> str:
        words = _after(status, b"\nUid:").split(None, 1)
        uid = words[0].decode("latin-1") if words else ""
        if not uid.isdecimal() or len(uid) > 10:
            return ""
        name = self._users.get(uid)
        if name is None:
            try:
                name = pwd.getpwuid(int(uid)).pw_name
            except (KeyError, OverflowError):
                name = uid
            self._users[uid] = name
        return name

    def _number(self, name: str, key: bytes, times: int) -> int:
        """Of a file of the host; 0 where it is not there. Raises PyagentError."""
        given = self._read("", name)
        data = b"\n" + (given or b"")
        text = _after(data, key).split(None, 1)[:1]
        if given and not given.endswith(b"\n"):
            line = given.count(b"\n") + 1
            raise PyagentError(f"cannot read {self._proc}/{name}: line {line}: the file ends within it")
        if given is not None and not text:
            raise PyagentError(f"cannot read {self._proc}/{name}: it has no line {key.decode().strip()!r}")
        if text and not (text[0].isdigit() and len(text[0]) < 19):
            raise _damaged(f"{self._proc}/{name}", data[1:], text[0])
        return int(text[0]) * times if text else 0

    def _read(self, pid: int | str, name: str) -> bytes | None:
        """All of a file; None where it cannot be read."""
        try:
            descriptor = os.open(f"{self._proc}/{pid}/{name}", _READ)
            try:
                data = os.read(descriptor, _CHUNK)
                if len(data) < 4000:  # the kernel gives at least a page at a time
                    return data
                while len(data) < _MOST and (more := os.read(descriptor, 16 * _CHUNK)):
                    data += more
                return data
            finally:
                os.close(descriptor)
        except OSError as error:
            if not isinstance(error, _GONE):
                self._problem(PyagentError(f"cannot read {self._proc}/{pid}/{name}: {error.strerror}"))
            return None

    def _try(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """A damaged file costs its own fields only."""
        try:
            return work(*arguments)
        except PyagentError as error:
            self._problem(error)
        except ValueError as error:
            self._problem(PyagentError(f"cannot read {self._proc}/{arguments[0]}: {error}"))
        return None


def _counted() -> bool:
    """The size of /proc/self/fd is the number of its entries."""
    try:
        return os.stat("/proc/self/fd").st_size > 0
    except OSError:
        return False


_COUNTED = _counted()


def _line(data: bytes) -> str:
    """The words of a command line."""
    if b"\0\0" in data or data.startswith(b"\0"):
        line = b" ".join(word for word in data.split(b"\0") if word)
    else:
        line = data.removesuffix(b"\0").replace(b"\0", b" ")
    return line.decode("utf-8", "surrogateescape")


def _after(data: bytes, key: bytes) -> bytes:
    """What is behind a key in its line; empty where that is not there."""
    start = data.find(key)
    if start < 0:
        return b""
    start += len(key)
    end = data.find(b"\n", start)
    return data[start : end if end >= 0 else None].strip()


def _plain(words: list[bytes]) -> bool:
    """They are numbers that fit 64 bits without a sign."""
    return b"".join(words).isdigit() and (max(map(len, words)) <= 19 or all(int(word) <= _UINT64_MAX for word in words))


def _unsigned(path: str, data: bytes, words: list[bytes]) -> list[Uint]:
    if not _plain(words):
        raise _damaged(path, data, next(word for word in words if not _plain([word])))
    return [Uint(word) for word in words]


def _damaged(path: str, data: bytes, text: bytes) -> PyagentError:
    number = data[: max(data.find(text), 0)].count(10) + 1
    return PyagentError(f"cannot read {path}: line {number}: {text[:80].decode('latin-1')!r} is no number of 64 bits")


def _bytes(path: str, value: int, line: int = 1) -> Uint:
    if value > _UINT64_MAX:
        raise PyagentError(f"cannot read {path}: line {line}: {value} is no number of 64 bits")
    return Uint(value)


def _kibibytes(status: bytes, key: bytes) -> int:
    words = _after(status, key).split(None, 1)
    return int(words[0]) * 1024 if words and words[0].isdigit() and len(words[0]) < 16 else 0


def _single(value: float) -> float:
    single: float = struct.unpack("f", struct.pack("f", value))[0]
    return single

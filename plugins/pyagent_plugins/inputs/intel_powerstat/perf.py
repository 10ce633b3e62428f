"""Counters of the processor, by perf_event_open(2)."""

import ctypes
import errno
import fcntl
import json
import os
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from pyagent.api import ConfigError, PyagentError
from pyagent.kit.procfs import host_path, read_int, read_text

__all__ = ["SUBSTATES", "Kernel", "Perf", "read_events"]

SUBSTATES = {
    "cpu_c0_substate_c01": "CPU_CLK_UNHALTED.C01",
    "cpu_c0_substate_c02": "CPU_CLK_UNHALTED.C02",
    "cpu_c0_substate_c0_wait": "CPU_CLK_UNHALTED.C0_WAIT",
}
"""By the metric, its event."""
_THREAD = "CPU_CLK_UNHALTED.THREAD"
"""All cycles in C0."""
_EVENTS = (*SUBSTATES.values(), _THREAD)
_FIXED = {_THREAD: {"event": 0x3C}}
"""Intel's files give the number of its own counter, and the kernel wants that of the event."""
_TERMS = {"umask": "UMask", "cmask": "CounterMask", "inv": "Invert", "any": "AnyThread", "edge": "EdgeDetect"}
"""By the kernel's name, that in Intel's files."""
_MOST_BYTES = 16 * 1024 * 1024
_CALL = 298 if sys.maxsize > 1 << 32 else 336
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")
"""type, size, config, period, sample_type, read_format, flags, wakeup, bp_type, config1: the first version of them."""
_TIMES = 3
"""Also how long the counter was wanted, and how long it ran."""
_DISABLED = 1
_CLOSE_ON_EXEC = 8
_ENABLE, _RESET = 0x2400, 0x2403
_VALUES = struct.Struct("=QQQ")
_LACKING = "it needs root, CAP_PERFMON (before Linux 5.8 CAP_SYS_ADMIN) or `sysctl kernel.perf_event_paranoid=0`"
_REMEDIES = {
    errno.EACCES: _LACKING,
    errno.EPERM: _LACKING,
    errno.EMFILE: "raise LimitNOFILE of the unit (ulimit -n): each processor takes four",
    errno.ENOSYS: "the kernel is built without perf",
}

Terms = Mapping[str, int]
"""What an event is, by names in /sys/devices/cpu/format."""


class Kernel:
    """What there is to ask of it; each raises OSError."""

    def open(self, kind: int, config: int, cpu: int, leader: int) -> int:
        """The descriptor of a counter of all that runs on a processor. `leader`: that of its group; -1: it is one, and stands
        still until it is enabled."""
        flags = _DISABLED if leader == -1 else 0
        packed = _ATTRIBUTES.pack(kind, _ATTRIBUTES.size, config, 0, 0, _TIMES, flags, 0, 0, 0)
        library = ctypes.CDLL(None, use_errno=True)
        words = (ctypes.c_long(word) for word in (-1, cpu, leader, _CLOSE_ON_EXEC))
        descriptor = int(library.syscall(ctypes.c_long(_CALL), ctypes.create_string_buffer(packed), *words))
        if descriptor < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return descriptor

    def enable(self, leader: int) -> None:
        fcntl.ioctl(leader, _RESET, 0)
        fcntl.ioctl(leader, _ENABLE, 0)

    def read(self, descriptor: int) -> bytes:
        return os.read(descriptor, _VALUES.size)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


class Perf:
    """The counters of processors, from the first reading on. `events`: of read_events."""

    def __init__(self, events: Mapping[str, Terms], kernel: Kernel | None = None) -> None:
        self._events = events
        self._kernel = kernel or Kernel()
        self._open: dict[int, dict[str, int]] = {}
        self._new: set[int] = set()

    def start(self, cpus: Iterable[int]) -> None:
        """Open the counters of those that have none. Raises PyagentError; what is open stays so."""
        self._new.clear()
        waiting = [cpu for cpu in cpus if cpu not in self._open]
        if waiting:
            path = host_path("sys", "devices/cpu/type")
            kind = read_int(path, missing="the kernel does not count this processor's events (a virtual machine?)")
            configs = {name: _config(terms) for name, terms in self._events.items()}
            for cpu in waiting:
                self._open[cpu] = self._group(kind, configs, cpu)
                self._new.add(cpu)

    def share(self, cpu: int, metric: str) -> float | None:
        """Percent of the cycles in C0 since they were opened; None where there are none yet. Raises PyagentError."""
        if cpu not in self._open or cpu in self._new:
            return None
        part, whole = (self._count(cpu, event) for event in (SUBSTATES[metric], _THREAD))
        return 100 * part / whole if whole else None

    def stop(self) -> None:
        for cpu in tuple(self._open):
            self._close(self._open.pop(cpu))

    def _group(self, kind: int, configs: Mapping[str, int], cpu: int) -> dict[str, int]:
        group: dict[str, int] = {}
        leader = -1
        try:
            for name, config in configs.items():
                group[name] = self._kernel.open(kind, config, cpu, leader)
                leader = next(iter(group.values()))
            self._kernel.enable(leader)
        except OSError as error:
            self._close(group)
            remedy = _REMEDIES.get(error.errno or 0, "see whether `perf stat -e cycles -a` works on this host")
            raise PyagentError(f"cannot count events of processor {cpu} by perf: {error.strerror}; {remedy}") from None
        return group

    def _close(self, group: Mapping[str, int]) -> None:
        for descriptor in reversed(list(group.values())):
            self._kernel.close(descriptor)

    def _count(self, cpu: int, event: str) -> int:
        """What it would be, had it run all the time."""
        try:
            found = self._kernel.read(self._open[cpu][event])
        except OSError as error:
            raise PyagentError(f"cannot read {event} of processor {cpu} by perf: {error.strerror}") from None
        if len(found) < _VALUES.size:
            self._close(self._open.pop(cpu))  # it was switched off: they are opened anew
            raise PyagentError(
                f"cannot read {event} of processor {cpu} by perf: its counters have stopped; is it online?"
            )
        value, wanted, ran = _VALUES.unpack(found)
        if wanted and not ran:
            raise PyagentError(
                f"cannot read {event} of processor {cpu} by perf: it never ran, as others have all counters; end what "
                "else uses perf, or set `sysctl kernel.nmi_watchdog=0`"
            )
        return value * wanted // ran if ran else 0


def read_events(path: str) -> dict[str, Terms]:
    """Those that the metrics need, from a file of https://github.com/intel/perfmon. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
        found = json.loads(content)
        listed = found["Events"] if isinstance(found, dict) else found
        if not isinstance(listed, list):
            raise ValueError("there is no list of events")
        by_name = {
            str(event.get("EventName", "")).upper(): event for event in reversed(listed) if isinstance(event, dict)
        }
        return {name: _terms(name, by_name) for name in _EVENTS}
    except OSError as error:
        raise _cannot_be(path, error.strerror or str(error)) from None
    except KeyError as error:
        raise _cannot_be(path, f"there is no {error}") from None
    except (ValueError, RecursionError) as error:
        raise _cannot_be(path, str(error)) from None


def _cannot_be(path: str, why: str) -> ConfigError:
    where = "take the file ..._core.json for this processor from https://github.com/intel/perfmon"
    return ConfigError(f"cannot read the events in {path}: {why}; {where}", option="event_definitions")


def _terms(name: str, by_name: Mapping[str, Mapping[str, Any]]) -> Terms:
    event = by_name[name]
    if str(event.get("Unit") or "cpu").lower() not in ("cpu", "core"):
        raise ValueError(f"{name} is of the unit {event['Unit']!r}, and not of the processor")
    if fixed := _FIXED.get(name):
        return fixed
    code = _number(name, "EventCode", event["EventCode"])
    terms = {term: _number(name, of, event.get(of) or "0") for term, of in _TERMS.items()}
    return {"event": code, **{term: value for term, value in terms.items() if value}}


def _number(name: str, what: str, value: object) -> int:
    text = str(value).split(",")[0].strip()
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number < 1 << 32:
        raise ValueError(f"{what} of {name} is no number but {text[:40]!r}")
    return number


def _config(terms: Terms) -> int:
    """With each term in the bits that the kernel names, as `config:0-7,32-35`. Raises PyagentError."""
    config = 0
    for term, value in terms.items():
        path = host_path("sys", f"devices/cpu/format/{term}")
        text = read_text(path, missing="the kernel does not know this term of an event")
        place, _, parts = text.partition(":")
        rest = value
        for part in parts.split(","):
            first, _, last = part.partition("-")
            if place != "config" or not all(
                end.isascii() and end.isdecimal() and len(end) < 3 for end in (first, last or "0")
            ):
                raise PyagentError(f"cannot read {path}: it names no bits of config but {text[:40]!r}")
            width = int(last or first) - int(first) + 1
            if width < 1 or int(first) + width > 64:
                raise PyagentError(f"cannot read {path}: it names no bits of config but {text[:40]!r}")
            config |= (rest & ((1 << width) - 1)) << int(first)
            rest >>= width
        if rest:
            raise PyagentError(f"cannot count events: {term} = 0x{value:X} is more than {path} has bits for")
    return config

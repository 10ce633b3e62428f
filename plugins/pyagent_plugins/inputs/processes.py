"""Processes by state.

Linux: /proc/PID/stat (proc(5)). Elsewhere: the program ps. Names and types are those of Telegraf 1.40.
"""

import os
import sys
from typing import Annotated

from pyagent.api import About, Accumulator, Chart, Input, Measurement, MetricType, Options, PyagentError, fields, option
from pyagent.kit.command import Commands
from pyagent.kit.once import Once
from pyagent.kit.procfs import host_path

__all__ = ["Processes", "ProcessesOptions"]


class ProcessesOptions(Options, frozen=True):
    use_sudo: Annotated[bool, option("run ps by sudo (BSD and macOS; Linux needs no ps)")] = False


_ALWAYS = ("blocked", "zombies", "stopped", "running", "sleeping", "total", "unknown")
_OF_PLATFORM = {
    "linux": ("dead", "paging", "total_threads", "idle"),
    "freebsd": ("idle", "wait"),
    "darwin": ("idle",),
    "openbsd": ("idle",),
}
_LINUX = {
    b"R": "running",
    b"S": "sleeping",
    b"D": "blocked",
    b"Z": "zombies",
    b"X": "dead",
    b"T": "stopped",
    b"t": "stopped",
    b"W": "paging",
    b"I": "idle",
}
_PARKED = b"P"
_PS = {
    "W": "wait",
    "U": "blocked",
    "D": "blocked",
    "L": "blocked",
    "Z": "zombies",
    "X": "dead",
    "T": "stopped",
    "R": "running",
    "S": "sleeping",
    "I": "idle",
    "?": "unknown",
}
_TIMEOUT = 30.0
_STATE, _THREADS = 0, 17
"""Words behind the name in /proc/PID/stat."""
_MOST_STAT = 1024
"""Bytes: of the name and the words behind it more than are needed."""
_READ = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_MOST_DIGITS = 9
"""Of a number of threads."""


class Processes(Input[ProcessesOptions]):
    about = About(platforms=("linux", "darwin", "freebsd", "openbsd", "netbsd", "sunos", "aix"))
    measurements = (
        Measurement(
            "processes",
            "Processes by state.",
            fields=fields(
                "int",
                "1",
                blocked="wait for a disk or the like, and cannot be interrupted",
                dead="dead (Linux)",
                idle="idle threads of the kernel (Linux); asleep for long (BSD, macOS)",
                paging="paging (Linux before 2.6)",
                parked="1: there are parked threads of the kernel (Linux)",
                running="running, or waiting for a processor",
                sleeping="wait for something",
                stopped="stopped, by a signal or a debugger",
                total="all of them",
                total_threads="threads of all of them (Linux)",
                unknown="of unknown state",
                wait="wait (BSD)",
                zombies="ended, and not asked for by what started them",
            ),
            charts=(
                Chart("Processes", ("total", "total_threads"), overview=True),
                Chart(
                    "Processes by state",
                    ("running", "sleeping", "idle", "blocked", "stopped", "zombies"),
                    stacked=True,
                ),
            ),
        ),
    )

    def setup(self) -> None:
        self._once = Once()
        platform = sys.platform.rstrip("0123456789")
        self._names = _ALWAYS + _OF_PLATFORM.get(platform, ())
        # ps is short; it is given as long as the shortest interval that makes sense for it.
        self._commands = Commands(
            timeout=_TIMEOUT, timeout_option="", use_sudo=self.options.use_sudo, sudo_options=("-n",)
        )

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: a host may have thousands of processes.
        counts = dict.fromkeys(self._names, 0)
        if sys.platform == "linux":
            self._linux(counts)
        else:
            self._ps(counts)
        acc.add("processes", counts, kind=MetricType.GAUGE)

    async def stop(self) -> None:
        self._commands.stop()

    def _linux(self, counts: dict[str, int]) -> None:
        proc = host_path("proc")
        try:
            names = sorted(name for name in os.listdir(proc) if "0" <= name[0] <= "9")
        except OSError as error:
            raise PyagentError(f"cannot read {proc}: {error.strerror}") from None
        if "1" not in names:
            self._warn(
                f"{proc} hides the processes of other accounts, and only those of this one are counted; with systemd, install"
                " the drop-in processes.conf"
            )
        for name in names:
            path = f"{proc}/{name}/stat"
            words = _stat(path)
            if not words:
                if words is not None:
                    self._warn(f"cannot read {path}: line 1: there is no name in brackets; it is not counted")
                continue
            state = words[_STATE][:1]
            if field := _LINUX.get(state):
                counts[field] += 1
            elif state == _PARKED:
                counts["parked"] = 1
            else:
                self._warn(f"{path}: the state {state.decode('latin-1')!r} is unknown; it is counted in total alone")
            counts["total"] += 1
            threads = words[_THREADS]
            if threads.isdigit() and len(threads) <= _MOST_DIGITS:
                counts["total_threads"] += int(threads)
            else:
                self._warn(f"cannot read {path}: line 1: {threads[:80].decode('latin-1')!r} is no number of threads")

    def _ps(self, counts: dict[str, int]) -> None:
        for index, word in enumerate(self._commands.run(["ps", "axo", "state"]).text.split()):
            if index == 0 and word == "STAT":
                continue
            if field := _PS.get(word[0]):
                counts[field] = counts.get(field, 0) + 1
            else:
                self._warn(f"ps: the state {word[0]!r} is unknown; it is counted in total alone")
            counts["total"] += 1

    def _warn(self, text: str) -> None:
        """Once for each kind of text, whatever the process."""
        if self._once(text.rpartition(":")[2]):
            self.log.warning("%s", text)


def _stat(path: str) -> list[bytes] | None:
    """The words behind the name of a process, none where it has no name; None for one that has ended. Raises PyagentError."""
    try:
        descriptor = os.open(path, _READ)
        try:
            data = os.read(descriptor, _MOST_STAT)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return None
    except OSError as error:
        raise PyagentError(f"cannot read {path}: {error.strerror}") from None
    # The name is in brackets, and may hold any character.
    _, bracket, rest = data.rpartition(b")")
    if not bracket:
        return []
    words = rest.split(None, _THREADS + 2)
    # One more than needed: the last one of a file that is cut may have lost digits.
    if len(words) <= _THREADS + 1:
        raise PyagentError(
            f"cannot read {path}: line 1: it has {len(words)} words behind the name, and not {_THREADS + 2}"
        )
    return words

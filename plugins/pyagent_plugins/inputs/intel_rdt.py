"""Cache and memory bandwidth in use, by pqos.

These are values of Intel's RDT, of processors or programs. Keeps `pqos` running and reads what it prints. Names and types are
those of Telegraf 1.40.
"""

import asyncio
import logging
import os
import re
import signal
import time
from contextlib import suppress
from typing import Annotated

from pyagent.api import About, Accumulator, ConfigError, Field, Input, Measurement, Options, PyagentError, option
from pyagent.kit.command import find_program
from pyagent.kit.long_running import LongRunning
from pyagent.kit.notices import Notices
from pyagent.kit.numbers import parse_float
from pyagent.kit.procfs import host_path

__all__ = ["IntelRdt", "IntelRdtOptions"]


class IntelRdtOptions(Options, frozen=True):
    sampling_interval: Annotated[
        int, option("between two measurements, in tenths of a second (0: 10)", ge=0, le=2**31 - 1)
    ] = 10
    pqos_path: Annotated[str, option('the program ("": the one in PATH)', executes=True)] = ""
    shortened_metrics: Annotated[bool, option("leave out IPC and LLC_Misses")] = False
    cores: Annotated[
        list[str], option('groups of processors, such as ["0-3", "4,6"]; either these or `processes` are needed')
    ] = []
    processes: Annotated[list[str], option("names of programs, a group for each; those of a name are found again")] = []
    use_sudo: Annotated[bool, option("run it by sudo; needed where the agent is not root")] = False


_DEFAULT_INTERVAL = 10
_MOST_CORES = 65536
_NAME_KEPT = 15
"""Bytes that the kernel keeps of a program's name."""
_COLUMNS = {
    "IPC": "IPC",
    "LLC Misses": "LLC_Misses",
    "LLC[KB]": "LLC",
    "MBL[MB/s]": "MBL",
    "MBR[MB/s]": "MBR",
    "MBT[MB/s]": "MBT",
}
_SHORTENED = ("IPC", "LLC_Misses")
_HEADER = re.compile("Time,(?:PID,)?Core")
# Some versions of pqos forget the comma before a name, never before a value.
_COLUMN = re.compile(r"[A-Za-z]+(?: [A-Z][A-Za-z]*)*(?:\[[^],]*\])?")
_LIST = re.compile(r'("?)([0-9]+(?:[,-][0-9]+)*),?\1')
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_LOOKS, _LOOK = 200, 0.01
"""How often it is seen whether pqos is ready for a signal, and the seconds between."""
_LONGEST_LINE = 65536
_MOST_SAID = 400
"""Characters of what pqos says before its header that are kept for a message."""
_REMEDY = (
    "pqos needs root (set `use_sudo`, and allow it in /etc/sudoers.d), a processor with RDT, the module msr (modprobe msr),"
    " resctrl (mount -t resctrl resctrl /sys/fs/resctrl), and that no other pqos measures the same"
)


class IntelRdt(Input[IntelRdtOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "rdt_metric",
            "A value of a group of processors, or of the processes of a name.",
            tags={
                "name": "IPC (instructions in a cycle), LLC_Misses (of the last level's cache), LLC (KB of it that are used), "
                "MBL, MBR and MBT (MB/s between memory and processors: of this NUMA node, of others, and of all)",
                "cores": "the group of `cores`; of processes those that they ran on",
                "process": "of `processes`",
            },
            fields={"value": Field("float", "1", "in the unit of `name`")},
        ),
    )

    def setup(self) -> None:
        options = self.options
        if bool(options.cores) == bool(options.processes):
            cause = "both of them are given" if options.cores else "neither of them is"
            raise ConfigError(f"cannot tell what to measure: it is `cores` or `processes`, and {cause}", option="cores")
        path = options.pqos_path or find_program("pqos", "pqos_path", package="intel-cmt-cat")
        if not os.path.isfile(path):
            cause = (
                "it is no regular file" if os.path.exists(path) else "there is no such file; apt install intel-cmt-cat"
            )
            raise ConfigError(f"cannot run {path!r}: {cause}", option="pqos_path")
        self._interval = options.sampling_interval or _DEFAULT_INTERVAL
        self._command = [path, "-r", "--iface-os", "--mon-file-type=csv", f"--mon-interval={self._interval}"]
        if options.use_sudo:
            self._command.insert(0, "sudo")
        self._cores = _groups_of(options.cores)
        self._groups: dict[str, list[int]] = {}
        """The processes of each name that pqos measures."""
        self._first = 0
        self._program: LongRunning | None = None
        self._watching: asyncio.Task[None] | None = None
        self._begin()

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        self._notices = Notices(self.log)
        if self._watching is not None:
            return
        if self._cores:
            await self._run("--mon-core=", self._cores)
        else:
            await self._look()
            self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await self._end()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._interval / 10)
            try:
                await self._look()
            except PyagentError as error:
                self._notices.add("run", str(error), logging.ERROR)
                self._groups = {}

    async def _look(self) -> None:
        """Start pqos anew where the processes are not those that it measures."""
        try:
            groups = await asyncio.to_thread(_processes, self.options.processes)
        except OSError as error:
            self._notices.add("proc", f"cannot read {error.filename}: {error.strerror}", logging.ERROR)
            return
        if groups == self._groups:
            return
        if self._program is not None:
            self.log.info("the processes are others now: pqos is started again")
            await self._end()
        self._groups = groups
        if groups:
            await self._run("--mon-pid=", [",".join(map(str, pids)) for pids in groups.values()])

    async def _run(self, argument: str, groups: list[str]) -> None:
        events = "".join(f"all:[{group}];mbt:[{group}];" for group in groups)
        self._first = len(groups)
        self._begin()
        self._program = LongRunning(
            [*self._command, argument + events],
            self._received,
            self.log,
            environment=["LC_ALL=C"],
            ended=self._ended,
            may_be_missing=True,
        )
        await self._program.start()

    async def _end(self) -> None:
        program, self._program = self._program, None
        if program is None:
            return
        # At SIGINT pqos gives back what it took of the processor; before it is ready, that would just end it. That of sudo,
        # which only root may signal, ends when nobody reads it.
        with suppress(PyagentError, PermissionError):
            for _ in range(_LOOKS):
                if not program.running:
                    break
                if program.catches(signal.SIGINT):
                    program.signal(signal.SIGINT)
                    break
                await asyncio.sleep(_LOOK)
        await program.stop()

    def _begin(self) -> None:
        self._rest = b""
        self._skipping = False
        self._said = ""
        self._columns: list[str] | None = None
        self._omitted = 0

    def _ended(self) -> str:
        measured, said = self._columns is not None, self._said
        self._begin()
        return "" if measured else f"{said}; {_REMEDY}" if said else _REMEDY

    async def _received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not self._skipping:
                self._line(line.decode("utf-8", "replace").strip())
            self._skipping = False
        if len(self._rest) > _LONGEST_LINE:
            if not self._skipping:
                self._notices.add(
                    "long", f"pqos: a line has more than {_LONGEST_LINE} bytes; it is left out", logging.ERROR
                )
            self._rest, self._skipping = b"", True

    def _line(self, line: str) -> None:
        if self._columns is None:
            if found := _HEADER.match(line):
                self._columns = _COLUMN.findall(line, found.end())
            elif line and not line.startswith("NOTE:") and len(self._said) < _MOST_SAID:
                self._said += ("; " if self._said else "") + line[:_MOST_SAID]
        elif self._omitted < self._first:  # the first of each group is measured over no time
            self._omitted += 1
        elif "err" not in line and (cause := self._add(line, self._columns)):
            self._notices.add("line", f"pqos: cannot read the line {line[:80]!r}: {cause}", logging.ERROR)

    def _add(self, line: str, columns: list[str]) -> str:
        """What is wrong with the line, if anything is. `err` is what pqos writes of a process that has ended."""
        words = line.split(",")
        start = len(words) - len(columns)
        if start < 2:
            return f"it has {len(words)} words, and {len(columns)} columns of values"
        tags = {}
        cores = ",".join(words[1:start])
        if self._groups:
            # The list of processes stands in quotation marks; that of processors not with every version.
            pids, closing, cores = cores.removeprefix('"').partition('"')
            wanted = pids.rstrip(",").split(",")
            name = next((name for name, known in self._groups.items() if wanted == [str(pid) for pid in known]), None)
            if not closing or name is None:
                return "its processes are none of a group"
            tags["process"], cores = name, cores.removeprefix(",")
        found = _LIST.fullmatch(cores)
        if found is None:
            return f"{cores[:40]!r} is no list of processors"
        tags["cores"] = found[2]
        moment = _nanoseconds(words[0])
        if moment is None:
            return f"{words[0][:40]!r} is no time"
        values: dict[str, float] = {}
        for column, word in zip(columns, words[start:], strict=True):
            name = _COLUMNS.get(column)
            if (
                name is None
                or word.lstrip("-") in ("", "nan", "inf")
                or (self.options.shortened_metrics and name in _SHORTENED)
            ):
                continue
            value = parse_float(word)
            if value is None:
                return f"{word[:40]!r} is no number for {name}"
            values[name] = value
        for name, value in values.items():
            self._acc.add("rdt_metric", {"value": value}, {**tags, "name": name}, moment)
        return ""


def _groups_of(texts: list[str]) -> list[str]:
    """Each with its ranges spelled out: `0-2,5` is `0,1,2,5`."""
    taken: set[int] = set()
    return [",".join(map(str, _cores_of(text, taken))) for text in texts]


def _cores_of(text: str, taken: set[int]) -> list[int]:
    group = []
    for part in text.split(","):
        ends = part.split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdecimal() and len(end) < 10 for end in ends):
            raise _no_cores(text, f"{part!r} is neither a number nor a range such as 0-3")
        first, last = int(ends[0]), int(ends[-1])
        if first > last or last >= _MOST_CORES:
            raise _no_cores(text, f"{part!r} ends before it begins" if first > last else f"{last} is no processor")
        for core in range(first, last + 1):
            if core in taken:
                raise _no_cores(text, f"processor {core} is in it or in a group before it; each can be in one group")
            taken.add(core)
            group.append(core)
    return group


def _no_cores(text: str, cause: str) -> ConfigError:
    return ConfigError(f"cannot use the group {text!r} of cores: {cause}", option="cores")


def _processes(names: list[str]) -> dict[str, list[int]]:
    """The processes of each name that has some; of a long one the kernel knows the beginning."""
    wanted = {os.fsencode(name)[:_NAME_KEPT]: name for name in reversed(names)}
    groups: dict[str, list[int]] = {}
    root = host_path("proc")
    for pid in sorted(int(entry) for entry in os.listdir(root) if entry.isdecimal()):
        try:
            with open(f"{root}/{pid}/comm", "rb") as file:
                name = wanted.get(file.read(64).rstrip(b"\n"))
        except OSError:
            continue  # it has ended
        if name is not None:
            groups.setdefault(name, []).append(pid)
    return groups


def _nanoseconds(text: str) -> int | None:
    """pqos writes local time."""
    if not _TIME.fullmatch(text):
        return None
    with suppress(ValueError, OverflowError):
        return int(time.mktime(time.strptime(text, "%Y-%m-%d %H:%M:%S"))) * 1_000_000_000
    return None

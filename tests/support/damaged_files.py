"""Damage to what an input reads, and what may come of it: an error that names the file, or metrics that are still right.

A case of `tests/plugins` is prepared once; then each of its planted files and programs is damaged in turn, and the input
gathers anew. What it gives is compared with what the same input gives of the files as they were.
"""

import asyncio
import contextlib
import inspect
import logging
import math
import random
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyagent.api import ConfigError, Input, PyagentError, Uint
from pyagent.config import InputPlan, create_plugin
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing.case_run import prepared_case
from pyagent.testing.cases import Case

__all__ = ["Damage", "can_be_damaged", "cut", "damageable", "damages", "problems_of_damage"]

HANG = 60.0
"""Seconds for one gather: a hang, not a measure."""
LONGEST_MESSAGE = 2000
_OWN = {"telegraf.conf", "case.toml", "env", "exchange.json", "requests.json", "sequence.json", "input.influx"}
_OWN |= {"expected.out", "expected.err", "varies", "exit", "mode", "setup.sh", "server.py"}
_SOURCES = {".py", ".sh"}
"""Code that others wrote: what it does is its own affair."""
_NUMBER = re.compile(rb"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w.-])")
TOO_LARGE = b"99999999999999999999999999"
BEYOND_DOUBLE = b"9" * 400
NUMBERS = {
    "too large": TOO_LARGE,
    "beyond a double": BEYOND_DOUBLE,
    "an exponent": b"1e999",
    "negative": b"-7777777",
    "NaN": b"nan",
    "infinite": b"inf",
    "a long word": b"x" * 200,
}
BINARY = bytes(random.Random(1).randrange(256) for _ in range(600)) + b"\n\0\xff\xfe 1 \0\n"
Key = tuple[str, str, str]
"""Measurement, tags, field."""


@dataclass(frozen=True)
class Damage:
    """One file as it is to be."""

    path: str
    """Below the folder of the case."""
    kind: str
    data: bytes
    line: int = 0
    """The one whose number was changed; 0: more than that is damaged."""
    of: bytes = b""
    """The number that was there."""

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}" + (f" in line {self.line} ({self.of.decode()})" if self.line else "")


@dataclass
class Gathered:
    values: dict[Key, Any] = field(default_factory=dict)
    error: BaseException | None = None
    told: list[str] = field(default_factory=list)
    """Everything that the log has from warnings on, the error included."""
    dropped: list[str] = field(default_factory=list)
    """What the engine could not use of what the plugin added."""


def can_be_damaged(case: Case) -> bool:
    """Whether there are files to damage, and nothing else that it takes to run."""
    other = case.server or case.setup or case.program or case.requests or case.messages or case.seconds
    return case.kind == "inputs" and not other and case.exchange is None and any(_planted(case.folder))


def _planted(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).parts
        if (folder / "then").joinpath(*name).exists():
            continue  # what the last gather reads is that of `then`
        if (
            path.suffix not in _SOURCES
            and name[0] not in _OWN
            and name[:1] != ("expected",)
            and path.is_file()
            and not path.is_symlink()
        ):
            yield path


def damages(folder: Path, draw: random.Random, most: int) -> list[Damage]:
    """Of each planted file at the most `most` kinds of damage, drawn; and as many places of each."""
    found = []
    for path in _planted(folder):
        name, data = str(path.relative_to(folder)), path.read_bytes()
        program = name.startswith("bin/")
        kinds = list(_kinds(name, data, draw, most)) if not program else list(_of_programs(name))
        found += draw.sample(kinds, min(most, len(kinds)))
    return found


def cut(name: str, data: bytes, place: int) -> Damage:
    return Damage(name, f"cut at {place}", data[:place])


def _kinds(name: str, data: bytes, draw: random.Random, most: int) -> Iterator[Damage]:
    yield Damage(name, "binary", BINARY)
    if not data:
        return
    yield Damage(name, "emptied", b"")
    whole = data if data.endswith(b"\n") else data + b"\n"
    yield Damage(name, "doubled", whole + whole)
    # Behind the end of a line it may as well be a shorter file.
    places = [place for place in range(1, len(data)) if data[place - 1 : place] != b"\n"]
    for place in draw.sample(places, min(most // 5 or 1, len(places))):
        yield cut(name, data, place)
    numbers = list(_NUMBER.finditer(data))
    for kind, text in NUMBERS.items():
        for found in draw.sample(numbers, min(len(numbers), max(1, most // 6))):
            line = data.count(b"\n", 0, found.start()) + 1
            changed = data[: found.start()] + text + data[found.end() :]
            yield Damage(name, kind, changed, line, found[0])
    for found in draw.sample(numbers, min(len(numbers), max(1, most // 6))):
        line = data.count(b"\n", 0, found.start()) + 1
        yield Damage(name, "with garbage", data[: found.end()] + b"\xffx" + data[found.end() :], line, found[0])


_WHOLE = '#!/bin/sh\nhere=${{0%/*}}\n"$0.whole" "$@" >"$here/output" || exit\n{}\n'


def _of_programs(name: str) -> Iterator[Damage]:
    """What it prints is damaged; the program itself is beside it, with `.whole` behind its name."""
    for kind, script in {
        "emptied": ":",
        "doubled": 'cat "$here/output" "$here/output"',
        "binary": 'cat "$here/binary"',
        "cut at half": 'head -c $(($(wc -c <"$here/output") / 2)) "$here/output"',
        "cut at a third": 'head -c $(($(wc -c <"$here/output") / 3)) "$here/output"',
        "cut before its end": 'head -c -3 "$here/output"',
        "too large": rf'sed "s/\b[0-9][0-9]*\b/{TOO_LARGE.decode()}/2" "$here/output"',
        "all too large": rf'sed "s/\b[0-9][0-9]*\b/{TOO_LARGE.decode()}/g" "$here/output"',
        "all beyond a double": rf'sed "s/\b[0-9][0-9]*\b/{BEYOND_DOUBLE.decode()}/g" "$here/output"',
        "all negative": r'sed "s/\b[0-9][0-9]*\b/-7777777/g" "$here/output"',
        "all NaN": r'sed "s/\b[0-9][0-9.]*\b/nan/g" "$here/output"',
        "all with garbage": r'sed "s/\b[0-9][0-9]*\b/&x&/g" "$here/output"',
    }.items():
        yield Damage(name, kind, _WHOLE.format(script).encode())


class Damaged:
    """A case in its place, whose files can be damaged and mended again."""

    def __init__(self, plan: InputPlan, case: Case, work: Path, log: list[str]) -> None:
        self._plan, self._case, self._work, self._log = plan, case, work, log
        self._then = work / case.then[0]
        self._first = {
            name: (work / name).read_bytes()
            for name in (str(path.relative_to(work)) for path in sorted(work.rglob("*")) if path.is_file())
        }

    async def gathered(self, damage: Damage | None) -> Gathered:
        result = Gathered()
        self._log.clear()
        problems: list[str] = []
        now = self._case.time or 1_700_000_100_000_000_000
        acc = InputAccumulator(self._plan.plugin.measurements, report=problems.append, now=lambda: now)
        plugin: Any = None
        last = max(self._case.gathers, 1)
        try:
            if last == 1:
                self._apply(damage)
            plugin = create_plugin(self._plan, logging.getLogger("damaged"))
            for number in range(1, last + 1):
                if number == last > 1:
                    if self._then.is_dir():
                        shutil.copytree(self._then, self._work / self._case.then[1], dirs_exist_ok=True)
                    self._apply(damage)
                acc.drain()
                async with asyncio.timeout(HANG):
                    if inspect.iscoroutinefunction(plugin.gather):
                        await plugin.gather(acc)
                    else:
                        await asyncio.to_thread(plugin.gather, acc)
                now += round(self._case.step * 1e9)
        except Exception as error:
            result.error = error
        finally:
            if plugin is not None:
                await plugin.stop()
            self._mend(damage)
        result.dropped = problems
        result.told = [*self._log, *([f"{result.error}"] if result.error is not None else [])]
        for metric in acc.drain():
            tags = ",".join(f"{name}={value}" for name, value in sorted(metric.tags.items()))
            for name, value in metric.fields.items():
                key, count = (metric.name, tags, name), 1
                while key in result.values:
                    count += 1
                    key = (metric.name, f"{tags} #{count}", name)
                result.values[key] = value
        return result

    def _apply(self, damage: Damage | None) -> None:
        if damage is None:
            return
        path = self._work / damage.path.removeprefix("then/")
        if damage.path.startswith("bin/"):
            (path.parent / "binary").write_bytes(BINARY)
            whole = path.with_name(f"{path.name}.whole")
            path.rename(whole)
            path.write_bytes(damage.data)
            path.chmod(0o755)
        else:
            path.write_bytes(damage.data)

    def _mend(self, damage: Damage | None) -> None:
        if damage is not None and damage.path.startswith("bin/"):
            path = self._work / damage.path
            whole = path.with_name(f"{path.name}.whole")
            if whole.exists():
                whole.replace(path)
        touched = {damage.path} if damage is not None and not damage.path.startswith(("bin/", "then/")) else set()
        if self._then.is_dir():
            touched |= {str(path.relative_to(self._then)) for path in self._then.rglob("*") if path.is_file()}
        for name in touched:
            if name in self._first:
                (self._work / name).write_bytes(self._first[name])
            else:
                (self._work / name).unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def damageable(case: Case, folder: Path) -> AsyncIterator[Damaged | None]:
    """None where the case has no input that gathers."""
    async with prepared_case(case, folder) as (plan, outcome):
        inputs = [] if plan is None else list(plan.inputs)
        gathers = len(inputs) == 1 and inputs[0].plugin.start is Input.start
        yield Damaged(inputs[0], case, Path(outcome.texts["DIR"]), outcome.log) if gathers else None


OTHER_WORDS = {
    "cpu": "the processor is named whose times went back",
    "collectd_python": "a module's own words",
    "datadog_check": "a check's own words",
    "exec": "the command's own words",
    "iptables": "the chain is named whose rules cannot be read",
    "munin": "the plugin is named that was told the damaged values, or is damaged itself",
    "nagios": "the check is named whose definition is lacking",
    "zfs": "the file alone, where it has too few values of a type that is known",
    "intel_powerstat": "the file alone, where what it says of the model is damaged",
    "systemd_units": "the unit is named whose state cannot be read",
}
"""By the input: errors that do not name the damaged file, and what they name."""
RIGHT = {
    "amd_rocm_smi": "memory_free: a word counts as 0, as in Telegraf",
    "bond": "slave_count, ad_port_count: the names in a file, whatever they are",
    "conntrack": "*: a word counts as 0, with an error, as in Telegraf; and columns in hexadecimal digits: 1e999 is one",
    "dmcache": "*: sums of the caches that are listed",
    "exec": "*: a program's own words",
    "file": "*: a user's own data, in which a NaN is one",
    "filecount": "*: the files themselves are counted",
    "filestat": "*: the files themselves are measured",
    "intel_powerstat": "max_turbo_frequency_mhz, cpu_base_frequency_mhz: any bits of a register are a number",
    "ipset": "ips, packets_total, bytes_total, timeout: a word counts as 0, with an error, as in Telegraf",
    "lustre2": "health: what is not `healthy` is not",
    "munin": "*: the damaged files are programs of others, and what they are told",
    "nagios": "*: a check that says nothing of use is in the state UNKNOWN, and its own words are in the metric",
    "net": "speed: -1 is unknown",
    "netstat": "*: lines that are no socket do not count, with a warning",
    "ping": "result_code: 2 is an error",
    "postfix": "*: the files themselves are measured",
    "processes": "*: what is no process is not counted, with a warning",
    "procstat": "pid_count, running, result_code, memory_pss, memory_private_dirty, memory_swap: a process that cannot be read is none, and a thread of the kernel has no maps",
    "prometheus_textfile": "*: files themselves are measured, and a file that is broken",
    "synproxy": "*: columns in hexadecimal digits: 1e999 is one",
    "system": "n_cpus, n_users, n_unique_users, n_physical_cpus: a processor without a number is the name of a kind, as of old ones; a list of those that log in may be empty",
    "temp": "temp: a word counts as 0, with a warning, as in Telegraf",
    "zfs": "*: the column of types says how the value is to be read",
}
"""By the input: fields (`*`: all) that may have values which they had not before, and why."""
MAY_BE_EMPTY = {
    "cgroup": "a group may have none of these",
    "diskio": "a host may have no disks",
    "exec": "a program need not print",
    "file": "a file of metrics may have none",
    "ipset": "a host may have no sets",
    "kernel_vmstat": "as in Telegraf",
    "mdstat": "a host may have no arrays",
    "munin": "a plugin need not have values",
    "nvidia_smi": "a host may have no such card",
    "smart": "a host may have no disks",
    "sysstat": "a host may have no such devices",
}
"""By the input: what nothing at all may come of, and why."""


def problems_of_damage(damage: Damage, case: Case, before: Gathered, after: Gathered) -> list[str]:
    """What is wrong with what came of it."""
    plugin = case.label.split("/")[1]
    error, text = after.error, "\n".join(after.told)
    new = [line for line in after.told if line not in before.told]
    found = []
    if error is not None and not isinstance(error, PyagentError):
        found.append(f"raised {type(error).__name__}: {error}")
    if isinstance(error, ConfigError) and "cannot set up" in str(error):
        found.append(f"its setup raised: {error}")
    if new and not before.told and plugin not in OTHER_WORDS:
        if not _named(damage, text):
            found.append(f"the error does not name it: {text:.300}")
        if damage.line and not _line_named(damage, case, text):
            found.append(f"the error does not name the line: {text:.300}")
    found += [f"too long a message: {line:.200}" for line in new if len(line) > LONGEST_MESSAGE]
    found += [f"dropped by the engine: {problem:.200}" for problem in after.dropped if problem not in before.dropped]
    if "*" not in case.varies:
        found += _wrong(damage, case, before, after)
    if before.values and not after.values and not new and not before.told and plugin not in MAY_BE_EMPTY:
        found.append("nothing comes, without a word")
    return found


def _named(damage: Damage, text: str) -> bool:
    if damage.path.startswith("bin/"):
        return "`" in text or Path(damage.path).name in text
    return Path(damage.path).name in text


def _file(damage: Damage, case: Case) -> bytes:
    return (case.folder / damage.path).read_bytes()


def _line_named(damage: Damage, case: Case, text: str) -> bool:
    data = _file(damage, case).strip()
    if data.count(b"\n") < 2 or data[:1] in b"{[<":
        return True
    return re.search(rf"\bline {damage.line}\b", text) is not None


def _wrong(damage: Damage, case: Case, before: Gathered, after: Gathered) -> list[str]:
    """Values that are none of those of the same field before, whatever the tags are: these may be damaged text."""
    fields = RIGHT.get(case.label.split("/")[1], "").partition(":")[0].split(", ")
    known: dict[tuple[str, str], set[tuple[type, Any]]] = {}
    for (name, _, key), value in before.values.items():
        known.setdefault((name, key), set()).add((type(value), value))
    found = []
    for (name, tags, key), value in after.values.items():
        if {key, f"{name}.{key}"} & set(case.varies):
            continue
        odd = isinstance(value, float) and not math.isfinite(value) and fields != ["*"]
        right = (type(value), value) in known.get((name, key), ()) or "*" in fields or key in fields
        if odd or not (right or _may_be(damage, case, key, value)):
            found.append(f"{name} {key} is {value!r} ({tags:.100})")
    return found


def _may_be(damage: Damage, case: Case, key: str, value: Any) -> bool:
    """Whether the damaged file says so."""
    kind = damage.kind
    if isinstance(value, str) or kind == "doubled":  # a text, or a sum
        return True
    if damage.line and NUMBERS.get(kind, b"-").decode() in key:  # a number that was a part of a name
        return True
    if "negative" in kind:
        return not isinstance(value, Uint) or value >= 0
    if "too large" in kind:
        return isinstance(value, float)
    if not kind.startswith("cut"):
        return False
    # Nothing shows that the one number of a file is cut; and what is cut at the end of a line is a shorter table.
    return _file(damage, case).count(b"\n") < 2 or damage.data.endswith(b"\n")

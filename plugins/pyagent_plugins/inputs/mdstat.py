"""State of the software RAID arrays.

/proc/mdstat. Names and types are those of Telegraf 1.40.
"""

import re
from dataclasses import dataclass
from typing import Annotated, NoReturn

from pyagent.api import About, Accumulator, Chart, Input, Measurement, Options, PyagentError, fields, option
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.procfs import host_path, read_bytes

__all__ = ["Mdstat", "MdstatOptions"]


class MdstatOptions(Options, frozen=True):
    file_name: Annotated[str, option("the file ('': $HOST_PROC/mdstat, else /proc/mdstat)", reads_path=True)] = ""


_STATUS = re.compile(r"([0-9]+) blocks .*\[([0-9]+)/([0-9]+)\] \[([U_]+)\]")
_SYNCED = re.compile(r"\(([0-9]+)/[0-9]+\)")
_PERCENT = re.compile(r"= +(.+)%")
_FINISH = re.compile(r"finish=(.+)min")
_SPEED = re.compile(r"speed=(.+)[A-Z]")
_DEVICE = re.compile(r"(.*)\[[0-9]+\]")
_ACTIONS = {"recovery": "recovering", "check": "checking", "resync": "resyncing"}
"""A word in the line of what goes on -> the state; the first one counts."""
_WAITING = ("PENDING", "DELAYED")
_LONGEST_LINE = 8192
"""Characters: an array has 384 devices at most."""
_LEAST_LINES = 3


class Mdstat(Input[MdstatOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "mdstat",
            "One array.",
            tags={
                "Name": "the array",
                "ActivityState": "active, inactive, recovering, resyncing or checking",
                "Devices": "its devices, by commas",
            },
            fields=fields(
                "int",
                "1",
                DisksActive="devices in use",
                DisksFailed="devices that failed",
                DisksSpare="spare devices",
                DisksTotal="devices that it should have",
                DisksDown="devices that are missing",
                BlocksTotal="its size in blocks of 1 KiB",
                BlocksSynced="of these, those that are synchronous",
            )
            | fields("float", "percent", BlocksSyncedPct="how far it is with that")
            | fields("float", "min", BlocksSyncedFinishTime="how long it still takes")
            | fields("float", "KiB/s", BlocksSyncedSpeed="how fast it is"),
            charts=(
                Chart("Devices of the arrays", ("DisksTotal", "DisksActive", "DisksFailed", "DisksDown")),
                Chart("Synchronization", ("BlocksSyncedPct",)),
            ),
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: the kernel waits for arrays that are changed.
        path = self.options.file_name or host_path("proc", "mdstat")
        advice = "load the kernel module md_mod, or remove the input where there are no arrays"
        lines = read_bytes(path, missing=advice).decode("utf-8", "surrogateescape").split("\n")
        text, seen = _Lines(path, lines), set[str]()
        if lines[-1]:
            text.fail(len(lines) - 1, "the file ends within it")
        if len(lines) < _LEAST_LINES:
            return
        for number, line in enumerate(lines):
            if line.strip() and line[0] != " " and not line.startswith(("Personalities", "unused")):
                name = line.split(None, 1)[0]
                if name in seen:
                    text.fail(number, "it is there twice")
                seen.add(name)
                _add(acc, text, number)


@dataclass(frozen=True, slots=True)
class _Lines:
    path: str
    lines: list[str]

    def __getitem__(self, number: int) -> str:
        if len(self.lines[number]) > _LONGEST_LINE:
            self.fail(number, f"it is longer than {_LONGEST_LINE} characters")
        return self.lines[number]

    def fail(self, number: int, cause: str) -> NoReturn:
        shown = self.lines[number].strip()[:80]
        raise PyagentError(f"cannot read {self.path}: line {number + 1}: {cause}: {shown!r}")

    def integer(self, number: int, text: str) -> int:
        value = parse_integer(text)
        if value is None:
            self.fail(number, f"{text[:40]!r} is no whole number of 64 bits")
        return value


def _add(acc: Accumulator, text: _Lines, number: int) -> None:
    """The array whose first line this is: the next one has its size, and one of the two behind that what goes on."""
    line = text[number]
    words = line.split()
    if len(words) < _LEAST_LINES or len(text.lines) <= number + 3:
        text.fail(number, "it is no array, or the file ends within it")
    found = _sizes(text, number + 1, line)
    place = number + 3 if "bitmap" in text[number + 2] else number + 2
    state, sync = words[2], (found["BlocksTotal"], 0.0, 0.0, 0.0)
    for word, name in _ACTIONS.items():
        if word in text[place]:
            state = name
            waits = any(word in text[place] for word in _WAITING)
            sync = (0, 0.0, 0.0, 0.0) if waits else _progress(text, place)
            break
    devices = sorted(match[1] for word in words[4:] if (match := _DEVICE.match(word)))
    synced, percent, finish, speed = sync
    acc.add(
        "mdstat",
        found
        | {
            "DisksFailed": line.count("(F)"),
            "DisksSpare": line.count("(S)"),
            "BlocksSynced": synced,
            "BlocksSyncedPct": percent,
            "BlocksSyncedFinishTime": finish,
            "BlocksSyncedSpeed": speed,
        },
        {"Name": words[0], "ActivityState": state, "Devices": ",".join(devices) or None},
    )


def _sizes(text: _Lines, number: int, device_line: str) -> dict[str, int]:
    words = text[number].split()
    if not words:
        text.fail(number, "the size of an array is missing")
    size = text.integer(number, words[0])
    total = active = down = 0
    if "raid0" in device_line or "linear" in device_line:
        total = active = device_line.count("[")  # only devices have a number in brackets
    elif "inactive" not in device_line:
        match = _STATUS.search(text[number])
        if match is None:
            text.fail(number, "it is not as in '1024 blocks super 1.2 [2/2] [UU]'")
        total, active, down = text.integer(number, match[2]), text.integer(number, match[3]), match[4].count("_")
    return {"DisksActive": active, "DisksTotal": total, "DisksDown": down, "BlocksTotal": size}


def _progress(text: _Lines, number: int) -> tuple[int, float, float, float]:
    """Blocks, percent, minutes and speed."""
    match = _SYNCED.search(text[number])
    if match is None:
        text.fail(number, "it has no blocks as in (12/34)")
    values = []
    for name, pattern in (("percentage", _PERCENT), ("finish", _FINISH), ("speed", _SPEED)):
        value = parse_finite(found[1]) if (found := pattern.search(text[number])) else None
        if value is None:
            text.fail(number, f"it has no {name}")
        values.append(value)
    return text.integer(number, match[1]), values[0], values[1], values[2]

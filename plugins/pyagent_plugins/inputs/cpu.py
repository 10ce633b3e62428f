"""Use of the processors.

Linux: /proc/stat (proc(5)). Elsewhere: psutil. Names and formulas are those of Telegraf 1.40.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated

from pyagent.api import (
    Accumulator,
    Chart,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    counters,
    fields,
    option,
)
from pyagent.kit.procfs import host_path, read_rows, read_text
from pyagent.kit.since import Since

__all__ = ["Cpu", "CpuOptions"]


class CpuOptions(Options, frozen=True):
    percpu: Annotated[bool, option("report each processor")] = True
    totalcpu: Annotated[bool, option("report the sum of all processors")] = True
    collect_cpu_time: Annotated[bool, option("report the times since the start as well")] = False
    report_active: Annotated[bool, option("report the sum of all that is not idle; it includes iowait")] = False
    core_tags: Annotated[bool, option("add the tags core_id and physical_id, where the host tells them")] = False

    def remarks(self) -> Iterable[tuple[str, str]]:
        if not self.percpu and not self.totalcpu:
            yield "totalcpu", "is false, as percpu is; nothing is gathered"


_STATES = {
    "user": "programs",
    "nice": "programs of lower priority",
    "system": "the kernel",
    "idle": "nothing",
    "iowait": "nothing, while something waits for a disk",
    "irq": "interrupts",
    "softirq": "soft interrupts",
    "steal": "other guests of the machine that this one is a guest of",
    "guest": "guests of this host",
    "guest_nice": "guests of lower priority",
}
"""In the order of /proc/stat."""
_LEAST_STATES = 7
"""A kernel before 2.6.11 has no more."""
_SUMMED = ("user", "system", "nice", "iowait", "irq", "softirq", "steal", "idle")
"""Guests are in user and nice."""
_TOTAL = "cpu-total"

Times = dict[str, float]


class Cpu(Input[CpuOptions]):
    compares = True
    measurements = (
        Measurement(
            "cpu",
            "What the processors spend their time on.",
            tags={
                "cpu": "cpu0 and so on, or cpu-total",
                "core_id": "core, with core_tags",
                "physical_id": "socket, with core_tags",
            },
            fields=fields("float", "percent", **{f"usage_{name}": f"time for {text}" for name, text in _STATES.items()})
            | fields("float", "percent", usage_active="time for all but idle, with report_active")
            | counters(
                "float", "s", **{f"time_{name}": f"{text}; with collect_cpu_time" for name, text in _STATES.items()}
            )
            | counters("float", "s", time_active="all but idle; with collect_cpu_time and report_active"),
            charts=(
                Chart(
                    "Use of the processors",
                    tuple(f"usage_{name}" for name in ("user", "system", "nice", "iowait", "irq", "softirq", "steal")),
                    stacked=True,
                    overview=True,
                    only={"cpu": _TOTAL},
                ),
                Chart("Idle", ("usage_idle",)),
            ),
        ),
    )

    def setup(self) -> None:
        self._since = Since[str]()
        self._left_out: set[str] = set()
        self._core_tags = self._cores() if self.options.core_tags else {}

    async def gather(self, acc: Accumulator) -> None:
        with self._since.gather():
            for name, times in self._selected():
                tags = {"cpu": name, **self._core_tags.get(name, {})}
                total, active = _sums(times)
                if self.options.collect_cpu_time:
                    spent = {f"time_{state}": seconds for state, seconds in times.items()}
                    if self.options.report_active:
                        spent["time_active"] = active
                    acc.add("cpu", spent, tags, kind=MetricType.COUNTER)
                change = self._since.change(name, times)
                if change is None:
                    continue
                total_before, active_before = _sums(change.before)  # type: ignore[arg-type]  # what was given
                passed = total - total_before
                if passed < 0:
                    path = host_path("proc", "stat")
                    raise PyagentError(
                        f"cannot compute the usage of {name}: its times in {path} are smaller than before; the next gather"
                        " compares with these"
                    )
                if passed == 0:
                    continue
                spent = {state: times[state] - change.before[state] for state in _STATES}
                spent["user"] -= spent["guest"]
                spent["nice"] -= spent["guest_nice"]
                usage = {f"usage_{state}": 100 * seconds / passed for state, seconds in spent.items()}
                if self.options.report_active:
                    usage["usage_active"] = 100 * (active - active_before) / passed
                acc.add("cpu", usage, tags, kind=MetricType.GAUGE)

    def _selected(self) -> list[tuple[str, Times]]:
        found = list(self._linux() if sys.platform == "linux" else _portable())
        if not found and not self._left_out:
            raise PyagentError(f"cannot read {host_path('proc', 'stat')}: line 1: it does not begin with cpu")
        each = [(name, times) for name, times in found if name != _TOTAL] if self.options.percpu else []
        return each + [(name, times) for name, times in found if name == _TOTAL and self.options.totalcpu]

    def _linux(self) -> Iterator[tuple[str, Times]]:
        ticks = os.sysconf("SC_CLK_TCK")
        for row in read_rows(host_path("proc", "stat"), whole=True):
            if not row.words[0].startswith("cpu"):
                break
            try:
                if len(row.words) <= _LEAST_STATES:
                    row.fail(f"it has fewer than {_LEAST_STATES} times")
                places = range(1, min(len(row.words), len(_STATES) + 1))
                values = [row.decimal(place) / ticks for place in places]
            except PyagentError as error:
                if row.words[0] not in self._left_out:
                    self._left_out.add(row.words[0])
                    self.log.warning("%s; this processor is left out", error)
                continue
            values += [0.0] * (len(_STATES) - len(values))
            yield _TOTAL if row.words[0] == "cpu" else row.words[0], dict(zip(_STATES, values, strict=True))

    def _cores(self) -> dict[str, dict[str, str]]:
        """The tags of each processor, as /proc/cpuinfo and, where that does not tell it, /sys name its core."""
        found: dict[str, dict[str, str]] = {}
        name = ""
        try:
            for row in read_rows(host_path("proc", "cpuinfo")):
                key, _, value = (part.strip() for part in row.text.partition(":"))
                if key == "processor":
                    name = f"cpu{value}"
                    found[name] = {"core_id": "", "physical_id": ""}
                elif key in ("core id", "physical id") and name:
                    found[name][key.replace(" ", "_")] = value
        except PyagentError as error:
            self.log.warning("%s; the tags core_id and physical_id are left out", error)
        for name, tags in found.items():
            if not tags["core_id"]:
                try:
                    tags["core_id"] = read_text(host_path("sys", "devices/system/cpu", name, "topology/core_id"))
                except PyagentError:
                    break  # this host does not tell it
        return found


def _sums(times: Times) -> tuple[float, float]:
    """All of the time, and what of it was not idle."""
    total = 0.0
    for state in _SUMMED:
        total += times[state]
    return total, total - times["idle"]


def _portable() -> Iterator[tuple[str, Times]]:
    import psutil  # type: ignore[import-untyped]  # it comes without type information

    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        yield f"cpu{number}", {state: float(getattr(times, state, 0.0)) for state in _STATES}
    times = psutil.cpu_times()
    yield _TOTAL, {state: float(getattr(times, state, 0.0)) for state in _STATES}

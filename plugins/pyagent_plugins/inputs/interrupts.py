"""Interrupts and soft interrupts by processor.

/proc/interrupts and /proc/softirqs. Names and types are those of Telegraf 1.40.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pyagent.api import About, Accumulator, Input, Measurement, Options, PyagentError, option
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_integer
from pyagent.kit.once import Once
from pyagent.kit.procfs import Row, host_path, read_rows

__all__ = ["Interrupts", "InterruptsOptions"]


class InterruptsOptions(Options, frozen=True):
    cpu_as_tag: Annotated[
        bool, option("a metric for each processor, with the tag `cpu` and the field `count`; else a field for each")
    ] = False


_FILES = {"interrupts": "interrupts", "soft_interrupts": "softirqs"}
_TAGS = {
    "irq": "its number or name",
    "type": "of the controller, or what it is; interrupts with a number have the device as well",
    "device": "what raises it",
    "cpu": "the processor, with cpu_as_tag",
}


class Interrupts(Input[InterruptsOptions]):
    about = About(platforms=("linux",))
    measurements = tuple(
        Measurement(
            name,
            f"Counts since the start, of each line of /proc/{file}: `total`, and `CPU0` and so on; with cpu_as_tag `count`.",
            tags=_TAGS,
            open=True,
        )
        for name, file in _FILES.items()
    )

    def setup(self) -> None:
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: the kernel writes a number for each interrupt and processor.
        failures = []
        for measurement, name in _FILES.items():
            try:
                for irq in list(self._read(host_path("proc", name))):
                    self._add(acc, measurement, irq)
            except PyagentError as error:
                failures.append(error)
        if failures:
            raise joined_failures(failures)

    def _add(self, acc: Accumulator, measurement: str, irq: "_Irq") -> None:
        if self.options.cpu_as_tag:
            for number, count in enumerate(irq.counts):
                acc.add(measurement, {"count": count}, {**irq.tags, "cpu": f"cpu{number}"})
            return
        # It wraps around, as counters do.
        total = (sum(irq.counts) + (1 << 63)) % (1 << 64) - (1 << 63)
        fields = {f"CPU{number}": count for number, count in enumerate(irq.counts)}
        acc.add(measurement, {"total": total, **fields}, irq.tags)

    def _read(self, path: str) -> "Iterator[_Irq]":
        processors, seen = -1, set[str]()
        for row in read_rows(path, whole=True):
            if processors < 0:
                if row.words[0] != "CPU0":
                    row.fail("it does not begin with CPU0")
                processors = len(row.words)
            elif row.words[0].endswith(":"):
                if row.words[0] in seen:
                    row.fail("it is there twice")
                seen.add(row.words[0])
                counts = [parse_integer(word) for word in row.words[1 : processors + 1]]
                good = [count for count in counts if count is not None]
                if len(good) == len(counts):
                    yield _irq(row, good, processors)
                elif self._once(path):
                    self.log.warning(
                        "cannot read %s: line %d: it has no counts, and is left out: %r",
                        path,
                        row.number,
                        row.text.strip()[:80],
                    )


@dataclass(frozen=True, slots=True)
class _Irq:
    tags: dict[str, str | None]
    counts: list[int]


def _irq(row: Row, counts: list[int], processors: int) -> _Irq:
    name = row.words[0].rstrip(":")
    behind = row.words[processors + 1 :]
    kind, device = " ".join(behind), ""
    if behind and parse_integer(name) is not None:
        kind, device = behind[0], " ".join(behind[1:])
    return _Irq({"irq": name or None, "type": kind or None, "device": device or None}, counts)

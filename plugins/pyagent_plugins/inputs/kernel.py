"""Statistics of the Linux kernel.

Interrupts, context switches, forks and entropy from /proc; with `collect` also kernel same-page merging and pressure stall
information. Names and types are those of Telegraf 1.40.
"""

import os
from collections.abc import Iterable
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
    Field,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Uint,
    counters,
    fields,
    option,
)
from pyagent.kit.numbers import parse_finite, parse_unsigned
from pyagent.kit.procfs import Row, host_path, read_int, read_rows

__all__ = ["Kernel", "KernelOptions"]

_COLLECTIONS = ("ksm", "psi")


class KernelOptions(Options, frozen=True):
    collect: Annotated[
        list[str], option("what to add: ksm (kernel same-page merging), psi (pressure stall information)")
    ] = []

    def remarks(self) -> Iterable[tuple[str, str]]:
        for name in self.collect:
            if name not in _COLLECTIONS:
                yield "collect", f"has {name!r}, which there is not; there are {' and '.join(_COLLECTIONS)}"


_STAT = {"intr": "interrupts", "ctxt": "context_switches", "processes": "processes_forked", "btime": "boot_time"}
_LINES = tuple(f"{word} ".encode() for word in (*_STAT, "page"))
_KSM = {
    "full_scans": "scans of all areas",
    "max_page_sharing": "most pages that may share one",
    "merge_across_nodes": "1: pages of different NUMA nodes are merged",
    "pages_shared": "pages that others share",
    "pages_sharing": "pages that were saved",
    "pages_to_scan": "pages to scan before it sleeps",
    "pages_unshared": "pages that are alone in their kind",
    "pages_volatile": "pages that change too fast",
    "run": "1: it runs; 0: it is stopped; 2: stopped, and all pages unmerged",
    "sleep_millisecs": "sleep between two scans, ms",
    "stable_node_chains": "chains of pages that are shared too often",
    "stable_node_chains_prune_millisecs": "how often these are looked through, ms",
    "stable_node_dups": "pages in these chains",
    "use_zero_pages": "1: empty pages are merged with the kernel's zero page",
}
_KSM_OF_NEW_KERNELS = {"general_profit": "memory saved, less what it costs; may be negative"}
_RESOURCES = {"cpu": ("some",), "memory": ("some", "full"), "io": ("some", "full")}
"""The file of each, and the lines that count: no task waits fully for a processor."""


class Kernel(Input[KernelOptions]):
    about = About(platforms=("linux",))

    measurements = (
        Measurement(
            "kernel",
            "Counts since the host was started; a field that the kernel does not tell is left out.",
            fields=counters(
                "int",
                "1",
                interrupts="interrupts",
                context_switches="context switches",
                processes_forked="processes and threads that were started",
                disk_pages_in="pages read from disks (kernels before 2.6)",
                disk_pages_out="pages written to disks (kernels before 2.6)",
            )
            | {
                "boot_time": Field("int", "s", "when the host was started, since 1970"),
                "entropy_avail": Field("int", "bits", "entropy of the random number generator"),
            }
            | {
                f"ksm_{name}": Field("int", "bytes" if name == "general_profit" else "1", f"{text}; with ksm")
                for name, text in (_KSM | _KSM_OF_NEW_KERNELS).items()
            },
            charts=(
                Chart("Interrupts and context switches", ("interrupts", "context_switches")),
                Chart("Processes started", ("processes_forked",)),
                Chart("Entropy", ("entropy_avail",)),
            ),
        ),
        Measurement(
            "pressure",
            "How long tasks had to wait for a resource, with psi.",
            tags={"resource": "cpu, memory or io", "type": "some: at least one task waited; full: all of them did"},
            fields=fields(
                "float",
                "percent",
                avg10="of the last 10 s",
                avg60="of the last minute",
                avg300="of the last five minutes",
            )
            | counters("uint", "µs", total="since the host was started"),
        ),
    )

    def setup(self) -> None:
        self._ksm = host_path("sys", "kernel/mm/ksm")
        if "ksm" in self.options.collect and not os.path.isdir(self._ksm):
            raise ConfigError(
                f"cannot collect ksm: there is no {self._ksm}; this kernel has no same-page merging, remove it",
                option="collect",
            )

    async def gather(self, acc: Accumulator) -> None:
        found = {"entropy_avail": read_int(host_path("proc", "sys/kernel/random/entropy_avail"))}
        stat = host_path("proc", "stat")
        for row in read_rows(stat, only=_LINES, most=4, whole=True):
            if name := _STAT.get(row.words[0]):
                found[name] = row.integer(1)
            elif row.words[0] == "page":
                found["disk_pages_in"], found["disk_pages_out"] = row.integer(1), row.integer(2)
        if len(found) == 1:
            raise PyagentError(f"cannot read {stat}: it has none of the lines {', '.join(_STAT)}")
        if "ksm" in self.options.collect:
            found |= self._merging()
        acc.add("kernel", found, kind=MetricType.COUNTER)
        if "psi" in self.options.collect:
            for resource, kinds in _RESOURCES.items():
                path = host_path("proc", "pressure", resource)
                missing = "the kernel has no pressure stall information, or it is off (psi=1)"
                rows = [row for row in read_rows(path, missing=missing, whole=True) if row.words[0] in kinds]
                if not rows:
                    raise PyagentError(f"cannot read {path}: it has no line that begins with {' or '.join(kinds)}")
                for row in rows:
                    _add_pressure(acc, {"resource": resource, "type": row.words[0]}, row)

    def _merging(self) -> dict[str, int]:
        paths = {name: os.path.join(self._ksm, name) for name in (*_KSM, *_KSM_OF_NEW_KERNELS)}
        wanted = {name: path for name, path in paths.items() if name in _KSM or os.path.exists(path)}
        return {f"ksm_{name}": read_int(path) for name, path in wanted.items()}


def _add_pressure(acc: Accumulator, tags: dict[str, str], row: Row) -> None:
    values = dict(word.partition("=")[::2] for word in row.words[1:])
    averages = {name: parse_finite(values.get(name, "")) for name in ("avg10", "avg60", "avg300")}
    if "total" not in values or None in averages.values():
        row.fail("it is not as in 'some avg10=0.00 avg60=0.00 avg300=0.00 total=0'")
    total = parse_unsigned(values["total"])
    if total is None:
        row.fail("its total is no number of 64 bits")
    acc.add("pressure", {"total": Uint(total)}, tags, kind=MetricType.COUNTER)
    acc.add("pressure", averages, tags, kind=MetricType.GAUGE)

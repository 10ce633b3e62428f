"""What libvirt calls the statistics of a domain, and which measurement and field each goes to."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from pyagent.api import Field, Measurement

__all__ = ["AFFINITY", "GROUPS", "MEASUREMENTS", "Place", "place_of"]

GROUPS = {
    "state": 1,
    "cpu_total": 2,
    "balloon": 4,
    "vcpu": 8,
    "interface": 16,
    "block": 32,
    "perf": 64,
    "iothread": 128,
    "memory": 256,
    "dirtyrate": 512,
}
"""And their bits in libvirt's virDomainStatsTypes."""
AFFINITY = "libvirt_cpu_affinity"
_NUMBERED = re.compile(r"(?<=\.)\d{1,9}(?=\.)", re.ASCII)


class Place(NamedTuple):
    """Where a value goes."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    """Besides the domain."""
    field: str


@dataclass(frozen=True, slots=True)
class _Kind:
    """Statistics whose names begin alike; `#` stands for a number, of which each is a tag."""

    measurement: str
    text: str
    prefix: str
    fields: dict[str, Field]
    """By libvirt's names, without the prefix."""
    tags: dict[str, str] = field(default_factory=dict)
    more: dict[str, Field] = field(default_factory=dict)
    """Fields that the input makes itself."""

    def declared(self) -> Measurement:
        named = {_field_name(name): declared for name, declared in self.fields.items()}
        return Measurement(self.measurement, self.text, tags=_DOMAIN | self.tags, fields=named | self.more)


def _field_name(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")


def _counted(unit: str, texts: dict[str, str]) -> dict[str, Field]:
    return {name: Field("uint", unit, text, counter=True) for name, text in texts.items()}


def _values(unit: str, texts: dict[str, str]) -> dict[str, Field]:
    return {name: Field("uint", unit, text) for name, text in texts.items()}


_DOMAIN = {"domain_name": "the guest"}
_COUNT = {"count": Field("uint", "1", "how many there are")}
_VCPU = {"vcpu_id": "processor of the guest"}
_CACHE = {"cache_monitor_id": "monitor of the guest"}
_BANDWIDTH = {"memory_bandwidth_monitor_id": "monitor of the guest"}
_MONITOR = {
    "name": Field("str", "", "of the monitor"),
    "vcpus": Field("str", "", "the guest's processors that it is for"),
}
_PERF = {
    "cmt": ("bytes", "cache in use"),
    "mbmt": ("bytes/s", "between memory and one level of the cache"),
    "mbml": ("bytes/s", "the same, of the local memory"),
}
_PERF_COUNTED = {
    "cpu_cycles": "cycles of processors",
    "instructions": "instructions",
    "cache_references": "reads of the cache",
    "cache_misses": "reads past the cache",
    "branch_instructions": "branches",
    "branch_misses": "branches that were foreseen wrong",
    "bus_cycles": "cycles of the bus",
    "stalled_cycles_frontend": "cycles that wait for instructions",
    "stalled_cycles_backend": "cycles that wait for their results",
    "ref_cpu_cycles": "cycles, however fast the processor runs",
    "cpu_clock": "ns by the processor's clock",
    "task_clock": "ns by the task's clock",
    "page_faults": "page faults",
    "context_switches": "context switches",
    "cpu_migrations": "moves to other processors",
    "page_faults_min": "page faults without a disk",
    "page_faults_maj": "page faults that read a disk",
    "alignment_faults": "reads that were not aligned",
    "emulation_faults": "instructions that were emulated",
}

_KINDS = (
    _Kind(
        "libvirt_state",
        "The state of a guest.",
        "state.",
        {
            "state": Field("int", "1", "virDomainState: 1 running, 3 paused, 5 shut off, 6 crashed"),
            "reason": Field("int", "1", "why, as libvirt numbers it for each state"),
        },
    ),
    _Kind(
        "libvirt_cpu",
        "The time of processors that a guest has used.",
        "cpu.",
        _counted(
            "ns",
            {
                "time": "used",
                "user": "used in user mode",
                "system": "used in the kernel",
                "haltpoll.success.time": "polled before work came",
                "haltpoll.fail.time": "polled in vain",
            },
        ),
    ),
    _Kind("libvirt_cpu_cache_monitor_total", "Monitors of the cache.", "cpu.cache.monitor.", _COUNT),
    _Kind(
        "libvirt_cpu_cache_monitor",
        "A monitor of the cache.",
        "cpu.cache.monitor.#.",
        _MONITOR | {"bank.count": Field("uint", "1", "banks of the cache")},
        _CACHE,
    ),
    _Kind(
        "libvirt_cpu_cache_monitor_bank",
        "A bank of the cache.",
        "cpu.cache.monitor.#.bank.#.",
        {"id": Field("uint", "1", "the host's number of it"), "bytes": Field("uint", "bytes", "in use")},
        _CACHE | {"bank_index": "bank of the monitor"},
    ),
    _Kind(
        "libvirt_balloon",
        "The memory of a guest; most of it as the guest's driver of the balloon tells.",
        "balloon.",
        _values(
            "KiB",
            {
                "current": "memory that it has",
                "maximum": "memory that it may have",
                "unused": "that the guest does not use",
                "available": "that the guest sees",
                "rss": "resident on the host",
                "usable": "that the guest could give back without swapping",
                "disk_caches": "caches of the guest that it can give back",
            },
        )
        | _counted("KiB", {"swap_in": "read from the guest's swap", "swap_out": "written to the guest's swap"})
        | _counted(
            "1",
            {
                "major_fault": "page faults that read a disk",
                "minor_fault": "other page faults",
                "hugetlb_pgalloc": "huge pages that the guest got",
                "hugetlb_pgfail": "huge pages that it did not get",
            },
        )
        | {"last-update": Field("uint", "s", "since 1970, when the guest last told")},
    ),
    _Kind(
        "libvirt_vcpu_total",
        "Processors of a guest.",
        "vcpu.",
        _values("1", {"current": "online", "maximum": "that it may have"}),
    ),
    _Kind(
        "libvirt_vcpu",
        "A processor of a guest.",
        "vcpu.#.",
        {
            "state": Field("int", "1", "virVcpuState: 0 offline, 1 running, 2 blocked"),
            "time": Field("uint", "ns", "used", counter=True),
            "wait": Field("uint", "ns", "waited for the host's processors", counter=True),
            "delay": Field("uint", "ns", "was ready, and not run by the host's scheduler", counter=True),
            "halted": Field("int", "1", "1: the guest has halted it"),
        },
        _VCPU,
        {
            "halted_i": Field("int", "1", "the same"),
            "cpu_id": Field("int", "1", "the host's processor that it runs on, with vcpu_mapping"),
        },
    ),
    _Kind("libvirt_net_total", "Network interfaces of a guest.", "net.", _COUNT),
    _Kind(
        "libvirt_net",
        "A network interface of a guest.",
        "net.#.",
        {"name": Field("str", "", "the host's name of it")}
        | _counted("bytes", {"rx.bytes": "received", "tx.bytes": "sent"})
        | _counted(
            "1",
            {
                "rx.pkts": "packets received",
                "rx.errs": "errors of receiving",
                "rx.drop": "packets received and dropped",
                "tx.pkts": "packets sent",
                "tx.errs": "errors of sending",
                "tx.drop": "packets dropped and not sent",
            },
        ),
        {"interface_id": "number of the interface"},
    ),
    _Kind(
        "libvirt_perf",
        "Events that the guest's configuration has the kernel count.",
        "perf.",
        {name: Field("uint", unit, text) for name, (unit, text) in _PERF.items()} | _counted("1", _PERF_COUNTED),
    ),
    _Kind("libvirt_block_total", "Disks of a guest.", "block.", _COUNT),
    _Kind(
        "libvirt_block",
        "A disk of a guest.",
        "block.#.",
        {
            "name": Field("str", "", "the guest's name of it"),
            "path": Field("str", "", "of the file or device of the host"),
            "backingIndex": Field("uint", "1", "number of the file in its chain"),
        }
        | _counted("1", {"rd.reqs": "reads", "wr.reqs": "writes", "fl.reqs": "flushes", "errors": "errors, with Xen"})
        | _counted("bytes", {"rd.bytes": "read", "wr.bytes": "written"})
        | _counted("ns", {"rd.times": "spent on reads", "wr.times": "spent on writes", "fl.times": "spent on flushes"})
        | _values(
            "bytes",
            {
                "allocation": "highest place that was written",
                "capacity": "that the guest sees",
                "physical": "of the file or device",
                "threshold": "from which on libvirt reports that it fills",
            },
        ),
        {"block_id": "number of the disk"},
    ),
    _Kind("libvirt_iothread_total", "Threads for input and output of a guest.", "iothread.", _COUNT),
    _Kind(
        "libvirt_iothread",
        "A thread for input and output.",
        "iothread.#.",
        {
            "poll-max-ns": Field("uint", "ns", "longest time of polling; 0: none"),
            "poll-grow": Field("uint", "1", "how that grows; 0: as the hypervisor likes"),
            "poll-shrink": Field("uint", "1", "how that shrinks; 0: as the hypervisor likes"),
        },
        {"iothread_id": "number of the thread"},
    ),
    _Kind(
        "libvirt_memory_bandwidth_monitor_total",
        "Monitors of the memory's bandwidth.",
        "memory.bandwidth.monitor.",
        _COUNT,
    ),
    _Kind(
        "libvirt_memory_bandwidth_monitor",
        "A monitor of the memory's bandwidth.",
        "memory.bandwidth.monitor.#.",
        _MONITOR | {"node.count": Field("uint", "1", "controllers of memory")},
        _BANDWIDTH,
    ),
    _Kind(
        "libvirt_memory_bandwidth_monitor_node",
        "A controller of memory.",
        "memory.bandwidth.monitor.#.node.#.",
        {"id": Field("uint", "1", "the host's number of it")}
        | _counted(
            "bytes", {"bytes.local": "from and to memory of its own node", "bytes.total": "from and to all memory"}
        ),
        _BANDWIDTH | {"controller_index": "controller of the monitor"},
    ),
    _Kind(
        "libvirt_dirtyrate",
        "How fast a guest writes to its memory, as it was last calculated.",
        "dirtyrate.",
        {
            "calc_status": Field("int", "1", "0 never, 1 under way, 2 done"),
            "calc_start_time": Field("int", "s", "when that was"),
            "calc_period": Field("int", "s", "how long it took"),
            "megabytes_per_second": Field("int", "MiB/s", "written"),
            "calc_mode": Field("str", "", "page-sampling, dirty-bitmap or dirty-ring"),
        },
    ),
    _Kind(
        "libvirt_dirtyrate_vcpu",
        "The same of one processor.",
        "dirtyrate.vcpu.#.",
        {"megabytes_per_second": Field("uint", "MiB/s", "written")},
        _VCPU,
    ),
)
MEASUREMENTS = (
    *(kind.declared() for kind in _KINDS),
    Measurement(
        AFFINITY,
        "Where a processor of a guest may run (vcpu_mapping).",
        tags=_DOMAIN | _VCPU,
        fields={"cpu_id": Field("str", "", "the host's processors, with commas between them")},
    ),
)
_PLACES = {
    kind.prefix + name: (kind.measurement, tuple(kind.tags), _field_name(name))
    for kind in _KINDS
    for name in kind.fields
}


def place_of(name: str) -> Place | None:
    """Where the value of this name goes; None: nowhere."""
    numbers = _NUMBERED.findall(name)
    found = _PLACES.get(_NUMBERED.sub("#", name))
    if found is None or len(found[1]) != len(numbers):
        return None
    measurement, tags, field_name = found
    return Place(measurement, tuple(zip(tags, numbers, strict=True)), field_name)

"""Which processors there are, and what their models can tell."""

import os
from dataclasses import dataclass

from pyagent.api import PyagentError
from pyagent.kit.procfs import host_path, read_bytes, read_int

__all__ = ["AIRMONT", "NEHALEM", "SILVERMONT", "Processor", "Processors", "supported"]

# Models of family 6, by what their registers hold; Intel's Software Developer's Manual, volume 4.
NEHALEM = frozenset((0x1A, 0x1E, 0x1F, 0x2E, 0x25, 0x2C, 0x2F))
SILVERMONT = frozenset((0x37, 0x4D, 0x4A, 0x5A))
AIRMONT = frozenset((0x4C,))
_BRIDGES_AND_WELLS = frozenset((0x2A, 0x2D, 0x3A, 0x3E, 0x3C, 0x3F, 0x45, 0x46, 0x3D, 0x47))
_LAKES = frozenset((0x4E, 0x5E, 0x8E, 0x9E, 0xA5, 0xA6))
_LATER = frozenset((0x66, 0x7E, 0x9D, 0xA7, 0x8C, 0x8D, 0x8A, 0x97, 0x9A, 0xB7, 0xBA, 0xBF, 0xAC, 0xAA, 0xC6, 0xBD))
_GOLDMONT = frozenset((0x5C, 0x7A))
_SMALL = frozenset((0x96, 0x9C, 0xBE))
_C3 = NEHALEM | _BRIDGES_AND_WELLS | _LAKES | {0x4F, 0x56} | AIRMONT | _GOLDMONT
_C7 = _BRIDGES_AND_WELLS | _LAKES | _LATER | _GOLDMONT | _SMALL
_OTHERS = frozenset((0x55, 0x6A, 0x6C, 0x7D, 0x8F, 0xCF, 0xAD, 0xAE, 0x5F, 0x86, 0xAF, 0xB6, 0x57, 0x85))
KNOWN = _C3 | _C7 | SILVERMONT | _OTHERS
_MODELS = {
    "cpu_c1_state_residency": KNOWN,
    "cpu_c3_state_residency": _C3,
    "cpu_c6_state_residency": KNOWN,
    "cpu_c7_state_residency": _C7,
    "cpu_temperature": KNOWN,
    "cpu_base_frequency": KNOWN,
    "max_turbo_frequency": KNOWN,
} | dict.fromkeys(("cpu_c0_substate_c01", "cpu_c0_substate_c02", "cpu_c0_substate_c0_wait"), frozenset((0x8F, 0xCF)))
_FLAGS = {
    "cpu_c0_state_residency": ("msr", "aperfmperf"),
    "cpu_c1_state_residency": ("msr", "aperfmperf"),
    "cpu_c3_state_residency": ("msr",),
    "cpu_c6_state_residency": ("msr",),
    "cpu_c7_state_residency": ("msr",),
    "cpu_busy_frequency": ("msr", "aperfmperf"),
    "cpu_temperature": ("msr", "dts"),
    "cpu_base_frequency": ("msr",),
    "max_turbo_frequency": ("msr",),
}


_Block = dict[str, tuple[str, int]]
"""What stands behind each name, and its line."""
_NONE = ("", 0)


@dataclass(frozen=True, slots=True)
class Processor:
    package: int
    core: int


class Processors:
    """Those of /proc/cpuinfo. Raises PyagentError with file and line for what is no number."""

    def __init__(self) -> None:
        path = host_path("proc", "cpuinfo")
        self.by_number: dict[int, Processor] = {}
        self.model = 0
        self.flags: frozenset[str] = frozenset()
        self.intel = False
        for block in _blocks(path):
            if "processor" not in block:
                continue
            number, package, core = (_number(path, block, name) for name in ("processor", "physical id", "core id"))
            if not self.by_number:
                self.model = _number(path, block, "model")
                family, vendor, flags = (block.get(name, _NONE)[0] for name in ("cpu family", "vendor_id", "flags"))
                self.flags = frozenset(flags.split())
                self.intel = "6" in family and "GenuineIntel" in vendor
            self.by_number[number] = Processor(package, core)
        if not self.by_number:
            raise PyagentError(f"cannot read {path}: it names no processor")

    @property
    def hybrid(self) -> bool:
        """Whether there are cores of two kinds: then the kernel counts the events of each kind."""
        return os.path.isdir(host_path("sys", "devices/cpu_atom"))

    @property
    def packages(self) -> list[int]:
        return sorted({processor.package for processor in self.by_number.values()})

    def first_of(self, package: int) -> int:
        return min(number for number, processor in self.by_number.items() if processor.package == package)

    def dies(self, package: int) -> list[int]:
        """A processor whose die the kernel does not tell is of die 0."""
        paths = [
            host_path("sys", f"devices/system/cpu/cpu{number}/topology/die_id")
            for number, processor in self.by_number.items()
            if processor.package == package
        ]
        return sorted({read_int(path) if os.path.exists(path) else 0 for path in paths})


def supported(metric: str, processors: Processors) -> bool:
    models = _MODELS.get(metric)
    return (models is None or processors.model in models) and processors.flags.issuperset(_FLAGS.get(metric, ()))


def _blocks(path: str) -> list[_Block]:
    """Of each processor."""
    blocks: list[_Block] = [{}]
    for number, line in enumerate(read_bytes(path).decode("utf-8", "replace").split("\n"), start=1):
        name, colon, value = line.partition(":")
        if colon:
            blocks[-1][name.strip()] = value.strip(), number
        elif not line:
            blocks.append({})
    return blocks


def _number(path: str, block: _Block, name: str) -> int:
    if name not in block:
        line = max(line for _, line in block.values())
        raise PyagentError(f"cannot read {path}: line {line}: there is no {name!r} of this processor")
    text, line = block[name]
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise PyagentError(f"cannot read {path}: line {line}: {name!r} of a processor is no number but {text[:40]!r}")
    return int(text)

"""How fast the cores of a package may run, by how many of them are active: Intel's Software Developer's Manual, volume 4."""

from typing import NamedTuple

from pyagent_plugins.inputs.intel_powerstat.processors import SILVERMONT
from pyagent_plugins.inputs.intel_powerstat.readings import Registers

__all__ = ["Turbo", "turbo_frequencies"]

_RATIOS, _MORE_RATIOS, _MOST_RATIOS, _SECONDARY, _OF_ATOM = 0x1AD, 0x1AE, 0x1AF, 0x650, 0x66C
_ATOM = SILVERMONT - {0x4D}
_IVY_BRIDGE_X, _HASWELL_X = 0x3E, 0x3F
_XEON_PHI = frozenset((0x57, 0x85))
_WITHOUT = frozenset((0x2E, 0x2F)) | _XEON_PHI | _ATOM
"""Their register of that address is not there, or holds something else."""
_BY_GROUPS = frozenset((0x5C, 0x55, 0x6A, 0x6C, 0x8F, 0xCF, 0x5F, 0x86))
"""How many cores each ratio is for stands in a register of its own; else it is one core more from byte to byte."""
_ONE_MORE = 0x0807060504030201


class Turbo(NamedTuple):
    mhz: int
    active_cores: int
    """At the most, to reach it."""
    secondary: bool = False
    """Of the small cores of a processor that has two kinds."""


def turbo_frequencies(registers: Registers, model: int, *, hybrid: bool) -> list[Turbo]:
    """Raises PyagentError. `hybrid`: the processor has cores of two kinds."""
    clock = registers.bus_clock(model)
    ratios: list[tuple[int, int, bool]] = []
    if model == _HASWELL_X:
        ratios += _bytes(registers, _MOST_RATIOS, (17, 18))
    if model in (_IVY_BRIDGE_X, _HASWELL_X):
        ratios += _bytes(registers, _MORE_RATIOS, range(9, 17))
    if model not in _WITHOUT:
        [cores] = registers.read(_MORE_RATIOS) if model in _BY_GROUPS else [_ONE_MORE]
        groups = cores.to_bytes(8, "little")
        ratios += _bytes(registers, _RATIOS, groups)
        if hybrid:
            ratios += [(ratio, group, True) for ratio, group, _ in _bytes(registers, _SECONDARY, groups)]
    if model in _ATOM:
        ratios += _bytes(registers, _OF_ATOM, range(1, 5), mask=0x3F)
    if model in _XEON_PHI:
        ratios += _of_xeon_phi(registers)
    return [Turbo(int(ratio * clock), cores, secondary) for ratio, cores, secondary in ratios]


def _bytes(
    registers: Registers, address: int, cores: bytes | range | tuple[int, ...], mask: int = 0xFF
) -> list[tuple[int, int, bool]]:
    """The ratios of a register, each in its byte; the byte of most cores first. 0: there is none."""
    [value] = registers.read(address)
    found = [(byte & mask, number, False) for byte, number in zip(value.to_bytes(8, "little"), cores, strict=False)]
    return [one for one in reversed(found) if one[0]]


def _of_xeon_phi(registers: Registers) -> list[tuple[int, int, bool]]:
    """The first group in full; of each later one how many cores more it has, and how much less its ratio is."""
    first, ratio, *later = registers.read(_RATIOS)[0].to_bytes(8, "little")
    cores = first >> 1
    groups = [(ratio, cores, False)]
    for byte in later:
        cores += byte & 0x1F
        if less := byte >> 5:
            ratio -= less
            groups.append((ratio, cores, False))
    return [one for one in reversed(groups) if one[0] > 0]

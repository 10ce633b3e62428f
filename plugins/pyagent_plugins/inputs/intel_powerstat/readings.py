"""What the kernel and the registers of a processor say."""

import glob
import math
import os
import time
from collections.abc import Mapping

from pyagent.api import PyagentError, Uint
from pyagent.kit.numbers import parse_finite
from pyagent.kit.procfs import host_path, read_text
from pyagent_plugins.inputs.intel_powerstat.processors import AIRMONT, KNOWN, NEHALEM, SILVERMONT

__all__ = ["Energy", "Registers", "UncoreFrequencies", "core_frequency", "rounded"]

# Addresses of registers.
_TSC, _MPERF, _APERF = 0x10, 0xE7, 0xE8
_RESIDENCY = {3: 0x3FC, 6: 0x3FD, 7: 0x3FE}
_BUS, _PLATFORM, _THERMAL, _TARGET, _UNCORE = 0xCD, 0xCE, 0x19C, 0x1A2, 0x621
_COUNTERS = (_TSC, _MPERF, _APERF, *_RESIDENCY.values())
_BUS_CLOCKS = (83.3, 100.0, 133.3, 116.7, 80.0, 93.3, 90.0, 88.9, 87.5)
"""MHz, by the lowest bits of the register; of Silvermont the first five."""
_RAPL = "devices/virtual/powercap/intel-rapl"
_NO_RAPL = "load the module intel_rapl_msr (modprobe)"


class Registers:
    """Those of one processor."""

    def __init__(self, cpu: int) -> None:
        self._cpu = cpu
        self._before: dict[int, int] = {}
        self._at = 0
        self._changes: dict[int, int] = {}
        self._nanoseconds = 0

    def read(self, *addresses: int) -> list[int]:
        path = host_path("dev", f"cpu/{self._cpu}/msr")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                found = [os.pread(descriptor, 8, address) for address in addresses]
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise PyagentError(
                f"cannot read {path}: there is no such file; load the module msr (modprobe msr)"
            ) from None
        except OSError as error:
            advice = (
                "; it needs root, or CAP_SYS_RAWIO and the right to read the file" if error.errno in (1, 13) else ""
            )
            raise PyagentError(f"cannot read {path}: {error.strerror}{advice}") from None
        for address, data in zip(addresses, found, strict=True):
            if len(data) < 8:
                raise PyagentError(f"cannot read {path}: there is no register 0x{address:X}")
        return [int.from_bytes(data, "little") for data in found]

    def update(self, now: int) -> bool:
        """Read the counters; whether there are changes since the time before. `now`: ns."""
        values = dict(zip(_COUNTERS, self.read(*_COUNTERS), strict=True))
        before, self._before = self._before, values
        self._nanoseconds, self._at = now - self._at, now
        if not before:
            return False
        changes = {address: max(value - before[address], 0) for address, value in values.items()}
        shares = (_MPERF, *_RESIDENCY.values())
        total = sum(changes[address] for address in shares)
        if total > changes[_TSC]:
            # They are not read at one moment: together they are never more than all the time.
            changes |= {address: changes[address] * changes[_TSC] // total for address in shares}
        self._changes = changes
        return True

    def residency(self, state: int) -> float:
        total = self._changes[_TSC]
        if not total:
            raise PyagentError(f"cannot tell the idle states of processor {self._cpu}: its time stamp does not move")
        if state == 1:
            known = sum(self._changes[address] for address in (_MPERF, *_RESIDENCY.values()))
            return 100 * (total - known) / total
        return 100 * self._changes[_MPERF if state == 0 else _RESIDENCY[state]] / total

    def busy_frequency(self) -> float:
        """MHz."""
        if not self._changes[_MPERF] or self._nanoseconds <= 0:
            raise PyagentError(f"cannot tell the frequency of processor {self._cpu}: its counter MPERF does not move")
        cycles = self._changes[_TSC] * self._changes[_APERF] / self._changes[_MPERF]
        return cycles * 1000 / self._nanoseconds

    def temperature(self) -> int:
        """°C."""
        target, status = self.read(_TARGET, _THERMAL)
        celsius = (target >> 16 & 0xFF) - (status >> 16 & 0x7F)
        if celsius < 0:
            raise PyagentError(f"cannot tell the temperature of processor {self._cpu}: its registers give {celsius} °C")
        return celsius

    def base_frequency(self, model: int) -> int:
        """MHz."""
        [platform] = self.read(_PLATFORM)
        return int((platform >> 8 & 0xFF) * self.bus_clock(model))

    def uncore_frequency(self) -> int:
        """MHz."""
        [status] = self.read(_UNCORE)
        return (status & 0x7F) * 100

    def bus_clock(self, model: int) -> float:
        """MHz."""
        if model in NEHALEM:
            return 133.0
        if model not in SILVERMONT | AIRMONT:
            assert model in KNOWN
            return 100.0
        [bus] = self.read(_BUS)
        clocks, place = (_BUS_CLOCKS[:5], bus & 0x7) if model in SILVERMONT else (_BUS_CLOCKS, bus & 0xF)
        if place >= len(clocks):
            raise PyagentError(f"cannot tell the clock of the bus of processor {self._cpu}: its register has {place}")
        return clocks[place]


def rounded(value: float) -> float:
    """To two digits, halves up."""
    return math.floor(value * 100 + 0.5) / 100


def core_frequency(cpu: int) -> float:
    """MHz."""
    return _number(host_path("sys", f"devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")) * 1e-3


class UncoreFrequencies:
    """Those of a die, in MHz."""

    def __init__(self, package: int, die: int) -> None:
        self._folder = host_path("sys", f"devices/system/cpu/intel_uncore_frequency/package_{package:02}_die_{die:02}")

    def initial(self) -> Mapping[str, float]:
        return self._limits("initial_min", "initial_max")

    def current(self, registers: Registers) -> Mapping[str, float]:
        limits = self._limits("min", "max")
        there = os.path.exists(f"{self._folder}/current_freq_khz")  # not in kernels before 5.18
        now = self._read("current") if there else registers.uncore_frequency()
        return {**limits, "uncore_frequency_mhz_cur": Uint(int(now))}

    def _limits(self, least: str, most: str) -> dict[str, float]:
        return {
            "uncore_frequency_limit_mhz_min": rounded(self._read(least)),
            "uncore_frequency_limit_mhz_max": rounded(self._read(most)),
        }

    def _read(self, kind: str) -> float:
        return _number(f"{self._folder}/{kind}_freq_khz", "load the module intel_uncore_frequency (modprobe)") * 1e-3


class Energy:
    """Counters of energy (RAPL)."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, int]] = {}

    def design_power(self, package: int) -> float:
        """Watts."""
        return _number(f"{self._zone(package)}/constraint_0_max_power_uw") / 1e6

    def power(self, package: int, part: str) -> float | None:
        """Watts since the time before; None the first time. `part`: "" for all of the package, or dram."""
        zone = self._zone(package)
        if part:
            names = {path: read_text(path) for path in sorted(glob.glob(f"{glob.escape(zone)}/intel-rapl:*:*/name"))}
            inner = next((path for path, name in names.items() if part in name), None)
            if inner is None:
                raise PyagentError(f"cannot read the power of {part}: {zone} has no zone for it")
            zone = os.path.dirname(inner)
        value, now = _number(f"{zone}/energy_uj"), time.monotonic_ns()
        before = self._before.get(zone)
        self._before[zone] = (value, now)
        if before is None or now <= before[1]:
            return None
        used = value - before[0]
        if used < 0:
            used += _number(f"{zone}/max_energy_range_uj")
        return used * 1000 / (now - before[1])

    def _zone(self, package: int) -> str:
        folder = host_path("sys", _RAPL)
        zone = f"{folder}/intel-rapl:{package}"
        if read_text(f"{zone}/name", missing=_NO_RAPL) != f"package-{package}":
            raise PyagentError(f"cannot read {zone}/name: it is not package-{package}")
        return zone


def _number(path: str, missing: str = "") -> float:
    text = read_text(path, missing=missing)
    value = parse_finite(text)
    if value is None or not 0 <= value < 1 << 63:
        raise PyagentError(f"cannot read {path}: it is no number but {text[:40]!r}")
    return value

"""Power, temperature and states of Intel processors.

From /sys, the registers in /dev/cpu/*/msr, and the kernel's perf. Names and types are those of Telegraf 1.40.
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Uint,
    option,
)
from pyagent.kit.each import joined_failures
from pyagent.kit.procfs import host_path
from pyagent_plugins.inputs.intel_powerstat.perf import SUBSTATES, Perf, read_events
from pyagent_plugins.inputs.intel_powerstat.processors import Processors, supported
from pyagent_plugins.inputs.intel_powerstat.readings import (
    Energy,
    Registers,
    UncoreFrequencies,
    core_frequency,
    rounded,
)
from pyagent_plugins.inputs.intel_powerstat.turbo import turbo_frequencies

__all__ = ["IntelPowerstat", "IntelPowerstatOptions"]

_PACKAGE = {
    "current_power_consumption": ("float", "watts", "watts"),
    "current_dram_power_consumption": ("float", "watts", "watts"),
    "thermal_design_power": ("float", "watts", "watts"),
    "cpu_base_frequency": ("uint", "mhz", "MHz"),
    "uncore_frequency": ("", "", ""),
    "max_turbo_frequency": ("uint", "mhz", "MHz"),
}
_DEFAULT = list(_PACKAGE)[:3]
_RESIDENCIES = tuple(f"cpu_c{number}_state_residency" for number in (0, 1, 3, 6, 7))
_CORE = {
    "cpu_frequency": ("float", "mhz", "MHz"),
    "cpu_temperature": ("uint", "celsius", "°C"),
    "cpu_busy_frequency": ("float", "mhz", "MHz"),
} | dict.fromkeys((*_RESIDENCIES, *SUBSTATES), ("float", "percent", "percent"))
_TIMED = (*_RESIDENCIES, "cpu_busy_frequency")
_MOST_CPUS = 65536


class IntelPowerstatOptions(Options, frozen=True):
    package_metrics: Annotated[
        list[str] | None,
        option("of packages: current_power_consumption and so on (default: the power and thermal_design_power)"),
    ] = None
    cpu_metrics: Annotated[list[str], option("of processors: cpu_frequency and so on")] = []
    included_cpus: Annotated[list[str], option('these processors alone, such as "0-3" or "4,5"')] = []
    excluded_cpus: Annotated[list[str], option("all but these processors")] = []
    event_definitions: Annotated[
        str, option("the JSON file of the processor's events, for cpu_c0_substate_*", reads_path=True)
    ] = ""
    msr_read_timeout: Annotated[
        Duration, option("not used: registers are read beside the main loop", no_effect=True)
    ] = Duration("0s")


def _fields(names: dict[str, tuple[str, str, str]]) -> dict[str, Field]:
    return {
        f"{name}_{suffix}": Field(kind, unit, name.replace("_", " "))  # type: ignore[arg-type]  # of the table
        for name, (kind, suffix, unit) in names.items()
        if kind
    }


class IntelPowerstat(Input[IntelPowerstatOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "powerstat_core",
            "A processor.",
            tags={"cpu_id": "the processor", "core_id": "its core", "package_id": "its package"},
            fields=_fields(_CORE),
            charts=(Chart("Temperature", ("cpu_temperature_celsius",)), Chart("Frequency", ("cpu_frequency_mhz",))),
        ),
        Measurement(
            "powerstat_package",
            "A package.",
            tags={
                "package_id": "the package",
                "die": "of uncore frequencies",
                "type": "initial or current limits",
                "active_cores": "of turbo frequencies: for so many cores at the most",
                "hybrid": "primary or secondary: which cores of two kinds",
            },
            fields=_fields(_PACKAGE)
            | {
                "uncore_frequency_limit_mhz_min": Field("float", "MHz", "least uncore frequency"),
                "uncore_frequency_limit_mhz_max": Field("float", "MHz", "highest uncore frequency"),
                "uncore_frequency_mhz_cur": Field("uint", "MHz", "uncore frequency"),
            },
            charts=(Chart("Power", ("current_power_consumption_watts", "current_dram_power_consumption_watts")),),
        ),
    )
    compares = True

    def setup(self) -> None:
        options = self.options
        packages = _DEFAULT if options.package_metrics is None else options.package_metrics
        for name, given, known in (
            ("package_metrics", packages, tuple(_PACKAGE)),
            ("cpu_metrics", options.cpu_metrics, tuple(_CORE)),
        ):
            _check(name, given, known)
        if not packages and not options.cpu_metrics:
            raise ConfigError("no metrics are asked for; set package_metrics or cpu_metrics", option="package_metrics")
        if options.included_cpus and options.excluded_cpus:
            raise ConfigError("set included_cpus or excluded_cpus, and not both", option="excluded_cpus")
        self._included = _numbers("included_cpus", options.included_cpus)
        self._excluded = _numbers("excluded_cpus", options.excluded_cpus)
        try:
            self._processors = Processors()
        except PyagentError as error:
            raise ConfigError(str(error)) from None
        self._packages, self._cores = (self._possible(names) for names in (packages, options.cpu_metrics))
        self._registers = {cpu: Registers(cpu) for cpu in self._processors.by_number}
        self._energy = Energy()
        self._perf = None
        if any(name in SUBSTATES for name in options.cpu_metrics):
            if not options.event_definitions:
                raise ConfigError("cpu_c0_substate_* need `event_definitions`; set it", option="event_definitions")
            if any(name in SUBSTATES for name in self._cores):
                self._perf = Perf(read_events(options.event_definitions))

    def gather(self, acc: Accumulator) -> None:
        processors = self._processors
        if not processors.intel:
            path = host_path("proc", "cpuinfo")
            raise PyagentError(
                f"cannot read the power of this host: {path} names no processor of Intel's family 6; remove this input"
            )
        count = len(processors.by_number)
        for name, cpus in (("included_cpus", self._included), ("excluded_cpus", self._excluded)):
            if beyond := [cpu for cpu in cpus if cpu >= count]:
                path = host_path("proc", "cpuinfo")
                raise PyagentError(f"cannot read processor {beyond[0]}: {path} names {count}; see `{name}`")
        failures: list[Exception] = []
        cpus = self._included or [cpu for cpu in sorted(processors.by_number) if cpu not in self._excluded]
        if self._perf is not None:
            try:
                self._perf.start(cpus)
            except PyagentError as error:
                failures.append(error)
        for cpu in cpus:
            self._core(acc, cpu, failures)
        for package in processors.packages:
            self._package(acc, package, failures)
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        if self._perf is not None:
            self._perf.stop()

    def _possible(self, names: Iterable[str]) -> list[str]:
        kept = []
        for name in names:
            if not supported(name, self._processors):
                self.log.warning("%s is not supported by this processor and left out", name)
            else:
                kept.append(name)
        return kept

    def _core(self, acc: Accumulator, cpu: int, failures: list[Exception]) -> None:
        processor = self._processors.by_number[cpu]
        tags = {"cpu_id": str(cpu), "core_id": str(processor.core), "package_id": str(processor.package)}
        registers = self._registers[cpu]
        timed = [name for name in self._cores if name in _TIMED]
        if timed:
            try:
                if not registers.update(time.monotonic_ns()):
                    timed = []
            except PyagentError as error:
                failures.append(error)
                timed = []
        for name in self._cores:
            if name in _TIMED and name not in timed:
                continue
            reads: dict[str, Callable[[], float | None]] = {
                "cpu_frequency": lambda: core_frequency(cpu),
                "cpu_temperature": registers.temperature,
                "cpu_busy_frequency": registers.busy_frequency,
            }
            if name in SUBSTATES and self._perf is not None:
                read: Callable[[], float | None] = partial(self._perf.share, cpu, name)
            else:
                read = reads.get(name) or partial(registers.residency, int(name[5]))
            _add(acc, "powerstat_core", name, _CORE[name], tags, read, failures)

    def _package(self, acc: Accumulator, package: int, failures: list[Exception]) -> None:
        tags = {"package_id": str(package)}
        registers = self._registers[self._processors.first_of(package)]
        reads: dict[str, Callable[[], float | None]] = {
            "current_power_consumption": lambda: self._energy.power(package, ""),
            "current_dram_power_consumption": lambda: self._energy.power(package, "dram"),
            "thermal_design_power": lambda: self._energy.design_power(package),
            "cpu_base_frequency": lambda: registers.base_frequency(self._processors.model),
        }
        for name in self._packages:
            if name in reads:
                _add(acc, "powerstat_package", name, _PACKAGE[name], tags, reads[name], failures)
                continue
            if name == "max_turbo_frequency":
                self._turbo(acc, tags, registers, failures)
                continue
            for die in self._processors.dies(package):
                frequencies = UncoreFrequencies(package, die)
                for kind, read in (
                    ("initial", frequencies.initial),
                    ("current", lambda f=frequencies: f.current(registers)),
                ):
                    try:
                        values = read()
                    except PyagentError as error:
                        failures.append(error)
                        continue
                    acc.add("powerstat_package", values, tags | {"die": str(die), "type": kind}, kind=MetricType.GAUGE)

    def _turbo(self, acc: Accumulator, tags: dict[str, str], registers: Registers, failures: list[Exception]) -> None:
        try:
            found = turbo_frequencies(registers, self._processors.model, hybrid=self._processors.hybrid)
        except PyagentError as error:
            failures.append(error)
            return
        two_kinds = any(turbo.secondary for turbo in found)
        for turbo in found:
            of_turbo = {"active_cores": str(turbo.active_cores)}
            if two_kinds:
                of_turbo["hybrid"] = "secondary" if turbo.secondary else "primary"
            values = {"max_turbo_frequency_mhz": Uint(turbo.mhz)}
            acc.add("powerstat_package", values, tags | of_turbo, kind=MetricType.GAUGE)


def _add(
    acc: Accumulator,
    measurement: str,
    name: str,
    declared: tuple[str, str, str],
    tags: dict[str, str],
    read: Callable[[], float | None],
    failures: list[Exception],
) -> None:
    try:
        value = read()
    except PyagentError as error:
        failures.append(error)
        return
    if value is not None:
        kind, suffix, _ = declared
        shown = Uint(value) if kind == "uint" else rounded(value)
        acc.add(measurement, {f"{name}_{suffix}": shown}, tags, kind=MetricType.GAUGE)


def _check(name: str, given: list[str], known: tuple[str, ...]) -> None:
    for place, metric in enumerate(given):
        if metric not in known:
            raise ConfigError(f"{name} has {metric!r}; there are {', '.join(known)}", option=name)
        if metric in given[:place]:
            raise ConfigError(f"{name} has {metric!r} twice; remove one", option=name)


def _numbers(name: str, groups: list[str]) -> list[int]:
    """The processors of groups such as "0-3" and "4,5"."""
    found: list[int] = []
    for part in (part for group in groups for part in group.split(",")):
        first, dash, last = part.partition("-")
        ends = [first, last] if dash else [first]
        if not all(end.isascii() and end.isdecimal() and len(end) <= 5 for end in ends):
            raise ConfigError(f"{name} has {part!r}; write a number or a range such as 0-3", option=name)
        numbers = range(int(first), int(ends[-1]) + 1)
        if not numbers or len(numbers) > _MOST_CPUS:
            raise ConfigError(f"{name} has the range {part!r}, which ends before it begins", option=name)
        found += numbers
    if len(set(found)) < len(found):
        raise ConfigError(f"{name} names a processor twice", option=name)
    return found

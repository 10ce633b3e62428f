"""The input intel_powerstat: registers, counters that begin anew, turbo frequencies, perf, and damaged files."""

import asyncio
import errno
import json
import os
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent_plugins.inputs.intel_powerstat import IntelPowerstat
from pyagent_plugins.inputs.intel_powerstat import readings as readings_module
from pyagent_plugins.inputs.intel_powerstat.perf import Kernel, read_events
from pyagent_plugins.inputs.intel_powerstat.readings import Energy, Registers
from pyagent_plugins.inputs.intel_powerstat.turbo import turbo_frequencies

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /sys: Linux only")

CASE = Path(__file__).resolve().parents[2] / "plugins" / "inputs" / "intel_powerstat" / "files"
OPTIONS = {"package_metrics": ["thermal_design_power", "uncore_frequency"], "cpu_metrics": ["cpu_frequency"]}
TSC, MPERF, APERF, C3, C6, C7 = 0x10, 0xE7, 0xE8, 0x3FC, 0x3FD, 0x3FE


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(CASE, tmp_path / "case")
    for name in ("proc", "sys", "dev"):
        monkeypatch.setenv(f"HOST_{name.upper()}", str(tmp_path / "case" / name))
    return tmp_path / "case"


def _registers(monkeypatch: pytest.MonkeyPatch, *states: dict[int, int]) -> Registers:
    registers, waiting = Registers(0), list(states)

    def read(*addresses: int) -> list[int]:
        state = waiting.pop(0)
        return [state.get(address, 0) for address in addresses]

    monkeypatch.setattr(registers, "read", read)
    return registers


def test_idle_states_and_the_busy_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {TSC: 1000, MPERF: 100, APERF: 100, C6: 50}
    after = {TSC: 2_001_000, MPERF: 500_100, APERF: 1_000_100, C6: 1_000_050}
    registers = _registers(monkeypatch, before, after)
    assert not registers.update(1_000)
    assert registers.update(1_001_000)
    assert [registers.residency(state) for state in (0, 1, 3, 6, 7)] == [25, 25, 0, 50, 0]
    assert registers.busy_frequency() == 4000  # 2 million cycles in a millisecond, at twice the base frequency


def test_shares_are_never_more_than_all_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    registers = _registers(monkeypatch, {TSC: 0}, {TSC: 100, MPERF: 100, C6: 100}, {TSC: 100})
    registers.update(0)
    registers.update(1)
    assert [registers.residency(state) for state in (0, 1, 6)] == [50, 0, 50]
    registers.update(2)
    with pytest.raises(PyagentError, match="its time stamp does not move"):
        registers.residency(0)
    with pytest.raises(PyagentError, match="MPERF does not move"):
        registers.busy_frequency()


def test_the_temperature_is_no_number_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    registers = _registers(monkeypatch, {0x1A2: 100 << 16, 0x19C: 32 << 16}, {0x1A2: 10 << 16, 0x19C: 32 << 16})
    assert registers.temperature() == 68
    with pytest.raises(PyagentError, match="its registers give -22 °C"):
        registers.temperature()


def test_power_and_a_counter_that_begins_anew(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = planted / "sys/devices/virtual/powercap/intel-rapl/intel-rapl:0"
    (zone / "max_energy_range_uj").write_text("5000000\n")
    now = iter((0, 10**9, 2 * 10**9, 3 * 10**9))
    monkeypatch.setattr(readings_module.time, "monotonic_ns", lambda: next(now))
    energy = Energy()
    found = []
    for value in (1_000_000, 4_000_000, 4_000_000, 2_000_000):
        (zone / "energy_uj").write_text(f"{value}\n")
        found.append(energy.power(0, ""))
    assert found == [None, 3.0, 0.0, 3.0]
    with pytest.raises(PyagentError, match="has no zone for it"):
        energy.power(0, "dram")


def test_registers_that_are_not_there(planted: Path) -> None:
    with pytest.raises(PyagentError, match=r"cannot read .*/dev/cpu/0/msr: there is no such file; load the module msr"):
        Registers(0).read(TSC)
    (planted / "dev/cpu/0").mkdir(parents=True)
    (planted / "dev/cpu/0/msr").write_bytes(bytes(20))
    with pytest.raises(PyagentError, match="there is no register 0x10"):
        Registers(0).read(TSC)


def _octets(*values: int) -> int:
    """A register: the lowest byte first."""
    return int.from_bytes(bytes(values), "little")


@pytest.mark.parametrize(
    ("model", "registers", "found"),
    [
        # One core more from byte to byte.
        (0x9E, {0x1AD: _octets(45, 44, 0, 42)}, [(4200, 4), (4400, 2), (4500, 1)]),
        (0x1A, {0x1AD: _octets(24, 23)}, [(3059, 2), (3192, 1)]),
        # Groups of cores, in a register of their own.
        (0x6A, {0x1AD: _octets(37, 35, 33), 0x1AE: _octets(2, 8, 24)}, [(3300, 24), (3500, 8), (3700, 2)]),
        # More than 8 cores: a second and a third register.
        (0x3E, {0x1AD: _octets(35), 0x1AE: _octets(33, 0, 0, 0, 0, 0, 0, 31)}, [(3100, 16), (3300, 9), (3500, 1)]),
        (0x3F, {0x1AD: _octets(36), 0x1AE: 0, 0x1AF: _octets(30, 29, 9)}, [(2900, 18), (3000, 17), (3600, 1)]),
        # Atoms: six bits each; the clock of the bus is 80 MHz here.
        (0x37, {0x66C: _octets(0xC0 | 30, 29, 28, 27), 0xCD: 4}, [(2160, 4), (2240, 3), (2320, 2), (2400, 1)]),
        # Xeon Phi: the first group, then differences; groups without one are the same as those before.
        (0x57, {0x1AD: _octets(2 << 1, 16, 2, 1 << 5 | 30, 4, 1 << 5 | 2)}, [(1400, 40), (1500, 34), (1600, 2)]),
        (0x57, {0x1AD: _octets(2 << 1, 1, 3 << 5)}, [(100, 2)]),
        (0x2E, {}, []),
    ],
)
def test_turbo_frequencies_by_model(
    model: int, registers: dict[int, int], found: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = _registers(monkeypatch, *[registers] * 5)
    turbos = turbo_frequencies(read, model, hybrid=False)
    assert [(turbo.mhz, turbo.active_cores) for turbo in turbos] == found


def test_turbo_frequencies_of_two_kinds_of_cores(planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = planted / "proc/cpuinfo"
    cpuinfo.write_text(cpuinfo.read_text().replace(": 106", ": 151"))
    state = {0x1AD: _octets(52, 51), 0x650: _octets(39)}
    monkeypatch.setattr(Registers, "read", lambda _, *addresses: [state.get(address, 0) for address in addresses])
    options = {"package_metrics": ["max_turbo_frequency"]}
    assert not any("hybrid" in line for line in lines(run_input(IntelPowerstat, options)))
    (planted / "sys/devices/cpu_atom").mkdir()
    assert sorted(lines(run_input(IntelPowerstat, options))) == [
        "powerstat_package,active_cores=1,hybrid=primary,package_id=0 max_turbo_frequency_mhz=5200u",
        "powerstat_package,active_cores=1,hybrid=secondary,package_id=0 max_turbo_frequency_mhz=3900u",
        "powerstat_package,active_cores=2,hybrid=primary,package_id=0 max_turbo_frequency_mhz=5100u",
    ]


CODES = {"C01": "0x10", "C02": "0x20", "C0_WAIT": "0x70", "THREAD": "0x02"}
EVENTS: list[dict[str, Any]] = [
    {"EventName": f"CPU_CLK_UNHALTED.{name}", "EventCode": "0x00" if name == "THREAD" else "0xec", "UMask": umask}
    for name, umask in CODES.items()
]
SUBSTATES = ["cpu_c0_substate_c01", "cpu_c0_substate_c02", "cpu_c0_substate_c0_wait"]


class PlantedKernel(Kernel):
    """`counts`: by the processor, for each of its events what reading it gives. `refused`: the number of an error."""

    def __init__(self, counts: dict[int, list[tuple[int, int, int] | bytes]], refused: int = 0) -> None:
        self.counts = counts
        self.refused = refused
        self.opened: dict[int, tuple[int, int, int, int]] = {}
        self.enabled: list[int] = []
        self._places: dict[int, tuple[int, int]] = {}

    def open(self, kind: int, config: int, cpu: int, leader: int) -> int:
        if self.refused and len(self.opened) % 4 == 2:
            raise OSError(self.refused, os.strerror(self.refused))
        descriptor = 100 + len(self._places)
        self._places[descriptor] = cpu, sum(place[2] == cpu for place in self.opened.values())
        self.opened[descriptor] = kind, config, cpu, leader
        return descriptor

    def enable(self, leader: int) -> None:
        self.enabled.append(leader)

    def read(self, descriptor: int) -> bytes:
        cpu, place = self._places[descriptor]
        value = self.counts[cpu][place]
        return value if isinstance(value, bytes) else struct.pack("=QQQ", *value)

    def close(self, descriptor: int) -> None:
        del self.opened[descriptor]


def _with_perf(planted: Path, kernel: Kernel, **more: Any) -> IntelPowerstat:
    cpuinfo = planted / "proc/cpuinfo"
    cpuinfo.write_text(cpuinfo.read_text().replace(": 106", ": 143"))
    formats = planted / "sys/devices/cpu/format"
    formats.mkdir(parents=True)
    for name, text in (("../type", "4"), ("event", "config:0-7"), ("umask", "config:8-11,40-43")):
        (formats / name).write_text(f"{text}\n")
    (planted / "events.json").write_text(json.dumps({"Header": {}, "Events": EVENTS}))
    options = {"package_metrics": [], "cpu_metrics": SUBSTATES, "event_definitions": str(planted / "events.json")}
    plugin = make_input(IntelPowerstat, options | more)
    assert plugin._perf is not None
    plugin._perf._kernel = kernel
    return plugin


def _gathered(plugin: IntelPowerstat) -> list[str]:
    acc = InputAccumulator(plugin.measurements)
    try:
        plugin.gather(acc)
    finally:
        metrics = acc.drain()
    if metrics:
        assert_declared(plugin, metrics)
    return lines(metrics)


def test_substates_by_perf(planted: Path) -> None:
    counts = {cpu: [(5, 8, 8), (5, 8, 4), (300, 9, 9), (1000, 9, 9)] for cpu in (0, 2)}
    kernel = PlantedKernel(counts)  # type: ignore[arg-type]  # an int is one of them
    plugin = _with_perf(planted, kernel, excluded_cpus=["1"])
    assert _gathered(plugin) == []  # what it has counted since it was opened is nothing yet
    assert sorted(_gathered(plugin)) == [
        f"powerstat_core,core_id={cpu},cpu_id={cpu},package_id=0 {field}"
        for cpu in (0, 2)
        for field in (
            "cpu_c0_substate_c01_percent=0.5",
            "cpu_c0_substate_c02_percent=1",  # it ran for half of the time
            "cpu_c0_substate_c0_wait_percent=30",
        )
    ]
    # The kernel's bits of the events, in groups by processor; the cycles are a counter of their own.
    configs = [*(0xEC | umask << 40 for umask in (1, 2, 7)), 0x3C]
    found = list(kernel.opened.values())
    assert [one[:3] for one in found] == [(4, config, cpu) for cpu in (0, 2) for config in configs]
    assert [one[3] for one in found] == [-1, 100, 100, 100, -1, 104, 104, 104]
    assert kernel.enabled == [100, 104]
    asyncio.run(plugin.stop())
    assert kernel.opened == {}


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (errno.EACCES, "CAP_PERFMON .* or `sysctl kernel.perf_event_paranoid=0`"),
        (errno.EMFILE, "raise LimitNOFILE"),
        (errno.ENOSYS, "built without perf"),
        (errno.ENOENT, "see whether `perf stat -e cycles -a` works"),
    ],
)
def test_what_perf_refuses_is_said_once_for_all_processors(planted: Path, refused: int, said: str) -> None:
    kernel = PlantedKernel({}, refused)
    plugin = _with_perf(planted, kernel)
    with pytest.raises(
        PyagentError, match=rf"^cannot count events of processor 0 by perf: {os.strerror(refused)}; .*{said}"
    ):
        _gathered(plugin)
    assert kernel.opened == {}


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (b"", "its counters have stopped; is it online"),
        ((7, 9, 0), "it never ran, as others have all counters; .* kernel.nmi_watchdog=0"),
    ],
)
def test_a_counter_that_does_not_count(planted: Path, count: Any, said: str) -> None:
    kernel = PlantedKernel({0: [count] * 4})
    plugin = _with_perf(planted, kernel, included_cpus=["0"], cpu_metrics=SUBSTATES[:1])
    _gathered(plugin)
    with pytest.raises(PyagentError, match=said):
        _gathered(plugin)
    kernel.counts = {0: [(1, 1, 1), (0, 0, 0), (0, 0, 0), (4, 1, 1)]}
    if count == b"":
        assert _gathered(plugin) == []  # it is opened anew
    assert len(_gathered(plugin)) == 1


def test_a_processor_without_events_or_with_other_bits(planted: Path) -> None:
    plugin = _with_perf(planted, PlantedKernel({}))
    formats = planted / "sys/devices/cpu/format"
    for text in ("config1:0-7", "config:0-", "config:9-2", "config:60-80", "config:0-3", ""):
        (formats / "event").write_text(text)
        with pytest.raises(PyagentError, match=str(formats / "event")):
            _gathered(plugin)
    shutil.rmtree(planted / "sys/devices/cpu")
    with pytest.raises(PyagentError, match=r"devices/cpu/type: .*does not count this processor's events"):
        _gathered(plugin)


def test_the_real_kernel_says_why() -> None:
    with pytest.raises(OSError, match=r"^\[Errno [0-9]+\] [A-Z]") as raised:
        Kernel().open(1, 0, 1 << 20, -1)  # there is no such processor
    assert raised.value.errno in (errno.EINVAL, errno.EACCES, errno.EPERM, errno.ENOSYS, errno.ENODEV)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory; take the file"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "; take the file"),
        ('{"Events": 3}', "there is no list of events"),
        ("{}", "there is no 'Events'"),
        (json.dumps([])[:2], "there is no 'CPU_CLK_UNHALTED.C01'"),
        (
            json.dumps([event | {"EventCode": "x"} for event in EVENTS]),
            "EventCode of CPU_CLK_UNHALTED.C01 is no number",
        ),
        (
            json.dumps([event | {"UMask": -1} for event in EVENTS]),
            "UMask of CPU_CLK_UNHALTED.C01 is no number but '-1'",
        ),
        (json.dumps([event | {"Unit": "iMC"} for event in EVENTS]), "is of the unit 'iMC'"),
        (json.dumps([{"EventName": event["EventName"]} for event in EVENTS]), "there is no 'EventCode'"),
    ],
)
def test_event_definitions_that_cannot_be(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "events.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=rf"cannot read the events in {path}: .*{said}"):
        read_events(str(path))


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["EventName", "EventCode", "UMask", "Unit", "Events"]), inner)))  # fmt: skip
def test_any_event_definitions(tmp_path_factory: pytest.TempPathFactory, found: Any) -> None:
    path = tmp_path_factory.mktemp("events") / "events.json"
    path.write_text(json.dumps([*EVENTS[:2], {"EventName": EVENTS[2]["EventName"], "EventCode": found}]))
    with pytest.raises(ConfigError, match="cannot read the events in"):
        read_events(str(path))
    path.write_text(json.dumps(found))
    with pytest.raises(ConfigError, match="cannot read the events in"):
        read_events(str(path))


@pytest.mark.parametrize("damage", ["", "x", "9" * 40, "-1", "\0\xff", "1 2", "nan"])
def test_a_damaged_file_is_named_and_costs_no_other(planted: Path, damage: str) -> None:
    whole = set(lines(run_input(IntelPowerstat, OPTIONS | {"excluded_cpus": ["1"]})))
    assert len(whole) == 5
    for file in ("cpu0/cpufreq/scaling_cur_freq", "intel_uncore_frequency/package_00_die_00/max_freq_khz"):
        path = planted / "sys/devices/system/cpu" / file
        text = path.read_text()
        path.write_text(damage)
        with pytest.raises(PyagentError, match=str(path)):
            run_input(IntelPowerstat, OPTIONS | {"excluded_cpus": ["1"]})
        path.write_text(text)
    (planted / "proc/cpuinfo").write_text(f"processor : {damage}\n")
    with pytest.raises(ConfigError, match="cpuinfo"):
        make_input(IntelPowerstat, OPTIONS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cpu_metrics": ["heat"]}, "has 'heat'"),
        ({"cpu_metrics": ["cpu_frequency"] * 2}, "twice"),
        ({"package_metrics": []}, "no metrics are asked for"),
        ({"cpu_metrics": ["cpu_c0_substate_c01"]}, "need `event_definitions`; set it"),
        ({"included_cpus": ["0-x"]}, "write a number or a range"),
        ({"included_cpus": ["3-1"]}, "ends before it begins"),
        ({"excluded_cpus": ["1", "0-2"]}, "twice"),
    ],
)
def test_options_that_cannot_be(planted: Path, options: dict[str, list[str]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_input(IntelPowerstat, options)

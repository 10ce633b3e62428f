"""The input intel_powerstat: registers, counters that begin anew, and damaged files."""

import shutil
import sys
from pathlib import Path

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.testing import lines, make_input, run_input
from pyagent_plugins.inputs.intel_powerstat import IntelPowerstat
from pyagent_plugins.inputs.intel_powerstat import readings as readings_module
from pyagent_plugins.inputs.intel_powerstat.readings import Energy, Registers

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
        ({"included_cpus": ["0-x"]}, "write a number or a range"),
        ({"included_cpus": ["3-1"]}, "ends before it begins"),
        ({"excluded_cpus": ["1", "0-2"]}, "twice"),
    ],
)
def test_options_that_cannot_be(planted: Path, options: dict[str, list[str]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_input(IntelPowerstat, options)

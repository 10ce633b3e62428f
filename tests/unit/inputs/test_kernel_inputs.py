"""The inputs of the kernel's files: what becomes of one that is damaged, and what a planted case cannot say."""

import asyncio
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from test_host_inputs import DAMAGES

from pyagent.api import ConfigError, Input, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent_plugins.inputs.cgroup import Cgroup
from pyagent_plugins.inputs.conntrack import Conntrack
from pyagent_plugins.inputs.hugepages import Hugepages
from pyagent_plugins.inputs.interrupts import Interrupts
from pyagent_plugins.inputs.kernel_vmstat import KernelVmstat
from pyagent_plugins.inputs.linux_cpu import LinuxCpu
from pyagent_plugins.inputs.linux_sysctl_fs import LinuxSysctlFs
from pyagent_plugins.inputs.mdstat import Mdstat
from pyagent_plugins.inputs.netstat import Netstat
from pyagent_plugins.inputs.nstat import Nstat
from pyagent_plugins.inputs.slab import Slab
from pyagent_plugins.inputs.temp import Temp

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: Linux only")

CASES = Path(__file__).resolve().parents[2] / "plugins" / "inputs"
PLANTED: dict[str, tuple[type[Input[Any]], dict[str, Any]]] = {
    "cgroup/version_2": (Cgroup, {"paths": ["DIR/sys/fs/cgroup/*"], "files": ["memory.*", "cpu.*", "io.stat"]}),
    "conntrack/statistics": (Conntrack, {"collect": ["all", "percpu"]}),
    "hugepages/default": (Hugepages, {}),
    "interrupts/cpu_as_tag": (Interrupts, {}),
    "kernel_vmstat/plain": (KernelVmstat, {}),
    "linux_cpu/both": (LinuxCpu, {"metrics": ["cpufreq", "thermal"]}),
    "linux_sysctl_fs/some": (LinuxSysctlFs, {}),
    "mdstat/arrays": (Mdstat, {}),
    "netstat/mapped": (Netstat, {}),
    "nstat/default_root": (Nstat, {"dump_zeros": True}),
    "slab/plain": (Slab, {}),
    "temp/hwmon_and_zones": (Temp, {"metric_format": "v1", "always_gather_zones": True}),
}
NAMES = {"name", "type", "temp1_label"}
"""Files of names: any text is one. `temp1_max` is a threshold, and is left out where it is none."""


def _plant(case: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    shutil.copytree(CASES / case, work)
    for name in ("proc", "sys"):
        monkeypatch.setenv(f"HOST_{name.upper()}", str(work / name))
    options = PLANTED[case][1]
    return (
        options | {"paths": [path.replace("DIR", str(work)) for path in options["paths"]]}
        if "paths" in options
        else options
    )


async def _gathered(
    plugin: type[Input[Any]], options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> tuple[set[str], str]:
    """Each field with its value, and all that was said."""
    caplog.clear()
    said = ""
    with caplog.at_level(logging.WARNING):
        try:
            made = make_input(plugin, options)
            acc = InputAccumulator(made.measurements)
            try:
                await asyncio.sleep(0)
                done = made.gather(acc)
                if done is not None:
                    await done
            except PyagentError as error:
                said = str(error)
            found = acc.drain()
        except ConfigError as error:
            said, found = str(error), []
    said += "\n".join(record.getMessage() for record in caplog.records)
    each = set[str]()
    for line in lines(found):
        series, _, fields = line.rpartition(" ")
        # Those of netstat are counts of lines: one less for each that is left out.
        each |= {f"{series} {name}" for name in (fields.split(",") if plugin is not Netstat else [])}
    return each, said


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("case", PLANTED)
async def test_a_damaged_file_gives_no_wrong_number(
    case: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if case.startswith("cgroup") and damage in ("doubled", "too large"):
        return  # any text of this form may stand there
    work = tmp_path / "case"
    options = _plant(case, work, monkeypatch)
    plugin = PLANTED[case][0]
    whole, said = await _gathered(plugin, options, caplog)
    assert whole or plugin is Netstat
    assert not said
    for file in sorted(path for name in ("proc", "sys") for path in (work / name).rglob("*") if path.is_file()):
        if file.name in NAMES:
            continue
        data = file.read_bytes()
        for damaged in DAMAGES[damage](data):
            file.write_bytes(damaged)
            got, said = await _gathered(plugin, options, caplog)
            assert got <= whole, (file, damaged[:200], said)
            quiet = damage == "emptied" or plugin is Netstat or file.name == "temp1_max"
            quiet |= damaged.endswith(b" ")  # no word is cut
            assert got == whole or quiet or str(file) in said, (file, damaged[:200])
        file.write_bytes(data)


@pytest.mark.parametrize("case", [case for case in PLANTED if case.split("/")[0] not in ("conntrack", "linux_cpu")])
def test_what_this_host_gives_is_declared(case: str) -> None:
    plugin, options = PLANTED[case]
    try:
        metrics = run_input(plugin, options)
    except PyagentError as error:
        assert "cannot read" in str(error)  # noqa: PT017  # a host without it, or one that does not let everybody read it
        return
    if metrics:
        assert_declared(plugin, metrics)


def test_a_file_that_only_root_may_read_is_read_by_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CASES / "slab/plain/proc", tmp_path / "proc")
    monkeypatch.setenv("HOST_PROC", str(tmp_path / "proc"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda *_: False)
    program = tmp_path / "sudo"
    program.write_text('#!/bin/sh\n[ "$1 $2" = "-n /bin/cat" ] || exit 3\nshift\nexec "$@"\n')
    program.chmod(0o755)
    [metric] = run_input(Slab)
    assert metric.fields == {"ext4_groupinfo_4k_size": 44640, "kmalloc_rcl_8k_size": 24576}

    program.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    with pytest.raises(PyagentError, match=r"NOPASSWD: /bin/cat .*/slabinfo.*a password is required"):
        run_input(Slab)


@pytest.mark.parametrize(
    ("plugin", "options", "cause"),
    [
        (Conntrack, {"collect": ["some"]}, "'some': it is not all or percpu"),
        (Hugepages, {"types": []}, "types is empty"),
        (Hugepages, {"types": ["roots"]}, "'roots': it is not root, per_node or meminfo"),
        (LinuxCpu, {"metrics": []}, "metrics is empty"),
        (LinuxCpu, {"host_sys": "/nonexistent"}, "/nonexistent/devices/system/cpu: No such file"),
        (Temp, {"metric_format": "v3"}, "'v3': it is not v1 or v2"),
    ],
)
def test_options_that_cannot_be(plugin: type[Input[Any]], options: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        make_input(plugin, options)


def test_a_thousand_lines_of_a_group_that_almost_fit_are_read_at_once(tmp_path: Path) -> None:
    (tmp_path / "io.stat").write_text("8:0 " + "1" * 20_000 + "x\n")
    (tmp_path / "cpu.max").write_text("1" * 20_000 + "x\n")
    (tmp_path / "memory.stat").write_text("anon 5\n" * 1000 + "anon\n")
    with pytest.raises(PyagentError, match="its format is unknown"):
        run_input(Cgroup, {"paths": [str(tmp_path)], "files": ["*"]})
    (tmp_path / "numa").write_text("total=5 N0=5\nfile=5 N0=5\n")
    with pytest.raises(PyagentError, match=r"unknown: total=5 N0=5; leave numa out of `files`$"):
        run_input(Cgroup, {"paths": [str(tmp_path)], "files": ["numa"]})


def test_a_short_line_of_the_statistics_of_connections_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = _plant("conntrack/statistics", tmp_path / "case", monkeypatch)
    whole = run_input(Conntrack, options)
    with (tmp_path / "case/proc/net/stat/nf_conntrack").open("a") as file:
        file.write("0000000a 0000000b\n")
    assert lines(run_input(Conntrack, options)) == lines(whole)
    assert "line 4: it has not 17 numbers" in caplog.text


def test_hundred_thousand_connections_with_the_same_addresses_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _plant("netstat/mapped", tmp_path / "case", monkeypatch)
    line = "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 12 1\n"
    with (tmp_path / "case/proc/net/tcp").open("a") as file:
        file.write(line * 100_000)
    [metric] = run_input(Netstat)
    assert metric.fields["tcp_established"] == 1

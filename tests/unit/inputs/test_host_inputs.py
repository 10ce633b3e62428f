"""The inputs disk, diskio, net, processes, swap and system: damaged files of the host, and what a planted case cannot say."""

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from pyagent.api import Input, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, lines, make_input, run_input
from pyagent.testing import gather as gather_once
from pyagent_plugins.inputs import disk as disk_module
from pyagent_plugins.inputs import diskio as diskio_module
from pyagent_plugins.inputs import net as net_module
from pyagent_plugins.inputs import processes as processes_module
from pyagent_plugins.inputs import swap as swap_module
from pyagent_plugins.inputs import system as system_module
from pyagent_plugins.inputs.disk import Disk
from pyagent_plugins.inputs.diskio import Diskio
from pyagent_plugins.inputs.net import Net
from pyagent_plugins.inputs.processes import Processes
from pyagent_plugins.inputs.swap import Swap
from pyagent_plugins.inputs.system import System

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: Linux only")

CASES = Path(__file__).resolve().parents[2] / "plugins" / "inputs"
HUGE = b"9" * 40


def _cut(data: bytes) -> list[bytes]:
    """At several places, none of them the end of a line."""
    places = {len(data) * part // 7 for part in range(1, 7)} | {len(data) - 2}
    return [data[:place] for place in places if place > 0 and data[place - 1 : place] != b"\n"]


DAMAGES: dict[str, Callable[[bytes], list[bytes]]] = {
    "cut": _cut,
    "doubled": lambda data: [data + data],
    "emptied": lambda _: [b""],
    "binary": lambda data: [bytes(range(256)) * 4, data.replace(b" ", b"\0"), b"\xff\xfe" + data],
    "too large": lambda data: [
        b" ".join([*words[:place], HUGE, *words[place + 1 :]])
        for words in [data.split(b" ")]
        for place in range(len(words))
        if words[place].isdigit()
    ][:40],
}
PLANTED: dict[str, tuple[type[Input[Any]], str, Mapping[str, Any], str]] = {
    "disk": (Disk, "disk/all", {"ignore_fs": ["proc"]}, "proc/1/mountinfo"),
    "disk by mounts": (Disk, "disk/mounts", {}, "proc/self/mounts"),
    "diskio": (Diskio, "diskio/links", {}, "proc/diskstats"),
    "net": (Net, "net/all", {}, "proc/net/dev"),
    "processes": (Processes, "processes/states", {}, "proc/2/stat"),
    "swap": (Swap, "swap/used", {}, "proc/meminfo"),
    "swap, pages": (Swap, "swap/used", {}, "proc/vmstat"),
    "system, load": (System, "system/parts", {"include": ["load"]}, "proc/loadavg"),
    "system, processors": (System, "system/parts", {"include": ["cpus"]}, "proc/cpuinfo"),
    "system, users": (System, "system/parts", {"include": ["users"]}, "var/run/utmp"),
}
MAY_BE_EMPTY = ("diskio", "system, users")
"""On a host without disks, and where nobody is logged in."""


def _plant(case: str, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CASES / case, work, symlinks=True)
    for name in ("proc", "sys", "var", "etc", "dev", "run"):
        monkeypatch.setenv(f"HOST_{name.upper()}", str(work / name))
    if (work / "hostfs").is_dir():
        monkeypatch.setenv("HOST_MOUNT_PREFIX", str(work / "hostfs"))


def _without_sizes(text: str) -> str:
    """Those of a file system are the host's, and move."""
    return " ".join(text.split(" ")[:-1]) if text.startswith("disk,") else text


async def _gathered(plugin: Input[Any], caplog: pytest.LogCaptureFixture) -> tuple[list[str], str]:
    """The lines, and all that was said: warnings, and the error where there was one."""
    acc, said = InputAccumulator(plugin.measurements), ""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        try:
            await asyncio.sleep(0)
            done = plugin.gather(acc)
            if done is not None:
                await done
        except PyagentError as error:
            said = str(error)
    said += "\n".join(record.getMessage() for record in caplog.records)
    return [_without_sizes(line) for line in lines(acc.drain())], said


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("planted", PLANTED)
async def test_a_damaged_file_gives_no_wrong_number(
    planted: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugin, case, options, name = PLANTED[planted]
    if damage == "emptied" and planted in MAY_BE_EMPTY:
        return
    work = tmp_path / "case"
    _plant(case, work, monkeypatch)
    whole, said = await _gathered(make_input(plugin, options), caplog)
    assert whole
    assert not said
    file = work / name
    data = file.read_bytes()
    for damaged in DAMAGES[damage](data):
        if planted == "disk by mounts" and damaged.startswith(b"\xff"):
            continue  # a device may have any name
        file.write_bytes(damaged)
        got, said = await _gathered(make_input(plugin, options), caplog)
        if sorted(got) == sorted(whole):
            continue  # what was damaged does not count
        assert str(file) in said or str(work / "proc/stat") in said, (damaged[:200], got)
        if plugin is not Processes:  # which leaves out the one process, and says so
            assert set(got) <= set(whole), damaged[:200]


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        (Disk, {}),
        (Diskio, {"skip_serial_number": False, "device_tags": ["ID_FS_TYPE"], "name_templates": ["$ID_FS_LABEL"]}),
        (Net, {}),
        (Processes, {}),
        (Swap, {}),
        (System, {"include": ["legacy", "load", "users", "cpus", "uptime", "os", "dmi"]}),
    ],
    ids=lambda given: given.__name__ if isinstance(given, type) else "",
)
def test_what_this_host_gives_is_declared(plugin: type[Input[Any]], options: dict[str, Any]) -> None:
    assert_declared(plugin, run_input(plugin, options))


@pytest.mark.parametrize("module", [disk_module, diskio_module, net_module, swap_module, system_module])
def test_elsewhere_psutil_is_asked(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and issubclass(value, Input)
    )
    linux = run_input(plugin)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert psutil.LINUX  # and goes on to read this host
    other = run_input(plugin)
    assert_declared(plugin, other)
    if module in (swap_module, system_module):
        # Not every Linux keeps account of its users, and psutil counts those of none.
        found, wanted = ({name for metric in some for name in metric.fields} for some in (other, linux))
        assert found - {"n_users", "n_unique_users"} <= wanted
        assert len(linux) == len(other)
    if module is net_module:
        assert {metric.tags["interface"] for metric in linux} == {metric.tags["interface"] for metric in other}


def test_elsewhere_ps_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ps"
    program.write_text(
        '#!/bin/sh\n[ "$*" = "axo state" ] || exit 3\nprintf "STAT\\nSs\\nR+\\nU\\nI\\nZ\\nW\\n?\\nQ\\n"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(processes_module.sys, "platform", "freebsd14")
    [metric] = run_input(Processes)
    assert metric.fields == {
        **dict.fromkeys(("sleeping", "running", "blocked", "idle", "zombies", "wait", "unknown"), 1),
        "stopped": 0,
        "total": 8,
    }
    program.write_text("#!/bin/sh\necho no >&2; exit 1\n")
    with pytest.raises(PyagentError, match=r"cannot run `ps axo state`: exit status 1: no"):
        run_input(Processes)


def test_interfaces_that_are_up_and_no_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOST_PROC", raising=False)
    up = {name for name, found in psutil.net_if_stats().items() if found.isup}
    assert {metric.tags["interface"] for metric in run_input(Net)} == up - {"lo"}
    [metric] = run_input(Net, {"interfaces": ["lo"]})
    assert (metric.tags, metric.fields["speed"]) == ({"interface": "lo"}, -1)


def test_the_sizes_are_those_of_df(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")
    monkeypatch.setenv("HOST_PROC", str(tmp_path))
    [metric] = run_input(Disk)
    expected = psutil.disk_usage("/")
    assert metric.fields["total"] == expected.total
    assert abs(float(metric.fields["used"]) - expected.used) < expected.total / 10
    assert abs(float(metric.fields["used_percent"]) - expected.percent) < 10


def test_a_container_that_sees_its_own_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the prefix are those of the host; they are named as the host does."""
    (tmp_path / "1").mkdir()
    root, data = tmp_path / "hostfs", tmp_path / "hostfs/srv"
    data.mkdir(parents=True)
    (tmp_path / "1/mountinfo").write_text(
        "1 0 0:30 / / rw - overlay overlay rw\n"
        f"2 1 8:2 / {root} ro - ext4 /dev/sda2 rw\n"
        f"3 2 8:3 / {data} rw - xfs /dev/sda3 rw\n"
        f"4 1 8:4 / {root}2 rw - xfs /dev/sda4 rw\n"
    )
    monkeypatch.setenv("HOST_PROC", str(tmp_path))
    monkeypatch.setenv("HOST_MOUNT_PREFIX", f"{root}/")
    paths = {metric.tags["path"]: metric.tags["device"] for metric in run_input(Disk)}
    assert paths == {"/": "sda2", "/srv": "sda3"}
    for named in ("/srv", str(data)):
        [metric] = run_input(Disk, {"mount_points": [named]})
        assert metric.tags["path"] == "/srv"


def test_names_of_the_device_mapper_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("proc/self", "dev/mapper"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "dev/dm-0").touch()
    (tmp_path / "dev/mapper/vg-lv").symlink_to("../dm-0")
    (tmp_path / "proc/self/mountinfo").write_text("1 0 253:0 / / rw - ext4 /dev/mapper/vg-lv rw\n")
    monkeypatch.setenv("HOST_PROC", str(tmp_path / "proc"))
    monkeypatch.setenv("HOST_DEV", str(tmp_path / "dev"))
    [metric] = run_input(Disk)
    assert metric.tags["device"] == f"{tmp_path}dm-0"  # as Telegraf has it
    (tmp_path / "dev/mapper/vg-lv").unlink()
    [metric] = run_input(Disk)
    assert metric.tags["device"] == "mapper/vg-lv"


def test_swap_without_meminfo_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vmstat").write_text("pswpin 4503599627370496\npswpout 18446744073709551615\npgfault 1\n")
    monkeypatch.setenv("HOST_PROC", str(tmp_path))
    sizes, moved = run_input(Swap)
    assert sizes.fields["total"] == psutil.swap_memory().total
    page = os.sysconf("SC_PAGE_SIZE")
    assert moved.fields["out"] == (1 << 64) - page


def test_the_processors_are_counted_anew_when_others_are_online(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "devices/system/cpu"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOST_SYS", str(tmp_path))
    monkeypatch.setenv("HOST_PROC", str(tmp_path))

    async def counts() -> list[object]:
        plugin = make_input(System, {"include": ["cpus"]})
        found: list[object] = []
        for online, count in (("0-1\n", 2), ("0-1\n", 3), ("0-2\n", 3)):
            (folder / "online").write_text(online)
            (tmp_path / "cpuinfo").write_text("".join(f"processor\t: {number}\n\n" for number in range(count)))
            [metric] = await gather_once(plugin)
            found.append(metric.fields["n_cpus"])
        return found

    assert asyncio.run(counts()) == [2, 2, 3]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, " 0:00"), (8082, " 2:14"), (86_400, "1 day,  0:00"), (14 * 86_400 + 11 * 3600 + 7 * 60, "14 days, 11:07")],
)
def test_uptime_for_people(seconds: int, text: str) -> None:
    assert system_module._for_people(seconds) == text

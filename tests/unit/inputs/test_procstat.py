"""inputs.procstat: what it reads of processes, and what damaged files, other accounts and numbers used anew do to it."""

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.kit.command import Commands
from pyagent_plugins.inputs.procstat.filters import Filter, FilterOptions
from pyagent_plugins.inputs.procstat.finders import cgroups, pid_of_file, supervised, systemd_main, systemd_units
from pyagent_plugins.inputs.procstat.processes import Processes
from pyagent_plugins.inputs.procstat.sockets import Sockets

_ALL = ("cpu", "limits", "memory", "mmap")

_STAT = (
    "{pid} (a (b) c) {state} {ppid} 7 7 0 -1 0 1 2 3 4 {user} 50 0 0 20 -5 2 0 {started} 4096 10 18446744073709551615"
)
_STATUS = """Name:\ta (b) c
State:\tS (sleeping)
PPid:\t1
Uid:\t0\t0\t0\t0
VmSize:\t 8 kB
VmLck:\t 1 kB
VmRSS:\t 4 kB
VmData:\t 2 kB
VmStk:\t 3 kB
Threads:\t2
SigQ:\t1/15000
ShdPnd:\t0000000000000002
voluntary_ctxt_switches:\t10
nonvoluntary_ctxt_switches:\t3
"""
_FILES = {
    "comm": "a (b) c\n",
    "status": _STATUS,
    "io": "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 18446744073709551615\ncancelled_write_bytes: 0\n",
    "statm": "2 1 0 0 0 0 0\n",
    "cmdline": "/bin/x\0-a\0\0b c\0",
    "smaps_rollup": "00-ff ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: 5 kB\nSwap: 1 kB\n",
    "limits": "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max open files            1024                 524288               files     \n"
    "Max stack size            8388608              unlimited            bytes     \n"
    "Max pending signals       15000                15000                signals   \n"
    "Max nice priority         0                    0                    \n",
}


def _plant(root: Path, pid: int, *, ppid: int = 1, started: int = 5000, user: int = 100, state: str = "S") -> Path:
    folder = root / str(pid)
    (folder / "fd").mkdir(parents=True, exist_ok=True)
    for number in range(3):
        (folder / "fd" / str(number)).touch()
    stat = _STAT.format(pid=pid, ppid=ppid, started=started, user=user, state=state) + " 0" * 14 + " 0 0 33 0 0\n"
    (folder / "stat").write_text(stat)
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOST_PROC", str(tmp_path / "proc"))
    monkeypatch.setenv("HOST_SYS", str(tmp_path / "sys"))
    root = tmp_path / "proc"
    root.mkdir()
    (root / "stat").write_text("cpu 1\nbtime 1700000000\n")
    (root / "meminfo").write_text("MemTotal:       16000000 kB\n")
    _plant(root, 7)
    return root


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _processes(problems: list[str], clock: Clock | None = None) -> Processes:
    return Processes(_ALL, lambda error: problems.append(str(error)), clock or Clock())


def _values(processes: Processes, pid: int = 7) -> dict[str, Any]:
    processes.begin()
    process = processes.process(pid)
    assert process is not None
    return process.values


def test_what_it_reads_of_a_process(proc: Path) -> None:
    problems: list[str] = []
    values = _values(_processes(problems))
    assert not problems
    page, ticks = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    wanted = {
        "cmdline": "/bin/x -a b c",
        "num_fds": 3,
        "num_threads": 2,
        "child_minor_faults": 2,
        "major_faults": 3,
        "created_at": (1_700_000_000_000 + 5000 * 1000 // ticks) * 1_000_000,
        "cpu_time_user": 100 / ticks,
        "cpu_time_iowait": 33 / ticks,
        "cpu_time": 150 // ticks,
        "disk_write_bytes": 18446744073709551615,
        "memory_vms": 8192,
        "memory_rss": 4096,
        "memory_pss": 5,
        "memory_size": 0,
        "memory_stack": 3072,
        "nice_priority": 25,
        "signals_pending": 2,
        "rlimit_cpu_time_soft": 18446744073709551615,
        "rlimit_num_fds_hard": 524288,
        "status": "sleep",
        "user": "root",
        "voluntary_context_switches": 10,
    }
    assert page == 4096 or wanted.pop("memory_rss")
    assert {name: values.get(name) for name in wanted} == wanted
    assert "cpu_usage" not in values


def test_usage_is_of_the_time_since_the_last_gather_and_a_number_used_anew_begins_anew(proc: Path) -> None:
    clock = Clock()
    processes = _processes([], clock)
    ticks = os.sysconf("SC_CLK_TCK")
    _values(processes)
    clock.now += 10
    _plant(proc, 7, user=100 + 5 * ticks)
    assert _values(processes)["cpu_usage"] == 50.0
    clock.now += 10
    _plant(proc, 7, user=4000, started=9000)
    (proc / "7/comm").write_text("other\n")
    assert "cpu_usage" not in _values(processes)
    process = processes.process(7)
    assert process is not None
    assert process.name == "other"


def _variants(data: bytes) -> Iterator[bytes]:
    for part in range(0, len(data), max(len(data) // 8, 1)):
        yield data[:part]
    yield data + data
    yield b"\xff\0\x80 \n:\t" * 20
    for place, byte in enumerate(data):
        if chr(byte).isdigit() and not chr(data[place - 1]).isdigit():
            yield data[:place] + b"9" * 45 + data[place:]
    yield b"9" * 9000


@pytest.mark.parametrize("name", ["stat", *_FILES])
def test_damaged_files_are_a_problem_with_the_place_or_lack_fields(proc: Path, name: str) -> None:
    whole = _values(_processes([]))
    path = proc / "7" / name
    for damaged in _variants(path.read_bytes()):
        path.write_bytes(damaged)
        problems: list[str] = []
        processes = _processes(problems)
        processes.begin()
        process = processes.process(7)
        assert all(f"/7/{name}: line " in problem for problem in problems), problems
        for field, value in process.values.items() if process else ():
            # As in Telegraf, it has a sign where there are no limits.
            assert isinstance(value, type(whole[field])) or (field == "num_fds" and value == 3)
            assert not isinstance(value, int) or -(1 << 63) <= value < 1 << 64


def test_a_file_with_the_number_of_a_process(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    path.write_text(" 12\n")
    assert pid_of_file(str(path)) == 12
    for text in ("", "abc", "99999999999", "1 2", "1_0"):
        path.write_text(text)
        with pytest.raises(PyagentError, match=r"x\.pid: line 1 is"):
            pid_of_file(str(path))


def test_control_groups(tmp_path: Path, proc: Path) -> None:
    folder = tmp_path / "sys/fs/cgroup/system.slice/x.service"
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text("7\n8\n")
    [group] = cgroups("system.slice/*.service")
    assert (group.pids, group.tags) == ([7, 8], {"cgroup": "system.slice/*.service", "cgroup_full": str(folder)})
    (folder / "cgroup.procs").write_text("7\nx\n")
    with pytest.raises(PyagentError, match=r"cgroup\.procs: line 2 is 'x'"):
        cgroups(str(folder))
    with pytest.raises(PyagentError, match="no directory"):
        cgroups(str(folder / "cgroup.procs"))
    assert cgroups("nosuch") == []


def _program(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> Commands:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Commands(timeout=10)


def test_units_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """case "$*" in
*list-unit-files*) printf 'a.service enabled enabled\\nb.service static -\\nt@.service static -\\nc.timer static -\\n' ;;
*Id*) printf 'MainPID=12\\nId=a.service\\n\\nMainPID=0\\nId=b.service\\n' ;;
*show*) printf 'Id=a\\nMainPID=12\\n' ;;
esac"""
    commands = _program(tmp_path / "bin", "systemctl", script, monkeypatch)
    assert systemd_main(commands, "a") == [12]
    [group] = systemd_units(commands, ["*"])
    assert (group.pids, group.tags) == ([12], {"systemd_unit": "a.service"})


def test_units_of_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ("web RUNNING   pid 7, uptime 1 day, 3:16:12", "db FATAL  Exited too quickly", "x STOPPED", "broken")
    script = "".join(f"echo '{line}'\n" for line in lines) + "exit 3"
    found = supervised(_program(tmp_path / "bin", "supervisorctl", script, monkeypatch), "web db")
    assert [pid for _, pid in found] == [7, None, None]
    assert found[1][0] == {"supervisor_unit": "db", "status": "FATAL", "error": "Exited too quickly"}
    cut = _program(tmp_path / "bin", "supervisorctl", "echo web RUNNING pid", monkeypatch)
    with pytest.raises(PyagentError, match="line 1 is 'web RUNNING pid'"):
        supervised(cut, "web")
    away = "echo 'unix:///var/run/supervisor.sock no such file'; exit 4"
    with pytest.raises(PyagentError, match=r"exit status 4: unix:///var/run/supervisor.sock no such file$"):
        supervised(_program(tmp_path / "bin", "supervisorctl", away, monkeypatch), "web")


def test_filters_select_and_go_down_the_generations(proc: Path) -> None:
    _plant(proc, 8, ppid=7)
    _plant(proc, 9, ppid=8)
    processes = _processes([])
    processes.begin()

    def groups(**options: Any) -> list[tuple[list[int], int]]:
        made = Filter(FilterOptions(name="f", **options), processes, Commands(timeout=10), print)
        return [(group.pids, group.level) for group in made.groups()]

    shutil.rmtree(proc / "9" / "fd")
    assert groups(patterns=["^/bin/x -a"], users=["ro*"], process_names=["a*"]) == [([7, 8, 9], 0)]
    assert groups(patterns=["nosuch"]) == [([], 0)]
    path = proc / "x.pid"
    path.write_text("7")
    assert groups(pid_files=[str(path)], recursion_depth=1) == [([7], 0), ([8], 1)]
    assert groups(pid_files=[str(path)], recursion_depth=-1) == [([7], 0), ([8], 1), ([9], 2)]
    path.write_text("77")
    assert groups(pid_files=[str(path)]) == [([], 0)]
    with pytest.raises(ConfigError, match="named"):
        Filter(FilterOptions(), processes, Commands(timeout=10), print)
    with pytest.raises(ConfigError, match="cannot select by pid_files and cgroups"):
        Filter(FilterOptions(name="f", pid_files=["x"], cgroups=["y"]), processes, Commands(timeout=10), print)


def test_its_own_sockets(tmp_path: Path) -> None:
    if not Path("/proc/self/net/unix").exists():
        pytest.skip("there is no /proc/self/net")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local,
    ):
        datagrams.bind(("127.0.0.1", 0))
        local.bind(str(tmp_path / "s"))
        sockets = Sockets()
        [one] = [x for x in sockets.of(os.getpid(), "tcp4") if x["src_port"] == listener.getsockname()[1]]
        assert one["state"] == "listen"
        assert one["bytes_sent"] == 0
        assert any(x["src_port"] == datagrams.getsockname()[1] for x in sockets.of(os.getpid(), "udp4"))
        [one] = [x for x in sockets.of(os.getpid(), "unix") if x["name"] == str(tmp_path / "s")]
        assert (one["type"], one["state"]) == ("dgram", "close")

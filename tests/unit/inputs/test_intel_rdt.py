"""What pqos prints, whole and damaged, and what the groups of processors may be."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input
from pyagent_plugins.inputs import intel_rdt
from pyagent_plugins.inputs.intel_rdt import IntelRdt

HEADER = b"NOTE:  Mixed use\nCMT/MBM reset successful\nTime,Core,IPC,LLC Misses,LLC[KB],MBL[MB/s],MBR[MB/s],MBT[MB/s]\n"
FIRST = b'2026-01-02 03:04:05,"0,1",0.00,0,0.0,0.0,0.0,0.0\n'
ROWS = b"".join(b'2026-01-02 03:04:0%d,"0,1",0.5%d,61650,1632.0,0.6,0.9,1.9\n' % (n, n) for n in range(6, 9))
PRINTED = HEADER + FIRST + ROWS


class Program:
    """In place of one that runs."""

    received: Callable[[bytes], Awaitable[None]]
    ended: Callable[[], str]
    command: list[str]

    def __init__(self, command: list[str], received: Any, log: logging.Logger, *, ended: Any, **_: Any) -> None:
        Program.command, Program.received, Program.ended = command, received, ended

    async def start(self) -> None:
        """It runs."""


@pytest.fixture(autouse=True)
def pqos(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("bin") / "pqos"
    path.write_text("")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(intel_rdt, "LongRunning", Program)
    return path


def read(chunks: list[bytes], **options: Any) -> list[str]:
    """The metrics of what pqos prints."""

    async def run() -> list[str]:
        plugin = make_input(IntelRdt, {"cores": ["0-1"], **options})
        acc = InputAccumulator(plugin.measurements)
        await plugin.start(acc)
        for chunk in chunks:
            await Program.received(chunk)
        return lines(acc.drain())

    return asyncio.run(run())


WHOLE = {
    rf"rdt_metric,cores=0\,1,name={name} value={value}"
    for name, values in {
        "IPC": ("0.56", "0.57", "0.58"),
        "LLC_Misses": ("61650",),
        "LLC": ("1632",),
        "MBL": ("0.6",),
        "MBR": ("0.9",),
        "MBT": ("1.9",),
    }.items()
    for value in values
}


@given(cuts=st.lists(st.integers(0, len(PRINTED)), max_size=6))
def test_it_does_not_matter_how_the_text_comes(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(PRINTED)]
    got = read([PRINTED[start:end] for start, end in pairwise(bounds)])
    assert set(got) == WHOLE
    assert len(got) == 18


@given(start=st.integers(0, len(ROWS)), length=st.integers(0, 200), instead=st.binary(max_size=20) | st.just(FIRST))
def test_damage_changes_no_other_line(start: int, length: int, instead: bytes) -> None:
    damaged = ROWS[:start] + instead + ROWS[start + length :]
    intact = {line for line in ROWS.splitlines() if line in damaged.splitlines()}
    got = read([HEADER, FIRST, damaged, b"\n"])
    assert set(read([HEADER, FIRST, *(line + b"\n" for line in intact)])) <= set(got)
    for one in got:
        assert one.startswith("rdt_metric,cores=")


@given(cut=st.integers(0, len(ROWS)))
def test_a_cut_line_gives_nothing(cut: int) -> None:
    assert set(read([HEADER, FIRST, ROWS[:cut]])) <= WHOLE
    after = ROWS[:cut].rpartition(b"\n")[2]
    if after.count(b",") < 7:
        assert set(read([HEADER, FIRST, after, b"\n"])) == set()


@given(data=st.binary(max_size=300))
def test_any_bytes_are_bearable(data: bytes) -> None:
    assert read([data]) == []
    read([HEADER, FIRST, data, b"\n"])


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('2026-01-02 03:04:06,"0,1",0.5,6,1.0', "it has 6 words, and 6 columns of values"),
        ('2026-01-02 03:04:06,"0,1",0.5,6,1.0,0.6,0.9', "'\"0' is no list of processors"),
        ('2026-01-02 03:04:06,"0,1",0.5,6,1.0,0.6,0.9,1.9,"0,1",0.5', "is no list of processors"),
        ('2026-13-02 03:04:06,"0,1",0.5,6,1.0,0.6,0.9,1.9', "'2026-13-02 03:04:06' is no time"),
        ('2026-01-02 03:04:06,"0,1",0.5,six,1.0,0.6,0.9,1.9', "'six' is no number for LLC_Misses"),
        ('2026-01-02 03:04:06,"cores",0.5,6,1.0,0.6,0.9,1.9', "is no list of processors"),
        ("x" * 70_000, "a line has more than 65536 bytes"),
    ],
)
def test_a_line_that_cannot_be_read_is_told(line: str, cause: str, caplog: pytest.LogCaptureFixture) -> None:
    read([HEADER, FIRST, line.encode(), b"\n", line.encode(), b"\n", ROWS])
    (record,) = caplog.records
    assert cause in record.getMessage()


def test_what_it_says_before_it_ends_is_told_with_what_to_do() -> None:
    read([b"NOTE: Mixed use\nError initializing PQoS library!\n" * 2])
    assert Program.ended().startswith(
        "Error initializing PQoS library!; Error initializing PQoS library!; pqos needs root ("
    )
    read([PRINTED])
    assert Program.ended() == ""
    assert Program.ended().startswith("pqos needs root (")


def test_sudo_is_asked_for(pqos: Path) -> None:
    read([], cores=["0-3,5", "4"], use_sudo=True, sampling_interval=0)
    arguments = "-r --iface-os --mon-file-type=csv --mon-interval=10"
    groups = "--mon-core=all:[0,1,2,3,5];mbt:[0,1,2,3,5];all:[4];mbt:[4];"
    assert Program.command == ["sudo", str(pqos), *arguments.split(), groups]


@pytest.mark.parametrize(
    ("cores", "cause"),
    [
        ([""], "'' is neither a number nor a range"),
        (["1,a"], "'a' is neither"),
        (["1, 2"], "' 2' is neither"),
        (["1-2-3"], "'1-2-3' is neither"),
        (["0,-1"], "'-1' is neither"),
        (["0-"], "'0-' is neither"),
        (["12-5"], "'12-5' ends before it begins"),
        (["0-999999999"], "999999999 is no processor"),
        (["1,2,2"], "processor 2 is in it"),
        (["0-5", "2-7"], "processor 2 is in it or in a group before it"),
    ],
)
def test_groups_that_are_none(cores: list[str], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause) as caught:
        make_input(IntelRdt, {"cores": cores})
    assert caught.value.option == "cores"


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({}, "neither of them is"),
        ({"cores": ["0"], "processes": ["a"]}, "both of them are given"),
        ({"cores": ["0"], "pqos_path": "/nowhere/pqos"}, "there is no such file; apt install intel-cmt-cat"),
        ({"cores": ["0"], "pqos_path": "/"}, "it is no regular file"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        make_input(IntelRdt, options)


def test_a_host_without_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("pyagent.kit.command._OF_ADMINISTRATORS", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no such program; apt install intel-cmt-cat, or set `pqos_path`"):
        make_input(IntelRdt, {"cores": ["0"]})

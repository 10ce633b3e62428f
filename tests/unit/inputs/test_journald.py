"""inputs.journald with a journal of planted lines: restarts, full queues, what is gone, refused, too long or missing.

The program of these tests stands in for journalctl, with the options that the input gives it; tests/system reads a real journal.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import DEADLINE, LOG, Served, serving

from pyagent.api import ConfigError, PyagentError
from pyagent.kit import positions
from pyagent.testing import make_input
from pyagent_plugins.inputs import journald
from pyagent_plugins.inputs.journald import Journald
from pyagent_plugins.inputs.journald.entries import Maker, read_entry

JOURNALCTL = """#!/bin/sh
cd "$(dirname "$0")"
echo "$*" >>calls
first=1
for word; do
  case $word in --cursor=*)
    number=${word#*;i=}
    first=$(awk -v "number=${number%%;*}" -F '[;=]' '$4 >= number { print NR; exit }' journal)
    first=${first:-1000000} ;;
  esac
done
[ -e says ] && cat says >&2
[ -e status ] && exit "$(cat status)"
exec tail -n "+$first" -f journal
"""


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Positions are kept in a folder, and nothing of them in the process: as after a restart."""
    monkeypatch.setattr(positions, "_known", {})
    positions.keep_positions_in(tmp_path / "state")
    yield
    positions.keep_positions_in(None)


class Journal:
    """A journal whose lines are numbered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = folder / "journalctl"
        self.program.write_text(JOURNALCTL)
        self.program.chmod(0o755)
        self.file = folder / "journal"
        self.file.touch()

    def log(self, *numbers: int, **more: Any) -> None:
        with self.file.open("a") as file:
            file.write("".join(f"{entry(number, **more)}\n" for number in numbers))

    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @asynccontextmanager
    async def read(self, limit: int = 1_000_000, **options: Any) -> AsyncIterator[Served]:
        """As after a restart."""
        positions._known.clear()
        given = {"journalctl_path": str(self.program), "start_at": "beginning", "restart_delay": "10ms", **options}
        async with serving(Journald, given, listens=False, limit=limit) as served:
            yield served


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    folder = tmp_path / "journal"
    folder.mkdir()
    return Journal(folder)


def entry(number: int, **more: Any) -> str:
    # The cursor first, and its number with digits that sort as they count.
    fields = {
        "__CURSOR": f"s=a;i={number:04x};b=b;m=1;t={number:x};x=1",
        "__REALTIME_TIMESTAMP": str(number),
        "MESSAGE": f"line {number}",
    }
    return json.dumps(fields | more)


async def read_lines(served: Served, count: int) -> list[str]:
    """The queue's lines when there are so many; then it is empty."""
    async with asyncio.timeout(DEADLINE):
        while len(served.output.queue) < count:
            await asyncio.sleep(0.005)
    return served.lines()


async def numbers(served: Served, count: int) -> list[int]:
    return numbers_in(await read_lines(served, count))


def numbers_in(lines: list[str]) -> list[int]:
    return [int(line.split('message="line ')[1].split('"')[0]) for line in lines]


async def until_told(text: str, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(DEADLINE):
        while text not in caplog.text:
            await asyncio.sleep(0.005)


async def test_lines_as_they_come_and_their_time(journal: Journal) -> None:
    journal.log(1, 2)
    async with journal.read() as served:
        assert await numbers(served, 2) == [1, 2]
        journal.log(0x1234)
        # The microsecond, and the last digits of the entry's number: 0x1234 is 4660.
        assert (await read_lines(served, 1))[0].endswith(" 4660660")
        assert served.lines() == []


async def test_each_line_once_over_restarts(journal: Journal) -> None:
    found: list[int] = []
    for turn in range(4):
        journal.log(*range(10 * turn + 1, 10 * turn + 11))
        async with journal.read() as served:
            found += await numbers(served, 10)
            assert served.lines() == []
    assert found == list(range(1, 41))


async def test_a_change_of_options_goes_on_from_there(journal: Journal) -> None:
    journal.log(1, 2)
    async with journal.read() as served:
        assert await numbers(served, 2) == [1, 2]
    journal.log(3)
    async with journal.read(priority="debug") as served:
        assert await numbers(served, 1) == [3]


async def test_the_program_ends_between_two_lines_or_within_one(journal: Journal) -> None:
    journal.log(1, 2)
    script = JOURNALCTL.replace("exec tail -n", "exec timeout 0.05 tail -n")
    journal.program.write_text(script)
    with journal.file.open("a") as file:
        file.write(entry(3)[:30])
    async with journal.read() as served:
        assert await numbers(served, 2) == [1, 2]
        async with asyncio.timeout(DEADLINE):
            while len(journal.calls()) < 3:
                await asyncio.sleep(0.005)
        with journal.file.open("a") as file:
            file.write(entry(3)[30:] + "\n")
        journal.log(4)
        assert await numbers(served, 2) == [3, 4]
        assert served.lines() == []
    assert "--cursor=s=a;i=0002;" in journal.calls()[-1] or "--cursor=s=a;i=0004;" in journal.calls()[-1]


async def test_a_full_queue_is_waited_for_and_what_it_does_not_hold_is_read_again(
    journal: Journal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "_AT_ONCE", 4)
    journal.log(*range(1, 21))
    async with journal.read(limit=10) as served:
        await until_told("the journal has to wait", caplog)
        found = await numbers(served, 1)
        journal.log(21)
        found += await numbers(served, 1)
    found += numbers_in(served.lines())
    async with journal.read() as served:
        while len(found) < 21:
            found += await numbers(served, 1)
    assert found == list(range(1, 22))


async def test_start_at_the_end_and_no_line_lost_before_the_first_one(journal: Journal) -> None:
    async with journal.read(start_at="end") as served:
        await served.runner.gather_once()
    async with journal.read(start_at="end"):
        pass
    first, second = (next(word for word in call.split() if word.startswith("--since=@")) for call in journal.calls())
    assert first == second


async def test_a_damaged_record_is_said_and_one_that_cannot_be_read_is_waited_for(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    journal.log(1)
    async with journal.read() as served:
        assert await numbers(served, 1) == [1]
    journal.log(2)

    def refused(*_: Any) -> Any:
        raise OSError(5, "Input/output error", "/x")

    with monkeypatch.context() as patched:
        patched.setattr(positions, "_read", refused)
        plugin = make_input(Journald, {"journalctl_path": str(journal.program)})
        positions._known.clear()
        with pytest.raises(PyagentError, match=r"'/x'\): Input/output error; repair that file system"):
            await plugin.start(None)  # type: ignore[arg-type]
    async with journal.read(start_at="end") as served:
        assert await numbers(served, 1) == [2]
    (record,) = (tmp_path / "state" / "journald").iterdir()
    record.write_bytes(b"")
    async with journal.read(start_at="end") as served:
        assert await numbers(served, 2) == [1, 2]
    assert caplog.text.count("is damaged") == 1


async def test_max_age(journal: Journal) -> None:
    async with journal.read(max_age="1h"):
        pass
    async with journal.read(start_at="end", priority="0", journal_directory="/elsewhere"):
        pass
    old, now = (float(call.split("--since=@")[1].split()[0]) for call in journal.calls())
    assert 3599 < now - old < 3700


async def test_the_entry_read_last_is_gone(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    journal.log(1, 2)
    async with journal.read() as served:
        assert await numbers(served, 2) == [1, 2]
    journal.file.write_text("")
    journal.log(7, 8)
    async with journal.read() as served:
        assert await numbers(served, 2) == [7, 8]
    assert caplog.text.count("is not there any more") == 1


async def test_a_cursor_that_the_program_does_not_take(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    journal.log(1)
    async with journal.read() as served:
        assert await numbers(served, 1) == [1]
    journal.program.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"\necho "$*" >>calls\n'
        'case "$*" in *--cursor*) echo "Failed to seek to cursor: Invalid argument" >&2; exit 1;; esac\nexec tail -n 1 -f journal\n'
    )
    journal.log(2)
    async with journal.read() as served:
        assert await numbers(served, 1) == [2]
    assert "--since=@0.000002" in journal.calls()[-1]
    assert "it is read on by the time" in caplog.text


@pytest.mark.parametrize(
    "said",
    [
        "No journal files were opened due to insufficient permissions.",
        "Hint: You are currently not seeing messages from other users and the system.\n"
        "      Users in groups 'adm', 'systemd-journal' can see all messages.\n      Pass -q to turn off this notice.",
        "Failed to open /var/log/journal: Permission denied",
    ],
)
async def test_no_right_to_read_is_one_line_with_the_remedy(
    said: str, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    (journal.folder / "says").write_text(f"{said}\n")
    (journal.folder / "status").write_text("1")
    async with journal.read():
        async with asyncio.timeout(DEADLINE):
            while len(journal.calls()) < 4:
                await asyncio.sleep(0.005)
    told = [message for name, level, message in caplog.record_tuples if name == LOG.name and level >= logging.WARNING]
    assert len(told) == 1
    assert "the group systemd-journal" in told[0]
    assert "the drop-in journal.conf" in told[0]


async def test_what_the_program_says_is_told_once(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    (journal.folder / "says").write_text("Journal file /x is truncated, ignoring file.\n")
    (journal.folder / "status").write_text("3")
    async with journal.read():
        async with asyncio.timeout(DEADLINE):
            while len(journal.calls()) < 4:
                await asyncio.sleep(0.005)
        assert caplog.text.count("is truncated") == 1
        assert caplog.text.count("has ended: exit status 3") == 1


async def test_a_version_that_does_not_know_how_all_boots_are_asked_for(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    journal.program.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"\n'
        'case "$*" in *--boot=all*) echo "Failed to parse boot descriptor \'all\'" >&2; exit 1;; esac\nexec tail -n +1 -f journal\n'
    )
    journal.log(1)
    async with journal.read() as served:
        assert await numbers(served, 1) == [1]


def test_the_program_is_missing(tmp_path: Path) -> None:
    plugin = make_input(Journald, {"journalctl_path": str(tmp_path / "none")}, logging.getLogger("pyagent.test"))

    async def start() -> None:
        for _ in range(2):  # and at the next interval
            assert "package systemd: install it" in plugin.obstacles()[0]
            with pytest.raises(PyagentError, match="package systemd: install it"):
                await plugin.start(None)  # type: ignore[arg-type]  # it does not come to that
        await plugin.stop()

    asyncio.run(start())


async def test_a_program_that_comes_later(journal: Journal) -> None:
    journal.log(1)
    later = journal.folder / "later"
    with pytest.raises(PyagentError, match="there is no such program"):
        async with journal.read(journalctl_path=str(later)):
            raise AssertionError("it began")
    later.write_text(JOURNALCTL)
    later.chmod(0o755)
    async with journal.read(journalctl_path=str(later)) as served:
        assert await numbers(served, 1) == [1]


async def test_an_entry_that_is_too_long_costs_no_other(
    journal: Journal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "LONGEST", 100_000)
    journal.log(1)
    journal.log(2, MESSAGE="x" * 3_000_000)
    journal.log(3)
    journal.log(4, MESSAGE="x" * 100_000)
    journal.log(5)
    async with journal.read() as served:
        assert await numbers(served, 3) == [1, 3, 5]
    assert "more than 100,000 bytes" in caplog.text


async def test_filters_are_journalctls_where_it_has_them(journal: Journal) -> None:
    async with journal.read(
        include_units=["ssh", "a.socket"],
        identifiers=["x y"],
        priority="err..info",
        include_matches={"_TRANSPORT": ["kernel", "audit"]},
        exclude_matches={"_COMM": ["z"]},
        journal_tags=["_SYSTEMD_SLICE"],
        namespace="web",
        journal_directory="/remote",
    ):
        pass
    (call,) = journal.calls()
    wanted = (
        "--directory=/remote --namespace=web --unit=ssh.service --unit=a.socket --identifier=x y --priority=err..info"
    )
    assert call.endswith(f" {wanted} _TRANSPORT=kernel _TRANSPORT=audit")
    assert "--follow --output=json --all --no-pager --no-tail --merge --boot=all --output-fields=MESSAGE," in call
    assert ",_COMM," in call
    assert ",_SYSTEMD_SLICE," in call
    assert "--since" not in call


async def test_wildcards_are_matched_here(journal: Journal) -> None:
    """journalctl looks for the units there are when it is started."""
    journal.log(1, _SYSTEMD_UNIT="web-a.service")
    journal.log(2, _SYSTEMD_UNIT="db.service")
    journal.log(3)
    journal.log(4, _SYSTEMD_UNIT="late.socket")
    async with journal.read(
        include_units=["web-*", "late.socket"], journal_fields=["*"], current_boot_only=True
    ) as served:
        assert await numbers(served, 2) == [1, 4]
    (call,) = journal.calls()
    assert "--unit" not in call
    assert "--output-fields" not in call
    assert "--boot" in call.split()
    assert "--merge" not in call


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"priority": "urgent"}, "cannot use the priority 'urgent'; use one of emerg, "),
        ({"priority": "err..x"}, "cannot use the priority"),
        ({"include_matches": {"--user": ["1"]}}, "cannot use '--user' as a field of the journal"),
        ({"exclude_matches": {"a": ["1"]}}, "cannot use 'a' as a field"),
        ({"journal_tags": ["_PID,MESSAGE"]}, "cannot use '_PID,MESSAGE' as a field"),
        ({"journal_fields": [""]}, "cannot use '' as a field"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        make_input(Journald, options)


VALUES = st.none() | st.text(max_size=20) | st.lists(st.integers(-1, 300) | st.text(max_size=5) | st.none(), max_size=4)


@given(
    st.dictionaries(
        st.sampled_from(["MESSAGE", "PRIORITY", "_PID", "SYSLOG_FACILITY", "UNIT", "A", "_SOURCE_REALTIME_TIMESTAMP"]),
        VALUES | st.lists(st.lists(st.integers(0, 255), max_size=4), max_size=3) | st.integers(0, 9).map(str),
    )
)
def test_any_values_give_a_metric_or_an_error(values: dict[str, Any]) -> None:
    maker = Maker(["A"], ["*"], [], [], {})
    try:
        metric = maker.metric(read_entry(entry(5, **values).encode()))
    except (ValueError, TypeError):
        return
    assert metric is not None
    assert metric.time == 5005
    assert all(isinstance(value, str) and value for value in metric.tags.values())
    assert not metric.tags.keys() & metric.fields.keys()


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_line_is_an_entry_or_an_error(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_entry(line)

"""The quarantine against a model: what is intact stays, in order, nothing else appears, and the bounds hold."""

import contextlib
import errno
import json
import logging
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from memory_disk import MemoryDisk

from pyagent.buffer.log.files import Files
from pyagent.buffer.quarantine import Quarantine, QuarantineEntry
from pyagent.buffer.quarantine.record import pack, records, unpack

LOG = logging.getLogger("pyagent.quarantine")
QUIET = logging.getLogger("quarantine.quiet")
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False
FOLDER = Path("/quarantine")

texts = st.text(max_size=20)
lines = st.binary(max_size=60).map(lambda data: data + b"\n")
entries = st.builds(
    QuarantineEntry,
    id=st.integers(1, 10**9),
    time=st.floats(0, 1e11),
    output=texts,
    partition=st.none() | texts,
    reason=texts,
    suspected=st.booleans(),
    lines=st.lists(lines, min_size=1, max_size=4).map(tuple),
)


def put(quarantine: Quarantine, *content: bytes, output: str = "out", reason: str = "400 bad") -> int:
    return quarantine.put(output, None, content or (b"cpu x=1 1\n",), reason, time=1.5)


def reasons(quarantine: Quarantine) -> list[str]:
    return [entry.reason for entry in quarantine.entries()]


# The form -------------------------------------------------------------------------------------------------------------


@given(entries)
def test_a_record_gives_back_its_entry_and_is_one_line_of_json(entry: QuarantineEntry) -> None:
    record = pack(entry)
    assert unpack(record) == entry
    assert record.count(b"\n") == 1
    assert record.isascii()
    assert json.loads(record)["id"] == entry.id


@given(st.lists(entries, min_size=1, max_size=5), st.data())
def test_damage_costs_the_damaged_record_alone(written: list[QuarantineEntry], data: st.DataObject) -> None:
    text = bytearray(b"".join(map(pack, written)))
    ends = [len(b"".join(map(pack, written[: i + 1]))) for i in range(len(written))]
    at = data.draw(st.sampled_from([end - 1 for end in ends]) | st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    found = [entry for _, _, entry in records(bytes(text))]
    hit = next(i for i, end in enumerate(ends) if at < end)
    assert [entry for entry in found if entry] == written[:hit] + written[hit + 1 :]
    assert None in found


@given(st.lists(entries, min_size=1, max_size=4), st.data())
def test_of_a_torn_file_the_whole_records_are_read(written: list[QuarantineEntry], data: st.DataObject) -> None:
    whole = list(map(pack, written))
    size = data.draw(st.integers(0, sum(map(len, whole))))
    fit = next((i for i in range(len(whole)) if len(b"".join(whole[: i + 1])) > size), len(whole))
    assert [entry for _, _, entry in records(b"".join(whole)[:size]) if entry] == written[:fit]


@given(st.binary(max_size=300))
def test_any_file_can_be_looked_at(data: bytes) -> None:
    pieces = list(records(data))
    assert sum(size for _, size, _ in pieces) == len(data)
    assert not any(entry for _, _, entry in pieces)


# Against a model ------------------------------------------------------------------------------------------------------


class Model(RuleBasedStateMachine):
    """`self.model`: what has to be in it, oldest first: reason (which is unique) and lines."""

    MAX_METRICS, MAX_BYTES = 30, 6_000

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "quarantine"
        self.model: dict[str, tuple[bytes, ...]] = {}
        self.count = 0
        self.flipped: set[tuple[str, int, int]] = set()
        self.open()

    def open(self) -> None:
        self.quarantine = Quarantine(
            self.path, max_metrics=self.MAX_METRICS, max_bytes=self.MAX_BYTES, file_size=800, log=QUIET
        )
        assert self.quarantine.restored == sum(map(len, self.model.values()))

    def files(self) -> list[Path]:
        return sorted(self.path.glob("*.jsonl"))

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files())

    @rule(content=st.lists(lines, min_size=1, max_size=12), long=st.booleans())
    def put(self, content: list[bytes], long: bool) -> None:
        self.count += 1
        reason = f"{self.count} {'x' * 500 * long}"
        record = pack(QuarantineEntry(self.quarantine._next, 1.5, "out", None, reason, False, tuple(content)))
        room = (
            self.quarantine.metrics + len(content) <= self.MAX_METRICS and self.size() + len(record) <= self.MAX_BYTES
        )
        evicted = put(self.quarantine, *content, reason=reason)
        assert not (room and evicted)
        self.model[reason] = tuple(content)
        while evicted > 0:
            evicted -= len(self.model.pop(next(iter(self.model))))
        assert evicted == 0

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(list(self.quarantine.entries())))
        assert self.quarantine.remove(entry.id) == len(entry.lines)
        assert self.quarantine.remove(entry.id) == 0
        with pytest.raises(LookupError):
            self.quarantine.get(entry.id)
        del self.model[entry.reason]

    @rule()
    def reopen(self) -> None:
        self.quarantine.close()
        self.open()

    @precondition(lambda self: self.files())
    @rule(data=st.data(), flip=st.booleans())
    def damage(self, data: st.DataObject, flip: bool) -> None:
        """A flipped bit or a lost tail, while nobody runs: costs what stands there."""
        self.quarantine.close()
        path = data.draw(st.sampled_from(self.files()))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        spans = [(entry, start, start + size) for start, size, entry in records(bytes(content)) if entry]
        if flip:
            bit = data.draw(st.integers(0, 7))
            if (path.name, at, bit) in self.flipped:
                self.open()
                return  # it would be mended by that
            self.flipped.add((path.name, at, bit))
            content[at] ^= 1 << bit
            lost = [entry for entry, start, stop in spans if start <= at < stop]
        else:
            del content[at:]
            lost = [entry for entry, _, stop in spans if stop > at]
        path.write_bytes(content)
        for entry in lost:
            del self.model[entry.reason]
        self.open()

    @invariant()
    def what_is_there_is_what_has_to_be(self) -> None:
        found = {entry.reason: entry.lines for entry in self.quarantine.entries()}
        assert list(found.items()) == list(self.model.items())
        quarantine = self.quarantine
        metrics = sum(map(len, self.model.values()))
        assert quarantine.metrics == metrics <= self.MAX_METRICS
        assert quarantine.total + quarantine.restored == metrics + quarantine.evicted + quarantine.removed
        assert self.size() <= self.MAX_BYTES

    def teardown(self) -> None:
        self.quarantine.close()
        self.folder.cleanup()


Model.TestCase.settings = settings(stateful_step_count=25)
TestModel = Model.TestCase


# The disk -------------------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes: the system writes what fits and refuses the rest, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path / "quarantine", log=LOG)
    assert not (tmp_path / "quarantine").exists()  # before there is anything in it
    put(quarantine)
    [file] = (tmp_path / "quarantine").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    quarantine.sync()
    quarantine.close()


def test_without_a_directory_it_is_kept_in_memory() -> None:
    quarantine = Quarantine(None, max_metrics=3, log=LOG)
    assert put(quarantine, b"a\n", b"b\n") == 0
    assert put(quarantine, b"c\n", reason="second") == 0
    assert put(quarantine, b"d\n", reason="third") == 2
    assert reasons(quarantine) == ["second", "third"]
    assert quarantine.figures() == {"metrics": 2, "bytes": quarantine.bytes, "entries": 2, "evicted": 2}
    assert [quarantine.remove(entry.id) for entry in quarantine.entries()] == [1, 1]
    assert (quarantine.metrics, quarantine.bytes) == (0, 0)
    quarantine.flush()
    quarantine.sync()
    quarantine.close()


def test_of_more_than_fits_the_last_are_kept() -> None:
    quarantine = Quarantine(None, max_metrics=3, max_bytes=400, log=LOG)
    assert put(quarantine, *(b"%d\n" % i for i in range(5))) == 2
    assert next(quarantine.entries()).lines == (b"2\n", b"3\n", b"4\n")
    assert put(quarantine, b"x" * 300 + b"\n", b"y" * 100 + b"\n") == 4
    assert next(quarantine.entries()).lines == (b"y" * 100 + b"\n",)
    assert put(quarantine, b"z" * 400 + b"\n") == 1
    assert quarantine.metrics == 1


def test_a_full_disk_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    quarantine = Quarantine(tmp_path, log=LOG)
    put(quarantine, reason="0")
    put(quarantine, reason="1")
    [file] = tmp_path.iterdir()
    size = file.stat().st_size
    with full_disk(size + 20):
        for number in range(2, 5):
            put(quarantine, reason=str(number))
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "what is refused is kept in memory" in caplog.text
        assert file.stat().st_size == size  # no half records
        assert reasons(quarantine) == ["0", "1", "2", "3", "4"]
        assert quarantine.remove(1) == 1  # needs no room
        assert quarantine.remove(4) == 1
    quarantine.flush()
    assert caplog.messages[-1].endswith("can be used again")
    quarantine._files.close()  # type: ignore[union-attr]  # as at the end of the process
    assert reasons(Quarantine(tmp_path, log=LOG)) == ["1", "2", "4"]


def test_a_folder_that_is_none_is_used_when_it_is_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "quarantine"
    earlier = Quarantine(path, log=LOG)
    put(earlier, reason="earlier")
    earlier.close()
    path.rename(tmp_path / "moved")
    path.write_text("in the way")
    quarantine = Quarantine(path, log=LOG)
    put(quarantine, reason="first")
    put(quarantine, reason="second")
    assert len(caplog.records) == 1
    assert reasons(quarantine) == ["first", "second"]
    path.unlink()
    (tmp_path / "moved").rename(path)
    put(quarantine, reason="third")
    assert [(entry.id, entry.reason) for entry in quarantine.entries()] == [
        *((1, "earlier"), (2, "first")),
        *((3, "second"), (4, "third")),
    ]
    assert quarantine.metrics == quarantine.restored + quarantine.total
    quarantine.close()
    assert reasons(Quarantine(path, log=LOG)) == ["earlier", "first", "second", "third"]


def test_a_file_that_was_copied_adds_entries_of_its_own(tmp_path: Path) -> None:
    earlier = Quarantine(tmp_path, log=LOG)
    put(earlier, reason="first")
    earlier.close()
    (tmp_path / "0000000050.jsonl").write_bytes((tmp_path / "0000000001.jsonl").read_bytes())
    quarantine = Quarantine(tmp_path, log=LOG)
    put(quarantine, reason="second")
    assert [(entry.id, entry.reason) for entry in quarantine.entries()] == [(1, "first"), (51, "first"), (52, "second")]
    quarantine.close()


def test_what_was_removed_counts_as_long_as_it_takes_room(tmp_path: Path) -> None:
    def size() -> int:
        return sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))

    for _ in range(8):
        quarantine = Quarantine(tmp_path, max_bytes=2000, file_size=1000, log=LOG)
        for _ in range(6):
            put(quarantine)
            assert size() <= 2000
        for entry in list(quarantine.entries())[1::2]:
            quarantine.remove(entry.id)
        quarantine.close()


def test_two_agents_do_not_share_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Quarantine(tmp_path, log=LOG), Quarantine(tmp_path, log=LOG)
    assert "another agent of this instance uses it" in caplog.text
    put(first, reason="first")
    put(second, reason="second")
    assert (reasons(first), reasons(second)) == (["first"], ["second"])
    first.close()
    second.close()
    assert reasons(Quarantine(tmp_path, log=LOG)) == ["first", "second"]


def test_what_cannot_be_read_is_set_aside_and_never_wiped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    earlier = Quarantine(tmp_path, log=LOG)
    put(earlier, reason="lost")
    put(earlier, reason="intact")
    earlier.close()
    [half] = tmp_path.glob("*.jsonl")
    half.write_bytes(damaged := half.read_bytes().replace(b"lost", b"LOST"))
    (tmp_path / "0000000099.jsonl").write_bytes(b"\x00" * 4096)
    (tmp_path / "corrupt").mkdir()
    (tmp_path / "corrupt" / "0000000099.jsonl").write_text("an earlier one")
    (tmp_path / "notes.txt").write_text("somebody's own")

    quarantine = Quarantine(tmp_path, log=LOG)
    assert reasons(quarantine) == ["intact"]
    assert (tmp_path / "corrupt" / "0000000099.jsonl.2").read_bytes() == b"\x00" * 4096
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    put(quarantine, reason="new")
    assert [entry.id for entry in quarantine.entries()] == [2, 100]
    quarantine.remove(2)
    assert (tmp_path / "corrupt" / half.name).read_bytes() == damaged
    assert (tmp_path / "notes.txt").exists()
    quarantine.close()


def test_what_cannot_be_read_for_the_moment_stays_for_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    earlier = Quarantine(tmp_path, log=LOG)
    put(earlier, reason="first")
    earlier.close()
    (tmp_path / "0000000003.jsonl").mkdir()

    class Unreadable(Files):
        def read(self, descriptor: int, size: int, offset: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    quarantine = Quarantine(tmp_path, log=LOG, files=Unreadable())
    assert reasons(quarantine) == []
    assert "it stays there, and the next start tries it again" in caplog.text
    put(quarantine, reason="second")
    put(quarantine, reason="third")
    quarantine.close()
    assert reasons(Quarantine(tmp_path, log=LOG)) == ["first", "second", "third"]
    assert not (tmp_path / "corrupt").exists()


def test_a_folder_that_may_not_even_be_looked_for_keeps_nobody_from_starting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It lies in one that this account may not enter."""

    class Forbidden(Files):
        def is_directory(self, path: Path) -> bool:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        def make_directory(self, path: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    quarantine = Quarantine(tmp_path / "quarantine", log=LOG, files=Forbidden())
    put(quarantine, reason="first")
    assert reasons(quarantine) == ["first"], "in memory"
    assert "cannot use the quarantine" in caplog.text
    assert "Permission denied" in caplog.text


def test_what_could_not_be_synced_is_written_and_synced_the_next_time() -> None:
    """A second sync alone would prove nothing: the system takes what it could not write for written."""
    disk = MemoryDisk()
    quarantine = Quarantine(FOLDER, log=LOG, files=disk)
    put(quarantine, reason="first")
    failing("sync", disk)
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            quarantine.sync()
    failing("", disk)
    quarantine.sync()
    disk.crash(Random(1), power=True)
    assert reasons(Quarantine(FOLDER, log=LOG, files=disk)) == ["first"]


def failing(call: str, disk: MemoryDisk) -> None:
    def fail(name: str) -> None:
        if name == call:
            raise OSError(errno.EIO, "Input/output error")

    disk.fail = fail


CALLS = ("open", "create", "write", "read", "sync", "sync_directory", "truncate", "unlink", "rename", "names", "")


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_disk_does_what_was_synced_is_there_after_a_loss_of_power(seed: int) -> None:
    """And what was written is there after the death of the process; nothing comes back that nobody put, or twice."""
    random, disk = Random(seed), MemoryDisk()
    quarantine = Quarantine(FOLDER, file_size=600, log=QUIET, files=disk)
    count = 0
    held: set[str] = set()
    """What is in it."""
    new: set[str] = set()
    """What was put in since it was opened: what was there before may not have been synced."""
    safe: set[str] = set()
    """What a loss of power must leave."""
    for _ in range(80):
        match random.choice(("put", "put", "put", "remove", "sync", "sync", "fail", "mend", "kill", "power")):
            case "put":
                count += 1
                put(quarantine, reason=str(count))
                held.add(str(count))
                new.add(str(count))
            case "remove":
                for entry in list(quarantine.entries())[:1]:
                    quarantine.remove(entry.id)
                    held.discard(entry.reason)
                    safe.discard(entry.reason)
            case "sync":
                quarantine.flush()
                with contextlib.suppress(OSError):
                    quarantine.sync()
                    safe |= held & new if not quarantine._waiting else set()
            case "fail":
                failing(random.choice(CALLS), disk)
            case "mend":
                failing("", disk)
            case how:
                failing("", disk)
                quarantine.flush()
                disk.crash(random, power=how == "power")
                quarantine = Quarantine(FOLDER, file_size=600, log=QUIET, files=disk)
                found = reasons(quarantine)
                assert set(found) >= (held if how == "kill" else safe)
                assert len(found) == len(set(found))
                assert set(found) <= {str(number + 1) for number in range(count)}
                held, new = set(found), set()
                safe = held.copy() if how == "power" else safe
    quarantine.close()


def test_an_entry_that_is_damaged_later_is_not_shown(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, log=LOG)
    put(quarantine, reason="first")
    put(quarantine, reason="second")
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"first", b"worst"))
    with pytest.raises(LookupError, match="the entry 1 of the quarantine is damaged"):
        quarantine.get(1)
    assert reasons(quarantine) == ["second"]
    assert (quarantine.metrics, quarantine.removed) == (1, 1)
    file.unlink()
    put(quarantine, reason="third")
    assert reasons(quarantine) == ["third"]
    assert quarantine.total == quarantine.metrics + quarantine.removed
    quarantine.close()


def test_what_was_put_survives_kill_9(tmp_path: Path) -> None:
    script = """if True:
        import logging, os, signal, sys
        from pathlib import Path
        from pyagent.buffer.quarantine import Quarantine
        quarantine = Quarantine(Path(sys.argv[1]), log=logging.getLogger())
        for number in range(300):
            quarantine.put("out", "ü", [b"cpu x=%d \\xff\\n" % number], str(number), time=1.0)
        quarantine.remove(7)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60).returncode == -signal.SIGKILL
    found = list(Quarantine(tmp_path, log=LOG).entries())
    assert [entry.reason for entry in found] == [str(number) for number in range(300) if number != 6]
    assert found[0] == QuarantineEntry(1, 1.0, "out", "ü", "0", False, (b"cpu x=0 \xff\n",))

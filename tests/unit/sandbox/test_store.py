"""The store of points against a dictionary."""

import itertools
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyagent.sandbox import blocks, blocktable
from pyagent.sandbox import store as module
from pyagent.sandbox.points import parse
from pyagent.sandbox.store import PartialWrite, PointStore
from pyagent.sandbox.times import go_duration

WEEK = 7 * 86400 * 10**9

times = st.integers(-5, 30)
writes = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("fg"), times, st.integers(0, 99)), min_size=1, max_size=8
)
steps = st.one_of(
    writes,
    st.tuples(st.just("delete"), st.sampled_from("ab"), times, times),
    st.just("reopen"),
    st.just("fail"),
)


@given(st.lists(steps, max_size=12))
@example(
    [
        [("b", "g", 2, 0), ("b", "g", 8, 0), ("b", "g", 10, 49), ("b", "g", 17, 0)],
        ("delete", "b", 12, 3),  # from 12 to 3 is nothing
        [("b", "g", 10, 0)],
        "reopen",
    ]
)
def test_whatever_is_written_deleted_and_reopened(script: list[object]) -> None:
    """Points that come late, twice, or in one write: that batches become blocks, and these are small, must not show."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MERGE_BATCHES", 2)
        for where in (blocks, blocktable):
            patch.setattr(where, "BLOCK", 4)
        path = Path(folder) / "points.sqlite"
        store = PointStore(path)
        model: dict[tuple[str, str, int], int] = {}
        for step in script:
            if isinstance(step, list):
                lines = "\n".join(f"m,host={host} {field}={value}i {time}" for host, field, time, value in step)
                store.write("b", parse(lines.encode(), 0), 0, WEEK, 0)
                model |= {(host, field, time): value for host, field, time, value in step}
            elif isinstance(step, tuple):
                _, host, start, stop = step
                tag = host.encode()
                store.delete("b", start, stop, lambda series, tag=tag: dict(series.tags)[b"host"] != tag)  # type: ignore[misc]  # a lambda's default
                model = {key: value for key, value in model.items() if key[0] != host or not start <= key[2] <= stop}
            elif step == "reopen":
                store.close()
                store = PointStore(path)
            else:
                with pytest.raises(PartialWrite):
                    store.write("b", parse(b"m,host=c f=1i 1\nm,host=c f=1.5 1", 0), 0, WEEK, 0)
                model["c", "f", 1] = 1
        assert contents(store) == model
        check_ranges(store, model)
        assert store.count(["b"]) == len({(host, time) for host, _, time in model})
        store.close()


def check_ranges(store: PointStore, model: dict[tuple[str, str, int], int]) -> None:
    view = store.view()
    for column in store.columns("b"):
        of = dict(column.series.tags)[b"host"].decode(), column.field.decode()
        known = sorted((time, value) for (host, field, time), value in model.items() if (host, field) == of)
        for start, stop in itertools.combinations((-6, -1, 0, 3, 4, 9, 17, 31), 2):
            some = [(time, value) for time, value in known if start <= time < stop]
            assert list(zip(*view.read(column, start, stop), strict=True)) == some
            assert view.first(column, start, stop) == (some[0] if some else None)
            assert view.last(column, start, stop) == (some[-1] if some else None)
            assert view.any(column, start, stop) == bool(some)


def contents(store: PointStore) -> dict[tuple[str, str, int], int]:
    found: dict[tuple[str, str, int], int] = {}
    for column in store.columns("b"):
        host = dict(column.series.tags)[b"host"].decode()
        points = list(zip(*store.view().read(column, -WEEK, WEEK * 10), strict=True))
        assert points == sorted(set(points))
        found |= {(host, column.field.decode(), time): value for time, value in points}
    return found


def test_a_write_that_fails_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "points.sqlite")
    store.write("b", parse(b"m,host=a f=1i 1", 0), 0, WEEK, 0)
    good = store._insert
    store._insert = lambda rows: (_ for _ in ()).throw(OSError("disk"))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="disk"):
        store.write("b", parse(b"m,host=new g=1.5 1", 0), 0, WEEK, 0)
    store._insert = good  # type: ignore[method-assign]
    store.write("b", parse(b"m,host=new g=2i 1", 0), 0, WEEK, 0)  # the type of the failed write is forgotten, too
    assert contents(store) == {("a", "f", 1): 1, ("new", "g", 1): 2}
    store.close()


def test_dropped_and_expired_buckets(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "points.sqlite")
    day = 86400 * 10**9
    store.write("b", parse(f"m,host=a f=1i {day}\nm,host=a f=2i {20 * day}".encode(), 0), 0, day, 0)
    store.expire("b", 5 * day, day, 22 * day)
    assert contents(store) == {("a", "f", 20 * day): 2}
    store.write("b", parse(f"m,host=a f=1.5 {day}".encode(), 0), 0, day, 0)  # the type went with its shard
    store.drop("b")
    assert store.columns("b") == []
    store.close()
    again = PointStore(tmp_path / "points.sqlite")
    assert again.columns("b") == []
    again.close()


@pytest.mark.parametrize(("seconds", "text"), [(3600, "1h0m0s"), (90, "1m30s"), (604800, "168h0m0s"), (5, "5s")])
def test_durations_as_go_prints_them(seconds: int, text: str) -> None:
    assert go_duration(seconds * 10**9) == text


VALUES = 'i=-9223372036854775808i,u=18446744073709551615u,f=-0.5,t=true,s="%s"'


def values_of(store: PointStore) -> dict[bytes, list[tuple[int, object]]]:
    view = store.view()
    return {
        column.field: list(zip(*view.read(column, -(2**63), 2**63 - 1), strict=True)) for column in store.columns("b")
    }


def test_values_of_every_type_come_back_from_batches_and_from_blocks(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    store = PointStore(path)
    texts = ["", "x" * 200_000, "\u00e9", "y" * 200_000]
    wanted = {
        b"i": -(2**63), b"u": 2**64 - 1, b"f": -0.5, b"t": True,
    }  # fmt: skip
    for write in range(2):
        lines = [f"m {VALUES % texts[write * 2 + at]} {write * 2 + at}" for at in range(2)]
        store.write("b", parse("\n".join(lines).encode(), 0), 0, WEEK, 0)
    for again in range(3):
        found = values_of(store)
        assert found.pop(b"s") == list(enumerate(texts))
        assert found == {name: [(at, value) for at in range(4)] for name, value in wanted.items()}
        assert {name: type(values[0][1]) for name, values in found.items()} == {
            b"i": int, b"u": int, b"f": float, b"t": bool,
        }  # fmt: skip
        if again == 0:
            store.close()
            store = PointStore(path)
        else:
            store.delete("b", 100, 100, lambda series: False)  # what is to be deleted goes to the blocks first
    store.close()


def test_a_view_stays_as_it_was_when_batches_become_blocks(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "points.sqlite")
    store.write("b", parse(b"m f=1i 1", 0), 0, WEEK, 0)
    db = store.reader()
    db.execute("BEGIN")
    before = values_of(store)
    store.write("b", parse(b"m f=2i 1\nm f=3i 3", 0), 0, WEEK, 0)
    store.delete("b", 0, 1, lambda series: False)
    assert values_of(store) == before == {b"f": [(1, 1)]}
    db.execute("COMMIT")
    assert values_of(store) == {b"f": [(3, 3)]}
    store.close()


def test_what_an_earlier_version_stored_is_there(tmp_path: Path) -> None:
    """It had a row per value, in two tables; unsigned values less 2**63, so that SQLite orders them."""
    path = tmp_path / "points.sqlite"
    store = PointStore(path)
    store.write("b", parse(("m,host=a " + VALUES % "one" + " 1").encode(), 0), 0, WEEK, 0)
    numbers = {column.field: column.id for column in store.columns("b")}
    store.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("""
            DROP TABLE batches; DROP TABLE blocks;
            CREATE TABLE points(column INTEGER, time INTEGER, value, PRIMARY KEY(column, time)) WITHOUT ROWID;
            CREATE TABLE recent(column INTEGER, time INTEGER, value, PRIMARY KEY(column, time)) WITHOUT ROWID;
            CREATE VIEW stored AS SELECT column, time, value FROM points UNION ALL SELECT column, time, value FROM recent;
        """)
        values: dict[bytes, list[object]] = {
            b"i": [-(2**63), 5], b"u": [2**63 - 1, -(2**63)], b"f": [-0.5, 7.25], b"t": [1, 0], b"s": [b"one", b""],
        }  # fmt: skip
        for name, (first, second) in values.items():
            db.execute("INSERT INTO points VALUES(?, 1, ?)", (numbers[name], first))
            db.execute("INSERT INTO recent VALUES(?, 2, ?)", (numbers[name], second))
        db.executemany("INSERT INTO recent VALUES(?, ?, 1.0)", [(numbers[b"f"], time) for time in range(3, 5000)])
        db.commit()
    for _ in range(2):
        store = PointStore(path)
        found = values_of(store)
        assert found.pop(b"f")[:3] == [(1, -0.5), (2, 7.25), (3, 1.0)]
        assert found == {
            b"i": [(1, -(2**63)), (2, 5)],
            b"u": [(1, 2**64 - 1), (2, 0)],
            b"t": [(1, True), (2, False)],
            b"s": [(1, "one"), (2, "")],
        }
        assert store.count(["b"]) == 4999
        store.close()

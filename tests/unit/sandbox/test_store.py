"""The store of points against a dictionary."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=12))
def test_whatever_is_written_deleted_and_reopened(script: list[object]) -> None:
    """Points that come late, twice, or in one write: a small table that is merged often must not show."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MERGE_AT", 5)
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
        assert store.count(["b"]) == len({(host, time) for host, _, time in model})
        store.close()


def contents(store: PointStore) -> dict[tuple[str, str, int], int]:
    found: dict[tuple[str, str, int], int] = {}
    for column in store.columns("b"):
        host = dict(column.series.tags)[b"host"].decode()
        rows = store.reader().execute("SELECT time, value FROM stored WHERE column = ?", (column.id,)).fetchall()
        assert len({time for time, _ in rows}) == len(rows)
        found |= {(host, column.field.decode(), time): value for time, value in rows}
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

"""Bodies read series by series beside the same read line by line."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent.sandbox import runs as module
from pyagent.sandbox.points import Point, UnparsableBody, ValueUnreadable, parse
from pyagent.sandbox.runs import Run, parse_runs
from pyagent.sandbox.store import PartialWrite, PointStore


@pytest.fixture(autouse=True, scope="module")
def runs_of_any_length() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_LINES", 1)
        yield


NOW = 5_500_000_000
WEEK = 7 * 86400 * 10**9

keys = st.sampled_from(
    [b"m", b"m,a=1", b"m,b=2,a=1", b"m,a=1,b=2", b"n,a=x", b"#m", b"m,a=", b"m\\ n,a=1", b"m,time=1", b""]
)
values = st.sampled_from(
    [b"1", b"-2.5", b"1e3", b"1.", b".5", b"1e999", b"1i", b"-7i", b"9223372036854775808i", b"3u", b"-3u", b"t", b"FALSE",
     b"tru", b'"x"', b'""', b'"a b,c=1"', b'"a\\"b"', b'"open', b'"two\nlines"', b"nan"]
)  # fmt: skip
fields = st.lists(st.tuples(st.sampled_from([b"f", b"g", b"f.x", b"time", b"f\\ y"]), values), min_size=1, max_size=3)
stamps = st.sampled_from(
    [b"", b" 1", b" 2", b" 3", b"  4", b" 5 ", b" -6", b" 99999999999999999999", b" 9223372036854775807", b" x"]
)
lines = st.builds(
    lambda key, some, stamp: key + b" " + b",".join(name + b"=" + value for name, value in some) + stamp,
    keys,
    fields,
    stamps,
)
plain = st.builds(
    lambda key, kind, stamp: key + b" f=" + kind + b",g=2i " + stamp,
    st.sampled_from([b"m,a=1", b"m,a=2", b"n"]),
    st.sampled_from([b"1.5", b"2", b"-3e2"]),
    st.sampled_from([b"1", b"2", b"30"]),
)
bodies = st.builds(
    lambda some, end: b"\n".join(some) + end,
    st.one_of(st.lists(plain, max_size=8), st.lists(st.one_of(plain, lines), max_size=6)),
    st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]),
)


def points_of(runs: list[Run]) -> list[Point]:
    return [
        (run.key, [(*field, value) for field, value in zip(run.fields, row, strict=True)], time)
        for run in runs
        for time, row in zip(run.times, zip(*run.columns, strict=True), strict=True)
    ]


def by_series(points: list[Point]) -> dict[bytes, list[str]]:
    found: dict[bytes, list[str]] = {}
    for point in points:
        found.setdefault(point[0], []).append(repr(point))
    return found


@settings(max_examples=2 * settings.default.max_examples)
@given(bodies, st.sampled_from(["ns", "s"]))
@example(b"m,a=1 f=1 1\nm,a=1 g=2i 1\nm,a=1 f=3 1", "ns")
@example(b"m f=1 1\n", "s")
def test_the_points_are_the_same(body: bytes, precision: str) -> None:
    runs = parse_runs(body, NOW, precision)
    if runs is not None:
        assert by_series(points_of(runs)) == by_series(parse(body, NOW, precision))


@pytest.mark.parametrize(
    "body",
    [
        b'm,a=1 f=1.5,g=2i,h=3u,i=t,j="x y" 1\nm,a=2 f=1,g=2i,h=3u,i=false,j="" 2\n',
        b"m f=1\nm f=2 7",
        b"m f=1 1\nm f=2i 2\nm g=3 3",
    ],
)
def test_what_agents_write_is_read_so(body: bytes) -> None:
    runs = parse_runs(body, NOW, "ns")
    assert runs is not None
    assert by_series(points_of(runs)) == by_series(parse(body, NOW))


@pytest.mark.parametrize(
    "body",
    [b"", b"# only\nm f=1", b"m f=1\n\nm f=2", b"m f=x", b"m f=1e999", b"m,b=1,a=1 f=1 1\nm,a=1,b=1 f=2 1", b'm s="a\nb"',
     b"m,a=1,a=2 f=1", b"m f=1 9223372036854775807"],
)  # fmt: skip
def test_what_is_odd_is_left_to_the_scanner(body: bytes) -> None:
    assert parse_runs(body, NOW, "ns") is None


def test_few_lines_of_many_series_are_left_to_the_scanner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(module, "_LINES", 4)
    assert parse_runs(b"m,a=1 f=1 1\nm,a=2 f=1 1", NOW, "ns") is None
    assert parse_runs(b"\n".join(b"m,a=1 f=1 %d" % at for at in range(4)), NOW, "ns") is not None


def contents(store: PointStore) -> dict[tuple[bytes, object, bytes, str], list[tuple[int, object]]]:
    view = store.view()
    return {
        (column.series.measurement, column.series.tags, column.field, column.type): list(
            zip(*view.read(column, -(2**63), 2**63 - 1), strict=True)
        )
        for column in store.columns("b")
    }


@given(st.lists(bodies, max_size=4))
def test_what_is_stored_is_the_same(tmp_path_factory: pytest.TempPathFactory, some: list[bytes]) -> None:
    folder: Path = tmp_path_factory.mktemp("stores")
    one, other = PointStore(folder / "one.sqlite", keep=False), PointStore(folder / "other.sqlite", keep=False)
    limits = 4 * 10**9, 10 * 10**9, NOW  # points before 1.5 s are refused; shards of 10 s
    try:
        for body in some:
            runs = parse_runs(body, NOW, "s")
            try:
                points = parse(body, NOW, "s")
            except (UnparsableBody, ValueUnreadable):
                assert runs is None
                continue
            problem = written(one, points, limits)
            if runs is not None and other.write_runs("b", runs, *limits):
                assert problem == ""
            else:
                assert written(other, points, limits) == problem
        assert contents(one) == contents(other)
        assert one._bucket("b").types == other._bucket("b").types
    finally:
        one.close()
        other.close()


def written(store: PointStore, points: list[Point], limits: tuple[int, int, int]) -> str:
    try:
        store.write("b", points, *limits)
    except PartialWrite as error:
        return str(error)
    return ""


def test_what_would_be_refused_stores_nothing(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "points.sqlite", keep=False)
    for body in (
        b"m f=1 10\nm f=2i 20",
        b"m f=1,time=2 10",
        b"m f=1,f=2 10",
        b"m f=1 1",
        b'm s="' + b"x" * 1_048_577 + b'" 10',
    ):
        runs = parse_runs(body, NOW, "ns")
        if runs is not None:
            assert not store.write_runs("b", runs, 5, WEEK, 10)
        assert store.columns("b") == []
    store.close()


def test_a_field_has_a_type_only_in_shards_that_have_a_point(tmp_path: Path) -> None:
    store = PointStore(tmp_path / "points.sqlite", keep=False)
    runs = parse_runs(b"m f=1 10\nm f=1 35", NOW, "ns")
    assert runs is not None
    assert store.write_runs("b", runs, 0, 10, 0)
    store.write("b", parse(b"m f=1i 25", NOW), 0, 10, 0)
    with pytest.raises(PartialWrite, match="already exists as type float"):
        store.write("b", parse(b"m f=1i 36", NOW), 0, 10, 0)
    store.close()

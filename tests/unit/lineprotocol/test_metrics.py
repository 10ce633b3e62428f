"""What makes metrics of plain arguments, rounds their times and adds tags: both cores do the same, and what Python's long way
does."""

from enum import Enum, IntEnum
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_strategies import metrics, odd_values, options, tags, texts, values

from pyagent.api import LineOptions, Metric, MetricType, Uint
from pyagent.lineprotocol import encoder
from pyagent.lineprotocol import metrics as reference

many = settings(max_examples=2 * settings.default.max_examples)


class Text(str):
    pass


class Table(dict[str, Any]):
    pass


class Level(IntEnum):
    LOW = 1


class State(Enum):
    UP = "up"


odd = odd_values | st.sampled_from([Level.LOW, State.UP, Text("x"), Table(), float("nan")])
names = texts | st.sampled_from(["m", "", Text("m"), None, 7])
keys = texts | st.sampled_from(["a", "b", Text("a"), 7, None])
dicts = st.dictionaries(keys, values | odd, max_size=5)
fields = (
    dicts
    | st.dictionaries(texts, values, max_size=5)
    | dicts.map(lambda found: Table(a=1))
    | st.none()
    | st.lists(st.none())
)
given_tags = tags | st.none() | st.dictionaries(keys, texts | odd, max_size=3) | st.just(Table(a="b"))
times = st.integers() | st.integers(0, 2**62) | st.booleans() | st.floats() | st.none()
kinds = st.sampled_from([*MetricType, 1, None, "gauge"])
pins = st.dictionaries(
    st.sampled_from(["m", "n"]),
    st.dictionaries(texts | st.sampled_from("ab"), st.sampled_from([int, Uint, float, bool, str])),
)


def seen(metric: Metric | None) -> object:
    """All of it, with the types and the order."""
    if metric is None:
        return None
    values = [(key, type(value), repr(value)) for key, value in metric.fields.items()]
    return metric.name, list(metric.tags.items()), values, metric.time, metric.kind


@many
@given(st.tuples(names, fields, given_tags, times, kinds, pins))
def test_plain_metric(native: ModuleType, arguments: tuple[Any, ...]) -> None:
    made = native.plain_metric(*arguments)
    assert seen(made) == seen(reference.plain_metric(*arguments))
    if made is not None:
        assert type(made.name) is str
        assert made.fields is not arguments[1]
        assert made.tags is not arguments[2]


def test_what_a_plugin_usually_gives_is_plain(native: ModuleType) -> None:
    given_fields = {"f": 1.5, "i": 2, "u": Uint(2**64 - 1), "b": True, "s": "\udcff", "none": None, "declared": 3}
    for core in (native, reference):
        made = core.plain_metric(
            "m", given_fields, {"t": "x"}, 5, MetricType.GAUGE, {"m": {"declared": float, "i": int}}
        )
        expected = {"f": 1.5, "i": 2, "u": Uint(2**64 - 1), "b": True, "s": "\udcff", "declared": 3.0}
        assert seen(made) == seen(Metric("m", {"t": "x"}, expected, 5, MetricType.GAUGE))
        assert core.plain_metric("m", {"f": 2**63}, None, 5, MetricType.UNTYPED, {}) is None
        assert core.plain_metric("m", {"f": None}, None, 5, MetricType.UNTYPED, {}) is None
    assert len(given_fields) == 7


@many
@given(
    st.lists(st.integers() | st.integers(-(2**63), 2**63) | st.integers(0, 2**62), max_size=4),
    st.integers(-1, 20) | st.integers(0, 10**12) | st.integers(2**61, 2**70),
)
def test_round_times(native: ModuleType, whens: list[int], precision: int) -> None:
    found: list[list[int]] = []
    for core in (native, reference):
        made = [Metric("m", {}, {"f": 1}, when) for when in whens]
        core.round_times(made, precision)
        found.append([metric.time for metric in made])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("when", "precision", "rounded"),
    [(1.4, 1, 1), (1.5, 1, 2), (-1.5, 1, -1), (14.9, 10, 10), (15, 10, 20)],
)
def test_times_round_to_nearest_and_halves_up(native: ModuleType, when: float, precision: int, rounded: int) -> None:
    for core in (native, reference):
        metric = Metric("m", {}, {"f": 1}, round(when * 10**9))
        core.round_times([metric], precision * 10**9)
        assert metric.time == rounded * 10**9


@many
@given(st.lists(metrics, max_size=4), st.dictionaries(texts, texts, max_size=3))
def test_add_tags(native: ModuleType, some: list[Metric], added: dict[str, str]) -> None:
    pairs = tuple(added.items())
    copies = [Metric(metric.name, metric.tags, metric.fields, metric.time) for metric in some]
    native.add_tags(some, pairs)
    reference.add_tags(copies, pairs)
    assert [list(metric.tags.items()) for metric in some] == [list(metric.tags.items()) for metric in copies]


@many
@given(st.lists(metrics, max_size=4), options, st.dictionaries(texts, texts, max_size=3))
def test_tags_for_all(native: ModuleType, some: list[Metric], wanted: LineOptions, added: dict[str, str]) -> None:
    """As if they were in the metrics."""
    merged = [Metric(one.name, {**added, **one.tags}, one.fields, one.time) for one in some]
    expected = encoder.encode(merged, wanted)
    tags_given = tuple(added.items())
    for encode in (native.encode, native.encode, encoder.encode):  # the second time from the caches
        made = encode(some, wanted, tags_given)
        assert (made.data, made.ends, made.oldest, made.newest) == (
            expected.data,
            expected.ends,
            expected.oldest,
            expected.newest,
        )
        assert [(one.name, why) for one, why in made.rejected] == [(one.name, why) for one, why in expected.rejected]


def test_other_tags_for_all_make_other_lines(native: ModuleType) -> None:
    metric = Metric("m", {"a": "1"}, {"f": 1}, 5)
    for host in ("x", "y", "x", "y", "x"):
        assert (
            native.encode([metric], LineOptions(), (("host", host),)).data == b"m,a=1,host=%b f=1i 5\n" % host.encode()
        )
        assert native.encode([metric], LineOptions()).data == b"m,a=1 f=1i 5\n"
        assert native.encode([metric], LineOptions(), (("a", host),)).data == b"m,a=1 f=1i 5\n"

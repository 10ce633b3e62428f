"""Filters over lists of metrics: what passes, with what, and that no metric is ever changed."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, MetricType
from pyagent.config.plan import FilterOptions
from pyagent.pipeline.filters import Selection, compile_selection


def metric(name: str = "cpu", tags: dict[str, str] | None = None, **fields: int) -> Metric:
    return Metric(
        name, {"host": "a", "cpu": "cpu0"} if tags is None else tags, fields or {"x": 1, "y": 2}, 5, MetricType.GAUGE
    )


def passing(options: FilterOptions, *metrics: Metric) -> list[str]:
    return [m.name for m in Selection(options).select(metrics)]


NAMES = [metric(name) for name in ("cpu", "cpu.total", "mem", "memory", "disk")]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (FilterOptions(namepass=("cpu", "mem")), "cpu mem"),
        (FilterOptions(namepass=("cpu*", "mem")), "cpu cpu.total mem"),
        (FilterOptions(namepass=("c*",), namepass_separator="."), "cpu"),
        (FilterOptions(namedrop=("mem*",)), "cpu cpu.total disk"),
        (FilterOptions(namedrop=("c*",), namedrop_separator="."), "cpu.total mem memory disk"),
        (FilterOptions(namepass=("*m*",), namedrop=("memory",)), "mem"),
        (FilterOptions(), "cpu cpu.total mem memory disk"),
    ],
)
def test_names(options: FilterOptions, wanted: str) -> None:
    assert passing(options, *NAMES) == wanted.split()


TAGGED = [metric("a", {"k": "1", "l": "x"}), metric("b", {"k": "2"}), metric("c", {"l": "y"}), metric("d", {})]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (FilterOptions(tagpass={"k": ("1",)}), "a"),
        (FilterOptions(tagpass={"k": ("*",)}), "a b"),
        (FilterOptions(tagpass={"k": ("1",), "l": ("y",)}), "a c"),
        (FilterOptions(tagpass={"k": ("3", "2")}), "b"),
        (FilterOptions(tagpass={"k": ()}), ""),
        (FilterOptions(tagdrop={"k": ("1",), "l": ("y",)}), "b d"),
        (FilterOptions(tagdrop={"k": ()}), "a b c d"),
        (FilterOptions(tagpass={"k": ("*",)}, tagdrop={"l": ("x",)}), "b"),
        (FilterOptions(namepass=("a", "c"), tagpass={"l": ("*",)}, namedrop=("c",)), "a"),
    ],
)
def test_tags(options: FilterOptions, wanted: str) -> None:
    assert passing(options, *TAGGED) == wanted.split()


@pytest.mark.parametrize(
    ("options", "fields", "tags"),
    [
        (FilterOptions(fieldinclude=("x",)), "x", "host cpu"),
        (FilterOptions(fieldexclude=("x",)), "y", "host cpu"),
        (FilterOptions(fieldinclude=("*",), fieldexclude=("y",)), "x", "host cpu"),
        (FilterOptions(taginclude=("h*",)), "x y", "host"),
        (FilterOptions(tagexclude=("host",)), "x y", "cpu"),
        (FilterOptions(taginclude=("host",), tagexclude=("host",)), "x y", ""),
    ],
)
def test_fields_and_tags_that_are_kept(options: FilterOptions, fields: str, tags: str) -> None:
    given = metric()
    before = copy.deepcopy(given)
    (kept,) = Selection(options).modify([given])
    assert (list(kept.fields), list(kept.tags)) == (fields.split(), tags.split())
    assert (kept.name, kept.time, kept.kind) == (given.name, given.time, given.kind)
    assert given == before


def test_a_metric_without_fields_is_left_out() -> None:
    assert Selection(FilterOptions(fieldinclude=("z",))).modify([metric()]) == []


def test_a_metric_that_loses_nothing_is_the_same_one() -> None:
    given = metric()
    selection = Selection(FilterOptions(namepass=("c*",), fieldinclude=("*",), tagexclude=("none",)))
    (kept,) = selection.apply([given])
    assert kept is given


def test_without_filters_there_is_no_selection() -> None:
    assert compile_selection(FilterOptions(namepass_separator=".")) is None
    assert compile_selection(FilterOptions(tagdrop={"a": ()})) is not None


def test_a_pattern_that_is_none() -> None:
    with pytest.raises(ValueError, match="cannot read the pattern"):
        compile_selection(FilterOptions(namepass=("[",)))


def test_many_names_do_not_fill_the_memory() -> None:
    selection = Selection(FilterOptions(namepass=("m1*",), fieldexclude=("f*",)))
    metrics = [metric(f"m{number}", x=1) for number in range(25_000)]
    assert len(selection.apply(metrics)) == sum(str(number).startswith("1") for number in range(25_000))
    assert selection._names is not None
    assert len(selection._names) <= 10_000


names = st.sampled_from(["a", "ab", "b", "ba"])
patterns = st.lists(st.sampled_from(["a", "a*", "*b", "?", "b"]), max_size=2).map(tuple)
tag_patterns = st.dictionaries(names, patterns, max_size=2)
options = st.builds(
    FilterOptions,
    namepass=patterns,
    namedrop=patterns,
    tagpass=tag_patterns,
    tagdrop=tag_patterns,
    fieldinclude=patterns,
    fieldexclude=patterns,
    taginclude=patterns,
    tagexclude=patterns,
)
metrics = st.lists(
    st.builds(
        Metric,
        name=names,
        tags=st.dictionaries(names, names, max_size=3),
        fields=st.dictionaries(names, st.integers(0, 9), min_size=1, max_size=3),
        time=st.just(1),
    ),
    max_size=4,
)


@given(options, metrics)
def test_a_selection_is_a_pure_function(options: FilterOptions, metrics: list[Metric]) -> None:
    before = copy.deepcopy(metrics)
    selection = Selection(options)
    first = selection.apply(metrics)
    assert metrics == before
    assert selection.apply(metrics) == first
    assert selection.apply(first) == first or options.tagpass or options.tagdrop
    assert (compile_selection(options) is None) <= (first == metrics)
    for kept in first:
        assert kept.fields
        assert any(
            kept.name == given.name
            and kept.fields.items() <= given.fields.items()
            and kept.tags.items() <= given.tags.items()
            for given in metrics
        )

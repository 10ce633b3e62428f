"""aggregators.basicstats: the arithmetic, value by value, as Telegraf has it."""

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, Uint
from pyagent.testing import make_aggregator, run_aggregator, summed_up
from pyagent_plugins.aggregators import basicstats
from pyagent_plugins.aggregators.basicstats import BasicStats

ALL = sorted(basicstats._KNOWN)


def reference(values: list[tuple[float, int]]) -> dict[str, float]:
    """What its Add and Push do."""
    first, start = values[0]
    low = high = total = mean = last = first
    squares = rate = 0.0
    interval = 0
    for count, (value, time) in enumerate(values[1:], start=2):
        delta = value - mean
        mean = mean + delta / count
        squares = squares + delta * (value - mean)
        if value < low:
            low = value
        elif value > high:
            high = value
        total += value
        interval = time - start
        if time != start:
            rate = (value - first) / math.copysign(abs(interval) // 10**9 + abs(interval) % 10**9 / 1e9, interval)
        last = value
    count = len(values)
    result: dict[str, float] = {"count": float(count), "min": low, "max": high, "mean": mean, "sum": total}
    result |= {"first": first, "last": last}
    if count > 1:
        diff = last - first
        variance = squares / (count - 1)
        result |= {"s2": variance, "stdev": math.sqrt(variance) if variance >= 0 else math.nan, "diff": diff}
        result |= {"rate": rate, "interval": interval}
        if diff >= 0:
            result |= {"non_negative_diff": diff, "non_negative_rate": rate}
        if first:
            result["percent_change"] = diff / first * 100
    return result


def bits(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: "nan" if value != value else struct.pack("d", value) if isinstance(value, float) else value
        for name, value in values.items()
    }


FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0])


@given(
    st.lists(st.tuples(FLOATS, st.integers(0, 3).map(lambda n: n * 700_000_003)), min_size=1, max_size=20), st.data()
)
def test_any_values_in_any_portions(values: list[tuple[float, int]], data: st.DataObject) -> None:
    plugin = make_aggregator(BasicStats, {"stats": ALL})
    for value, time in values:
        plugin.add([Metric("m", {}, {"v": value}, time)])
        if data.draw(st.booleans()):
            plugin._count_in()  # type: ignore[attr-defined]  # as it does when much waits
    (metric,) = summed_up(plugin, [])
    wanted = reference(values)
    if not values[0][0]:
        metric.fields.pop("v_percent_change", None)
    assert bits({name[2:]: value for name, value in metric.fields.items()}) == bits(wanted)


UNTIMED = ["count", "min", "max", "mean", "s2", "stdev", "sum", "first", "last", "diff", "percent_change"]
NUMBERS = FLOATS | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**64 - 1).map(Uint) | st.sampled_from(["x", True])
METRICS = st.builds(
    Metric,
    st.sampled_from(["m", "n"]),
    st.dictionaries(st.sampled_from(["a", "b", "1"]), st.sampled_from(["1", "a"]), max_size=2),
    st.dictionaries(st.sampled_from(["v", "w"]), NUMBERS, min_size=1, max_size=2),
    st.just(0),
)


@pytest.mark.skipif(basicstats.add_sums is None, reason="the native core is not built, or is off")
@given(st.lists(METRICS, max_size=12), st.integers(1, 12))
def test_native_sums_are_those_of_python(metrics: list[Metric], portion: int) -> None:
    native, plain = make_aggregator(BasicStats, {"stats": UNTIMED}), make_aggregator(BasicStats, {"stats": UNTIMED})
    plain._add_sums = None  # type: ignore[attr-defined]  # one that has only Python
    answers = []
    for plugin in (native, plain):
        for start in range(0, len(metrics), portion):
            plugin.add(metrics[start : start + portion])
        found = summed_up(plugin, [])
        answers.append([(one.name, one.tags, list(one.fields), bits(dict(one.fields))) for one in found])
        assert summed_up(plugin, []) == []
    assert answers[0] == answers[1]


def test_series_fields_and_types() -> None:
    metrics = [
        Metric("m", {"a": "1", "b": "2"}, {"i": 2**62, "u": Uint(2**64 - 1), "s": "x", "b": True}, 0),
        Metric("m", {"b": "2", "a": "1"}, {"i": 2**62, "f": 0.5}, 0),
        Metric("m", {}, {"i": 1}, 0),
    ]
    found = run_aggregator(BasicStats, metrics, {"stats": ["count", "max"]})
    assert {(tuple(sorted(one.tags.items())), tuple(sorted(one.fields.items()))) for one in found} == {
        (
            (("a", "1"), ("b", "2")),
            *[
                (
                    ("f_count", 1.0),
                    ("f_max", 0.5),
                    ("i_count", 2.0),
                    ("i_max", 2.0**62),
                    ("u_count", 1.0),
                    ("u_max", 2.0**64),
                )
            ],
        ),
        ((), (("i_count", 1.0), ("i_max", 1.0))),
    }


def test_from_zero_the_change_has_no_bound() -> None:
    change = {}
    for value in (1, -1, 0):
        metrics = [Metric("m", {}, {"v": 0}, 0), Metric("m", {}, {"v": value}, 1)]
        (found,) = run_aggregator(BasicStats, metrics, {"stats": ["percent_change"]})
        change[value] = found.fields["v_percent_change"]
    assert change[1] == math.inf
    assert change[-1] == -math.inf
    assert change[0] != change[0]


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(basicstats, "_MOST_WAITING", 10)
    plugin = make_aggregator(BasicStats, {"stats": ["count", "rate"]})
    for number in range(100):
        plugin.add([Metric("m", {}, {"v": number}, number)])
        series = next(iter(plugin._series.values()))  # type: ignore[attr-defined]
        assert len(series.values["v"]) <= 11
        assert len(series.times["v"]) == len(series.values["v"])
    (found,) = summed_up(plugin, [])
    assert found.fields["v_count"] == 100.0
    assert summed_up(plugin, []) == []


def test_metrics_without_numbers_give_nothing() -> None:
    assert run_aggregator(BasicStats, [Metric("m", {}, {"s": "x"}, 0)]) == []
    assert run_aggregator(BasicStats, [Metric("m", {}, {"v": 1}, 0)], {"stats": ["diff"]}) == []

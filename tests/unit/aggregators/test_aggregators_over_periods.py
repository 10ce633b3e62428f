"""What aggregators keep from one period to the next."""

import statistics
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, MetricType
from pyagent.testing import make_aggregator, run_aggregator, summed_up
from pyagent_plugins.aggregators.derivative import Derivative
from pyagent_plugins.aggregators.histogram import Histogram
from pyagent_plugins.aggregators.merge import Merge
from pyagent_plugins.aggregators.quantile import Quantile

SECOND = 1_000_000_000


def values(metrics: list[Metric]) -> list[dict[str, object]]:
    return [dict(metric.fields) for metric in metrics]


def at(seconds: float, **fields: float) -> Metric:
    return Metric("m", {"h": "a"}, dict(fields), round(seconds * SECOND))


def test_the_last_metric_is_the_first_one_of_the_next_period() -> None:
    derivative = make_aggregator(Derivative, {"max_roll_over": 2})
    assert values(summed_up(derivative, [at(0, v=1), at(10, v=21)])) == [{"v_rate": 2.0}]
    assert values(summed_up(derivative, [at(20, v=31)])) == [{"v_rate": 1.0}]
    assert summed_up(derivative, []) == []
    assert values(summed_up(derivative, [at(50, v=61)])) == [{"v_rate": 1.0}]
    for _ in range(3):
        assert summed_up(derivative, []) == []
    # It was rolled over twice, and then forgotten.
    assert summed_up(derivative, [at(90, v=100)]) == []


def test_nothing_is_rolled_over() -> None:
    derivative = make_aggregator(Derivative, {"max_roll_over": 0})
    assert values(summed_up(derivative, [at(0, v=1), at(10, v=21)])) == [{"v_rate": 2.0}]
    assert summed_up(derivative, [at(20, v=31)]) == []


TABLE = {"measurement_name": "m", "buckets": [1.0]}


def counts(metrics: list[Metric]) -> list[int]:
    return [metric.fields["v_bucket"] for metric in metrics]  # type: ignore[misc]  # they are integers


def test_counts_go_on_or_begin_anew() -> None:
    histogram = make_aggregator(Histogram, {"config": [TABLE]})
    assert counts(summed_up(histogram, [at(0, v=1), at(0, v=2)])) == [1, 2]
    assert counts(summed_up(histogram, [at(0, v=1)])) == [2, 3]
    assert counts(summed_up(histogram, [])) == [2, 3]
    histogram = make_aggregator(Histogram, {"config": [TABLE], "reset": True})
    assert counts(summed_up(histogram, [at(0, v=1)])) == [1, 1]
    assert summed_up(histogram, []) == []
    histogram = make_aggregator(Histogram, {"config": [TABLE], "push_only_on_update": True})
    assert counts(summed_up(histogram, [at(0, v=1)])) == [1, 1]
    assert summed_up(histogram, []) == []
    assert counts(summed_up(histogram, [at(0, v=3)])) == [1, 2]


def test_a_series_from_which_nothing_comes_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100 * SECOND
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    histogram = make_aggregator(Histogram, {"config": [TABLE], "expiration_interval": "10s"})
    assert counts(summed_up(histogram, [at(0, v=1)])) == [1, 1]
    now += 10 * SECOND
    assert counts(summed_up(histogram, [])) == [1, 1]
    now += 1
    assert summed_up(histogram, []) == []
    assert counts(summed_up(histogram, [at(0, v=1)])) == [1, 1]


def test_merging_keeps_the_kind_and_changes_no_metric_that_came_in() -> None:
    first = Metric("m", {"h": "a"}, {"v": 1}, 7, MetricType.GAUGE)
    merged = run_aggregator(Merge, [first, Metric("m", {"h": "a"}, {"w": 2}, 7, MetricType.COUNTER)])
    assert merged == [Metric("m", {"h": "a"}, {"v": 1, "w": 2}, 7, MetricType.GAUGE)]
    assert first.fields == {"v": 1}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_r7_is_what_statistics_calls_inclusive(numbers: list[float]) -> None:
    [metric] = run_aggregator(Quantile, [at(0, v=number) for number in numbers], {"algorithm": "exact R7"})
    wanted = statistics.quantiles(numbers, n=4, method="inclusive")
    assert [metric.fields[f"v_{q}"] for q in ("025", "050", "075")] == pytest.approx(wanted, abs=1e-6)


@given(
    st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6), min_size=1, max_size=300), st.sampled_from([1.0, 3.0, 100.0])
)
def test_a_digest_keeps_between_the_smallest_and_the_largest(numbers: list[float], compression: float) -> None:
    digest = make_aggregator(Quantile, {"compression": compression, "quantiles": [0.5]})
    [metric] = summed_up(digest, [at(0, v=number) for number in numbers])
    assert min(numbers) <= metric.fields["v_050"] <= max(numbers)  # type: ignore[operator]  # a number

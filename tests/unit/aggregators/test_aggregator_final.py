"""aggregators.final: what ends when."""

import time

import pytest

from pyagent.api import Metric
from pyagent.testing import make_aggregator, summed_up
from pyagent_plugins.aggregators.final import Final


def test_a_series_comes_once_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    final = make_aggregator(Final, {"series_timeout": "10s"})
    old, other = now - 5_000_000_000, now - 20_000_000_000
    metrics = [Metric("m", {"a": "1", "b": "2"}, {"f": 1}, old - 1), Metric("m", {"b": "2", "a": "1"}, {"f": 2}, old)]
    assert summed_up(final, [*metrics, Metric("n", {}, {"f": 3}, other)]) == [Metric("n", {}, {"f_final": 3}, other)]
    assert summed_up(final, []) == []
    now += 5_000_000_000
    assert summed_up(final, []) == []
    now += 1
    assert summed_up(final, []) == [Metric("m", {"a": "1", "b": "2"}, {"f_final": 2}, old)]
    assert summed_up(final, []) == []


def test_each_period_gives_what_came_in_it() -> None:
    final = make_aggregator(Final, {"output_strategy": "periodic", "keep_original_field_names": True})
    metric = Metric("m", {}, {"f": "text", "g": True}, 5)
    assert summed_up(final, [metric]) == [metric]
    assert summed_up(final, []) == []

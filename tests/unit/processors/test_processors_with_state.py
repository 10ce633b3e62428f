"""What processors remember: through a reload that leaves them as they are, and for no longer than they need it."""

import time

import pytest

from pyagent.api import Metric
from pyagent.config import Plan, SourceText, load_plan
from pyagent.pipeline.fanout import Fanout
from pyagent.runtime.build import build_stages
from pyagent.testing import make_processor, process
from pyagent.testing.virtual import VirtualClock
from pyagent_plugins.processors.cumulative_sum import CumulativeSum
from pyagent_plugins.processors.dedup import Dedup

HOUR = 3_600_000_000_000
START = 1_795_478_403 * 1_000_000_000
TEXT = """
[[inputs.mem]]
[[outputs.discard]]
[[processors.dedup]]
[[processors.cumulative_sum]]
"""


def a_plan(text: str) -> Plan:
    return load_plan([SourceText("a.conf", text)], environ={})


async def test_the_state_outlasts_a_reload() -> None:
    fanout, clock = Fanout(), VirtualClock(START)
    now = time.time_ns()
    values = [1, 1, 2]
    sums = []
    for number, value in enumerate(values):
        # Another place of the tables, and another plugin beside them, change nothing.
        fanout.replace(await build_stages(a_plan("\n" * number + TEXT + "[[outputs.file]]\n" * number), fanout, clock))
        passed = fanout.stages.processed([Metric("m", {"a": "1"}, {"v": value}, now + number)])
        sums += [metric.fields["v_sum"] for metric in passed]
    assert sums == [1.0, 3.0], "the second one is dropped, and the sum goes on"


def test_a_series_that_expired_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = START
    monkeypatch.setattr(CumulativeSum, "now", staticmethod(lambda: now))
    processor = make_processor(CumulativeSum, {"expiry_interval": "1h"})

    def total(name: str) -> object:
        [metric] = process(processor, [Metric(name, {}, {"v": 1}, 0)])
        return metric.fields["v_sum"]

    assert [total("m"), total("n"), total("m")] == [1.0, 1.0, 2.0]
    now += HOUR
    assert total("m") == 3.0, "so long, and not longer"
    now += 1
    assert total("m") == 4.0
    assert total("n") == 1.0


def test_dedup_lets_through_what_is_as_old_as_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = START
    monkeypatch.setattr(time, "time_ns", lambda: now)
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    processor = make_processor(Dedup, {"dedup_interval": "1h"})

    def passes(name: str) -> bool:
        return bool(process(processor, [Metric(name, {}, {"v": 1}, now)]))

    assert [passes("m"), passes("n")] == [True, True]
    now += HOUR - 1
    assert not passes("m")
    now += 1
    assert passes("m")
    assert not passes("m")
    now += HOUR // 2
    assert passes("n"), "the hour of each series is its own"
    assert not passes("m")


def test_dedup_keeps_no_dict_of_a_metric() -> None:
    processor = make_processor(Dedup)
    metric = Metric("m", {}, {"v": 1}, time.time_ns())
    processor.process([metric])
    metric.fields["v"] = 2
    assert process(processor, [Metric("m", {}, {"v": 1}, metric.time)]) == []


def test_nan_is_another_value_each_time() -> None:
    processor = make_processor(Dedup)
    metric = Metric("m", {}, {"v": float("nan")}, time.time_ns())
    assert [len(process(processor, [metric])) for _ in range(3)] == [1, 1, 1]

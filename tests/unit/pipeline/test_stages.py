"""Processors and aggregators between inputs and outputs, on virtual time."""

import asyncio
from typing import Any

import pytest
from plans import LOG, SECOND, START, Collected
from stage_plans import Sink, aggregator, metric, processor, suffix

from pyagent.api import Aggregator, Duration, Metric, NoOptions, Processor
from pyagent.config import FilterOptions
from pyagent.lineprotocol import round_times
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.testing.virtual import VirtualClock, run_virtual
from pyagent_plugins.aggregators.merge import Merge, MergeOptions
from pyagent_plugins.aggregators.minmax import MinMax


def test_processors_act_one_after_the_other() -> None:
    sink = Sink()
    sink.stages = ProcessorChain([processor(suffix("_a")), processor(suffix("_b"))])
    sink.deliver([metric()])
    assert [m.name for m in sink.metrics] == ["m_a_b"]
    assert not sink.relayable


def test_what_is_not_selected_passes_by_in_its_place() -> None:
    stage = processor(suffix("_x"), filters=FilterOptions(namepass=("a", "c")))
    assert [m.name for m in stage([metric("a"), metric("b"), metric("c"), metric("a"), metric("d")])] == [
        "a_x",
        "b",
        "c_x",
        "a_x",
        "d",
    ]


def test_filters_take_fields_away_before_the_processor_and_a_metric_without_any_is_dropped() -> None:
    stage = processor(suffix("_x"), filters=FilterOptions(fieldexclude=("v",)))
    with_more = Metric("n", {}, {"v": 1.0, "w": 2}, START)
    assert stage([metric(), with_more]) == [Metric("n_x", {}, {"w": 2}, START)]


class Breaking(Processor):
    def process(self, metrics: list[Metric]) -> list[Metric]:
        raise ZeroDivisionError("on purpose")


def test_a_processor_that_fails_lets_everything_pass(caplog: pytest.LogCaptureFixture) -> None:
    stage = processor(Breaking(NoOptions(), LOG))
    for _ in range(3):
        assert stage([metric()]) == [metric()]
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot process: ZeroDivisionError: on purpose (test_stages.py:{Breaking.process.__code__.co_firstlineno + 1})"
    ]


def test_a_period_is_pushed_at_its_end_and_the_next_begins() -> None:
    async def main() -> None:
        clock, sink = VirtualClock(START), Sink()
        runner = aggregator(MinMax(NoOptions(), LOG), sink, clock, tags={"by": "minmax"}, name_suffix="_s")
        sink.stages = ProcessorChain((), [runner], [processor(suffix("_after"))])
        task = asyncio.create_task(runner.run())
        sink.deliver([metric(value=3, host="h"), metric(value=1, host="h"), metric(value=7, host="i")])
        await asyncio.sleep(27.5)  # START is 3 s behind a multiple of 30 s
        aggregated = sink.metrics[3:]
        assert [(m.name, m.tags, m.fields) for m in aggregated] == [
            ("m_s_after", {"by": "minmax", "host": "h"}, {"v_min": 1.0, "v_max": 3.0}),
            ("m_s_after", {"by": "minmax", "host": "i"}, {"v_min": 7.0, "v_max": 7.0}),
        ]
        assert {m.time for m in aggregated} == {START + 27 * SECOND}
        assert [m.name for m in sink.metrics[:3]] == ["m", "m", "m"]

        sink.deliver([metric(value=5, seconds=28)])
        await asyncio.sleep(30)
        assert [m.fields for m in sink.metrics[6:]] == [{"v_min": 5.0, "v_max": 5.0}]
        task.cancel()

    run_virtual(main())


@pytest.mark.parametrize(
    ("seconds", "inside"),
    [(-3.001, False), (-3, True), (0, True), (27, True), (27.1, True), (27.2, False)],
)
def test_the_first_window_begins_at_the_multiple_before_and_has_both_its_ends_and_the_delay(
    seconds: float, inside: bool
) -> None:
    async def main() -> None:
        clock, sink = VirtualClock(START), Sink()
        runner = aggregator(MinMax(NoOptions(), LOG), sink, clock)
        runner.add([metric(seconds=seconds)])
        runner.push()
        assert (len(sink.metrics), runner.dropped) == ((1, 0) if inside else (0, 1))

    run_virtual(main())


@pytest.mark.parametrize("part", [1, 250_000_000, 499_999_999, 500_000_000, 999_999_999])
@pytest.mark.parametrize("aligned", [True, False])
def test_the_first_gather_counts_whatever_its_time_is_rounded_to(part: int, aligned: bool) -> None:
    async def main() -> None:
        clock = VirtualClock(START + part)
        runner = aggregator(MinMax(NoOptions(), LOG), Sink(), clock, round_interval=aligned)
        gathered = metric(seconds=0)
        gathered.time = clock.now()
        round_times([gathered], SECOND)
        runner.add([gathered])
        assert runner.dropped == 0

    run_virtual(main())


@pytest.mark.parametrize("plugin", [Merge(MergeOptions(), LOG), MinMax(NoOptions(), LOG)], ids=["merge", "minmax"])
def test_times_of_metrics_that_came_in_are_not_rounded(plugin: Aggregator[Any]) -> None:
    async def main() -> None:
        clock, sink = VirtualClock(START + 5), Sink()
        runner = aggregator(plugin, sink, clock)
        given = metric(seconds=0.7)
        runner.add([given])
        runner.push()
        assert [m.time for m in sink.metrics] == [given.time if isinstance(plugin, Merge) else START]

    run_virtual(main())


def test_what_comes_before_the_end_of_a_window_is_noticed_is_in_the_next_one() -> None:
    async def main() -> None:
        clock, sink = VirtualClock(START), Sink()
        runner = aggregator(MinMax(NoOptions(), LOG), sink, clock)
        runner.add([metric(value=1)])
        await asyncio.sleep(28)  # nobody runs it
        runner.add([metric(value=2, seconds=28)])
        runner.push()
        assert [m.fields["v_max"] for m in sink.metrics] == [1.0, 2.0]
        assert runner.dropped == 0

    run_virtual(main())


def test_a_clock_that_is_set_costs_nothing_but_the_window() -> None:
    """Whether it is set ahead by a year or back: no window is made up for, and what comes then counts."""

    async def main() -> None:
        clock, sink = VirtualClock(START), Sink()
        runner = aggregator(MinMax(NoOptions(), LOG), sink, clock, period=Duration("1s"))
        task = asyncio.create_task(runner.run())
        year = 365 * 86400
        for offset in (year, -year):
            clock.set(START + offset * SECOND)
            runner.add([metric(value=offset, seconds=offset)])
            await asyncio.sleep(3)
        task.cancel()
        assert runner.dropped == 0
        assert [m.fields["v_max"] for m in sink.metrics] == [float(year), float(-year)]

    run_virtual(main())


def test_what_falls_out_of_a_window_is_counted_and_told_once_in_each(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        runner = aggregator(MinMax(NoOptions(), LOG), Sink(), VirtualClock(START), drop_original=True)
        for _ in range(3):
            runner.add([metric(seconds=-60), metric(), metric(seconds=2e12)])
        assert runner.dropped == 6
        assert caplog.messages == [
            "metrics outside of the window are not aggregated and, as drop_original says, dropped: 2 so far; one of 'm' "
            "is of 2026-11-23T23:59:03.000Z, the window is 2026-11-24T00:00:00.000Z to 2026-11-24T00:00:30.000Z; "
            "`grace` lets older ones in"
        ]
        runner.push()
        runner.add([metric(seconds=2e12)])
        assert len(caplog.messages) == 2
        runner.push()
        runner.add([metric(seconds=2e12)])
        assert len(caplog.messages) == 2, "and where they go on, when there are twice as many"

    run_virtual(main())


def test_grace_lets_late_metrics_in() -> None:
    async def main() -> None:
        runner = aggregator(MinMax(NoOptions(), LOG), Sink(), VirtualClock(START), grace=Duration("10s"))
        runner.add([metric(seconds=-13), metric(seconds=-13.5)])
        assert runner.dropped == 1

    run_virtual(main())


def test_a_clock_set_ahead_begins_a_new_window_there() -> None:
    async def main() -> None:
        clock, sink = VirtualClock(START), Sink()
        runner = aggregator(MinMax(NoOptions(), LOG), sink, clock)
        clock.set(START + 3600 * SECOND)
        runner.push()
        runner.add([metric(seconds=3600)])
        assert runner.dropped == 0

    run_virtual(main())


def test_originals_are_dropped_for_all_where_one_aggregator_says_so() -> None:
    async def main() -> None:
        clock, sink = VirtualClock(START), Sink()
        keeping = aggregator(MinMax(NoOptions(), LOG), sink, clock)
        dropping = aggregator(
            MinMax(NoOptions(), LOG), sink, clock, drop_original=True, filters=FilterOptions(namepass=("gone",))
        )
        sink.stages = ProcessorChain((), [keeping, dropping])
        sink.deliver([metric("gone"), metric("stays"), metric("gone", seconds=-60)])
        assert [m.name for m in sink.metrics] == ["stays"]
        keeping.push()
        assert [m.name for m in sink.metrics] == ["stays", "gone", "stays"]

    run_virtual(main())


def test_without_stages_metrics_pass_untouched() -> None:
    metrics = [metric()]
    assert ProcessorChain().gathered(metrics) is metrics
    assert not ProcessorChain()
    assert Collected().stages.aggregated(metrics) is metrics

"""Service inputs: what they acknowledge is safe, and what cannot be kept is refused."""

import asyncio
from typing import Any

import pytest
from plans import LOG, SECOND, START, input_plan, numbers, output_plan

from pyagent.api import Accumulator, Batch, Duration, Full, Ingested, Input, Metric, NoOptions, Output, Retry
from pyagent.config import FilterOptions
from pyagent.pipeline.fanout import Route
from pyagent.pipeline.inputs.running_input import InputRunner
from pyagent.pipeline.outputs.running_output import OutputRunner
from pyagent.testing.virtual import VirtualClock, run_virtual


class Listener(Input):
    """Does nothing by itself: the test calls its accumulator."""

    fails = 0

    async def start(self, acc: Accumulator) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError("address already in use")
        self.acc = acc


class Silent(Output):
    def write(self, batch: Batch) -> None:
        raise Retry("down")


class Sink(Output):
    async def write(self, batch: Batch) -> None:
        pass


def out(plugin: type[Output] = Silent, **plan: Any) -> OutputRunner:
    return OutputRunner(output_plan(plugin, **plan), plugin(NoOptions(), LOG), log=LOG)


def listener(route: Route, **plan: Any) -> InputRunner:
    return InputRunner(
        input_plan(Listener, **plan),
        Listener(NoOptions(), LOG),
        global_tags={"host": "h"},
        route=route,
        clock=VirtualClock(START),
        log=LOG,
    )


def lines_of(output: OutputRunner) -> list[str]:
    batch = output.queue.take(1000)
    assert batch is not None
    return batch.payload().decode().splitlines()


BODY = b"m,a=1 n=1i 1700000000123456789\nm,host=own n=2i\n"


@pytest.mark.parametrize("plan", [{}, {"filters": FilterOptions(namedrop=("x",))}], ids=["relayed", "parsed"])
def test_lines_get_tags_and_the_time_where_they_have_none(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        runner = listener(Route([output]), tags={"rack": "r"}, **plan)
        result = await runner.acc.ingest(BODY, tags={"bucket": "b"})
        assert result == Ingested(2)
        assert lines_of(output) == [
            "m,a=1,bucket=b,host=h,rack=r n=1i 1700000000123456789",
            f"m,bucket=b,host=own,rack=r n=2i {START}",
        ]
        assert runner.gathered == 2

    run_virtual(main())


@pytest.mark.parametrize("plan", [{}, {"name_prefix": ""}, {"name_prefix": "p_"}])
def test_times_are_rounded_only_by_the_plugins_own_precision(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        await listener(Route([output]), service_precision=Duration("1s"), **plan).acc.ingest(
            b"m n=1i 1700000000500000000"
        )
        assert lines_of(output)[0].endswith(" 1700000001000000000")

    run_virtual(main())


@pytest.mark.parametrize("plan", [{}, {"filters": FilterOptions(namedrop=("x",))}], ids=["relayed", "parsed"])
def test_bad_lines_cost_the_others_only_where_asked(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        acc = listener(Route([output]), **plan).acc
        body = b"m n=1i 1\nm n=\nm n=3i 3\n"
        strict = await acc.ingest(body, all_or_nothing=True)
        assert (strict.taken, len(strict.errors), len(output.queue)) == (0, 1, 0)
        assert strict.errors[0].startswith("line 2")
        lenient = await acc.ingest(body, precision="s")
        assert (lenient.taken, len(lenient.errors), len(output.queue)) == (2, 1, 2)
        assert lines_of(output)[1] == f"m,host=h n=3i {3 * SECOND}"

    run_virtual(main())


def test_a_full_queue_refuses_and_what_it_took_outlives_polled_metrics() -> None:
    async def main() -> None:
        output = out(metric_buffer_limit=10)
        route = Route([output])
        acc = listener(route).acc
        route.deliver([Metric("polled", {}, {"n": n}, START) for n in range(6)])
        await acc.deliver([Metric("m", {}, {"n": n}, START) for n in range(100, 108)])
        with pytest.raises(Full):
            await acc.deliver([Metric("m", {}, {"n": n}, START) for n in range(3)])
        route.deliver([Metric("polled", {}, {"n": n}, START) for n in range(50, 70)])
        assert len(output.queue) == 10
        batch = output.queue.take(100)
        assert batch is not None
        assert numbers(batch) == [*range(100, 108), 68, 69]
        assert output.queue.dropped == 24

    run_virtual(main())


def test_a_full_queue_is_written_though_it_holds_no_whole_batch() -> None:
    async def main() -> None:
        output = out(Sink, metric_buffer_limit=10, metric_batch_size=9, flush_interval=Duration("1h"))
        running = asyncio.create_task(output.run())
        acc = listener(Route([output])).acc
        await acc.deliver([Metric("m", {}, {"n": 1}, START)])  # the first is written at once
        await asyncio.sleep(1)
        metrics = [Metric("m", {}, {"n": n}, START) for n in range(6)]
        await acc.deliver(metrics)
        await asyncio.sleep(60)
        assert len(output.queue) == 6
        with pytest.raises(Full):
            await acc.deliver(metrics)
        await asyncio.sleep(1)
        assert (len(output.queue), output.written) == (0, 7)
        output.end()
        await running

    run_virtual(main())


def test_an_input_that_is_being_stopped_takes_nothing_and_says_so_to_the_sender() -> None:
    async def main() -> None:
        output = out()
        runner = listener(Route([output]))
        await runner.stop(grace=1)
        with pytest.raises(Full, match="stopped"):
            await runner.acc.ingest(BODY)
        with pytest.raises(Full, match="stopped"):
            await runner.acc.deliver([Metric("m", {}, {"n": 1}, START)])
        assert len(output.queue) == 0

    run_virtual(main())


def test_one_output_with_room_is_enough() -> None:
    async def main() -> None:
        stuck, free = out(metric_buffer_limit=4), out(metric_buffer_limit=100)
        acc = listener(Route([stuck, free])).acc
        for first in range(0, 12, 4):
            await acc.deliver([Metric("m", {}, {"n": n}, START) for n in range(first, first + 4)])
        assert (len(stuck.queue), len(free.queue)) == (4, 12)

    run_virtual(main())


def test_a_start_that_fails_is_tried_again() -> None:
    async def main() -> None:
        runner = listener(Route([out()]))
        runner.plugin.fails = 2
        await runner.run()
        assert runner.failures.total == 2
        assert asyncio.get_running_loop().time() == pytest.approx(20, abs=1)
        assert runner.plugin.acc is runner.acc
        await runner.stop(grace=1)

    run_virtual(main())

"""Service inputs: what they acknowledge is safe, and what cannot be kept is refused."""

import asyncio
import threading
from typing import Any

import pytest
from plans import LOG, SECOND, START, input_plan, numbers, output_plan

from pyagent.api import (
    Accumulator,
    Batch,
    Duration,
    Ingested,
    Input,
    Metric,
    NoOptions,
    Output,
    ParseError,
    Parser,
    QueueFull,
    Retry,
)
from pyagent.config import FilterOptions
from pyagent.kit import page_room
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.testing import make_parser
from pyagent.testing.virtual import VirtualClock, run_virtual
from pyagent_plugins.parsers.influx import Influx
from pyagent_plugins.parsers.prometheus import Prometheus
from pyagent_plugins.parsers.value import Value

pytestmark = pytest.mark.leaves_threads(reason="its plugins hang, or are not stopped")


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


def out(plugin: type[Output] = Silent, **plan: Any) -> RunningOutput:
    return RunningOutput(output_plan(plugin, **plan), plugin(NoOptions(), LOG), log=LOG)


def listener(fanout: Fanout, clock: VirtualClock | None = None, **plan: Any) -> RunningInput:
    return RunningInput(
        input_plan(Listener, **plan),
        Listener(NoOptions(), LOG),
        global_tags={"host": "h"},
        sink=fanout,
        clock=clock or VirtualClock(START),
        log=LOG,
    )


def lines_of(output: RunningOutput) -> list[str]:
    batch = output.queue.next_batch(1000)
    assert batch is not None
    return batch.payload().decode().splitlines()


BODY = b"m,a=1 n=1i 1700000000123456789\nm,host=own n=2i\n"


@pytest.mark.parametrize("plan", [{}, {"filters": FilterOptions(namedrop=("x",))}], ids=["relayed", "parsed"])
def test_lines_get_tags_and_the_time_where_they_have_none(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        runner = listener(Fanout([output]), tags={"rack": "r"}, **plan)
        result = await runner.acc.ingest(BODY, tags={"bucket": "b"})
        assert result == Ingested(2)
        assert lines_of(output) == [
            "m,a=1,bucket=b,host=h,rack=r n=1i 1700000000123456789",
            f"m,bucket=b,host=own,rack=r n=2i {START}",
        ]
        assert runner.gathered == 2

    run_virtual(main())


@pytest.mark.parametrize("plan", [{}, {"filters": FilterOptions(namedrop=("x",))}], ids=["relayed", "parsed"])
def test_lines_without_a_time_that_come_together_stay_points_of_their_own(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        acc = listener(Fanout([output]), **plan).acc
        piece = b"m n=1i\nm n=2i\nm n=3i 5\n"
        await asyncio.gather(
            acc.ingest(piece), acc.ingest(pieces := [b"m n=1"] * 100, parser=make_parser(Influx)), acc.ingest(piece)
        )
        times = [int(line.rsplit(" ", 1)[1]) for line in lines_of(output)]
        assert times.count(5) == 2
        assert len(set(times)) == len(times) - 1 == len(pieces) + 5
        assert max(times) < START + SECOND

    run_virtual(main())


def test_a_clock_that_was_set_back_is_followed() -> None:
    async def main() -> None:
        output = out()
        clock = VirtualClock(START)
        acc = listener(Fanout([output]), clock).acc
        await acc.ingest(b"m n=1i\n")
        clock.set(START - 3600 * SECOND)
        await acc.ingest(b"m n=2i\n")
        assert lines_of(output)[1] == f"m,host=h n=2i {START - 3600 * SECOND}"

    run_virtual(main())


@pytest.mark.parametrize("plan", [{}, {"name_prefix": ""}, {"name_prefix": "p_"}])
def test_times_are_rounded_only_by_the_plugins_own_precision(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        await listener(Fanout([output]), service_precision=Duration("1s"), **plan).acc.ingest(
            b"m n=1i 1700000000500000000"
        )
        assert lines_of(output)[0].endswith(" 1700000001000000000")

    run_virtual(main())


@pytest.mark.parametrize("plan", [{}, {"filters": FilterOptions(namedrop=("x",))}], ids=["relayed", "parsed"])
def test_bad_lines_cost_the_others_only_where_asked(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        acc = listener(Fanout([output]), **plan).acc
        body = b"m n=1i 1\nm n=\nm n=3i 3\n"
        strict = await acc.ingest(body, all_or_nothing=True)
        assert (strict.accepted, len(strict.errors), len(output.queue)) == (0, 1, 0)
        assert strict.errors[0].startswith("line 2")
        lenient = await acc.ingest(body, precision="s")
        assert (lenient.accepted, len(lenient.errors), len(output.queue)) == (2, 1, 2)
        assert lines_of(output)[1] == f"m,host=h n=3i {3 * SECOND}"

    run_virtual(main())


def test_a_full_queue_refuses_and_what_it_took_outlives_polled_metrics() -> None:
    async def main() -> None:
        output = out(metric_buffer_limit=10)
        fanout = Fanout([output])
        acc = listener(fanout).acc
        fanout.deliver([Metric("polled", {}, {"n": n}, START) for n in range(6)])
        await acc.deliver([Metric("m", {}, {"n": n}, START) for n in range(100, 108)])
        with pytest.raises(QueueFull):
            await acc.deliver([Metric("m", {}, {"n": n}, START) for n in range(3)])
        fanout.deliver([Metric("polled", {}, {"n": n}, START) for n in range(50, 70)])
        assert len(output.queue) == 10
        batch = output.queue.next_batch(100)
        assert batch is not None
        assert numbers(batch) == [*range(100, 108), 68, 69]
        assert output.queue.dropped == 24

    run_virtual(main())


def test_a_full_queue_is_written_though_it_holds_no_whole_batch() -> None:
    async def main() -> None:
        output = out(Sink, metric_buffer_limit=10, metric_batch_size=9, flush_interval=Duration("1h"))
        running = asyncio.create_task(output.run())
        acc = listener(Fanout([output])).acc
        await acc.deliver([Metric("m", {}, {"n": 1}, START)])  # the first is written at once
        await asyncio.sleep(1)
        metrics = [Metric("m", {}, {"n": n}, START) for n in range(6)]
        await acc.deliver(metrics)
        await asyncio.sleep(60)
        assert len(output.queue) == 6
        with pytest.raises(QueueFull):
            await acc.deliver(metrics)
        await asyncio.sleep(1)
        assert (len(output.queue), output.written) == (0, 7)
        output.end()
        await running

    run_virtual(main())


def test_an_input_that_is_being_stopped_takes_nothing_and_says_so_to_the_sender() -> None:
    async def main() -> None:
        output = out()
        runner = listener(Fanout([output]))
        await runner.stop(grace=1)
        with pytest.raises(QueueFull, match="stopped"):
            await runner.acc.ingest(BODY)
        with pytest.raises(QueueFull, match="stopped"):
            await runner.acc.deliver([Metric("m", {}, {"n": 1}, START)])
        assert len(output.queue) == 0

    run_virtual(main())


@pytest.mark.parametrize(("syncs", "known"), [(10.0, True), (100.0, False)], ids=["slower than a stop may be", "hangs"])
def test_what_waits_for_the_disk_is_known_to_be_taken_before_an_input_has_stopped(
    syncs: float, known: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Else what comes after it reads or receives the same once more."""

    class SlowDisk(Fanout):
        async def deliver_pinned(self, metrics: list[Metric]) -> None:
            await asyncio.sleep(syncs)

    class Reader(Listener):
        position = 0

        async def start(self, acc: Accumulator) -> None:
            async def read() -> None:
                await acc.deliver([Metric("m", {}, {"n": 1}, START)])
                self.position = 1

            self.reading = asyncio.create_task(read())

        async def stop(self) -> None:
            await asyncio.wait([self.reading])

    async def main() -> None:
        plugin = Reader(NoOptions(), LOG)
        runner = RunningInput(
            input_plan(Reader), plugin, global_tags={}, sink=SlowDisk([out()]), clock=VirtualClock(START), log=LOG
        )
        await runner.run()
        await asyncio.sleep(0)
        await runner.stop(grace=1)
        assert (plugin.position == 1) is known
        assert asyncio.get_running_loop().time() < 20
        plugin.reading.cancel()

    run_virtual(main())
    abandoned = ["stopping did not end within 1 s; it is abandoned"]
    assert [text for text in caplog.messages if "abandoned" in text] == ([] if known else abandoned)


def test_one_output_with_room_is_enough() -> None:
    async def main() -> None:
        stuck, free = out(metric_buffer_limit=4), out(metric_buffer_limit=100)
        acc = listener(Fanout([stuck, free])).acc
        for first in range(0, 12, 4):
            await acc.deliver([Metric("m", {}, {"n": n}, START) for n in range(first, first + 4)])
        assert (len(stuck.queue), len(free.queue)) == (4, 12)

    run_virtual(main())


def test_a_start_that_fails_is_tried_again() -> None:
    async def main() -> None:
        runner = listener(Fanout([out()]))
        runner.plugin.fails = 2
        await runner.run()
        assert runner.failures.total == 2
        assert asyncio.get_running_loop().time() == pytest.approx(20, abs=1)
        assert runner.plugin.acc is runner.acc
        await runner.stop(grace=1)

    run_virtual(main())


# Data that a parser reads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [{}, {"filters": FilterOptions(namedrop=("x",))}], ids=["relayed", "parsed"])
def test_pieces_of_lines_are_read_each_by_itself_and_get_the_same_tags(plan: dict[str, Any]) -> None:
    async def main() -> None:
        output = out()
        acc = listener(Fanout([output]), **plan).acc
        parser = make_parser(Influx, {"influx_timestamp_precision": "1s"})
        result = await acc.ingest([b"a v=1i 1", b"b v=2i 2\nbad\n", b"c v=3i 3"], parser, tags={"t": "x"})
        assert (result.accepted, result.rejected, result.texts) == (3, 1, ("bad",))
        assert lines_of(output) == [f"{name},host=h,t=x v={n}i {n * SECOND}" for n, name in enumerate("abc", 1)]

    run_virtual(main())


def test_a_piece_of_too_many_metrics_is_refused_by_its_parsers_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(page_room, "_MOST", 1000)
        acc = listener(Fanout([out()])).acc
        result = await acc.ingest([b"a 1\n" * 30, b"b 1\n"], make_parser(Prometheus))
        assert result.accepted == 1
        assert result.errors == ("it holds too many metrics: they take more than 0 MiB; divide it, or leave some out",)

    run_virtual(main())


def test_a_string_that_does_not_end_costs_no_other_piece() -> None:
    async def main() -> None:
        output = out()
        acc = listener(Fanout([output])).acc
        result = await acc.ingest([b'a v="x', b'b,t=x" v=1i 1', b'c v="y" 1'], make_parser(Influx))
        assert (result.accepted, result.rejected) == (2, 1)
        assert lines_of(output) == ['b,host=h,t=x" v=1i 1', 'c,host=h v="y" 1']

    run_virtual(main())


def test_pieces_of_other_formats_that_cannot_be_read_cost_the_others_only_where_asked() -> None:
    async def main() -> None:
        output = out()
        acc = listener(Fanout([output])).acc
        parser = make_parser(Value, measurement="answer")
        strict = await acc.ingest([b"1", b"two"], parser, all_or_nothing=True)
        assert (strict.accepted, strict.rejected, len(output.queue)) == (0, 1, 0)
        assert strict.errors == ("'two' is not of the type integer",)
        lenient = await acc.ingest([b"1", b"two", b"3"], parser, tags={"t": "x"})
        assert (lenient.accepted, lenient.rejected, lenient.texts) == (2, 1, ("two",))
        assert [line.rpartition(" ")[0] for line in lines_of(output)] == [
            f"answer,host=h,t=x value={n}i" for n in (1, 3)
        ]

    run_virtual(main())


async def test_a_full_queue_refuses_before_a_parser_has_its_work() -> None:
    class Counting(Value):
        calls = 0

        def parse(self, data: bytes) -> list[Metric]:
            Counting.calls += 1
            return super().parse(data)

    acc = listener(Fanout([out(metric_buffer_limit=2)])).acc
    parser = make_parser(Counting)
    await acc.ingest([b"1", b"2"], parser)
    with pytest.raises(QueueFull):
        await acc.ingest(b"3", parser)
    assert Counting.calls == 2


def test_metrics_of_a_piece_may_be_adjusted_and_a_bad_line_still_costs_no_other() -> None:
    def adjust(index: int, metrics: list[Metric]) -> list[Metric]:
        if index == 1:
            raise ParseError("no such topic")
        for metric in metrics:
            metric.tags["piece"] = str(index)
        return metrics

    async def main() -> None:
        output = out()
        acc = listener(Fanout([output])).acc
        parser = make_parser(Influx)
        result = await acc.ingest([b"a v=1i 1\nbad\nb v=2i 2", b"c v=3i 3", b"d v=4i 4"], parser, adjust=adjust)
        assert (result.accepted, result.rejected, result.texts) == (3, 2, ("bad", "c v=3i 3"))
        assert result.errors[1] == "no such topic"
        parser.stamps_received = True
        assert (await acc.ingest(b"bad\ne v=1i 7", parser)).rejected == 1
        assert lines_of(output) == [
            "a,host=h,piece=0 v=1i 1",
            "b,host=h,piece=0 v=2i 2",
            "d,host=h,piece=2 v=4i 4",
            f"e,host=h v=1i {START}",
        ]

    run_virtual(main())


class Own(Parser):
    """Of somebody else: it hangs, fails, or gives what are no metrics."""

    release: threading.Event

    def parse(self, data: bytes) -> list[Metric]:
        match data:
            case b"hang":
                self.release.wait(60)
            case b"fail":
                raise KeyError("x")
            case b"refuse":
                raise ParseError("it is no good")
            case b"nonsense":
                return [1]  # type: ignore[list-item]
        return [Metric("m", {}, {"v": data.decode()}, 1)]


async def test_a_parser_from_outside_stops_nobody_and_hands_on_nothing_but_metrics() -> None:
    output = out()
    runner = listener(Fanout([output]))
    parser = make_parser(Own)
    assert isinstance(parser, Own)
    parser.release = threading.Event()
    result = await runner.acc.ingest([b"a", b"fail", b"refuse", b"nonsense", b"b"], parser)
    assert result.accepted == 2
    assert [error.partition(" (")[0] for error in result.errors] == [
        "KeyError: 'x'",
        "it is no good",
        "parse returned a int in place of a metric",
    ]
    assert runner._ingest_port._isolated_call is not None
    runner._ingest_port._isolated_call.deadline = 0.01
    try:
        result = await runner.acc.ingest([b"hang"], parser)
        assert (result.accepted, result.rejected) == (0, 1)
        assert result.errors == ("the parser timed out: it did not end within 0.01 s",)
    finally:
        parser.release.set()
    await runner.stop(grace=1)


def test_what_a_service_input_hands_on_while_it_stops_is_taken() -> None:
    class Last(Listener):
        async def stop(self) -> None:
            await self.acc.ingest(b"last v=1i 1")

    async def main() -> None:
        output = out()
        plugin = Last(NoOptions(), LOG)
        runner = RunningInput(
            input_plan(Last), plugin, global_tags={}, sink=Fanout([output]), clock=VirtualClock(START), log=LOG
        )
        await plugin.start(runner.acc)
        await runner.stop(grace=1)
        assert lines_of(output) == ["last v=1i 1"]
        with pytest.raises(QueueFull, match="stopped"):
            await runner.acc.ingest(BODY)

    run_virtual(main())

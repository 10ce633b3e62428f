"""What an input has read goes to the outputs as text where nothing on the way needs metrics; what arrives is the same."""

import asyncio
from typing import Any

import pytest
from plans import LOG, START, input_plan, output_plan

from pyagent.api import Accumulator, Batch, Duration, Input, Metric, NoOptions, Output, ParseError, Retry
from pyagent.config import FilterOptions
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.inputs.accumulator import PIECE, InputAccumulator
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.testing import make_parser
from pyagent.testing.virtual import VirtualClock, run_virtual
from pyagent_plugins.parsers.influx import Influx
from pyagent_plugins.parsers.json import Json
from pyagent_plugins.parsers.value import Value

BODY = b"\xef\xbb\xbfm,a=1 n=1i 1700000000123456789\n# c\nm,host=own n=2i\n"
ways = pytest.mark.parametrize("plan", [{}, {"filters": FilterOptions(namedrop=("x",))}], ids=["text", "metrics"])


class Nameless(Json):
    __module__ = "pyagent_plugins.parsers.nameless"

    def parse(self, data: bytes) -> list[Metric]:
        return [Metric("", metric.tags, metric.fields, metric.time) for metric in super().parse(data)]


class Reading(Input):
    data, tags, parser = b"", dict[str, str](), Influx

    async def gather(self, acc: Accumulator) -> None:
        parser = make_parser(self.parser)
        parser.now = lambda: START
        acc.add_data(self.data, parser, self.tags)


class Silent(Output):
    def write(self, batch: Batch) -> None:
        raise Retry("down")


def out(**plan: Any) -> RunningOutput:
    return RunningOutput(output_plan(Silent, **plan), Silent(NoOptions(), LOG), log=LOG)


def reading(fanout: Fanout, data: bytes, **plan: Any) -> RunningInput:
    plugin = Reading(NoOptions(), LOG)
    plugin.data = data
    return RunningInput(
        input_plan(Reading, **{"precision": Duration(1)} | plan),
        plugin,
        global_tags={"host": "h"},
        sink=fanout,
        clock=VirtualClock(START),
        log=LOG,
    )


def lines_of(output: RunningOutput) -> list[str]:
    batch = output.queue.next_batch(100_000)
    return [] if batch is None else batch.payload().decode().splitlines()


@ways
def test_lines_get_tags_and_the_time_where_they_have_none(plan: dict[str, Any]) -> None:
    async def main() -> None:
        outputs = [out(), out()]
        runner = reading(Fanout(outputs), BODY, tags={"rack": "r"}, **plan)
        await runner.gather_once()
        for output in outputs:
            assert lines_of(output) == [
                "m,a=1,host=h,rack=r n=1i 1700000000123456789",
                f"m,host=own,rack=r n=2i {START}",
            ]
        assert runner.gathered == 2

    run_virtual(main())


@ways
def test_times_are_rounded(plan: dict[str, Any]) -> None:
    async def main() -> None:
        runner = reading(Fanout([output := out()]), b"m n=1i 1700000000523456789\n", precision=Duration("1s"), **plan)
        await runner.gather_once()
        assert lines_of(output) == ["m,host=h n=1i 1700000001000000000"]

    run_virtual(main())


def test_no_metric_is_made_where_none_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: object) -> Any:
        raise AssertionError("metrics are made")

    async def main() -> None:
        monkeypatch.setattr(Influx, "parse", parse)
        runner = reading(Fanout([output := out()]), BODY)
        await runner.gather_once()
        assert len(lines_of(output)) == 2

    run_virtual(main())


@ways
def test_one_bad_line_costs_all(plan: dict[str, Any]) -> None:
    async def main() -> None:
        runner = reading(Fanout([output := out()]), b"m n=1\nm n=x\nm n=3\n", **plan)
        await runner.gather_once()
        assert not lines_of(output)
        assert "line 2, column 5" in runner.failures.current
        assert not runner.gathered

    run_virtual(main())


@ways
def test_more_than_a_piece_comes_whole_and_in_order(plan: dict[str, Any]) -> None:
    async def main() -> None:
        count = 2 * PIECE + 7
        data = b"".join(b"m n=%di %d\n" % (number, number + 1) for number in range(count))
        runner = reading(Fanout([output := out(metric_buffer_limit=3 * PIECE)]), data, **plan)
        await runner.gather_once()
        lines = [line for _ in range(50) for line in lines_of(output)]
        assert lines == [f"m,host=h n={number}i {number + 1}" for number in range(count)]
        assert runner.gathered == count
        assert not runner.acc.dropped

    run_virtual(main())


def test_other_formats_and_tags_of_the_data_are_read_as_metrics() -> None:
    async def main() -> None:
        runner = reading(Fanout([output := out()]), BODY)
        runner.plugin.tags = {"path": "/f", "a": "2"}
        await runner.gather_once()
        assert [line.split(" ")[0] for line in lines_of(output)] == ["m,a=2,host=h,path=/f", "m,a=2,host=own,path=/f"]
        runner.plugin.parser, runner.plugin.data = Value, b"7"
        await runner._gather_now()
        assert lines_of(output) == [f"test,a=2,host=h,path=/f value=7i {START}"]

    run_virtual(main())


@ways
def test_metrics_that_cannot_be_written_are_counted(plan: dict[str, Any]) -> None:
    async def main() -> None:
        for data in (b'[{"n":1},{"n":2,"x":{}},{}]', b'{"n":1}'):
            runner = reading(Fanout([output := out()]), data, **plan)
            runner.plugin.parser = Json
            await runner.gather_once()
            names = [line.split(",")[0] for line in lines_of(output)]
            assert names == ["test"] * data.count(b"n")
        runner = reading(Fanout([output := out()]), b'{"n":1}', **plan)
        runner.plugin.parser = Nameless
        await runner.gather_once()
        assert not lines_of(output)
        assert output.not_encodable == {"invalid name": 1}

    run_virtual(main())


def test_a_reload_between_reading_and_handing_on_loses_nothing() -> None:
    async def main() -> None:
        fanout = Fanout([out()])
        lines = fanout.relay(b"m n=1i 5\nx n=2i 6\n", START, "ns", {}, 1)
        fanout.outputs = (output := out(filters=FilterOptions(namedrop=("x",))),)
        fanout.deliver_lines(lines)
        assert lines_of(output) == ["m n=1i 5"]
        assert output.filtered == 1

    run_virtual(main())


def test_what_is_added_after_the_end_is_refused_and_what_waits_is_dropped_together() -> None:
    fanout = Fanout()

    async def main() -> None:
        acc = InputAccumulator(relay=lambda data, _: fanout.relay(data, START, "ns", {}, 1))
        acc.add_data(b"m n=1\nm n=2\n", make_parser(Influx))
        assert len(acc) == acc.added == 2
        acc.discard("flood")
        assert acc.dropped == {"flood": 2}
        assert not len(acc)
        with pytest.raises(ParseError, match="line 1, column 5"):
            acc.add_data(b"m n=x\n", make_parser(Influx))
        acc.close()
        with pytest.raises(Exception, match="timed out"):
            acc.add_data(b"m n=1\n", make_parser(Influx))

    asyncio.run(main())

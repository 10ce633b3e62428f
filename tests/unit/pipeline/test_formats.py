"""What an output's queue holds, on the way from metrics to what the output writes: in memory, on disk, halved, shared."""

import asyncio
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import LOG, output_plan

from pyagent.api import (
    Batch,
    Metric,
    MetricType,
    NoOptions,
    Options,
    Output,
    QueueFormat,
    RawMetrics,
    Reject,
    Serialized,
    Serializer,
    Uint,
)
from pyagent.buffer import BufferSettings, OutputQueue
from pyagent.buffer.log.segments import SegmentLog
from pyagent.config.plan import SerializerPlan
from pyagent.lineprotocol import Content
from pyagent.lineprotocol.text import from_bytes, to_bytes
from pyagent.pipeline.executors import ThreadExecutor
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.outputs.record_format import record_format
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.testing.virtual import run_virtual


class NumberOptions(Options, frozen=True):
    sign: str = "#"


class Numbers(Serializer[NumberOptions]):
    """A metric's number on a line; negative ones cannot be written, and 13 raises something else."""

    calls = 0

    def serialize(self, metric: Metric) -> bytes:
        type(self).calls += 1
        number = metric.fields["n"]
        assert isinstance(number, int)
        if number < 0:
            raise ValueError("it is negative")
        if number == 13:
            raise KeyError("thirteen")
        return f"{self.options.sign}{number}\n".encode()

    def serialize_batch(self, metrics: Any) -> bytes:
        return b"[" + b"".join(self.serialize(metric).rstrip(b"\n") for metric in metrics) + b"]"


class Whole(Numbers):
    whole_batch = True


class Writer(Output):
    """Remembers what it wrote, in the form that the test asks for."""

    wanted: QueueFormat = RawMetrics()

    def setup(self) -> None:
        self.bodies: list[bytes] = []
        self.got: list[Metric] = []

    def queue_format(self) -> QueueFormat:
        return self.wanted

    async def write(self, batch: Batch) -> None:
        if isinstance(self.wanted, RawMetrics):
            self.got += batch.metrics()
        else:
            self.bodies.append(batch.payload())


def metric(number: int, **more: Any) -> Metric:
    return Metric("m", {"h": "a"}, {"n": number, **more}, 1_700_000_000_000_000_000 + number, MetricType.COUNTER)


def numbers(sign: str = "#", kind: type[Numbers] = Numbers) -> Numbers:
    return kind(NumberOptions(sign=sign), LOG)


def writer(wanted: QueueFormat, **plan: Any) -> tuple[RunningOutput, Writer]:
    plugin = Writer(NoOptions(), LOG)
    plugin.wanted = wanted
    return RunningOutput(output_plan(Writer, **plan), plugin, log=LOG), plugin


async def written(output: RunningOutput, metrics: list[Metric]) -> None:
    output.enqueue(output.encoder(metrics))
    assert await output.write_queue()


def test_records_of_a_serializer() -> None:
    async def main() -> None:
        output, plugin = writer(Serialized(numbers()), metric_batch_size=2)
        await written(output, [metric(number) for number in (1, 2, -3, 13, 4)])
        assert plugin.bodies == [b"#1\n#2\n", b"#4\n"]
        assert dict(output.not_encodable) == {"it is negative": 1, "KeyError: 'thirteen'": 1}
        assert output.written == 3

    run_virtual(main())


def test_documents_are_made_of_each_batch() -> None:
    async def main() -> None:
        for wanted in (Serialized(numbers(), documents=True), Serialized(numbers(kind=Whole))):
            output, plugin = writer(wanted, metric_batch_size=2)
            await written(output, [metric(number) for number in range(5)])
            assert plugin.bodies == [b"[#0#1]", b"[#2#3]", b"[#4]"]

    run_virtual(main())


def test_what_no_document_can_hold_costs_that_metric_alone() -> None:
    """It is halved until it is found, and goes to the quarantine as text that can be read."""
    kept: list[bytes] = []

    class Refusals:
        def put(self, output: str, partition: str | None, lines: list[bytes], reason: str, **more: Any) -> int:
            kept.extend(lines)
            return 0

        def sync(self) -> None:
            pass

    async def main() -> None:
        plugin = Writer(NoOptions(), LOG)
        plugin.wanted = Serialized(numbers(), documents=True)
        output = RunningOutput(
            output_plan(Writer), plugin, log=LOG, buffer_resources=BufferResources(dead_letters=Refusals())
        )
        await written(output, [metric(number, u=Uint(7)) for number in (*range(10), -1, *range(14, 20), 13)])
        assert (output.written, output.rejected, len(output.queue)) == (16, 2, 0)
        sent = b"".join(body.strip(b"[]") for body in plugin.bodies)
        assert sorted(sent.split(b"#")[1:], key=int) == [b"%d" % number for number in (*range(10), *range(14, 20))]
        assert sorted(kept) == [
            b"m,h=a n=-1i,u=7u 1699999999999999999\n",
            b"m,h=a n=13i,u=7u 1700000000000000013\n",
        ]
        plugin.wanted = RawMetrics()
        await output.requeue(kept, None)
        assert await output.write_queue()
        assert [one.fields for one in plugin.got] == [{"n": number, "u": 7} for number in (-1, 13)]
        assert all(type(one.fields["u"]) is Uint for one in plugin.got)

    logging.disable(logging.ERROR)
    try:
        run_virtual(main())
    finally:
        logging.disable(logging.NOTSET)


def test_outputs_that_want_the_same_share_it() -> None:
    async def main() -> None:
        pairs = [writer(Serialized(numbers(sign))) for sign in ("#", "#", "+")]
        raw = [writer(RawMetrics()), writer(Serialized(numbers(), documents=True))]
        route = Fanout([output for output, _ in (*pairs, *raw)])
        Numbers.calls = 0
        route.deliver([metric(1), metric(2)])
        assert Numbers.calls == 4  # twice for each sign, and not at all for metrics
        blocks = [next(iter(output.queue.held())) for output, _ in (*pairs, *raw)]
        assert blocks[0] is blocks[1] is not blocks[2]
        assert blocks[3] is blocks[4]
        assert not route.relayable

    run_virtual(main())


def test_line_protocol_is_relayed_also_where_a_serializer_asks_for_it() -> None:
    from pyagent.testing.outputs import make_serializer
    from pyagent_plugins.serializers.influx import Influx

    lines = Serialized(make_serializer(Influx, {"influx_sort_fields": True}), documents=True)
    found = record_format(lines)
    assert found.content is Content.LINES
    assert found.lines is not None
    assert found.lines.sort_fields
    assert found == record_format(found.lines)


def test_a_serializer_from_outside_never_runs_where_metrics_are_queued() -> None:
    """It may hang: it runs in the output's own thread."""

    async def main() -> None:
        plugin = Writer(NoOptions(), LOG)
        plugin.wanted = Serialized(numbers())
        serializer = SerializerPlan(data_format="x", plugin=Numbers, options=NumberOptions(), origin="file")
        output = RunningOutput(output_plan(Writer, serializer=serializer), plugin, log=LOG)
        Numbers.calls = 0
        output.enqueue(output.encoder([metric(1), metric(2)]))
        assert Numbers.calls == 0
        assert await output.write_queue()
        assert plugin.bodies == [b"#1\n#2\n"]

    run_virtual(main())


texts = st.text(st.characters() | st.sampled_from("\udc80\udcff\ud800 ,=\\\n\t"), max_size=6)
whole = st.builds(
    Metric,
    texts,
    st.dictionaries(texts, texts, max_size=3),
    st.dictionaries(
        texts,
        st.integers(-(2**63), 2**63 - 1) | st.floats() | st.integers(0, 2**64 - 1).map(Uint) | st.booleans() | texts,
        min_size=1,
        max_size=4,
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from(MetricType),
)


def plain(one: Metric) -> str:
    """All of a metric: NaN is itself, -0.0 is not 0.0, and text is the bytes that it stands for."""

    def seen(value: Any) -> Any:
        return from_bytes(to_bytes(value)) if isinstance(value, str) else value

    tags = {seen(key): seen(value) for key, value in one.tags.items()}
    fields = {seen(key): (type(value).__name__, seen(value)) for key, value in one.fields.items()}
    return repr((seen(one.name), tags, fields, one.time, one.kind))


@given(st.lists(whole, max_size=8), st.integers(1, 5), st.booleans())
def test_all_of_a_metric_comes_out_of_the_queue(
    tmp_path_factory: pytest.TempPathFactory, given_metrics: list[Metric], size: int, on_disk: bool
) -> None:
    queue = OutputQueue(1000)
    if on_disk:
        log = SegmentLog(tmp_path_factory.mktemp("log"), sync=False)
        queue.attach(log, log.open())
        queue.start_persisting()
    wanted = record_format(RawMetrics())
    queue.enqueue(wanted.encode(given_metrics))
    found: list[Metric] = []
    for ask in (queue.flush_to_log, lambda: queue.prefetch(1000)) if on_disk else ():
        if (work := ask()) is not None:
            work.run()
            work.done()
    while (batch := queue.next_batch(size)) is not None:
        half = batch.count // 2
        found += batch.slice(0, half).metrics() + batch.slice(half, batch.count).metrics()
        queue.complete(batch)
    assert list(map(plain, found)) == list(map(plain, given_metrics))


def test_a_queue_on_disk_goes_on_with_another_format(tmp_path: Path) -> None:
    """What was queued as line protocol is given as metrics, and the other way round."""

    async def life(wanted: QueueFormat, metrics: list[Metric], *, write: bool) -> Writer:
        plugin = Writer(NoOptions(), LOG)
        plugin.wanted = wanted
        worker = ThreadExecutor("disk")
        keeping = BufferResources(BufferSettings(directory=tmp_path), worker)
        output = RunningOutput(output_plan(Writer, on_disk=True), plugin, log=LOG, buffer_resources=keeping)
        task = asyncio.create_task(output.run())
        if metrics:
            output.enqueue(output.encoder(metrics))
        if write:
            while not output.written:
                await asyncio.sleep(0.01)
                output.flush_soon()
        output.end()
        await task
        if not write:
            plugin.write = refuse  # type: ignore[method-assign,assignment]
        await output.stop(grace=5)
        worker.abandon()
        return plugin

    async def refuse(batch: Batch) -> None:
        raise ConnectionError("away")

    async def main() -> None:
        await life(Writer(NoOptions(), LOG).line_options(), [metric(1, u=Uint(3))], write=False)
        first = await life(RawMetrics(), [], write=True)
        assert [(one.name, one.fields, one.kind) for one in first.got] == [("m", {"n": 1, "u": 3}, MetricType.UNTYPED)]
        await life(RawMetrics(), [metric(2)], write=False)
        second = await life(Writer(NoOptions(), LOG).line_options(), [], write=True)
        assert second.bodies == [b"m,h=a n=2i 1700000000000000002\n"]

    logging.disable(logging.ERROR)
    try:
        asyncio.run(main())
    finally:
        logging.disable(logging.NOTSET)


def test_records_that_nothing_else_can_read_are_sent_as_they_are() -> None:
    records = record_format(Serialized(numbers())).encode([metric(1)])
    queue = OutputQueue(10)
    queue.enqueue(records)
    batch = queue.next_batch(10)
    assert batch is not None
    batch.body = record_format(Serialized(numbers("+"), documents=True))
    assert batch.payload() == b"#1\n"
    with pytest.raises(Reject, match="they were serialized for another output"):
        batch.metrics()


def test_what_an_earlier_version_left_on_disk_is_delivered(tmp_path: Path) -> None:
    """As line protocol to an output that takes it, and as metrics or documents to others: nothing of it is lost."""
    stored = Path(__file__).parents[1] / "buffer" / "stored_before_formats"

    async def main(wanted: QueueFormat, folder: Path) -> Writer:
        plugin = Writer(NoOptions(), LOG)
        plugin.wanted = wanted
        executor = ThreadExecutor("disk")
        resources = BufferResources(BufferSettings(directory=folder), executor)
        plan = output_plan(Writer, queue_id="file::0", on_disk=True)
        output = RunningOutput(plan, plugin, log=LOG, buffer_resources=resources)
        task = asyncio.create_task(output.run())
        while output.written < 177:
            await asyncio.sleep(0.01)
            output.flush_soon()
        output.end()
        await task
        await output.stop(grace=5)
        executor.abandon()
        assert (output.written, output.rejected, output.partitions.sums.damaged) == (177, 0, 0)
        return plugin

    class Named(Numbers):
        def serialize(self, metric: Metric) -> bytes:
            return f"{metric.tags['n']};".encode()

    for name, wanted in (
        ("lines", Writer(NoOptions(), LOG).line_options()),
        ("metrics", RawMetrics()),
        ("documents", Serialized(numbers(kind=Named), documents=True)),
    ):
        plugin = asyncio.run(main(wanted, shutil.copytree(stored, tmp_path / name)))
        expected = list(range(5, 182))
        if name == "lines":
            found = [int(n) for body in plugin.bodies for n in re.findall(rb",n=(\d+) value", body)]
        elif name == "metrics":
            found = [int(one.tags["n"]) for one in plugin.got]
        else:
            found = [int(n) for body in plugin.bodies for n in re.findall(rb"(\d+)", body)]
        assert found == expected


async def test_what_cannot_be_read_back_stays_in_the_quarantine() -> None:
    """A metric without a name is no line protocol: it is shown as it is, and a retry says that it cannot be."""
    output, _ = writer(RawMetrics())
    queue = OutputQueue(10)
    queue.enqueue(output.encoder.format.encode([Metric("", {}, {"f": 1}, 5)]))
    batch = queue.next_batch(10)
    assert batch is not None
    [text] = batch.texts()
    assert text.startswith(b"Metric('', {}, {'f': 1}, 5, ")
    with pytest.raises(LookupError, match="these cannot be read back into it"):
        await output.requeue([text], None)
    assert not output.queued

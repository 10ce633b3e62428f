"""Partitions, limits, and what is written first: on virtual time."""

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from partitioned import Buckets, Single, gathered
from plans import LOG, START, output_plan

from pyagent.api import Limits, Metric, NoOptions, Output, PartialWrite, Partition, QueueFull, RawMetrics
from pyagent.buffer import BufferSettings, OutputQueue
from pyagent.lineprotocol import unpack
from pyagent.pipeline.executors import InlineExecutor
from pyagent.pipeline.fanout import Fanout
from pyagent.pipeline.outputs.encoder import OutputEncoder
from pyagent.pipeline.outputs.rate_limit import RateLimit
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.testing.virtual import run_virtual


def new(
    kind: type[Buckets] = Buckets, buffer_resources: BufferResources | None = None, **plan: Any
) -> tuple[RunningOutput, Buckets, Fanout]:
    plugin = kind(NoOptions(), LOG)
    output = RunningOutput(output_plan(kind, **plan), plugin, log=LOG, buffer_resources=buffer_resources)
    return output, plugin, Fanout([output])


async def run_for(output: RunningOutput, seconds: float) -> None:
    task = asyncio.create_task(output.run())
    await asyncio.sleep(seconds)
    output.end()
    await task


def test_each_value_of_the_tag_has_its_batches_and_the_tag_can_be_left_out() -> None:
    async def main() -> None:
        output, plugin, fanout = new()
        fanout.deliver(gathered(2, bucket="a", host="h") + gathered(1, bucket="b") + gathered(1, host="h"))
        await output.write_queue()
        assert {key: len(lines) for key, lines in plugin.stored.items()} == {"a": 2, "b": 1, None: 1}
        assert plugin.stored["a"][0].startswith(b"m,host=h n=0i")
        assert output.written == 4

    run_virtual(main())


def test_a_divided_output_that_never_had_a_metric_ends() -> None:
    async def main() -> None:
        output, _, _ = new()
        await run_for(output, 1.0)
        assert output.partitions == {}

    run_virtual(main())


def test_a_partition_that_fails_holds_up_no_other() -> None:
    async def main() -> None:
        output, plugin, fanout = new()
        plugin.down = {"dead"}
        task = asyncio.create_task(output.run())
        for _ in range(10):
            fanout.deliver(gathered(3, bucket="dead") + gathered(3, bucket="alive"))
            await asyncio.sleep(10)
        await asyncio.sleep(11)
        assert len(plugin.stored["alive"]) == 30
        assert "dead" not in plugin.stored
        assert "dead is down" in output.error
        plugin.down = set()
        await asyncio.sleep(61)
        assert len(plugin.stored["dead"]) == 30
        assert output.error == ""
        output.end()
        await task

    run_virtual(main())


def test_the_limit_is_the_outputs_and_the_fullest_partition_gives_way() -> None:
    async def main() -> None:
        output, _, fanout = new(metric_buffer_limit=20)
        fanout.deliver(gathered(15, bucket="a"))
        fanout.deliver(gathered(10, bucket="b"))
        assert output.queued == 20
        assert {key: len(sender.queue) for key, sender in output.partitions.items()} == {"a": 10, "b": 10}
        assert sum(queue.dropped for queue in output.queues) == 5

    run_virtual(main())


def test_so_many_writes_at_once_as_is_allowed() -> None:
    class Three(Single):
        granted = Limits(concurrent_writes=3)

    async def main() -> None:
        output, plugin, fanout = new(Three, metric_batch_size=10)
        plugin.seconds = 1.0
        fanout.deliver(gathered(90))
        assert await output.write_queue()
        assert plugin.most_at_once == 3
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)
        assert (output.written, output.queued) == (90, 0)
        # A failure of one keeps its batch, and costs no other.
        fanout.deliver(gathered(40))
        plugin.down = {None}
        assert not await output.write_queue()
        assert output.queued == 40
        plugin.down = set()
        assert await output.write_queue()
        assert len(plugin.stored[None]) == output.written == 130

    run_virtual(main())


def test_a_rate_is_kept_to_and_nothing_is_lost_for_it() -> None:
    class Slow(Single):
        granted = Limits(rate_bytes=300, rate_period=10.0)

    async def main() -> None:
        output, plugin, fanout = new(Slow, metric_batch_size=50)
        fanout.deliver(gathered(50))
        await run_for(output, 95)
        assert (output.written, output.queued) == (50, 0)
        sizes = [len(line) + 1 for line in plugin.stored[None]]  # the end of the line is sent, too
        periods: list[tuple[float, int]] = []
        for when, count in plugin.writes:
            if not periods or when >= periods[-1][0] + 10:
                periods.append((when, 0))
            began, sent = periods[-1]
            periods[-1] = began, sent + sum(sizes[:count])
            del sizes[:count]
        assert all(sent <= 300 for _, sent in periods)
        # And no more is held back than the next line would have taken.
        assert all(sent > 300 - len(b"m n=10i 1795478403000000010\n") for _, sent in periods[:-1])
        assert [began - periods[0][0] for began, _ in periods] == pytest.approx([0, 10, 20, 30, 40])

    run_virtual(main())


def test_a_line_larger_than_the_rate_goes_alone() -> None:
    limit = RateLimit(100, 10.0)
    assert limit.admit([30, 30, 50], now=0.0) == 2
    assert limit.admit([500], now=1.0) == 0
    assert limit.next_period == 10.0
    assert limit.admit([500, 10], now=10.0) == 1
    assert limit.admit([10], now=11.0) == 0


def test_after_an_outage_the_newest_can_go_first() -> None:
    async def main() -> None:
        buffer_resources = BufferResources(BufferSettings(newest_first=True))
        output, plugin, fanout = new(Single, buffer_resources, metric_batch_size=10)
        plugin.down = {None}
        task = asyncio.create_task(output.run())
        fanout.deliver(gathered(200))
        await asyncio.sleep(60)
        plugin.down = set()
        while not plugin.stored:
            await asyncio.sleep(0.01)
        # It is back, and drains its backlog: what is gathered now does not wait behind it.
        fanout.deliver([Metric("fresh", {}, {"n": 1}, START)])
        output.flush_soon()
        await asyncio.sleep(1)
        lines = plugin.stored[None]
        place = next(index for index, row in enumerate(lines) if row.startswith(b"fresh"))
        assert place < 100
        assert len(lines) < 201
        await asyncio.sleep(20)
        assert len(plugin.stored[None]) == 201
        output.end()
        await task

    run_virtual(main())


class Quarantined:
    def __init__(self) -> None:
        self.put_: list[tuple[str | None, list[bytes], str, bool]] = []

    def put(
        self, output: str, partition: str | None, lines: list[bytes], reason: str, *, suspected: bool = False
    ) -> int:
        self.put_.append((partition, lines, reason, suspected))
        return 0

    def sync(self) -> None:
        pass


def test_what_is_refused_for_good_goes_to_the_quarantine_with_its_partition() -> None:
    async def main() -> None:
        quarantine = Quarantined()
        output, plugin, fanout = new(buffer_resources=BufferResources(dead_letters=quarantine))
        plugin.bad = b" n=3i"
        fanout.deliver(gathered(8, bucket="a"))
        await output.write_queue()
        assert (output.written, output.rejected) == (7, 1)
        ((partition, lines, reason, suspected),) = quarantine.put_
        assert (partition, reason, suspected) == ("a", "bad line", False)
        assert lines == [b"m n=3i 1795478403000000003\n"]

    run_virtual(main())


@pytest.mark.parametrize(
    ("refused", "suspects", "shown"),
    [
        (2, (1, 2), "them"),
        (2, (1,), "1 of them"),
        (2, (1, 2, 3), "3, among which they are"),
        (1, (1, 2), "2, among which it is"),
    ],
)
async def test_the_log_says_how_many_of_those_that_were_refused_the_quarantine_shows(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    refused: int,
    suspects: tuple[int, ...],
    shown: str,
) -> None:
    monkeypatch.setattr("pyagent.api.asking._flag", "")
    quarantine = Quarantined()
    output, plugin, fanout = new(buffer_resources=BufferResources(dead_letters=quarantine))

    async def write(batch: object) -> None:
        raise PartialWrite("field type conflict", refused, suspects)

    monkeypatch.setattr(plugin, "write", write)
    fanout.deliver(gathered(8, bucket="a"))
    await output.write_queue()
    assert len(quarantine.put_[0][1]) == len(suspects)
    assert f"refused for good: field type conflict; `pyagent quarantine list` shows {shown}" in caplog.messages[-1]
    assert caplog.messages[-1].endswith(shown)


def buffer_resources(directory: Path | None = None, most: int = 1000) -> BufferResources:
    executor = InlineExecutor() if directory else None
    return BufferResources(BufferSettings(directory=directory, max_partitions=most), executor)


def of_values(values: Iterable[int], count: int = 1) -> list[Metric]:
    return [metric for value in values for metric in gathered(count, bucket=f"b{value}")]


def test_more_values_than_there_may_be_partitions_go_together_and_keep_their_tag(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        output, plugin, fanout = new(buffer_resources=buffer_resources(most=3))
        fanout.deliver(of_values(range(5)))
        fanout.deliver(of_values(range(5)))
        assert set(output.partitions) == {"b0", "b1", "b2", None}
        assert output.partitions.overflowed == 4
        await output.write_queue()
        assert sorted(line[:11] for line in plugin.stored[None]) == [b"m,bucket=b3"] * 2 + [b"m,bucket=b4"] * 2
        assert plugin.stored["b0"][0].startswith(b"m n=0i")

    run_virtual(main())
    assert [record.message for record in caplog.records if "--buffer-max-partitions" in record.message] == [
        "there are 3 partitions with metrics to be written, and no room for that of 'b3': its metrics are written with those"
        " that have no partition, and so are others' until some of them are through; raise --buffer-max-partitions if so many"
        " are meant"
    ]


def test_one_that_holds_nothing_ends_for_a_new_value() -> None:
    async def main() -> None:
        output, plugin, fanout = new(buffer_resources=buffer_resources(most=3))
        for value in range(50):
            fanout.deliver(of_values([value]))
            await output.write_queue()
        assert {key: len(lines) for key, lines in plugin.stored.items()} == {f"b{value}": 1 for value in range(50)}
        assert len(output.partitions) == 3
        assert output.written == 50
        assert output.partitions.sums.added == 50

    run_virtual(main())


def test_one_that_is_not_used_ends_with_its_tasks_and_descriptors_and_comes_back(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def main() -> None:
        output, plugin, fanout = new(buffer_resources=buffer_resources(tmp_path), on_disk=True)
        before = descriptors(), len(asyncio.all_tasks())
        task = asyncio.create_task(output.run())
        fanout.deliver(of_values(range(20)))
        await output.durable()
        assert descriptors() > before[0] + 40
        await asyncio.sleep(200)
        fanout.deliver(of_values([7]))
        await asyncio.sleep(250)
        assert set(output.partitions) == {"b7"}
        await asyncio.sleep(400)
        assert output.partitions == {}
        await output.quiet()
        assert descriptors() == before[0]
        assert os.listdir(tmp_path) == [], "years of values would be as many folders"
        assert len(asyncio.all_tasks()) <= before[1] + 2, "that of the output, and what it waits with"
        plugin.down = {"b3"}
        fanout.deliver(of_values(range(20)))
        await output.durable()
        await asyncio.sleep(900)
        assert set(output.partitions) == {"b3"}, "what is not written is not left alone"
        plugin.down = set()
        await asyncio.sleep(100)
        assert {key: len(lines) for key, lines in plugin.stored.items()} == {
            f"b{value}": 3 if value == 7 else 2 for value in range(20)
        }
        assert (output.written, output.partitions.sums.added, output.queued) == (41, 41, 0)
        output.end()
        await task

    run_virtual(main())


def test_a_value_that_comes_back_while_its_partition_ends_waits_for_its_log(tmp_path: Path) -> None:
    async def main() -> None:
        output, plugin, fanout = new(buffer_resources=buffer_resources(tmp_path, most=1), on_disk=True)
        task = asyncio.create_task(output.run())
        for value in (1, 2, 1, 2, 1, 1, 2):
            fanout.deliver(of_values([value]))
            await output.durable()
            await output.write_queue()
        assert {key: len(lines) for key, lines in plugin.stored.items()} == {"b1": 4, "b2": 3}
        assert output.error == ""
        output.end()
        await task
        await output.stop(5)

    run_virtual(main())


def test_a_thousand_partitions_are_not_added_up_for_each_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0
    length = OutputQueue.__len__

    def counting(queue: OutputQueue) -> int:
        nonlocal counted
        counted += 1
        return length(queue)

    async def main() -> None:
        nonlocal counted
        output, _, fanout = new(metric_buffer_limit=5000)
        monkeypatch.setattr(OutputQueue, "__len__", counting)
        for _ in range(6):
            fanout.deliver(of_values(range(1000)))
        assert output.queued == 5000
        assert {len(queue) for queue in output.queues} <= {4, 5, 6}
        assert counted < 60_000
        counted = 0
        for _ in range(500):
            fanout.deliver(gathered(1, bucket="b0"))
            assert output.partitions.usage.metrics == 5000
        assert counted < 20_000

    run_virtual(main())


@pytest.mark.parametrize("strategy", ["memory", "disk"])
def test_what_is_acknowledged_in_all_partitions_is_within_the_limit(strategy: str, tmp_path: Path) -> None:
    async def main() -> None:
        output, plugin, fanout = new(
            buffer_resources=buffer_resources(tmp_path), on_disk=strategy == "disk", metric_buffer_limit=100
        )
        plugin.down = {f"b{value}" for value in range(50)}
        task = asyncio.create_task(output.run())
        taken = 0
        for _ in range(10):
            with contextlib.suppress(QueueFull):
                await fanout.deliver_pinned(of_values(range(50)))
                taken += 50
        assert (taken, output.queued, output.partitions.usage.pinned) == (100, 100, 100)
        fanout.deliver(of_values(range(50)))
        assert output.queued == 100, "what is gathered gives way"
        output.end()
        await task
        await output.stop(5)

    run_virtual(main())


def test_on_disk_as_well_the_limit_is_the_outputs(tmp_path: Path) -> None:
    async def main() -> None:
        output, plugin, fanout = new(
            buffer_resources=buffer_resources(tmp_path), on_disk=True, metric_buffer_limit=100, metric_batch_size=5
        )
        plugin.down = {f"b{value}" for value in range(10)}
        task = asyncio.create_task(output.run())
        for _ in range(20):
            fanout.deliver(of_values(range(10), 5))
            await asyncio.sleep(1)
        assert output.queued <= 100
        assert output.queued >= 80, "in whole frames"
        assert output.queued == output.partitions.usage.metrics
        assert output.partitions.usage.dropped + output.queued == 1000
        output.end()
        await task
        await output.stop(5)

    run_virtual(main())


def test_hundreds_of_partitions_that_fail_are_a_few_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        output, plugin, fanout = new()
        plugin.down = {f"b{value}" for value in range(300)}
        task = asyncio.create_task(output.run())
        for _ in range(5):
            fanout.deliver(of_values(range(300)))
            await asyncio.sleep(10)
        failing = sum(bool(sender.failures.current) for sender in output.partitions.values())
        plugin.down = set()
        await asyncio.sleep(60)
        output.end()
        await task
        assert failing == 300
        assert output.error == ""

    run_virtual(main())
    lines = [record.message for record in caplog.records if record.levelno >= logging.INFO]
    assert 10 <= len(lines) <= 25, lines


@pytest.mark.parametrize(
    ("partition", "values"),
    [
        (Partition("host"), {"a": [0, 1], None: [2]}),
        (Partition(measurement=True), {"cpu": [0], "mem": [1, 2]}),
        (
            Partition(template='topic/{{ .Name }}/{{.Tag "host"}}'),
            {"topic/cpu/a": [0], "topic/mem/a": [1], "topic/mem/": [2]},
        ),
        (Partition(template="{{.Tag `host`}}"), {"a": [0, 1], None: [2]}),
        (Partition(template="all"), {"all": [0, 1, 2]}),
    ],
)
def test_what_divides_an_output(partition: Partition, values: dict[str | None, list[int]]) -> None:
    metrics = [
        Metric("cpu", {"host": "a"}, {"n": 0}, 1),
        Metric("mem", {"host": "a"}, {"n": 1}, 1),
        Metric("mem", {}, {"n": 2}, 1),
    ]
    encoder = OutputEncoder(output_plan(Output), RawMetrics(), partition, log=LOG)
    found = {value: [metric.fields["n"] for metric in unpack(block.data)] for value, block in encoder(metrics).parts}
    assert found == values


@pytest.mark.parametrize(
    ("partition", "tags"),
    [
        (Partition("a"), ["a", "b", "c"]),
        (Partition("a", True), ["b", "c"]),
        (Partition("a", True, leaves_out=("c",)), ["b"]),
        (Partition(template='{{.Tag "a"}}/{{.Tag "b"}}', leaves_out=("a", "b")), ["c"]),
    ],
)
def test_tags_that_are_left_out(partition: Partition, tags: list[str]) -> None:
    metric = Metric("cpu", {"a": "1", "b": "2", "c": "3"}, {"n": 0}, 1)
    encoder = OutputEncoder(output_plan(Output), RawMetrics(), partition, log=LOG)
    [(_, block)] = encoder([metric]).parts
    assert [list(found.tags) for found in unpack(block.data)] == [tags]
    assert list(metric.tags) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "divided by one of a tag, the measurement and a template"),
        ({"tag": "a", "measurement": True}, "divided by one of"),
        ({"template": "{{.Time}}"}, 'cannot use {{.Time}} in a template: use {{.Name}} or {{.Tag "key"}}'),
        ({"template": '{{.Tag "a" | lower}}'}, "in a template: use {{.Name}}"),
    ],
)
def test_what_cannot_divide_an_output(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message) if "{{" in message else message):
        Partition(**arguments)

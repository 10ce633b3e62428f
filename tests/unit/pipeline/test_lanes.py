"""Partitions, limits, and what is written first: on virtual time."""

import asyncio
from typing import Any

import pytest
from plans import LOG, START, output_plan

from pyagent.api import Batch, Limits, Metric, NoOptions, Output, Partition, Reject, Retry
from pyagent.buffer import BufferSettings
from pyagent.pipeline.delivery import Keeping, OutputRunner
from pyagent.pipeline.rate import RateLimit
from pyagent.pipeline.route import Route
from pyagent.testing.virtual import run_virtual


class Buckets(Output):
    """A receiver of several buckets; those in `down` answer nothing good."""

    def setup(self) -> None:
        self.down: set[str | None] = set()
        self.stored: dict[str | None, list[bytes]] = {}
        self.limit = Limits()
        self.writes: list[tuple[float, int]] = []
        self.at_once = self.most_at_once = 0
        self.seconds = 0.0
        self.bad = b""

    def partition(self) -> Partition | None:
        return Partition("bucket", exclude=True)

    async def write(self, batch: Batch) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        self.writes.append((asyncio.get_running_loop().time(), batch.count))
        if batch.partition in self.down:
            raise Retry(f"{batch.partition} is down")
        if self.bad and self.bad in batch.payload():
            raise Reject("bad line")
        self.stored.setdefault(batch.partition, []).extend(batch.payload().splitlines())


class Single(Buckets):
    def partition(self) -> None:
        return None

    def limits(self) -> Limits:
        return LIMITS


LIMITS = Limits()


def gathered(count: int, **tags: str) -> list[Metric]:
    return [Metric("m", dict(tags), {"n": number}, START + number) for number in range(count)]


def new(
    kind: type[Buckets] = Buckets, keeping: Keeping | None = None, **plan: Any
) -> tuple[OutputRunner, Buckets, Route]:
    plugin = kind(NoOptions(), LOG)
    output = OutputRunner(output_plan(kind, **plan), plugin, log=LOG, keeping=keeping)
    return output, plugin, Route([output])


async def run_for(output: OutputRunner, seconds: float) -> None:
    task = asyncio.create_task(output.run())
    await asyncio.sleep(seconds)
    output.end()
    await task


def test_each_value_of_the_tag_has_its_batches_and_the_tag_can_be_left_out() -> None:
    async def main() -> None:
        output, plugin, route = new()
        route.deliver(gathered(2, bucket="a", host="h") + gathered(1, bucket="b") + gathered(1, host="h"))
        await output.write_queue()
        assert {key: len(lines) for key, lines in plugin.stored.items()} == {"a": 2, "b": 1, None: 1}
        assert plugin.stored["a"][0].startswith(b"m,host=h n=0i")
        assert output.written == 4

    run_virtual(main())


def test_a_divided_output_that_never_had_a_metric_ends() -> None:
    async def main() -> None:
        output, _, _ = new()
        await run_for(output, 1.0)
        assert output.lanes == {}

    run_virtual(main())


def test_a_partition_that_fails_holds_up_no_other() -> None:
    async def main() -> None:
        output, plugin, route = new()
        plugin.down = {"dead"}
        task = asyncio.create_task(output.run())
        for _ in range(10):
            route.deliver(gathered(3, bucket="dead") + gathered(3, bucket="alive"))
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
        output, _, route = new(metric_buffer_limit=20)
        route.deliver(gathered(15, bucket="a"))
        route.deliver(gathered(10, bucket="b"))
        assert output.queued == 20
        assert {key: len(lane.queue) for key, lane in output.lanes.items()} == {"a": 10, "b": 10}
        assert sum(queue.dropped for queue in output.queues) == 5

    run_virtual(main())


def test_so_many_writes_at_once_as_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LIMITS", Limits(concurrent_writes=3))

    async def main() -> None:
        output, plugin, route = new(Single, metric_batch_size=10)
        plugin.seconds = 1.0
        route.deliver(gathered(90))
        assert await output.write_queue()
        assert plugin.most_at_once == 3
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)
        assert (output.written, output.queued) == (90, 0)
        # A failure of one keeps its batch, and costs no other.
        route.deliver(gathered(40))
        plugin.down = {None}
        assert not await output.write_queue()
        assert output.queued == 40
        plugin.down = set()
        assert await output.write_queue()
        assert len(plugin.stored[None]) == output.written == 130

    run_virtual(main())


def test_a_rate_is_kept_to_and_nothing_is_lost_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LIMITS", Limits(rate_bytes=300, rate_period=10.0))

    async def main() -> None:
        output, plugin, route = new(Single, metric_batch_size=50)
        route.deliver(gathered(50))
        size = len(b"m n=10i 1795478403000000010\n")
        await run_for(output, 95)
        assert (output.written, output.queued) == (50, 0)
        per_period: dict[int, int] = {}
        for when, count in plugin.writes:
            per_period[int(when // 10)] = per_period.get(int(when // 10), 0) + count * size
        assert all(size <= bytes_ <= 300 + size for bytes_ in per_period.values())
        assert len(per_period) >= 4

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
        keeping = Keeping(BufferSettings(newest_first=True))
        output, plugin, route = new(Single, keeping, metric_batch_size=10)
        plugin.down = {None}
        task = asyncio.create_task(output.run())
        route.deliver(gathered(200))
        await asyncio.sleep(60)
        plugin.down = set()
        while not plugin.stored:
            await asyncio.sleep(0.01)
        # It is back, and drains its backlog: what is gathered now does not wait behind it.
        route.deliver([Metric("fresh", {}, {"n": 1}, START)])
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
        output, plugin, route = new(keeping=Keeping(refusals=quarantine))
        plugin.bad = b" n=3i"
        route.deliver(gathered(8, bucket="a"))
        await output.write_queue()
        assert (output.written, output.rejected) == (7, 1)
        ((partition, lines, reason, suspected),) = quarantine.put_
        assert (partition, reason, suspected) == ("a", "bad line", False)
        assert lines == [b"m n=3i 1795478403000000003\n"]

    run_virtual(main())

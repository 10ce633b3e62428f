"""outputs.influxdb_v2 with several nodes and several buckets: who is asked, and what is held against whom."""

import asyncio
import logging

import pytest
from writing import LINES, conflict, output, parse_error

from pyagent.api import Partition, Reject, Retry, TooLarge
from pyagent.testing.outputs import Answer, MemoryBatch, Raw, ScriptedServer, write
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class TestSeveralUrls:
    def pair(self, first: str, second: str) -> tuple[InfluxDB, Clock]:
        """An output whose next write asks `first`, then takes turns."""
        plugin = output(first, second)
        plugin._clock = clock = Clock()  # type: ignore[assignment]  # a faked clock
        plugin._pool.turn = 1
        return plugin, clock

    async def test_they_take_turns(self) -> None:
        async with ScriptedServer() as one, ScriptedServer() as two:
            plugin, _ = self.pair(one.url, two.url)
            for _ in range(4):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (len(one.requests), len(two.requests)) == (2, 2)

    @pytest.mark.parametrize(
        "step",
        [Raw(then="reset"), Answer(503), Answer(500), Answer(401), Answer(404), Answer(302), Raw(b"HTTP/1.1 2")],
    )
    async def test_failover_within_the_call(self, step: Answer | Raw, caplog: pytest.LogCaptureFixture) -> None:
        async with ScriptedServer(step, step) as one, ScriptedServer() as two:
            plugin, _ = self.pair(one.url, two.url)
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert len(two.requests) == 1
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert one.url in record.getMessage()

    async def test_one_that_failed_is_asked_last_until_its_pause_is_over(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        async with ScriptedServer(Answer(500)) as one, ScriptedServer() as two:
            plugin, clock = self.pair(one.url, two.url)
            for _ in range(4):
                await write(plugin, MemoryBatch(LINES))
            assert (len(one.requests), len(two.requests)) == (1, 4)
            clock.now += 2.5
            for _ in range(2):
                await write(plugin, MemoryBatch(LINES))
            assert (len(one.requests), len(two.requests)) == (2, 5)
            await plugin.close()
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert f"{one.url} takes metrics again" in caplog.text

    async def test_one_that_asked_to_wait_is_left_alone(self) -> None:
        async with ScriptedServer(Answer(429, headers={"Retry-After": "30"})) as one, ScriptedServer() as two:
            plugin, clock = self.pair(one.url, two.url)
            await write(plugin, MemoryBatch(LINES))
            two.add(Answer(500))
            with pytest.raises(Retry, match="it asked to wait 30 s more") as caught:
                await write(plugin, MemoryBatch(LINES))
            assert caught.value.after is None  # the other one may be asked any time
            assert (len(one.requests), len(two.requests)) == (1, 2)
            clock.now += 30
            await write(plugin, MemoryBatch(LINES))
            assert (len(one.requests), len(two.requests)) == (2, 2)
            await plugin.close()

    async def test_all_asked_to_wait(self) -> None:
        wait = [Answer(503, headers={"Retry-After": seconds}) for seconds in ("20", "10")]
        async with ScriptedServer(wait[0]) as one, ScriptedServer(wait[1]) as two:
            plugin, clock = self.pair(one.url, two.url)
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(LINES))
            assert caught.value.after == 10.0
            assert one.url in str(caught.value)
            assert two.url in str(caught.value)
            clock.now += 4
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(LINES))
            assert caught.value.after == 6.0
            assert (len(one.requests), len(two.requests)) == (1, 1)
            clock.now += 6
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (len(one.requests), len(two.requests)) == (1, 2)

    async def test_all_in_a_pause_of_our_own_are_asked_all_the_same(self) -> None:
        async with ScriptedServer(Answer(500)) as one, ScriptedServer(Answer(401)) as two:
            plugin, _ = self.pair(one.url, two.url)
            with pytest.raises(Retry) as caught:
                await write(plugin, MemoryBatch(LINES))
            assert not caught.value.needs_operator  # the first one may come back by itself
            await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert len(one.requests) + len(two.requests) == 3

    @pytest.mark.parametrize("answer", [Answer(413), conflict(" dropped=1"), parse_error("x")])
    async def test_an_answer_about_the_batch_is_not_asked_for_twice(self, answer: Answer) -> None:
        async with ScriptedServer(answer) as one, ScriptedServer() as two:
            plugin, _ = self.pair(one.url, two.url)
            with pytest.raises((Reject, TooLarge)):
                await write(plugin, MemoryBatch(LINES))
            await plugin.close()
            assert (len(one.requests), len(two.requests)) == (1, 0)


NO_BUCKET = Answer.error(404, "not found", 'bucket "x" not found')


def batch(partition: str | None) -> MemoryBatch:
    return MemoryBatch(["m n=1i 1"], partition=partition)


async def test_the_tags_value_names_the_bucket() -> None:
    async with ScriptedServer() as server:
        plugin = output(server.url, bucket_tag="bucket", exclude_bucket_tag=True)
        assert plugin.partition() == Partition("bucket", exclude=True)
        for partition in ("a/b", None, "", "é\udcff"):
            await write(plugin, batch(partition))
        await plugin.close()
    assert plugin.destination("é\udcff").startswith(r"bucket 'é\xff' at ")
    assert [request.target for request in server.requests] == [
        "/api/v2/write?bucket=a%2Fb&org=o",
        "/api/v2/write?bucket=b&org=o",
        "/api/v2/write?bucket=b&org=o",
        "/api/v2/write?bucket=%C3%A9%FF&org=o",
    ]


async def test_a_bucket_that_is_missing_is_not_held_against_the_node() -> None:
    async with ScriptedServer(NO_BUCKET) as one, ScriptedServer(NO_BUCKET) as two:
        plugin = output(one.url, two.url, bucket_tag="bucket")
        with pytest.raises(Retry) as caught:
            await write(plugin, batch("x"))
        assert caught.value.needs_operator
        assert "or the tag 'bucket' of the metrics" in str(caught.value)
        for _ in range(4):
            await write(plugin, batch("y"))
        await plugin.close()
        # They take turns, as if nothing had happened.
        assert len(one.requests) == len(two.requests) == 3


async def test_writes_at_once_share_what_is_known_of_the_nodes(caplog: pytest.LogCaptureFixture) -> None:
    """As with concurrent_writes: each is delivered, and a node that fails them all has failed once."""
    async with ScriptedServer(*[Answer(503)] * 8) as ill, ScriptedServer() as well:
        plugin = output(ill.url, well.url, concurrent_writes=8)
        plugin._clock = clock = Clock()  # type: ignore[assignment]  # a faked clock
        await asyncio.gather(*(write(plugin, MemoryBatch([f"m n={n}i {n}"])) for n in range(8)))
        asked = len(ill.requests)
        await write(plugin, MemoryBatch(LINES))
        assert len(ill.requests) == asked
        clock.now += 2.5
        for _ in range(2):
            await write(plugin, MemoryBatch(LINES))
        assert len(ill.requests) == asked + 1
        await plugin.close()
        del well.requests[8:]
        assert sorted(request.text for request in well.requests) == [f"m n={n}i {n}\n" for n in range(8)]
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # told once, not by each


async def test_a_cancelled_write_is_cancelled() -> None:
    async with ScriptedServer(Raw(then="stall")) as server:
        plugin = output(server.url)
        with pytest.raises(TimeoutError):  # of the block, not the output's own
            async with asyncio.timeout(0.2):
                await write(plugin, MemoryBatch(LINES))
        await plugin.close()

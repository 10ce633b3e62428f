"""One output's life, on virtual time: when it writes, and that every metric is accounted for whatever the receiver says."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import LOG, numbered, numbers, output_plan

from pyagent.api import Batch, Duration, Limits, NotConnected, Output, PartialWrite, Reject, Retry, TooLarge
from pyagent.buffer import Chunk, QueueBatch
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.testing.virtual import run_virtual


class Receiver(Output):
    """Takes batches as the test says: `answer(batch)` may raise."""

    def setup(self) -> None:
        self.answer: Callable[[list[int]], Any] = lambda got: None
        self.stored: list[int] = []
        self.writes: list[tuple[float, int]] = []
        self.connects = 0
        self.closed = 0

    async def connect(self) -> None:
        self.connects += 1

    async def write(self, batch: Batch) -> None:
        got = numbers(batch)
        self.writes.append((asyncio.get_running_loop().time(), len(got)))
        result = self.answer(got)
        if isinstance(result, Awaitable):
            await result
        self.stored += got

    async def close(self) -> None:
        self.closed += 1


def runner(**plan: Any) -> tuple[RunningOutput, Receiver]:
    plugin = Receiver(output_plan(Receiver).options, LOG)
    return RunningOutput(output_plan(Receiver, **plan), plugin, log=LOG), plugin


def accounted(output: RunningOutput, added: int) -> bool:
    return added == output.written + output.rejected + output.queue.dropped + len(output.queue)


async def run_for(output: RunningOutput, seconds: float) -> None:
    task = asyncio.create_task(output.run())
    await asyncio.sleep(seconds)
    output.end()
    await task


def test_writes_every_interval_whatever_there_is() -> None:
    async def main() -> None:
        output, receiver = runner()
        loop = asyncio.get_running_loop()
        for second in range(25):
            loop.call_later(second + 0.5, output.enqueue_block, numbered(second, 1))
        await run_for(output, 25)
        assert [(round(when), count) for when, count in receiver.writes] == [(10, 10), (20, 10)]
        assert receiver.connects == 1
        await output.stop(grace=5)
        assert receiver.stored == list(range(25))
        assert receiver.closed == 1

    run_virtual(main())


def test_a_full_batch_goes_at_once_and_the_rest_waits() -> None:
    async def main() -> None:
        output, receiver = runner(metric_batch_size=10)
        asyncio.get_running_loop().call_later(1, output.enqueue_block, numbered(0, 25))
        await run_for(output, 5)
        assert [(round(when), count) for when, count in receiver.writes] == [(1, 10), (1, 10)]
        assert len(output.queue) == 5

    run_virtual(main())


def test_flush_soon_does_not_wait_for_the_interval() -> None:
    async def main() -> None:
        output, receiver = runner()
        output.enqueue_block(numbered(0, 1))
        output.flush_soon()
        await run_for(output, 1)
        assert receiver.writes == [(0.0, 1)]

    run_virtual(main())


def test_a_dead_receiver_costs_one_line_and_backs_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def refuse(got: list[int]) -> None:
        raise Retry("connection refused")

    async def main() -> None:
        output, receiver = runner()
        receiver.answer = refuse
        output.enqueue_block(numbered(0, 5))
        output.flush_soon()
        await run_for(output, 3600)
        assert 240 < len(receiver.writes) < 900  # at most 15 s apart, and a random part of that
        assert accounted(output, 5)
        receiver.answer = lambda got: None
        await output.stop(grace=5)
        assert receiver.stored == [0, 1, 2, 3, 4]

    run_virtual(main())
    messages = [record.getMessage() for record in caplog.records]
    assert messages[0] == "cannot write: connection refused"
    assert len(messages) == 3
    assert "works again after" in messages[1]
    assert messages[2].startswith("first batch of 5 metrics written in ")


def test_the_first_batch_is_told_and_the_others_to_who_debugs(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, logger=LOG.name)
    monkeypatch.setattr(Receiver, "destination", lambda self, partition: "a bucket\nat a place")

    async def main() -> None:
        output, _ = runner()
        for count in (1, 2, 0, 3):
            output.enqueue_block(numbered(0, count))
            assert await output.partitions[None].write_queue()
        await output.stop(grace=5)

    run_virtual(main())
    told = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == LOG.name]
    places = [message.partition(" written in ")[2].partition(" ms ")[2] for _, message in told]
    assert [(level, message.partition(" written")[0]) for level, message in told] == [
        ("INFO", "first batch of 1 metric"),
        ("DEBUG", "batch of 2 metrics"),
        ("DEBUG", "batch of 3 metrics"),
    ]
    assert places == ["to a bucket at a place"] * 3


def test_where_an_output_cannot_say_where_it_writes_it_writes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger=LOG.name)
    monkeypatch.setattr(Receiver, "destination", property(lambda self: lambda partition: 1 / 0), raising=False)

    async def main() -> None:
        output, receiver = runner()
        output.enqueue_block(numbered(0, 1))
        await output.stop(grace=5)
        assert receiver.stored == [0]

    run_virtual(main())
    assert [record.getMessage().partition(" in ")[0] for record in caplog.records] == [
        "first batch of 1 metric written"
    ]


def test_the_receivers_own_wait_is_kept() -> None:
    async def main() -> None:
        output, receiver = runner()

        def busy(got: list[int]) -> None:
            if len(receiver.writes) == 1:
                raise Retry("429", after=42.0)

        receiver.answer = busy
        output.enqueue_block(numbered(0, 1))
        output.flush_soon()
        await run_for(output, 60)
        first, second = (when for when, _ in receiver.writes)
        assert first == 0
        assert 42 < second <= 43  # not all agents at the same moment

    run_virtual(main())


def test_the_bad_lines_are_found_and_all_others_arrive() -> None:
    bad = {3, 4, 17, 63}

    def refuse(got: list[int]) -> None:
        if bad & set(got):
            raise Reject("unable to parse")

    async def main() -> None:
        output, receiver = runner()
        receiver.answer = refuse
        output.enqueue_block(numbered(0, 64))
        assert await output.write_queue()
        assert receiver.stored == [n for n in range(64) if n not in bad]
        assert output.rejected == len(bad)
        assert accounted(output, 64)

    run_virtual(main())


@pytest.mark.parametrize("refusal", [Reject("bad request"), TooLarge("413")])
def test_where_everything_is_refused_everything_is_kept(refusal: Exception) -> None:
    async def main() -> None:
        output, receiver = runner(metric_batch_size=1000, metric_buffer_limit=1000)

        def refuse(got: list[int]) -> None:
            raise refusal

        receiver.answer = refuse
        output.enqueue_block(numbered(0, 1000))
        for _ in range(3):
            receiver.writes.clear()
            assert not await output.write_queue()
            assert len(receiver.writes) < 40
        assert (output.rejected, output.written, len(output.queue)) == (0, 0, 1000)
        receiver.answer = lambda got: None
        assert await output.write_queue()
        assert receiver.stored == list(range(1000))

    run_virtual(main())


@pytest.mark.parametrize(
    "good", [{999}, {0}, {500}, set(range(900, 1000)), set(range(0, 1000, 100)), set(range(300, 990))]
)
def test_the_good_ones_are_found_among_many_that_are_refused(good: set[int]) -> None:
    def refuse(got: list[int]) -> None:
        if set(got) - good:
            raise Reject("bad")

    async def main() -> None:
        output, receiver = runner(metric_batch_size=1000, metric_buffer_limit=1000)
        receiver.answer = refuse
        output.enqueue_block(numbered(0, 1000))
        taken = await output.write_queue()
        assert accounted(output, 1000)
        if taken:
            assert sorted(receiver.stored) == sorted(good)
            assert output.rejected == 1000 - len(good)
        else:
            assert len(output.queue) == 1000  # too few to be found by samples: nothing is lost

    run_virtual(main())


def test_what_is_left_after_samples_goes_back_in_its_order() -> None:
    """Also on disk, where parts that are not in order would be taken for delivered ones."""

    async def main() -> None:
        output, receiver = runner(metric_batch_size=100, metric_buffer_limit=1000)
        refused = 0

        def refuse(got: list[int]) -> None:
            nonlocal refused
            if set(got) & set(range(40)):
                refused += 1
                raise Reject("bad")
            if refused and len(got) > 1:
                raise Retry("later")

        receiver.answer = refuse
        for start in range(0, 100, 10):
            output.enqueue_block(numbered(start, 10))
        assert not await output.write_queue()
        assert accounted(output, 100)
        stored = list(receiver.stored)
        assert stored
        refused = 0
        receiver.answer = lambda got: None
        assert await output.write_queue()
        assert receiver.stored[len(stored) :] == sorted(receiver.stored[len(stored) :])
        assert accounted(output, 100)

    run_virtual(main())


def test_a_single_metric_that_is_refused_waits_for_one_that_is_taken() -> None:
    def refuse(got: list[int]) -> None:
        if 0 in got:
            raise Reject("bad")

    async def main() -> None:
        output, receiver = runner()
        receiver.answer = refuse
        output.enqueue_block(numbered(0, 1))
        assert not await output.write_queue()
        assert (output.rejected, len(output.queue)) == (0, 1)
        output.enqueue_block(numbered(1, 1))
        assert await output.write_queue()
        assert (output.rejected, receiver.stored) == (1, [1])

    run_virtual(main())


def test_named_lines_are_left_out_and_the_others_sent_again() -> None:
    def refuse(got: list[int]) -> None:
        if 2 in got:
            raise Reject("unable to parse", indices=(got.index(2), got.index(5)))

    async def main() -> None:
        output, receiver = runner()
        receiver.answer = refuse
        output.enqueue_block(numbered(0, 8))
        assert await output.write_queue()
        assert receiver.stored == [0, 1, 3, 4, 6, 7]
        assert output.rejected == 2
        assert accounted(output, 8)

    run_virtual(main())


def test_lines_that_are_not_in_the_batch_are_searched_for() -> None:
    def refuse(got: list[int]) -> None:
        if 2 in got:
            raise Reject("unable to parse", indices=(99, -1))

    async def main() -> None:
        output, receiver = runner()
        receiver.answer = refuse
        output.enqueue_block(numbered(0, 8))
        assert await output.write_queue()
        assert receiver.stored == [0, 1, 3, 4, 5, 6, 7]
        assert accounted(output, 8)

    run_virtual(main())


def test_a_partial_write_is_not_sent_again() -> None:
    async def main() -> None:
        output, receiver = runner()

        def partial(got: list[int]) -> None:
            raise PartialWrite("partial write: field type conflict", 3)

        receiver.answer = partial
        output.enqueue_block(numbered(0, 8))
        assert await output.write_queue()
        assert len(receiver.writes) == 1
        assert (output.written, output.rejected, len(output.queue)) == (5, 3, 0)

    run_virtual(main())


def test_too_large_batches_are_halved_and_one_too_large_metric_is_dropped() -> None:
    def narrow(got: list[int]) -> None:
        if len(got) > 3 or 7 in got:
            raise TooLarge("413")

    async def main() -> None:
        output, receiver = runner()
        receiver.answer = narrow
        output.enqueue_block(numbered(0, 16))
        assert await output.write_queue()
        assert receiver.stored == [n for n in range(16) if n != 7]
        assert output.rejected == 1
        assert accounted(output, 16)

    run_virtual(main())


def test_an_overflow_drops_the_oldest_and_is_told_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        output, _ = runner(metric_buffer_limit=10)
        for first in range(0, 1000, 5):
            output.enqueue_block(numbered(first, 5))
        assert accounted(output, 1000)
        batch = output.queue.next_batch(100)
        assert batch is not None
        assert numbers(batch) == list(range(990, 1000))

    run_virtual(main())
    assert 5 < len(caplog.records) < 12


def test_cancelled_in_the_middle_of_a_write_nothing_is_lost() -> None:
    async def main() -> None:
        output, receiver = runner()
        receiver.answer = lambda got: asyncio.sleep(3600)
        output.enqueue_block(numbered(0, 5))
        output.flush_soon()
        task = asyncio.create_task(output.run())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert len(output.queue) == 5
        assert accounted(output, 5)

    run_virtual(main())


def test_the_last_flush_does_not_hang() -> None:
    async def main() -> None:
        output, receiver = runner()
        receiver.answer = lambda got: asyncio.sleep(3600)
        output.enqueue_block(numbered(0, 5))
        await output.stop(grace=5)
        assert asyncio.get_running_loop().time() < 6
        assert receiver.closed == 1
        assert accounted(output, 5)

    run_virtual(main())


def test_a_metric_that_cannot_be_encoded_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    from pyagent.api import Metric
    from pyagent.lineprotocol import encode

    async def main() -> None:
        output, _ = runner()
        for _ in range(3):
            output.enqueue_block(encode([Metric("m" * 1000, {}, {"f": float("nan")}, 0), Metric("m", {}, {"n": 1}, 0)]))
        assert sum(output.not_encodable.values()) == 3
        assert len(output.queue) == 3

    run_virtual(main())
    assert len(caplog.records) == 1
    assert f"cannot encode a metric of '{100 * 'm'}': " in caplog.records[0].getMessage()


ANSWERS = st.sampled_from(["ok", "retry", "reject", "named", "partial", "large", "raise"])


@given(st.lists(st.tuples(st.integers(1, 30), ANSWERS), max_size=30))
@settings(max_examples=2 * settings.default.max_examples)
def test_whatever_the_receiver_says_the_sums_are_right(script: list[tuple[int, str]]) -> None:
    async def main() -> None:
        output, receiver = runner(metric_batch_size=10, metric_buffer_limit=50)
        answers = iter([answer for _, answer in script])
        partial_dropped = 0

        def answer(got: list[int]) -> None:
            nonlocal partial_dropped
            match next(answers, "ok"):
                case "retry":
                    raise Retry("later")
                case "reject":
                    raise Reject("bad")
                case "named":
                    raise Reject("bad", indices=(0, len(got) - 1))
                case "partial":
                    partial_dropped += 1
                    receiver.stored += got[1:]
                    raise PartialWrite("partial")
                case "large":
                    raise TooLarge("413")
                case "raise":
                    raise RuntimeError("a defect of the plugin")

        receiver.answer = answer
        added = 0
        for count, _ in script:
            output.enqueue_block(numbered(added, count))
            added += count
            await output.write_queue(at_least=1)
            assert accounted(output, added)
        receiver.answer = lambda got: None
        await output.write_queue()
        assert accounted(output, added)
        assert len(output.queue) == 0
        assert receiver.stored == sorted(set(receiver.stored))
        assert len(receiver.stored) == output.written

    run_virtual(main())


def test_flush_jitter_spreads_the_writes() -> None:
    async def main() -> None:
        output, receiver = runner(flush_jitter=Duration("5s"))
        loop = asyncio.get_running_loop()
        for second in range(100):
            loop.call_later(second, output.enqueue_block, numbered(second, 1))
        await run_for(output, 100)
        gaps = [after - before for (before, _), (after, _) in zip(receiver.writes, receiver.writes[1:], strict=False)]
        assert gaps
        assert all(10 <= gap <= 15.01 for gap in gaps)

    run_virtual(main())


def test_a_connection_that_is_lost_is_made_again_before_the_next_write() -> None:
    async def main() -> None:
        output, receiver = runner()
        gone = [True, False, True]

        def answer(got: list[int]) -> None:
            if gone and gone.pop(0):
                raise NotConnected("the server closed the connection")

        receiver.answer = answer
        for first in range(3):
            output.enqueue_block(numbered(first, 1))
        await run_for(output, 60)
        assert receiver.stored == [0, 1, 2]
        assert receiver.connects == 2
        assert accounted(output, 3)

    run_virtual(main())


def test_a_connection_that_cannot_be_made_is_tried_again_with_pauses() -> None:
    class Unreachable(Receiver):
        async def connect(self) -> None:
            await super().connect()
            if self.connects < 4:
                raise OSError("nobody listens")

    async def main() -> None:
        plugin = Unreachable(output_plan(Unreachable).options, LOG)
        output = RunningOutput(output_plan(Unreachable), plugin, log=LOG)
        output.enqueue_block(numbered(0, 2))
        output.flush_soon()
        await run_for(output, 60)
        assert (plugin.connects, plugin.stored) == (4, [0, 1])

    run_virtual(main())


def test_one_that_listens_connects_before_there_is_anything_to_write(caplog: pytest.LogCaptureFixture) -> None:
    class Listener(Receiver):
        listens = True

        async def connect(self) -> None:
            await super().connect()
            if self.connects < 3:
                raise OSError("the address is in use")

    async def main() -> None:
        plugin = Listener(output_plan(Listener).options, LOG)
        output = RunningOutput(output_plan(Listener), plugin, log=LOG)
        await run_for(output, 60)
        assert plugin.connects == 3
        assert output.is_connected
        await output.stop(grace=5)
        _, receiver = runner()
        await run_for(RunningOutput(output_plan(Receiver), receiver, log=LOG), 60)
        assert receiver.connects == 0

    run_virtual(main())
    assert caplog.text.count("the address is in use") == 1


def test_writes_at_once_that_meet_the_same_loss_connect_once() -> None:
    """As do a thousand partitions: they do not try one after the other what has just failed."""

    class Counting(Receiver):
        def setup(self) -> None:
            super().setup()
            self.up = True

        def limits(self) -> Limits:
            return Limits(concurrent_writes=3)

        async def connect(self) -> None:
            await super().connect()
            if not self.up:
                raise OSError("nobody listens")

        async def write(self, batch: Batch) -> None:
            await asyncio.sleep(0.1)
            if not self.up:
                raise NotConnected("gone")
            await super().write(batch)

    async def main() -> None:
        plugin = Counting(output_plan(Counting).options, LOG)
        output = RunningOutput(output_plan(Counting, metric_batch_size=1), plugin, log=LOG)
        output.enqueue_block(numbered(0, 3))
        assert await output.write_queue()
        assert plugin.connects == 1
        plugin.up = False
        output.enqueue_block(numbered(3, 3))
        assert not await output.write_queue()
        assert plugin.connects == 1  # lost, and not tried yet
        assert not await output.write_queue()
        assert plugin.connects == 2  # once for all three
        plugin.up = True
        await asyncio.sleep(2)
        assert await output.write_queue()
        assert (plugin.connects, sorted(plugin.stored)) == (3, list(range(6)))

    run_virtual(main())


def test_the_form_of_a_partial_write_before_it_had_a_name() -> None:
    async def main() -> None:
        output, receiver = runner()

        def answer(got: list[int]) -> None:
            with pytest.warns(DeprecationWarning, match=r"Reject\(rest_stored=True\) is PartialWrite now"):
                refusal = Reject("partial", (1,), rest_stored=True, dropped=2)
            raise refusal

        receiver.answer = answer
        output.enqueue_block(numbered(0, 5))
        assert await output.write_queue()
        assert (output.written, output.rejected, len(output.queue)) == (3, 2, 0)

    run_virtual(main())


def test_an_output_may_want_fewer_metrics_at_once_than_the_user() -> None:
    class One(Receiver):
        def limits(self) -> Limits:
            return Limits(write_metrics=1)

    async def main() -> None:
        plugin = One(output_plan(One).options, LOG)
        output = RunningOutput(output_plan(One), plugin, log=LOG)
        plugin.answer = lambda got: (_ for _ in ()).throw(Retry("later")) if got == [3] else None
        output.enqueue_block(numbered(0, 5))
        assert not await output.write_queue()
        assert (plugin.stored, len(output.queue)) == ([0, 1, 2], 2)
        plugin.answer = lambda got: None
        assert await output.write_queue()
        assert plugin.stored == [0, 1, 2, 3, 4]

    run_virtual(main())


def test_a_sender_says_what_it_is_at(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        output, receiver = runner(metric_batch_size=10)
        [sender] = output.partitions.values()
        seen: list[str] = []

        def answer(got: list[int]) -> None:
            seen.append(str(sender.state))
            if len(seen) == 1:
                raise Retry("the server is away", after=5)

        receiver.answer = answer
        assert (sender.state, output.is_connected) == ("idle", False)
        output.enqueue_block(numbered(0, 30))
        assert not await output.write_queue()
        assert (sender.state, output.is_connected) == ("backing off", True)
        await asyncio.sleep(7)
        assert await output.write_queue(at_least=10)
        assert (sender.state, set(seen)) == ("idle", {"writing"})
        sender.end()
        assert sender.state == "stopping"

    with caplog.at_level(logging.DEBUG, logger="pyagent.test"):
        run_virtual(main())
    assert any("the server is away" in text and "-> backing off for " in text for text in caplog.messages)


def test_a_sender_that_has_used_up_its_rate_says_so() -> None:
    class Limited(Receiver):
        def limits(self) -> Limits:
            return Limits(rate_bytes=30, rate_period=60.0)

    async def main() -> None:
        plugin = Limited(output_plan(Limited).options, LOG)
        output = RunningOutput(output_plan(Limited), plugin, log=LOG)
        output.enqueue_block(numbered(0, 100))
        assert not await output.write_queue()
        [sender] = output.partitions.values()
        assert sender.state == "rate limited"

    run_virtual(main())


async def test_a_backlog_is_compressed_in_a_thread_and_arrives_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: set[str] = set()
    compress = QueueBatch.compress

    def watched(batch: QueueBatch) -> Chunk:
        threads.add(threading.current_thread().name)
        return compress(batch)

    monkeypatch.setattr(QueueBatch, "compress", watched)
    output, plugin = runner(metric_batch_size=1000, metric_buffer_limit=10_000)
    for first in range(0, 5000, 500):
        output.enqueue_block(numbered(first, 500))
    await output._compression.drained()
    assert threads == {f"{output.plan.label} compression"}
    assert await output.write_queue()
    assert plugin.stored == list(range(5000))
    await output.stop(grace=5)


async def test_what_is_left_at_the_end_is_told_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    class Placed(Receiver):
        def destination(self, partition: str | None) -> str:
            return "/tmp/a"

    plugin = Placed(output_plan(Placed).options, LOG)
    plugin.answer = _away
    output = RunningOutput(output_plan(Placed), plugin, log=LOG)
    output.enqueue_block(numbered(0, 5))
    await output.stop(grace=5)
    assert "5 metrics could not be written to /tmp/a before the end" in caplog.text


async def test_where_a_write_took_all_the_time_there_is_no_other_and_it_is_closed_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    output, plugin = runner()
    output.enqueue_block(numbered(0, 5))
    await output.stop(grace=5, waited=5)
    assert (plugin.writes, plugin.closed) == ([], 1)
    assert "the last flush did not end within 5 s; it is abandoned" in caplog.text
    assert "5 metrics could not be written before the end" in caplog.text


def _away(got: list[int]) -> None:
    raise Retry("away")

"""The kit for consumers: what is acknowledged is held, and nothing else."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from pyagent.api import Ingested, Metric, ParseError, Parser, QueueFull
from pyagent.api.errors import TooMuch
from pyagent.kit.consumer import Consumer, Message
from pyagent.testing import make_parser
from pyagent.testing.virtual import run_virtual
from pyagent_plugins.parsers.value import Value

LOG = logging.getLogger("pyagent.inputs.test")


class Queue:
    """An accumulator whose answers a test chooses, one for each call; then it takes all. `held`: what it took."""

    def __init__(self, *answers: Exception | None, most: int = 1000) -> None:
        self._answers = list(answers)
        self._most = most
        self.held: list[bytes] = []
        self.calls: list[int] = []

    async def ingest(
        self,
        data: bytes | Sequence[bytes],
        parser: Parser[Any] | None = None,
        *,
        precision: str = "ns",
        tags: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
        adjust: Callable[[int, list[Metric]], list[Metric]] | None = None,
    ) -> Ingested:
        pieces = [data] if isinstance(data, bytes) else list(data)
        self.calls.append(len(pieces))
        if (answer := self._answers.pop(0) if self._answers else None) is not None:
            raise answer
        if sum(map(len, pieces)) > self._most:
            raise TooMuch("it holds too many metrics")
        errors = []
        for index, piece in enumerate(pieces):
            try:
                if adjust is not None:
                    adjust(index, [])
                self.held.append(piece)
            except ParseError as error:
                errors.append(str(error))
        return Ingested(len(pieces) - len(errors), tuple(errors), len(errors))


def consume(queue: Queue, *texts: bytes, grace: float = 3600, **options: Any) -> tuple[list[bytes], Consumer]:
    """What is acknowledged of messages with these texts, until all are done or `grace` seconds have passed."""
    acknowledged: list[bytes] = []
    made: list[Consumer] = []

    async def main() -> None:
        consumer = Consumer(queue, make_parser(Value), LOG, **options)  # type: ignore[arg-type]  # the part that it uses
        made.append(consumer)
        for text in texts:
            consumer.put(Message(text, "t", lambda text=text: acknowledged.append(text)))  # type: ignore[misc]
        await consumer.close(grace)

    run_virtual(main())
    return acknowledged, made[0]


def test_a_message_is_acknowledged_when_it_is_held() -> None:
    queue = Queue()
    acknowledged, consumer = consume(queue, b"1", b"2")
    assert acknowledged == [b"1", b"2"]
    assert consumer.undelivered == 0
    assert queue.held == [b"1", b"2"]


def test_a_full_queue_is_asked_again_and_nothing_is_acknowledged_meanwhile() -> None:
    queue = Queue(QueueFull("full"), QueueFull("full"))
    acknowledged, consumer = consume(queue, b"1", b"2")
    assert acknowledged == [b"1", b"2"]
    assert queue.calls == [2, 2, 2]
    assert consumer.undelivered == 0


def test_what_is_not_held_at_the_end_is_not_acknowledged() -> None:
    acknowledged, _ = consume(Queue(*[QueueFull("full")] * 10_000), b"1", grace=5)
    assert acknowledged == []


def test_a_failure_of_the_engine_leaves_the_message_with_the_broker(caplog: pytest.LogCaptureFixture) -> None:
    acknowledged, consumer = consume(Queue(RuntimeError("odd")), b"1")
    assert acknowledged == []
    assert consumer.undelivered == 0
    assert "BUG: cannot hand on data: RuntimeError('odd')" in caplog.text


def test_one_message_that_becomes_too_much_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    queue = Queue(most=3)
    acknowledged, _ = consume(queue, b"1", b"22222", b"3")
    assert queue.held == [b"1", b"3"]
    assert acknowledged == [b"1", b"22222", b"3"]
    assert "it holds too many metrics; it begins with '22222'" in caplog.text


def test_each_message_is_adjusted_by_itself_when_they_are_queued_one_by_one() -> None:
    seen: list[bytes] = []

    def adjust(message: Message, metrics: list[Metric]) -> list[Metric]:
        seen.append(message.data)
        return metrics

    consume(Queue(most=3), b"1", b"22222", b"3", adjust=adjust)
    assert seen == [b"1", b"3"]


def test_one_that_cannot_be_read_is_acknowledged_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    def adjust(message: Message, metrics: list[Metric]) -> list[Metric]:
        if message.data == b"bad":
            raise ParseError("the topic has no parts")
        return metrics

    acknowledged, _ = consume(Queue(), b"1", b"bad", adjust=adjust)
    assert acknowledged == [b"1", b"bad"]
    assert "cannot read what was received: the topic has no parts" in caplog.text


def test_there_is_room_for_as_many_as_may_be_undelivered() -> None:
    queue = Queue(*[QueueFull("full")] * 10)
    rooms: list[bool] = []

    async def main() -> None:
        consumer = Consumer(queue, make_parser(Value), LOG, most=2, on_room=lambda: rooms.append(True))  # type: ignore[arg-type]
        consumer.put(Message(b"1", "t", None))
        assert consumer.has_room
        consumer.put(Message(b"2", "t", None))
        assert not consumer.has_room
        await consumer.close(60)
        assert consumer.has_room

    run_virtual(main())
    assert rooms


def test_a_new_connection_drops_what_waits_and_comes_again() -> None:
    queue, acknowledged = Queue(), []

    async def main() -> None:
        consumer = Consumer(queue, make_parser(Value), LOG)  # type: ignore[arg-type]
        consumer.put(Message(b"again", "t", lambda: acknowledged.append(b"again")))
        consumer.put(Message(b"once", "t", None))
        consumer.forget()
        assert consumer.undelivered == 1
        await consumer.close(60)

    run_virtual(main())
    assert (queue.held, acknowledged) == ([b"once"], [])

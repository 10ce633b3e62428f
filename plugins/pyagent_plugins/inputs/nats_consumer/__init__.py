"""Reads metrics from subjects of NATS.

Core NATS and JetStream: a message of the latter is acknowledged when the outputs' queues hold its metrics.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, ClassVar

from pyagent.api import Accumulator, Input, Metric, PyagentError, option
from pyagent.kit.consumer import Consumer, Message
from pyagent.kit.nats import NATS_TIMEOUT, NatsConnector, NatsOptions, nats_words
from pyagent.kit.reconnect import KeptConnection
from pyagent_plugins.inputs.nats_consumer.pull import Pull, find_consumer

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["NATSConsumer", "NATSConsumerOptions"]

_SUBJECT = "telegraf"
_STOP_GRACE = 1.0
"""Seconds for what was received to get into the queues, and to be acknowledged."""


class NATSConsumerOptions(NatsOptions, frozen=True):
    parses: ClassVar[bool] = True

    subjects: Annotated[
        list[str], option("subjects of core NATS, with the wildcards * and > ([]: telegraf, where no stream is read)")
    ] = []
    jetstream_subjects: Annotated[list[str], option("subjects that a stream keeps")] = []
    jetstream_stream: Annotated[str, option("name of that stream (empty: the one that has the subject)")] = ""
    queue_group: Annotated[str, option("consumers of one name share the messages")] = "telegraf_consumers"
    pending_message_limit: Annotated[int, option("messages of a subscription that may wait here", ge=1)] = 65536
    pending_bytes_limit: Annotated[int, option("bytes of a subscription that may wait here", ge=1)] = 67108864
    max_undelivered_messages: Annotated[
        int, option("messages that may wait to be acknowledged before no more are taken", ge=1)
    ] = 1000
    data_format: Annotated[str, option("format of the messages; it has options of its own")] = "influx"


class NATSConsumer(Input[NATSConsumerOptions]):
    def setup(self) -> None:
        self._connector = NatsConnector(self.options, self.log)
        self._client: Client | None = None
        self._consumer: Consumer | None = None
        self._kept: KeptConnection | None = None
        self._room = asyncio.Event()
        self._pulls: list[Pull] = []
        self._pulling: list[asyncio.Task[None]] = []
        self._replies: list[str] = []
        """Subjects of acknowledgements that are due."""
        self._acknowledging: asyncio.Task[None] | None = None

    async def start(self, acc: Accumulator) -> None:
        most = self.options.max_undelivered_messages
        self._consumer = Consumer(acc, self.parser, self.log, most=most, adjust=_tagged, on_room=self._has_room)
        kept = KeptConnection(self._connect, self.log, self._connector.where)
        await kept.start()
        self._kept = kept

    async def stop(self) -> None:
        kept, self._kept = self._kept, None
        if kept is None:
            return
        await kept.stop()
        await self._end_pulls()
        if self._consumer is not None:
            await self._consumer.close(_STOP_GRACE)
        if self._acknowledging is not None:
            await asyncio.wait([self._acknowledging], timeout=_STOP_GRACE)
            self._acknowledging.cancel()
        if self._client is not None:
            with suppress(Exception):
                await self._client.flush(1)
        await self._connector.close()

    async def _connect(self) -> Awaitable[str]:
        await self._end_pulls()
        client, lost = await self._connector.connect()
        self._client = client
        try:
            async with asyncio.timeout(2 * NATS_TIMEOUT):
                await self._subscribe(client, lost)
        except Exception as error:
            await self._end_pulls()
            await self._connector.close()
            raise PyagentError(f"cannot subscribe at {self._connector.where}: {nats_words(error)}") from None
        return lost

    async def _subscribe(self, client: "Client", lost: "asyncio.Future[str]") -> None:
        options = self.options
        messages, size = options.pending_message_limit, options.pending_bytes_limit
        for subject in options.subjects or ([] if options.jetstream_subjects else [_SUBJECT]):
            await client.subscribe(
                subject,
                queue=options.queue_group,
                cb=self._pushed(False),
                pending_msgs_limit=messages,
                pending_bytes_limit=size,
            )
        for subject in options.jetstream_subjects:
            stream, pulled = await find_consumer(client, subject, options.jetstream_stream, options.queue_group)
            if pulled:
                await self._pull(client, stream, lost)
                continue
            await client.jetstream().subscribe(
                subject,
                queue=options.queue_group or None,
                cb=self._pushed(True),
                stream=stream,
                manual_ack=True,
                pending_msgs_limit=messages,
                pending_bytes_limit=size,
            )
        await client.flush()

    async def _pull(self, client: "Client", stream: str, lost: "asyncio.Future[str]") -> None:
        consumer = self._consumer
        assert consumer is not None

        def gone(reason: str) -> None:
            if not lost.done():
                lost.set_result(reason)

        def ended(task: "asyncio.Task[None]") -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                gone(nats_words(error))

        pull = Pull(
            client,
            stream,
            self.options.queue_group,
            room=lambda: consumer.room,
            received=lambda message: consumer.put(self._taken(message, True)),
            lost=gone,
        )
        await pull.start()
        self._pulls.append(pull)
        task = asyncio.create_task(pull.run())
        task.add_done_callback(ended)
        self._pulling.append(task)

    async def _end_pulls(self) -> None:
        tasks, self._pulling, self._pulls = self._pulling, [], []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _has_room(self) -> None:
        self._room.set()
        for pull in self._pulls:
            pull.wake()

    def _pushed(self, acknowledged: bool) -> "Callable[[Msg], Awaitable[None]]":
        async def received(message: "Msg") -> None:
            consumer = self._consumer
            assert consumer is not None
            consumer.put(self._taken(message, acknowledged))
            while not consumer.has_room:
                self._room.clear()
                await self._room.wait()

        return received

    def _taken(self, message: "Msg", acknowledged: bool) -> Message:
        reply = message.reply
        return Message(message.data, message.subject, (lambda: self._acknowledge(reply)) if acknowledged else None)

    def _acknowledge(self, reply: str) -> None:
        self._replies.append(reply)
        if self._acknowledging is None:
            self._acknowledging = asyncio.create_task(self._send_acknowledgements())

    async def _send_acknowledgements(self) -> None:
        """Over the connection of the moment: a message may have come by one before. Where it is lost, it comes again."""
        try:
            while self._replies:
                replies, self._replies = self._replies, []
                for reply in replies:
                    assert self._client is not None
                    await self._client.publish(reply, b"")
        except Exception as error:
            self.log.debug("cannot acknowledge: %s", nats_words(error))
        finally:
            self._acknowledging = None


def _tagged(message: Message, metrics: list[Metric]) -> list[Metric]:
    for metric in metrics:
        metric.tags["subject"] = message.source
    return metrics

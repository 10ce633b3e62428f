"""Publishes metrics to subjects of NATS.

Core NATS and JetStream: a stream stores a message that is sent again once.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pyagent.api import (
    Batch,
    ConfigError,
    Metric,
    NotConnected,
    Output,
    PartialWrite,
    PyagentError,
    QueueFormat,
    RawMetrics,
    Reject,
    Retry,
    Serialized,
    option,
)
from pyagent.kit.nats import NATS_TIMEOUT, NatsConnector, NatsOptions, nats_words
from pyagent.kit.shown import quoted
from pyagent_plugins.outputs.nats.identity import Identities, Message
from pyagent_plugins.outputs.nats.stream import StreamOptions, check_name, covers, see_to_stream
from pyagent_plugins.outputs.nats.subject import Subject, wrong_with

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

__all__ = ["NATS", "NATSOptions"]

_T = TypeVar("_T")

_HEADERS = 512
"""Bytes that are kept free for headers in the largest message that the server takes."""
_AT_ONCE = 100
"""Messages that are published before others get their turn."""
_TOO_LARGE = 10054
"""JetStream's number for a message that is larger than the stream takes."""


class NATSOptions(NatsOptions, frozen=True):
    serializes: ClassVar[bool] = True

    name: Annotated[str, option("name of the connection, for the server's own lists (empty: pyagent)")] = ""
    subject: Annotated[str, option("subject to publish to, or a template of it")] = "telegraf"
    use_batch_format: Annotated[
        bool, option("a message for a batch, and not for each metric; with a template, one for each subject")
    ] = False
    data_format: Annotated[str, option("format of the messages; it has options of its own")] = "influx"
    jetstream: Annotated[StreamOptions | None, option("write to a stream, which acknowledges what it stores")] = None


class NATS(Output[NATSOptions]):
    def setup(self) -> None:
        options = self.options
        self._subject = Subject(options.subject)
        self._stream_subjects: list[str] = []
        if (stream := options.jetstream) is not None:
            check_name(stream)
            self._stream_subjects = list(stream.subjects)
            if not self._subject.is_template and not any(covers(one, options.subject) for one in stream.subjects):
                self._stream_subjects.append(options.subject)
            if not self._stream_subjects and not stream.disable_stream_creation:
                text = (
                    "cannot make the stream of a subject that is a template: set `subjects` in [outputs.nats.jetstream]"
                )
                raise ConfigError(text, option="jetstream")
        self._connector = NatsConnector(options, self.log, options.name or "pyagent")
        self._identities = Identities()
        self._client: Client | None = None
        self._lost: asyncio.Future[str] | None = None
        self._acks: _Acks | None = None
        self._told = ""

    def destination(self, partition: str | None) -> str:
        return f"{self.options.subject} at {self._connector.where}"

    def queue_format(self) -> QueueFormat:
        if self._subject.is_template:
            return RawMetrics()
        return Serialized(self.serializer, documents=self.options.use_batch_format)

    # The connection -----------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        self._client, self._lost = await self._connector.connect()
        stream = self.options.jetstream
        if stream is None:
            return
        try:
            done = await see_to_stream(self._client, stream, self._stream_subjects)
            self._acks = await _Acks.of(self._client, self._lost)
        except PyagentError:
            raise
        except Exception as error:
            raise PyagentError(
                f"cannot use the stream {stream.name!r} at {self._connector.where}: {nats_words(error)}"
            ) from None
        if done != self._told:
            self._told = done
            self.log.info("%s", done)

    async def close(self) -> None:
        await self._connector.close()

    # One batch ----------------------------------------------------------------------------------------------------------

    async def write(self, batch: Batch) -> None:
        client, lost = self._client, self._lost
        assert client is not None
        assert lost is not None
        refused: dict[int, str] = {}
        messages = list(self._messages(batch, client.max_payload - _HEADERS, refused))
        self._identities.give(messages)
        try:
            if lost.done():
                raise NotConnected(self._loss(lost.result()))
            if self._acks is None or (self.options.jetstream and self.options.jetstream.no_ack):
                await self._publish_core(client, messages)
            else:
                await self._publish_to_stream(client, self._acks, messages, refused)
        except Retry:
            raise
        except Exception as error:
            if not client.is_connected or lost.done():
                raise NotConnected(self._loss(lost.result() if lost.done() else nats_words(error))) from None
            raise Retry(f"cannot publish to {self.destination(None)}: {nats_words(error)}") from None
        self._identities.written()
        if refused:
            reason = f"cannot publish a metric: {next(iter(refused.values()))}"
            indices = tuple(sorted(refused))
            raise (
                Reject(reason, indices) if len(refused) == batch.count else PartialWrite(reason, len(indices), indices)
            )

    def _loss(self, reason: str) -> str:
        return f"cannot publish to {self._connector.where}: the connection is lost: {reason}"

    async def _publish_core(self, client: "Client", messages: Sequence[Message]) -> None:
        for index, message in enumerate(messages):
            await client.publish(message.subject, message.data)
            if index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        await client.flush(int(NATS_TIMEOUT))  # the server has taken all before it answers

    async def _publish_to_stream(
        self, client: "Client", acks: "_Acks", messages: Sequence[Message], refused: dict[int, str]
    ) -> None:
        stream = self.options.jetstream
        assert stream is not None
        acks.begin()
        for index, message in enumerate(messages):
            headers = {"Nats-Msg-Id": message.id, "Nats-Expected-Stream": stream.name}
            await client.publish(message.subject, message.data, reply=acks.expect(index), headers=headers)
            if not stream.async_publish:
                await acks.all_here(NATS_TIMEOUT)
            elif index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        await acks.all_here(stream.async_ack_timeout.seconds)
        for index, error in acks.errors.items():
            if error.get("err_code") != _TOO_LARGE:
                said = error.get("description") or "the server gives no reason"
                raise Retry(f"cannot write to the stream {stream.name!r}: {said}")
            refused.update(dict.fromkeys(messages[index].indices, "it is larger than the stream takes"))

    # Its messages -------------------------------------------------------------------------------------------------------

    def _messages(self, batch: Batch, most: int, refused: dict[int, str]) -> Iterator[Message]:
        """Of no more than `most` bytes each. What can be in none goes into `refused`, by its index."""
        if self._subject.is_template:
            found = self._of_template(batch, refused)
        elif self.options.use_batch_format:
            found = self._of_parts(batch, most)
        else:
            found = self._of_records(batch)
        for message in found:
            if len(message.data) <= most:
                yield message
            else:
                text = f"its message of {len(message.data)} bytes is larger than the server takes"
                refused.update(dict.fromkeys(message.indices, text))

    def _of_records(self, batch: Batch) -> Iterator[Message]:
        start = 0
        for part in batch.parts():
            position = part.position
            for index, record in enumerate(_shifted(part.records, start)):
                place = (position[0], position[1] + index) if position else None
                yield Message(self._subject.text, record, (start + index,), place)
            start += part.count

    def _of_parts(self, batch: Batch, most: int) -> Iterator[Message]:
        start = 0
        for part in batch.parts():
            pieces = [part] if part.position else self._identities.cut(part, self._subject.text)
            for piece in pieces:
                yield from self._of_document(piece, start, most)
                start += piece.count

    def _of_document(self, batch: Batch, start: int, most: int) -> Iterator[Message]:
        data = _shifted(batch.payload, start)
        if len(data) > most and batch.count > 1:
            middle = batch.count // 2
            yield from self._of_document(batch.slice(0, middle), start, most)
            yield from self._of_document(batch.slice(middle, batch.count), start + middle, most)
        elif data:
            yield Message(self._subject.text, data, tuple(range(start, start + batch.count)), batch.position)

    def _of_template(self, batch: Batch, refused: dict[int, str]) -> Iterator[Message]:
        start = 0
        for part in batch.parts():
            subjects: dict[str, list[tuple[int, Metric]]] = {}
            for index, metric in enumerate(part.metrics()):
                subject = self._subject.of(metric)
                if wrong := wrong_with(subject):
                    refused[start + index] = f"{quoted(subject[:100])} is no subject: {wrong}"
                else:
                    subjects.setdefault(subject, []).append((index, metric))
            for subject, found in subjects.items():
                groups = [found] if self.options.use_batch_format else [[one] for one in found]
                for group in groups:
                    yield from self._of_group(subject, group, start, part.position, refused)
            start += part.count

    def _of_group(
        self,
        subject: str,
        group: Sequence[tuple[int, Metric]],
        start: int,
        position: tuple[int, int] | None,
        refused: dict[int, str],
    ) -> Iterator[Message]:
        first = group[0][0]
        try:
            data = self._serialized([metric for _, metric in group])
        except Exception as error:  # it may be anybody's code
            if len(group) == 1:
                refused[start + first] = nats_words(error)
            for one in group if len(group) > 1 else ():
                yield from self._of_group(subject, [one], start, position, refused)
            return
        place = (position[0], position[1] + first) if position else None
        if data:
            yield Message(subject, data, tuple(start + index for index, _ in group), place)

    def _serialized(self, metrics: Sequence[Metric]) -> bytes:
        if self.options.use_batch_format or self.serializer.whole_batch:
            return self.serializer.serialize_batch(metrics)
        return self.serializer.serialize(metrics[0])


def _shifted(make: Callable[[], _T], start: int) -> _T:
    """What a part of the batch makes, `start` metrics from its beginning. Raises Reject with indices in the batch."""
    try:
        return make()
    except Reject as error:
        indices = None if error.indices is None else tuple(start + index for index in error.indices)
        raise Reject(str(error), indices) from None


class _Acks:
    """The stream's answers to what is published; one batch at a time."""

    def __init__(self, inbox: str, lost: "asyncio.Future[str]") -> None:
        self.errors: dict[int, dict[str, Any]] = {}
        """What JetStream says to those that it did not store, by number."""
        self._inbox = inbox
        self._lost = lost
        self._batch = 0
        self._waiting: set[int] = set()
        self._news = asyncio.Event()

    @classmethod
    async def of(cls, client: "Client", lost: "asyncio.Future[str]") -> "_Acks":
        acks = cls(client.new_inbox(), lost)
        await client.subscribe(f"{acks._inbox}.*.*", cb=acks._answered)
        lost.add_done_callback(lambda _: acks._news.set())
        return acks

    def begin(self) -> None:
        """What is still on its way belongs to a batch before."""
        self._batch += 1
        self._waiting, self.errors = set(), {}

    def expect(self, number: int) -> str:
        """The subject to answer to."""
        self._waiting.add(number)
        return f"{self._inbox}.{self._batch}.{number}"

    async def all_here(self, seconds: float) -> None:
        """Return when all have been answered. Raises Retry, also where none comes for so many seconds."""
        while self._waiting:
            if self._lost.done():
                raise NotConnected(f"cannot publish: the connection is lost: {self._lost.result()}")
            before = len(self._waiting)
            self._news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                text = f"cannot publish: {before} messages were not acknowledged within {seconds:g} s"
                raise Retry(f"{text}; they are sent again, and stored once") from None

    async def _answered(self, message: "Msg") -> None:
        *_, batch, number = message.subject.split(".")
        if int(batch) != self._batch or int(number) not in self._waiting:
            return
        self._waiting.discard(int(number))
        if (message.headers or {}).get("Status") == "503":
            self.errors[int(number)] = {"description": "no stream has the subject, or its servers have no leader now"}
        elif error := _error(message.data):
            self.errors[int(number)] = error
        self._news.set()


def _error(answer: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] | None = json.loads(answer).get("error")
    except (ValueError, AttributeError):
        return {"description": "the answer is none of JetStream"}
    return found

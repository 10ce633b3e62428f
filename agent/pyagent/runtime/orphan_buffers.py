"""The queues on disk, those of running outputs and those that no output claims, for the commands that ask about them."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import unquote

from pyagent.api import PyagentError, QueueFull
from pyagent.api.units import counted
from pyagent.buffer import Chunk, QueueName, StoredQueue, stored_queues
from pyagent.buffer.log.reader import LogReader
from pyagent.buffer.log.segments import Recovery, SegmentLog
from pyagent.kit.shown import quoted
from pyagent.lineprotocol import Content
from pyagent.pipeline.executors import result_of
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.pipeline.outputs.sender import Sender
from pyagent.runtime.agent import Agent
from pyagent.runtime.log import component_logger
from pyagent.runtime.routes import StoredBuffer

__all__ = ["StoredBuffers", "owner_in_words"]

T = TypeVar("T")

_log = component_logger("buffer")


class StoredBuffers:
    """What lies in the buffers' folders. What blocks is done in the disk's thread."""

    def __init__(self, agent: Agent, buffer_resources: BufferResources) -> None:
        self._agent = agent
        self._buffer_resources = buffer_resources

    def list(self) -> Sequence[StoredBuffer]:
        senders = {
            sender.disk_writer.directory: (output, sender)
            for output, sender in self._senders()
            if sender.disk_writer is not None
        }
        found = []
        for stored in self._stored():
            output, sender = senders.get(stored.path, (self._claims(stored), None))
            found.append(
                StoredBuffer(
                    name=stored.path.name,
                    output=stored.name.output,
                    partition=stored.name.partition,
                    metrics=len(sender.queue) if sender is not None else None,
                    bytes=stored.bytes,
                    oldest=stored.oldest,
                    used_by=output.plan.label if output is not None else "",
                )
            )
        return found

    def orphans(self) -> Sequence[StoredBuffer]:
        """Those that no output of the plan claims."""
        return [buffer for buffer in self.list() if not buffer.used_by]

    async def adopt(self, name: str, to: str) -> int:
        """Give what is in it to an output that runs; returns the number of metrics. Where that has no room for all, the rest
        stays where it is."""
        stored = self._orphan(name)
        output, sender = self._target(stored, to)
        log, recovery = await self._open(stored)
        moved = 0
        try:
            reader = LogReader(log, log.committed, recovery.absent)
            while (frame := await self._in_thread(reader.read)) is not None:
                lines, skip, _ = frame
                chunk = Chunk(lines, skip)
                if chunk.content is Content.RECORDS and not _serializes_for(output, stored):
                    raise PyagentError(
                        f"cannot give {to} what is in the buffer {name}: it was serialized in another data_format; name an "
                        f"output of that one ({_are(moved)} adopted)"
                    )
                if not sender.queue.can_admit(len(chunk)):
                    raise QueueFull(f"{_are(moved)} adopted, then the queue of {to} is full; adopt the rest later")
                sender.adopt(chunk)
                if sender.disk_writer is not None:
                    await sender.disk_writer.flush_to_log()
                moved += len(chunk)
                end = reader.expected
                await self._in_thread(lambda end=end: log.commit(end))  # type: ignore[misc]  # bound now
            reader.close()
            await self._in_thread(lambda: log.commit(log.next))
        except OSError as error:
            reason = error.strerror or error
            raise PyagentError(
                f"cannot read the buffer {name}: {reason}; {_are(moved)} adopted, the rest stays; try it again later"
            ) from None
        finally:
            await self._in_thread(log.close)
        sender.flush_soon()
        return moved

    async def drop(self, name: str) -> int:
        """Remove it with all that is in it; returns the number of metrics."""
        stored = self._orphan(name)
        log, recovery = await self._open(stored)
        try:
            await self._in_thread(lambda: log.commit(log.next))
        except OSError as error:
            raise PyagentError(f"cannot drop the buffer {name}: {error.strerror or error}") from None
        finally:
            await self._in_thread(log.close)
        return recovery.waiting

    def _claims(self, stored: StoredQueue) -> RunningOutput | None:
        """The output that will have a sender for it, but has none yet."""
        for output in self._agent.outputs:
            name = QueueName(output.plan.queue_id, stored.name.partition)
            possible = output.encoder.partition is not None or name.partition is None
            if possible and output.directory is not None and stored.path == output.directory / name.folder:
                return output
        return None

    def _senders(self) -> Sequence[tuple[RunningOutput, Sender]]:
        return [(output, sender) for output in self._agent.outputs for sender in output.partitions.values()]

    def _stored(self) -> Sequence[StoredQueue]:
        folders = {output.directory for output in self._agent.outputs} | {self._buffer_resources.settings.directory}
        return [stored for folder in sorted(filter(None, folders)) for stored in stored_queues(folder)]

    def _orphan(self, name: str) -> StoredQueue:
        claimed = {buffer.name for buffer in self.list() if buffer.used_by}
        for stored in self._stored():
            if stored.path.name == name:
                if name in claimed:
                    raise PyagentError(f"the buffer {name} is in use; it needs no help")
                return stored
        raise LookupError(f"there is no buffer {name} that holds anything")

    def _target(self, stored: StoredQueue, to: str) -> tuple[RunningOutput, Sender]:
        outputs = self._agent.outputs
        exact = [output for output in outputs if to in (output.plan.queue_id, output.plan.label, output.plan.alias)]
        found = exact or [output for output in outputs if to == output.plan.name]
        if len(found) == 1:
            output = found[0]
            return output, output.sender(stored.name.partition if output.encoder.partition is not None else None)
        if found:
            identities = ", ".join(output.plan.queue_id for output in found)
            raise LookupError(f"several outputs are called {to}: say which by one of {identities}")
        names = ", ".join(output.plan.label for output in self._agent.outputs) or "none"
        raise LookupError(f"no output {to} runs; there are {names}")

    async def _open(self, stored: StoredQueue) -> tuple[SegmentLog, Recovery]:
        log = SegmentLog(stored.path)
        try:
            recovery = await self._in_thread(log.open)
        except OSError as error:
            raise PyagentError(f"cannot open the buffer {stored.path.name}: {error.strerror or error}") from None
        for level, text in recovery.messages(stored.path):
            _log.log(level, "%s", text)
        return log, recovery

    async def _in_thread(self, work: Callable[[], T]) -> T:
        assert self._buffer_resources.executor is not None
        return await result_of(self._buffer_resources.executor, work)


def owner_in_words(output: str, partition: str | None = None) -> str:
    """`the output influxdb_v2, organization 'home', bucket 'misspelt'`, out of the identity of the output that filled a
    queue."""
    whole, _, data_format = output.partition("=")
    data_format, _, ordinal = data_format.partition(":")
    parts = [unquote(part) for part in whole.split(":")]
    if data_format or len(parts) == 1:
        parts.append(ordinal)  # else it is the last of them
    if len(parts) >= 4:
        name, organization, bucket, ordinal = parts[:4]
        named = [("organization", organization), ("bucket", bucket)]
        words = [f"the output {name}", *(f"{what} {quoted(value)}" for what, value in named if value)]
    else:
        words, ordinal = [f"the output with the alias {parts[0]!r}"], parts[1]
    if data_format:
        words.append(f"data_format {unquote(data_format)!r}")
    if partition is not None:
        words.append(f"partition {quoted(partition)}")
    if ordinal.isdecimal() and int(ordinal):
        words.append(f"number {int(ordinal) + 1} of such")
    return ", ".join(words)


def _serializes_for(output: RunningOutput, stored: StoredQueue) -> bool:
    """Whether the output sends records as they lie in the queue: the format is in the names of both."""
    serializer = output.plan.serializer
    return serializer is not None and f"={serializer.data_format}" in stored.name.output


def _are(count: int) -> str:
    return counted(count, "metric is", "metrics are")

"""The hand-over of queues from outputs that end to those that come after them, at a reload and at the end."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.supervision import cancel

__all__ = ["HandoverState", "QueueHandover"]


class HandoverState(StrEnum):
    """What an output may do with its queues.

    | state | its queues on disk | what comes in | left for |
    |---|---|---|---|
    | waiting | those before it use them | is queued, in memory | OWNING: they have left; ENDING: it is replaced as well |
    | owning | it uses them | is queued | ENDING: it is replaced, or the agent stops |
    | ending | as before | nothing | GIVING: its last write ended, or was cancelled, and all before it have left |
    | giving | go to its successor, with all that is not written | nothing | LEFT; FLUSHING: it has none, or its disk hangs |
    | flushing | it uses them: it writes once more, and brings the rest to disk | nothing | LEFT |
    | left | the next ones may use them | nothing | |
    """

    WAITING = "waiting"
    OWNING = "owning"
    ENDING = "ending"
    GIVING = "giving"
    FLUSHING = "flushing"
    LEFT = "left"


@dataclass(slots=True)
class _Member:
    state: HandoverState
    left: asyncio.Event = field(default_factory=asyncio.Event)


class QueueHandover:
    """Says which output may use a queue: outputs of one `queue_id` use it one after the other, in the order in which they came.

    What an output has not written goes to its successor: the first one behind it that runs, writes to the same place, and in
    the same format. `running`: the outputs of the plan. `grace`: seconds for the last writes, for the disk, and for closing.
    """

    def __init__(self, running: Callable[[], Sequence[RunningOutput]], grace: float) -> None:
        self.on_done: Callable[[], None] = lambda: None
        """Called when the last of those that end has left."""
        self._running = running
        self._grace = grace
        self._members: dict[RunningOutput, _Member] = {}
        """The first one first."""

    @property
    def ending(self) -> dict[RunningOutput, HandoverState]:
        """Those that were replaced and may still write or hand over what they have."""
        return {output: one.state for output, one in self._members.items() if one.state not in _STAYING}

    def state(self, output: RunningOutput) -> HandoverState:
        member = self._members.get(output)
        return HandoverState.LEFT if member is None else member.state

    def must_wait(self, queue_id: str) -> bool:
        """Whether a new output of that queue has to leave it alone on disk, until `begin` is called."""
        return any(output.plan.queue_id == queue_id for output in self.ending)

    def join(self, output: RunningOutput) -> None:
        """It runs, or will."""
        waits = self.must_wait(output.plan.queue_id)
        self._members[output] = _Member(HandoverState.WAITING if waits else HandoverState.OWNING)

    def leave(self, output: RunningOutput) -> None:
        """It is replaced, or the agent stops: `end` follows."""
        self._members[output].state = HandoverState.ENDING

    async def end(self, output: RunningOutput, task: asyncio.Task[None]) -> None:
        """End an output whose `run` is `task`; what it had not written goes to its successor, or is written now."""
        member = self._members[output]
        output.end()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.wait([task], timeout=self._grace)
        # The write that was under way and the last one share the time; one that hangs has had all of it.
        waited = loop.time() - began if task.done() else self._grace
        # Cancelled in the middle of a write, its batch goes back to the queue: perhaps twice there, never lost.
        await cancel(task)
        try:
            await self._all_before_left(output)
            member.state = HandoverState.GIVING
            if await self._give(output):
                self._left(output)
            else:
                member.state = HandoverState.FLUSHING
                output.begin()  # where it never came to that: nobody else uses its queues now
            await output.stop(self._grace, waited)
        finally:
            self._left(output)
            if not self.ending:
                self.on_done()

    async def _all_before_left(self, output: RunningOutput) -> None:
        """Until then they may hand theirs over to it, or use it on disk."""
        for before, member in list(self._members.items()):
            if before is output:
                return
            if before.plan.queue_id == output.plan.queue_id and member.state not in _STAYING:
                await member.left.wait()

    async def _give(self, output: RunningOutput) -> bool:
        """Hand over what it has to its successor; False where that cannot be."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(output.quiet(), self._grace)
            # Looked for now: while the last write went on, the one that was made in its place may have been replaced as well.
            if (successor := self._successor(output)) is not None:
                successor.adopt(output)
                return True
        return False

    def _successor(self, output: RunningOutput) -> RunningOutput | None:
        running, is_behind = self._running(), False
        for other in self._members:
            same_queue = other.plan.queue_id == output.plan.queue_id
            if is_behind and same_queue and other in running and other.encoder.format == output.encoder.format:
                return other
            is_behind = is_behind or other is output
        return None

    def _left(self, output: RunningOutput) -> None:
        """It uses its queues no more; those that have waited for it may."""
        if (member := self._members.pop(output, None)) is None:
            return
        member.left.set()
        for other, waiting in self._members.items():
            if waiting.state is HandoverState.WAITING and not self.must_wait(other.plan.queue_id):
                waiting.state = HandoverState.OWNING
                other.begin()


_STAYING = (HandoverState.WAITING, HandoverState.OWNING)

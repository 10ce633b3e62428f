"""Compresses what an output has waiting, beside the main loop."""

import asyncio
from collections.abc import Callable

from pyagent.pipeline.executors import ThreadExecutor

__all__ = ["Compression"]


class Compression:
    """One thread for all queues of an output. It ends with the last work: most of the time there is no backlog."""

    def __init__(self, label: str) -> None:
        self._name = f"{label} compression"
        self._executor: ThreadExecutor | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        """Do the work in the thread, one after the other, then what is `done`; on the spot where no loop runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            work()
            done()
            return
        if self._executor is None:
            self._executor = ThreadExecutor(self._name)
        executor = self._executor

        async def compress() -> None:
            await executor.call(work)
            done()

        task = loop.create_task(compress(), name=self._name)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def abandon(self) -> None:
        """What is under way is not waited for."""
        for task in self._tasks:
            task.cancel()
        if self._executor is not None:
            self._executor.abandon()
            self._executor = None

    async def drained(self) -> None:
        """Returns when nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks and self._executor is not None:
            self._executor.abandon()
            self._executor = None

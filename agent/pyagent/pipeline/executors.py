"""Where a plugin's calls run, so that a plugin that blocks harms nobody but itself.

- `InlineExecutor`: on the main loop, for the engine's own async plugins.
- `ThreadExecutor`: a daemon thread of the plugin's own, for a plain `def`.
- `LoopExecutor`: a daemon thread with a loop of its own, for an external `async def`: even `time.sleep` in it stops nobody
  else. (One loop per plugin and not one for all: external plugins must not be able to stop each other either.)

A thread cannot be cancelled, so these are never joined: `abandon` forgets what is running, and the process may end under it.
"""

import asyncio
import contextlib
import inspect
import os
import queue
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

from pyagent.api.foreign import give_up
from pyagent.config.isolation import Isolation
from pyagent.kit.frames import forget_frames
from pyagent.pipeline.failures import as_own_error

__all__ = ["Executor", "InlineExecutor", "LoopExecutor", "Tell", "ThreadExecutor", "executor_for", "result_of"]

_exit, _getpid = os._exit, os.getpid  # as they were before a plugin could change them
T = TypeVar("T")
Call = Callable[[], Awaitable[None] | None]
Tell = Callable[[BaseException], Exception]
"""Makes of what a call raised, where it raised it, what the caller gets."""


class Executor(Protocol):
    async def call(self, function: Call) -> None:
        """Run `function` to its end; raises what it raises, an exit or an interrupt as RuntimeError."""

    def abandon(self) -> None:
        """Take no further calls; what runs is forgotten."""

    @property
    def busy(self) -> bool:
        """Whether a call has begun in a thread and not ended, though nobody may wait for it any more."""


async def result_of(executor: Executor, work: Callable[[], T]) -> T:
    """What `work`, which is the engine's own code, returns when the executor has run it; raises what it raises. What a plugin's
    code returns stays where it ran: `Executor.call` leaves it there."""
    results: list[T] = []
    await executor.call(lambda: results.append(work()))
    return results[0]


class InlineExecutor:
    """Runs on the loop of the caller."""

    async def call(self, function: Call) -> None:
        result = function()
        if result is not None:
            await result

    def abandon(self) -> None:
        pass

    @property
    def busy(self) -> bool:
        return False


class _Handover:
    """One call's result on its way from a thread to the loop that waits for it."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._process = _getpid()
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()

    def done(self, error: BaseException | None) -> None:
        """Called in the thread. The loop may be gone, if the process is ending without us."""
        if _getpid() != self._process:
            # The plugin has forked, and what it forked comes back: it would stay, with all that the agent has open.
            _exit(0)
        if error is not None and self._tell is not None:
            told = self._tell(error)
            forget_frames(error)
            error = told
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._finish, error)

    def _finish(self, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.future.set_exception(error)
        else:
            wrapped = RuntimeError(f"{type(error).__name__} raised: {error}")
            self.future.set_exception(wrapped)


class ThreadExecutor:
    """A daemon thread, started by the first call, that runs one call after the other."""

    def __init__(self, name: str, tell: Tell | None = None) -> None:
        self._name = name
        self._tell = tell
        self._calls: queue.SimpleQueue[tuple[Call, _Handover] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running = 0

    @property
    def busy(self) -> bool:
        return self._running > 0

    async def call(self, function: Call) -> None:
        handover = _Handover(self._tell)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put((function, handover))
        try:
            await handover.future
        finally:
            del handover  # it leads to the error, whose traceback leads here

    def abandon(self) -> None:
        self._calls.put(None)
        if self.busy and self._thread is not None:
            give_up(self._thread, self._name)

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            function, handover = item
            self._running = 1
            failure: BaseException | None = None
            try:
                result = function()
                if inspect.iscoroutine(result):
                    # `async def stop` of a plugin whose `gather` is a plain `def`.
                    asyncio.run(result)
            except BaseException as error:
                failure = error
            self._running = 0
            handover.done(failure)
            # Keep nothing of the last call alive while waiting for the next.
            result = failure = None
            del item, function, handover


class LoopExecutor:
    """A daemon thread with an event loop of its own."""

    def __init__(self, name: str, tell: Tell | None = None) -> None:
        self._name = name
        self._tell = tell
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0

    @property
    def busy(self) -> bool:
        return self._running > 0

    async def call(self, function: Call) -> None:
        handover = _Handover(self._tell)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._run, args=(self._loop,), name=self._name, daemon=True)
            self._thread.start()
        self._loop.call_soon_threadsafe(self._start, function, handover)
        try:
            await handover.future
        finally:
            del handover  # it leads to the error, whose traceback leads here

    def abandon(self) -> None:
        if self._loop is not None:
            # It has ended already where this is the second time.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._loop.stop)
            if self.busy and self._thread is not None:
                give_up(self._thread, self._name)

    def _start(self, function: Call, handover: _Handover) -> None:
        async def run() -> None:
            failure: BaseException | None = None
            try:
                result = function()
                if result is not None:
                    await result
            except BaseException as error:
                failure = error
            self._running -= 1
            handover.done(failure)
            failure = None  # its frames hold this one

        self._running += 1
        coroutine: Coroutine[Any, Any, None] = run()
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            while True:
                try:
                    loop.run_forever()
                    break
                except (SystemExit, KeyboardInterrupt):
                    continue  # of a task that the plugin has made: asyncio lets these two through
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            # One turn, so that cancelled tasks can end; they are not waited for.
            loop.call_soon(loop.stop)
            loop.run_forever()
            loop.close()


def executor_for(isolation: Isolation, *, name: str, files: tuple[str, ...] | None = None) -> Executor:
    """The place for a plugin's calls. `files`: the code of an external one, whose exceptions are made plain; None for one of
    the engine's own."""
    if isolation == "inline":
        return InlineExecutor()
    tell = None if files is None else partial(as_own_error, files=files)
    return LoopExecutor(name, tell) if isolation == "loop" else ThreadExecutor(name, tell)

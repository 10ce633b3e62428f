"""The one thread of a process that does the work of all writers: an event loop, there while a writer needs it."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["Host", "host"]

T = TypeVar("T")

_JOIN = 5.0
"""Seconds to wait for the thread's end."""
_PAUSE = 1.0
"""Seconds that a fork waits for the thread, which may be in a callback of the program."""


class _Loop(asyncio.SelectorEventLoop):
    """Names of hosts are looked up in a thread of our own. The default executor refuses work once the interpreter ends, which
    is just when a script's points are to be delivered."""

    def __init__(self) -> None:
        super().__init__()
        self._jobs: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._helper: threading.Thread | None = None

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        future: asyncio.Future[Any] = self.create_future()
        if self._helper is None:
            helper = threading.Thread(target=self._help, name="pyagent client names", daemon=True)
            try:
                helper.start()
            except RuntimeError:  # the interpreter ends
                try:
                    future.set_result(func(*args))
                except Exception as error:
                    future.set_exception(error)
                return future
            self._helper = helper
        self._jobs.put((future, lambda: func(*args)))
        return future

    def end_helper(self) -> None:
        self._jobs.put(None)

    def _help(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, work = job
            result, failure = None, None
            try:
                result = work()
            except Exception as error:
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self.call_soon_threadsafe(_answer, future, result, failure)


def _answer(future: "asyncio.Future[Any]", result: Any, failure: Exception | None) -> None:
    if future.done():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)


class Host:
    """`enter` starts the thread where it does not run, `leave` ends it where nobody needs it any more.

    At the end of the interpreter some Pythons (3.12.0 and 3.12.1) start no thread any more, and a system may have none to give
    for a time. Then the loop runs in the thread of whoever waits for something.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal comes in the middle of anything
        self._here = threading.Lock()
        self._users: set[object] = set()
        self._go_on = threading.Event()
        self._runner: threading.Thread | None = None
        """Who runs the loop, where it has no thread of its own."""
        self.loop: _Loop | None = None
        self.thread: threading.Thread | None = None

    def enter(self, user: object) -> asyncio.AbstractEventLoop:
        with self._lock:
            self._users.add(user)
            if self.loop is None:
                self.loop = _Loop()
            self.start_thread()
            return self.loop

    def start_thread(self) -> None:
        """Where it does not run though it is needed: the system may have had no thread to give before."""
        with self._lock:
            if self.loop is None or self.thread is not None or not self._here.acquire(blocking=False):
                return
            try:
                thread = threading.Thread(
                    target=_run, args=(self.loop, self._users), name="pyagent client", daemon=True
                )
                with contextlib.suppress(RuntimeError):
                    thread.start()
                    self.thread = thread
            finally:
                self._here.release()

    def stay(self) -> None:
        """The thread, if it runs, does not end any more: something may be written once more."""
        with self._lock:
            self._users.add("the end")

    def leave(self, user: object) -> None:
        with self._lock:
            self._users.discard(user)
            if self._users or self.loop is None:
                return
            loop, thread = self.loop, self.thread
            if thread is None and loop.is_running():
                return
            self.loop = self.thread = None
            if thread is None:
                _end(loop)
                return
        loop.call_soon_threadsafe(loop.stop)
        if thread is not threading.current_thread():
            thread.join(_JOIN)

    def pause(self) -> None:
        """Before a fork: the thread stops between two callbacks, where it holds no lock and imports nothing."""
        loop, thread = self.loop, self.thread
        if loop is None or thread is None or thread is threading.current_thread():
            return
        paused, go_on = threading.Event(), threading.Event()
        self._go_on = go_on

        def stop() -> None:
            paused.set()
            go_on.wait()

        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(stop)
            paused.wait(_PAUSE)

    def resume(self) -> None:
        """After the fork, in the parent."""
        self._go_on.set()

    def forget(self) -> None:
        """In a forked child: the thread is the parent's."""
        self.__init__()  # type: ignore[misc]

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run it on the loop. Raises RuntimeError where there is none."""
        if self.loop is None:
            work.close()
            raise RuntimeError("the thread of the writers has ended")
        self.start_thread()
        with self._here if self.thread is None else contextlib.nullcontext():
            if self.thread is not None:
                return asyncio.run_coroutine_threadsafe(work, self.loop)
            future: Future[T] = Future()
            self._runner = threading.current_thread()
            try:
                future.set_result(self.loop.run_until_complete(work))
            except Exception as error:
                future.set_exception(error)
            finally:
                self._runner = None
        return future

    def is_here(self) -> bool:
        """Whether the loop runs in this thread: it must not wait for what the loop is to do."""
        return threading.current_thread() in (self.thread, self._runner)


def _run(loop: _Loop, users: set[object]) -> None:
    # What a forked child must not touch (connections, files, the loop) is kept alive by this frame, which never ends there.
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        _end(loop)
        users.clear()


def _end(loop: _Loop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.end_helper()
    loop.close()


host = Host()

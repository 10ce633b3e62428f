"""How a process ends, and how it divides: what writers hold is delivered, kept or counted, whatever the user forgot.

Two steps at the end of the interpreter. When the main thread has ended, before other threads are waited for, all is written.
When these have ended, too, what they wrote last is written, and what cannot be is kept on disk or told. Neither needs an
executor, which the interpreter closes before.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Protocol

from pyagent.buffer.log.files import Files
from pyagent.client.host import host

if TYPE_CHECKING:
    from pyagent.client.engine import Engine

__all__ = ["ended", "final", "finish_all", "forked", "handle_sigterm", "held_up", "known", "orphaned", "started"]

_SIGTERM_MOST = 8.0
"""Seconds to deliver."""
_TERMINATION_MOST = 9.5
"""Seconds until SIGTERM ends the process, whatever hangs: `docker stop` kills after ten."""


class Writing(Protocol):
    """A writer, as far as a fork concerns it."""

    def begin(self) -> None:
        """Start anew, with nothing of the parent's."""


known: weakref.WeakSet[Writing] = weakref.WeakSet()
"""All writers: in a forked child each begins anew."""
_engines: "set[Engine]" = set()
"""Those that run. They are held here, as their writer may be gone."""
_final = False
_main_over = 0.0
"""Monotonic seconds when the main thread had ended and all was tried; 0: not yet."""


def started(engine: "Engine") -> None:
    _engines.add(engine)


def ended(engine: "Engine") -> None:
    _engines.discard(engine)


def orphaned(engine: "Engine", seconds: float | None = None) -> None:
    """Its writer is gone, and nobody waits for its end, which may take some seconds (None: `close_timeout`)."""

    def over(_: object) -> None:
        ended(engine)
        host.leave(engine)

    if engine in _engines and host.loop is not None:
        with contextlib.suppress(RuntimeError):
            most = engine.settings.close_timeout if seconds is None else seconds
            host.submit(engine.close(time.monotonic() + most)).add_done_callback(over)


def held_up(seconds: float) -> bool:
    """Whether the program has been over for so long, but for threads that wait."""
    return _main_over > 0 and time.monotonic() - _main_over > seconds


def final() -> bool:
    """The end of the interpreter has come: what is written now is delivered at once."""
    return _final


def finish_all(most: float | None = None) -> None:
    """Deliver what all writers hold, else keep or tell it."""
    host.stay()
    futures: list[Future[Any]] = []
    now = time.monotonic()
    longest = 0.0
    for engine in list(_engines):
        # What was tried before need not be waited for once more.
        tried = engine.seen == engine.taken + len(engine.intake)
        seconds = 0.0 if tried else min(engine.settings.close_timeout, most or engine.settings.close_timeout)
        longest = max(longest, seconds)
        with contextlib.suppress(RuntimeError):
            futures.append(host.submit(engine.close(now + seconds)))
        ended(engine)
    wait(futures, _TERMINATION_MOST if most else longest + 10)


def _main_thread_ended() -> None:
    """Others may write still."""
    global _main_over
    host.stay()
    if _is_forked_worker():
        _interpreter_ends()  # multiprocessing ends it right after this
        return
    futures: list[Future[Any]] = []
    now = time.monotonic()
    for engine in list(_engines):
        with contextlib.suppress(RuntimeError):
            futures.append(host.submit(engine.flush(now + engine.settings.close_timeout)))
    if futures:
        wait(futures, max(engine.settings.close_timeout for engine in _engines) + 10)
    _main_over = time.monotonic()
    for engine in list(_engines):
        engine.seen = engine.taken + len(engine.intake)


def _interpreter_ends() -> None:
    global _final
    _final = True
    finish_all()


def _is_forked_worker() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def handle_sigterm() -> None:
    """Where nobody else handles it, SIGTERM ends the process as before, after the points are delivered."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it at once
    try:
        finish_all(_SIGTERM_MOST)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


def forked() -> None:
    """In the child: the parent's points are the parent's; its thread, connections and files are not touched."""
    global _final, _main_over
    _final, _main_over = False, 0.0
    Files.let_go()
    _engines.clear()
    host.forget()
    for writer in list(known):
        writer.begin()


threading._register_atexit(_main_thread_ended)  # type: ignore[attr-defined]
atexit.register(_interpreter_ends)

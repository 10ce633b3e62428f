"""The same work for the same things at each gather, in threads, where one that takes long must not make the others late.

    def setup(self) -> None:
        self._each = EachInThreads(at_once=8)

    def gather(self, acc: Accumulator) -> None:
        self._each.run({name: partial(self._check, name, acc) for name in self._names})

A gather ends when all are done, and the next begins no sooner: a program that hangs for a minute would make all of them wait
so long. So one that took long the last time runs beside the gathers, and is not started again before it has ended.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping

from pyagent.api.errors import PyagentError
from pyagent.kit.each import AT_ONCE, for_each_in_threads, joined_failures
from pyagent.kit.frames import forget_frames

__all__ = ["EachInThreads"]

LONG = 5.0
"""Seconds."""


class EachInThreads:
    """Of one input. What is late is added when it is there, and its failures are those of the next gather."""

    def __init__(self, *, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic) -> None:
        """`at_once`: as many may be waited for, and as many run beside."""
        self._at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        self._slow: set[Hashable] = set()
        self._beside: set[Hashable] = set()
        """Slow ones at work."""
        self._failures: dict[Hashable, Exception] = {}
        """Of the slow ones, as long as they are not over: the log would tell of them anew with each gather."""

    def run(self, things: Mapping[Hashable, Callable[[], None]]) -> None:
        """Raises as `for_each_in_threads` does, also for what is late."""
        waited = {}
        for key, work in things.items():
            with self._lock:
                if key in self._beside:
                    continue
                aside = key in self._slow and len(self._beside) < self._at_once
                if aside:
                    self._beside.add(key)
                else:
                    self._failures.pop(key, None)
            if not aside or not self._start(key, work):
                waited[key] = work
        failures: list[Exception] = []
        try:
            for_each_in_threads(waited, lambda key: self._timed(key, waited[key]), at_once=self._at_once)
        except Exception as error:
            failures.append(error)
        with self._lock:
            failures += self._failures.values()
        if failures:
            raise joined_failures(failures)

    def _start(self, key: Hashable, work: Callable[[], None]) -> bool:
        def beside() -> None:
            try:
                self._timed(key, work)
            except Exception:
                pass  # it is told by the next gather
            finally:
                with self._lock:
                    self._beside.discard(key)

        try:
            threading.Thread(target=beside, name="pyagent-late", daemon=True).start()
        except RuntimeError:  # there can be no more
            with self._lock:
                self._beside.discard(key)
            return False
        return True

    def _timed(self, key: Hashable, work: Callable[[], None]) -> None:
        begun, failure = self._clock(), None
        try:
            work()
        except Exception as error:
            failure = error
            raise
        finally:
            with self._lock:
                slow = self._clock() - begun > LONG
                (self._slow.add if slow else self._slow.discard)(key)
                self._failures.pop(key, None)
                if failure is not None and (slow or key in self._beside):
                    text = str(forget_frames(failure)) if isinstance(failure, PyagentError) else repr(failure)
                    self._failures[key] = PyagentError(text)
                failure = None  # its frames hold this one

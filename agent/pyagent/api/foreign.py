"""What comes from code that is not the engine's: its texts and its exceptions made plain, so that none of its own methods runs
later, where others would have to suffer for it. Call these where that code runs."""

import contextlib
import gc
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TypeVar

from pyagent.api.errors import PyagentError

__all__ = [
    "call_with_deadline",
    "describe",
    "file_of",
    "give_up",
    "given_up",
    "let_go",
    "message_of",
    "plain_text",
    "wait_for_ends",
]

T = TypeVar("T")

_MOST = 10_000
"""Characters of a message."""
_LONGEST_HOLD = 60.0
"""Seconds for which an object is held that is not used any more."""


_given_up: dict[threading.Thread, tuple[str, float]] = {}


def give_up(thread: threading.Thread, what: str) -> None:
    """Nobody waits for what this thread does any more. It cannot be ended, only watched: see `given_up`."""
    _forget_ended()
    _given_up.setdefault(thread, (what, time.monotonic()))


def given_up() -> list[tuple[str, float]]:
    """Threads that were given up and still work: what they do, and for how many seconds since."""
    _forget_ended()
    now = time.monotonic()
    return [(what, now - since) for what, since in tuple(_given_up.values())]


def _forget_ended() -> None:
    for thread in tuple(_given_up):
        if not thread.is_alive():
            _given_up.pop(thread, None)


def call_with_deadline(function: Callable[[], T], seconds: float, what: str = "call") -> T:
    """Call `function` in a daemon thread; TimeoutError, and the thread left to itself, where it takes too long. `what` it
    does: see `given_up`."""
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="pyagent-import", daemon=True)
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not result:
        give_up(thread, what)
        raise TimeoutError
    return result[0]


_ends: set[threading.Thread] = set()


def let_go(thing: object, what: str) -> None:
    """Nobody needs this object any more, which is anybody's: whatever it does as it is freed, it does in a thread of its own,
    and not where the last name of it happens to be forgotten. `what` it is: see `given_up`."""
    thread = threading.Thread(target=_let_go, args=([thing], what), name=what, daemon=True)
    _ends.add(thread)
    thread.start()


def wait_for_ends(seconds: float) -> None:
    """Wait, at most so long, until all that was let go is freed."""
    deadline = time.monotonic() + seconds
    for thread in tuple(_ends):
        thread.join(max(deadline - time.monotonic(), 0.0))


def _let_go(holder: list[object], what: str) -> None:
    thing, other = holder.pop(), object()
    alone = sys.getrefcount(other)
    held, pause = time.monotonic(), 0.001
    while sys.getrefcount(thing) > alone and time.monotonic() < held + _LONGEST_HOLD:
        time.sleep(pause)
        pause = min(2 * pause, 1.0)
    try:
        reference = weakref.ref(thing)
    except TypeError:  # of a class that allows none
        reference = None
    thread = threading.current_thread()
    give_up(thread, f"the end of {what} (__del__)")
    try:
        del thing
        if reference is not None and reference() is not None:
            gc.collect()  # it refers to itself: the next collection would be anywhere
    finally:
        _given_up.pop(thread, None)
        _ends.discard(thread)


def plain_text(value: object) -> str:
    """`str(value)` as a str and no subclass of it."""
    if type(value) is str:
        return value
    return str.__str__(value if isinstance(value, str) else str(value))


def file_of(kind: type) -> str:
    """The file that a class is from; for a package its folder, with a slash at the end. Empty where there is none."""
    name = type.__getattribute__(kind, "__module__")
    module = sys.modules.get(name) if type(name) is str else None
    file = getattr(module, "__file__", None) if isinstance(module, ModuleType) else None
    if type(file) is not str:
        return ""
    return file.removesuffix("__init__.py")


def describe(error: BaseException, files: Iterable[str] = ()) -> str:
    """An exception as one line: `KeyError: 'x' (load.py:10)`, where line 10 is the last one of `files` on its way. What the
    contract of plugins provides for, a PyagentError, is its message alone."""
    message = message_of(error)
    if issubclass(type(error), PyagentError):  # isinstance asks the exception itself, too
        return message or type(error).__name__
    kind = plain_text(type.__getattribute__(type(error), "__name__"))
    place = _place(error, tuple(filter(None, files)))
    return (f"{kind}: {message}" if message else kind) + (f" ({place})" if place else "")


def message_of(error: BaseException) -> str:
    """Its text as one line, whatever its own methods do."""
    try:
        text = plain_text(error)[:_MOST]
    except BaseException:  # its `__str__` is anybody's code
        return "(it cannot be shown)"
    return " ".join(text.split())


def _place(error: BaseException, files: tuple[str, ...]) -> str:
    if not files:
        return ""
    place = ""
    with contextlib.suppress(Exception):
        for frame, line in traceback.walk_tb(error.__traceback__):
            name = frame.f_code.co_filename
            if any(name == file or (file.endswith("/") and name.startswith(file)) for file in files):
                start = name.removesuffix("/__init__.py").rindex("/") + 1 if "/" in name else 0
                place = f"{name[start:]}:{line}"
    return place

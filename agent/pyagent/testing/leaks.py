"""What a test has left behind: threads, tasks, file descriptors and child processes."""

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Holdings", "held", "left_over"]


class Holdings(NamedTuple):
    threads: frozenset[threading.Thread]
    tasks: frozenset["asyncio.Task[object]"]
    descriptors: frozenset[tuple[str, str]]
    """Number and what it is: a number alone may be another file's by now."""
    children: frozenset[str]


def held() -> Holdings:
    """What this process holds now. Linux only."""
    try:
        tasks = frozenset(task for task in asyncio.all_tasks() if task is not asyncio.current_task())
    except RuntimeError:  # no loop runs
        tasks = frozenset()
    return Holdings(frozenset(threading.enumerate()), tasks, frozenset(_descriptors()), frozenset(_children()))


def left_over(before: Holdings, *, patience: float = 10.0) -> list[str]:
    """What is held now and was not before, one text each. A thread that ends and a child that is collected have `patience`
    seconds to be gone."""
    deadline = time.monotonic() + patience
    while (found := _more(before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _more(before: Holdings) -> list[str]:
    now = held()
    kinds: tuple[tuple[str, Iterable[object]], ...] = (
        ("thread", (thread.name for thread in now.threads - before.threads if not _is_of_a_pool(thread))),
        ("task", (task.get_name() for task in now.tasks - before.tasks if not task.done())),
        ("descriptor", (name for _, name in now.descriptors - before.descriptors)),
        ("child process", now.children - before.children),
    )
    return [
        f"{kind} {name}" + (f" ({count} times)" if count > 1 else "")
        for kind, names in kinds
        for name, count in Counter(names).items()
    ]


def _is_of_a_pool(thread: threading.Thread) -> bool:
    """One of asyncio's own, which the loop ends, or of a pool of the process that waits for work."""
    return thread.name.startswith("asyncio_")


def _descriptors() -> Iterable[tuple[str, str]]:
    for name in os.listdir("/proc/self/fd"):
        try:
            yield name, os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # that of this very list


def _children() -> Iterable[str]:
    for task in Path("/proc/self/task").iterdir():
        try:
            yield from (task / "children").read_text().split()
        except OSError:
            continue

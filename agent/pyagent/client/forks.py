"""A fork waits until no thread of the writers is in the middle of anything that the child needs.

A lock that another thread holds at a fork is held in the child for ever: also the one of a module that it is about to import.
"""

import contextlib
import logging  # noqa: F401  # hooks before a fork run in reverse order: its locks are to be taken after ours
import os
import sys
import threading
from typing import Any

__all__ = ["importing"]

_PATIENCE = 10.0
"""Seconds that a fork waits at most."""
importing = threading.RLock()
"""Held while a part of the client is imported that is not needed before, and while a writer starts."""


def _part(name: str) -> Any:
    """A module of the client that was imported whole; None: not yet. Imports nothing."""
    return sys.modules.get(f"pyagent.client.{name}")


def _before() -> None:
    importing.acquire(timeout=_PATIENCE)
    if (part := _part("host")) is not None:
        part.host.pause()


def _in_parent() -> None:
    if (part := _part("host")) is not None:
        part.host.resume()
    _release()


def _in_child() -> None:
    try:
        if (part := _part("endings")) is not None:
            part.forked()
    finally:
        _release()


def _release() -> None:
    with contextlib.suppress(RuntimeError):  # it was not got in time
        importing.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)

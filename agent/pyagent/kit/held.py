"""What the answers that are read at one time may hold in all: fifty of 64 MiB each are more than a host has to spare.

`for_each` counts for each of its things what is read in its work, until that has ended. Where there is no room for more, a
reader waits, and takes nothing from its socket; the one that began to read first never does, so that one always gets on.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["MOST_HELD", "HeldTogether", "hold"]

MOST_HELD = 256 << 20
"""Bytes, give or take those of the first."""


class HeldTogether:
    """By the things of one `for_each`."""

    def __init__(self) -> None:
        self._held: dict[object, int] = {}
        self._changed = asyncio.Event()

    @contextmanager
    def by_one(self) -> Iterator[None]:
        """The work on one of them, in a task."""
        one = object()
        token = _current.set((self, one))
        try:
            yield
        finally:
            _current.reset(token)
            if self._held.pop(one, 0):
                changed, self._changed = self._changed, asyncio.Event()
                changed.set()

    async def hold(self, one: object, size: int) -> bool:
        waited = False
        while self._held and next(iter(self._held)) is not one and sum(self._held.values()) + size > MOST_HELD:
            waited = True
            await self._changed.wait()
        self._held[one] = self._held.get(one, 0) + size
        return waited


_current: ContextVar[tuple[HeldTogether, object] | None] = ContextVar("held", default=None)


async def hold(size: int) -> bool:
    """Counts so many more bytes of an answer, when there is room for them; whether it had to wait. Outside of a `for_each`
    nothing is counted."""
    current = _current.get()
    return current is not None and await current[0].hold(current[1], size)

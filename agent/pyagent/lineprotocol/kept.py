"""What the reference remembers of the lines that it has seen, bounded in bytes: a stranger chooses how long they are."""

from typing import TypeVar

__all__ = ["HEADS_BYTES", "KEYS_BYTES", "SHORT", "Kept"]

K = TypeVar("K")
V = TypeVar("V")

HEADS_BYTES, KEYS_BYTES = 4 << 20, 1 << 19
"""For measurements with their tags, about 4,000 of 4 tags, as many as the native core keeps; for field keys."""
SHORT = 1024
"""Longer text is not kept: it would push out many others."""


class Kept(dict[K, V]):
    """Emptied when its entries would take more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0

    def keep(self, key: K, value: V, size: int) -> None:
        """`size`: what the two take in memory, bytes, the dict's own share included; an estimate will do."""
        self._bytes += size
        if self._bytes > self._limit:
            self.clear()
            self._bytes = size
        self[key] = value

"""Where points wait that were just given, encoded: the reference, and the door to the native one.

`write()` puts them in from any thread, the thread of the client takes them out. Nothing here waits or locks: each method is
one step, also for a signal that comes in the middle of the program.
"""

import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from pyagent.lineprotocol.results import Encoded

__all__ = ["Intake", "native", "native_write"]


class Reference:
    """Bounded by the room that `set_room` gives, in points and in bytes of text."""

    def __init__(
        self,
        integer: type[int],
        *,
        schemas: Mapping[str | None, Mapping[str, int]] | None = None,
        tags: Mapping[str, str] | None = None,
        batch: int = 0,
        journal: bool = False,
        unit: int,
        earliest: int,
        latest: int,
        ahead: int,
    ) -> None:
        """`integer`: the type of values that are integers; a bare time counts `unit` nanoseconds, and lies between `earliest`
        and `latest`; a point more than `ahead` nanoseconds in the future is out of the ordinary. For the native
        `write`: the `tags` of all points, the `batch` of points that wakes the engine, and whether a `journal` is kept."""
        self._parts: deque[Encoded] = deque()
        self._count = self.size = self._points = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def set_room(self, points: int, size: int) -> None:
        """So many points, and bytes, may wait."""
        self._points, self._bytes = points, size

    def allow_ahead(self) -> None:
        """Points in the future are no news any more."""

    def add(self, name: object, fields: object, tags: object = None, time: object = None) -> int:
        """Take a point; returns how many wait. 0: it is out of the ordinary, or not to be taken; -1: there is no room."""
        return 0 if self._has_room(1, 0) else -1

    def add_line(self, name: object, fields: object, tags: object = None, time: object = None) -> tuple[int, bytes]:
        """The same, with the line."""
        return self.add(name, fields, tags, time), b""

    def append(self, encoded: Encoded) -> int:
        """Take encoded points; returns how many wait, or -1 where there is no room. An empty one takes any number."""
        if not self._has_room(encoded.count, len(encoded.data)):
            return -1
        self._parts.append(encoded)
        self._count += encoded.count
        self.size += len(encoded.data)
        return self._count

    def drain(self) -> Encoded:
        """Take all out."""
        parts: list[Encoded] = []
        with suppress(IndexError):
            while True:
                parts.append(self._parts.popleft())
        rest = list(self._parts)  # counted anew: threads may have come between each other
        self._count, self.size = sum(part.count for part in rest), sum(len(part.data) for part in rest)
        data = b"".join(part.data for part in parts)
        lengths = [
            end - start
            for part in parts
            for start, end in zip([0, *part.ends[:-1]], part.ends, strict=True)
            if part.count
        ]
        counted = [part for part in parts if part.count]
        oldest = min((part.oldest for part in counted), default=0)
        newest = max((part.newest for part in counted), default=0)
        return Encoded.of(data, lengths, oldest, newest)

    def _has_room(self, count: int, size: int) -> bool:
        if not self._points or not self._bytes:
            return False
        return not self._count or (self._count + count <= self._points and self.size + size <= self._bytes)


native = False
native_write: Callable[..., None] | None = None
"""Writer.write in one native call."""
if not TYPE_CHECKING and os.environ.get("PYAGENT_NATIVE") != "0":
    with suppress(ImportError):
        from pyagent.lineprotocol.native._intake import Intake
        from pyagent.lineprotocol.native._intake import write as native_write

        native = True
if TYPE_CHECKING or not native:
    Intake = Reference

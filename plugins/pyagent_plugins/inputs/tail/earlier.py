"""What is known from before this start: which patterns were looked at, and files that may have another name by now."""

from collections.abc import Collection, Sequence
from contextlib import suppress

from pyagent.kit.positions import Positions
from pyagent_plugins.inputs.tail.follower import Opened, digest_of

__all__ = ["BEFORE", "Earlier"]

BEFORE = "\0before"
"""Behind the path under which the positions of files are kept that had this name before."""
_MOST_PATTERNS = 10_000
"""Of all inputs, those of former configurations as well; the oldest go."""


class Earlier:
    """A pattern has a record when all that it matched has been begun once: a file without a position came later then, and is
    new from its first line on."""

    def __init__(self, positions: Positions) -> None:
        self._positions = positions
        self._patterns = Positions("tail-patterns", "")
        self._known: dict[str, bool] = {}
        self._unkept: set[str] = set()
        self._files: dict[tuple[int, int], list[tuple[bool, int, int, str]]] | None = None
        """By device and inode: whether it is of this input, the offset, and of how many bytes which digest is known."""

    def read(self, patterns: Sequence[str]) -> None:
        """Before anything is begun; nothing, where it has been read. Raises PositionsUnreadable."""
        if self._files is not None:
            return
        known = {
            one: self._patterns.get(one) is not None or one in self._patterns.damaged for one in map(str, patterns)
        }
        files: dict[tuple[int, int], list[tuple[bool, int, int, str]]] = {}
        for key, record, own in self._positions.all():
            with suppress(LookupError, TypeError, ValueError):  # of another version
                for one in record["files"] if key.endswith(BEFORE) else (record,):
                    found = own, int(one["offset"]), int(one["head"][0]), str(one["head"][1])
                    files.setdefault((one["device"], one["inode"]), []).append(found)
        self._known, self._unkept, self._files = known, set(known), files

    def knows(self, patterns: Collection[str]) -> bool:
        """Whether one of them was looked at before."""
        return any(self._known.get(str(pattern)) for pattern in patterns)

    def offset(self, opened: Opened, size: int) -> int | None:
        """How far a file was read under whatever name; None: it was not."""
        best: tuple[bool, int] | None = None
        for own, offset, length, begin in (self._files or {}).get(opened.identity, ()):
            # Without its begin it could be another file that has its number by now.
            if length > 0 and offset <= size and digest_of(opened.descriptor, length) == begin:
                best = max(best or (False, 0), (own, offset))
        return None if best is None else best[1]

    def looked_at(self, patterns: Collection[str]) -> str | None:
        """All that they match has been begun. An error, where that could not be kept for the next start."""
        self._files = {}
        unkept = self._unkept.intersection(map(str, patterns))
        if not unkept:
            return None
        for pattern in sorted(unkept):
            if (error := self._patterns.put(pattern, {"looked": True})) is not None:
                return error
            self._unkept.discard(pattern)
        self._patterns.keep_newest(max(_MOST_PATTERNS, 2 * len(self._known)))
        return None

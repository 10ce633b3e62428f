"""Sorted rows. Where rows are equal, their order is that of InfluxDB's engine, which merges what comes from each series."""

from typing import Any

from pyagent.sandbox.flux.tables import Stream, Table


class Sorted(Stream):
    """Tables sorted by columns; `limited` sorts and cuts in one go, as the engine does."""

    def __init__(self, source: Stream, columns: list[str], desc: bool) -> None:
        super().__init__()
        self._tables = None
        self.source, self.columns, self.desc = source, columns, desc
        self.within(source.bounds)

    def load(self) -> list[Table]:
        return [_sorted(table, self.columns, self.desc) for table in self.source.tables]

    def limited(self, n: int) -> Stream:
        """The first n rows of each table; a table without rows is left out, a negative n is no limit."""
        if n == 0:
            return Stream().within(self.bounds)
        return self.source.each(lambda table: _limited(table, self.columns, self.desc, n))


class _Chunk:
    """Rows in order, and the one that comes next."""

    def __init__(self, positions: list[int], keys: list[Any]) -> None:
        self.positions = positions
        self.keys = keys
        self.at = 0

    @property
    def key(self) -> Any:
        return self.keys[self.positions[self.at]]


def _keys(table: Table, columns: list[str], desc: bool) -> list[Any]:
    """What rows are compared by: null comes before any value, in both directions."""
    by = [table.data[name] for name in columns if name in table.types and name not in table.key]
    if len(by) == 1 and None not in by[0]:
        return by[0]
    return [
        tuple(((value is None) == desc, 0 if value is None else value) for value in row)
        for row in zip(*by, strict=True)
    ]


def _sorted(table: Table, columns: list[str], desc: bool) -> Table:
    keys = _keys(table, columns, desc)
    if not keys:
        return table
    return table.take(_merged(_chunks(table, keys, desc), desc, -1))


def _chunks(table: Table, keys: list[Any], desc: bool) -> list[_Chunk]:
    made, start = [], 0
    for size in table.chunks or [table.size]:
        if size:
            made.append(_Chunk(sorted(range(start, start + size), key=keys.__getitem__, reverse=desc), keys))
        start += size
    return made


def _limited(table: Table, columns: list[str], desc: bool, n: int) -> Table | None:
    if not table.size:
        return None
    keys = _keys(table, columns, desc)
    if not keys:
        return table.slice(0, n if n > 0 else None)
    kept: list[int] = []
    for chunk in _chunks(table, keys, desc):
        before = [_Chunk(kept, keys)] if kept else []
        kept = _merged([*before, chunk], desc, n)
    return table.take(kept)


def _merged(heap: list[_Chunk], desc: bool, limit: int) -> list[int]:
    """The positions of all chunks' rows in order, by a binary heap that works as Go's does."""
    if len(heap) == 1:
        return heap[0].positions if limit < 0 else heap[0].positions[:limit]

    def less(i: int, j: int) -> bool:
        a, b = heap[i].key, heap[j].key
        return bool(b < a if desc else a < b)

    def down(i: int, size: int) -> None:
        while (child := 2 * i + 1) < size:
            if child + 1 < size and less(child + 1, child):
                child += 1
            if not less(child, i):
                return
            heap[i], heap[child] = heap[child], heap[i]
            i = child

    for i in range(len(heap) // 2 - 1, -1, -1):
        down(i, len(heap))
    made: list[int] = []
    while heap and len(made) != limit:
        first = heap[0]
        made.append(first.positions[first.at])
        first.at += 1
        if first.at < len(first.positions):
            down(0, len(heap))
        else:
            heap[0], heap[-1] = heap[-1], heap[0]
            heap.pop()
            down(0, len(heap))
    return made

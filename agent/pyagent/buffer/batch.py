"""Encoded metrics on their way: what one append gave (a chunk), and what one write takes (a batch)."""

from array import array
from collections.abc import Sequence
from typing import Protocol

try:
    from isal import isal_zlib as _deflate

    _LEVEL = 1  # of ISA-L's 0 to 3: about zlib's ratio at a tenth of its cost
except ImportError:  # no wheel for this machine: slower, the same format
    import zlib as _deflate  # type: ignore[no-redef]

    _LEVEL = 1

__all__ = ["Batch", "Chunk", "Lines", "gzip"]

_GZIP_WBITS = 31


def gzip(data: bytes) -> bytes:
    """`data` as one gzip member."""
    compressed: bytes = _deflate.compress(data, _LEVEL, _GZIP_WBITS)
    return compressed


class Lines(Protocol):
    """What a serializer gives for a list of metrics."""

    @property
    def data(self) -> bytes: ...
    @property
    def ends(self) -> "array[int]": ...
    @property
    def count(self) -> int: ...
    @property
    def oldest(self) -> int: ...
    @property
    def newest(self) -> int: ...


class Chunk:
    """A run of metrics, `start` to `stop`, of what one append gave. Cutting it copies nothing.

    `kept`: somebody was told that these are safe; they are never evicted to make room.
    """

    __slots__ = ("kept", "lines", "start", "stop")

    def __init__(self, lines: Lines, start: int = 0, stop: int | None = None, *, kept: bool = False) -> None:
        self.lines = lines
        self.start = start
        self.stop = lines.count if stop is None else stop
        self.kept = kept

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def size(self) -> int:
        """Bytes of encoded text."""
        first, last = self._span()
        return last - first

    def cut(self, start: int, stop: int) -> "Chunk":
        """The part from index `start` up to, not including, `stop`, counted within this chunk."""
        return Chunk(self.lines, self.start + start, self.start + stop, kept=self.kept)

    def text(self) -> memoryview:
        first, last = self._span()
        return memoryview(self.lines.data)[first:last]

    def _span(self) -> tuple[int, int]:
        ends = self.lines.ends
        return (ends[self.start - 1] if self.start else 0), (ends[self.stop - 1] if self.stop else 0)


class Batch:
    """`pyagent.api.Batch` over chunks. Its times are the chunks': bounds, exact where no chunk was cut."""

    __slots__ = ("_payloads", "chunks", "count")

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = tuple(chunks)
        self.count = sum(map(len, self.chunks))
        self._payloads: dict[str, bytes] = {}

    @property
    def oldest(self) -> int:
        return min((chunk.lines.oldest for chunk in self.chunks), default=0)

    @property
    def newest(self) -> int:
        return max((chunk.lines.newest for chunk in self.chunks), default=0)

    @property
    def size(self) -> int:
        """Bytes of encoded text."""
        return sum(chunk.size for chunk in self.chunks)

    def payload(self, encoding: str = "identity") -> bytes:
        """All lines as one body; kept, so that a retry of this batch joins and compresses nothing again."""
        body = self._payloads.get(encoding)
        if body is None:
            body = b"".join(chunk.text() for chunk in self.chunks)
            if encoding == "gzip":
                body = gzip(body)
            elif encoding != "identity":
                raise ValueError(f"unknown content encoding {encoding!r}")
            self._payloads[encoding] = body
        return body

    def lines(self, start: int, stop: int) -> "Batch":
        """The metrics from index `start` up to, not including, `stop`."""
        chunks, position = [], 0
        for chunk in self.chunks:
            first, last = max(start - position, 0), min(stop - position, len(chunk))
            if first < last:
                chunks.append(chunk.cut(first, last))
            position += len(chunk)
        return Batch(chunks)

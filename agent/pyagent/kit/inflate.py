"""Gzip bodies, inflated piece by piece up to a bound."""

from collections.abc import Iterator
from typing import Any, cast

try:
    from isal import isal_zlib as _inflate
except ImportError:  # no wheel for this machine: slower, the same format
    import zlib as _inflate  # type: ignore[no-redef]

from pyagent.api.errors import TooMuch

__all__ = ["Inflater"]

_GZIP_WBITS = 31
_IN, _OUT = 16 * 2**10, 256 * 2**10
"""Bytes: how much is given to the inflater at a time, which bounds what is copied where many members are joined; and how
much it gives at a time, which bounds how long it works."""
_MAGIC = b"\x1f\x8b"
_Error = cast("type[Exception]", _inflate.error)


class Inflater:
    """One gzip stream of any number of members, at most `limit` bytes inflated. `padded`: zeros may follow a member,
    as in files that were filled up. Raises ValueError where it is damaged."""

    def __init__(self, limit: int, *, padded: bool = False, piece: int = _OUT) -> None:
        """`piece`: bytes that it gives at a time, at the most."""
        self._piece = piece
        self._room = limit
        self._padded = padded
        self._began = False
        self._start = b""
        """Of the next member, while it is too short to tell whether it is one."""
        self._member: Any = None
        """The inflater of the member that is under way."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """The pieces that this part of the stream gives; an empty one now and then. Raises ValueError, TooMuch."""
        for start in range(0, len(block), _IN):
            rest = block[start : start + _IN]
            while rest:
                if self._member is None:
                    if self._padded and self._began and not self._start and not (rest := rest.lstrip(b"\0")):
                        break
                    self._start, rest = b"", self._start + rest
                    if not rest.startswith(_MAGIC[: len(rest)]):
                        raise ValueError(
                            "behind its end are bytes that are no gzip" if self._began else "it is no gzip"
                        )
                    if len(rest) < len(_MAGIC):
                        self._start = rest
                        break
                    self._began = True
                    self._member = _inflate.decompressobj(_GZIP_WBITS)
                try:
                    piece: bytes = self._member.decompress(rest, min(self._piece, self._room + 1))
                except _Error as error:
                    raise ValueError(str(error)) from None
                self._room -= len(piece)
                if self._room < 0:
                    raise TooMuch("it inflates to more than the bound")
                if piece:
                    yield piece
                rest = self._member.unconsumed_tail
                if self._member.eof:
                    rest = self._member.unused_data
                    self._member = None
            yield b""

    def finish(self) -> None:
        """Raises ValueError where the stream is cut short."""
        if self._member is not None or self._start:
            raise ValueError("it is cut short")

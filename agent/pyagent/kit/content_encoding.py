"""What `content_encoding` names: streams and datagrams that come compressed, inflated piece by piece and up to a bound."""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from pyagent.api.errors import ConfigError, TooMuch
from pyagent.kit.inflate import Inflater

__all__ = ["Decoder", "Decoding"]

_ANY = 2**62
_PIECE = 64 * 2**10


class Decoder(Protocol):
    """One stream."""

    def feed(self, block: bytes) -> Iterator[bytes]:
        """What this part of it becomes, in pieces; take all before the next. Raises ValueError where it is damaged."""

    def finish(self) -> None:
        """Raises ValueError where it is cut short."""


@dataclass(frozen=True, slots=True)
class Decoding:
    name: Literal["identity", "gzip", "zlib"]

    @classmethod
    def of(cls, text: str) -> "Decoding":
        """Raises ConfigError."""
        match text:
            case "" | "identity" | "auto":
                return cls("identity")
            case "gzip":
                return cls("gzip")
            case "zlib":
                return cls("zlib")
        message = f"cannot use the content_encoding {text!r}: it is not supported; use 'identity', 'gzip' or 'zlib'"
        raise ConfigError(message, option="content_encoding")

    def stream(self) -> Decoder | None:
        """For each stream; None where its bytes are as they are."""
        return None if self.name == "identity" else self._decoder(_ANY)

    def whole(self, limit: int) -> Callable[[bytes], bytes] | None:
        """For what is whole, and at most `limit` bytes when inflated: it raises ValueError and TooMuch."""
        if self.name == "identity":
            return None

        def decode(data: bytes) -> bytes:
            decoder = self._decoder(limit)
            content = b"".join(decoder.feed(data))
            decoder.finish()
            return content

        return decode

    def _decoder(self, limit: int) -> Decoder:
        return Inflater(limit, piece=_PIECE) if self.name == "gzip" else _Zlib(limit)


class _Zlib:
    def __init__(self, limit: int) -> None:
        self._room = limit
        self._inflater = zlib.decompressobj()
        self._began = False

    def feed(self, block: bytes) -> Iterator[bytes]:
        self._began = self._began or bool(block)
        while block:
            try:
                piece = self._inflater.decompress(block, min(_PIECE, self._room + 1))
            except zlib.error as error:
                raise ValueError(str(error)) from None
            self._room -= len(piece)
            if self._room < 0:
                raise TooMuch("it inflates to more than the bound")
            if piece:
                yield piece
            block = self._inflater.unconsumed_tail
            if self._inflater.eof:
                # The next one of several follows.
                block, self._inflater, self._began = self._inflater.unused_data, zlib.decompressobj(), False
                self._began = bool(block)

    def finish(self) -> None:
        if self._began:
            raise ValueError("it is cut short")

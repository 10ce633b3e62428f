"""Request bodies that came compressed, inflated up to a bound."""

import zlib
from typing import Final

from pyagent.sandbox.errors import InfluxError, hidden

MAX_INFLATED: Final = 64 * 2**20
_PIECE: Final = 16 * 2**10


def check_header(body: bytes) -> None:
    """Refuse what does not start as gzip does.

    Raises:
        InfluxError: InfluxDB hides the cause here.
    """
    if len(body) < 10 or not body.startswith(b"\x1f\x8b\x08"):
        raise hidden("Content-Encoding is gzip, and the body does not begin as gzip does")


def inflate(body: bytes, limit: int = MAX_INFLATED) -> bytes:
    """All members of a gzip stream whose header was checked.

    Raises:
        InfluxError: it is cut short or damaged, or grows past `limit` bytes.
    """
    parts: list[bytes] = []
    room = limit
    position = 0
    while position < len(body):
        if not body.startswith(b"\x1f\x8b", position):
            raise _unreadable("invalid", "gzip: invalid header")
        inflater = zlib.decompressobj(wbits=31)
        while not inflater.eof:
            # In pieces: each member that ends copies what is behind it.
            piece = inflater.unconsumed_tail or body[position : position + _PIECE]
            if not piece:
                raise _unreadable("internal error", "unexpected EOF")
            position += 0 if inflater.unconsumed_tail else len(piece)
            try:
                part = inflater.decompress(piece, room + 1)
            except zlib.error as error:
                if "check" in str(error):
                    raise _unreadable("invalid", "gzip: invalid checksum") from None
                raise _unreadable("internal error", "flate: corrupt input before offset 0") from None
            parts.append(part)
            room -= len(part)
            if room < 0:
                raise _unreadable("request too large", "points batch is too large")
        position -= len(inflater.unused_data)
    return b"".join(parts)


def _unreadable(code: str, why: str) -> InfluxError:
    return InfluxError(code, f"unable to read data: {why}")

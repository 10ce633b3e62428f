"""Request bodies that came compressed, inflated up to a bound."""

import zlib
from typing import Final

from pyagent.sandbox.errors import HIDDEN, InfluxError

MAX_INFLATED: Final = 64 * 2**20


def check_header(body: bytes) -> None:
    """Refuse what does not start as gzip does.

    Raises:
        InfluxError: InfluxDB hides the cause here.
    """
    if len(body) < 10 or not body.startswith(b"\x1f\x8b\x08"):
        raise InfluxError("internal error", HIDDEN)


def inflate(body: bytes, limit: int = MAX_INFLATED) -> bytes:
    """All members of a gzip stream whose header was checked.

    Raises:
        InfluxError: it is cut short or damaged, or grows past `limit` bytes.
    """
    parts: list[bytes] = []
    size = 0
    while body:
        if not body.startswith(b"\x1f\x8b"):
            raise _unreadable("invalid", "gzip: invalid header")
        inflater = zlib.decompressobj(wbits=31)
        try:
            part = inflater.decompress(body, limit - size + 1)
        except zlib.error as error:
            if "check" in str(error):
                raise _unreadable("invalid", "gzip: invalid checksum") from None
            raise _unreadable("internal error", "flate: corrupt input before offset 0") from None
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _unreadable("request too large", "points batch is too large")
        if not inflater.eof:
            raise _unreadable("internal error", "unexpected EOF")
        body = inflater.unused_data
    return b"".join(parts)


def _unreadable(code: str, why: str) -> InfluxError:
    return InfluxError(code, f"unable to read data: {why}")

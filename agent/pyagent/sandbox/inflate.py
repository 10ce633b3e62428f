"""Request bodies that came compressed, inflated up to a bound."""

import zlib
from typing import Final

from pyagent.sandbox.errors import HIDDEN, InfluxError

MAX_INFLATED: Final = 256 * 2**20


def inflate(body: bytes, limit: int = MAX_INFLATED) -> bytes:
    """All members of a gzip stream.

    Raises:
        InfluxError: it is not gzip, is cut short or damaged, or grows past `limit` bytes.
    """
    parts: list[bytes] = []
    size, first = 0, True
    while body or first:
        if not body.startswith(b"\x1f\x8b"[: max(len(body), 1)]) or len(body) < 2:
            # Garbage where the first header should be is an untyped error in InfluxDB, and hidden.
            raise InfluxError("internal error", HIDDEN) if first else _unreadable("invalid", "gzip: invalid header")
        inflater = zlib.decompressobj(wbits=31)
        try:
            part = inflater.decompress(body, limit - size + 1)
        except zlib.error as error:
            if "check" in str(error):
                raise _unreadable("invalid", "gzip: invalid checksum") from None
            if first and "header" in str(error):
                raise InfluxError("internal error", HIDDEN) from None
            raise _unreadable("internal error", "flate: corrupt input before offset 0") from None
        parts.append(part)
        size += len(part)
        if size > limit:
            raise InfluxError("request too large", "unable to read data: points batch is too large")
        if not inflater.eof:
            raise _unreadable("internal error", "unexpected EOF")
        body, first = inflater.unused_data, False
    return b"".join(parts)


def _unreadable(code: str, why: str) -> InfluxError:
    return InfluxError(code, f"unable to read data: {why}")

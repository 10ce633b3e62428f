"""Snappy's block format, up to a bound: what Prometheus sends, and Telegraf's listeners take."""

from pyagent.api.errors import TooMuch

__all__ = ["decompress"]


def decompress(data: bytes, limit: int) -> bytes:
    """Raises TooMuch where it says to be more than `limit` bytes, before anything is made; ValueError where it is damaged."""
    size, at = _size(data)
    if size > limit:
        raise TooMuch("it is more than the bound when it is decompressed")
    made, end = bytearray(), len(data)
    while at < end:
        tag = data[at]
        kind = tag & 3
        at += 1
        if kind == 0:
            length = (tag >> 2) + 1
            if length > 60:
                wide = length - 60
                length = int.from_bytes(data[at : at + wide], "little") + 1
                at += wide
            if length > end - at:
                raise ValueError(f"a piece of {length} bytes at byte {at} is cut short")
            made += data[at : at + length]
            at += length
        else:
            wide = (1, 2, 4)[kind - 1]
            if wide > end - at:
                raise ValueError(f"the reference at byte {at} is cut short")
            offset = int.from_bytes(data[at : at + wide], "little")
            at += wide
            if kind == 1:
                length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | offset
            else:
                length = (tag >> 2) + 1
            start = len(made) - offset
            if offset == 0 or start < 0:
                raise ValueError(f"the reference before byte {at} leads out of the data")
            if offset >= length:
                made += made[start : start + length]
            else:
                made += (made[start:] * (length // offset + 1))[:length]
        if len(made) > size:
            break
    if len(made) != size:
        raise ValueError(f"it should become {size} bytes, and becomes {'more' if len(made) > size else len(made)}")
    return bytes(made)


def _size(data: bytes) -> tuple[int, int]:
    """What it says that it becomes, and where that ends."""
    size = 0
    for at, byte in enumerate(data[:5]):
        size |= (byte & 127) << 7 * at
        if byte < 128 and size < 2**32:
            return size, at + 1
    raise ValueError("its length at the beginning is damaged")

"""Snappy's block format: what Prometheus sends and takes, and Telegraf's listeners take. It is read up to a bound."""

from collections.abc import Iterable

from pyagent.api.errors import TooMuch

__all__ = ["compress", "decompress"]


_FAR = 0xFFFF
_LONGEST_COPY = 64


def compress(pieces: Iterable[bytes]) -> bytes:
    """Data of some pieces, of which many come again, such as the labels of series: one that stood in the 64 KiB before is a
    reference to them. Nothing else is looked for."""
    made = bytearray()
    literal: list[bytes] = []
    seen: dict[bytes, int] = {}
    size = 0
    for piece in pieces:
        at = seen.get(piece)
        if at is not None and size - at <= _FAR:
            _literal(made, b"".join(literal))
            literal.clear()
            for start in range(0, len(piece), _LONGEST_COPY):
                length = min(len(piece) - start, _LONGEST_COPY)
                made.append((length - 1) << 2 | 2)
                made += (size - at).to_bytes(2, "little")
        else:
            literal.append(piece)
        if len(piece) > 3:
            seen[piece] = size
        size += len(piece)
    _literal(made, b"".join(literal))
    head = bytearray()
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head + made)


def _literal(made: bytearray, data: bytes) -> None:
    if not data:
        return
    length = len(data) - 1
    if length < 60:
        made.append(length << 2)
    else:
        wide = (length.bit_length() + 7) // 8
        made.append((59 + wide) << 2)
        made += length.to_bytes(wide, "little")
    made += data


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

"""Messages of Protocol Buffers, field by field."""

import struct

__all__ = ["double", "part", "varint"]


def part(number: int, content: bytes | str | int) -> bytes:
    """A field: bytes and text with their length, an int as a varint."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    if isinstance(content, str):
        content = content.encode()
    return varint(number << 3 | 2) + varint(len(content)) + content


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def varint(value: int) -> bytes:
    """Negative ones have 64 bits, as in a message."""
    value &= 2**64 - 1
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])

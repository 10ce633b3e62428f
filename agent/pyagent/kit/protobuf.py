"""The wire format of Protocol Buffers: the fields of a message, one after the other, for the few messages that parsers read and
serializers write.

No schema is needed, and nothing is built but what is asked for; every step goes forward in the data, so that any bytes end.
"""

import struct
from collections.abc import Iterator

__all__ = [
    "Field",
    "double",
    "encoded_bytes",
    "encoded_double",
    "encoded_number",
    "encoded_varint",
    "inner",
    "message",
    "messages",
    "signed",
    "text",
    "unsigned",
    "varints",
]

Field = tuple[int, int, int | bytes]
"""Number, wire type and value: an int of 64 bits for a varint, else the bytes."""
VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5
_UNPACK_DOUBLE = struct.Struct("<d").unpack
_PACK_DOUBLE = struct.Struct("<d").pack
_MOST_VARINT = 10


def message(data: bytes) -> Iterator[Field]:
    """The fields of a message, in their order. Raises ValueError where it is damaged or cut short."""
    at, end = 0, len(data)
    while at < end:
        key = data[at]
        at += 1
        if key > 127:
            key, at = _varint(data, at - 1)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError(f"the field at byte {at - 1} has the number 0")
        if kind == BYTES:
            if at < end and (size := data[at]) < 128:
                at += 1
            else:
                size, at = _varint(data, at)
            start, at = at, at + size
            if at > end:
                raise ValueError(f"the field {number} at byte {start} has {size} bytes, and {end - start} are left")
            yield number, BYTES, data[start:at]
        elif kind == VARINT:
            value, at = _varint(data, at)
            yield number, VARINT, value
        elif kind in (DOUBLE, FLOAT):
            start, at = at, at + (8 if kind == DOUBLE else 4)
            if at > end:
                raise ValueError(f"the number of field {number} at byte {start} is cut short")
            yield number, kind, data[start:at]
        else:
            raise ValueError(f"the field {number} at byte {at} has the unknown wire type {kind}")


def messages(data: bytes) -> Iterator[bytes]:
    """Messages that stand one after the other, each behind its length. Raises ValueError."""
    at = 0
    while at < len(data):
        size, at = _varint(data, at)
        if size > len(data) - at:
            raise ValueError(f"a message of {size} bytes begins at byte {at}, and {len(data) - at} are left")
        yield data[at : at + size]
        at += size


def varints(value: int | bytes) -> list[int]:
    """Packed ones. Raises ValueError."""
    data, at, numbers = inner(value), 0, []
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    for byte in data[at : at + _MOST_VARINT]:
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ValueError(f"the number that ends at byte {at} is cut short, or too long")


def double(value: int | bytes) -> float:
    """Raises ValueError where the field holds something else."""
    if isinstance(value, bytes) and len(value) == 8:
        number: float = _UNPACK_DOUBLE(value)[0]
        return number
    raise ValueError("a field that should hold a floating-point number does not")


def signed(value: int | bytes) -> int:
    """Of a varint (int64). Raises ValueError where the field holds something else."""
    if isinstance(value, bytes):
        raise ValueError("a field that should hold a whole number does not")
    return value - (1 << 64) if value >= 1 << 63 else value


def unsigned(value: int | bytes) -> int:
    """Of a varint. Raises ValueError where the field holds something else."""
    if isinstance(value, bytes):
        raise ValueError("a field that should hold a whole number does not")
    return value


def text(value: int | bytes) -> str:
    """Raises ValueError where the field holds something else, or no UTF-8."""
    if not isinstance(value, bytes):
        raise ValueError("a field that should hold text does not")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the text {value[:80].decode('utf-8', 'replace')!r} is not UTF-8") from None


def inner(value: int | bytes) -> bytes:
    """A message in a message. Raises ValueError where the field holds something else."""
    if not isinstance(value, bytes):
        raise ValueError("a field that should hold a message does not")
    return value


def encoded_varint(number: int) -> bytes:
    """Of 64 bits; a negative one as int64 has it."""
    if 0 <= number < 128:
        return bytes((number,))
    number &= 0xFFFF_FFFF_FFFF_FFFF
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    made.append(number)
    return bytes(made)


def encoded_bytes(field: int, data: bytes) -> bytes:
    """A field that holds text or a message."""
    return encoded_varint(field << 3 | BYTES) + encoded_varint(len(data)) + data


def encoded_number(field: int, number: int) -> bytes:
    """A field that holds a whole number; nothing for 0, as proto3 has it."""
    return encoded_varint(field << 3) + encoded_varint(number) if number else b""


def encoded_double(field: int, number: float, *, always: bool = False) -> bytes:
    """Nothing for 0, unless `always`."""
    return encoded_varint(field << 3 | DOUBLE) + _PACK_DOUBLE(number) if number or always else b""

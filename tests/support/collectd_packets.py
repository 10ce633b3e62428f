"""Packets of collectd's binary protocol, part by part."""

import hmac
import struct

__all__ = ["part", "signed", "text", "values"]

_KINDS = {"host": 0, "plugin": 2, "instance": 3, "type": 4, "type_instance": 5}


def part(kind: int, payload: bytes) -> bytes:
    return struct.pack(">HH", kind, 4 + len(payload)) + payload


def text(**texts: str) -> bytes:
    """Parts with texts: `host="a"`."""
    return b"".join(part(_KINDS[kind], content.encode() + b"\0") for kind, content in texts.items())


def values(*numbers: float | int, derive: bool = False) -> bytes:
    """A list: floats are gauges, ints are counters, or derives."""
    kinds = bytes(1 if isinstance(one, float) else 2 if derive else 0 for one in numbers)
    forms = [struct.pack("<d" if isinstance(one, float) else ">q" if derive else ">Q", one) for one in numbers]
    return part(6, struct.pack(">H", len(numbers)) + kinds + b"".join(forms))


def signed(packet: bytes, name: str, password: str) -> bytes:
    mac = hmac.digest(password.encode(), name.encode() + packet, "sha256")
    return part(0x200, mac + name.encode()) + packet

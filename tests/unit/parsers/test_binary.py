"""The parser binary: what its options cannot be, and parts that lie anywhere in a message. Whole messages are in tests/plugins."""

import logging
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, FieldValue, ParseError
from pyagent_plugins.parsers.binary import Binary, BinaryOptions


def parser(*entries: dict[str, Any], endianness: str = "be", **message: Any) -> Binary:
    table = {"binary": [{"entries": list(entries), **message}], "endianness": endianness}
    made = Binary(msgspec.convert(table, BinaryOptions), logging.getLogger("test"), measurement="m")
    made.now = lambda: 7
    return made


FIELD = {"name": "v", "type": "uint8"}


@pytest.mark.parametrize(
    ("entries", "message", "cause"),
    [
        ([], {}, "no field is defined"),
        ([{"bits": 8, "omit": True}], {}, "no field is defined"),
        ([FIELD, FIELD], {}, "'v' is there twice"),
        ([{"omit": True}, FIELD], {}, "entry 1: give 'bits' or 'type'"),
        ([{"omit": True, "type": "string"}, FIELD], {}, "the length of the type 'string' is not known"),
        ([{"type": "uint8"}], {}, "it has no name"),
        ([{"name": "a"}], {}, "it has no type"),
        ([{"name": "a", "type": "uint24"}], {}, "unknown type 'uint24'"),
        ([{"name": "a", "type": "uint8", "bits": 9}], {}, "9 bits are more than a uint8 has"),
        ([{"name": "a", "type": "uint8", "assignment": "x"}], {}, "unknown assignment 'x'"),
        ([{"type": "uint8", "assignment": "measurement"}], {}, "must have the type string"),
        ([{"name": "a", "type": "string"}], {}, "a string needs 'bits' or a 'terminator'"),
        ([{"name": "a", "type": "string", "bits": 9}], {}, "no whole number of bytes"),
        ([{"name": "a", "type": "string", "bits": 8, "terminator": "null"}], {}, "cannot have 'bits' and"),
        ([{"name": "a", "type": "string", "terminator": "xyz"}], {}, "'xyz' is no pairs of hexadecimal digits"),
        ([{"name": "a", "type": "string", "terminator": "0x"}], {}, "is empty"),
        ([{"assignment": "time", "timezone": "No/Where"}, FIELD], {}, "unknown time zone 'No/Where'"),
        ([{"assignment": "time", "bits": 65}, FIELD], {}, "65 bits are more than a time has"),
        ([FIELD], {"filter": {"length": 1, "length_min": 1}}, "cannot be used together"),
        ([FIELD], {"filter": {"length": 1, "selection": [{"offset": 8, "bits": 1}]}}, "needs 2 bytes"),
        ([FIELD], {"filter": {"selection": [{"match": "0X01"}]}}, "the match '0X01' is no pairs"),
    ],
)
def test_options_that_cannot_be(entries: list[dict[str, Any]], message: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match="cannot use table 1 of 'binary': ") as caught:
        parser(*entries, **message)
    assert cause in str(caught.value)
    assert caught.value.option == "binary"


def test_there_must_be_a_table() -> None:
    with pytest.raises(ConfigError, match="there is no table 'binary'"):
        Binary(BinaryOptions(), logging.getLogger("test"))


@pytest.mark.parametrize(
    ("kind", "endianness", "data", "value"),
    [
        ("int32", "le", b"\x01\x02\x03", 0x03020100),
        ("uint16", "le", b"\x01\x02", 0x0201),
        ("int8", "be", b"\xff", -1),
        ("float64", "little", struct.pack("<d", 1.5), 1.5),
        ("float32", "big", struct.pack(">f", 0.1), 0.10000000149011612),
        ("bool", "be", b"\x00\x10", True),
    ],
)
def test_numbers(kind: str, endianness: str, data: bytes, value: FieldValue) -> None:
    [metric] = parser({"name": "v", "type": kind, "bits": len(data) * 8}, endianness=endianness).parse(data)
    assert metric.fields == {"v": value}


@given(st.integers(0, 2**30 - 1), st.integers(0, 20), st.integers(1, 32), st.integers(0, 12))
def test_a_number_anywhere(number: int, before: int, bits: int, after: int) -> None:
    number &= (1 << bits) - 1
    whole = before + bits + after
    text = "1" * before + format(number, f"0{bits}b") + "1" * after + "0" * (-whole % 8)
    data = int(text, 2).to_bytes(len(text) // 8, "big")
    skipped = [{"bits": before, "omit": True}] if before else []
    [metric] = parser(*skipped, {"name": "v", "type": "uint32", "bits": bits}).parse(data)
    assert metric.fields == {"v": int.from_bytes(number.to_bytes((bits + 7) // 8, "big"))}


def test_a_string_that_begins_within_a_byte() -> None:
    data = (0b101 << 37 | int.from_bytes(b"ab\0c") << 5).to_bytes(5, "big")
    entries = ({"bits": 3, "omit": True}, {"name": "s", "type": "string", "terminator": "null"}, FIELD)
    [metric] = parser(*entries).parse(data)
    assert metric.fields == {"s": "ab", "v": ord("c")}


@pytest.mark.parametrize(
    ("entries", "data", "cause"),
    [
        ([FIELD], b"", "the message ends before the 8 bits from bit 0 on for 'v': it has 0 bytes"),
        ([{"name": "s", "type": "string", "terminator": "0x0D0A"}], b"a\rb\n", "the end of 's', 0d 0a, is not there"),
        ([{"assignment": "time"}, FIELD], b"\x7f" + b"\xff" * 8, "the time 9223372036854775807 is out of range"),
        ([{"assignment": "time", "type": "2006"}, FIELD], b"20x6\x01", "cannot read the time '20x6'"),
        ([{"name": "v", "type": "uint8", "bits": 8}, {"bits": 2**63 - 1, "omit": True}], b"abc", "from bit 8 on"),
    ],
)
def test_messages_that_do_not_fit(entries: list[dict[str, Any]], data: bytes, cause: str) -> None:
    with pytest.raises(ParseError) as caught:
        parser(*entries).parse(data)
    assert cause in str(caught.value)

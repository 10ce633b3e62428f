"""The serializer binary: the bytes that Telegraf writes, and what it refuses."""

import re
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, Uint
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.binary import Binary

FIELDS: dict[str, Any] = {"user": 1.5, "n": 42, "s": "te xt", "b": True, "neg": -3, "u": Uint(2**64 - 1), "big": 1e10}
METRIC = Metric("cpu", {"hex": "0x1f", "d": "300", "host": "abc"}, FIELDS, 1_700_000_000_123_456_789)


def made(*entries: dict[str, Any], endianness: str = "be") -> bytes:
    return make_serializer(Binary, {"entries": list(entries), "endianness": endianness}).serialize(METRIC)


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        *(({"name": "n", "data_format": kind}, wanted) for kind, wanted in (("int8", "2a"), ("uint16", "002a"))),
        ({"name": "neg", "data_format": "int32"}, "fffffffd"),
        ({"name": "u", "data_format": "uint64"}, "ffffffffffffffff"),
        ({"name": "user", "data_format": "int64"}, "0000000000000001"),
        ({"name": "user", "data_format": "float32"}, "3fc00000"),
        ({"name": "b", "data_format": "float64"}, "3ff0000000000000"),
        ({"read_from": "tag", "name": "hex", "data_format": "uint8"}, "1f"),
        ({"read_from": "tag", "name": "d", "data_format": "uint8"}, "2c"),
        ({"read_from": "tag", "name": "d", "data_format": "int8"}, "2c"),
        ({"read_from": "tag", "name": "d", "data_format": "float64"}, "4072c00000000000"),
        ({"read_from": "time", "data_format": "int64", "time_format": "unix_ms"}, "0000018bcfe5687b"),
        ({"read_from": "Time", "data_format": "uint32"}, "6553f100"),
        ({"read_from": "name", "string_length": 5}, "6370750000"),
        ({"name": "s", "data_format": "string", "string_length": 3}, "746500"),
        ({"name": "user", "data_format": "string", "string_length": 4, "string_terminator": "0x0a"}, "312e350a"),
    ],
)
def test_parts(entry: dict[str, Any], wanted: str) -> None:
    assert made(entry).hex() == wanted


def test_parts_stand_one_behind_the_other() -> None:
    parts = [{"name": "n", "data_format": "int32"}, {"name": "neg", "data_format": "int16"}]
    assert made(*parts, endianness="little").hex() == "2a000000fdff"
    serializer = make_serializer(Binary, {"entries": parts})
    assert serializer.serialize_batch([METRIC, METRIC]) == serializer.serialize(METRIC) * 2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "none", "data_format": "int8"}, "the metric has no field 'none'"),
        ({"read_from": "tag", "name": "none", "data_format": "int8"}, "the metric has no tag 'none'"),
        (
            {"name": "u", "data_format": "int64"},
            "cannot write the field 'u' as int64: 18446744073709551615 is out of range",
        ),
        ({"name": "neg", "data_format": "uint8"}, "-3 is out of range"),
        ({"name": "big", "data_format": "int32"}, "10000000000.0 is out of range"),
        ({"name": "s", "data_format": "int8"}, "'te xt' is no integer"),
        ({"name": "s", "data_format": "float32"}, "'te xt' is no number"),
        ({"read_from": "time", "data_format": "int32", "time_format": "unix_ns"}, "is out of range"),
    ],
)
def test_what_cannot_be_written(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        made(entry)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "n"}, "it has no `data_format`"),
        ({"data_format": "int8"}, "it names no field"),
        ({"read_from": "x", "name": "a", "data_format": "int8"}, "not 'x'"),
        ({"read_from": "time", "data_format": "int64", "time_format": "x"}, "not 'x'"),
        ({"read_from": "name", "data_format": "int8"}, "the measurement's name is a string"),
        ({"name": "s", "data_format": "string"}, "a `string_length` of 1 or more"),
        ({"name": "s", "data_format": "string", "string_length": 3, "string_terminator": "0d0a"}, "not '0d0a'"),
        ({"name": "s", "data_format": "bool"}, "there is no data_format 'bool'"),
        ({"name": "s", "data_format": "ufloat32"}, "there is no data_format 'ufloat32'"),
    ],
)
def test_mistakes(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"^cannot use entry 2: .*" + re.escape(message)) as error:
        made({"name": "n", "data_format": "int8"}, entry)
    assert error.value.option == "entries"

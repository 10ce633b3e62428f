"""The parser avro: schemas, damage, and the registry. Whole messages are in tests/plugins and in Telegraf's own cases."""

import asyncio
import json
import logging
import struct
from typing import Any

import msgspec
import pytest

from pyagent.api import ConfigError, Metric, ParseError, Secret
from pyagent.testing.outputs import Answer, ScriptedServer
from pyagent_plugins.inputs.http_listener_v2 import HTTPListenerV2
from pyagent_plugins.parsers.avro import Avro, AvroOptions
from pyagent_plugins.parsers.avro.schema import Reader, compile_schema


def record(**fields: Any) -> str:
    return json.dumps(
        {"type": "record", "name": "R", "fields": [{"name": key, "type": one} for key, one in fields.items()]}
    )


def parser(schema: str = "", *, registry: str = "", **options: Any) -> Avro:
    made = msgspec.convert({"avro_schema": schema, **options}, AvroOptions)
    made = msgspec.structs.replace(made, avro_schema_registry=Secret(registry))
    found = Avro(made, logging.getLogger("test"))
    found.now = lambda: 7
    return found


def fields(schema: str, data: bytes, **options: Any) -> dict[str, Any]:
    [metric] = parser(schema, **options).parse(data)
    return metric.fields


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("int", b"\x09", -5),
        ("long", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -(2**63)),
        ("float", struct.pack("<f", 0.1), 0.10000000149011612),
        ("double", struct.pack("<d", 0.1), 0.1),
        ("boolean", b"\1", True),
        ("string", b"\x04a\xff", "a\udcff"),
        ("bytes", b"\x02b", "b"),
        ({"type": "enum", "name": "E", "symbols": ["A", "B"]}, b"\x02", "B"),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab", "ab"),
        ({"type": "long", "logicalType": "timestamp-millis"}, b"\x04", 2),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, b"\x04\xff\x9c", -1.0),
    ],
    ids=str,
)
def test_types(kind: Any, data: bytes, value: Any) -> None:
    assert fields(record(v=kind), data) == {"v": value}


def test_what_is_nested_has_names_of_its_parts() -> None:
    inner = {"type": "record", "name": "In", "fields": [{"name": "a", "type": "int"}]}
    schema = record(
        n=inner, again="In", many={"type": "array", "items": ["int", "string"]}, m={"type": "map", "values": "int"}
    )
    data = b"\2\4" + b"\4\0\2\2\2z\0" + b"\1\6\2k\6\0"
    assert fields(schema, data, avro_field_separator="_") == {
        "n_a": 1,
        "again_a": 2,
        "many_0_int": 1,
        "many_1_string": "z",
        "m_k": 3,
    }


@pytest.mark.parametrize(
    ("mode", "value", "found"),
    [
        ("flatten", {"float": 2}, {"v": 1, "u_float": 2.0}),
        ("nullable", {"float": 2}, {"v": 1, "u": 2.0}),
        ("any", {"float": 2}, {"v": 1, "u": 2.0}),
        ("flatten", None, {"v": 1}),
        ("nullable", {"null": None}, {"v": 1}),
    ],
)
def test_unions(mode: str, value: Any, found: dict[str, Any]) -> None:
    schema = record(v="int", u=["null", "float"])
    data = json.dumps({"v": 1, "u": value}).encode()
    options = {"avro_format": "json", "avro_union_mode": mode, "avro_field_separator": "_"}
    assert fields(schema, data, **options) == found


def test_a_record_behind_the_fingerprint_of_its_schema() -> None:
    schema = '{"type": "record", "name": "R", "namespace": "a.b", "doc": "x", "fields": [{"type": "int", "name": "v"}]}'
    fingerprint = compile_schema(schema).fingerprint
    assert fields(schema, b"\xc3\x01" + fingerprint + b"\x0e") == {"v": 7}
    assert fields(schema, b"\xc3\x01" + b"another." + b"\x0e") == {"v": -98}, "a bare record may begin so as well"
    known = {'"int"': 0x7275D51A3F395C8F, '"null"': 0x63DD24E7CC258F8A}
    for text, number in known.items():
        from pyagent_plugins.parsers.avro.schema import _fingerprint

        assert _fingerprint(json.loads(text)) == number.to_bytes(8, "little")


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({}, "exactly one of 'avro_schema' and 'avro_schema_registry' must be there"),
        ({"avro_schema": '"int"', "registry": "http://x"}, "exactly one of"),
        ({"avro_schema": "{"}, "the option 'avro_schema': the schema is no JSON: line 1, column 2"),
        ({"avro_schema": '"int"'}, "the schema must be an object"),
        ({"avro_schema": record(v="nope")}, "unknown type 'nope'"),
        ({"avro_schema": record(v=["int", "int"])}, "a union has no types, or one of them twice"),
        ({"avro_schema": record(v={"type": "array"})}, "'items' is missing in"),
        ({"avro_schema": record(v={"type": "fixed", "name": "F", "size": -1})}, "the size of 'F' is no number"),
        ({"avro_schema": record(v={"type": "record", "name": "R", "fields": []})}, "there are two types 'R'"),
        ({"avro_schema": '{"type": ' * 3000 + '"int"' + "}" * 3000}, "nested too deeply"),
        ({"registry": "localhost:8081"}, "the option 'avro_schema_registry': it must be http"),
        ({"registry": "https://x", "avro_schema_registry_cert": "/no/cert"}, "cannot read '/no/cert': No such file"),
    ],
    ids=range(12),
)
def test_options_that_cannot_be(options: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parser(options.pop("avro_schema", ""), **options)
    assert cause in str(caught.value)


RECURSIVE = json.dumps(
    {"type": "record", "name": "L", "fields": [{"name": "v", "type": "int"}, {"name": "n", "type": ["null", "L"]}]}
)


@pytest.mark.parametrize(
    ("schema", "data", "cause"),
    [
        (record(v="int"), b"", "cut short"),
        (record(v="int"), b"\xff" * 20, "cut short, or too large"),
        (record(v="int"), b"\xfe\xff\xff\xff\x1f", "out of range"),
        (record(v="string"), b"\x03", "-2 bytes should stand at byte 1"),
        (record(v="string"), b"\xfe\xff\xff\xff\xff\x01", "are left"),
        (record(v="boolean"), b"\2", "a boolean must be 0 or 1"),
        (record(v=["null", "int"]), b"\x06", "a union has no type 3"),
        (record(v={"type": "enum", "name": "E", "symbols": ["A"]}), b"\x01", "has no symbol -1"),
        (
            record(v={"type": "array", "items": "null"}),
            b"\xfe\xff\xff\xff\xff\xff\xff\x01",
            "more items than the message",
        ),
        (RECURSIVE, b"\2\2" * 20_000, "nested too deeply"),
        (record(v="null"), b"", None),
        ('{"type": "array", "items": "int"}', b"\0", None),
        ('{"type": "map", "values": "int"}', b"\0", "the record has no field that is kept"),
        ('{"type": "int", "name": "x"}', b"\0", "neither a record nor an array"),
    ],
    ids=range(14),
)
def test_damage(schema: str, data: bytes, cause: str | None) -> None:
    made = parser(schema)
    if cause is None:
        assert [metric.fields for metric in made.parse(data)] in ([], [{}])
        return
    with pytest.raises(ParseError) as caught:
        made.parse(data)
    assert cause in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "cause"),
    [
        ("int", "1.0", "a whole number must be one"),
        ("int", "true", "a whole number must be one"),
        ("long", '"2"', "a whole number must be one"),
        ("double", '"x"', "a number must be one"),
        ("bytes", '"\\u0100"', "bytes must be a string of characters up to"),
        ("string", "1", "a string must be one"),
        ("boolean", "0", "a boolean must be true or false"),
        (["null", "int"], "1", "must be an object with the name of its type"),
        (["null", "int"], '{"long": 1}', "a union has no type 'long', it has null, int"),
        ({"type": "map", "values": "int"}, "[]", "a map must be an object"),
        ({"type": "fixed", "name": "F", "size": 1}, '"ab"', "must have 1 bytes, not 2"),
        ("int", '1, "w": 2', "'R' has no field 'w'"),
        ("int", "", "line 1, column 7: expecting value"),
    ],
    ids=range(13),
)
def test_json_that_does_not_fit(kind: Any, text: str, cause: str) -> None:
    with pytest.raises(ParseError) as caught:
        parser(record(v=kind), avro_format="json").parse(f'{{"v": {text}}}'.encode())
    assert cause in str(caught.value)


def test_numbers_and_defaults_in_json() -> None:
    schema = '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": 5}, {"name": "b", "type": "float"}]}'
    assert fields(schema, b' {"b": "Infinity"} and more', avro_format="json") == {"a": 5, "b": float("inf")}


def test_tags_are_texts_of_their_values() -> None:
    schema = record(f="float", b="boolean", n=["null", "int"], v="int")
    [metric] = parser(schema, avro_tags=["f", "b", "n"]).parse(struct.pack("<f", 0.1) + b"\1\0\2")
    assert metric == Metric("R", {"f": "0.1", "b": "true"}, {"v": 1}, 7)


def test_items_are_bounded_by_the_message() -> None:
    reader = Reader(b"\xd0\x0f" * 3)
    schema = compile_schema('{"type": "array", "items": {"type": "array", "items": "null"}}')
    with pytest.raises(ValueError, match="more items"):
        schema.type.binary(reader)


# The registry ---------------------------------------------------------------------------------------------------------


async def asked(made: Avro, data: bytes) -> list[Metric]:
    return await asyncio.to_thread(made.parse, data)


async def test_a_schema_is_asked_for_once_for_all_parsers() -> None:
    answer = Answer(200, json.dumps({"schema": record(v="int")}))
    async with ScriptedServer(answer) as server:
        url = f"http://user:p%40ss@127.0.0.1:{server.port}/base/"
        made = [parser(registry=url) for _ in range(2)]
        message = b"\0" + (9).to_bytes(4) + b"\x0e"
        for one in (*made, made[0]):
            [metric] = await asked(one, message)
            assert (metric.name, metric.fields) == ("R", {"v": 7})
        [request] = server.requests
        assert request.target == "/base/schemas/ids/9"
        assert request.headers["authorization"] == "Basic dXNlcjpwQHNz"


async def test_a_schema_that_cannot_be_had_fails_at_once_for_a_while() -> None:
    async with ScriptedServer(Answer(404, "no"), Answer(200, "[]")) as server:
        made = parser(registry=f"http://user:secret@127.0.0.1:{server.port}")
        for number, cause in ((1, "it answers with status 404"), (1, "404"), (2, "its answer has no text 'schema'")):
            with pytest.raises(ParseError, match=cause) as caught:
                await asked(made, b"\0" + number.to_bytes(4))
            assert "secret" not in str(caught.value)
            assert f"cannot get the schema {number} from http://" in str(caught.value)
        assert len(server.requests) == 2
    for data in (b"", b"\0\0\0\0", b"\1\0\0\0\1\2"):
        with pytest.raises(ParseError, match="does not begin with a byte 0 and the number of a schema"):
            made.parse(data)


def test_the_engine_calls_it_in_a_thread() -> None:
    assert Avro.may_wait
    assert HTTPListenerV2.options_type.parses

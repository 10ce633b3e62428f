"""Parsers of XPath: XML, JSON, MessagePack, CBOR and Protocol Buffers."""

import contextlib
import struct
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, ParseError, Parser, Uint
from pyagent.api.errors import TooMuch
from pyagent.api.hosted import Guard, HostedPath
from pyagent.kit import page_room, xpath
from pyagent.kit.proto_schema import load_message
from pyagent.testing import make_parser
from pyagent_plugins.parsers.xml import Xml
from pyagent_plugins.parsers.xpath_cbor import XPathCbor
from pyagent_plugins.parsers.xpath_json import XPathJson
from pyagent_plugins.parsers.xpath_msgpack import XPathMsgpack
from pyagent_plugins.parsers.xpath_protobuf import XPathProtobuf

FORMATS: dict[str, Any] = {"xml": Xml, "json": XPathJson, "msgpack": XPathMsgpack, "cbor": XPathCbor}


def parser(plugin: Any, *selections: dict[str, Any], **options: Any) -> Parser[Any]:
    made: Parser[Any] = make_parser(plugin, {"xpath": list(selections)} | options)
    made.now = lambda: 7
    return made


def fields(plugin: Any, data: bytes, expressions: dict[str, str], **options: Any) -> dict[str, Any]:
    (metric,) = parser(plugin, {"fields": expressions}, **options).parse(data)
    return metric.fields


XML = b"<r><t>1.5</t><i id='1'><v>1</v></i><i id='2'><v>2</v><w>x</w></i></r>"


def test_metrics_of_nodes() -> None:
    metrics = parser(
        Xml,
        {
            "metric_selection": "/r/i",
            "metric_name": "concat('i', @id)",
            "timestamp": "/r/t",
            "tags": {"id": "@id", "none": "none", "number": "number(v) * 1000000", "true": "true()"},
            "fields": {"text": "v", "number": "number(v)", "flag": "boolean(w)", "up": "string(../t)", "none": "none"},
            "fields_int": {"int": "v", "none": "none", "round": "round(1.6)"},
        },
    ).parse(XML)
    assert [(m.name, m.time, m.tags, m.fields) for m in metrics] == [
        (
            f"i{n}",
            1_500_000_000,
            {"id": f"{n}", "number": f"{n}E+06", "true": "true"},
            {"text": f"{n}", "number": float(n), "flag": n == 2, "up": "1.5", "int": n, "round": 2},
        )
        for n in (1, 2)
    ]


def test_fields_and_tags_of_nodes() -> None:
    (metric,) = parser(
        Xml,
        {"field_selection": "//*[not(*)]", "tag_selection": "//i", "tag_name": "'t'", "tag_value": "@id"},
    ).parse(XML)
    assert metric.fields == {"t": "1.5", "v": "1", "v_1": "2", "w": "x"}
    assert metric.tags == {"t": "1", "t_1": "2"}
    (metric,) = parser(Xml, {"field_selection": "//v", "field_name_expansion": True, "field_value": "number(.)"}).parse(
        XML
    )
    assert metric.fields == {"r_i_v": 1.0, "r_i_v_1": 2.0}


def test_many_nodes_of_one_name_take_no_time_to_number() -> None:
    (metric,) = parser(Xml, {"field_selection": "//a"}).parse(b"<r>" + b"<a>1</a>" * 20_000 + b"<a_1>x</a_1></r>")
    assert len(metric.fields) == 20_000
    assert metric.fields["a_19999"] == "1"


def test_elements_of_lists_have_their_places_as_names() -> None:
    data = b'{"l": [1, [2, "x"]], "o": {"p": true}}'
    (metric,) = parser(XPathJson, {"field_selection": "//*[not(*)]", "field_name_expansion": True}).parse(data)
    assert metric.fields == {"l_0": "1", "l_1_0": "2", "l_1_1": "x", "o_p": "true"}
    (metric,) = parser(XPathJson, {"field_selection": "l/*"}, xpath_native_types=True).parse(data)
    assert metric.fields == {"l_0": 1.0, "l_1": "[2 x]"}


def test_native_types() -> None:
    value = {"i": 5, "neg": -5, "f": 1.5, "b": True, "s": "x", "none": None, "by": b"\x01\xff", "l": [1, "a"]}
    names = {name: name for name in value}
    assert fields(XPathCbor, cbor2.dumps(value), names, xpath_native_types=True) == {
        "i": Uint(5), "neg": -5, "f": 1.5, "b": True, "s": "x", "by": "\x01\udcff", "l": Uint(1)
    }  # fmt: skip
    assert fields(XPathMsgpack, msgspec.msgpack.encode(value), names, xpath_native_types=True) == {
        "i": 5.0, "neg": -5.0, "f": 1.5, "b": True, "s": "x", "by": "Af8=", "l": "[1 a]"
    }  # fmt: skip
    assert fields(XPathCbor, cbor2.dumps(value), names)["by"] == "[1 255]"
    selection = {"fields": {"by": "by", "too": "by"}, "fields_bytes_as_hex": ["by"], "fields_bytes_as_base64": ["t*"]}
    (metric,) = parser(XPathCbor, selection, xpath_native_types=True).parse(cbor2.dumps(value))
    assert metric.fields == {"by": "01ff", "too": "Af8="}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x81\xa1a\xca" + struct.pack(">f", 0.1), "0.1"),
        (b"\x81\x05\xa1x", None),
        (b"\x81\xa1a\xd6\xff" + struct.pack(">I", 1_700_000_000), "2023-11-14T22:13:20Z"),
        (b"\x81\xa1a\xc7\x0c\xff" + struct.pack(">Iq", 5, 1_700_000_000), "2023-11-14T22:13:20.000000005Z"),
        (b"\x81\xa1a\xcf" + b"\xff" * 8, "18446744073709552000"),
        (b"\x81\xa1a\xc7\x03\x09abc", '{"data":"YWJj","type":9}'),
        (b"\x81\xa1a\xdf\0\0\0\0", "{}"),
    ],
)
def test_messagepack(data: bytes, text: str | None) -> None:
    assert fields(XPathMsgpack, data, {"a": "//a"}).get("a") == text


@pytest.mark.parametrize(
    ("plugin", "data", "message"),
    [
        (Xml, b"<a><b></a>", "line 1: column 9: mismatched tag"),
        (Xml, b"<a>\n<b</a>", "line 2: column 3: not well-formed"),
        (Xml, b"", "has no element"),
        (Xml, b"text", "has no element"),
        (Xml, b"<a>&x;</a>", "undefined entity"),
        (Xml, b"<n:a/>", "the namespace 'n' is not declared"),
        (Xml, b"<?xml version='1.1'?><a/>", "version 1.1 of XML is not supported"),
        (Xml, b"<?xml version='1.0' encoding='none'?><a/>", "cannot decode the document from none"),
        (Xml, b"<?xml version='1.0'?>\n<a>\xff</a>", "line 2: column 4: not well-formed"),
        (Xml, b"<a>" * 20_000, "nested too deeply"),
        (XPathJson, b'{"a": }', "line 1: column 7: expecting value"),
        (XPathJson, b"", "line 1: column 1: expecting value"),
        (XPathJson, b'{"a": 1e999}', "the number 1e999 is out of range"),
        (XPathJson, b"[" * 100_000, "nested too deeply"),
        (XPathMsgpack, b"\x91", "byte 1: the data end within a value"),
        (XPathMsgpack, b"\xc1", "byte 0: 0xc1 begins no value"),
        (XPathMsgpack, b"\xdd\xff\xff\xff\xff", "the data end within a value"),
        (XPathMsgpack, b"\x91" * 5000, "nested too deeply"),
        (XPathMsgpack, b"\x01\x02", "byte 1: the document ends there"),
        (XPathMsgpack, b"\x81\xc0\x01", "byte 1: a key must be text"),
        (XPathCbor, b"\x9f", "byte 1: premature end"),
        (XPathCbor, b"\x01\x02", "byte 1: the document ends there"),
        (XPathCbor, b"\x81" * 40 + b"\x01", "nested too deeply"),
        (XPathCbor, b"\xd8\x1c" + b"\x82\xd8\x1d\x00" * 40 + b"\x01", "nested too deeply"),
        (XPathCbor, b"\xa1A\x01\x02", "the key b'\\\\x01' is neither a text nor a number"),
    ],
)
def test_documents_that_are_none(plugin: Any, data: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parser(plugin, {"fields": {"a": "a"}}).parse(data)


def test_entities_are_refused_and_nothing_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    bomb = '<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
    )
    for text in (
        f"<!DOCTYPE a [{bomb}]><a>&j;</a>",
        f"<!DOCTYPE a [{bomb}]><a b='&j;'/>",
        f"<!DOCTYPE a [<!ENTITY x SYSTEM 'file://{tmp_path}/secret'>]><a>&x;</a>",
        f"<!DOCTYPE a [<!ENTITY % x SYSTEM 'file://{tmp_path}/secret'> %x;]><a/>",
    ):
        with pytest.raises(ParseError, match="declares an entity"):
            parser(Xml, {"fields": {"a": "a"}}).parse(text.encode())
    external = f"<!DOCTYPE a SYSTEM 'file://{tmp_path}/secret'><a>1</a>"
    assert fields(Xml, external.encode(), {"a": "a"}) == {"a": "1"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"<a>1</a><a>2</a>", "1"),
        (b"\n<?xml version='1.0'?>\n<a>1</a>", "1"),
        ("<?xml version='1.0' encoding='latin1'?><a>ä</a>".encode("latin1"), "ä"),
        ("<a>ä</a>".encode("utf-16"), "ä"),
        (b"<a>1<![CDATA[<2>]]>3</a>", "1<2>3"),
        (b"<a xmlns='u'>1<!-- no --><b>2</b></a>", "12"),
        (b"<!DOCTYPE a><a>1</a>", "1"),
    ],
)
def test_documents_of_xml(data: bytes, text: str) -> None:
    assert fields(Xml, data, {"a": "/a"}) == {"a": text}


def test_shared_values_and_other_tags_of_cbor_are_no_more_than_their_text() -> None:
    shared = b"\x82\xd8\x1c\x81\x01\xd8\x1d\x00"  # a list, and a reference to its first element
    for tagged in (shared, b"\xd8\x23a(", b"\xc4\x82\x1b" + b"\x7f" + b"\xff" * 7 + b"\x01"):
        (metric,) = parser(XPathCbor, {"fields": {"a": "string(/*)"}}).parse(b"\xa1aa" + tagged)
        assert str(metric.fields["a"]).startswith("{")


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"fields": {"a": "number(/r"}}, r"fields\.a: .* its end"),
        ({"metric_selection": "/none"}, "nothing is selected by '/none'"),
        ({"metric_name": "number(1)"}, "metric_name: it gives no text"),
        ({"timestamp": "'x'"}, "timestamp: "),
        ({"fields_int": {"a": "'8.9'"}}, "fields_int.a: '8.9' is no integer"),
        ({"field_selection": "//v", "field_name": "1"}, "field_selection: the name by '1' is no text"),
    ],
)
def test_mistakes(selection: dict[str, Any], message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parser(Xml, selection).parse(XML)
    assert parser(Xml, {"metric_selection": "/none"}, xpath_allow_empty_selection=True).parse(XML) == []


PROTO = """
syntax = "proto3"; // a comment
package a.b;
import "other.proto";
import "google/protobuf/timestamp.proto";
message M {
  string s = 1; float f = 2; uint64 u = 3 [json_name = "x"]; bytes by = 4;
  enum E { ZERO = 0; ONE = 1; reserved 5 to 8; }
  E e = 5; repeated int32 ri = 6 [packed = false]; map<string, int32> m = 7; optional int32 opt = 8;
  message In { string x = 1; In more = 2; }
  repeated In in = 9;
  oneof o { string os = 10; int32 oi = 11; }
  o.Other other = 12; google.protobuf.Timestamp ts = 13; int32 message = 14;
  reserved 100 to max; reserved "old";
}
service S { rpc Get (M) returns (M) { option deprecated = true; } }
"""
OTHER = 'syntax = "proto2"; package o; message Other { required int32 r = 1 [default = 5]; optional group G = 2 { optional int32 q = 1; } }'


@pytest.fixture
def definitions(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "m.proto").write_text(PROTO)
    (tmp_path / "other.proto").write_text(OTHER)
    return {
        "xpath_protobuf_files": ["m.proto"],
        "xpath_protobuf_type": "a.b.M",
        "xpath_protobuf_import_paths": [str(tmp_path)],
    }


def test_protobuf(definitions: dict[str, Any]) -> None:
    names = (
        "s",
        "f",
        "u",
        "by",
        "e",
        "ri",
        "m",
        "m/k",
        "opt",
        "os",
        "oi",
        "in[2]/x",
        "in",
        "other/r",
        "other/g",
        "ts/seconds",
        "message",
    )
    made: Any = parser(XPathProtobuf, {"fields": {name: name for name in names}}, **definitions)
    value = made._message(s="x", f=0.1, u=2**64 - 1, by=b"\0a", e=1, ri=[1, 2], m={"k": 5}, opt=0, oi=4, message=3)
    getattr(value, "in").add(x="one")
    getattr(value, "in").add(x="two")
    value.other.r = 1
    value.other.g.q = 2
    value.ts.seconds = 9
    data = value.SerializeToString()
    (metric,) = made.parse(data)
    assert metric.fields == {
        "s": "x", "f": "0.1", "u": "18446744073709551615", "by": "[0 97]", "e": "1", "ri": "12", "m": "5", "m/k": "5",
        "opt": "0", "oi": "4", "in[2]/x": "two", "in": "one", "other/r": "1", "other/g": "q:2", "ts/seconds": "9",
        "message": "3",
    }  # fmt: skip
    native = parser(XPathProtobuf, {"fields": {name: name for name in names}}, xpath_native_types=True, **definitions)
    (metric,) = native.parse(data)
    assert metric.fields == {
        "s": "x", "f": struct.unpack("f", struct.pack("f", 0.1))[0], "u": Uint(2**64 - 1), "by": "\0a", "m/k": 5, "opt": 0,
        "oi": 4, "in[2]/x": "two", "other/r": 1, "ts/seconds": 9, "message": 3,
    }  # fmt: skip
    skipping = parser(XPathProtobuf, {"fields": {"s": "s"}}, xpath_protobuf_skip_bytes=5, **definitions)
    assert skipping.parse(b"\0\0\0\0\0" + data)[0].fields == {"s": "x"}
    for bad in (b"\x0a\x05a", b"\x0a\x01\xff"):
        with pytest.raises(ParseError, match="it is no message"):
            made.parse(bad)
    with pytest.raises(ParseError, match="shorter than the 5 bytes"):
        skipping.parse(b"\0")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("message M { string s = 1 }", "m.proto:1: ';' must stand where '}' is"),
        ("message M {\n Missing x = 1; }", "m.proto: "),
        ("message M { string s = 1; ", "the message 'M' is not closed"),
        ('syntax = "proto9";', "the syntax 'proto9' is not known"),
        ('import "none.proto";', "cannot read the definitions in 'none.proto'"),
        ('import "m.proto";', "'m.proto' imports itself"),
        ("message N {}", "there is no message 'a.b.M'; there are N"),
        ("message M { § }", "no part of a definition"),
        ("message M {" * 200, "nested too deeply"),
    ],
)
def test_definitions_that_are_none(text: str, problem: str, definitions: dict[str, Any]) -> None:
    Path(definitions["xpath_protobuf_import_paths"][0], "m.proto").write_text(text)
    with pytest.raises(ConfigError) as refused:
        parser(XPathProtobuf, {}, **definitions)
    assert problem in str(refused.value)


def test_the_old_name_of_the_file_of_definitions(definitions: dict[str, Any]) -> None:
    (file,) = definitions.pop("xpath_protobuf_files")
    made = parser(XPathProtobuf, {"fields": {"s": "s"}}, xpath_protobuf_file=file, **definitions)
    assert made.parse(b"\x0a\x01x")[0].fields == {"s": "x"}
    with pytest.raises(ConfigError, match="xpath_protobuf_files must name"):
        parser(XPathProtobuf, {}, **definitions)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.binary(max_size=60) | st.text("<>/&;a='\"!-[]{}: \n", max_size=40).map(str.encode))
def test_any_bytes_give_metrics_or_one_error(name: str, data: bytes) -> None:
    made = parser(FORMATS[name], {"field_selection": "//*", "field_name_expansion": True}, xpath_native_types=True)
    with contextlib.suppress(ParseError):
        made.parse(data)


def test_definitions_of_a_text_from_a_url_are_read_past_its_guard(tmp_path: Path) -> None:
    guard = Guard({"STATE_DIRECTORY": str(tmp_path / "state")})
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "secret").write_text("SECRET")
    (tmp_path / "plain.proto").write_text('syntax = "proto3"; message M { int32 a = 1; }')
    (tmp_path / "above.proto").write_text('syntax = "proto3"; import "state/secret";')
    (tmp_path / "far.proto").write_text(f'syntax = "proto3"; import "{tmp_path}/state/secret";')

    def load(file: str, folder: str) -> None:
        load_message([HostedPath(file, guard)], [HostedPath(folder, guard)] if folder else [], "M")

    load("plain.proto", str(tmp_path))
    for file, folder in (
        ("self/environ", "/proc"),
        ("state/secret", str(tmp_path)),
        ("above.proto", str(tmp_path)),
        ("far.proto", str(tmp_path)),
        (f"{tmp_path}/far.proto", ""),
    ):
        with pytest.raises(PermissionError, match="secrets of this host"):
            load(file, folder)


MANY = b"<r>" + b"<b>x</b>" * 3000 + b"</r>"
NESTED = b"<a>" * 60 + b"</a>" * 60


@pytest.mark.parametrize(
    ("selection", "place"),
    [
        ({"metric_selection": "//b[count(//b) = 1]"}, ""),
        ({"metric_selection": "/r/b[count(following::*) < 0]"}, ""),
        ({"metric_selection": "/r/b[count(preceding-sibling::*) < 0]"}, ""),
        ({"metric_selection": "/r/b[//b = //b/@none]"}, ""),
        ({"fields": {"x": "count(//b[string(/) = 'y'])"}}, "fields.x: "),
        ({"tags": {"x": "string(//b[ancestor::r and ../../none])"}}, "tags.x: "),
    ],
)
def test_expressions_that_take_too_long_are_ended(
    selection: dict[str, Any], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parser(Xml, selection, xpath_allow_empty_selection=True)
    made.parse(XML)
    monkeypatch.setattr(xpath, "SECONDS", -1)
    made.parse(XML)  # what is small has no look at the clock
    with pytest.raises(ParseError) as caught:
        made.parse(MANY)
    assert str(caught.value) == (
        f"{place}it takes more than -1 s to find what the expressions ask for; make them more exact, as // and * look at all "
        "there is"
    )


@pytest.mark.parametrize(
    "selection", [{"metric_selection": "//*//*//*"}, {"field_selection": "//*//*"}, {"tag_selection": "//*//*"}]
)
def test_what_is_made_of_a_document_is_bounded(selection: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = parser(Xml, selection)
    made.parse(NESTED)
    monkeypatch.setattr(page_room, "_MOST", 1000)
    with pytest.raises(TooMuch, match="it holds too many metrics"):
        made.parse(NESTED)


def test_a_text_that_is_joined_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    expressions = {"x": "string-join(/r/b, ',')"}
    assert len(fields(Xml, MANY, expressions)["x"]) == 5999
    monkeypatch.setattr(xpath, "_MOST_JOINED", 2999)
    with pytest.raises(ParseError, match=r"fields.x: string-join\(\) gives more than 0 MiB; select fewer nodes"):
        fields(Xml, MANY, expressions)

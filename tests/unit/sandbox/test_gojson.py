"""JSON in the words of Go's decoder: each message is what encoding/json of Go 1.26 says of the text."""

import pytest

from pyagent.sandbox.gojson import (
    ANY,
    BOOL,
    DURATION,
    ID,
    INT64,
    STRING,
    TIME,
    GoJSONError,
    decode,
    list_of,
    map_of,
    struct,
    text,
)
from pyagent.sandbox.gotime import parse_go_time

RULE = struct("tenant.rule", type=STRING, everySeconds=INT64)
SHAPE = struct(
    "http.Request",
    query=STRING,
    orgID=ID,
    dialect=struct("http.Dialect", header=BOOL, annotations=list_of(STRING)),
    rules=list_of(RULE),
    properties=map_of(STRING),
    now=TIME,
    status=text("influxdb.Status"),
    any=ANY,
    Name=STRING,
    wait=DURATION,
)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "EOF"),
        (" \n", "EOF"),
        ("{", "unexpected EOF"),
        ('{"query":"x"', "unexpected EOF"),
        ("1.", "unexpected EOF"),
        ("nul", "unexpected EOF"),
        ("x", "invalid character 'x' looking for beginning of value"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("\u00fc", "invalid character '\u00c3' looking for beginning of value"),
        ("from(", "invalid character 'r' in literal false (expecting 'a')"),
        ("trux", "invalid character 'x' in literal true (expecting 'e')"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 "b"', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("[-x]", "invalid character 'x' in numeric literal"),
        ("[01]", "invalid character '1' after array element"),
        ("[1.e]", "invalid character 'e' after decimal point in numeric literal"),
        ("[1e+]", "invalid character ']' in exponent of numeric literal"),
        ('"a\nb"', "invalid character '\\n' in string literal"),
        ('"\\q"', "invalid character 'q' in string escape code"),
        ('"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        ("[\x00]", "invalid character '\\x00' looking for beginning of value"),
        ("[]", "json: cannot unmarshal array into Go value of type http.Request"),
        ('"x"', "json: cannot unmarshal string into Go value of type http.Request"),
        ("5", "json: cannot unmarshal number into Go value of type http.Request"),
        ("true", "json: cannot unmarshal bool into Go value of type http.Request"),
        ('{"query":5}', "json: cannot unmarshal number into Go struct field Request.query of type string"),
        ('{"query":{}}', "json: cannot unmarshal object into Go struct field Request.query of type string"),
        ('{"name":[]}', "json: cannot unmarshal array into Go struct field Request.Name of type string"),
        ('{"status":true}', "json: cannot unmarshal bool into Go struct field Request.status of type influxdb.Status"),
        ('{"dialect":[]}', "json: cannot unmarshal array into Go struct field Request.dialect of type http.Dialect"),
        ('{"dialect":{"header":"x"}}', "json: cannot unmarshal string into Go struct field Dialect.dialect.header of type bool"),
        ('{"dialect":{"annotations":["a",1]}}',
         "json: cannot unmarshal number into Go struct field Dialect.dialect.annotations of type string"),
        ('{"rules":{}}', "json: cannot unmarshal object into Go struct field Request.rules of type []tenant.rule"),
        ('{"rules":[{"everySeconds":1.5}]}',
         "json: cannot unmarshal number 1.5 into Go struct field rule.rules.everySeconds of type int64"),
        ('{"rules":[{"everySeconds":9223372036854775808}]}',
         "json: cannot unmarshal number 9223372036854775808 into Go struct field rule.rules.everySeconds of type int64"),
        ('{"properties":{"a":1}}', "json: cannot unmarshal number into Go struct field Request.properties of type string"),
        ('{"properties":[]}', "json: cannot unmarshal array into Go struct field Request.properties of type map[string]string"),
        ('{"wait":"1s"}', "json: cannot unmarshal string into Go struct field Request.wait of type time.Duration"),
        ('{"orgID":5}', "json: cannot unmarshal number into Go struct field Request.orgID of type platform.ID"),
        ('{"orgID":"x"}', "id must have a length of 16 bytes"),
        ('{"orgID":"000000000000000g"}', "invalid ID"),
        ('{"orgID":"000000000000000\u00ff"}', "id must have a length of 16 bytes"),
        ("{\u00a0", "invalid character '\u00c2' looking for beginning of object key string"),
        ('{"query":5,"orgID":"x"}', "id must have a length of 16 bytes"),
        ('{"query":5,"name":6}', "json: cannot unmarshal number into Go struct field Request.query of type string"),
        ('{"now":5}', "Time.UnmarshalJSON: input is not a JSON string"),
        ('{"now":"x"}', 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'),
    ],
)  # fmt: skip
def test_what_does_not_fit(body: str, message: str) -> None:
    with pytest.raises(GoJSONError) as refused:
        decode(body.encode(), SHAPE)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("null", None),
        ("{}", {}),
        ('{"query":"x"} garbage', {"query": "x"}),
        ('{"QUERY":"x","other":1}', {"query": "x"}),
        ('{"query":"a","query":"b","rules":null,"wait":null}', {"query": "b"}),
        ('{"dialect":{"header":true},"dialect":{"annotations":[]}}', {"dialect": {"header": True, "annotations": []}}),
        ('{"rules":[{"everySeconds":-5},null]}', {"rules": [{"everySeconds": -5}, {}]}),
        ('{"any":{"a":[1,2.5,"x",null]}}', {"any": {"a": [1, 2.5, "x", None]}}),
        ('{"orgID":"00000000000000AB"}', {"orgID": "00000000000000ab"}),
        ('{"now":"1970-01-01T01:00:00.5+01:00"}', {"now": 500_000_000}),
        ('{"query":"\\ud800"}', {"query": "\ufffd"}),
    ],
)
def test_what_fits(body: str, value: object) -> None:
    assert decode(body.encode(), SHAPE) == value


def test_nothing_may_be_behind_a_whole_text() -> None:
    assert decode(b"{} ", SHAPE, whole=True) == {}
    with pytest.raises(GoJSONError, match=r"^invalid character 'x' after top-level value$"):
        decode(b"{} x", SHAPE, whole=True)


def test_depth() -> None:
    def nested(levels: int) -> bytes:
        return b'{"any":' + b'[{"a":' * (levels // 2) + b"1" + b"}]" * (levels // 2) + b"}"

    for body in (b"[" * 20000, b"[" * 20000 + b"]" * 20000, nested(200)):
        with pytest.raises(GoJSONError, match=r"^exceeded max depth$"):
            decode(body, SHAPE)
    assert "any" in decode(nested(198), SHAPE)
    assert decode(b'{"any":[' + b"[]," * 1000 + b"[]]}", SHAPE)["any"] == [[]] * 1001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2026-01-01", 'as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"'),
        ("2026-13-01T00:00:00Z", ": month out of range"),
        ("2026-02-30T00:00:00Z", ": day out of range"),
        ("2026-01-01T25:00:00Z", ": hour out of range"),
        ("2026-01-01T00:60:00Z", ": minute out of range"),
        ("2026-01-01T00:00:60Z", ": second out of range"),
        ("2026-01-01T00:00:00", 'as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"'),
        ("2026-01-01T00:00:00Zx", ': extra text: "x"'),
    ],
)
def test_what_is_no_time(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="parsing time ") as refused:
        parse_go_time(text)
    joined = message if message.startswith(":") else f" {message}"
    assert str(refused.value) == f'parsing time "{text}"{joined}'

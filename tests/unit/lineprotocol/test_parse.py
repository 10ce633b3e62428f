"""Vectors of the parser: what is read, what is refused, and what a bad line costs."""

import math
from types import SimpleNamespace

import pytest

from pyagent.api import FieldValue, Metric, Uint
from pyagent.lineprotocol.results import MAX_ERROR_BYTES

NOW = 1_700_000_000_123_456_789


def one(core: SimpleNamespace, data: bytes | str) -> Metric:
    parsed = core.parse(data, NOW)
    assert parsed.errors == []
    [metric] = parsed.metrics
    return metric  # type: ignore[no-any-return]


def test_a_line(core: SimpleNamespace) -> None:
    metric = one(core, b'cpu,host=h,cpu=cpu0 b=1.5,a=2i,u=3u,s="x",t=t 1700000000000000001\n')
    fields: dict[str, FieldValue] = {"b": 1.5, "a": 2, "u": Uint(3), "s": "x", "t": True}
    assert metric == Metric("cpu", {"cpu": "cpu0", "host": "h"}, fields, 1700000000000000001)
    assert [type(value) for value in metric.fields.values()] == [float, int, Uint, str, bool]


def test_text_is_read_as_its_bytes_are(core: SimpleNamespace) -> None:
    line = 'é,ü=ß ñ="😀" 1'
    assert one(core, line) == one(core, line.encode()) == Metric("é", {"ü": "ß"}, {"ñ": "😀"}, 1)
    assert one(core, b'm\xff,t\xff=\x80 f\xc3="\xe4" 1') == Metric(
        "m\udcff", {"t\udcff": "\udc80"}, {"f\udcc3": "\udce4"}, 1
    )
    assert one(core, 'm f="\udcff\ud800" 1').fields == {"f": "\udcff\ufffd"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0), ("-1", -1.0), ("1.", 1.0), (".5", 0.5), ("-.5", -0.5), ("1e5", 1e5), ("1E-3", 1e-3), ("1e+2", 100.0),
        ("007", 7.0), ("-0", -0.0), ("0.1", 0.1), ("1e-400", 0.0), ("-1e-400", -0.0), ("5e-324", 5e-324),
        ("1.7976931348623157e308", 1.7976931348623157e308), ("0" * 400 + "1", 1.0), ("9" * 308, 1e308),
        ("0." + "0" * 500 + "1", 0.0), ("2.2250738585072011e-308", 2.2250738585072011e-308),
        ("0e999999999999999999999", 0.0), ("0." + "0" * 400 + "1e401", 1.0),
        ("42i", 42), ("-42i", -42), ("007i", 7), ("9223372036854775807i", 2**63 - 1), ("-9223372036854775808i", -(2**63)),
        ("0" * 5000 + "5i", 5), ("-0i", 0), ("0u", Uint(0)), ("18446744073709551615u", Uint(2**64 - 1)),
        ("0" * 5000 + "5u", Uint(5)),
        ("t", True), ("T", True), ("true", True), ("True", True), ("TRUE", True),
        ("f", False), ("F", False), ("false", False), ("False", False), ("FALSE", False),
        ('""', ""), ('"a,b =c"', "a,b =c"), (r'"\""', '"'), (r'"\\"', "\\"), (r'"a\nb\,"', r"a\nb\,"), (r'"\\\""', '\\"'),
        ('"a\nb\r\n"', "a\nb\r\n"), ('"#"', "#"), ('"\0\t"', "\0\t"),
    ],
)  # fmt: skip
def test_values(core: SimpleNamespace, text: str, value: FieldValue) -> None:
    for line in (f"m f={text}", f"m f={text} 5", f"m f={text},g=1", f"m f={text}\n"):
        got = one(core, line).fields["f"]
        assert (type(got), got) == (type(value), value)
        if isinstance(got, float):
            assert math.copysign(1, got) == math.copysign(1, float(value))


@pytest.mark.parametrize(
    "text",
    [
        "NaN", "nan", "Inf", "-Inf", "+1", "1.1.1", "--1", "-", ".", "-.", "e5", "1e", "1e+", "1e5e5", "1_000", "0x10", "1.0i",
        "1e5i", "i", "-i", "1i1", "1ii", "1iu", "-1u", "u", "1u1", ".u", "9223372036854775808i", "-9223372036854775809i",
        "18446744073709551616u", "1e400", "-1e400", "9" * 400, "9" * 30 + "i", "tr", "truE", "tRUE", "yes", "Tr", "falsE", "x",
        '"', '"a', '"\\"', '"a"b', '"a""b"', "'a'", "1\t", "1\r\r", "t\r\r", '"a"\t', "\t1", "1\0", "",
    ],
)  # fmt: skip
def test_no_values(core: SimpleNamespace, text: str) -> None:
    parsed = core.parse(f"a f=1 1\nm f={text}\nb f=2 2", NOW)
    assert [metric.name for metric in parsed.metrics] == ["a", "b"]
    [error] = parsed.errors
    assert (error.line, error.text) == (2, f"m f={text}")


@pytest.mark.parametrize(
    ("line", "metric"),
    [
        (r"a\,b\ c\=d=e f=1 1", Metric(r"a,b c\=d=e", {}, {"f": 1.0}, 1)),
        (r"m,a\,\=\ b=c\,\=\ d f=1 1", Metric("m", {"a,= b": "c,= d"}, {"f": 1.0}, 1)),
        (r"m f\,\=\ g=1 1", Metric("m", {}, {"f,= g": 1.0}, 1)),
        (r"\, \==1 1", Metric(",", {}, {"=": 1.0}, 1)),
        (r"m\a\\b,t\c=\\d f\e=1 1", Metric(r"m\a\\b", {r"t\c": r"\\d"}, {r"f\e": 1.0}, 1)),
        (r"m\\,b c=1 1", Metric(r"m\,b", {}, {"c": 1.0}, 1)),
        (r"m,a=x\\,b\\ c\\=d f=1 1", Metric("m", {"a": r"x\,b\ c\=d"}, {"f": 1.0}, 1)),
        ('"m",t"=" f"=1 1', Metric('"m"', {'t"': '"'}, {'f"': 1.0}, 1)),
        ("m,t==x f=1 1", Metric("m", {"t": "=x"}, {"f": 1.0}, 1)),
        ("m,t== f=1 1", Metric("m", {"t": "="}, {"f": 1.0}, 1)),
        ("m#x f=1 1", Metric("m#x", {}, {"f": 1.0}, 1)),
        ("m\r\t\0 f=1 1", Metric("m\r\t\0", {}, {"f": 1.0}, 1)),
        (" \t\0m \t\0f=1 \t\x005   ", Metric("m", {}, {"f": 1.0}, 5)),
        ("m f=1 -1", Metric("m", {}, {"f": 1.0}, -1)),
        ("m f=1 007", Metric("m", {}, {"f": 1.0}, 7)),
        ("m f=1 " + "0" * 5000 + "7", Metric("m", {}, {"f": 1.0}, 7)),
        ("m f=1 9223372036854775806", Metric("m", {}, {"f": 1.0}, 2**63 - 2)),
        ("m f=1 -9223372036854775806", Metric("m", {}, {"f": 1.0}, -(2**63) + 2)),
        ("m f=1 \t", Metric("m", {}, {"f": 1.0}, NOW)),
        ("m f=1,g=2,f=3 1", Metric("m", {}, {"f": 3.0, "g": 2.0}, 1)),
        ("# c\n\n \t\n  # d\nm f=1 1\n#e", Metric("m", {}, {"f": 1.0}, 1)),
    ],
)
def test_lines(core: SimpleNamespace, line: str, metric: Metric) -> None:
    got = one(core, line)
    assert got == metric
    assert list(got.fields) == list(metric.fields)


@pytest.mark.parametrize("data", ["", "\n", "\n\n \t\0\n", "#", "# f=1\n", "  #\n\n#\n"])
def test_nothing(core: SimpleNamespace, data: str) -> None:
    parsed = core.parse(data, NOW)
    assert (parsed.metrics, parsed.errors) == ([], [])


def test_precision(core: SimpleNamespace) -> None:
    for precision, unit in (("ns", 1), ("us", 1000), ("ms", 10**6), ("s", 10**9)):
        with_time, without = core.parse("m f=1 5\nm f=1", NOW, precision).metrics
        assert (with_time.time, without.time) == (5 * unit, NOW // unit * unit)
    assert core.parse("m f=1", -1, "s").metrics[0].time == -(10**9)
    assert core.parse("m f=1 9223372036855", NOW, "ms").errors[0].reason == "time outside range"
    with pytest.raises(ValueError, match="'h'"):
        core.parse("", NOW, "h")


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("m", 2, "missing fields"),
        ("m ", 3, "missing fields"),
        (",t=v f=1", 1, "missing measurement"),
        ("m, f=1", 3, "missing tag key"),
        ("m,,a=b f=1", 3, "missing tag key"),
        ("m,=b f=1", 3, "missing tag key"),
        ("m,a=b, f=1", 7, "missing tag key"),
        ("m,a f=1", 4, "missing tag value"),
        ("m,a,b=c f=1", 4, "missing tag value"),
        ("m,a= f=1", 4, "missing tag value"),
        ("m,a=,b=c f=1", 4, "missing tag value"),
        ("m,a=b=c f=1", 6, "invalid tag format"),
        ("m,é=b=c f=1", 6, "invalid tag format"),
        ("m,a=b,a=c f=1", 7, "duplicate tags"),
        ("m,b=b,a=c,b=d f=1", 11, "duplicate tags"),
        ("m,time=b f=1", 3, 'cannot use reserved tag key "time"'),
        ("m,_field=b f=1", 3, 'cannot use reserved tag key "_field"'),
        ("m,_measurement=b f=1", 3, 'cannot use reserved tag key "_measurement"'),
        ("m,a=b", 6, "missing fields"),
        ("m,a", 4, "missing tag value"),
        ("m\\ f=1", 7, "missing fields"),
        ("m =1", 3, "missing field key"),
        ("m f=1,=2", 7, "missing field key"),
        ("m f=1,", 7, "missing field key"),
        ("m f=1,,g=2", 7, "missing field key"),
        ("m f", 4, "invalid field format"),
        ("m f,g=1", 4, "invalid field format"),
        ("m f\\=1", 7, "invalid field format"),
        ("m f= 1", 5, "missing field value"),
        ("m f=", 5, "missing field value"),
        ("m f=,g=1", 5, "missing field value"),
        ("m f=1x", 5, "invalid number"),
        ("m f=1i,g=NaN", 10, "invalid number"),
        ("m f=x", 5, "invalid boolean"),
        ("m f=1e999", 5, "invalid float"),
        ("m f=9223372036854775808i", 5, "integer outside range"),
        ("m f=18446744073709551616u", 5, "unsigned integer outside range"),
        ('m f="x', 5, "unbalanced quotes"),
        ('m f="x"y', 8, "invalid field format"),
        ("m f=1 x", 7, "bad timestamp"),
        ("m f=1  1x", 8, "bad timestamp"),
        ("m f=1 1 2", 7, "bad timestamp"),
        ("m f=1 1\t", 7, "bad timestamp"),
        ("m f=1 -", 7, "bad timestamp"),
        ("m f=1 1.5", 7, "bad timestamp"),
        ("m f=1 9223372036854775807", 7, "time outside range"),
        ("m f=1 -9223372036854775807", 7, "time outside range"),
        ("m f=1 " + "9" * 5000, 7, "time outside range"),
        ("m," + "k" * 65536 + "=v f=1", 1, "max key length exceeded"),
        ("m g=1," + "k" * 65531 + "=1", 7, "max key length exceeded"),
        ("m f=1\r\r", 5, "invalid number"),
        ("m f=1 1\r ", 7, "bad timestamp"),
        ("\r\r", 3, "missing fields"),
    ],
)
def test_errors_say_where_and_why_and_cost_no_neighbour(
    core: SimpleNamespace, line: str, column: int, reason: str
) -> None:
    parsed = core.parse(f"good f=1 1\n{line}\ngood f=2 2\n{line}", NOW)
    assert [metric.fields for metric in parsed.metrics] == [{"f": 1.0}, {"f": 2.0}]
    assert [(error.line, error.column, error.reason) for error in parsed.errors] == [
        (2, column, reason),
        (4, column, reason),
    ]
    assert {error.text for error in parsed.errors} == {line[:MAX_ERROR_BYTES]}


def test_the_longest_key(core: SimpleNamespace) -> None:
    assert len(one(core, "m " + "k" * 65530 + "=1").fields) == 1
    assert one(core, "m,t=" + "v" * 65526 + " f=1").tags == {"t": "v" * 65526}


def test_a_line_may_end_in_cr_lf(core: SimpleNamespace) -> None:
    lines = ["m f=1", 'm f="a\r\nb"', "m f=2i 5", "m f=t 6  ", "", "# c", " ", 'm f="\r" 7', "m f=3u", ""]
    parsed = core.parse("\r\n".join(lines), NOW)
    assert parsed.errors == []
    assert [(metric.fields["f"], metric.time) for metric in parsed.metrics] == [
        (1.0, NOW), ("a\r\nb", NOW), (2, 5), (True, 6), ("\r", 7), (3, NOW),
    ]  # fmt: skip
    parsed = core.parse("a f=1,\r\nb f=\r\nc\r\nm f=1\r\nd f=1 x\r\n", NOW)
    assert [(error.line, error.column) for error in parsed.errors] == [(1, 8), (2, 5), (3, 3), (5, 7)]
    assert [metric.name for metric in parsed.metrics] == ["m"]


def test_a_bad_line_ends_behind_its_strings(core: SimpleNamespace) -> None:
    data = 'a,,b f="x\ny f=1\n" 1\nm f=1 1\nb f=x,g="\nz f=1",h="\\"\n" 5\nm f=2 2\nc f="1\n2" 1x\nm f=3 3'
    parsed = core.parse(data, NOW)
    assert [metric.fields["f"] for metric in parsed.metrics] == [1.0, 2.0, 3.0]
    assert [(error.line, error.column) for error in parsed.errors] == [(1, 3), (5, 5), (10, 4)]
    assert [error.text for error in parsed.errors] == [
        'a,,b f="x\ny f=1\n" 1',
        'b f=x,g="\nz f=1",h="\\"\n" 5',
        'c f="1\n2" 1x',
    ]


def test_where_quotes_cannot_be_trusted_a_bad_line_ends_at_the_newline(core: SimpleNamespace) -> None:
    parsed = core.parse('a f="x\nm f=1 1\nb f="y\nm f="z" 2\nm f=3 3\nc f="\nm f=4 4\n', NOW)
    assert [metric.fields["f"] for metric in parsed.metrics] == [1.0, "z", 3.0, 4.0]
    assert [(error.line, error.column) for error in parsed.errors] == [(1, 5), (3, 5), (6, 5)]
    assert {error.reason for error in parsed.errors} == {"unbalanced quotes"}


def test_a_quote_in_a_tag_is_no_string(core: SimpleNamespace) -> None:
    parsed = core.parse('m,,t=" f=1\nm f=1 1\nm,t=" f=2 2', NOW)
    assert [metric.fields["f"] for metric in parsed.metrics] == [1.0, 2.0]


def test_each_metric_has_its_own_tags_and_shares_their_text(core: SimpleNamespace) -> None:
    first, second = core.parse("mmm,ttt=vvv fff=1 1\nmmm,ttt=vvv fff=1 2", NOW).metrics
    first.tags["x"] = "y"
    assert second.tags == {"ttt": "vvv"}
    assert first.name is second.name
    assert first.tags["ttt"] is second.tags["ttt"]
    assert next(iter(first.fields)) is next(iter(second.fields))
    assert one(core, "mmm,ttt=vvv fff=1 1").tags == {"ttt": "vvv"}


def test_what_is_no_text_is_a_type_error(core: SimpleNamespace) -> None:
    for data in (None, 5, bytearray(b"m f=1"), [b"m f=1"]):
        for function in (core.parse, core.relay):
            with pytest.raises(TypeError, match="line protocol is bytes or str"):
                function(data, NOW)
        with pytest.raises(TypeError):
            core.parse(b"m f=1", None)


def test_many_bad_lines_take_time_in_proportion(core: SimpleNamespace) -> None:
    data = (
        b'm f="a\n' * 20000
        + b"m,a f=1\n" * 20000
        + b"a\n" * 50000
        + b'm f=x,g="\\"\n' * 20000
        + b"=" * 100000
        + b"\nm f=1 1"
    )
    parsed = core.parse(data, NOW)
    assert parsed.metrics[-1] == Metric("m", {}, {"f": 1.0}, 1)
    assert parsed.bad >= 100000

"""The serializer json: the text that Telegraf writes, whatever the metric holds."""

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric, Serializer, Uint
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.json import Json

TIME = 1_700_000_000_123_456_789


def made(**options: Any) -> Serializer[Any]:
    return make_serializer(Json, options)


def one(fields: dict[str, Any], tags: dict[str, str] | None = None, time: int = TIME, **options: Any) -> str:
    return made(**options).serialize(Metric("m", tags or {}, fields, time)).decode()


def test_a_record_is_an_object_on_a_line() -> None:
    text = one({"user": 42, "idle": 57.5, "big": Uint(2**64 - 1), "on": True, "note": "fine"}, {"core": "0"})
    assert text == (
        '{"fields":{"big":18446744073709551615,"idle":57.5,"note":"fine","on":true,"user":42},'
        '"name":"m","tags":{"core":"0"},"timestamp":1700000000}\n'
    )


def test_a_document_has_a_list() -> None:
    metrics = [Metric("a", {}, {"f": 1}, TIME), Metric("b", {}, {"f": 2}, TIME)]
    objects = [made().serialize(metric).decode().rstrip("\n") for metric in metrics]
    assert made().serialize_batch(metrics).decode() == '{"metrics":[' + ",".join(objects) + "]}\n"
    assert made().serialize_batch([]) == b'{"metrics":[]}\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1.2345678901234567e20, "123456789012345670000"),
        (-0.0, "-0"),
        (1e-7, "1e-7"),
        (1e-6, "0.000001"),
        (1.25e-5, "0.0000125"),
        (-1.25e-5, "-0.0000125"),
        (1.5e300, "1.5e+300"),
        (42.0, "42"),
        (0.1, "0.1"),
        (True, "true"),
        (-(2**63), "-9223372036854775808"),
        ('q" \\ <b>&\u2028\x01\n é', '"q\\" \\\\ \\u003cb\\u003e\\u0026\\u2028\\u0001\\n é"'),
        ("\udcff", '"\ufffd"'),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert one({"f": value}).startswith('{"fields":{"f":' + text + "},")


def test_what_is_no_json_is_left_out() -> None:
    assert json.loads(one({"a": math.nan, "b": math.inf, "c": -math.inf, "v": 1}))["fields"] == {"v": 1}
    assert json.loads(one({"a": math.nan}))["fields"] == {}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"json_timestamp_units": "1ns"}, TIME),
        ({"json_timestamp_units": "13ms"}, 170_000_000_012),
        ({"json_timestamp_units": "999us"}, 17_000_000_001_234),
        ({"json_timestamp_units": "0s"}, 1_700_000_000),
        ({"json_timestamp_units": "-5s"}, 1_700_000_000),
        ({"json_timestamp_format": "2006-01-02T15:04:05.000Z07:00"}, "2023-11-14T22:13:20.123Z"),
        ({"json_timestamp_format": "Mon, 02 Jan 06 3:4:5.999 PM -0700"}, "Tue, 14 Nov 23 10:13:20.123 PM +0000"),
        ({"json_timestamp_format": "no element"}, "no element"),
    ],
)
def test_timestamps(options: dict[str, Any], wanted: Any) -> None:
    assert json.loads(one({"f": 1}, **options))["timestamp"] == wanted


def test_a_time_before_the_epoch_is_cut_towards_it() -> None:
    assert json.loads(one({"f": 1}, time=-1_500_000_000))["timestamp"] == -1


class TestNested:
    def test_text_that_holds_json_is_put_in(self) -> None:
        text = '{"b": [1, 2.0, 1e300, null, true], "a": "<"}'
        found = one({"x": text, "y": "no json", "z": text}, json_nested_fields_include=["x", "y"])
        assert '"x":{"a":"\\u003c","b":[1,2,1e+300,null,true]},"y":"no json"' in found
        assert json.loads(found)["fields"]["z"] == text

    def test_those_excluded_stay_text(self) -> None:
        fields = json.loads(one({"x": "[1]", "y": "[1]"}, json_nested_fields_exclude=["y*"]))["fields"]
        assert fields == {"x": [1], "y": "[1]"}

    @pytest.mark.parametrize("text", ["NaN", "1e999", "[" * 100_000, "", "{'a': 1}"])
    def test_what_is_none_stays_text(self, text: str) -> None:
        assert json.loads(one({"x": text}, json_nested_fields_include=["*"]))["fields"] == {"x": text}


class TestTransformation:
    METRIC = Metric("m", {"host": "x"}, {"a": 1, "b": 2.5, "n": math.nan, "big": Uint(2**64 - 1)}, TIME)

    @pytest.mark.parametrize(
        ("expression", "wanted"),
        [
            (
                '{"what": name, "sum": fields.a + fields.b, "where": $uppercase(tags.host)}',
                '{"sum":3.5,"what":"m","where":"X"}',
            ),
            ("fields", '{"a":1,"b":2.5,"big":18446744073709551615}'),
            ("timestamp / 7", "242857142.85714287"),
            ('"<a>"', r'"\u003ca\u003e"'),
            ("$merge([tags, fields.{'c': a}])", '{"c":1,"host":"x"}'),
            ("$match(name, /M/i).index", "0"),
            ("[$keys(fields), nope]", '["a","b","big"]'),
        ],
    )
    def test_of_a_metric(self, expression: str, wanted: str) -> None:
        assert made(json_transformation=expression).serialize(self.METRIC).decode() == wanted + "\n"

    def test_of_a_batch(self) -> None:
        serializer = made(json_transformation="metrics.(name & fields.a)")
        assert serializer.serialize_batch([self.METRIC, self.METRIC]) == b'["m1","m1"]\n'
        assert serializer.slow

    @pytest.mark.parametrize(
        ("expression", "message"),
        [
            ("nope", "the transformation gives nothing"),
            ("1/0", "the transformation fails: float division by zero"),
            ("function($x){$x}", "cannot be JSON"),
            ("($f := function($x){$f($x) + 1}; $f(1))", "the transformation fails: "),
            ('"a" + 1', "the transformation fails: "),
        ],
    )
    def test_what_cannot_be_transformed(self, expression: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            made(json_transformation=expression).serialize(self.METRIC)

    DOUBLED = "($d:=function($s,$n){$n=0?$s:$d(%s,$n-1)};$x:=$d(%s);%s)"

    @pytest.mark.parametrize(
        "expression",
        [
            DOUBLED % ("$s&$s", "'xxxxxxxx',40", "$x"),
            DOUBLED % ("$append($s,$s)", "[1,2],40", "$count($x)"),
            DOUBLED % ("[[$s],[$s]]", "['x'],40", "$x"),
            DOUBLED % ("{'a':$s,'b':$s}", "'x',40", "$string($x)"),
            DOUBLED % ("{'a':$s,'b':$s}", "'x',40", "$x & ''"),
            DOUBLED % ("{'a':$s,'b':$s}", "'x',40", "$x.** "),
            '$pad("x", 2000000000)',
            '$pad("x", -2000000000)',
            '$map([1..4000000], function($i){$pad("x", 100)})',
            '[1..4000].$pad("x", 100000)',
            '($s:=$pad("x",1000000); $join([1..100000].$s))',
            '($s:=$pad("x",1000000,"x"); $replace($s, "x", $s))',
            '($s:=$pad("x",1000000,"x"); $replace($s, /x/, $s))',
            "$formatInteger(1000000000000, 'I')",
            "$fromMillis(1, '[Y,1000000000-1000000000]')",
            "$count([1..9000000])",
            """$eval("$pad('x', 2000000000)")""",
            "($__evaluate_entry:=nope; $__evaluate_exit:=nope; $pad('x', 2000000000))",
        ],
    )
    def test_memory_is_bounded(self, expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pyagent.kit.jsonata_bounds.SECONDS", 1e9)
        monkeypatch.setattr("pyagent.kit.jsonata_bounds.MOST_BYTES", 16 << 20)
        serializer = made(json_transformation=expression)
        with pytest.raises(ValueError, match=r"fails: it takes more than 16 MiB of memory$"):
            serializer.serialize(self.METRIC)

    def test_metrics_one_by_one_have_the_time_of_a_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = [100.0]

        def now() -> float:
            clock[0] += 0.001
            return clock[0]

        monkeypatch.setattr("pyagent.kit.jsonata_bounds.time.monotonic", now)
        serializer = made(json_transformation="($f:=function($n){$n=0?'x':$f($n-1)}; $f(100000))")
        times = []
        for _ in range(4):
            begun = clock[0]
            with pytest.raises(ValueError, match=r"it takes too long: a batch has 5 s, and 5 ms for each metric$"):
                serializer.serialize(self.METRIC)
            times.append(clock[0] - begun)
        assert times[0] > 5
        assert max(times[1:]) < 0.1
        clock[0] += 10
        quick = made(json_transformation="name")
        assert [quick.serialize(self.METRIC) for _ in range(3000)] == [b'"m"\n'] * 3000

    def test_two_expressions_in_one_thread(self) -> None:
        first, second = (
            made(json_transformation="($x:='a'; $x & name)"),
            made(json_transformation="$eval('$uppercase(name)')"),
        )
        for _ in range(2):
            assert (first.serialize(self.METRIC), second.serialize(self.METRIC)) == (b'"am"\n', b'"M"\n')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"json_transformation": "("}, "cannot transform JSON: Expected ) before end of expression; correct the"),
        ({"json_nested_fields_include": ["[a"]}, "the option 'json_nested_fields_include': "),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + re.escape(message)) as error:
        made(**options)
    assert error.value.option == next(iter(options))


@given(
    st.text(),
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(st.text(), st.integers(-(2**63), 2**64 - 1) | st.floats() | st.booleans() | st.text()),
)
def test_whatever_is_written_is_json(name: str, tags: dict[str, str], fields: dict[str, Any]) -> None:
    def seen(text: str) -> str:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)

    found = json.loads(made().serialize(Metric(name, tags, fields, TIME)))
    assert found["name"] == seen(name)
    assert found["tags"] == {seen(key): seen(value) for key, value in sorted(tags.items())}
    finite = {key: value for key, value in fields.items() if not isinstance(value, float) or math.isfinite(value)}
    wanted = {seen(key): seen(value) if isinstance(value, str) else value for key, value in sorted(finite.items())}
    for key, value in wanted.items():
        if isinstance(value, float):  # a whole one is written without a point
            found["fields"][key] = float(found["fields"][key])
    assert found["fields"] == wanted

"""Flux: what a script means, and how a wrong one is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.values import add_duration, format_duration, format_float, parse_duration, parse_time
from pyagent.sandbox.store import PointStore
from pyagent.sandbox.times import rfc3339

NOW = int(parse_time("2024-03-31T12:00:00Z"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointStore]:
    made = PointStore(tmp_path_factory.mktemp("store") / "points.sqlite")
    yield made
    made.close()


@pytest.fixture
def evaluate(store: PointStore) -> Any:
    """The value of an expression, by way of a table with one row."""

    def run(expression: str, before: str = "") -> Any:
        context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
        script = f'import "array"\nimport "strings"\nimport "math"\nimport "date"\nimport "regexp"\nimport "dict"\nimport "internal/debug"\n{before}\n'
        results = execute(script + f"array.from(rows: [{{v: {expression}}}])", context)
        return next(results[0][1][0].rows())["v"]

    return run


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("display(v: [1, 2, 3])", "[1, 2, 3]"),
        ("display(v: [1, 2, 3, 4])", "[\n    1,\n    2,\n    3,\n    4\n]"),
        ("display(v: {b: {d: 1, c: 2}, a: 1})", "{a: 1, b: {c: 2, d: 1}}"),
        (
            "display(v: {a: 1, b: 2, c: 3, d: [1, 2, 3, 4]})",
            "{\n    a: 1,\n    b: 2,\n    c: 3,\n    d: [\n        1,\n        2,\n        3,\n        4\n    ]\n}",
        ),
        ('display(v: ["b": 2, "a": 1])', "[a: 1, b: 2]"),
        ("display(v: [:])", "[:]"),
        ('display(v: dict.insert(dict: ["a": 1], key: "b", value: 2))', "[a: 1, b: 2]"),
        ('display(v: debug.null(type: "bool") or true)', "true"),
        ('display(v: true and debug.null(type: "bool"))', "<null>"),
        ('display(v: debug.null(type: "bool") and true)', "<null>"),
        ('display(v: debug.null(type: "bool") and false)', "false"),
        ('display(v: debug.null(type: "bool") or false)', "<null>"),
        (
            'date.time(t: 2021-03-01T00:00:00Z, location: {zone: "Asia/Kolkata", offset: 0s}) == 2021-03-01T05:30:00Z',
            True,
        ),
        ("2.0 ^ 3.0", 8.0),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2.0", 3.5),
        ("9223372036854775807 + 1", -(2**63)),
        ('"a" + "b"', "ab"),
        ('"${1 + 1} is ${"two"} \\"x\\"\\n"', '2 is two "x"\n'),
        ('"\\x41\\u"', "A\\u"),
        ("not true or 1 < 2 and 2 <= 2", True),
        ('"abc" =~ /^a.c$/', True),
        ('"a/b" !~ /a\\/b/', False),
        ("exists {a: 1}.a and not exists {a: 1}.b", True),
        ("if 1 > 2 then 3 else 4", 4),
        ("[10, 20][1]", 20),
        ("{a: {b: 5}}.a.b", 5),
        ('{"a b": 6}["a b"]', 6),
        ("string(v: 1h30m)", "1h30m"),
        ("string(v: 2020-02-30T00:00:00Z > now())", None),
        ("int(v: 3.9)", 3),
        ('int(v: "-12")', -12),
        ('float(v: "1e3")', 1000.0),
        ("uint(v: 5)", 5),
        ('bool(v: "true")', True),
        ("int(v: 1s)", 10**9),
        ('string(v: time(v: "2020-01-01T01:00:00.5+01:00"))', "2020-01-01T00:00:00.500000000Z"),
        ("int(v: now())", NOW),
        ('strings.toUpper(v: "a") + strings.trimSpace(v: " b ")', "Ab"),
        ('strings.substring(v: "influx", start: 0, end: 3)', "inf"),
        ('strings.joinStr(arr: strings.split(v: "a,b", t: ","), v: "-")', "a-b"),
        ("math.floor(x: -1.5)", -2.0),
        ("math.round(x: 2.5)", 3.0),
        ("string(v: date.truncate(t: 2020-05-17T10:11:12Z, unit: 1mo))", "2020-05-01T00:00:00.000000000Z"),
        ("date.weekDay(t: 2024-03-31T00:00:00Z)", 0),
        ("date.yearDay(t: 2024-12-31T00:00:00Z)", 366),
        ('regexp.replaceAllString(r: /(a)b/, v: "abx", t: "\\$" + "{1}c")', "acx"),
        ('contains(value: "a", set: ["b", "a"])', True),
        ("length(arr: [1, 2, 3])", 3),
    ],
)
def test_expressions(evaluate: Any, expression: str, value: object) -> None:
    if value is None:
        with pytest.raises(InfluxError):
            evaluate(expression)
    else:
        assert evaluate(expression) == value


def test_functions_defaults_blocks_and_closures(evaluate: Any) -> None:
    before = """
        base = 10
        add = (x, y=base) => x + y
        twice = (v=<-) => v * 2
        sign = (n) => {
            positive = n > 0
            return if positive then "+" else "-"
        }
    """
    assert evaluate("add(x: 1)", before) == 11
    assert evaluate("add(x: 1, y: 2) |> twice()", before) == 6
    assert evaluate("sign(n: -3)", before) == "-"


def test_options_and_records(evaluate: Any) -> None:
    before = "option v = {a: 1, b: 2}\noption v.a = 5\nw = {v with c: 3}"
    assert evaluate("w.a + w.b + w.c", before) == 10


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("from(bucket:", "compilation failed: error @1:1-1:13: expected RPAREN, got EOF"),
        ("x = = 1", "compilation failed: error @1:5-1:6: invalid expression: unexpected ="),
        ("x = 1\n\n  y + 1", "error @3:3-3:4: undefined identifier y"),
        ("f = (a) => b", "error @1:12-1:13: undefined identifier b"),
        ('1 + "a"', "error @1:5-1:8: expected int but found string"),
        ("1 and 2", "type conflict: bool != int"),
        ("x = 5\nx()", "error @2:1-2:4: expected function but found int"),
        ("[1][3]", "cannot access element 3 of array of length 1"),
        ("1 / 0", "cannot divide by zero"),
        ("range(start: -1h)", "error @1:1-1:18: missing pipe argument"),
        ('from(bucket: "x") |> range()', "error @1:22-1:29: missing required argument start"),
        ('from(bucket: "x") |> 5', "compilation failed: error @1:22-1:23: pipe destination must be a function call"),
        ('import "no/such"', "error @1:1-1:17: invalid import path no/such"),
        ('import "strings"\nx = strings.nope(v: 1)', "error @2:5-2:12: record is missing label nope"),
        ("x = 99999999999999999999", "invalid integer literal"),
        ('x = "a" =~ /(/', "invalid regular expression"),
        ("(" * 3000, "compilation failed"),
        ("return 1", "return is not allowed outside of a function"),
        ("buckets() |> limit(n: true)", "error @1:23-1:27: expected int but found bool (argument n)"),
    ],
)
def test_wrong_scripts(store: PointStore, script: str, message: str) -> None:
    bucket = {"id": "x", "name": "x", "orgID": "o", "retention": 0}
    context = Context(Reader(store, lambda name, key: bucket), NOW, lambda: [bucket], lambda *_: None)
    with pytest.raises(InfluxError) as caught:
        execute(script, context)
    assert caught.value.code == "invalid"
    assert message in caught.value.message


@given(st.text(st.sampled_from('from(bucket:"x")|>range(start:-1h).[]{}=,/+-"\n1a '), max_size=40))
def test_any_text_is_run_or_refused(text: str) -> None:
    context = Context(Reader(None, lambda name, key: {}), NOW, list, lambda *_: None)  # type: ignore[arg-type]  # never read
    try:
        execute(text, context)
    except InfluxError as error:
        assert error.code in ("invalid", "internal error")  # noqa: PT017  (most texts are refused, some are not)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_shortest_decimals_without_exponent(value: float) -> None:
    text = format_float(value)
    assert float(text) == value
    assert "e" not in text
    assert not text.endswith(".0")


@pytest.mark.parametrize("text", ["0ns", "1y2mo", "1w2d3h4m5s6ms7us8ns", "90m"])
def test_durations(text: str) -> None:
    assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)


@pytest.mark.parametrize(
    ("start", "duration", "end"),
    [
        ("2024-01-31T10:00:00Z", "1mo", "2024-02-29T10:00:00Z"),
        ("2023-12-31T00:00:00Z", "2mo", "2024-02-29T00:00:00Z"),
        ("2020-02-29T00:00:00Z", "1y", "2021-02-28T00:00:00Z"),
        ("1969-12-31T23:59:59.9Z", "100ms", "1970-01-01T00:00:00Z"),
    ],
)
def test_calendar(start: str, duration: str, end: str) -> None:
    assert rfc3339(add_duration(parse_time(start), parse_duration(duration))) == end


@given(st.integers(-(2**63), 2**63 - 1))
def test_times_are_read_as_they_are_written(time: int) -> None:
    assert parse_time(rfc3339(time)) == time


def test_what_takes_no_pipe_names_its_missing_arguments_too() -> None:
    context = Context(Reader(None, lambda name, key: {}), NOW, list, lambda *_: None)  # type: ignore[arg-type]  # never read
    with pytest.raises(InfluxError) as refused:
        execute('import "array"\narray.from(rows: [{a: 1}]) |> pearsonr(x: 1, y: 2)', context)
    at = "error @2:31-2:51: "
    assert refused.value.message == f"{at}missing pipe argument\n\n{at}missing required argument on"

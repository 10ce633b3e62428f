"""Flux over stored points: the functions, and InfluxDB's layout of what they give."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyagent.sandbox.annotated import decode, encode
from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.values import parse_time
from pyagent.sandbox.points import parse
from pyagent.sandbox.store import PointStore

WEEK = 7 * 86400 * 10**9
NOW = int(parse_time("2000-01-02T00:00:00Z"))
START = int(parse_time("2000-01-01T00:00:00Z"))

LINES = "\n".join(
    [
        *(f"m,host=a f={index * 1.5},i={index}i {START + index * 10 * 10**9}" for index in range(6)),
        *(f"m,host=b f={10 - index},u={index}u {START + index * 10 * 10**9}" for index in range(6)),
        f's,host=a t="x, \\"y\\"",b=true {START}',
    ]
)
READ = 'from(bucket: "b") |> range(start: 2000-01-01T00:00:00Z, stop: 2000-01-01T00:01:00Z)'
F = f'{READ} |> filter(fn: (r) => r._field == "f")'
A = f'{READ} |> filter(fn: (r) => r._field == "f" and r.host == "a")'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointStore]:
    made = PointStore(tmp_path_factory.mktemp("store") / "points.sqlite")
    made.write("b", parse(LINES.encode(), NOW), 0, WEEK, NOW)
    yield made
    made.close()


Query = Callable[[str], str]


@pytest.fixture
def query(store: PointStore) -> Query:
    """A script's answer without annotations, times of that minute as seconds after its start, lines joined by a bar."""

    def run(script: str) -> str:
        context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
        text = "".join(encode(execute(script, context)))
        return (
            text.replace("2000-01-01T00:00:", "+")
            .replace("2000-01-01T00:01:00Z", "+60Z")
            .strip()
            .replace("\r\n", " | ")
        )

    return run


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        (f"{A} |> limit(n: 1, offset: 2) |> drop(columns: [\"_start\", \"_stop\", \"_measurement\"])",
         ",result,table,_time,_value,_field,host | ,_result,0,+20Z,3,f,a"),
        (f"{F} |> last() |> keep(columns: [\"_value\", \"host\"])",
         ",result,table,_value,host | ,_result,0,7.5,a | ,_result,1,5,b"),
        (f"{F} |> first() |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,0 | ,_result,0,10"),
        (f"{F} |> min() |> keep(columns: [\"_time\", \"host\"])", ",result,table,_time,host | ,_result,0,+00Z,a | ,_result,1,+50Z,b"),
        (f"{F} |> max() |> keep(columns: [\"_time\", \"host\"])", ",result,table,_time,host | ,_result,0,+50Z,a | ,_result,1,+00Z,b"),
        (f"{A} |> mean()", ",result,table,_start,_stop,_value,_field,_measurement,host | ,_result,0,+00Z,+60Z,3.75,f,m,a"),
        (f"{A} |> sum() |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,22.5"),
        (f"{A} |> spread() |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,7.5"),
        (f"{A} |> median() |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,3.75"),
        (f"{A} |> stddev() |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,2.806243040080456"),
        (f"{A} |> quantile(q: 0.5, method: \"exact_selector\") |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,3"),
        (f"{F} |> group(columns: [\"host\"]) |> count()",
         ",result,table,_start,_stop,_value,host | ,_result,0,+00Z,+60Z,6,a | ,_result,1,+00Z,+60Z,6,b"),
        (f"{F} |> group(columns: [\"_measurement\"]) |> mean()",
         ",result,table,_start,_stop,_measurement,_value | ,_result,0,+00Z,+60Z,m,5.625"),
        (f"{F} |> group(columns: [\"host\", \"_value\"], mode: \"except\") |> limit(n: 1) |> count() |> keep(columns: [\"_value\"])",
         ",result,table,_value" + " | ,_result,0,1" * 6),
        (f"{A} |> aggregateWindow(every: 40s, fn: mean)",
         ",result,table,_start,_stop,_time,_value,_field,_measurement,host"
         " | ,_result,0,+00Z,+60Z,+40Z,2.25,f,m,a | ,_result,0,+00Z,+60Z,+60Z,6.75,f,m,a"),
        (f"{A} |> aggregateWindow(every: 5s, fn: count) |> limit(n: 3) |> keep(columns: [\"_time\", \"_value\"])",
         ",result,table,_time,_value | ,_result,0,+05Z,1 | ,_result,0,+10Z,0 | ,_result,0,+15Z,1"),
        (f"{A} |> aggregateWindow(every: 5s, fn: last) |> limit(n: 3) |> keep(columns: [\"_time\", \"_value\"])",
         ",result,table,_time,_value | ,_result,0,+05Z,0 | ,_result,0,+10Z, | ,_result,0,+15Z,1.5"),
        (f"{A} |> aggregateWindow(every: 5s, fn: max, createEmpty: false) |> tail(n: 1) |> keep(columns: [\"_time\", \"_value\"])",
         ",result,table,_time,_value | ,_result,0,+55Z,7.5"),
        (f"{A} |> aggregateWindow(every: 30s, fn: sum, timeSrc: \"_start\") |> keep(columns: [\"_time\", \"_value\"])",
         ",result,table,_time,_value | ,_result,0,+00Z,4.5 | ,_result,0,+30Z,18"),
        (f"{A} |> aggregateWindow(every: 30s, fn: median) |> keep(columns: [\"_time\", \"_value\"])",
         ",result,table,_value,_time | ,_result,0,1.5,+30Z | ,_result,0,6,+60Z"),
        (f"{A} |> aggregateWindow(every: 30s, fn: (column, tables=<-) => tables |> max(column: column)) |> keep(columns: [\"_value\"])",
         ",result,table,_value | ,_result,0,3 | ,_result,0,7.5"),
        (f"{F} |> group() |> aggregateWindow(every: 30s, fn: mean)",
         ",result,table,_time,_start,_stop,_value | ,_result,0,+30Z,+00Z,+60Z,5.25 | ,_result,0,+60Z,+00Z,+60Z,6"),
        (f"{A} |> window(every: 30s) |> count()",
         ",result,table,_start,_stop,_value,_field,_measurement,host | ,_result,0,+00Z,+30Z,3,f,m,a | ,_result,1,+30Z,+60Z,3,f,m,a"),
        (f"{A} |> derivative(unit: 10s) |> limit(n: 2) |> keep(columns: [\"_time\", \"_value\"])",
         ",result,table,_time,_value | ,_result,0,+10Z,1.5 | ,_result,0,+20Z,1.5"),
        (f"{READ} |> filter(fn: (r) => r._field == \"f\" and r.host == \"b\") |> derivative(nonNegative: true) |> limit(n: 1)"
         " |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,"),
        (f"{A} |> difference() |> cumulativeSum() |> tail(n: 1) |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,7.5"),
        (f"{A} |> elapsed(unit: 1s) |> limit(n: 1) |> keep(columns: [\"elapsed\"])", ",result,table,elapsed | ,_result,0,10"),
        (f"{A} |> map(fn: (r) => ({{r with _value: r._value * 2.0, new: \"n\"}})) |> limit(n: 1)",
         ",result,table,_start,_stop,_time,_value,_field,_measurement,host,new | ,_result,0,+00Z,+60Z,+00Z,0,f,m,a,n"),
        (f"{F} |> map(fn: (r) => ({{v: int(v: r._value) / 2}})) |> limit(n: 1)", ",result,table,v | ,_result,0,0"),
        (f"{A} |> filter(fn: (r) => r._value > 2.0 and r._time < 2000-01-01T00:00:30Z) |> keep(columns: [\"_time\"])",
         ",result,table,_time | ,_result,0,+20Z"),
        (f"{A} |> sort(desc: true) |> limit(n: 2) |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,7.5 | ,_result,0,6"),
        (f"{F} |> top(n: 1) |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,7.5 | ,_result,0,10"),
        (f"{F} |> highestMax(n: 1) |> keep(columns: [\"host\", \"_value\"])", ",result,table,_value,host | ,_result,0,10,b"),
        (f"{F} |> distinct(column: \"host\") |> group() |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,a | ,_result,0,b"),
        (f"{A} |> rename(columns: {{_value: \"v\"}}) |> limit(n: 1) |> keep(fn: (column) => column == \"v\")", ",result,table,v | ,_result,0,0"),
        (f"{A} |> duplicate(column: \"host\", as: \"h\") |> set(key: \"host\", value: \"z\") |> limit(n: 1) |> keep(columns: [\"h\", \"host\"])",
         ",result,table,host,h | ,_result,0,z,a"),
        (f"{READ} |> filter(fn: (r) => r.host == \"b\") |> pivot(rowKey: [\"_time\"], columnKey: [\"_field\"], valueColumn: \"_value\")"
         " |> limit(n: 1)", ",result,table,_start,_stop,_time,_measurement,host,f,u | ,_result,0,+00Z,+60Z,+00Z,m,b,10,0"),
        (f"{A} |> reduce(identity: {{n: 0}}, fn: (r, accumulator) => ({{n: accumulator.n + 1}})) |> keep(columns: [\"n\"])",
         ",result,table,n | ,_result,0,6"),
        (f"{READ} |> filter(fn: (r) => r._measurement == \"s\") |> keep(columns: [\"_field\", \"_value\"])",
         ",result,table,_value,_field | ,_result,0,true,b |  | ,result,table,_value,_field | ,_result,1,\"x, \"\"y\"\"\",t"),
        (f"{A} |> mean() |> yield(name: \"x\")\n{A} |> count() |> yield(name: \"y\")",
         ",result,table,_start,_stop,_value,_field,_measurement,host | ,x,0,+00Z,+60Z,3.75,f,m,a |  | "
         ",result,table,_start,_stop,_value,_field,_measurement,host | ,y,0,+00Z,+60Z,6,f,m,a"),
        (f"x = {F} |> findColumn(fn: (key) => key.host == \"b\", column: \"_value\")\nimport2 = x[1]\n"
         f"{A} |> limit(n: 1) |> map(fn: (r) => ({{v: import2}}))", ",result,table,v | ,_result,0,9"),
        (f"union(tables: [{A} |> first(), {A} |> last()]) |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,0 | ,_result,0,7.5"),
        (f"{A} |> aggregateWindow(every: 5s, fn: mean) |> fill(usePrevious: true) |> limit(n: 2) |> keep(columns: [\"_value\"])",
         ",result,table,_value | ,_result,0,0 | ,_result,0,0"),
        (f"{A} |> toString() |> limit(n: 1) |> keep(columns: [\"_value\"])", ",result,table,_value | ,_result,0,0"),
        (f"{A} |> timeShift(duration: 1s) |> limit(n: 1) |> keep(columns: [\"_time\"])", ",result,table,_time | ,_result,0,+01Z"),
        (f"{READ} |> filter(fn: (r) => r._measurement == \"none\")", ""),
        (f"{A} |> filter(fn: (r) => r._value > 99.0)", ""),
        ('import "influxdata/influxdb/schema"\nschema.tagValues(bucket: "b", tag: "host")', ",result,table,_value | ,_result,0,a | ,_result,0,b"),
        ('import "influxdata/influxdb/schema"\nschema.measurements(bucket: "b")', ",result,table,_value | ,_result,0,m | ,_result,0,s"),
        ('import "influxdata/influxdb/schema"\nschema.fieldKeys(bucket: "b", predicate: (r) => r._measurement == "s")',
         ",result,table,_value | ,_result,0,b | ,_result,0,t"),
        ('import "influxdata/influxdb/schema"\nschema.measurementTagKeys(bucket: "b", measurement: "s") |> tail(n: 1)',
         ",result,table,_value | ,_result,0,host"),
        ('import "influxdata/influxdb/schema"\nschema.tagValues(bucket: "b", tag: "host", start: 2000-01-01T12:00:00Z)', ",result,table,_value"),
    ],
)  # fmt: skip
def test_functions(query: Query, script: str, answer: str) -> None:
    assert query(script) == answer


@pytest.mark.parametrize("name", ["mean", "sum", "count", "min", "max", "first", "last"])
@pytest.mark.parametrize(
    "options",
    ["every: 20s", "every: 7s, createEmpty: false", "every: 25s, offset: 5s", 'every: 20s, timeSrc: "_start"'],
)
def test_windows_by_sql_equal_windows_step_by_step(query: Query, name: str, options: str) -> None:
    names = '|> keep(columns: ["_time", "_value", "_field", "host"]) |> map(fn: (r) => ({r with _value: r._value}))'
    whole = f'{READ} |> filter(fn: (r) => r._measurement == "m") |> aggregateWindow(fn: {name}, {options}) {names}'
    step = f"(column, tables=<-) => tables |> {name}(column: column)"
    pieces = f'{READ} |> filter(fn: (r) => r._measurement == "m") |> aggregateWindow(fn: {step}, {options}) {names}'
    assert query(whole) == query(pieces)


def test_what_grafana_and_the_tutorial_send(store: PointStore) -> None:
    """After Grafana has replaced its macros: times as RFC 3339 with nanoseconds, the window as Go writes it."""
    bucket = {"id": "b", "name": "b", "orgID": "o", "retention": 0}
    context = Context(Reader(store, lambda name, key: bucket), NOW, lambda: [bucket], lambda *_: None)
    panel = """
        // Quartiles of a panel
        from(bucket: "b")
          |> range(start: 2000-01-01T00:00:00.000000000Z, stop: 2000-01-01T00:01:00.123456789Z)
          |> filter(fn: (r) => r["_measurement"] == "m")
          |> filter(fn: (r) => r["_field"] == "f" or r["_field"] == "none")
          |> filter(fn: (r) => r.host =~ /^(a|b)$/)
          |> aggregateWindow(every: 1m0s, fn: mean, createEmpty: false)
          |> yield(name: "mean")

        buckets() |> filter(fn: (r) => r.name !~ /^_/) |> keep(columns: ["name"]) |> yield(name: "buckets")

        from(bucket: "b")
            |> range(start: -24h)
            |> filter(fn: (r) => r._measurement == "m" and r._field == "f")
            |> yield(name: "tutorial")
    """
    results = dict(execute(panel, context))
    assert [table.data["_value"] for table in results["mean"]] == [[3.75], [7.5]]
    assert [table.data for table in results["buckets"]] == [{"name": ["b"]}]
    assert [table.size for table in results["tutorial"]] == [6, 6]


def test_months_and_weeks(query: Query) -> None:
    script = (
        'import "array"\narray.from(rows: [{_time: 2000-01-31T12:00:00Z, _value: 1}, {_time: 2000-02-29T12:00:00Z, _value: 2}]) '
        "|> range(start: 2000-01-15T00:00:00Z, stop: 2000-03-10T00:00:00Z) |> aggregateWindow(every: 1mo, fn: sum) "
        '|> keep(columns: ["_time", "_value"])'
    )
    assert query(script) == (
        ",result,table,_time,_value | ,_result,0,2000-02-01T00:00:00Z,1 | ,_result,0,2000-03-01T00:00:00Z,2 | "
        ",_result,0,2000-03-10T00:00:00Z,"
    )


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ('from(bucket: "b")', "invalid", 'cannot submit unbounded read to "b"; try bounding'),
        ('from(bucket: "") |> range(start: -1h)', "invalid", "no bucket name or id have been specified"),
        ('from(bucket: "b") |> range(start: 2h, stop: 1h)', "invalid", "cannot query an empty range"),
        (f'{READ} |> keep(columns: ["_value"])', "invalid", 'column "_value" is both of type'),
        (f'{A} |> mean(column: "nope")', "invalid", 'column "nope" does not exist'),
        (f"{READ} |> filter(fn: (r) => r._field == \"t\") |> mean()", "invalid", "unsupported input type for mean aggregate: string"),
        (f'{READ} |> yield(name: "a")\n{READ} |> yield(name: "a")', "invalid", 'found more than one call to yield() with the name "a"'),
        (f"{A} |> aggregateWindow(every: 0s, fn: mean)", "invalid", "window function requires"),
        (f"{A} |> limit(n: 1, offset: -1)", "invalid", "limit offset cannot be negative (-1)"),
        (f"{A} |> range(start: 2000-01-01T00:00:00Z, stop: 2000-01-01T00:00:10Z) |> aggregateWindow(every: 1ns, fn: mean)", "invalid",
         "more than 1000000 windows"),
    ],
)  # fmt: skip
def test_refusals(query: Query, script: str, code: str, message: str) -> None:
    with pytest.raises(InfluxError) as caught:
        query(script)
    assert caught.value.code == code
    assert message in caught.value.message


def test_two_types_of_one_field_fail_as_they_do_in_influxdb(query: Query, store: PointStore) -> None:
    late = START + 2 * WEEK
    store.write("two", parse(f"m f=1 {START}\nm f=1i {late}".encode(), NOW), 0, WEEK, NOW)
    with pytest.raises(InfluxError, match="cannot group"):
        query('from(bucket: "two") |> range(start: 0, stop: 2100-01-01T00:00:00Z)')
    assert query('from(bucket: "two") |> range(start: 0, stop: 2000-01-05T00:00:00Z) |> keep(columns: ["_value"])') == (
        ",result,table,_value | ,_result,0,1"
    )


def test_annotated_csv_is_read_back(store: PointStore) -> None:
    context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
    results = execute(READ, context)
    text = "".join(encode(results, ("datatype", "group", "default")))
    ((name, tables),) = decode(text)
    assert name == "_result"
    assert [(table.key, table.types, table.data) for table in tables] == [
        (table.key, table.types, table.data) for table in results[0][1]
    ]


def test_layout_of_an_empty_table_and_of_no_header(store: PointStore) -> None:
    def run(script: str, *layout: object) -> str:
        context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
        return "".join(encode(execute(script, context), *layout))  # type: ignore[arg-type]  # the test's own

    empty = f'{A} |> filter(fn: (r) => r._value > 99.0, onEmpty: "keep") |> keep(columns: ["host", "_value"])'
    assert run(empty, ("default",)) == "#default,_result,0,,a\r\n,result,table,_value,host\r\n\r\n"
    assert run(f'{A} |> last() |> keep(columns: ["_value"])', (), ";", False) == ";_result;0;7.5\r\n\r\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",result,table,_value\r\n,,0,1\r\n", "missing expected annotation datatype"),
        ("#datatype,string,long,nope\n,result,table,_value\n,,0,1\n", 'unsupported column type "nope"'),
        ("#datatype,string,long,long\n,result,table,_value\n,,0,x\n", 'cannot parse "x" as long'),
        ("#datatype,string,long,long\n,result,table,_value\n,,0\n", "wrong number of fields"),
        ('#datatype,string,long,long\n,result,table,_value\n,,0,"1\n', "failed to read the csv"),
    ],
)
def test_csv_that_is_not_annotated_csv(text: str, message: str) -> None:
    with pytest.raises(InfluxError, match=message):
        decode(text)


def test_and_and_or_of_null_are_what_the_way_of_the_engine_makes_of_them(store: PointStore) -> None:
    """Whole columns know null; row by row a null on the left is false, and what is on the right is given."""

    def answer(script: str) -> dict[str, Any]:
        context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
        head = 'import "array"\nimport "internal/debug"\n'
        rows = 'array.from(rows: [{t: true, f: false, n: debug.null(type: "bool")}])'
        return next(iter(execute(head + rows + script, context)[0][1][0].rows()))

    record = "a: r.t and r.n, b: r.n and r.t, c: r.n and r.f, d: r.f or r.n, e: r.n or r.t, g: r.n or r.f"
    whole = answer(f"|> map(fn: (r) => ({{{record}}}))")
    assert [whole[name] for name in "abcdeg"] == [None, None, False, None, True, None]
    rows = answer(f"|> map(fn: (r) => ({{{record}, h: string(v: r.t)}}))")
    assert [rows[name] for name in "abcdeg"] == [None, False, False, None, True, False]


def test_fill_of_the_package_experimental(store: PointStore) -> None:
    context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
    script = """import "array"
import "experimental"
import "internal/debug"
array.from(rows: [{_value: 1.0}, {_value: debug.null(type: "float")}]) |> experimental.fill(usePrevious: true)"""
    assert execute(script, context)[0][1][0].data["_value"] == [1.0, 1.0]

"""What InfluxDB does with tags that a series lacks, with plans, groups, windows, rows of equal values, and functions of packages."""

from collections.abc import Callable, Iterator

import pytest

from pyagent.sandbox import annotated
from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux.gosort import go_sorted
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.values import go_float, parse_time
from pyagent.sandbox.points import parse
from pyagent.sandbox.store import PointStore

WEEK = 7 * 86400 * 10**9
NOW = int(parse_time("2000-01-02T00:00:00Z"))
START = int(parse_time("2000-01-01T00:00:00Z"))
LINES = "\n".join(
    [
        *(f"m,host=a v={index}.5 {START + index * 10 * 10**9}" for index in range(6)),
        *(f"m,host=a,cpu=0 v={10 + index} {START + index * 10 * 10**9}" for index in range(6)),
        *(f"m,host=b,cpu=1 v={20 + index} {START + index * 10 * 10**9}" for index in range(6)),
        f'mixed,host=a i=1i,s="x" {START}',
    ]
)
READ = 'from(bucket: "b") |> range(start: 2000-01-01T00:00:00Z, stop: 2000-01-01T00:01:00Z)'
M = f'{READ} |> filter(fn: (r) => r._measurement == "m")'


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointStore]:
    made = PointStore(tmp_path_factory.mktemp("store") / "points.sqlite")
    made.write("b", parse(LINES.encode(), NOW), 0, WEEK, NOW)
    yield made
    made.close()


Query = Callable[[str], list[str]]


@pytest.fixture
def query(store: PointStore) -> Query:
    """A script's answer without annotations: its lines, times of that minute as seconds after its start."""

    def run(script: str) -> list[str]:
        context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
        text = "".join(annotated.encode(execute(script, context)))
        return [line for line in text.replace("2000-01-01T00:00:", "+").split("\r\n") if line]

    return run


def values(lines: list[str]) -> list[str]:
    return [line.rsplit(",", 1)[1] for line in lines[1:] if not line.startswith(",result")]


@pytest.mark.parametrize(
    ("predicate", "hosts"),
    [
        ('r.cpu != "0"', ["a", "b"]),
        ("r.cpu =~ /.*/", ["a", "a", "b"]),
        ("r.cpu =~ /^$/", ["a"]),
        ("r.cpu !~ /0/", ["a", "b"]),
        ("exists r.cpu", ["a", "b"]),
        ("not exists r.cpu", ["a"]),
        ('if true then r.cpu != "0" else false', ["b"]),
    ],
)
def test_a_missing_tag_is_an_empty_text_for_the_storage_and_null_for_flux(
    query: Query, predicate: str, hosts: list[str]
) -> None:
    script = f'{M} |> filter(fn: (r) => {predicate}) |> last() |> group() |> keep(columns: ["host"])'
    assert sorted(values(query(script))) == hosts


def test_series_are_ordered_tag_by_tag(query: Query) -> None:
    found = query(f"{M} |> first()")
    assert values(found) == ["a", "b", "a"]
    assert ",result,table,_start,_stop,_time,_value,_field,_measurement,host" in found


def test_windows_take_the_range_whatever_became_of_the_columns(query: Query) -> None:
    script = f'{M} |> filter(fn: (r) => r.host == "b") |> keep(columns: ["_time", "_value"])'
    found = query(f"{script} |> aggregateWindow(every: 30s, fn: max)")
    assert found == [
        ",result,table,_time,_value,_start,_stop",
        ",_result,0,+30Z,22,+00Z,2000-01-01T00:01:00Z",
        ",_result,0,2000-01-01T00:01:00Z,25,+00Z,2000-01-01T00:01:00Z",
    ]
    with pytest.raises(InfluxError, match="nil bounds passed to window"):
        query('import "array" array.from(rows: [{_time: now(), _value: 1}]) |> aggregateWindow(every: 1m, fn: max)')


def test_the_group_of_a_tag_that_no_row_has_is_in_the_key_of_what_is_aggregated(query: Query) -> None:
    found = query(f'{M} |> group(columns: ["nope", "host"]) |> aggregateWindow(every: 1m, fn: mean)')
    assert found[0] == ",result,table,_time,_start,_stop,nope,host,_value"
    assert values(found) == ["7.75", "22.5"]


def test_rows_of_one_time_come_as_the_engine_merges_them(query: Query) -> None:
    found = query(f'{M} |> group() |> sort(columns: ["_time"]) |> limit(n: 4) |> keep(columns: ["_value"])')
    assert values(found) == ["10", "20", "0.5", "1.5"]


def test_a_column_of_null_has_the_type_that_the_text_gives_it(query: Query) -> None:
    found = query(f'{M} |> map(fn: (r) => ({{r with x: float(v: r.nope) / 2.0}})) |> sum(column: "x")')
    assert values(found) == ["", "", ""]


@pytest.mark.parametrize(
    ("columns", "first"),
    [
        ("{r with new: r._value * 2.0}", ",result,table,_start,_stop,_time,_value,_field,_measurement,host,new"),
        ("{r with new: string(v: r._value)}", ",result,table,_field,_measurement,_start,_stop,_time,_value,host,new"),
        ("{z: r._value, a: r.host}", ",result,table,z,a"),
    ],
)
def test_whole_columns_keep_the_order_of_the_record(query: Query, columns: str, first: str) -> None:
    assert query(f"{M} |> map(fn: (r) => ({columns}))")[0] == first


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            f'{M} |> drop(columns: ["_value"]) |> mean()',
            'runtime error @1:161-1:167: mean: column "_value" does not exist',
        ),
        (f"{M} |> map(fn: (r) => ({{r with x: r._value + 1}}))", "runtime error: type conflict: int != float"),
        (
            f"{M} |> toBool()",
            "toBool: failed to evaluate map function: cannot convert float 10.000000 to bool, must be 0 or 1",
        ),
        (f'{M} |> group() |> count(column: "x")', 'column "x" does not exist'),
        ("x = 1", "this Flux script returns no streaming data"),
        (
            'f = () => int(v: "x")\nf()',
            'error calling function "f" @2:1-2:4: error calling function "int" @1:11-1:22: cannot',
        ),
        (f"{M} |> filter(fn: (x) => true)", "found unexpected argument x (Expected `r`) (argument fn)"),
        ("a = b\nc = d", "error @1:5-1:6: undefined identifier b\n\nerror @2:5-2:6: undefined identifier d"),
        (f"{M} |> limit(n: 1, m: 2)", "found unexpected argument m (Expected `offset`)"),
    ],
)
def test_errors_have_influxdbs_words(query: Query, script: str, message: str) -> None:
    with pytest.raises(InfluxError) as refused:
        query(script)
    assert message in refused.value.message


def test_what_was_made_before_an_error_is_kept(store: PointStore) -> None:
    context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
    with pytest.raises(InfluxError, match="unsupported input type for mean aggregate: string") as refused:
        execute(f"{READ} |> mean()", context)
    assert [table.data["_value"] for _, tables in refused.value.partial for table in tables][-1] == [1.0]


PAIRS = (
    'array.from(rows: [{_time: 2000-01-01T00:00:00Z, k: "x", v: 1.0}, {_time: 2000-01-01T00:00:10Z, k: "y", v: 3.0}])'
)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (f'join(tables: {{a: {PAIRS}, b: {PAIRS}}}, on: ["k"])', ["x,1,1", "y,3,3"]),
        (f"{PAIRS} |> stateCount(fn: (r) => r.v > 2.0)", ["1,-1", "3,1"]),
        (f'{PAIRS} |> histogram(column: "v", bins: [2.0, 4.0])', ["2,1", "4,2"]),
        (f'{PAIRS} |> rename(columns: {{v: "_value"}}) |> exponentialMovingAverage(n: 2)', ["y,2"]),
        (f"{PAIRS} |> elapsed(unit: 1s)", ["3,10"]),
        (f"{PAIRS} |> hourSelection(start: 1, stop: 2)", []),
        (f'{PAIRS} |> truncateTimeColumn(unit: 1m) |> keep(columns: ["_time", "k"])', ["+00Z,x", "+00Z,y"]),
    ],
)
def test_functions_of_tables(query: Query, script: str, found: list[str]) -> None:
    lines = query(f'import "array"\n{script}')
    assert [",".join(line.split(",")[-len(found[0].split(",")) :]) for line in lines[1:]] == found if found else True


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("math.round(x: -2.5)", "-3"),
        ("math.isInf(f: 1.0 / 0.0, sign: 1)", "true"),
        ('strings.title(v: "o\'neil a_b")', "O'Neil A_b"),
        ('strings.lastIndex(v: "go gopher", substr: "go")', "3"),
        ('regexp.replaceAllString(r: /a(x*)b/, v: "-axxb-", t: "$1W")', "--"),
        ("date.add(d: 1mo, to: 2000-01-31T00:00:00Z)", "2000-02-29T00:00:00Z"),
        ("date.week(t: 2021-01-03T00:00:00Z)", "53"),
        ('date.hour(t: 2000-07-01T00:00:00Z, location: {zone: "UTC", offset: 2h})', "2"),
        ('dict.get(dict: ["a": 1], key: "z", default: 9)', "9"),
        ("int(v: 1mo)", "2629800000000000"),
        ('display(v: {a: 1, b: "x"})', '"{a: 1, b: x}"'),
    ],
)
def test_functions_of_values(query: Query, expression: str, value: str) -> None:
    imports = "".join(f'import "{name}"\n' for name in ("array", "date", "dict", "math", "regexp", "strings"))
    assert query(f"{imports}array.from(rows: [{{v: {expression}}}])")[1] == f",_result,0,{value}"


def test_days_of_a_place_start_by_its_clocks(query: Query) -> None:
    rows = "[{_time: 2021-03-27T23:30:00Z, _value: 1.0}, {_time: 2021-03-28T22:30:00Z, _value: 2.0}]"
    found = query(
        'import "array"\nimport "timezone"\noption location = timezone.location(name: "Europe/Berlin")\n'
        f"array.from(rows: {rows}) |> range(start: 2021-03-27T00:00:00Z, stop: 2021-03-30T00:00:00Z)"
        " |> aggregateWindow(every: 1d, fn: sum, createEmpty: false)"
    )
    assert [line.split(",")[3] for line in found[1:]] == ["2021-03-28T22:00:00Z", "2021-03-29T22:00:00Z"]


def test_rows_of_an_array_keep_the_order_of_its_columns_and_null_comes_first_both_ways(query: Query) -> None:
    script = 'import "sampledata"\nsampledata.int(includeNull: true) |> filter(fn: (r) => r.tag == "t2") |> keep(columns: ["_value"])'
    assert values(query(f"{script} |> sort()")) == ["", "", "-3", "1", "4", "19"]
    assert values(query(f"{script} |> sort(desc: true)")) == ["", "", "19", "4", "1", "-3"]
    assert query('import "array"\narray.from(rows: [{z: 1, b: 2, a: "x"}])')[0] == ",result,table,z,b,a"


def test_floats_as_go_prints_them() -> None:
    assert [go_float(value) for value in (0.5, 123456.0, 1234567.0, 1e300, -1e-300, 0.00001, 0.0)] == [
        "0.5", "123456", "1.234567e+06", "1e+300", "-1e-300", "1e-05", "0",
    ]  # fmt: skip


def test_sorted_as_go_does() -> None:
    few = [(b"b", 1), (b"a", 2), (b"b", 3), (b"a", 4)]
    assert go_sorted(few, lambda item: item[0]) == [(b"a", 2), (b"a", 4), (b"b", 1), (b"b", 3)]
    many = [(b"%d" % (number * 7 % 5), number) for number in range(300)]
    found = go_sorted(many, lambda item: item[0])
    assert [key for key, _ in found] == sorted(key for key, _ in many)
    assert sorted(found) == sorted(many)

"""What a query may use: scripts that would never end, or would fill the memory, are ended; each kind in its loop."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pyagent.sandbox import annotated
from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux import patterns
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.patterns import Regex
from pyagent.sandbox.flux.script import Results, execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.syntax import parse
from pyagent.sandbox.flux.tables import Table
from pyagent.sandbox.flux.values import parse_time
from pyagent.sandbox.limits import Budget
from pyagent.sandbox.points import parse as parse_lines
from pyagent.sandbox.store import PointStore

NOW = int(parse_time("2024-03-31T12:00:00Z"))
HOUR = 3600 * 10**9
IMPORTS = "\n".join(
    f'import "{name}"'
    for name in (
        "array", "csv", "dict", "experimental", "generate", "interpolate", "json", "regexp", "strings",
        "contrib/bonitoo-io/hex",
    )
)  # fmt: skip
TWO = "array.from(rows: [{_time: 2020-01-01T00:00:00Z, _value: 1.0}, {_time: 2024-01-01T00:00:00Z, _value: 2.0}])"
MANY = "generate.from(count: 3000, start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z, fn: (n) => n)"
READ = 'from(bucket: "b") |> range(start: -1h)'


def grown(seed: str, step: str, steps: int = 60) -> str:
    """Names a0 to a60, each made of the one before, which a step has as @ twice: what is in a60 is there 2 ** 60 times."""
    return "\n".join([f"a0 = {seed}", *(f"a{n + 1} = {step.replace('@', f'a{n}')}" for n in range(steps))]) + "\n"


class Impatient(Budget):
    """Ended after so many looks; it has no bound of memory."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        super().__init__()

    @property
    def ended(self) -> InfluxError | None:  # type: ignore[override]
        self.looks -= 1
        return None if self.looks > 0 else InfluxError("invalid", "context canceled", final=True)

    @ended.setter
    def ended(self, error: InfluxError | None) -> None:
        pass


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointStore]:
    made = PointStore(tmp_path_factory.mktemp("store") / "points.sqlite")
    lines = "\n".join(f"m,host=h{at % 3} f={at}.5 {NOW - at * 10**9}" for at in range(1, 3000))
    made.write("b", parse_lines(lines.encode(), NOW, "ns"), 0, 24 * HOUR, NOW)
    yield made
    made.close()


@pytest.fixture
def run(store: PointStore) -> Any:
    def run(script: str, budget: Budget) -> Results:
        context = Context(Reader(store, lambda name, key: {"id": name}), NOW, list, lambda *_: None)
        return budget.run(lambda: execute(f"{IMPORTS}\n{script}", context), store.reader())

    return run


@pytest.mark.parametrize(
    "script",
    [
        grown("() => 1", "() => @() + @()") + "array.from(rows: [{v: a60()}])",
        grown("{a: 1}", "{a: @, b: @}") + "array.from(rows: [{v: display(v: a60)}])",
        grown("{a: 1}", "{a: @, b: @}") + "array.from(rows: [{v: string(v: json.encode(v: a60))}])",
        grown("{a: 1}", "{a: @, b: @}") + f"{TWO} |> experimental.set(o: a60)",
        f"{TWO} |> interpolate.linear(every: 1ns)",
        f"{TWO} |> range(start: 0) |> aggregateWindow(every: 1mo, period: 2y, fn: mean) |> window(every: 1d, period: 9d)",
        f"{TWO} |> histogram(bins: linearBins(start: 0.0, width: 1.0, count: 1000000000))",
        f"{TWO} |> histogram(bins: logarithmicBins(start: 1.0, factor: 1.0, count: 1000000000))",
        f"a = {MANY} |> map(fn: (r) => ({{r with k: 1}}))\njoin(tables: {{a: a, b: a}}, on: [\"k\"])",
        f"{MANY} |> movingAverage(n: 1000)",
        f"{MANY} |> map(fn: (r) => ({{r with v: r._value}}))",
        f"{MANY} |> filter(fn: (r) => strings.hasPrefix(v: string(v: r._value), prefix: \"1\"))",
        f"{READ} |> map(fn: (r) => ({{r with v: string(v: r._value)}}))",
        "x = 1\n" * 3000,
        f"{TWO} |> limit(n: 1)" + " |> limit(n: 1)" * 3000,
    ],
)  # fmt: skip
def test_what_would_take_too_long_looks_whether_it_has_ended(run: Any, script: str) -> None:
    with pytest.raises(InfluxError, match=r"^context canceled$"):
        run(script, Impatient(2500))


@pytest.mark.parametrize(
    "script",
    [
        grown('"xxxxxxxx"', "@ + @") + "array.from(rows: [{v: a60}])",
        grown('"xxxxxxxx"', '"${@}${@}"') + "array.from(rows: [{v: a60}])",
        grown("[1]", "array.concat(arr: @, v: @)") + "array.from(rows: [{v: a60[0]}])",
        grown('"xx"', 'strings.replaceAll(v: @, t: "x", u: @)') + "array.from(rows: [{v: a60}])",
        grown('"xx"', "regexp.replaceAllString(r: /x/, v: @, t: @)") + "array.from(rows: [{v: a60}])",
        grown('"xx"', 'regexp.replaceAllString(r: /x+/, v: @, t: "$0$0")') + "array.from(rows: [{v: a60}])",
        grown('"xx"', "strings.joinStr(arr: [@, @], v: @)") + "array.from(rows: [{v: a60}])",
        grown("xx", "regexp.quoteMeta(v: @)").replace("a0 = xx", 'a0 = "[["') + "array.from(rows: [{v: a60}])",
        grown('"xx"', "hex.string(v: bytes(v: @))") + "array.from(rows: [{v: a60}])",
        grown(TWO, "union(tables: [@, @])") + "a60",
        grown("{a: 1}", "{a: @, b: @}") + "array.from(rows: [{v: display(v: a60)}])",
        'array.from(rows: [{v: strings.repeat(v: "x", i: 60000000)}])',
        'array.from(rows: [{v: strings.split(v: strings.repeat(v: "x", i: 900000), t: "")[0]}])',
        'a = ["x"] |> array.concat(v: ["y"])\nb = strings.repeat(v: "x", i: 900000)\n'
        "array.from(rows: [{v: array.map(arr: a, fn: (x) => b + x)[0]}])",
        f'{MANY} |> map(fn: (r) => ({{r with s: strings.repeat(v: string(v: r._value), i: 1000)}}))',
        f'{MANY} |> reduce(identity: {{s: "x"}}, fn: (r, accumulator) => ({{s: accumulator.s + accumulator.s}}))',
        f"{TWO} |> interpolate.linear(every: 1ns)",
        f"{TWO} |> kaufmansAMA(n: 100000000000)",
        f"{TWO} |> histogram(bins: linearBins(start: 0.0, width: 1.0, count: 1000000000))",
        f"{TWO} |> range(start: 2020-01-01T00:00:00Z) |> window(every: 1h, createEmpty: true)",
        f'a = {MANY} |> map(fn: (r) => ({{r with k: 1}}))\njoin(tables: {{a: a, b: a}}, on: ["k"])',
        f'{MANY} |> map(fn: (r) => ({{r with c: string(v: r._value)}})) '
        '|> pivot(rowKey: ["_time"], columnKey: ["c"], valueColumn: "_value")',
        f'{MANY} |> group(columns: ["_time"])',
        "generate.from(count: 1000000, start: 2024-01-01T00:00:00Z, stop: 2024-01-02T00:00:00Z, fn: (n) => n)",
        READ + " |> map(fn: (r) => ({r with _value: r._value + 1.0}))" * 12,
        'csv.from(mode: "raw", csv: "a,b,c\n' + "1,2,3\n" * 10_000 + '")',
        "x = 1\n" * 3000,
    ],
)  # fmt: skip
def test_what_would_take_too_much_memory_is_ended_in_influxdbs_words(run: Any, script: str) -> None:
    words = r"^memory allocation limit reached: limit 1000000 bytes, allocated: \d+, wanted: \d+$"
    with pytest.raises(InfluxError, match=words) as refused:
        run(script, Budget(1_000_000))
    assert refused.value.code == "invalid"


@pytest.mark.parametrize(
    "script",
    [
        f'{MANY} |> reduce(identity: {{s: ""}}, fn: (r, accumulator) => ({{s: accumulator.s + string(v: r._value) + ","}}))',
        f'{MANY} |> filter(fn: (r) => strings.repeat(v: "x", i: 1000) == "")',
        f"{MANY} |> keep(columns: [\"_time\"]) |> limit(n: 2999) |> tail(n: 2998) |> drop(columns: [\"_value\"])",
        f"{READ} |> aggregateWindow(every: 1m, fn: mean)",
        "\n".join(f'x{n} = strings.repeat(v: "x", i: 100)' for n in range(100)) + f"\n{TWO}",
    ],
)  # fmt: skip
def test_what_is_let_go_is_not_counted(run: Any, script: str) -> None:
    budget = Budget(2_500_000)
    assert run(script, budget)
    assert budget.used + budget.texts > 0


def test_an_answer_is_made_in_pieces(run: Any) -> None:
    [(_, [table])] = run(MANY, Budget())
    large = Table(table.key, table.types, {name: values * 10 for name, values in table.data.items()})
    pieces = list(annotated.encode([("_result", [large])]))
    assert max(map(len, pieces)) < sum(map(len, pieces)) / 2  # each piece is counted before the next is made
    assert "".join(pieces).count("\r\n") == 30_002


def test_columns_that_tables_share_are_counted_once(run: Any) -> None:
    alone, often = Budget(10**9), Budget(10**9)
    run(MANY, alone)
    run(
        MANY + ' |> rename(columns: {_value: "x"}) |> rename(columns: {x: "y"})' + " |> filter(fn: (r) => true)" * 5,
        often,
    )
    assert often.used < 1.5 * alone.used


def test_a_query_leaves_nothing_to_the_next(run: Any) -> None:
    with pytest.raises(InfluxError):
        run(MANY, Budget(1000))
    assert run(TWO, Budget(1_000_000))
    assert run(MANY, Budget())  # outside of a bound there is none


def test_an_ended_query_is_interrupted_where_it_reads(run: Any, store: PointStore) -> None:
    budget = Budget()
    budget.end(InfluxError("invalid", "context canceled"))
    with pytest.raises(InfluxError, match="context canceled"):
        budget.run(lambda: store.reader().execute("SELECT 1"), store.reader())

    budget = Budget()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"

    def read() -> object:
        budget.end(InfluxError("invalid", "context canceled"))
        return store.reader().execute(endless).fetchall()

    with pytest.raises(InfluxError, match="context canceled"):
        budget.run(read, store.reader())


def test_memory_that_the_machine_has_not_is_the_same_error() -> None:
    def full() -> None:
        raise MemoryError

    with pytest.raises(InfluxError, match="memory allocation limit reached"):
        Budget(10).run(full)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^(a+)+$", "a" * 50 + "!"),
        ("(x+x+)+y", "x" * 100),
        ("a*a*a*a*a*b$", "a" * 100_000),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 100),
        ("(a|aa)+$", "a" * 100 + "b"),
    ],
)
def test_no_regular_expression_goes_back_for_ever(pattern: str, text: str) -> None:
    pytest.importorskip("re2", reason="google-re2 is not installed")
    assert Regex(pattern).search(text) is None
    assert Regex(pattern).sub(lambda found: "", text) == text


def test_without_the_library_such_a_pattern_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(InfluxError, match="install the extra `regex`"):
        Regex("^(a+)+$").search("aaa")
    assert Regex("^cpu[0-9]+$").search("cpu12")


def test_both_ways_to_match_agree() -> None:
    pytest.importorskip("re2", reason="google-re2 is not installed")
    pattern, text = r"(\w+)@(?P<host>[a-z]+)", "é joe@home, ann@work \udcff x@y"
    short, long = Regex(pattern), Regex(pattern)
    long._longest = -1
    assert [found.span() for found in short.finditer(text)] == [found.span() for found in long.finditer(text)]
    assert [found["host"] for found in short.finditer(text)] == [found["host"] for found in long.finditer(text)]
    assert short.sub(lambda found: found[1], text) == long.sub(lambda found: found[1], text)


def test_a_text_can_be_too_long_for_any_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_LONGEST_TEXT", 5000)
    with pytest.raises(InfluxError, match="a text of 6000 characters is too long for a regular expression"):
        Regex("a.*b").search("a" * 6000)


def test_what_go_has_not_is_no_regular_expression() -> None:
    for pattern in ("(?!a)b", r"(a)\1", "a++", "(", "[b-a]"):
        with pytest.raises(ValueError, match=r"."):
            Regex(pattern)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("x = " + "1" * 5000, "a number is out of range"),
        ("x = " + "1" * 5000 + "h", "a number is out of range"),
        ("//" + '"\\"' * 50_000 + "\n(", "unexpected end of the script"),
        ("x = " + "(" * 5000, "expected RPAREN, got EOF"),
    ],
)
def test_the_words_about_a_wrong_script_come_soon(script: str, words: str) -> None:
    with pytest.raises(InfluxError) as refused:
        parse(script)
    assert words in refused.value.message

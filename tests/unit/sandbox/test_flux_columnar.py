"""map() of whole columns beside the function called row by row."""

import math
from typing import Any

import pytest

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux import mapping
from pyagent.sandbox.flux.columnar import NoColumns, mapped_columns
from pyagent.sandbox.flux.evaluate import Closure, Scope, compile_node
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import _ALL
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.syntax import Expression, parse
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED, Table
from pyagent.sandbox.flux.texts import STRINGS

TYPES = {
    "_time": TIME, "_value": DOUBLE, "hole": DOUBLE, "i": LONG, "j": LONG, "u": UNSIGNED, "s": STRING, "n": STRING,
    "b": BOOLEAN, "c": BOOLEAN, "host": STRING,
}  # fmt: skip
DATA: dict[str, list[Any]] = {
    "_time": [0, 10**9, 2 * 10**9, 3 * 10**9],
    "_value": [0.0, -1.5, 1e308, math.inf],
    "hole": [None, 2.5, -0.0, None],
    "i": [2**63 - 1, -(2**63), 7, -7],
    "j": [2, -1, 3, 4],
    "u": [2**64 - 1, 0, 5, 7],
    "s": ["", "café", "a,b", "x"],
    "n": ["p", None, "q", None],
    "b": [True, False, True, False],
    "c": [None, True, False, None],
    "host": ["h"] * 4,
}

COMPILED = """r._value * 8.0 + 1.0
r._value / 3.0
r._value / r._value
r._value % 2.0
r._value ^ 2.0
-r._value
r.hole * 2.0
(r.hole + r._value) / (r.hole - 1.0)
r.i + r.j
r.i * r.i
-r.i
r.i - 1
r.i / r.j
r.i % r.j
r.s + "-" + r.host
r.n + r.s
r._value > 1.0
r.i >= r._value
r.u < 10
r.hole == r._value
r.b == true
not r.b
not r.c
r.b and r.c
r.c or r._value > 0.0
exists r.hole
not exists r.none
if r._value > 0.0 then "up" else "down"
if exists r.hole then r.hole else 0.0
if r.c then r.i else r.j
r.s =~ /^c/
r.n !~ /p/
float(v: r.i)
float(v: r._value) / 2.0
int(v: r._value)
string(v: r.i)
strlen(v: r.s)
"${r.host}: ${r.i} of ${r._value}"
r._time > 1970-01-01T00:00:01Z
r._time
scale * r._value
"text" """.strip().splitlines()

ROW_BY_ROW = [
    "r._value * 8",
    "r.none",
    "r._value + r.none",
    "r.u + r.u",
    "{a: 1}",
    "string(v: r.hole)",
    "strlen(v: r.n)",
    '"${r.n}"',
    "if r.b then 1 else 2.0",
    "if r.i then 1 else 2",
    "r.i / (r.j - r.j)",
    "r.hole + (if r.b then r._value else 1.0)",
    "half(x: r._value)",
    "int(v: r.s)",
    "undefined",
]


def function(body: str) -> Closure:
    context = Context(Reader(None, lambda name, key: {}), 0, list, lambda *_: None)  # type: ignore[arg-type]  # nothing is read
    values = {name: bind(context) for registry in _ALL for name, bind in registry.items()}
    scope = Scope(None, {**values, "true": True, "false": False, "scale": 1.5}, context.calls)
    (half,) = parse("(x) => x / 2.0")
    assert isinstance(half, Expression)
    scope.values["half"] = compile_node(half.value)(scope)
    scope.values["strlen"] = STRINGS["strlen"](context)
    context.calls.running = 1
    (statement,) = parse(f"(r) => ({body})")
    assert isinstance(statement, Expression)
    made = compile_node(statement.value)(scope)
    assert isinstance(made, Closure)
    return made


def table() -> Table:
    return Table({"host": "h"}, dict(TYPES), {name: list(values) for name, values in DATA.items()})


def shown(made: Table | None) -> object:
    assert made is not None
    return repr((made.types, {name: list(map(str, values)) for name, values in made.data.items()}, made.size))


@pytest.mark.parametrize("body", COMPILED)
@pytest.mark.parametrize("form", ["{{r with _value: {}}}", "{{host: r.host, new: {}, _time: r._time}}"])
@pytest.mark.parametrize("in_order", [True, False])
def test_whole_columns_are_what_the_rows_give(body: str, form: str, in_order: bool) -> None:
    fn = function(form.format(body))
    mapped_columns(fn, table())  # it is compiled
    by_rows = mapping._by_rows(table(), fn, merge=False, in_order=in_order)
    assert shown(mapping._by_columns(table(), fn, in_order=in_order)) == shown(by_rows)


@pytest.mark.parametrize("body", ROW_BY_ROW)
def test_what_may_be_an_error_or_has_no_known_type_is_left_to_the_rows(body: str) -> None:
    fn = function(f"{{r with _value: {body}}}")
    with pytest.raises(NoColumns):
        mapped_columns(fn, table())


def test_an_error_is_that_of_the_row() -> None:
    fn = function("{r with _value: r.i / (r.j - 3)}")
    assert mapping._by_columns(table(), fn, in_order=True) is None
    with pytest.raises(InfluxError, match="cannot divide by zero"):
        mapping._by_rows(table(), fn, merge=False, in_order=True)

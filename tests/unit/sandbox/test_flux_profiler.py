"""Flux's package `profiler`, by an option of the script and by one that a client sends beside it."""

from collections.abc import Iterator
from typing import Any

import pytest

from pyagent.sandbox.flux.extern import statements_of
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.store import PointStore

ROWS = 'array.from(rows: [{v: 1}]) |> yield(name: "a")\narray.from(rows: [{v: 2}]) |> yield(name: "b")'


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    store = PointStore(tmp_path_factory.mktemp("store") / "points.sqlite")
    yield lambda: Context(Reader(store, lambda name, key: {"id": name}), 0, list, lambda *_: None)
    store.close()


def extern(*names: str) -> dict[str, Any]:
    """As influxdb-client-python sends it."""
    member = {
        "type": "MemberExpression",
        "object": {"type": "Identifier", "name": "profiler"},
        "property": {"type": "Identifier", "name": "enabledProfilers"},
    }
    elements = [{"type": "StringLiteral", "value": name} for name in names]
    init = {"type": "ArrayExpression", "elements": elements}
    assignment = {"type": "MemberAssignment", "member": member, "init": init}
    path = {"type": "StringLiteral", "value": "profiler"}
    return {
        "imports": [{"type": "ImportDeclaration", "path": path}],
        "body": [{"type": "OptionStatement", "assignment": assignment}],
    }


@pytest.mark.parametrize("how", ["in the script", "under another name", "beside the script"])
def test_profiles_are_a_result_behind_the_others(context: Any, how: str) -> None:
    names = ("query", "operator", "nope", "query")
    text = '["' + '", "'.join(names) + '"]'
    before = {
        "in the script": f'import "profiler"\noption profiler.enabledProfilers = {text}\n',
        "under another name": f'import p "profiler"\noption p.enabledProfilers = {text}\n',
        "beside the script": "",
    }[how]
    given = statements_of(extern(*names)) if how == "beside the script" else []
    results = execute(f'import "array"\n{before}{ROWS}', context(), given)
    assert [name for name, _ in results] == ["a", "b", "_profiler"]
    query, operator = results[2][1]
    assert query.key == {"_measurement": "profiler/query"}
    (row,) = query.rows()
    assert row["TotalDuration"] == row["CompileDuration"] + row["ExecuteDuration"] > 0
    assert row["RuntimeErrors"] == ""
    assert [(one["_measurement"], one["Label"], one["Count"]) for one in operator.rows()] == [
        ("profiler/operator", "a", 1),
        ("profiler/operator", "b", 1),
    ]


@pytest.mark.parametrize("names", ['[""]', "[]", '["nope"]'])
def test_none_is_asked_for(context: Any, names: str) -> None:
    script = f'import "array"\nimport "profiler"\noption profiler.enabledProfilers = {names}\n{ROWS}'
    assert [name for name, _ in execute(script, context())] == ["a", "b"]

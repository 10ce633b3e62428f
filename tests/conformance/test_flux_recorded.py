"""Flux queries of public dashboards, and queries that try functions, beside what InfluxDB 2.9.1 answered for the same points.

Every second query of each set is run. `compare_flux.py` of the recordings' tools says of what kind an answer is.
"""

import gzip
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyagent.sandbox import annotated
from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux.extern import statements_of
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.points import parse
from pyagent.sandbox.store import PointStore

pytestmark = pytest.mark.timeout(600)

DIFFERENT: dict[str, dict[int, str]] = {
    "dashboards": {
        1334: "an escape in a string that InfluxDB does not know is taken",
        1366: "InfluxDB fails over two columns of one name",
    },
    "functions": {
        306: "statements of types are not understood",
    },
}
"""Queries, by their number in the set, that this server refuses, answers though InfluxDB does not, or answers otherwise."""

IDENTICAL = {"dashboards": 705, "functions": 147}
"""How many of the half are the same byte for byte, at least; of the others the order or the words differ."""


@dataclass
class Recorded:
    """A set of queries, with its points in a store."""

    tools: ModuleType
    name: str
    bucket: str
    cases: list[dict[str, Any]]
    store: PointStore

    @property
    def now(self) -> int:
        return int(self.tools.NOW) * 10**9

    def answer(self, script: str) -> tuple[int, str]:
        """Status and body, as the query's door makes them."""

        def bucket(name: str, key: str) -> dict[str, Any]:
            if name != self.bucket:
                words = f'failed to initialize execute state: could not find bucket "{name}"'
                raise InfluxError("not found", words, final=True)
            return {"id": "b"}

        buckets = [{"name": self.bucket, "id": "b", "orgID": "o", "retention": 0}]
        context = Context(Reader(self.store, bucket), self.now, lambda: buckets, lambda *_: None)
        extern = statements_of(self.tools.extern(script, self.bucket)) if self.name == "dashboards" else []
        try:
            return 200, "".join(annotated.encode(execute(script, context, extern), annotated.ANNOTATIONS))
        except InfluxError as error:
            if not error.partial:
                return error.status, json.dumps({"code": error.code, "message": error.message})
            before = "".join(annotated.encode(error.partial, annotated.ANNOTATIONS))
            return 200, before + annotated.error_block(error.message)


@pytest.fixture(params=["dashboards", "functions"], scope="module")
def recorded(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    name: str = request.param
    folder = shared / "golden" / "flux"
    if not folder.is_dir():
        pytest.skip("the recorded Flux queries (golden/flux) are not there")
    spec = importlib.util.spec_from_file_location("compare_flux", shared / "tools" / "compare_flux.py")
    assert spec is not None
    assert spec.loader is not None
    tools = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tools)
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    store = PointStore(tmp_path_factory.mktemp(name) / "points.sqlite", keep=False)
    made = Recorded(tools, name, "own" if name == "functions" else "corpus", cases, store)
    points = parse(gzip.decompress((folder / f"{name}.lp.gz").read_bytes()), made.now, "s")
    store.write("b", points, 0, 7 * 86400 * 10**9, made.now)
    yield made
    store.close()


def test_answers(recorded: Recorded) -> None:
    kinds: dict[str, list[int]] = {}
    for number, case in enumerate(recorded.cases):
        if number % 2:
            continue
        kinds.setdefault(recorded.tools.kind(*recorded.answer(case["q"]), case), []).append(number)
    different = {number for kind in ("refused", "accepted", "wrong") for number in kinds.get(kind, [])}
    assert different - DIFFERENT[recorded.name].keys() == set()
    assert len(kinds.get("identical", [])) >= IDENTICAL[recorded.name]

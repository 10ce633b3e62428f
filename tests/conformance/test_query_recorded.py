"""What InfluxDB 2.9.1 answered to 1,800 queries, as `pyagent query` reads it."""

import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode

from pyagent.cli.query.mistakes import PLACE, explained
from pyagent.cli.terminal import harmless
from pyagent.influxdb.queries import QueryFailed, converter, guarded, rows_of


def recorded(shared: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(shared / f"golden/flux/{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", ["functions", "dashboards"])
def test_every_answer_is_whole_and_an_error_behind_rows_is_seen(shared: Path, name: str) -> None:
    failed = whole = 0
    for one in recorded(shared, name):
        if one["status"] != 200:
            continue
        data = one["body"].encode()
        chunks = [data[at : at + 4093] for at in range(0, len(data), 4093)]
        got: list[bytes] = []
        said = ""
        try:
            got.extend(guarded(chunks))
        except QueryFailed as error:
            said = error.whole
        assert bool(said) == ("error,reference" in one["body"])
        assert said in one["body"].replace('""', '"')
        assert b"".join(got) == data
        failed, whole = failed + bool(said), whole + (not said)
    assert whole > 100
    assert failed > 0 or name == "dashboards"


def test_rows_are_those_that_influxdb_client_finds(shared: Path) -> None:
    compared = 0
    for one in recorded(shared, "functions"):
        if one["status"] != 200 or "error,reference" in one["body"]:
            continue
        ours = [
            {
                column.name: converter(column.kind)(cell)
                for column, cell in zip(row.head.columns, row.cells, strict=True)
                if not column.kind.startswith("dateTime")
            }
            for row in rows_of([one["body"].encode()])
        ]
        parser = FluxCsvParser(io.BytesIO(one["body"].encode()), FluxSerializationMode.stream)
        theirs = [record.values for record in parser.generator()]
        assert len(ours) == len(theirs), one["q"]
        for row, record in zip(ours, theirs, strict=True):
            assert row == {key: _finite(record[key]) for key in row}, one["q"]
        compared += len(ours)
    assert compared > 1000


def test_places_of_mistakes_are_in_the_text(shared: Path) -> None:
    shown = 0
    for one in [*recorded(shared, "functions"), *recorded(shared, "dashboards")]:
        if one["status"] == 200:
            continue
        message = json.loads(one["body"])["message"]
        said, lines = explained(message, one["q"], 10_000)
        assert said == harmless(said)
        if place := PLACE.search(message):
            row, start, last, end = map(int, place.groups())
            line, mark = lines[:2]
            source = one["q"].split("\n")[row - 1].encode()
            marked = source[start - 1 : end - 1] if row == last else source[start - 1 :]
            assert line[mark.index("^") : len(mark)] == marked.decode().replace("\t", "    ").rstrip()
            shown += 1
    assert shown > 50


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Telegraf's own cases of parsers whose input is `test`, which is none of the product: the same bytes give the same metrics.

They have no configuration that an agent could run: some need the headers of a page, or a request as Prometheus sends it.
"""

import json
import math
import struct
import tomllib
from pathlib import Path
from typing import Any

import pytest
from protobuf_bytes import double, part
from recorded_cases import CORPUS

from pyagent.api import Metric, MetricType
from pyagent.config.catalog import Catalog
from pyagent.kit.exposition_protobuf import read_delimited
from pyagent.kit.openmetrics import read_protobuf
from pyagent.testing import make_parser
from pyagent.testing.comparison import differences, expected_metrics

NAMES = ("binary", "openmetrics", "prometheus", "prometheusremotewrite")
CASES = [
    (folder.parent, version)
    for name in NAMES
    for folder in sorted(CORPUS.glob(f"parsers/{name}/testcases/*/telegraf.conf"))
    for version in ((1, 2) if (folder.parent / "expected_v1.out").exists() else (0,))
]
NOW = 1_700_000_000_000_000_000


@pytest.mark.skipif(not CASES, reason=f"Telegraf's cases are missing: {CORPUS} is not there")
@pytest.mark.parametrize(
    ("folder", "version"), CASES or [(None, 0)], ids=[f"{one.parts[-3]}-{one.name}-v{at}" for one, at in CASES] or None
)
def test_a_case_of_telegraf(folder: Path, version: int) -> None:
    table = tomllib.loads((folder / "telegraf.conf").read_text())["inputs"]["test"][0]
    headers = table.pop("additional_params", {}).get("headers", {})
    files, name = table.pop("files"), table.pop("data_format")
    if version:
        table["openmetrics_metric_version" if name == "openmetrics" else "prometheus_metric_version"] = version
    got: list[Metric] = []
    for file in files:
        data = (folder / file).read_bytes()
        if headers:
            read = read_protobuf if name == "openmetrics" else read_delimited
            got += read(data, 1 if version == 1 else 2, NOW)
        else:
            got += _parser(name, table).parse(_request(json.loads(data)) if file.endswith(".json") else data)
    expected = folder / (f"expected_v{version}.out" if version else "expected.out")
    wanted = expected_metrics(expected.read_bytes())
    assert wanted
    typed = name in ("openmetrics", "prometheus")
    if typed:  # the type is a tag there; some leave out that of what has none
        for metric in wanted:
            metric.tags.setdefault("_type", "untyped")
    if folder.name == "base64_encoding":  # numbers of 32 bits, compared to six places
        for metric in got:
            metric.fields = {key: round(value, 6) for key, value in metric.fields.items()}  # type: ignore[arg-type]
    assert differences(wanted, [_shown(metric, typed) for metric in got], times=_has_times(folder)) == []


def _has_times(folder: Path) -> bool:
    return folder.parts[-3] == "prometheusremotewrite" or folder.name == "multiple_messages"


def _parser(name: str, options: dict[str, Any]) -> Any:
    (entry,) = (entry for entry in Catalog().entries("parsers") if entry.name == name)
    parser = make_parser(Catalog().load(entry), options)  # type: ignore[arg-type]  # it is one
    parser.measurement = "test"
    return parser


def _shown(metric: Metric, typed: bool) -> Metric:
    kind = {"_type": MetricType(metric.kind).name.lower()} if typed else {}
    fields = {name: value for name, value in metric.fields.items() if math.isfinite(value)}  # type: ignore[arg-type]  # numbers alone
    return Metric(metric.name, {**metric.tags, **kind}, fields, metric.time)


def _request(document: dict[str, Any]) -> bytes:
    """A WriteRequest of Prometheus in Protocol Buffers, of the form in JSON that the cases have."""
    return b"".join(part(1, _series(series)) for series in document["timeseries"])


def _series(series: dict[str, Any]) -> bytes:
    labels = [part(1, part(1, one["name"]) + part(2, one["value"])) for one in series["labels"]]
    samples = [part(2, double(1, one["value"]) + part(2, one["timestamp"])) for one in series.get("samples", ())]
    return b"".join(labels + samples + [part(4, _histogram(one)) for one in series.get("histograms", ())])


def _histogram(given: dict[str, Any]) -> bytes:
    numbers = {"count_float": 2, "sum": 3, "zero_threshold": 5}
    parts = [double(number, given[name]) for name, number in numbers.items()]
    parts.append(part(4, given["schema"] << 1))
    for name, number in (("negative_spans", 8), ("positive_spans", 11)):
        parts += [part(number, part(1, span["offset"] << 1) + part(2, span["length"])) for span in given[name]]
    for name, number in (("negative_counts", 10), ("positive_counts", 13)):
        parts.append(part(number, struct.pack(f"<{len(given[name])}d", *given[name])))
    return b"".join([*parts, part(15, given["timestamp"])])

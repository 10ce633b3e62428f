"""Real receivers take every batch that the encoder writes."""

import itertools
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyagent.api import LineOptions, Metric, Uint
from pyagent.lineprotocol import encode
from pyagent.testing.servers import InfluxDB1, VictoriaMetrics

# What is escaped, cut off or skipped somewhere, so that random text meets it often.
SPECIAL = '\\\\\\, ==""#\t\n\r\f\0ab1é€😀\udc80\udcff\ud800'
texts = st.text(st.sampled_from(SPECIAL) | st.characters(), max_size=6)
values = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.integers(0, 2**64 - 1).map(Uint) | st.booleans() | texts
metrics = st.builds(
    Metric,
    texts,
    st.dictionaries(texts, texts, max_size=4),
    st.dictionaries(texts, values, max_size=4),
    st.integers(-(2**63), 2**63),
)
numbers = itertools.count()
plain_names = texts.map(lambda text: text.translate({ord('"'): "'", ord("\\"): "/"}))
for_victoria_metrics = st.builds(
    Metric,
    plain_names,
    st.dictionaries(plain_names, plain_names, max_size=4),
    st.dictionaries(plain_names, values.map(lambda v: v.replace("\n", " ") if isinstance(v, str) else v), max_size=4),
    st.integers(-(2**63), 2**63),
)
some = settings(
    max_examples=2 * settings.default.max_examples, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def post(url: str, body: bytes) -> str:
    """What the server has against the body; empty if nothing."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=20) as answer:
            assert answer.status in (200, 204)
            return ""
    except urllib.error.HTTPError as error:
        return error.read().decode("utf-8", "replace")


def query(server: InfluxDB1, text: str, **parameters: str) -> Any:
    asked = urllib.parse.urlencode({"q": text, **parameters}).encode()
    with urllib.request.urlopen(f"{server.url}/query", asked, timeout=20) as answer:
        [result] = json.load(answer)["results"]
    assert "error" not in result, result
    return result


@some
@given(batch=st.lists(metrics, min_size=1, max_size=5), limit=st.sampled_from([0, 60]), sort=st.booleans())
def test_influxdb_1_takes_every_batch(influxd_1: InfluxDB1, batch: list[Metric], limit: int, sort: bool) -> None:
    encoded = encode(batch, LineOptions(max_line_bytes=limit, sort_fields=sort))
    database = f"lines{next(numbers)}"
    query(influxd_1, f"CREATE DATABASE {database}")
    try:
        complaint = post(f"{influxd_1.url}/write?db={database}", encoded.data)
    finally:
        query(influxd_1, f"DROP DATABASE {database}")
    # Random metrics may give one field two types, or the name time; that is said after all lines were understood.
    assert complaint == "" or complaint.startswith('{"error":"partial write: '), (complaint, encoded.data)


@some
@given(batch=st.lists(for_victoria_metrics, min_size=1, max_size=5), unsigned=st.booleans())
def test_victoria_metrics_takes_every_batch(
    victoria_metrics: VictoriaMetrics, batch: list[Metric], unsigned: bool
) -> None:
    """Names without quotes and backslashes, which it does not read as InfluxDB does, and texts of one line: it splits them."""
    encoded = encode(batch, LineOptions(uint_support=unsigned))
    assert post(f"{victoria_metrics.url}/api/v2/write", encoded.data) == "", encoded.data


@pytest.mark.parametrize(
    ("metric", "name", "tags", "fields"),
    [
        (Metric("lines_plain", {"t": "v"}, {"f": 1.5}, 0), "lines_plain", {"t": "v"}, {"f": 1.5}),
        (Metric("lines, =\\x", {"a, =": "b, =\\"}, {"f, =": 1}, 0), "lines, =\\x", {"a, =": "b, ="}, {"f, =": 1}),
        (Metric("lines_end\\", {"a\\": "b"}, {"f\\": 1}, 0), "lines_end", {"a": "b"}, {"f": 1}),
        (Metric("lines_odd", {}, {"f\\ g": 1}, 0), "lines_odd", {}, {"f g": 1}),
        (Metric("lines_text", {}, {"f": '\n"\\é', "g": True}, 0), "lines_text", {}, {"f": '\n"\\é', "g": True}),
        (Metric("lines_float", {}, {"f": 1e300, "g": 1e-300}, 0), "lines_float", {}, {"f": 1e300, "g": 1e-300}),
    ],
)
def test_influxdb_1_stores_what_was_meant(
    influxd_1: InfluxDB1, metric: Metric, name: str, tags: dict[str, str], fields: dict[str, Any]
) -> None:
    metric.time = 1_700_000_000_000_000_000
    assert post(f"{influxd_1.url}/write?db=test", encode([metric]).data) == ""
    quoted = name.replace("\\", "\\\\")
    [series] = query(influxd_1, f'SELECT * FROM "{quoted}" GROUP BY *', db="test")["series"]
    assert (series["name"], series.get("tags", {})) == (name, tags)
    assert dict(zip(series["columns"][1:], series["values"][0][1:], strict=True)) == fields

"""The queries of the dashboards and of the alert rules, as Grafana sends them, against the embedded server.

The data are those of the plugins themselves; the hosts' names are such as break queries.
"""

import itertools
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from grafana_side import ALL, Frame, Range, Source, with_variables
from provisioning import Background

from pyagent import hooks
from pyagent.api import LineOptions, Metric
from pyagent.config.catalog import Catalog
from pyagent.dashboards.alerts import alert_rules
from pyagent.dashboards.boards import FORMS, Board, boards
from pyagent.dashboards.subjects import Destination, subjects_of_catalog
from pyagent.lineprotocol.encoder import encode
from pyagent.testing import run_input
from pyagent.testing.servers import PostgresServer
from pyagent_plugins.inputs.exec import Exec
from pyagent_plugins.inputs.file import File
from pyagent_plugins.inputs.http import Http
from pyagent_plugins.inputs.internal import Internal
from pyagent_plugins.inputs.mem import Mem
from pyagent_plugins.inputs.mock import Mock
from pyagent_plugins.inputs.nginx import Nginx
from pyagent_plugins.inputs.postgresql import Postgresql

SUBJECTS, _ = subjects_of_catalog(Catalog())
BOARDS = boards(SUBJECTS, Destination(), "provisioning")
BUCKET, ODD = "monitoring-system", "a b/ü ($c)"
PLAIN = ["web1", "web2"]
STRANGE = ["a/b", "a.b", "axb", "(c)", 'd"e', "f\\g", "ü h", "i|j", "^k$", "[l]"]
MINUTE, DAY = 60, 86_400
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC).timestamp()
"""When clocks in Europe are set back."""


def panels(document: Any) -> Iterator[dict[str, Any]]:
    for panel in document["panels"]:
        yield panel
        yield from panel.get("panels") or ()


PANELS = [
    pytest.param(panel, id=f"{board.name}-{number}-{panel['title']}")
    for board in BOARDS
    for number, panel in enumerate(panels(board.document))
    if panel["type"] != "row"
]


def status(turn: int) -> dict[str, Any]:
    """What `pyagent status` says, for the `turn`-th time."""
    one = {
        "plugin": "mem",
        "alias": "",
        "metrics": 7 * turn,
        "duration_seconds": 0.5,
        "overruns": turn,
        "dropped": {},
        "failures": turn,
    }
    counters = ("added", "written", "rejected", "dropped", "filtered", "failures")
    output = {
        "plugin": "influxdb_v2",
        "alias": "main",
        "queued": 4 * turn,
        "limit": 10_000,
        "queued_bytes": 400,
        "disk_bytes": 1000,
        "restored": 2,
        "damaged": 1,
        "damaged_bytes": 77,
        "set_aside": 5,
        "oldest_age_seconds": 1.5,
        "write_seconds": 0.25 * turn,
    }
    return {
        "version": "1.2" if turn < 5 else "1.3",
        "resident_bytes": 50_000_000,
        "loop_lag_seconds": 0.002,
        "configuration": {"age_seconds": 9.5, "last_reload_ok": True, "from_cache": False},
        "inputs": [one, {**one, "alias": "second"}],
        "outputs": [output | dict.fromkeys(counters, 10 * turn)],
        "quarantine": {"metrics": 3, "bytes": 900, "entries": 2, "evicted": 0},
        "aggregators": [{"plugin": "minmax", "alias": "", "pushed": turn, "dropped": turn, "failures": turn}],
    }


@dataclass
class Filled:
    source: Source
    now: float
    measurements: set[str]

    @property
    def has_postgresql(self) -> bool:
        return "postgresql" in self.measurements

    @property
    def recent(self) -> Range:
        return Range(self.now - 50 * MINUTE, self.now + 1, "1m0s")


@pytest.fixture(scope="module")
def postgresql_or_none(request: pytest.FixtureRequest) -> PostgresServer | None:
    if not PostgresServer.installed():
        return None
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    """The address of a server with the status page of nginx, and a point."""
    status = b"Active connections: 2\nserver accepts handled requests\n 9 9 %d\nReading: 0 Writing: 1 Waiting: 1\n"
    requests = itertools.count(1)

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(status % next(requests) if self.path == "/nginx" else b"http,a=b n=7i\n")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(30)


@pytest.fixture(scope="module")
def filled(
    postgresql_or_none: PostgresServer | None, pages: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Filled]:
    """A server with half an hour of data of every plugin, and of `mem` from hosts with strange names, too."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "points").write_text('file,where=here size=3i,name="x"\n')
    now = float(int(time.time()))
    before = hooks._source
    lines, names = bytearray(), set[str]()
    try:
        for turn in range(1, 11):
            hooks.provide_statistics(lambda turn=turn: status(turn))
            metrics = [
                *run_input(Mem, {"collect_extended": True}),
                *run_input(Internal),
                *run_input(
                    Mock, {"metric_name": "mock", "sine_wave": [{"name": "wave", "amplitude": 1.0, "period": 1.0}]}
                ),
                *run_input(Exec, {"commands": ["printf 'exec,a=b n=%d,t=\"x\"' 7"], "data_format": "influx"}),
                *run_input(File, {"files": [str(folder / "points")], "data_format": "influx"}),
            ]
            metrics += run_input(Nginx, {"urls": [f"{pages}/nginx"]})
            metrics += run_input(Http, {"urls": [f"{pages}/point"], "data_format": "influx"})
            if postgresql_or_none is not None:
                metrics += run_input(Postgresql, {"address": postgresql_or_none.address})
            names |= {metric.name for metric in metrics}
            lines += _lines(metrics, now - (10 - turn) * 4 * MINUTE, PLAIN)
            lines += _lines([one for one in metrics if one.name == "mem"], now - (10 - turn) * 4 * MINUTE, STRANGE)
    finally:
        hooks._source = before
    # Weeks ago, across the change of the clocks, and a host that was heard of an hour ago for the last time.
    for hours in range(-24, 48):
        lines += _lines(run_input(Mem), AUTUMN + 3600 * hours, ["autumn"])
    lines += _lines(run_input(Mem), now - 20 * DAY, ["old"])
    hooks.provide_statistics(lambda: status(1))
    lines += _lines(run_input(Internal), now - 60 * MINUTE, ["gone"])
    hooks._source = before
    with Background() as running:
        server = running.begin_anew(is_set_up=True)
        source = Source(server.url, server.token, "home", BUCKET)
        for name in ("empty", ODD):
            body = {"orgID": server.org_id, "name": name, "retentionRules": []}
            _post(source, "/api/v2/buckets", json.dumps(body).encode())
        _post(source, f"/api/v2/write?org=home&bucket={quote(ODD)}", _lines(run_input(Mem), now - MINUTE, PLAIN))
        _post(source, f"/api/v2/write?org=home&bucket={BUCKET}", bytes(lines))
        yield Filled(source, now, names)


def _lines(metrics: Sequence[Metric], seconds: float, hosts: Sequence[str]) -> bytes:
    found = [
        Metric(one.name, {**one.tags, "host": host}, one.fields, int(seconds * 1e9), one.kind)
        for one, host in itertools.product(metrics, hosts)
    ]
    encoded = encode(found, LineOptions())
    assert not encoded.rejected
    return bytes(encoded.data)


def _post(source: Source, path: str, body: bytes) -> None:
    request = urllib.request.Request(source.url + path, body, {"Authorization": f"Token {source.token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status < 300


def _frames(filled: Filled, panel: dict[str, Any], time: Range, host: Any, bucket: str = BUCKET) -> list[Frame]:
    variables = {"bucket": bucket, "host": host}
    return [frame for one in panel["targets"] for frame in filled.source.frames(one["query"], time, variables)]


def _expected(filled: Filled, panel: dict[str, Any]) -> bool:
    """Whether what is here writes it: a plugin's server may be missing, or too old; and Linux has all memory but `wired`."""
    query = panel["targets"][0]["query"]
    (measurement,) = set(re.findall(r'r\._measurement == "(\w+)"', query))
    if measurement == "postgresql":
        # Fields that only some versions have; and no column that is not declared.
        missing = ("parallel_", "buffers_backend", "checksum_failures", "types.isNumeric")
        return filled.has_postgresql and not any(word in query for word in missing)
    return measurement in filled.measurements and "wired" not in query


def _has_data(filled: Filled, query: str) -> bool:
    """Whether it asks for what is here. Of hundreds of plugins that are not, one answer is as empty as the next."""
    asked = set(re.findall(r'r\._measurement == "(\w+)"', query))
    return not asked or bool(asked & filled.measurements)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_gives_frames_for_one_host_several_and_all(filled: Filled, panel: dict[str, Any]) -> None:
    every = 12 if '"mem"' in panel["targets"][0]["query"] else 2
    if not any(_has_data(filled, one["query"]) for one in panel["targets"]):
        assert _frames(filled, panel, filled.recent, PLAIN) == []
        return
    for host, count in (("web1", 1), (PLAIN, 2), (ALL, every)):
        frames = _frames(filled, panel, filled.recent, host)
        if not _expected(filled, panel):
            continue
        assert frames, panel["targets"]
        if panel["type"] == "table":
            assert all(frame.is_table for frame in frames)
            assert len(set(frames[0].columns["host"])) == count
            continue
        assert not any(frame.is_table for frame in frames)
        assert {len(frame.columns) for frame in frames} == {2}
        hosts = {frame.labels["host"] for frame in frames} - {"gone"}
        assert len(hosts) == count
        for frame in frames:
            times, values = frame.columns.values()
            assert times == sorted(set(times)), "a line that goes back in time"
            numbers = [value for value in values if value is not None]
            assert numbers
            kind = bool if panel["type"] == "state-timeline" else (int, float)
            assert all(isinstance(value, kind) for value in numbers)


def test_names_that_break_patterns_mean_just_themselves(filled: Filled) -> None:
    panel = next(param.values[0] for param in PANELS if param.values[0]["title"] == "Memory used of the total")
    for name in STRANGE:
        assert [frame.labels["host"] for frame in _frames(filled, panel, filled.recent, name)] == [name]
    found = {frame.labels["host"] for frame in _frames(filled, panel, filled.recent, STRANGE)}
    assert found == set(STRANGE)


def test_a_bucket_with_an_odd_name(filled: Filled) -> None:
    panel = next(param.values[0] for param in PANELS if param.values[0]["title"] == "Memory used of the total")
    assert len(_frames(filled, panel, filled.recent, ALL, ODD)) == 2


def test_counters_are_rates_and_a_new_release_parts_no_line(filled: Filled) -> None:
    panel = next(param.values[0] for param in PANELS if param.values[0]["title"] == "Outputs: failed writes")
    (frame,) = _frames(filled, panel, filled.recent, "web1")
    assert frame.labels == {"host": "web1", "output": "influxdb_v2", "alias": "main"}
    values = [value for value in frame.columns["write_errors"] if value is not None]
    assert values == pytest.approx([10 / 240] * len(values))
    # Nine steps, but for the one where the release changed.
    assert len(values) == 8


@pytest.mark.parametrize("title", ["Memory used, last 24 h", "Swap"])
def test_ranges(filled: Filled, title: str) -> None:
    panel = next(param.values[0] for param in PANELS if param.values[0]["title"] == title)
    short = Range(filled.now - 5 * MINUTE, filled.now + 1, "10s")
    month = Range(filled.now - 30 * DAY, filled.now + 1, "30m0s")
    change = Range(AUTUMN - 24 * 3600, AUTUMN + 48 * 3600, "1h0m0s")
    for span, host, points in ((short, "web1", 2), (month, "old", 1), (change, "autumn", 72)):
        frames = _frames(filled, panel, span, host)
        assert frames
        assert {len(column) for frame in frames for column in frame.columns.values()} == {points}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_no_query_fails_in_any_range_for_any_name(filled: Filled, board: Board) -> None:
    short = Range(filled.now - 5 * MINUTE, filled.now + 1, "10s")
    month = Range(filled.now - 30 * DAY, filled.now + 1, "30m0s")
    change = Range(AUTUMN - 24 * 3600, AUTUMN + 48 * 3600, "1h0m0s")
    for panel in panels(board.document):
        for target in panel.get("targets") or ():
            asked = ((short, BUCKET, STRANGE), (month, BUCKET, ALL), (change, ODD, "web1"))
            for span, bucket, host in asked if _has_data(filled, target["query"]) else asked[:1]:
                filled.source.frames(target["query"], span, {"bucket": bucket, "host": host})
            assert filled.source.frames(target["query"], filled.recent, {"bucket": "empty", "host": ALL}) == []


def test_the_variable_of_buckets_has_the_default_first(filled: Filled) -> None:
    for default in (BUCKET, "empty"):
        source = Source(filled.source.url, filled.source.token, "home", default)
        for board in BOARDS[:2]:
            query = board.document["templating"]["list"][0]["query"]
            (frame,) = source.frames(query, filled.recent, {})
            assert frame.columns == {"name": [default, *sorted({BUCKET, "empty", ODD} - {default})]}
    known = boards(SUBJECTS, Destination(bucket="empty"), "provisioning")[0].document["templating"]["list"][0]["query"]
    (frame,) = filled.source.frames(known, filled.recent, {})
    assert frame.columns["name"] == ["empty", ODD, BUCKET]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_variable_of_hosts_has_those_of_the_time_that_is_shown(filled: Filled, board: Board) -> None:
    query = board.document["templating"]["list"][1]["query"]
    measurements = set(re.findall(r'r\._measurement == "(\w+)"', query))
    if not measurements & filled.measurements:
        assert filled.source.frames(query, filled.recent, {"bucket": BUCKET}) == []
        return
    (frame,) = filled.source.frames(query, filled.recent, {"bucket": BUCKET})
    (values,) = (column for name, column in frame.columns.items() if name == "_value")
    assert set(values) == {*PLAIN, *(STRANGE if "mem" in measurements else ())}
    assert filled.source.frames(query, filled.recent, {"bucket": "empty"}) == []
    if board.name == "mem":
        long = Range(AUTUMN - DAY, filled.now + 1, "1h0m0s")
        (frame,) = filled.source.frames(query, long, {"bucket": BUCKET})
        assert {"old", "autumn"} <= set(frame.columns["_value"])


def test_without_variables_nothing_is_left_to_be_put_in(filled: Filled) -> None:
    for board in boards(SUBJECTS, Destination(), "shared", host='d"e'):
        for panel in panels(board.document):
            for target in panel.get("targets") or ():
                if not _has_data(filled, target["query"]):
                    assert "${" not in target["query"]
                    continue
                frames = filled.source.frames(target["query"], filled.recent, {})
                assert {frame.labels["host"] for frame in frames if not frame.is_table} <= {'d"e'}
    first = next(iter(boards(SUBJECTS, Destination(), "shared")[0].document["panels"]))
    assert len(filled.source.frames(first["targets"][0]["query"], filled.recent, {})) == 12


def test_the_import_page_makes_the_same_dashboard() -> None:
    """It puts the data source that is chosen in place of its name."""
    for imported, provisioned in zip(*(boards(SUBJECTS, Destination(), form) for form in FORMS[1::-1]), strict=True):
        document = json.loads(imported.text().replace("${DS_INFLUXDB}", "pyagent-influxdb"))
        assert [one["pluginId"] for one in document.pop("__inputs")] == ["influxdb"]
        document.pop("__requires")
        assert document == provisioned.document


def _at(seconds: float, query: str) -> str:
    """The query as if it were asked at that time, however long the tests before it took."""
    imports, _, rest = query.rpartition("\n\n")
    now = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{imports}\n\noption now = () => {now}\n\n{rest}"


def test_the_alert_rules_see_what_they_are_for(filled: Filled) -> None:
    rules = {rule["uid"]: rule for rule in alert_rules(SUBJECTS, Destination())}
    found: dict[str, dict[str, Any]] = {}
    for uid, rule in rules.items():
        query, reduce, threshold = (one["model"] for one in rule["data"])
        assert (reduce["expression"], threshold["expression"], rule["condition"]) == ("A", "B", "C")
        assert "$" not in query["query"]
        frames = filled.source.frames(_at(filled.now + 5, query["query"]), filled.recent, {})
        assert all(not frame.is_table and len(frame.columns["_time"]) == 1 for frame in frames)
        found[uid] = {frame.labels["host"]: frame.columns["_value"][0] for frame in frames}
        limit = threshold["conditions"][0]["evaluator"]["params"][0]
        above = {host for host, value in found[uid].items() if value > limit}
        assert above == {"no-data": {"gone"}, "backlog": {*PLAIN}, "quarantine": {*PLAIN}}[uid.removeprefix("pyagent-")]
    assert found["pyagent-no-data"].keys() == {"gone", *PLAIN}


@pytest.fixture(scope="module")
def go_client(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program on influxdb-client-go, the client of Grafana's data source."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("go is missing: without it the answers are not read by Grafana's own client")
    program = tmp_path_factory.mktemp("go") / "grafana_client"
    source = root / "tests/integration/grafana_client"
    done = subprocess.run(
        [go, "build", "-mod=readonly", "-o", program, "."], cwd=source, capture_output=True, text=True, timeout=280
    )
    if done.returncode and ("proxy" in done.stderr or "dial tcp" in done.stderr or "lookup" in done.stderr):
        pytest.skip(f"the module influxdb-client-go cannot be had: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return program


def test_grafanas_own_client_reads_every_answer(filled: Filled, go_client: Path) -> None:
    found = BOARDS
    queries = [
        target["query"]
        for board in found
        for panel in [*panels(board.document), *({"targets": [one]} for one in board.document["templating"]["list"])]
        for target in panel.get("targets") or ()
    ]
    queries += [rule["data"][0]["model"]["query"] for rule in alert_rules(SUBJECTS, Destination())]
    without = [query for query in queries if not _has_data(filled, query)]
    queries = [query for query in queries if _has_data(filled, query)] + without[::20]
    variables = {"bucket": BUCKET, "host": PLAIN}
    sent = [filled.source.with_macros(with_variables(query, variables), filled.recent) for query in queries]
    done = subprocess.run(
        [go_client],
        input="".join(f"{json.dumps(query)}\n" for query in sent),
        env={**os.environ, "INFLUX_HOST": filled.source.url, "INFLUX_TOKEN": filled.source.token, "INFLUX_ORG": "home"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(query, answer["error"]) for query, answer in zip(sent, answers, strict=True) if "error" in answer] == []
    for query, answer in zip(sent, answers, strict=True):
        frames = filled.source.frames(query, filled.recent, {})
        rows = [len(next(iter(frame.columns.values()))) for frame in frames]
        assert sum(table["rows"] for table in answer["tables"]) == sum(rows)
        if frames and not frames[0].is_table:
            assert len(answer["tables"]) == len(frames)
            for table in answer["tables"]:
                types = dict(map(tuple, table["columns"]))
                assert types["_time"].startswith("dateTime")
                assert types["_value"] in ("double", "long", "unsignedLong", "boolean")
    assert sum(table["values"] for answer in answers for table in answer["tables"]) > 1000


def test_the_committed_dashboards_are_those_that_were_tried(root: Path) -> None:
    for board in BOARDS:
        assert (root / f"dashboards/provisioning/dashboards/pyagent/{board.name}.json").read_text() == board.text()

"""The Flask application of docs/data-in.md, by Flask's own client and under gunicorn."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from commands import pyagent
from provisioning import Host, background, host, new_server

from pyagent.influxdb import InfluxDB

__all__ = ["background", "host", "new_server", "pyagent"]  # fixtures

FOLDER = Path(__file__).parents[2] / "docs/examples/data-in"
DEADLINE = 60.0


def environment(host: Host) -> dict[str, str]:
    return {
        "INFLUX_HOST": host.server.url,
        "INFLUX_TOKEN": host.server.token,
        "INFLUX_ORG": "home",
        "INFLUX_BUCKET": "monitoring-system",
    }


def stored(host: Host) -> dict[str, list[float]]:
    flux = 'from(bucket: "monitoring-system") |> range(start: 0) |> filter(fn: (r) => r._measurement == "room")'
    found: dict[str, list[float]] = {}
    with InfluxDB(host.server.url, host.server.token, "home") as influxdb:
        for row in influxdb.query(flux):
            found.setdefault(row["room"], []).append(row["_value"])
    return found


@pytest.fixture
def application(host: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    pytest.importorskip("flask", reason="Flask is not installed")
    for name, value in environment(host).items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    spec = importlib.util.spec_from_file_location("room_app", FOLDER / "room_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        yield module
    finally:
        module.writer.close()
        signal.signal(signal.SIGTERM, before)


def test_what_is_sent_is_stored_and_shown(application: ModuleType, host: Host) -> None:
    client = application.app.test_client()
    for number, given in enumerate(
        [{"json": {"room": "kitchen", "celsius": 20}}, {"data": {"room": "<b>ü\\", "celsius": "-1.5"}}]
    ):
        answer = client.post("/measurements", **given)
        assert answer.status_code == (202, 400)[number], answer.text
    answer = client.post("/measurements", data={"room": "<b>ü", "celsius": "-1.5"})
    assert (answer.status_code, answer.json) == (202, {"room": "<b>ü", "celsius": -1.5})
    assert client.post("/measurements", json={"room": "kitchen", "celsius": 22.5}).status_code == 202
    application.writer.flush(DEADLINE)
    assert stored(host) == {"kitchen": [20.0, 22.5], "<b>ü": [-1.5]}
    health = client.get("/health")
    assert (health.status_code, health.json) == (200, {"status": "pass", "waiting": 0})
    hour = client.get("/measurements").json
    assert [(one["room"], one["celsius"]) for one in hour] == [("<b>ü", -1.5), ("kitchen", 20.0), ("kitchen", 22.5)]
    page = client.get("/").text
    assert "<h2>kitchen: 22.5 °C</h2>" in page
    assert "<h2>&lt;b&gt;ü: -1.5 °C</h2>" in page
    assert "20.0 to 22.5 °C" in page
    assert not re.search(r"https?://|src=|<script", page), "nothing comes from elsewhere"
    lines = [ElementTree.fromstring(svg).find("polyline") for svg in re.findall(r"(?s)<svg.*?</svg>", page)]
    points = [[tuple(map(float, point.split(","))) for point in line.get("points").split()] for line in lines]  # type: ignore[union-attr]
    assert points == [[(0, 95)], [(0, 95), (600, 5)]]


def test_without_data(application: ModuleType) -> None:
    client = application.app.test_client()
    assert client.get("/measurements").json == []
    assert "Nothing was measured." in client.get("/").text


@pytest.mark.parametrize(
    "given",
    [
        {"json": {"celsius": 1}},
        {"json": {"room": "a"}},
        {"json": {"room": "", "celsius": 1}},
        {"json": {"room": "a" * 65, "celsius": 1}},
        {"json": {"room": 5, "celsius": 1}},
        {"json": {"room": "a", "celsius": "warm"}},
        {"json": {"room": "a", "celsius": None}},
        {"json": {"room": "a", "celsius": True}},
        {"json": {"room": "a", "celsius": []}},
        {"json": {"room": "a", "celsius": 10**400}},
        {"json": [1]},
        {"json": "text"},
        {"data": {"room": "a", "celsius": "nan"}},
        {"data": {"room": "a", "celsius": "inf"}},
        {"data": b"{", "content_type": "application/json"},
        {"data": b"\xff\xfe", "content_type": "application/json"},
        {"data": b"\xff\xfe"},
        {},
    ],
)
def test_what_is_no_measurement_is_refused(application: ModuleType, given: dict[str, Any], host: Host) -> None:
    answer = application.app.test_client().post("/measurements", **given)
    assert answer.status_code == 400
    assert answer.json["error"]
    application.writer.flush(DEADLINE)
    assert stored(host) == {}


def test_a_large_body_is_refused(application: ModuleType) -> None:
    answer = application.app.test_client().post("/measurements", json={"room": "a" * (1 << 16), "celsius": 1})
    assert answer.status_code == 413


@contextmanager
def gunicorn(host: Host, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The process, the address, and the lines of its log."""
    environ = {**os.environ, **environment(host), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--no-control-socket",
        *flags,
    ]
    process = subprocess.Popen([*command, "room_app:app"], cwd=FOLDER, env=environ, stderr=subprocess.PIPE, text=True)
    log: list[str] = []
    listens = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            log.append(line)
            if "Listening at" in line:
                listens.set()
        listens.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert listens.wait(DEADLINE)
        address = re.search(r"Listening at: (http://127\.0\.0\.1:\d+)", "".join(log))
        assert address, log
        yield process, address[1], log
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE)
        reader.join(DEADLINE)
        assert process.stderr is not None
        process.stderr.close()


def post(url: str, room: str) -> int:
    request = urllib.request.Request(
        f"{url}/measurements", json.dumps({"room": room, "celsius": 1.5}).encode(), {"Content-Type": "application/json"}
    )
    end = time.monotonic() + DEADLINE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE) as answer:
                status: int = answer.status
                return status
        except (ConnectionError, urllib.error.URLError):
            # A worker that is replaced closes connections that it has not read from.
            if time.monotonic() > end:
                raise


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--preload",),
        ("--preload", "--threads", "4"),
        ("--max-requests", "20"),
        ("--preload", "--max-requests", "20"),
    ],
    ids=lambda flags: " ".join(flags) or "plain",
)
def test_under_gunicorn_all_that_was_answered_arrives(host: Host, flags: tuple[str, ...]) -> None:
    """The service is stopped as soon as the last request is answered."""
    for library in ("flask", "gunicorn"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    rooms = [f"r{number}" for number in range(60)]
    with gunicorn(host, *flags) as (process, url, log):
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda room: post(url, room), rooms)) == {202}
        process.terminate()
        assert process.wait(DEADLINE) == 0, log
    found = stored(host)
    assert found.keys() == set(rooms), "".join(log)
    assert all(set(values) == {1.5} for values in found.values())
    if "--max-requests" not in flags:
        assert all(len(values) == 1 for values in found.values()), "each once"

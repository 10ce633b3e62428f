"""A small web application in front of a bucket: takes the temperatures of rooms, and shows their last hour.

    pip install flask gunicorn
    flask --app room_app run                              # to try it
    gunicorn --workers 2 --preload room_app:app           # to run it

    curl -d room=kitchen -d celsius=21.5 http://127.0.0.1:8000/measurements
    curl http://127.0.0.1:8000/measurements               # the last hour as JSON
    xdg-open http://127.0.0.1:8000/                       # and as a chart

INFLUX_HOST, INFLUX_TOKEN (which may read and write), INFLUX_ORG and INFLUX_BUCKET say where the data are.
"""

import math
import os
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, abort, jsonify, render_template_string, request
from influxdb_client import InfluxDBClient
from werkzeug.exceptions import HTTPException

from pyagent.client import BufferFull, PointError, Writer

LAST_HOUR = """
from(bucket: bucket)
  |> range(start: -1h)
  |> filter(fn: (r) => r._measurement == "room" and r._field == "celsius")
  |> keep(columns: ["_time", "_value", "room"])
  |> group(columns: ["room"])
  |> sort(columns: ["_time"])
"""
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="10">
<title>Rooms</title>
<style>
  body { font: 16px sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em }
  svg { width: 100%; border: 1px solid #ccc }
  polyline, circle { fill: none; stroke: #0077bb; stroke-width: 2; vector-effect: non-scaling-stroke }
</style>
<h1>Rooms, the last hour</h1>
{% for room, chart in charts.items() %}
<h2>{{ room }}: {{ "%.1f"|format(chart.last) }} °C</h2>
<svg viewBox="0 0 600 100" preserveAspectRatio="none" role="img" aria-label="Temperature of {{ room }}">
  <polyline points="{{ chart.line }}"/>
</svg>
<p>{{ "%.1f"|format(chart.least) }} to {{ "%.1f"|format(chart.most) }} °C</p>
{% else %}
<p>Nothing was measured.</p>
{% endfor %}
</html>
"""

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1 << 16
# One for the whole program. It returns at once, and delivers in batches and at the end of each worker; it may be made before
# gunicorn forks them. A request is rather refused than left waiting where InfluxDB is away for so long that nothing more fits.
writer = Writer(when_full="raise")


@app.post("/measurements")
def take() -> tuple[Response, int]:
    given: Mapping[str, Any] = request.get_json() if request.is_json else request.form
    if not isinstance(given, Mapping):
        abort(400, "send an object with room and celsius")
    room, celsius = given.get("room"), _number(given.get("celsius"))
    if not isinstance(room, str) or not 0 < len(room) <= 64:
        abort(400, "room is missing, or no name of at most 64 characters")
    if celsius is None:
        abort(400, "celsius is missing, or no number")
    try:
        writer.write("room", {"celsius": celsius}, {"room": room})
    except PointError as error:
        abort(400, str(error))
    except BufferFull:
        abort(503, "try again later")
    return jsonify(room=room, celsius=celsius), 202  # taken; it is in the bucket a second later


@app.get("/measurements")
def last_hour() -> Response:
    return jsonify(
        [
            {"time": record["_time"].isoformat(), "room": record["room"], "celsius": record["_value"]}
            for record in _records()
        ]
    )


@app.get("/")
def page() -> str:
    rooms: dict[str, list[tuple[float, float]]] = {}
    for record in _records():
        rooms.setdefault(record["room"], []).append((record["_time"].timestamp(), record["_value"]))
    return render_template_string(PAGE, charts={room: _chart(points) for room, points in sorted(rooms.items())})


@app.get("/health")
def health() -> tuple[Response, int]:
    found = writer.health()
    return jsonify(status=found["status"], waiting=found["waiting"]), 503 if found["status"] == "fail" else 200


@app.errorhandler(HTTPException)
def refused(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=error.description), error.code or 500


def _number(given: Any) -> float | None:
    try:
        number = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _records() -> list[dict[str, Any]]:
    # A client for each request: connections are not to be shared by the workers that gunicorn forks.
    with InfluxDBClient(os.environ["INFLUX_HOST"], os.environ["INFLUX_TOKEN"], org=os.environ["INFLUX_ORG"]) as client:
        tables = client.query_api().query(LAST_HOUR, params={"bucket": os.environ["INFLUX_BUCKET"]})
    return [record.values for table in tables for record in table.records]


def _chart(points: list[tuple[float, float]]) -> dict[str, Any]:
    """The line of a series in a picture of 600 by 100."""
    times, values = zip(*points, strict=True)
    start, width = times[0], (times[-1] - times[0]) or 1
    least, most = min(values), max(values)
    height = (most - least) or 1
    line = [f"{600 * (time - start) / width:.1f},{95 - 90 * (value - least) / height:.1f}" for time, value in points]
    return {"line": " ".join(line), "least": least, "most": most, "last": values[-1]}

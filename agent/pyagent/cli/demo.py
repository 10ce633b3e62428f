"""`pyagent demo`: agents against an embedded InfluxDB 2, and what arrives there.

Everything runs as on a host, in processes of its own: the server, and one agent per configuration, started from the
configuration's URL with its scoped token.
"""

import argparse
import json
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyagent.cli.demo_processes import (
    BUCKET,
    MEM,
    ORG,
    Child,
    ChildDied,
    EmbeddedInfluxDB,
    PostgresSearch,
    postgresql_section,
)
from pyagent.cli.demo_view import Agent, Display, Lines, Screen, Series, State
from pyagent.influxdb import InfluxDB, InfluxDBError

POLL, POLL_AT_REST, REFRESH = 0.025, 0.2, 1.0
"""Seconds between two looks for a first point; the same where none is due any more; between two views."""
IMPATIENCE = 5.0
"""Seconds after which a first point is not looked for that often."""
HEAD_START = 3.0
"""Seconds that the first agent gets for itself, before PostgreSQL is looked for or started."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="end after so many seconds")
    parser.add_argument("--json", action="store_true", help="no view: print one JSON document as the last line")


def run(arguments: argparse.Namespace) -> int:
    try:
        with ExitStack() as stack:
            return _Demo(stack, arguments.seconds, as_json=arguments.json).run()
    except BrokenPipeError:
        raise
    except (ChildDied, InfluxDBError, OSError) as error:
        print(f"E! {error}", file=sys.stderr)
        return 1


class _Demo:
    """One demonstration; `stack` ends what it starts, the agents first."""

    def __init__(self, stack: ExitStack, seconds: float | None, *, as_json: bool) -> None:
        self._stack = stack
        self._seconds = seconds
        self._as_json = as_json
        self._interrupted = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A flag and no exception: the end that follows must not be broken off half way by an impatient second one.
            stack.callback(signal.signal, number, signal.signal(number, self._interrupt))
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyagent-demo-")))
        self._agents: list[Agent] = []
        self._children: list[Child] = []
        self._postgresql = PostgresSearch()

    def run(self) -> int:
        display = self._display()
        display.say("Starting an embedded InfluxDB 2 ...")
        server = EmbeddedInfluxDB(self._folder)
        self._keep(server)
        self._influxdb = self._stack.enter_context(InfluxDB(server.url))
        self._influxdb.setup(org=ORG, bucket=BUCKET, username="admin", password=secrets.token_urlsafe(24))
        started = time.monotonic()
        with display:
            self._start_agent("ram", "mem", MEM)
            self._stack.callback(self._postgresql.stop)
            self._watch(display, started + self._seconds if self._seconds is not None else float("inf"))
        document = self._document(time.monotonic() - started)
        print(json.dumps(document) if self._as_json else _summary(document), flush=True)
        return 0 if self._interrupted or document["points"].get("mem") else 1

    def _interrupt(self, *_: object) -> None:
        self._interrupted = True

    def _display(self) -> Display:
        if self._as_json:
            return Lines(sys.stderr)
        return Screen() if sys.stdout.isatty() else Lines(sys.stdout)

    def _start_agent(self, name: str, measurement: str, text: str) -> None:
        made = self._influxdb.create_configuration(name, BUCKET, text, plugin=measurement)
        started = time.monotonic()
        self._keep(Child(name, ["--config", made.url], self._folder, {"INFLUX_TOKEN": made.token}))
        self._agents.append(Agent(name, measurement, made.url, f"{made.token[:4]}...", started))

    def _keep(self, child: Child) -> None:
        self._stack.callback(child.stop)
        self._children.append(child)

    def _watch(self, display: Display, end: float) -> None:
        shown = float("-inf")
        while not self._interrupted and (now := time.monotonic()) < end:
            for child in self._children:
                child.check()
            news = self._look_for_first_points()
            news = self._see_to_postgresql() or news
            if news or now - shown >= REFRESH:
                shown = now
                display.show(self._state())
            due = any(agent.first_point is None and now - agent.started < IMPATIENCE for agent in self._agents)
            time.sleep(max(0.0, min(POLL if due else POLL_AT_REST, end - now)))

    def _look_for_first_points(self) -> bool:
        """Whether a first point came since the last look."""
        waiting = [agent for agent in self._agents if agent.first_point is None]
        for agent in waiting:
            if self._influxdb.has_rows(
                f'{_since("-1h")} |> filter(fn: (r) => r._measurement == "{agent.measurement}")'
            ):
                agent.first_point = time.monotonic() - agent.started
        return any(agent.first_point is not None for agent in waiting)

    def _see_to_postgresql(self) -> bool:
        """Search once the first agent is under way, start the second where something was found; whether that is news."""
        search, first = self._postgresql, self._agents[0]
        if search.begun:
            news = search.has_just_ended()
            if news and search.address:
                self._start_agent("postgres", "postgresql", postgresql_section(search.address))
            return news
        if first.first_point is not None or time.monotonic() - first.started > HEAD_START:
            search.begin()
        return search.begun

    # What is there ----------------------------------------------------------------------------------------------------

    def _state(self) -> State:
        counts = {_series_key(row): row["_value"] for row in self._influxdb.query(f"{_since('-1m')} |> count()")}
        rows = self._influxdb.query(f"{_since('-5m')} |> last()")
        series = [
            Series(
                row["_measurement"],
                _tags(row),
                row["_field"],
                row["_value"],
                row["_time"],
                counts.get(_series_key(row), 0),
            )
            for row in rows
        ]
        return State(self._influxdb.url, ORG, BUCKET, self._agents, series, self._postgresql.note)

    def _document(self, seconds: float) -> dict[str, Any]:
        # A point has several fields, not all of them each time: the field that came most often counts its points.
        points: dict[tuple[str, str], int] = {}
        for row in self._influxdb.query(f"{_since('-1d')} |> count()"):
            key = (row["_measurement"], str(_tags(row)))
            points[key] = max(points.get(key, 0), row["_value"])
        per_measurement: Counter[str] = Counter()
        for (measurement, _), count in points.items():
            per_measurement[measurement] += count
        first = {agent.name: agent.first_point and round(agent.first_point, 3) for agent in self._agents}
        return {
            "seconds": round(seconds, 1),
            "points": dict(per_measurement),
            "seconds_to_first_point": first,
            "postgresql": self._postgresql.note,
        }


def _since(start: str) -> str:
    # Times are rounded, perhaps to one that is still to come.
    return f'from(bucket: "{BUCKET}") |> range(start: {start}, stop: 1m)'


def _tags(row: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in sorted(row.items()) if name[0] != "_" and name not in ("result", "table")}


def _series_key(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["_measurement"], row["_field"], str(_tags(row)))


def _summary(document: dict[str, Any]) -> str:
    points = ", ".join(f"{count} of {name}" for name, count in document["points"].items()) or "none"
    first = ", ".join(f"{name} {s:.2f} s" for name, s in document["seconds_to_first_point"].items() if s is not None)
    return f"Points stored: {points}. From an agent's start to its first point stored: {first or 'none came'}."

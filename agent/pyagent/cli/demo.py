"""`pyagent demo`: agents against an embedded InfluxDB 2, and what arrives there.

Everything runs as on a host, in processes of its own: the server, and one agent per configuration, started from the
configuration's URL with its scoped token.
"""

import argparse
import json
import os
import secrets
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyagent.cli.arguments import CommandParser
from pyagent.cli.demo_display import Display, display
from pyagent.cli.demo_next import next_steps, summary
from pyagent.cli.demo_processes import (
    BUCKET,
    MEM,
    ORG,
    Child,
    ChildDied,
    EmbeddedInfluxDB,
    PostgresSearch,
    declared_units,
    host_load,
    postgresql_section,
    temporary_folder,
)
from pyagent.cli.demo_series import History, row_tags
from pyagent.cli.demo_view import Agent, State
from pyagent.influxdb import InfluxDB, InfluxDBError

POLL, POLL_AT_REST, REFRESH = 0.025, 0.2, 1.0
"""Seconds between two looks for a first point; the same where none is due any more; between two views."""
IMPATIENCE = 5.0
"""Seconds after which a first point is not looked for that often."""
HEAD_START = 3.0
"""Seconds that the first agent gets for itself, before PostgreSQL is looked for or started."""


def configure(parser: CommandParser) -> None:
    parser.epilog = "  pyagent demo --for 30 --json"
    parser.add_argument(
        "--for", dest="seconds", type=_seconds, metavar="SECONDS", help="end after so many seconds, or such as 5m"
    )
    parser.add_argument("--json", action="store_true", help="no view: print one JSON document as the last line")


def run(arguments: argparse.Namespace) -> int:
    """0 where points of memory came, or the user ended it; 1 otherwise."""
    try:
        with ExitStack() as stack:
            demo = _Demo(stack, arguments.seconds, as_json=arguments.json)
            document = demo.run()
        text = json.dumps(document) if arguments.json else f"{summary(document)}\n\n{next_steps()}"
        print(text, flush=True)
    except BrokenPipeError:
        # Whoever read (`pyagent demo | head`) has seen enough. What Python still holds for it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (ChildDied, InfluxDBError, OSError) as error:
        print(f"E! {error}", file=sys.stderr)
        return 1
    return 0 if demo.interrupted or document["points"].get("mem") else 1


class _Demo:
    """One demonstration; `stack` ends what it starts, the agents first."""

    def __init__(self, stack: ExitStack, seconds: float | None, *, as_json: bool) -> None:
        self._stack = stack
        self._seconds = seconds
        self._as_json = as_json
        self.interrupted = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A flag and no exception: the end that follows must not be broken off half way by an impatient second one.
            stack.callback(signal.signal, number, signal.signal(number, self._interrupt))
        self._folder: Path = stack.enter_context(temporary_folder())
        self._agents: list[Agent] = []
        self._children: list[Child] = []
        self._postgresql = PostgresSearch()
        self._units: dict[tuple[str, str], str] = {}
        self._history = History(self._units)

    def run(self) -> dict[str, Any]:
        """What came of it; everything still runs then."""
        shown = display(as_json=self._as_json)
        shown.say("Starting an embedded InfluxDB 2 ...")
        server = EmbeddedInfluxDB(self._folder)
        self._keep(server)
        self._influxdb = self._stack.enter_context(InfluxDB(server.url))
        self._password = secrets.token_urlsafe(9)
        self._influxdb.setup(org=ORG, bucket=BUCKET, username="admin", password=self._password)
        started = time.monotonic()
        with shown:
            load, inputs = host_load()
            self._start_agent("ram", "mem", MEM + load, *inputs)
            self._stack.callback(self._postgresql.stop)
            self._watch(shown, started + self._seconds if self._seconds is not None else float("inf"))
        document = self._document(time.monotonic() - started)
        if not shown.abandoned():
            shown.say("Ending the agents and the server ...")
        return document

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True

    def _start_agent(self, name: str, measurement: str, text: str, *others: str) -> None:
        made = self._influxdb.create_configuration(name, BUCKET, text, plugin=measurement)
        started = time.monotonic()
        runtime = self._folder / "run" / name  # where the page of the agents finds it
        runtime.mkdir(parents=True)
        words = ["--config", made.url, "--runtime-directory", str(runtime)]
        self._keep(Child(name, words, self._folder, {"INFLUX_TOKEN": made.token}))
        self._agents.append(Agent(name, measurement, made.url, started))
        self._units |= declared_units(measurement, *others)

    def _keep(self, child: Child) -> None:
        self._stack.callback(child.stop)
        self._children.append(child)

    def _watch(self, shown: Display, end: float) -> None:
        last = float("-inf")
        while not self.interrupted and (now := time.monotonic()) < end:
            for child in self._children:
                child.check()
            news = self._look_for_first_points()
            news = self._see_to_postgresql() or news
            if news or shown.outdated() or now - last >= REFRESH:
                last = now
                shown.show(self._state())
            self.interrupted = self.interrupted or shown.abandoned()
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
                search.begin_work()  # a thread of its own, so after the last process is started
            return news
        if first.first_point is not None or time.monotonic() - first.started > HEAD_START:
            search.begin()
        return search.begun

    # What is there ----------------------------------------------------------------------------------------------------

    def _state(self) -> State:
        history = self._history
        history.add(self._influxdb.query(_since(f"-{history.seconds_back()}s")))
        url = self._influxdb.url
        return State(
            url,
            ORG,
            BUCKET,
            self._agents,
            history.series,
            history.counts,
            self._postgresql.note,
            pages=f"chart in a browser: {url}, user admin, password {self._password}",
        )

    def _document(self, seconds: float) -> dict[str, Any]:
        # A point has several fields, not all of them each time: the field that came most often counts its points.
        points: dict[tuple[str, str], int] = {}
        for row in self._influxdb.query(f"{_since('-1d')} |> count()"):
            key = (row["_measurement"], str(row_tags(row)))
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


def _seconds(text: str) -> float:
    from pyagent.api import Duration

    try:
        seconds = Duration.from_option(text).seconds
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds < 0 or not text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a span of time; give seconds, or such as 5m")
    return seconds


def _since(start: str) -> str:
    # Times are rounded, perhaps to one that is still to come.
    return f'from(bucket: "{BUCKET}") |> range(start: {start}, stop: 1m)'

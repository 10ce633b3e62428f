"""What the demonstration shows of a state."""

import io
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console

from pyagent.cli.demo_view import Agent, Lines, Screen, Series, State

NOW = datetime.now(UTC)


def _series(field: str, value: object, measurement: str = "mem", age: float = 3, **tags: str) -> Series:
    return Series(measurement, {"host": "h1", **tags}, field, value, NOW - timedelta(seconds=age), 6)


def _state(series: Sequence[Series], *, first_point: float | None = 0.42) -> State:
    agent = Agent(
        "ram", "mem", "http://127.0.0.1:4242/api/v2/telegrafs/1", "abcd...", time.monotonic() - 60, first_point
    )
    return State("http://127.0.0.1:4242", "home", "monitoring-system", [agent], series, "a note")


def _screen(state: State, *, height: int = 30, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    screen = Screen(console)
    screen.show(state)
    text = Console(file=io.StringIO(), width=width, height=height)
    with text.capture() as capture:
        text.print(screen._live.get_renderable())
    return capture.get().splitlines()


def test_the_screen_gives_the_commands_for_a_host() -> None:
    lines = _screen(_state([]))
    assert any("/etc/telegraf/telegraf-ram.env" in line and "INFLUX_TOKEN=abcd..." in line for line in lines)
    assert any("TELEGRAF_CONFIG=http://127.0.0.1:4242/api/v2/telegrafs/1" in line for line in lines)
    assert "  systemctl start pyagent@ram" in [line.rstrip() for line in lines]
    assert any("http://127.0.0.1:4242, organisation home, bucket monitoring-system" in line for line in lines)


def test_a_row_has_value_rate_and_age() -> None:
    (row,) = [line.split() for line in _screen(_state([_series("used", 12_345_678)])) if "12,345" in line]
    assert row[:2] == ["mem", "used"]
    assert row[2:4] == ["12,345,678", "0.10"]
    assert int(row[4]) >= 3
    assert row[5] == "s"


def test_fields_that_say_the_most_come_first_and_the_rest_is_counted() -> None:
    series = [_series(f"field_{number:02}", number) for number in range(40)] + [_series("used_percent", 50.0)]
    lines = _screen(_state(series), height=30)
    rows = [line for line in lines if "field_" in line or "used_percent" in line]
    assert "used_percent" in rows[0]
    assert len(lines) <= 30
    assert any(f"and {41 - len(rows)} more" in line for line in lines)


def test_tags_that_tell_series_apart_name_them() -> None:
    series = [_series("n", 1, "postgresql", db="a"), _series("n", 2, "postgresql", db="b"), _series("used", 1)]
    text = "\n".join(_screen(_state(series)))
    assert "postgresql db=a" in text
    assert "postgresql db=b" in text
    assert "host=" not in text


def test_an_agent_without_a_point_is_said_to_be_waited_for() -> None:
    assert any("agent ram: waiting for its first point" in line for line in _screen(_state([], first_point=None)))


def test_lines_tell_everything_once_and_every_new_point() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    for state in (_state([], first_point=None), _state([_series("used", 1)]), _state([_series("used", 1)])):
        lines.show(state)
    lines.show(_state([_series("used", 2, age=0)]))
    told = [line.partition(" ")[2] for line in stream.getvalue().splitlines()]
    assert told == [
        "InfluxDB 2 at http://127.0.0.1:4242, organisation home, bucket monitoring-system",
        "a note",
        "agent ram started with http://127.0.0.1:4242/api/v2/telegrafs/1",
        "agent ram: first point stored 0.42 s after its start",
        "mem: 1 fields: used 1",
        "mem: 1 fields: used 2",
    ]

"""What the demonstration shows of a state."""

import io
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.cli.demo_chart import ASCII, UNICODE, Glyphs
from pyagent.cli.demo_display import Lines, Screen
from pyagent.cli.demo_next import next_steps, summary
from pyagent.cli.demo_series import HOUR, History, Series, grouped
from pyagent.cli.demo_view import Agent, State, screen
from pyagent.cli.terminal import cells

ROOT = Path(__file__).resolve().parents[3]
START = 1_795_942_800.0  # 09:00:00 UTC


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _series(field: str, *values: object, measurement: str = "mem", unit: str = "", **tags: str) -> Series:
    points = deque((START + 10 * number, value) for number, value in enumerate(values))
    return Series(measurement, {"host": "h1", **tags}, field, unit, points)


def _state(series: Sequence[Series], *, first_point: float | None = 0.42, note: str = "a note") -> State:
    agents = [Agent("ram", "mem", "http://127.0.0.1:4242/api/v2/telegrafs/1", 0.0, first_point)]
    url = "http://127.0.0.1:4242"
    return State(url, "home", "monitoring-system", agents, series, {"mem": 13}, note, START + 125)


def _text(state: State, width: int = 100, height: int = 30, glyphs: Glyphs = UNICODE) -> list[str]:
    return [line.text.rstrip() for line in screen(state, width, height, glyphs)]


RAMP = [23_500_000_000 + 25_000_000 * number for number in range(13)]
EVERYTHING = [
    _series("used", *RAMP, unit="bytes"),
    _series("used_percent", *(95 + number / 10 for number in range(13)), unit="percent"),
    _series("swap_total", 0, 0, 0, unit="bytes"),
    _series("total", 24_700_000_000, 24_700_000_000, unit="bytes"),
    _series("load1", 0.5, 0.75, 0.25, measurement="system"),
    _series("blks_hit", 100, 1200, 3400, measurement="postgresql", unit="1", db="postgres"),
    _series("datname", "postgres", measurement="postgresql", db="postgres"),
    _series("blks_hit", 0, 0, 0, measurement="postgresql", unit="1", db="template0"),
]


def test_the_whole_screen() -> None:
    assert _text(_state(EVERYTHING), 100, 30) == [
        "pyagent demo                                                                          Ctrl-C ends it",
        "InfluxDB 2 (embedded) at http://127.0.0.1:4242, organisation home, bucket monitoring-system",
        "agent ram  first point after 0.42 s; 13 points, the last 5 s ago",
        "a note",
        "",
        "mem used: 23.8 GB                                  system load1: 0.25",
        "23.8 GB ┤                                   ⣀⠤⠔⠉   0.8 ┤   ⢀",
        "        │                               ⡠⠤⠒⠉           │  ⢀⠞⡄",
        "        │                          ⢀⡠⠔⠊⠉               │ ⢀⠎ ⢣",
        "23.7 GB ┤                      ⣀⠤⠔⠉⠁               0.6 ┤⢀⠎  ⠘⡄",
        "        │                 ⣀⡠⠤⠒⠉                        │⠎    ⢣",
        "23.6 GB ┤            ⢀⡠⠤⠊⠉                         0.4 ┤     ⠘⡄",
        "        │        ⢀⠤⠔⠊⠁                                 │      ⢣",
        "        │    ⣀⠤⠒⠉⠁                                     │      ⠘⡄",
        "23.5 GB ┤⡠⠤⠊⠉                                      0.2 ┤       ⠁",
        "        └┬──────────────────┬──────────────────┬       └┬────────────────────┬────────────────────┬",
        "       09:00              09:01            09:02      09:00                09:01              09:02",
        "",
        "                        now  trend                                                            change",
        "mem",
        "  used              23.8 GB  ▁▂▂▃▃▄▅▅▆▆▇▇█                                                  +25.0 MB",
        "  used_percent       96.2 %  ▁▂▂▃▃▄▄▅▆▆▇▇█                                                   +0.10 %",
        "  total             24.7 GB  ──",
        "  swap_total            0 B  ───",
        "system",
        "  load1                0.25  ▅█▁                                                               -0.50",
        "postgresql db=postgres",
        "  blks_hit            3,400  ▁▃█                                                              +2,200",
        "  datname          postgres",
        "and postgresql db=template0",
    ]


def test_the_whole_screen_of_a_small_terminal_without_unicode() -> None:
    assert _text(_state(EVERYTHING), 60, 20, ASCII) == [
        "pyagent demo                                  Ctrl-C ends it",
        "InfluxDB 2 (embedded) at http://127.0.0.1:4242, ...",
        "agent ram  13 points, the last 5 s ago",
        "a note",
        "",
        "mem used: 23.8 GB",
        "24.0 GB +",
        "        |                                             ******",
        "        |               ******************************",
        "23.5 GB +***************",
        "        ++-----------+------------+------------+-----------+",
        "     09:00:00    09:00:30     09:01:00     09:01:30 09:02:00",
        "",
        "                        now  trend                    change",
        "mem  2 of 4 fields",
        "  used              23.8 GB  _..--~==++**#          +25.0 MB",
        "  used_percent       96.2 %  _..--~~=++**#           +0.10 %",
        "system",
        "  load1                0.25  =#_                       -0.50",
        "and postgresql db=postgres, postgresql db=template0",
    ]


def test_fields_that_change_come_first_then_those_that_say_the_most() -> None:
    series = [_series(f"field_{number:02}", number) for number in range(40)]
    series += [_series("used_percent", 50.0, 50.0), _series("zero", 0), _series("active", 1, 2)]
    (group,) = grouped(series).values()
    assert [one.field for one in group][:3] == ["active", "used_percent", "field_01"]
    assert {one.field for one in group[-2:]} == {"field_00", "zero"}
    lines = _text(_state(series), 100, 30)
    assert len(lines) == 30
    assert any("mem  " in line and " of 43 fields" in line for line in lines)


def test_tags_that_tell_series_apart_name_them() -> None:
    series = [_series("n", 1, measurement="postgresql", db=db) for db in ("a", "b\x1b[2J")] + [_series("used", 1)]
    text = "\n".join(_text(_state(series)))
    assert "postgresql db=a" in text
    assert "postgresql db=b\\x1b[2J" in text
    assert "host=" not in text


def test_what_has_no_room_or_only_zeros_is_named() -> None:
    series = [_series("n", 1, 2, measurement=f"m{number:02}") for number in range(20)]
    series.append(_series("n", 0, 0, measurement="nothing"))
    lines = _text(_state(series), 60, 20)
    assert len(lines) <= 20
    assert lines[-1].startswith("and m0")
    assert lines[-1].endswith("…")
    assert "and nothing" in _text(_state(series), 100, 60)


def test_an_agent_without_a_point_is_waited_for() -> None:
    assert "agent ram  waiting for its first point" in _text(_state([], first_point=None))


_NAMES = st.text(min_size=1, max_size=50) | st.sampled_from(["資料庫" * 20, "used", "load1", "e\u0301" * 40])
_VALUES = st.integers(-(2**63), 2**64) | st.floats() | st.booleans() | st.text(max_size=30)
_SERIES = st.builds(
    lambda field, values, measurement, unit, db: _series(field, *values, measurement=measurement, unit=unit, db=db),
    _NAMES,
    st.lists(_VALUES, min_size=1, max_size=15),
    st.sampled_from(["mem", "system", "cpu", "postgresql"]),
    st.sampled_from(["bytes", "percent", "ms", "1", ""]),
    _NAMES,
)


@given(
    st.lists(_SERIES, max_size=12), _NAMES, st.integers(60, 160), st.integers(1, 60), st.sampled_from([UNICODE, ASCII])
)
def test_no_line_is_wider_than_the_terminal_and_none_steers_it(
    series: list[Series], note: str, width: int, height: int, glyphs: Glyphs
) -> None:
    lines = screen(_state(series, note=note), width, height, glyphs)
    assert len(lines) <= height
    for line in lines:
        assert cells(line.text) <= width
        assert line.text.isprintable()
        assert glyphs.unicode or line.text.isascii()


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_nothing_is_cut_without_a_sign(glyphs: Glyphs) -> None:
    long = _state([_series("x" * 200, "a", "y" * 200, measurement="z" * 200)])
    for width in range(60, 161):
        text = "\n".join(_text(_state(EVERYTHING), width, 40, glyphs))
        for whole in ("used_percent", "23.8 GB", "+25.0 MB", "96.2 %", "Ctrl-C ends it", "postgresql db=postgres"):
            assert whole in text
        assert max(map(cells, text.splitlines())) <= width
        assert all(glyphs.cut in line for line in _text(long, width, 40, glyphs)[-2:])


# Where it is shown ----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]  # a plain one has none

    def isatty(self) -> bool:
        return True


def _drawn(monkeypatch: pytest.MonkeyPatch, **environ: str) -> str:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    shown = Screen(stream, lambda: (80, 24))
    with shown:
        shown.show(_state(EVERYTHING))
    return stream.getvalue()


def test_a_screen_has_styles_unless_colours_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1mpyagent demo\x1b[0m" in _drawn(monkeypatch, LANG="C.UTF-8")
    plain = _drawn(monkeypatch, LANG="C.UTF-8", NO_COLOR="1")
    assert "pyagent demo" in plain
    assert "m" not in {end for part in plain.split("\x1b[")[1:] for end in part.lstrip("?0123456789;")[:1]}


def test_a_screen_leaves_the_terminal_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _drawn(monkeypatch, LANG="C.UTF-8")
    assert text.index("\x1b[?1049h") < text.index("pyagent demo") < text.rindex("\x1b[?1049l")
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_screen_is_ascii_where_the_locale_is_not_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _drawn(monkeypatch, LANG="C").isascii()
    assert not _drawn(monkeypatch, LANG="C.UTF-8").isascii()


def test_a_screen_that_changed_its_size_is_drawn_anew() -> None:
    size = (80, 24)
    shown = Screen(Terminal(), lambda: size)
    assert not shown.outdated()
    with shown:
        shown.show(_state(EVERYTHING))
        assert not shown.outdated()
        size = (60, 20)
        assert shown.outdated()
        shown.show(_state(EVERYTHING))
        assert not shown.outdated()


def test_lines_tell_everything_once_and_every_point_that_differs() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    used = _series("used", 23_800_000_000, unit="bytes")
    for state in (_state([], first_point=None), _state([used]), _state([used])):
        lines.show(state)
    lines.show(_state([_series("used", 23_800_000_000, 23_900_000_000, unit="bytes")]))
    assert "\x1b" not in stream.getvalue()
    assert [line.partition(" ")[2] for line in stream.getvalue().splitlines()] == [
        "InfluxDB 2 at http://127.0.0.1:4242, organisation home, bucket monitoring-system",
        "a note",
        "agent ram started with http://127.0.0.1:4242/api/v2/telegrafs/1",
        "agent ram: first point stored 0.42 s after its start",
        "mem: used 23.8 GB",
        "mem: used 23.9 GB",
    ]


# What is known of the series ------------------------------------------------------------------------------------------


def _row(at: float, value: object, field: str = "used") -> dict[str, Any]:
    stamp = datetime.fromtimestamp(at, UTC)
    return {
        "result": "_result",
        "table": 0,
        "_measurement": "mem",
        "_field": field,
        "_time": stamp,
        "_value": value,
        "host": "h1",
    }


def test_a_history_takes_each_point_once_and_keeps_an_hour() -> None:
    history = History({("mem", "used"): "bytes"})
    assert history.add([_row(START + 10, 2), _row(START, 1), _row(START, 5.0, "used_percent")])
    assert not history.add([_row(START, 1), _row(START + 10, 2)])
    assert history.add([_row(START + HOUR + 5, 3)])
    used, percent = history.series
    assert list(used.points) == [(START + 10, 2), (START + HOUR + 5, 3)]
    assert (used.unit, percent.unit) == ("bytes", "percent")
    assert history.counts == {"mem": 3}


# The end --------------------------------------------------------------------------------------------------------------


def test_the_summary_and_the_next_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    document = {"points": {"mem": 1234}, "seconds_to_first_point": {"ram": 0.5, "postgres": None}}
    assert summary(document) == (
        "Points stored: 1,234 of mem. From an agent's start to its first point stored: ram 0.50 s."
    )
    monkeypatch.chdir(ROOT)
    steps = next_steps()
    for command in ("--config http://HOST:8086/api/v2/telegrafs/ID", "sandbox --ready", "plugins show inputs.mem"):
        assert f"pyagent {command}" in steps
    assert "sudo make install" in steps
    assert "sudo pyagent provision" in steps
    assert "docs/writing-plugins.md" in steps
    assert max(map(len, steps.splitlines())) <= 80
    monkeypatch.chdir(tmp_path)
    assert f"sudo make -C {ROOT} install" in next_steps() or "sudo make -C .." in next_steps()


def test_where_the_pages_are_is_shown_in_the_header() -> None:
    pages = "chart in a browser: http://127.0.0.1:4242, user admin, password x"
    assert pages in _text(replace(_state(EVERYTHING), pages=pages))

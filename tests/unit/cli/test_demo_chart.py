"""Charts and sparklines as text."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.cli.demo_chart import ASCII, UNICODE, Glyphs, chart, sparkline
from pyagent.cli.terminal import cells

START = 1_795_942_800.0  # 09:00:00 UTC


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def _points(*values: float) -> list[tuple[float, float]]:
    return [(START + 10 * number, value) for number, value in enumerate(values)]


def test_a_chart_has_values_with_units_and_times() -> None:
    ramp = _points(*(23.5e9 + 25e6 * number for number in range(13)))
    assert chart(ramp, 60, 7, "bytes", UNICODE) == [
        "23.8 GB ┤                                       ⢀⣀⠤⠤⠤⠔⠒⠒⠒⠊⠉⠉",
        "        │                       ⢀⣀⣀⣀⡠⠤⠤⠤⠤⠒⠒⠒⠒⠉⠉⠉⠁",
        "23.6 GB ┤           ⣀⣀⣀⣀⠤⠤⠤⠔⠒⠉⠉⠉⠁",
        "        │⠤⠤⠔⠒⠒⠒⠊⠉⠉⠉⠉",
        "23.4 GB ┤",
        "        └┬───────────┬────────────┬────────────┬───────────┬",
        "     09:00:00    09:00:30     09:01:00     09:01:30 09:02:00",
    ]
    assert chart(ramp, 60, 7, "bytes", ASCII) == [
        "23.8 GB +                                        ***********",
        "        |                            ************",
        "23.6 GB +      **********************",
        "        |******",
        "23.4 GB +",
        "        ++-----------+------------+------------+-----------+",
        "     09:00:00    09:00:30     09:01:00     09:01:30 09:02:00",
    ]


def test_a_series_that_does_not_change_is_a_line_and_noise_is_no_mountain() -> None:
    assert chart(_points(0, 0, 0), 40, 6, "", UNICODE)[3] == "0 ┤⣀⣀⣀⣀⣀⣀⡀"
    noise = chart(_points(23.8e9, 23.800001e9, 23.8e9), 40, 6, "bytes", ASCII)
    assert sum("*" in line for line in noise) <= 2


def test_a_gap_is_not_joined() -> None:
    points = [*_points(1, 1, 1, 1), (START + 100, 1.0), (START + 110, 1.0)]
    (line,) = [line for line in chart(points, 62, 6, "", ASCII) if "*" in line]
    drawn = line.partition("+")[2]
    assert [bool(part) for part in drawn.split(" ")].count(True) == 2


@pytest.mark.parametrize(("width", "height"), [(23, 10), (60, 3)])
def test_where_there_is_no_room_there_is_no_chart(width: int, height: int) -> None:
    assert chart(_points(1, 2), width, height, "", UNICODE) == []
    assert chart([], 60, 10, "", UNICODE) == []


_VALUES = st.floats() | st.integers(-(2**64), 2**64)


@given(
    st.lists(st.tuples(st.floats(0, 4000), _VALUES), max_size=50),
    st.integers(24, 170),
    st.integers(4, 20),
    st.sampled_from(["bytes", "percent", "s", "ms", "1", "", "bytes/s"]),
    st.sampled_from([UNICODE, ASCII]),
)
def test_a_chart_has_its_size_whatever_the_values(
    points: list[tuple[float, float]], width: int, height: int, unit: str, glyphs: Glyphs
) -> None:
    lines = chart([(START + at, value) for at, value in sorted(points)], width, height, unit, glyphs)
    assert len(lines) in (0, height)
    for line in lines:
        assert cells(line) <= width
        assert glyphs.unicode or line.isascii()


@pytest.mark.parametrize(("glyphs", "text"), [(UNICODE, "▁▂▃▄▅▆▇█"), (ASCII, "_.-~=+*#")])
def test_a_sparkline_has_a_character_for_each_of_the_last_values(glyphs: Glyphs, text: str) -> None:
    assert sparkline(range(8), 20, glyphs) == text
    assert sparkline([100, *range(8)], 8, glyphs) == text
    assert sparkline([5, 5, 5], 20, glyphs) == glyphs.even * 3
    assert sparkline([], 20, glyphs) == ""
    assert sparkline([float("nan"), float("inf"), 1], 20, glyphs) == glyphs.even

"""Series as pictures of characters: a chart with axes, and sparklines of one line.

Pure functions; each line has the width that was asked for at most. Points are `(seconds since the epoch, value)`, oldest first.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from time import localtime, strftime

from pyagent.cli.readable import scale

__all__ = ["ASCII", "UNICODE", "Glyphs", "Points", "chart", "sparkline"]

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters that a terminal can show."""

    unicode: bool
    bars: str
    """From the least to the most."""
    even: str
    """For a series that does not change."""
    tick_left: str
    left: str
    corner: str
    tick_below: str
    below: str
    cut: str


UNICODE = Glyphs(True, "▁▂▃▄▅▆▇█", "─", "┤", "│", "└", "┬", "─", "…")
ASCII = Glyphs(False, "_.-~=+*#", "-", "+", "|", "+", "+", "-", "...")

_SHORTEST = 120.0
"""Seconds that a chart shows at least, so that the first points do not fill it."""
_FLAT = 0.002
"""Part of its values that a chart's height is at least: noise is not to look like a mountain."""
_GAP = 3.5
"""Times the usual distance of two points from which they are not joined."""
_STEPS = (10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Seconds between two times below a chart."""
_MOST = 1e300
"""Larger values are not drawn: the differences of such are infinite."""
_LEAST = 1e-12
"""Smaller differences are not drawn."""
# Dots of a character of Braille by column and row (U+2800 is the empty one).
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def sparkline(values: Sequence[float], width: int, glyphs: Glyphs) -> str:
    """The last `width` values, one character each."""
    shown = [value for value in values[-width:] if abs(value) <= _MOST]
    if not shown:
        return ""
    least, most = min(shown), max(shown)
    if least == most:
        return glyphs.even * len(shown)
    steps = len(glyphs.bars) - 1
    return "".join(glyphs.bars[round((value - least) / (most - least) * steps)] for value in shown)


def chart(points: Points, width: int, height: int, unit: str, glyphs: Glyphs) -> list[str]:
    """`height` lines of at most `width` columns: values on the left, local times below. Empty where there is no room for one
    (less than 4 lines or 24 columns), or nothing to show."""
    points = [(time, value) for time, value in points if abs(value) <= _MOST]
    if not points or height < 4 or width < 24:
        return []
    rows = height - 2
    least, most, step = _range([value for _, value in points], max(1, (rows - 1) // 2))
    labels = _labels(least, most, step, rows, unit)
    margin = max(len(label) for label in labels.values())
    columns = width - margin - 2
    if columns < 10:
        return []
    start = points[0][0]
    end = max(points[-1][0], start + _SHORTEST)
    canvas = _Canvas(columns, rows, glyphs)
    across, up = canvas.width - 1, canvas.height - 1
    dots = [
        (round((time - start) / (end - start) * across), round((most - value) / (most - least) * up))
        for time, value in points
    ]
    farthest = _GAP * median([later[0] - earlier[0] for earlier, later in pairwise(points)] or [0.0])
    canvas.dot(*dots[0])
    for (earlier, later), (before, after) in zip(pairwise(points), pairwise(dots), strict=True):
        if later[0] - earlier[0] <= farthest:
            canvas.line(before, after)
        else:
            canvas.dot(*after)
    lines = [
        f"{labels.get(row, ''):>{margin}} {glyphs.tick_left if row in labels else glyphs.left}{drawn}"
        for row, drawn in enumerate(canvas.lines())
    ]
    return [*(line.rstrip() for line in lines), *_times(start, end, margin, columns, glyphs)]


def _range(values: Sequence[float], steps: int) -> tuple[float, float, float]:
    """The least and the most value of the axis and the step between its ticks, all of them round."""
    least, most = min(values), max(values)
    largest = max(abs(least), abs(most))
    room = max(largest * _FLAT, _LEAST) if largest else 1.0
    if most - least < room:
        middle = (least + most) / 2
        least, most = middle - room / 2, middle + room / 2
        if min(values) >= 0 > least:
            least, most = 0.0, most - least
    rough = (most - least) / steps
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 5, 10) if power * nice >= rough * (1 - 1e-9))
    return math.floor(least / step) * step, math.ceil(most / step) * step, step


def _labels(least: float, most: float, step: float, rows: int, unit: str) -> dict[int, str]:
    """The text for each row that has one."""
    factor, name = scale(max(abs(least), abs(most)), unit)
    digits = max(0, -math.floor(math.log10(step / factor) + 1e-9))
    labels: dict[int, str] = {}
    for number in range(round((most - least) / step) + 1):
        value = most - number * step
        row = round((most - value) / (most - least) * (rows - 1))
        text = f"{value / factor + 0.0:,.{digits}f}"
        labels.setdefault(row, f"{text} {name}".rstrip())
    return labels


def _times(start: float, end: float, margin: int, columns: int, glyphs: Glyphs) -> list[str]:
    """The axis below, and the times below that."""
    room = (end - start) / columns * (len("00:00:00") + 3)
    step = next((step for step in _STEPS if step >= room), _STEPS[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M"
    axis, below = [glyphs.below] * columns, [" "] * (margin + 2 + columns)
    time = math.ceil(start / step) * step
    while time <= end:
        column = min(columns - 1, int((time - start) / (end - start) * columns))
        text = strftime(form, localtime(time))
        # The middle of the text below the tick, moved where it would leave the chart.
        first = max(0, min(margin + 2 + column - len(text) // 2, len(below) - len(text)))
        if set(below[max(0, first - 1) : first + len(text)]) == {" "}:
            axis[column] = glyphs.tick_below
            below[first : first + len(text)] = text
        time += step
    return [f"{'':{margin}} {glyphs.corner}{''.join(axis)}", "".join(below).rstrip()]


class _Canvas:
    """Dots, eight to a character of Braille; one to a character where only ASCII can be shown."""

    def __init__(self, columns: int, rows: int, glyphs: Glyphs) -> None:
        self._cell = (2, 4) if glyphs.unicode else (1, 1)
        self.width, self.height = columns * self._cell[0], rows * self._cell[1]
        self._bits = [[0] * columns for _ in range(rows)]

    def dot(self, x: int, y: int) -> None:
        self._bits[y // self._cell[1]][x // self._cell[0]] |= _DOTS[x % self._cell[0]][y % self._cell[1]]

    def line(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            self.dot(*(round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True)))

    def lines(self) -> list[str]:
        if self._cell == (1, 1):
            return ["".join("*" if bits else " " for bits in row) for row in self._bits]
        return ["".join(chr(0x2800 + bits) if bits else " " for bits in row) for row in self._bits]

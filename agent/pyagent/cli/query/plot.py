"""The series of an answer drawn in the terminal, by the library plotille: those of one field in one chart."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import plotille

from pyagent.cli.query.series import Outline
from pyagent.cli.readable import scale, unit_of
from pyagent.cli.terminal import counted, cut, harmless
from pyagent.influxdb.queries import Head, Row, converter

__all__ = ["charts_of"]

_NUMBERS = ("long", "unsignedLong", "double")
_COLOURS = ("cyan", "yellow", "magenta", "green", "red", "blue")
"""As many series are drawn in a chart."""
_MOST_CHARTS = 8
_HEIGHT, _TICKS = 14, 7
"""Lines of a chart, and steps of its values, at the most."""
_MARGIN = 14
"""Columns that the library needs beside the chart."""
_NARROWEST = 20
_DAY = 86400.0
_MOST = 1e300
"""Larger values are not drawn: the differences of such are infinite."""


@dataclass(slots=True)
class _Chart:
    title: tuple[str, ...]
    """The result, the measurement and the field."""
    series: dict[tuple[tuple[str, str], ...], Outline] = field(default_factory=dict)
    """By the tags."""
    left_out: int = 0


def charts_of(rows: Iterable[Row], width: int, *, colours: bool) -> Iterator[str]:
    """The lines of the charts, when all rows have come; only what is drawn is kept of them."""
    charts: dict[tuple[str, ...], _Chart] = {}
    undrawn: set[tuple[str, ...]] = set()
    wide = max(width - _MARGIN, _NARROWEST)
    head: Head | None = None
    plan: list[tuple[int, str, str]] = []
    when = -1
    for row in rows:
        if row.head is not head:
            head = row.head
            names = [column.name for column in head.columns]
            when = names.index("_time") if "_time" in names else -1
            plan = [(at, one.name, one.kind) for at, one in enumerate(head.columns) if _is_drawn(one.kind, one.in_key)]
        if when < 0 or not plan or (seconds := _seconds(row.cells[when])) is None:
            continue
        for at, name, kind in plan:
            value = converter(kind)(row.cells[at])
            if value is None or abs(value) > _MOST:
                continue
            title, tags = _names(row, name)
            if title not in charts:
                if len(charts) == _MOST_CHARTS:
                    undrawn.add(title)
                    continue
                charts[title] = _Chart(title)
            _add(charts[title], tags, seconds, float(value))
    for number, chart in enumerate(charts.values()):
        if number:
            yield ""
        yield from _drawn(chart, wide, colours)
    if undrawn:
        yield ""
        yield f"... and {counted(len(undrawn), 'chart')} more; ask for fewer fields"
    if not charts:
        yield "There is nothing to draw: a series has times in _time, and numbers."


def _is_drawn(kind: str, in_key: bool) -> bool:
    return kind in _NUMBERS and not in_key


def _names(row: Row, column: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Which chart the value of a column belongs to, and which series of it."""
    labels = {
        one.name: text
        for one, text in zip(row.head.columns, row.cells, strict=True)
        if one.kind == "string" and (one.in_key or one.name in ("_measurement", "_field")) and text
    }
    measurement = labels.pop("_measurement", "")
    of_field = labels.pop("_field", "")
    name = of_field if column == "_value" and of_field else column
    return (row.result, measurement, name), tuple(labels.items())


def _add(chart: _Chart, tags: tuple[tuple[str, str], ...], seconds: float, value: float) -> None:
    outline = chart.series.get(tags)
    if outline is None:
        if len(chart.series) == len(_COLOURS):
            chart.left_out += 1
            return
        outline = chart.series[tags] = Outline()
    outline.add(seconds, value)


def _drawn(chart: _Chart, width: int, colours: bool) -> Iterator[str]:
    result, measurement, name = chart.title
    unit = unit_of(name)
    points = {tags: outline.points() for tags, outline in chart.series.items()}
    values = [abs(value) for one in points.values() for _, value in one]
    if not values:
        return
    factor, shown = scale(max(values), unit)
    figure = plotille.Figure()
    figure.width = width
    figure.color_mode, figure.with_colors = "names", colours
    figure.origin = False
    figure.x_label, figure.y_label = "UTC", shown or "value"
    figure.x_ticks_fkt = _time_text
    _set_times(figure, list(points.values()))
    _set_values(figure, [value for one in points.values() for _, value in one], factor)
    for (tags, one), colour in zip(points.items(), _COLOURS, strict=False):
        label = ", ".join(f"{harmless(key)}={harmless(value)}" for key, value in tags) or harmless(name)
        seconds, heights = zip(*one, strict=True)
        figure.plot(seconds, heights, lc=colour, label=cut(label, width))
    title = "  ".join(harmless(part) for part in (result if result != "_result" else "", measurement, name) if part)
    yield title
    # A row of blanks is no blank in Braille.
    yield from (line.replace("\u2800", " ").rstrip() for line in figure.show(legend=len(points) > 1).splitlines())
    if chart.left_out:
        yield f"more than {len(_COLOURS)} series: {counted(chart.left_out, 'point')} of others are not drawn"


def _set_times(figure: plotille.Figure, series: list[list[tuple[float, float]]]) -> None:
    """All of the width is used. Of a single point the library's own limits are years wide."""
    times = [seconds for one in series for seconds, _ in one]
    room = 60.0 if min(times) == max(times) else 0.0
    figure.set_x_limits(min(times) - room, max(times) + room)


def _set_values(figure: plotille.Figure, values: list[float], factor: float) -> None:
    """From one round number to another, no further than the values need it, with round numbers beside the lines."""
    low, high = min(values) / factor, max(values) / factor
    if low == high:
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    step = _step((high - low) / _TICKS)
    while (last := math.ceil(round(high / step, 9))) - (first := math.floor(round(low / step, 9))) > _TICKS:
        step = _step(step * 1.5)
    lines = _HEIGHT // (last - first)
    figure.height = lines * (last - first)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))

    def text(value: object, _: object) -> str:
        line = round((float(value) / factor / step - first) * lines)  # type: ignore[arg-type]
        if line % lines:
            return ""
        shown = (first + line // lines) * step + 0.0
        return f"{shown:,.{digits}f}" if digits <= 6 and abs(shown) < 1e15 else f"{shown:.4g}"

    figure.set_y_limits(first * step * factor, last * step * factor)
    figure.y_ticks_fkt = text


def _step(least: float) -> float:
    """The next 1, 2 or 5 of a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return power * next(one for one in (1, 2, 5, 10) if one * power >= least * (1 - 1e-9))


def _seconds(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _time_text(moment: object, following: object) -> str:
    """At most 8 characters."""
    first, second = float(moment), float(following)  # type: ignore[arg-type]
    step = second - first
    form = (
        "%M:%S.%f"
        if step < 1
        else "%H:%M:%S"
        if step < 60
        else "%H:%M"
        if step < _DAY / 8
        else "%m-%d %Hh"
        if step < _DAY
        else "%y-%m-%d"
    )
    try:
        return datetime.fromtimestamp(first, UTC).strftime(form)[:8]
    except (ValueError, OverflowError):
        return ""

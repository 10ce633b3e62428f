"""Panels, made with Grafana's own types."""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, statetimeline, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models.common import (
    DataSourceRef,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue, Panel, Threshold, ThresholdsMode

from pyagent.api import Chart, Duration, Field, Measurement
from pyagent.dashboards import flux
from pyagent.dashboards.units import unit_of

__all__ = ["FluxQuery", "Panels", "title_of"]

_LABELS = "${__field.labels.__values}"
"""The values of host and tags; a tag that is not there leaves no gap."""
_WORDS = {"ns": "ns", "us": "us", "ms": "ms", "s": "seconds", "bytes": "bytes", "percent": "percent"}
"""What the name of a field ends in where it says its unit: the axis says it anyway."""
_VERSION = "version"
"""A tag that says which release wrote it would part a series at every upgrade."""
HEIGHT, WIDTH = 8, 8
"""Of a panel, in steps of Grafana's grid, which is 24 wide."""

P = TypeVar("P", timeseries.Panel, statetimeline.Panel, table.Panel)


@dataclass
class FluxQuery(Dataquery, Builder["FluxQuery"]):
    """A query in Flux; the SDK has none for InfluxDB."""

    query: str
    datasource: DataSourceRef
    ref_id: str = "A"

    def build(self) -> "FluxQuery":
        return self

    def to_json(self) -> dict[str, object]:
        return {"refId": self.ref_id, "datasource": self.datasource, "query": self.query}


@dataclass(frozen=True, slots=True)
class Panels:
    """Makes the panels of one dashboard. `interval`: how often its metrics come."""

    datasource: DataSourceRef
    scope: flux.Scope
    interval: Duration

    def chart(self, measurement: Measurement, chart: Chart) -> Builder[Panel]:
        """Fields over time, counters as rates."""
        fields = {name: measurement.fields.get(name, Field("float")) for name in chart.fields}
        text = "\n".join(f"- {title_of(name, field)}: {field.text}" for name, field in fields.items() if field.text)
        panel = self._begin(timeseries.Panel(), measurement, chart.title, text)
        for rate in (False, True):
            if names := [name for name, field in fields.items() if field.counter is rate]:
                query = flux.series(
                    self.scope,
                    measurement.name,
                    names,
                    _tags(measurement),
                    only=chart.only,
                    rate=rate,
                    all_tags=measurement.open and bool(measurement.group),
                )
                self._ask(panel, query)
        units = {name: unit_of(field) for name, field in fields.items()}
        usual = next(iter(units.values()))
        panel.unit(usual)
        self._draw(panel, fields, stacked=chart.stacked)
        several = len(fields) > 1
        same_limits = len({(field.warning, field.critical) for field in fields.values()}) == 1
        panel.display_name(_LABELS)
        for name, field in fields.items() if several else ():
            differs = [DynamicConfigValue("displayName", f"{title_of(name, field)} {_LABELS}")]
            if units[name] != usual:
                differs.append(DynamicConfigValue("unit", units[name]))
            if name in chart.beside:
                differs.append(DynamicConfigValue("custom.stacking", {"mode": "none", "group": "A"}))
            if name in chart.mirrored:
                differs.append(DynamicConfigValue("custom.transform", "negative-Y"))
            if not same_limits and (steps := _steps(field)):
                differs.append(DynamicConfigValue("thresholds", {"mode": "absolute", "steps": steps}))
                differs.append(DynamicConfigValue("custom.thresholdsStyle", {"mode": "dashed"}))
            panel.override_by_name(name, differs)
        if same_limits and (steps := _steps(next(iter(fields.values())))):
            thresholds = [Threshold(**step) for step in steps]
            panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(thresholds))
            panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
        if chart.stacked:
            panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
        if chart.span:
            panel.time_from(chart.span)
        return panel

    def field(self, measurement: Measurement, name: str) -> Builder[Panel]:
        """One number over time."""
        return self.chart(measurement, Chart(_what(measurement, name), (name,)))

    def states(self, measurement: Measurement, names: Sequence[str]) -> Builder[Panel]:
        """What is true or false, over time."""
        fields = {name: measurement.fields[name] for name in names}
        title = f"{measurement.name}: {' and '.join(title_of(name, field).lower() for name, field in fields.items())}"
        text = "\n".join(f"- {title_of(name, field)}: {field.text}" for name, field in fields.items() if field.text)
        panel = self._begin(statetimeline.Panel(), measurement, title, text)
        self._ask(panel, flux.series(self.scope, measurement.name, names, _tags(measurement), fn="last"))
        panel.unit("bool_yes_no").display_name(_LABELS).show_value(VisibilityMode.NEVER)
        for name, field in fields.items():
            panel.override_by_name(name, [DynamicConfigValue("displayName", f"{title_of(name, field)} {_LABELS}")])
        return panel

    def texts(self, measurement: Measurement, names: Sequence[str]) -> Builder[Panel]:
        """The last texts, in a table."""
        panel = self._begin(table.Panel(), measurement, f"{measurement.name}: texts", "The last values.")
        self._ask(panel, flux.texts(self.scope, measurement.name, names, _tags(measurement)))
        panel.unit("string")
        return panel

    def numbers(self, measurement: Measurement) -> Builder[Panel]:
        """What the declaration does not name: columns of a query's result, keys of a document."""
        known = "Numbers that are not known before they come" if measurement.fields else "All numbers"
        # It may say with which options there are any.
        text = f"{known}. {measurement.text[:1].upper()}{measurement.text[1:]}".strip()
        panel = self._begin(timeseries.Panel(), measurement, f"{measurement.name}: {known.lower()}", text)
        self._ask(panel, flux.numbers(self.scope, measurement.name, measurement.fields))
        panel.unit("short").display_name(f"${{__field.name}} {_LABELS}")
        self._draw(panel, {}, stacked=False)
        return panel

    def last_reports(self, measurement: Measurement, field: str) -> Builder[Panel]:
        """When each host was heard of last."""
        panel = self._begin(table.Panel(), measurement, "Last report of each host", "In the time that is shown.")
        self._ask(panel, flux.last_report(self.scope, measurement.name, field))
        panel.override_by_name("last report", [DynamicConfigValue("unit", "dateTimeFromNow")])
        return panel

    def _begin(self, panel: P, measurement: Measurement, title: str, text: str) -> P:
        panel.id(zlib.crc32(f"{measurement.name} {title}".encode()) % 99_999 + 1)
        panel.title(title).description(text).datasource(self.datasource)
        return panel.height(HEIGHT).span(WIDTH).interval(str(self.interval))

    def _ask(self, panel: P, query: str) -> None:
        panel.with_target(FluxQuery(query, self.datasource, chr(ord("A") + len(panel._internal.targets or ()))))

    def _draw(self, panel: timeseries.Panel, fields: Mapping[str, Field], *, stacked: bool) -> None:
        panel.show_points(VisibilityMode.AUTO).line_width(1).fill_opacity(10)
        # A gap is one where three values in a row are missing.
        panel.span_nulls(3 * self.interval.seconds * 1000)
        if fields and all(field.unit == "percent" and not field.counter for field in fields.values()):
            panel.min(0)
            if not stacked:  # two hosts on each other have more
                panel.max(100)
        else:
            panel.axis_soft_min(0)
        panel.legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        panel.tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))


def title_of(name: str, field: Field) -> str:
    """`used_percent`: Used; `buffer_size`: Buffer size."""
    if field.label:
        return field.label
    words = [word for word in re.split(r"[_\W]+", name) if word]
    ending = {_WORDS.get(field.unit, field.unit), field.unit}
    if len(words) > 1 and words[-1].lower() in ending and field.unit != "percent":
        words.pop()
    text = " ".join(words) or name
    return f"{text[:1].upper()}{text[1:]}"


def _steps(field: Field) -> list[dict[str, Any]]:
    """The colours of values from low to high, each from its value on. Empty where the field has no limits."""
    bounds = [
        (field.critical[0], "yellow" if field.warning[0] is not None else "green"),
        (field.warning[0], "green"),
        (field.warning[1], "yellow"),
        (field.critical[1], "red"),
    ]
    found = [{"value": value, "color": colour} for value, colour in bounds if value is not None]
    if not found:
        return []
    lowest = "red" if field.critical[0] is not None else "yellow" if field.warning[0] is not None else "green"
    return [{"value": None, "color": lowest}, *found]


def _what(measurement: Measurement, name: str) -> str:
    title = title_of(name, measurement.fields[name])
    return f"{measurement.name}: {title[:1].lower()}{title[1:]}"


def _tags(measurement: Measurement) -> list[str]:
    return ["host", *(name for name in measurement.tags if name not in ("host", _VERSION))]


def rows_of(measurement: Measurement) -> dict[str, list[str]]:
    """The fields that are in no chart, by what shows them: `numbers`, `states` or `texts`."""
    shown = {name for chart in measurement.charts for name in chart.fields}
    left: dict[str, list[str]] = {"numbers": [], "states": [], "texts": []}
    kinds: dict[Any, str] = {"bool": "states", "str": "texts"}
    for name, field in measurement.fields.items():
        if name not in shown:
            left[kinds.get(field.type, "numbers")].append(name)
    return left

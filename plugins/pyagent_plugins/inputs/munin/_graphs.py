"""What `config` says of graphs for people: titles, units, limits. Measurements with charts are made of it."""

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pyagent.api import Chart, Field, Measurement

from ._answers import Names

__all__ = ["Graphs"]

_ATTRIBUTE = re.compile(r"([A-Za-z_]\w*)\.(\w+)\s+(.*)", re.ASCII)
_GRAPH = re.compile(r"(graph|graph_\w+)\s+(.*)", re.ASCII)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_LIMITS = re.compile(rf"({_NUMBER})?(:)?({_NUMBER})?", re.ASCII)
_WORDS = (
    (r"%|percent", "%"),
    (r"bytes?\b", "bytes"),
    (r"bits?\b|bps\b", "bits"),
    (r"milliseconds?\b|msecs?\b|ms\b", "ms"),
    (r"microseconds?\b|µs\b", "us"),
    (r"seconds?\b|secs?\b|s\b", "s"),
    (r"minutes?\b", "m"),
    (r"hours?\b", "h"),
    (r"days?\b", "d"),
    (r"°\s*c\b|celsius|c\b", "C"),
    (r"rpm\b", "rpm"),
    (r"volts?\b|v\b", "V"),
    (r"amp(?:ere)?s?\b", "A"),
    (r"watts?\b|w\b", "W"),
    (r"hz\b|hertz", "Hz"),
)
_UNITS = tuple((re.compile(rf"(?<!\w)(?:{pattern})", re.IGNORECASE), unit) for pattern, unit in _WORDS)
_PER = re.compile(r"(?:/|\bper\b)\s*(?:\$\{graph_period\}|sec(?:ond)?s?\b|s\b|minute\b).*", re.IGNORECASE)
_LONGEST, _MOST_GRAPHS = 200, 2000
_BITS = re.compile(r"\w+,8,\*")


@dataclass(slots=True)
class _Described:
    """One graph of one answer."""

    settings: dict[str, str] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)


class Graphs:
    """Collects answers to `config`; may be called from several threads. `rates`: counters are stored as change per second."""

    def __init__(self, *, rates: bool) -> None:
        self._rates = rates
        self._found: dict[str, Measurement] = {}
        self._charts: dict[tuple[str, tuple[str, ...]], Chart] = {}
        """By measurement and the tags of what it shows."""
        self._lock = threading.Lock()

    def add(self, text: str, names: Names, tags: Iterable[str] = ()) -> None:
        """`tags`: those that all metrics of it have."""
        with self._lock:
            for graph, described in _described(text).items():
                if described.fields and described.settings.get("graph", "yes").lower() != "no":
                    self._add(graph, described, names, tags)

    def measurements(self) -> list[Measurement]:
        """By category, as Munin's pages have them."""
        found = [
            replace(one, charts=tuple(chart for (name, _), chart in self._charts.items() if name == one.name))
            for one in self._found.values()
        ]
        return sorted(found, key=lambda one: (one.group, one.name))

    def _add(self, graph: str, described: _Described, names: Names, own: Iterable[str]) -> None:
        settings = described.settings
        name, tags = names.of(graph)
        if name not in self._found and len(self._found) == _MOST_GRAPHS:
            return
        fields = {key: self._field(said, settings) for key, said in described.fields.items()}
        mirrored = {said["negative"] for said in described.fields.values() if "negative" in said}
        for key, said in described.fields.items():
            if key in mirrored or "negative" in said:  # one label is for both, which their own names tell apart
                fields[key] = replace(fields[key], label="")
        shown = [
            key
            for key in _ordered(described.fields, settings.get("graph_order", ""))
            if described.fields[key].get("graph", "yes").lower() != "no" or key in mirrored
        ]
        draws = {key: described.fields[key].get("draw", "LINE").upper() for key in shown}
        summed = {key for key, draw in draws.items() if draw in ("AREA", "STACK", "AREASTACK")}
        is_stacked = any("STACK" in draw for draw in draws.values())
        group = settings.get("graph_category", "other").lower() or "other"
        before = self._found.get(name) or Measurement(name, settings.get("graph_info", ""), group=group, open=True)
        texts = dict.fromkeys([*own, *tags], "")
        self._found[name] = replace(before, fields={**before.fields, **fields}, tags={**before.tags, **texts})
        if not shown:
            return
        title = _title(settings.get("graph_title", ""), tags.values()) or name
        series = (name, tuple(tags))
        chart = self._charts.get(series)
        self._charts[series] = Chart(
            chart.title if chart else title,
            tuple(dict.fromkeys([*(chart.fields if chart else ()), *shown])),
            stacked=is_stacked,
            beside=tuple(one for one in shown if is_stacked and one not in summed),
            mirrored=tuple(one for one in shown if one in mirrored),
        )

    def _field(self, said: Mapping[str, str], settings: Mapping[str, str]) -> Field:
        kind = said.get("type", "GAUGE").upper()
        vlabel, cdef = settings.get("graph_vlabel", ""), said.get("cdef", "")
        unit = _unit(vlabel)
        is_bits = unit == "bits" and _BITS.fullmatch(cdef) is not None
        if is_bits:
            unit = "bytes"  # as they are counted
        elif cdef:
            unit = "1"  # of what is computed, which this is not
        per_second = kind != "GAUGE" and (self._rates or kind != "ABSOLUTE")
        if unit == "%":
            bounded = "--upper-limit 100" in settings.get("graph_args", "").replace("=", " ") and kind == "GAUGE"
            unit = "percent" if bounded else "percent s" if per_second and not self._rates else "%"
        elif per_second and self._rates and unit != "1":
            unit = f"{unit}/s"
        text = said.get("info", "")
        if cdef and not is_bits:
            text = f"{text} Munin shows {cdef} of it.".strip()
        return Field(
            "float",
            unit,
            text[:_LONGEST],
            counter=per_second and not self._rates,
            label=said.get("label", "")[:_LONGEST],
            warning=_limits("" if cdef else said.get("warning", "")),
            critical=_limits("" if cdef else said.get("critical", "")),
        )


def _described(text: str) -> dict[str, _Described]:
    graphs: dict[str, _Described] = {}
    graph = graphs.setdefault("", _Described())
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # a dashboard is UTF-8
    for line in text.splitlines()[:100_000]:
        if line.startswith("multigraph "):
            graph = graphs.setdefault(line[len("multigraph ") :].strip(), _Described())
        elif match := _ATTRIBUTE.match(line):
            if match[2] != "value":
                graph.fields.setdefault(match[1], {})[match[2]] = match[3].strip()
        elif match := _GRAPH.match(line):
            graph.settings[match[1]] = match[2].strip()[:_LONGEST]
    return graphs


def _ordered(fields: Mapping[str, object], order: str) -> list[str]:
    """As Munin draws them. Names of other plugins' fields (`a=b.c`) are none of this graph's."""
    first = [name for name in order.split() if name in fields]
    return list(dict.fromkeys([*first, *fields]))


def _title(text: str, instances: Iterable[str]) -> str:
    """For all instances: without the name of the one that it was asked of."""
    for instance in filter(None, instances):
        text = re.sub(rf"(?<!\w)(?:for |of |on )?(?:/dev/)?{re.escape(instance)}(?!\w)", "", text)
    text = " ".join(text.split()).strip(" -:,()[]")
    return f"{text[:1].upper()}{text[1:]}"


def _unit(vlabel: str) -> str:
    text = _PER.sub("", vlabel)
    return next((unit for pattern, unit in _UNITS if pattern.search(text)), "1")


def _limits(text: str) -> tuple[float | None, float | None]:
    """`92`: above it; `10:90`: below the one and above the other; `10:` and `:90`."""
    match = _LIMITS.fullmatch(text.strip())
    if match is None:
        return None, None
    low, colon, high = match.groups()
    if not colon:
        return None, float(low) if low else None
    return float(low) if low else None, float(high) if high else None

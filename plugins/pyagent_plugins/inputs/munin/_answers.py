"""What a plugin of Munin answers to `config` and `fetch`, and what becomes of it.

Munin's protocol of plugins: http://guide.munin-monitoring.org/en/latest/reference/plugin.html
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from pyagent.api import Metric, PyagentError
from pyagent.api.metric import MetricType
from pyagent.kit.shown import quoted

__all__ = ["CONFIG", "FETCH", "Graph", "Names", "State", "read_answer"]

CONFIG, FETCH = "config", "fetch"
_PLAIN_VALUE = re.compile(r"([A-Za-z_]\w*)\.value ([-+]?[0-9]{1,300}(?:\.[0-9]+)?)", re.ASCII)
"""What most lines are."""
_ATTRIBUTE = re.compile(r"([A-Za-z_]\w*)\.(\w+)(?:\s+(.*))?", re.ASCII)
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?", re.ASCII)
_HOST = re.compile(r"^host_name[ \t]+([-\w.:]{1,255})[ \t\r]*$", re.ASCII | re.MULTILINE)
_STAMPED = re.compile(r"([0-9]{1,11}):(.+)", re.ASCII)
_TYPES = ("GAUGE", "COUNTER", "DERIVE", "ABSOLUTE")
_MOST_FIELDS = 10_000
"""Of one plugin: what more it prints is refused."""


@dataclass(slots=True)
class FieldSettings:
    """What `config` says of a field, as far as its value depends on it."""

    type: str = "GAUGE"
    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


_UNTOLD = FieldSettings()
"""Of a field of which `config` says nothing."""


@dataclass(slots=True)
class Graph:
    settings: dict[str, FieldSettings] = field(default_factory=dict)
    values: list[tuple[str, float, int | None]] = field(default_factory=list)
    """Field, value, and seconds since 1970 where the plugin says when that was."""


def read_answer(text: str) -> dict[str, Graph]:
    """The graphs of an answer by name; "" is the plugin's own. Raises PyagentError for a value that is no number."""
    graphs: dict[str, Graph] = {}
    graph = graphs.setdefault("", Graph())
    count = 0
    for line in text.splitlines():
        if line.startswith("multigraph "):
            graph = graphs.setdefault(line[len("multigraph ") :].strip(), Graph())
            continue
        if plain := _PLAIN_VALUE.fullmatch(line):
            name, attribute, value = plain[1], "value", plain[2]
        elif match := _ATTRIBUTE.match(line):
            name, attribute, value = match.groups("")
            value = value.strip()
        else:
            continue
        count += 1
        if count > _MOST_FIELDS * 10:
            raise PyagentError(f"it has more than {_MOST_FIELDS * 10} lines about fields")
        if attribute == "value":
            found = (name, float(value), None) if plain else _value(name, value)
            if found is not None:
                graph.values.append(found)
                if len(graph.values) > _MOST_FIELDS:
                    raise PyagentError(f"it has more than {_MOST_FIELDS} values")
        elif attribute in ("type", "min", "max"):
            settings = graph.settings.setdefault(name, FieldSettings())
            if attribute == "type" and value.upper() in _TYPES:
                settings.type = value.upper()
            elif attribute == "min":
                settings.least = _bound(value)
            elif attribute == "max":
                settings.most = _bound(value)
    return graphs


def _value(name: str, text: str) -> tuple[str, float, int | None] | None:
    """None for `U`, which says that there is none, and for what the databases of Munin take for the same."""
    when = None
    if ":" in text and (stamped := _STAMPED.fullmatch(text)):
        when, text = int(stamped[1]), stamped[2]
    if text in ("U", "") or text.lstrip("+-").lower() == "nan":
        return None
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    if math.isinf(number):
        raise PyagentError(f"the value of {name} is no number: {quoted(text[:80].encode('utf-8', 'replace'))}")
    return name, number, when


def _bound(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class Names:
    """What a graph is called: a measurement, and the tags that tell its like apart."""

    prefix: str
    plugin: str
    """As it is linked: `if_eth0`."""
    base: str
    """As its file is called, without the line at its end: `if`."""
    instance: str
    """What the link adds: `eth0`."""

    def of(self, graph: str) -> tuple[str, dict[str, str]]:
        """`graph`: the one of `multigraph`, `diskstats_latency.sda`; "" for the plugin's own."""
        first, _, below = graph.partition(".")
        name, instance = (self.base, self.instance) if first in ("", self.plugin) else (first, "")
        tags = {"instance": instance} if instance else {}
        return self.prefix + name, tags | ({"graph": below} if below else {})


class State:
    """Of one plugin, between gathers: what `config` said, and the counters of the last gather where rates are wanted.

    `every`: seconds after which `config` is asked again. `clock`: seconds that never go back.
    """

    def __init__(self, names: Names, tags: dict[str, str], *, rates: bool, every: float, clock: Callable[[], float]):
        self._names = names
        self._tags = tags
        self._rates = rates
        self._every = every
        self._clock = clock
        self._settings: dict[str, dict[str, FieldSettings]] = {}
        self._host = ""
        """Another one that it is about, as `config` says."""
        self._asked: float | None = None
        self._dirty = False
        self._before: dict[tuple[str, str], tuple[float, float]] = {}
        """Graph and field: time and value of the last gather."""

    @property
    def question(self) -> str:
        """What to ask first now. A plugin that gave its values with `config` is asked for nothing else."""
        if self._dirty or self._asked is None or self._clock() - self._asked >= self._every:
            return CONFIG
        return FETCH

    def take(self, question: str, text: str, now: int) -> list[Metric] | None:
        """The metrics of an answer; None: to `config`, and the values have to be fetched. `now`: ns since 1970."""
        graphs = read_answer(text)
        if question == CONFIG:
            self._settings = {name: graph.settings for name, graph in graphs.items()}
            host = _HOST.search(text)
            self._host = host[1] if host else ""
            self._asked = self._clock()
            self._dirty = any(graph.values for graph in graphs.values())
            if not self._dirty:
                return None
        metrics: list[Metric] = []
        seen: dict[tuple[str, str], tuple[float, float]] = {}
        for name, graph in graphs.items():
            metrics += self._metrics(name, graph, now, seen)
        self._before = seen
        return metrics

    def _metrics(
        self, graph: str, found: Graph, now: int, seen: dict[tuple[str, str], tuple[float, float]]
    ) -> Iterator[Metric]:
        at_time: dict[int, dict[str, float]] = {}
        settings = self._settings.get(graph, {})
        kinds = set()
        for name, value, when in found.values:
            known = settings.get(name, _UNTOLD)
            kinds.add(known.type)
            shown: float | None = value
            if self._rates and known.type != "GAUGE":
                shown = self._rate((graph, name), known, value, self._clock() if when is None else float(when), seen)
            if shown is not None:
                time = now if when is None else when * 10**9
                if time not in at_time:
                    at_time[time] = {}
                at_time[time][name] = shown
        measurement, tags = self._names.of(graph)
        tags |= ({"node": self._host} if self._host else {}) | self._tags
        for time, fields in at_time.items():
            yield Metric(measurement, dict(tags), dict(fields), time, self._kind(kinds))

    def _rate(
        self,
        key: tuple[str, str],
        settings: FieldSettings,
        value: float,
        time: float,
        seen: dict[tuple[str, str], tuple[float, float]],
    ) -> float | None:
        """Per second. None at the first gather, where the counter went back, and where `config` says that it cannot be."""
        then, before = seen.get(key) or self._before.get(key) or (time, value)
        seen[key] = (time, value)
        if time <= then or (settings.type == "COUNTER" and value < before):
            return None
        # ABSOLUTE counts from the last question on.
        rate = (value if settings.type == "ABSOLUTE" else value - before) / (time - then)
        return rate if settings.holds(rate) else None

    def _kind(self, types: Iterable[str]) -> MetricType:
        types = set(types)
        if types == {"GAUGE"} or self._rates:
            return MetricType.GAUGE
        return MetricType.COUNTER if types == {"COUNTER"} else MetricType.UNTYPED

"""Prometheus' text format: families of series by name and type, and how names, labels and numbers are written in it.

Metrics are added as they come; of several values of one series the latest counts. Text fields are left out, or labels.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pyagent.api import ConfigError, FieldValue, Metric, MetricType, Options, option
from pyagent.kit.glob import Matcher, compile_patterns

__all__ = ["Families", "Labels", "MetricTypes", "Names", "Series", "encoded", "header", "sample_name", "samples"]


class MetricTypes(Options, frozen=True):
    counter: Annotated[list[str], option("patterns of names that are counters")] = []
    gauge: Annotated[list[str], option("patterns of names that are gauges")] = []

    def rule(self, option: str) -> Callable[[str, MetricType], MetricType]:
        """The type of a name, from that of its metric. Raises ConfigError, about `option`."""
        is_gauge, is_counter = (
            _matcher(f"{option}.{name}", option, getattr(self, name)) for name in ("gauge", "counter")
        )

        def kind(name: str, own: MetricType) -> MetricType:
            return MetricType.GAUGE if is_gauge(name) else MetricType.COUNTER if is_counter(name) else own

        return kind


_HELP = "Telegraf collected metric"
_METRIC, _LABEL = re.compile("[A-Za-z_:][A-Za-z0-9_:]*"), re.compile("[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_METRIC, _NOT_IN_LABEL = re.compile("[^A-Za-z0-9_:]"), re.compile("[^A-Za-z0-9_]")
_LABEL_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_SURROGATES = re.compile("[\ud800-\udfff]")
_NAMES = {
    MetricType.UNTYPED: "untyped",
    MetricType.COUNTER: "counter",
    MetricType.GAUGE: "gauge",
    MetricType.SUMMARY: "summary",
    MetricType.HISTOGRAM: "histogram",
}
_SUFFIXES = ("_bucket", "_sum", "_count")
_SPECIAL = {MetricType.HISTOGRAM: "le", MetricType.SUMMARY: "quantile"}
"""The tag that says which part of a series a metric is."""
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Series:
    """One value, or the parts of a histogram or summary."""

    labels: Labels
    time: int
    value: float = 0.0
    parts: dict[float, float] = field(default_factory=dict)
    """Counts by bound, or values by quantile."""
    sum: float = 0.0
    count: int = 0
    added: float = 0.0
    """When it was added the last time, by the caller's clock, in seconds."""


class Names:
    """How names of metrics and labels are made such as may stand. `utf8`: by Prometheus' own escapes, nothing is dropped."""

    def __init__(self, *, utf8: bool) -> None:
        self.utf8 = utf8
        self.of_metric: Callable[[str], str] = _cached(_METRIC, _NOT_IN_METRIC, drops=not utf8)
        """The name of a family; empty: none is left."""
        # Where names are escaped and not cleaned, labels go by the rule of metrics, as in Prometheus' own library.
        self.of_label: Callable[[str], str] = _cached(_LABEL, _NOT_IN_METRIC if utf8 else _NOT_IN_LABEL, drops=not utf8)


class Families(dict[tuple[str, MetricType], dict[Labels, Series]]):
    """Series by the name and type of their family, and their labels."""

    def __init__(
        self, names: Names, kind: Callable[[str, MetricType], MetricType], *, string_as_label: bool = False
    ) -> None:
        super().__init__()
        self._names = names
        self._kind = kind
        self._string_as_label = string_as_label

    def add(self, metric: Metric, now: float = 0.0) -> None:
        labels = self._labels(metric)
        for key, value in metric.fields.items():
            name = self._names.of_metric(sample_name(metric, key))
            if not name:
                continue
            kind = self._kind(name, metric.kind)
            series = self.get((name, kind), {}).get(labels)
            if series is not None and metric.time < series.time:
                continue
            found = series or Series(labels, metric.time)
            if not _put(found, kind, key, value, metric):
                continue
            found.time, found.added = metric.time, now
            if series is None:
                self.setdefault((name, kind), {})[labels] = found

    def _labels(self, metric: Metric) -> Labels:
        special = _SPECIAL.get(metric.kind)
        labels: dict[str, str] = {}
        for key in sorted(metric.tags):
            if key != special and (name := self._names.of_label(key)):
                labels.setdefault(name, metric.tags[key])
        if self._string_as_label:
            texts = {key: value for key, value in metric.fields.items() if isinstance(value, str)}
            for key, value in texts.items():
                if name := self._names.of_label(key):
                    labels.setdefault(name, value)
            if texts:
                labels = dict(sorted(labels.items()))
        return tuple(labels.items())


def header(name: str, kind: MetricType, *, described: bool = True) -> list[str]:
    """The lines before the samples of a family."""
    return [*([f"# HELP {name} {_HELP}\n"] if described else []), f"# TYPE {name} {_NAMES[kind]}\n"]


def samples(name: str, kind: MetricType, series: Iterable[Series], *, timestamps: bool = False) -> list[str]:
    """The lines of some series of a family, in their order."""
    lines: list[str] = []
    for one in series:
        labels = one.labels
        end = f" {_milliseconds(one.time)}\n" if timestamps else "\n"
        if kind not in _SPECIAL:
            lines.append(f"{name}{_written(labels)} {_number(one.value)}{end}")
            continue
        special = _SPECIAL[kind]
        parts = dict(sorted(one.parts.items()))
        if kind is MetricType.HISTOGRAM:
            parts.setdefault(float("inf"), one.count)
        part_name = f"{name}_bucket" if kind is MetricType.HISTOGRAM else name
        for bound, value in parts.items():
            written = _written((*labels, (special, _number(bound))))
            lines.append(f"{part_name}{written} {_number(value)}{end}")
        written = _written(labels)
        lines.append(f"{name}_sum{written} {_number(one.sum)}{end}")
        lines.append(f"{name}_count{written} {_number(float(one.count))}{end}")
    return lines


def encoded(lines: Sequence[str]) -> bytes:
    text = "".join(lines)
    return (text if text.isascii() else _SURROGATES.sub("\ufffd", text)).encode()


def sample_name(metric: Metric, key: str) -> str:
    """Measurement and field; of histograms and summaries that of the family."""
    if metric.kind in _SPECIAL:
        suffix = next((suffix for suffix in _SUFFIXES if key.endswith(suffix)), "")
        key = key.removesuffix(suffix)
    return key if metric.name == "prometheus" else f"{metric.name}_{key}"


def _put(series: Series, kind: MetricType, key: str, value: FieldValue, metric: Metric) -> bool:
    """Whether the value is one of such a series."""
    if isinstance(value, str):
        return False
    if kind not in _SPECIAL:
        series.value = float(value)
        return True
    if isinstance(value, bool):
        return False
    if key.endswith("_sum"):
        series.sum = float(value)
        return True
    if key.endswith("_count"):
        return _count(value, lambda count: setattr(series, "count", count))
    if kind is MetricType.HISTOGRAM and not key.endswith("_bucket"):
        return False
    try:
        bound = float(metric.tags[_SPECIAL[kind]])
    except (KeyError, ValueError):
        return False
    if kind is MetricType.SUMMARY:
        series.parts[bound] = float(value)
        return True
    return _count(value, lambda count: series.parts.__setitem__(bound, float(count)))


def _count(value: float, put: Callable[[int], None]) -> bool:
    if not 0 <= value < 2**64:
        return False
    put(int(value))
    return True


def _cached(valid: re.Pattern[str], bad: re.Pattern[str], *, drops: bool) -> Callable[[str], str]:
    """Names as they may stand; empty where nothing of one is left."""
    known: dict[str, str] = {}

    def name(text: str) -> str:
        found = known.get(text)
        if found is None:
            if len(known) >= 10_000:
                known.clear()
            found = known[text] = _sanitized(text, valid, bad, drops=drops)
        return found

    return name


def _sanitized(text: str, valid: re.Pattern[str], bad: re.Pattern[str], *, drops: bool) -> str:
    if valid.fullmatch(text):
        return text
    if drops:
        # What cannot stand first is dropped; of what is left, the ends as well.
        first = text[:1] if valid.fullmatch(text[:1]) else ""
        return (first + bad.sub("_", text[1:])).strip("_")
    replaced = bad.sub("_", text)
    return replaced if not replaced[:1].isdigit() else "_" + replaced[1:]


def _written(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join([f'{key}="{value.translate(_LABEL_ESCAPES)}"' for key, value in labels]) + "}"


def _number(value: float) -> str:
    """The fewest digits, with an exponent from 1e6 on and below 1e-4, as Prometheus' own library writes them."""
    if value != value:  # NaN
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    if value in (0, 1, -1):
        return str(int(value))
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if value < 0 else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    # Of d.ddd, times ten to this.
    power = len(whole) - 1 + int(exponent or 0)
    if whole == "0":
        power = -(len(fraction) - len(fraction.lstrip("0")) + 1) + int(exponent or 0)
    digits = digits.rstrip("0")
    if power < -4 or power >= 6:
        rest = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{rest}e{'-' if power < 0 else '+'}{abs(power):02d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    if len(digits) <= power + 1:
        return sign + digits.ljust(power + 1, "0")
    return f"{sign}{digits[: power + 1]}.{digits[power + 1 :]}"


def _milliseconds(time: int) -> int:
    # Towards 0, as integers are divided in Telegraf.
    return time // 1_000_000 if time >= 0 else -(-time // 1_000_000)


def _matcher(what: str, option: str, patterns: list[str]) -> Matcher:
    if not patterns:
        return lambda text: False
    try:
        return compile_patterns(patterns)
    except ValueError as error:
        raise ConfigError(f"{what}: {error}", option=option) from None

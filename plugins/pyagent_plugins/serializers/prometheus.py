"""Prometheus' text format: a sample for each numeric field, those of one name together.

The name of a sample is measurement and field, joined by `_` (the field alone for the measurement `prometheus`); tags are its
labels. Samples of one name stand together, so there are no records: a batch is serialized as a whole. Of several values of
one series in a batch the latest counts. Text fields are left out, or labels.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pyagent.api import ConfigError, FieldValue, Metric, MetricType, Options, Serializer, option
from pyagent.kit.glob import Matcher, compile_patterns

__all__ = ["MetricTypes", "Prometheus", "PrometheusOptions"]


class MetricTypes(Options, frozen=True):
    counter: Annotated[list[str], option("patterns of names that are counters")] = []
    gauge: Annotated[list[str], option("patterns of names that are gauges")] = []


class PrometheusOptions(Options, frozen=True):
    prometheus_export_timestamp: Annotated[bool, option("write the time of each sample, in milliseconds")] = False
    prometheus_sort_metrics: Annotated[bool, option("sort by name and labels")] = False
    prometheus_string_as_label: Annotated[bool, option("make labels of text fields, which are left out else")] = False
    prometheus_compact_encoding: Annotated[bool, option("leave out the HELP lines")] = False
    prometheus_name_sanitization: Annotated[
        Literal["", "legacy", "utf8"],
        option(
            "how characters that no name may have are replaced; legacy also drops them at both ends (empty: legacy)"
        ),
    ] = ""
    prometheus_metric_types: Annotated[MetricTypes, option("types of metrics, in place of their own")] = MetricTypes()


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
class _Series:
    """One value, or the parts of a histogram or summary."""

    time: int
    value: float = 0.0
    parts: dict[float, float] = field(default_factory=dict)
    """Counts by bound, or values by quantile."""
    sum: float = 0.0
    count: int = 0


class Prometheus(Serializer[PrometheusOptions]):
    whole_batch = True

    def setup(self) -> None:
        types = self.options.prometheus_metric_types
        self._is_counter = _matcher("counter", types.counter)
        self._is_gauge = _matcher("gauge", types.gauge)
        utf8 = self.options.prometheus_name_sanitization == "utf8"
        self._metric_name: Callable[[str], str] = _cached(_METRIC, _NOT_IN_METRIC, drops=not utf8)
        # Where names are escaped and not cleaned, labels go by the rule of metrics, as in Prometheus' own library.
        self._label_name: Callable[[str], str] = _cached(
            _LABEL, _NOT_IN_METRIC if utf8 else _NOT_IN_LABEL, drops=not utf8
        )

    def serialize(self, metric: Metric) -> bytes:
        return self.serialize_batch([metric])

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        families: dict[tuple[str, MetricType], dict[Labels, _Series]] = {}
        for metric in metrics:
            self._add(families, metric)
        keys = sorted(families) if self.options.prometheus_sort_metrics else families
        lines: list[str] = []
        for key in keys:
            lines += self._family(*key, families[key])
        text = "".join(lines)
        return (text if text.isascii() else _SURROGATES.sub("\ufffd", text)).encode()

    def _add(self, families: dict[tuple[str, MetricType], dict[Labels, _Series]], metric: Metric) -> None:
        labels = self._labels(metric)
        for key, value in metric.fields.items():
            name = self._metric_name(_name(metric, key))
            if not name:
                continue
            kind = (
                MetricType.GAUGE
                if self._is_gauge(name)
                else MetricType.COUNTER
                if self._is_counter(name)
                else metric.kind
            )
            series = families.get((name, kind), {}).get(labels)
            if series is not None and metric.time < series.time:
                continue
            found = series or _Series(metric.time)
            if not _put(found, kind, key, value, metric):
                continue
            found.time = metric.time
            if series is None:
                families.setdefault((name, kind), {})[labels] = found

    def _labels(self, metric: Metric) -> Labels:
        special = _SPECIAL.get(metric.kind)
        labels: dict[str, str] = {}
        for key in sorted(metric.tags):
            if key != special and (name := self._label_name(key)):
                labels.setdefault(name, metric.tags[key])
        if self.options.prometheus_string_as_label:
            texts = {key: value for key, value in metric.fields.items() if isinstance(value, str)}
            for key, value in texts.items():
                if name := self._label_name(key):
                    labels.setdefault(name, value)
            if texts:
                labels = dict(sorted(labels.items()))
        return tuple(labels.items())

    def _family(self, name: str, kind: MetricType, series: dict[Labels, _Series]) -> list[str]:
        lines = [] if self.options.prometheus_compact_encoding else [f"# HELP {name} {_HELP}\n"]
        lines.append(f"# TYPE {name} {_NAMES[kind]}\n")
        keys = (
            sorted(series, key=lambda labels: (len(labels), labels)) if self.options.prometheus_sort_metrics else series
        )
        for labels in keys:
            one = series[labels]
            end = f" {_milliseconds(one.time)}\n" if self.options.prometheus_export_timestamp else "\n"
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


def _name(metric: Metric, key: str) -> str:
    if metric.kind in _SPECIAL:
        suffix = next((suffix for suffix in _SUFFIXES if key.endswith(suffix)), "")
        key = key.removesuffix(suffix)
    return key if metric.name == "prometheus" else f"{metric.name}_{key}"


def _put(series: _Series, kind: MetricType, key: str, value: FieldValue, metric: Metric) -> bool:
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


def _matcher(name: str, patterns: list[str]) -> Matcher:
    if not patterns:
        return lambda text: False
    try:
        return compile_patterns(patterns)
    except ValueError as error:
        raise ConfigError(f"prometheus_metric_types.{name}: {error}", option="prometheus_metric_types") from None

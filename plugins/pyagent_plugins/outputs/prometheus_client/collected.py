"""The latest values of all series, and the page that shows them.

Version 1: the fields of a histogram or summary are its bounds, and the fields `value`, `counter` and `gauge` give a family the
measurement's name. Version 2 is what the serializer `prometheus` does.
"""

import logging
import re
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any
from weakref import WeakValueDictionary

from pyagent.api import FieldValue, Metric, MetricType
from pyagent.kit.once import Once
from pyagent.kit.prometheus import Families, Labels, Names, Series, encoded, header, samples

__all__ = ["Collected", "collected"]

MOST_SERIES = 200_000
"""Beyond it those that were not written for longest go. They take some 0.5 KiB each."""
_NUMBER = re.compile(r"[+-]?(?:Inf|NaN|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)")
_INVALID = re.compile("[^a-zA-Z0-9_:]")
_SCALARS = frozenset((MetricType.UNTYPED, MetricType.COUNTER, MetricType.GAUGE))
_PARTS = {MetricType.HISTOGRAM: ("_bucket", "_sum", "_count"), MetricType.SUMMARY: ("_sum", "_count")}
_SHORT = {MetricType.COUNTER: "counter", MetricType.GAUGE: "gauge"}

_living: WeakValueDictionary[Hashable, "Collected"] = WeakValueDictionary()


def collected(key: Hashable | None, **settings: Any) -> "Collected":
    """That of a plugin that lives and has the same key, so that a reload does not empty the page; else a new one. None: no
    other plugin has it."""
    found = _living.get(key)
    if found is None:
        found = Collected(**settings)
        if key is not None:
            _living[key] = found
    return found


class Collected:
    """All of it may be called from any thread. Times are seconds of a clock that never goes back."""

    def __init__(
        self,
        *,
        names: Names,
        kind: Callable[[str, MetricType], MetricType],
        string_as_label: bool,
        first_version: bool,
        log: logging.Logger,
        most: int = MOST_SERIES,
    ) -> None:
        self._most = most
        made = _FirstVersion if first_version else Families
        self._families = made(names, kind, string_as_label=string_as_label)
        self._fills_labels = first_version
        self._log = log
        self._lock = threading.Lock()
        self._once = Once()
        self._expires = 0.0
        """When to look for those that have expired, where nobody asks for the page."""

    def add(self, metrics: Sequence[Metric], now: float, lifetime: float) -> None:
        """`lifetime`: seconds; 0: for ever."""
        with self._lock:
            if self._fills_labels:
                metrics = sorted(metrics, key=lambda metric: metric.time)
            for metric in metrics:
                self._families.add(metric, now)
            if lifetime and now >= self._expires:
                self._expires = now + lifetime
                self._expire(now, lifetime)
            if (count := sum(map(len, self._families.values()))) > self._most:
                self._warn_once(
                    "most", f"there are more than {self._most} series: those that were not written for longest go"
                )
                self._remove_oldest(count - self._most * 9 // 10)

    def page(self, now: float, lifetime: float, *, timestamps: bool = False, more: Sequence[str] = ()) -> bytes:
        """`more`: lines of families of others, which come where no series has their names."""
        with self._lock:
            if lifetime:
                self._expire(now, lifetime)
            by_name: dict[str, dict[MetricType, list[Series]]] = {}
            for (name, kind), series in self._families.items():
                by_name.setdefault(name, {})[kind] = list(series.values())
            lines: list[str] = []
            taken = {name + part for name, kinds in by_name.items() for kind in kinds for part in _PARTS.get(kind, ())}
            for name in sorted(by_name):
                if name in taken:
                    self._warn_once(
                        name, f"the series of {name!r} are left out: a histogram or summary has that name, too"
                    )
                    continue
                kind, found = self._one_kind(name, by_name[name])
                lines += header(name, kind)
                lines += samples(name, kind, self._in_order(found), timestamps=timestamps)
        lines += [line for line in more if _name_of(line) not in by_name]
        return encoded(lines)

    def _one_kind(self, name: str, kinds: dict[MetricType, list[Series]]) -> tuple[MetricType, list[Series]]:
        """A family has one type on a page."""
        if len(kinds) == 1:
            return next(iter(kinds.items()))
        if _SCALARS.issuperset(kinds):
            # Of several values of a series the latest, of whatever type.
            latest: dict[Labels, Series] = {}
            for one in sorted((one for series in kinds.values() for one in series), key=lambda one: one.added):
                latest[one.labels] = one
            return MetricType.UNTYPED, list(latest.values())
        kind = max(kinds, key=lambda kind: max(one.added for one in kinds[kind]))
        others = ", ".join(sorted(other.name.lower() for other in kinds if other is not kind))
        self._warn_once(
            f"{name} {kind}", f"{name!r} is shown as a {kind.name.lower()}; there are series of it of the type {others}"
        )
        return kind, kinds[kind]

    def _in_order(self, found: list[Series]) -> list[Series]:
        if self._fills_labels:
            every = sorted({key for one in found for key, _ in one.labels})
            if any(len(one.labels) != len(every) for one in found):
                found = [_filled(one, every) for one in found]
        found = list({one.labels: one for one in found}.values())
        found.sort(key=lambda one: (len(one.labels), [value for _, value in one.labels]))
        return found

    def _expire(self, now: float, lifetime: float) -> None:
        for key, series in list(self._families.items()):
            for labels in [labels for labels, one in series.items() if now - one.added > lifetime]:
                del series[labels]
            if not series:
                del self._families[key]

    def _remove_oldest(self, count: int) -> None:
        every = [(one.added, key, labels) for key, series in self._families.items() for labels, one in series.items()]
        every.sort(key=lambda one: one[0])
        for _, key, labels in every[:count]:
            del self._families[key][labels]
            if not self._families[key]:
                del self._families[key]

    def _warn_once(self, key: str, text: str) -> None:
        if self._once(key):
            self._log.warning("%s", text)


class _FirstVersion(Families):
    """Series are told apart by their tags alone: what a text says may change."""

    def add(self, metric: Metric, now: float = 0.0) -> None:
        tags = tuple(sorted(metric.tags.items()))
        labels = self._labels_of(metric, tags)
        if metric.kind in _PARTS:
            if name := _metric_name(metric.name, self._names):
                self._put(name, metric.kind, tags, _parts(Series(labels, metric.time, added=now), metric.fields))
            return
        for key, value in metric.fields.items():
            if isinstance(value, str | bool):
                continue
            short = key == "value" or key == _SHORT.get(metric.kind)
            if name := _metric_name(metric.name if short else f"{metric.name}_{key}", self._names):
                kind = self._kind(name, metric.kind)
                self._put(name, kind, tags, Series(labels, metric.time, float(value), added=now))

    def _put(self, name: str, kind: MetricType, tags: Labels, series: Series) -> None:
        self.setdefault((name, kind), {})[tags] = series

    def _labels_of(self, metric: Metric, tags: Labels) -> Labels:
        labels = {name: value for key, value in tags if (name := self._names.of_label(key))}
        if self._string_as_label:
            for key, value in metric.fields.items():
                if isinstance(value, str) and (name := self._names.of_label(key)):
                    labels[name] = value
        return tuple(sorted(labels.items()))


def _metric_name(text: str, names: Names) -> str:
    """Version 1 drops nothing but what begins as no name may."""
    if names.utf8:
        return names.of_metric(text)
    name = _INVALID.sub("_", text)
    return name if name[:1].isalpha() or name[:1] == "_" else ""


def _parts(series: Series, fields: dict[str, FieldValue]) -> Series:
    for key, value in fields.items():
        if isinstance(value, str | bool):
            continue
        if key == "sum":
            series.sum = float(value)
        elif key == "count":
            series.count = int(value) if 0 <= value < 2**64 else 0
        elif _NUMBER.fullmatch(key):
            series.parts[float(key)] = float(value)
    return series


def _filled(series: Series, every: Iterable[str]) -> Series:
    known = dict(series.labels)
    labels = tuple((key, known.get(key, "")) for key in every)
    return Series(labels, series.time, series.value, series.parts, series.sum, series.count, series.added)


def _name_of(line: str) -> str:
    return line.split()[2] if line.startswith("#") else line.partition(" ")[0]

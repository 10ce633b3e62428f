"""Where an input's `acc.add` ends: values converted, declared types pinned, whatever thread it came from."""

import threading
import time as clock
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, cast, get_args

from pyagent.api import (
    FieldValue,
    Ingested,
    Measurement,
    Metric,
    MetricType,
    Parser,
    QueueFull,
    Uint,
    field_value,
    timestamp_ns,
)
from pyagent.api.foreign import plain_text
from pyagent.api.line_options import PrecisionName
from pyagent.api.measurements import FieldType
from pyagent.lineprotocol import plain_metric
from pyagent.pipeline.ports import IngestPort, Lines

__all__ = ["Abandoned", "InputAccumulator", "lines_count"]

HIGH_WATER = 1_000
"""Metrics that may wait for the main loop before an adding thread does."""
PIECE = 5_000
"""Metrics as lines that are handed on at once: what is read of a large file is more than the outputs' queues may hold."""
MOST_DELIVERED = 1_000_000
"""Metrics that an external plugin may deliver at once; more is no list."""


class Abandoned(Exception):
    """Raised into a gather that has timed out, so that its thread ends."""


class InputAccumulator:
    """`pyagent.api.Accumulator`: collects until the engine drains it.

    `measurements` pins the types of declared fields. `report(problem)` is told why something was dropped, once per
    reason. `overflow()` is called from the adding thread when HIGH_WATER metrics wait; it returns when there is room.
    `relay`: makes lines for the outputs of data, None where metrics are to be made of them.
    `foreign`: what adds is an external plugin, of which nothing but plain values goes on.
    """

    def __init__(
        self,
        measurements: Sequence[Measurement] = (),
        *,
        report: Callable[[str], None] | None = None,
        overflow: Callable[[], None] | None = None,
        now: Callable[[], int] = clock.time_ns,
        ingest_port: IngestPort | None = None,
        foreign: bool = False,
        relay: Callable[[bytes, Parser[Any]], Lines | None] | None = None,
    ) -> None:
        self._relay = relay
        self._lines: deque[Lines] = deque()
        self._ingest_port = ingest_port
        self._foreign = foreign
        self._pins = {m.name: {name: _PINS[f.type] for name, f in m.fields.items()} for m in measurements}
        self._types = {m.name: {name: _TYPES[f.type] for name, f in m.fields.items()} for m in measurements}
        # append, extend by a list, and popleft of a deque are atomic, so adding needs no lock.
        self._pending: deque[Metric] = deque()
        self._report = report
        self._overflow = overflow
        self._now = now
        self._closed = False
        self.added = 0
        """Metrics so far; about so many, where several threads add."""
        self._lock = threading.Lock()
        self.dropped: Counter[str] = Counter()
        """Metrics and fields that were lost, by reason."""

    def add(
        self,
        measurement: str,
        fields: Mapping[str, Any],
        tags: Mapping[str, Any] | None = None,
        time: int | float | datetime | None = None,
        kind: MetricType = MetricType.UNTYPED,
    ) -> None:
        if self._closed:
            self._refuse_late(1)
        when = self._now() if time is None else time
        metric = plain_metric(measurement, fields, tags, when, kind, self._types) or self._converted(
            measurement, fields, tags, when, kind
        )
        if metric is None:
            return
        self.added += 1
        self._pending.append(metric)
        if len(self._pending) >= HIGH_WATER and self._overflow is not None:
            self._overflow()

    def _converted(self, measurement: Any, fields: Any, tags: Any, time: Any, kind: Any) -> Metric | None:
        """What `plain_metric` leaves: plugins call `add` with anything, and what is wrong with one metric must not cost the
        others. None where nothing is left of it."""
        try:
            if not isinstance(measurement, str) or not measurement:
                raise TypeError(f"a measurement's name is a string, not {measurement!r:.80}")
            measurement = plain_text(measurement)
            metric = Metric(
                measurement,
                {
                    k if type(k) is str else plain_text(k): v if type(v) is str else plain_text(v)
                    for k, v in (tags.items() if tags else ())
                    if v is not None
                },
                self._fields(measurement, fields),
                timestamp_ns(time),
                kind if type(kind) is MetricType else MetricType(kind),
            )
        except Exception as error:
            self._drop(f"a metric of {measurement!r:.80} cannot be used: {error}", "unusable metric")
            return None
        return metric if metric.fields else None

    def add_metrics(self, metrics: Sequence[Metric]) -> None:
        if self._closed:
            self._refuse_late(len(metrics))
        if self._foreign or type(metrics) is not list:
            for metric in metrics:
                if self._foreign:
                    try:
                        metric = self._own(metric, "add_metrics was given")
                    except Exception as error:
                        self._drop(f"a metric cannot be used: {error}", "unusable metric")
                        continue
                if metric.fields:
                    self._extend([metric])
            return
        chosen = [metric for metric in metrics if metric.fields]
        for start in range(0, len(chosen), HIGH_WATER):
            self._extend(chosen[start : start + HIGH_WATER])

    def _extend(self, metrics: list[Metric]) -> None:
        self.added += len(metrics)
        self._pending.extend(metrics)
        if len(self._pending) >= HIGH_WATER and self._overflow is not None:
            self._overflow()

    def add_data(self, data: bytes, parser: Parser[Any], tags: Mapping[str, str] | None = None) -> None:
        if self._closed:
            self._refuse_late(0)
        if self._relay is None or self._foreign or tags or (lines := self._relay(data, parser)) is None:
            metrics = parser.parse(data)
            for metric in metrics if tags else ():
                metric.tags = {**metric.tags, **(tags or {})}
            self.add_metrics(metrics)
            return
        count = next(iter(lines.values())).count
        for start in range(0, count, PIECE) or (0,):  # also of none: what cannot be encoded is counted by the outputs
            if self._closed:
                self._refuse_late(count - start)
            whole = count <= PIECE
            piece = lines if whole else {o: one.part(start, min(start + PIECE, count)) for o, one in lines.items()}
            self.added += min(PIECE, count - start)
            self._lines.append(piece)
            if self._overflow is not None and not whole:
                self._overflow()

    async def deliver(self, metrics: Sequence[Metric]) -> None:
        if self._foreign:
            metrics = [self._own(metric, "deliver was given") for metric in islice(metrics, MOST_DELIVERED)]
        await self._service().deliver(metrics)

    async def ingest(
        self,
        data: bytes | Sequence[bytes],
        parser: Parser[Any] | None = None,
        *,
        precision: PrecisionName = "ns",
        tags: Mapping[str, str] | None = None,
        all_or_nothing: bool = False,
        adjust: Callable[[int, list[Metric]], list[Metric]] | None = None,
    ) -> Ingested:
        pieces: Sequence[bytes] = (data,) if isinstance(data, bytes) else data
        if self._foreign:
            pieces = [bytes(memoryview(piece)) for piece in islice(pieces, MOST_DELIVERED)]
            precision, all_or_nothing = _plain_precision(precision), bool(all_or_nothing)
            tags = {plain_text(key): plain_text(value) for key, value in (tags or {}).items()}
        return await self._service().ingest(pieces, parser, precision, tags, all_or_nothing, adjust)

    @staticmethod
    def _own(metric: Metric, what: str) -> Metric:
        """A copy in which nothing is the plugin's. Raises what its own code raises, and TypeError."""
        from pyagent.pipeline.isolation import usable_metric

        return usable_metric(metric, what)

    def _service(self) -> IngestPort:
        if self._closed:
            raise QueueFull("this input is being stopped; send it again later")
        if self._ingest_port is None:
            raise RuntimeError("this accumulator takes no deliveries; use add")
        return self._ingest_port

    def drain(self) -> list[Metric]:
        """What was added since the last time."""
        pending = self._pending
        return [pending.popleft() for _ in range(len(pending))]

    def drain_lines(self) -> list[Lines]:
        """The same for what was added as text."""
        waiting = self._lines
        return [waiting.popleft() for _ in range(len(waiting))]

    def discard(self, reason: str) -> None:
        """Drop what waits, counted under `reason`."""
        self._drop(reason, reason, len(self.drain()) + sum(map(lines_count, self.drain_lines())))

    def __len__(self) -> int:
        return len(self._pending) + sum(map(lines_count, tuple(self._lines)))

    def close(self) -> None:
        """Take nothing more: the gather that adds was abandoned."""
        self._closed = True

    @property
    def closed(self) -> bool:
        return self._closed

    def _fields(self, measurement: str, fields: Mapping[str, Any]) -> dict[str, FieldValue]:
        pins = self._pins.get(measurement)
        result: dict[str, FieldValue] = {}
        for name, given in fields.items():
            try:
                if type(name) is not str:
                    name = plain_text(name)
                value = field_value(given)
                if value is not None and pins is not None and (pin := pins.get(name)) is not None:
                    value = pin(value)
            except Exception as error:
                self._drop(f"the field {name!r:.80} of {measurement!r:.80} cannot be used: {error}", "unusable field")
                continue
            if value is not None:
                result[name] = value
        return result

    def _drop(self, problem: str, reason: str, count: int = 1) -> None:
        with self._lock:
            self.dropped[reason] += count
        if self._report is not None:
            self._report(problem)

    def _refuse_late(self, count: int) -> None:
        with self._lock:
            self.dropped["added after the gather was abandoned"] += count
        raise Abandoned("this gather timed out; its metrics are dropped")


def lines_count(lines: Lines) -> int:
    """Metrics that these are."""
    return next(iter(lines.values())).count


def _plain_precision(precision: str) -> PrecisionName:
    for name in get_args(PrecisionName):
        if plain_text(precision) == name:
            return cast("PrecisionName", name)
    raise ValueError(f"the precision {precision!r:.80} is none of ns, us, ms and s")


def _to_int(value: FieldValue) -> FieldValue:
    if isinstance(value, float):
        return field_value(int(value)) or 0
    return int(value)


def _to_uint(value: FieldValue) -> FieldValue:
    number = int(value)
    if number < 0:
        raise ValueError(f"{number} is negative, and the field is declared unsigned")
    return Uint(number)


_TYPES: dict[FieldType, type] = {"int": int, "uint": Uint, "float": float, "bool": bool, "str": str}
_PINS: dict[FieldType, Callable[[FieldValue], FieldValue]] = {
    "int": _to_int,
    "uint": _to_uint,
    "float": float,
    "bool": bool,
    "str": str,
}

"""What an output makes of metrics before they are queued (reference: telegraf 1.4)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pyagent.api import LineOptions, Metric, Partition, QueueFormat
from pyagent.config import OutputPlan
from pyagent.lineprotocol import DefaultTags, Encoded, encode
from pyagent.lineprotocol.text import from_bytes, to_bytes
from pyagent.pipeline.filters import compile_selection
from pyagent.pipeline.modifiers import NameModifiers
from pyagent.pipeline.outputs.record_format import record_format

__all__ = ["EncodedParts", "OutputEncoder"]


@dataclass(frozen=True, slots=True)
class EncodedParts:
    """Encoded metrics, for each partition on its own, and how many did not pass the filters."""

    parts: tuple[tuple[str | None, Encoded], ...]
    filtered: int

    @property
    def count(self) -> int:
        """Metrics that are encoded."""
        return sum(lines.count for _, lines in self.parts)

    def __add__(self, more: "EncodedParts") -> "EncodedParts":
        """Those of `more` behind these; a partition may come several times."""
        return EncodedParts(self.parts + more.parts, self.filtered + more.filtered)


class OutputEncoder:
    """Filters, then names, then the encoding. Outputs with equal encoders share the bytes."""

    def __init__(
        self,
        plan: OutputPlan,
        wanted: QueueFormat,
        partition: Partition | None = None,
        *,
        admits: Callable[[str], bool] = lambda value: True,
        log: logging.Logger,
    ) -> None:
        """`wanted`: the output's `queue_format`. `admits`: whether a value of the partition's tag may have a partition; the
        metrics of others have none, and keep the tag."""
        serializer = plan.serializer
        self.format = record_format(wanted, builtin=serializer is None or not serializer.is_external)
        self.partition = partition
        self._value = _no_value if partition is None else _value_of(partition)
        self._admits = admits
        self._name_modifiers = NameModifiers.of(plan)
        self._filters = plan.filters
        self._selection = compile_selection(plan.filters, log)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OutputEncoder):
            return NotImplemented
        if self.partition is not None:
            return self is other  # which values have a partition is each output's own
        mine, theirs = (
            (encoder.format, encoder._name_modifiers, encoder._filters if encoder._selection else None)
            for encoder in (self, other)
        )
        return other.partition is None and mine == theirs

    __hash__ = None  # type: ignore[assignment]  # filters hold dicts; mypy knows no other spelling

    @property
    def line_options(self) -> LineOptions | None:
        """Of line protocol; None: it is another format."""
        return self.format.lines

    @property
    def selects(self) -> bool:
        """Filters keep some metrics out."""
        return self._selection is not None

    @property
    def relayable(self) -> bool:
        """Nothing but the encoding: text may be relayed without making metrics of it."""
        plain = self._selection is None and not self._name_modifiers and self.partition is None
        return plain and self.format.lines is not None

    def __call__(self, metrics: Sequence[Metric], tags: DefaultTags = ()) -> EncodedParts:
        """`tags`: for metrics that have none of these keys; only where it is `relayable`."""
        if tags and self.format.lines is not None:
            return EncodedParts(((None, encode(metrics, self.format.lines, tags)),), filtered=0)
        chosen = metrics if self._selection is None else self._selection.apply(metrics)
        filtered = len(metrics) - len(chosen)
        if self._name_modifiers:
            chosen = [Metric(self._name_modifiers(m.name), m.tags, m.fields, m.time, m.kind) for m in chosen]
        if self.partition is None:
            return EncodedParts(((None, self.format.encode(chosen)),), filtered)
        left_out = (*self.partition.leaves_out, *((self.partition.tag,) if self.partition.exclude else ()))
        parts: dict[str | None, list[Metric]] = {}
        for metric in chosen:
            value = self._value(metric)
            if value is not None and not value.isascii():
                value = from_bytes(to_bytes(value))  # as it stands in the line: equal bytes have one partition
            if value is not None and value not in parts and not self._admits(value):
                value = None
            if value is not None and left_out:
                others = {key: tag for key, tag in metric.tags.items() if key not in left_out}
                metric = Metric(metric.name, others, metric.fields, metric.time, metric.kind)
            parts.setdefault(value, []).append(metric)
        encoded = tuple((value, self.format.encode(part)) for value, part in parts.items())
        return EncodedParts(encoded, filtered)


def _no_value(metric: Metric) -> str | None:
    return None


def _value_of(partition: Partition) -> Callable[[Metric], str | None]:
    """What gives a metric's partition; None for one that has none."""
    if partition.tag:
        return lambda metric: metric.tags.get(partition.tag)
    if partition.measurement:
        return lambda metric: metric.name or None
    pieces = partition.parts()

    def written(metric: Metric) -> str | None:
        text = ""
        for index, piece in enumerate(pieces):
            if index % 2 == 0:
                text += piece or ""
            else:
                text += metric.name if piece is None else metric.tags.get(piece, "")
        return text or None

    return written

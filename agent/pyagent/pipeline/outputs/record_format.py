"""What an output's queue holds, and how a batch of it becomes what the output wants."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyagent.api import LineOptions, Metric, QueueFormat, RawMetrics, Reject, Serialized, Serializer
from pyagent.lineprotocol import Content, Encoded, encode, pack, parse
from pyagent.pipeline.failures import reason_of

__all__ = ["RecordFormat", "record_format"]


@dataclass(frozen=True, slots=True)
class RecordFormat:
    """Equal ones give the same bytes of the same metrics."""

    key: Hashable
    encode: Callable[[Sequence[Metric]], Encoded] = field(compare=False)
    """What is queued."""
    content: Content | None = field(compare=False)
    """What is sent as it is queued; None: nothing is."""
    write: Callable[[Sequence[Metric]], bytes] = field(compare=False)
    """The body of metrics, where they are queued in another form. Raises Reject for what it cannot hold."""
    lines: LineOptions | None = field(default=None, compare=False)
    """Of line protocol, which may be relayed; None: it is another format."""

    def encode_again(self, texts: Sequence[bytes], now: int) -> Encoded:
        """What `Batch.texts` gave, each of one metric, to be queued once more. `now`: ns since the epoch, for those without a
        time."""
        data = b"".join(texts)
        if self.content is None:
            return pack(parse(data, now).metrics)
        return Encoded.of(data, map(len, texts), now, now, content=self.content)


def record_format(wanted: QueueFormat, *, builtin: bool = True) -> RecordFormat:
    """`builtin`: whether the serializer, where there is one, is the engine's own code, which may run on the main loop. With
    any other the queue holds metrics, and it runs where the output does."""
    if isinstance(wanted, RawMetrics):
        return _of_metrics(_no_body)
    if not isinstance(wanted, Serialized):
        return _of_lines(wanted)
    serializer = wanted.serializer
    if (options := serializer.line_options()) is not None:
        return _of_lines(options)
    if wanted.documents or serializer.whole_batch:
        return _of_metrics(lambda metrics: _document(serializer, metrics))
    if not builtin or serializer.slow:
        return _of_metrics(lambda metrics: _joined(serializer, metrics))
    # Options are frozen, and tell of all that a serializer does.
    return RecordFormat(
        key=serializer if serializer.stateful else _Alike(type(serializer), serializer.options),
        encode=lambda metrics: _records(serializer, metrics),
        content=Content.RECORDS,
        write=lambda metrics: _joined(serializer, metrics),
    )


def _of_lines(options: LineOptions) -> RecordFormat:
    return RecordFormat(
        key=options,
        encode=lambda metrics: encode(metrics, options),
        content=Content.LINES,
        write=lambda metrics: _lines(metrics, options),
        lines=options,
    )


def _of_metrics(write: Callable[[Sequence[Metric]], bytes]) -> RecordFormat:
    # The queues of all outputs that want metrics hold the same, whatever each makes of them.
    return RecordFormat(key=Content.METRICS, encode=pack, content=None, write=write)


class _Alike:
    """A serializer by its class and options, which may hold lists and have no hash."""

    def __init__(self, kind: type[Serializer[Any]], options: object) -> None:
        self._kind, self._options = kind, options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alike) and (self._kind, self._options) == (other._kind, other._options)

    def __hash__(self) -> int:
        return hash(self._kind)


def _records(serializer: Serializer[Any], metrics: Sequence[Metric]) -> Encoded:
    records: list[bytes] = []
    times: list[int] = []
    rejected: list[tuple[Metric, str]] = []
    for metric in metrics:
        try:
            record = serializer.serialize(metric)
        except Exception as error:
            rejected.append((metric, _reason(error)))
            continue
        if record:
            records.append(record)
            times.append(metric.time)
        else:
            rejected.append((metric, "no serializable fields"))
    oldest, newest = min(times, default=0), max(times, default=0)
    return Encoded.of(b"".join(records), map(len, records), oldest, newest, rejected=rejected, content=Content.RECORDS)


def _joined(serializer: Serializer[Any], metrics: Sequence[Metric]) -> bytes:
    encoded = _records(serializer, metrics)
    return _whole(encoded, metrics)


def _lines(metrics: Sequence[Metric], options: LineOptions) -> bytes:
    return _whole(encode(metrics, options), metrics)


def _whole(encoded: Encoded, metrics: Sequence[Metric]) -> bytes:
    """All of the metrics. Raises Reject with those that the format cannot hold."""
    if encoded.rejected:
        refused = {id(metric) for metric, _ in encoded.rejected}
        indices = tuple(index for index, metric in enumerate(metrics) if id(metric) in refused)
        raise Reject(f"cannot serialize a metric: {encoded.rejected[0][1]}", indices)
    return encoded.data


def _document(serializer: Serializer[Any], metrics: Sequence[Metric]) -> bytes:
    try:
        return serializer.serialize_batch(metrics)
    except Exception as error:
        # Of one metric it is sure; of several the engine finds out which.
        indices = (0,) if len(metrics) == 1 else None
        raise Reject(f"cannot serialize the batch: {_reason(error)}", indices) from None


def _no_body(metrics: Sequence[Metric]) -> bytes:
    raise RuntimeError("the output asks for metrics (RawMetrics), and has no serializer: there is no payload")


def _reason(error: Exception) -> str:
    text = reason_of(error)
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"

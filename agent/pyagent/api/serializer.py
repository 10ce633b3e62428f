"""Serializers: from metrics to data in some format.

An output that writes text lets its users choose the format. Its options inherit from `SerializerOptions`, and the engine
gives it a serializer of the `data_format` that the configuration names, with that serializer's options from the same
table. Metrics are serialized once, when they are queued; `batch.payload()` is the body to write:

    class PipeOptions(SerializerOptions, frozen=True):
        path: str = "/run/report"

    class Pipe(Output[PipeOptions]):
        def write(self, batch: Batch) -> None:
            Path(self.options.path).write_bytes(batch.payload())
"""

import logging
from collections.abc import Sequence
from typing import Annotated, ClassVar, Protocol

from pyagent.api.line_options import LineOptions
from pyagent.api.metric import Metric
from pyagent.api.options import Options, option
from pyagent.api.plugin import O_co, Plugin

__all__ = ["Serializer", "SerializerOptions"]


class SerializerOptions(Options, frozen=True):
    """Base of the options of an output that serializes. One that has another default format declares `data_format` anew."""

    serializes: ClassVar[bool] = True
    data_format: Annotated[str, option("format of what is written; it has options of its own")] = "influx"


class EncodedLines(Protocol):
    @property
    def data(self) -> bytes: ...

    @property
    def rejected(self) -> Sequence[tuple[Metric, str]]: ...


class LineEncoder(Protocol):
    def __call__(self, metrics: Sequence[Metric], options: LineOptions) -> EncodedLines: ...


class Serializer(Plugin[O_co]):
    """Writes metrics in one format. The module's name is what `data_format` says.

    `serialize` writes one metric as a record that may stand before and behind others: an output's queue holds such
    records, and a batch is some of them. A format without records, whose text is one document about all metrics, sets
    `whole_batch` and defines `serialize_batch`: the queue then holds the metrics, and each batch is serialized when it is
    written. The same happens where the output asks for documents (`use_batch_format`).
    """

    whole_batch: ClassVar[bool] = False
    stateful: bool = False
    """What is written depends on what was written before, such as a header: no two outputs share the records."""

    slow: bool = False
    """It takes long for each metric: it runs where the output runs, never on the agent's main loop."""

    def __init__(self, options: O_co, log: logging.Logger, *, encode_lines: LineEncoder | None = None) -> None:
        self._encode_lines = encode_lines
        super().__init__(options, log)

    def line_options(self) -> LineOptions | None:
        """How the engine is to encode line protocol, for a format that is just that; None: it is another."""
        return None

    def serialize(self, metric: Metric) -> bytes:
        """The record of one metric, its separator from the next included. Never changes the metric.

        Raises ValueError for a metric that the format cannot hold: it is dropped and counted.
        """
        raise NotImplementedError("the plugin defines no serialize(self, metric)")

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        """All metrics as one document; the records one behind the other where the format knows none.

        Raises ValueError for metrics that the format cannot hold: the engine finds out which.
        """
        return b"".join([self.serialize(metric) for metric in metrics])

    def encode_lines(self, metrics: Sequence[Metric], options: LineOptions) -> bytes:
        """Line protocol, by the engine's own encoder. Raises ValueError for metrics that it cannot hold."""
        if self._encode_lines is None:
            raise RuntimeError("this serializer was made without the engine")
        encoded = self._encode_lines(metrics, options)
        for metric, reason in encoded.rejected:
            raise ValueError(f"cannot encode a metric of {metric.name[:100]!r}: {reason}")
        return encoded.data

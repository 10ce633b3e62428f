"""Prints metrics on standard output, as line protocol.

They go on as they are.
"""

import os
import select
import sys

from pyagent.api import Metric, Processor, SerializerOptions
from pyagent.kit.once import Once

__all__ = ["Printer", "PrinterOptions"]

_PIECE = select.PIPE_BUF
"""Bytes that a pipe takes at once."""
_PATIENCE = 1000
"""Milliseconds."""


class PrinterOptions(SerializerOptions, frozen=True):
    pass


class Printer(Processor[PrinterOptions]):
    def setup(self) -> None:
        self._once = Once()
        self._patience = _PATIENCE

    def process(self, metrics: list[Metric]) -> list[Metric]:
        try:
            text = self.serializer.serialize_batch(metrics)
        except ValueError:
            text = b"".join(map(self._line, metrics))
        if text:
            self._print(text)
        return metrics

    def _line(self, metric: Metric) -> bytes:
        try:
            return self.serializer.serialize_batch([metric])
        except ValueError as error:
            self.log.debug("%s", error)
            return b""

    def _print(self, text: bytes) -> None:
        out = sys.__stdout__
        try:
            if out is None:
                raise OSError("it is closed")
            out.flush()
            descriptor = out.fileno()
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            for start in range(0, len(text), _PIECE):
                # All metrics wait for this one: not for long.
                if not ready.poll(self._patience):
                    self._patience = 0
                    raise OSError("nobody reads it")
                os.write(descriptor, text[start : start + _PIECE])
            self._patience = _PATIENCE
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if self._once(reason):
                self.log.error("cannot print metrics on standard output, lines are left out: %s", reason)

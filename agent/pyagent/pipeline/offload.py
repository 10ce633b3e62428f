"""What keeps the main loop free while a large text is worked on: a thread for the text, and slices for its metrics."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyagent.api import Metric
from pyagent.lineprotocol import implementation
from pyagent.pipeline.executors import ThreadExecutor, result_of

__all__ = ["SLICE", "Aside", "in_slices", "most_metrics", "most_text"]

T = TypeVar("T")

_SMALL = 256 << 10 if implementation == "native" else 16 << 10
"""Bytes of text that are read in a millisecond or a few, which is not worth a thread."""
SLICE = 1000
"""Metrics that are worked on before others get their turn."""
_MOST_TEXT, _MOST_METRICS = 128 << 20, 256 << 20
"""Bytes that may be made of a text: of text, and of metrics in memory."""


class Aside:
    """Runs what is large in a thread, one after the other, so that no two of them need their memory at one time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """`work` on so many bytes of text. Raises what it raises."""
        if size <= _SMALL:
            return work()
        async with self._turn:
            executor = ThreadExecutor("large text")
            try:
                return await result_of(executor, work)
            finally:
                executor.abandon()


async def in_slices(metrics: Sequence[Metric], work: Callable[[list[Metric]], list[Metric]]) -> list[Metric]:
    """What `work` makes of the metrics, which are independent of each other. Others get their turn in between."""
    if len(metrics) <= SLICE:
        return work(list(metrics))
    made: list[Metric] = []
    for start in range(0, len(metrics), SLICE):
        made += work(list(metrics[start : start + SLICE]))
        await asyncio.sleep(0)
    return made


def most_text(size: int) -> int:
    """Bytes of lines that so many bytes of text may become: default tags may make much of little."""
    return max(_MOST_TEXT, 2 * size)


def most_metrics(size: int) -> int:
    """Bytes of memory that the metrics of so many bytes of text may take, about."""
    return max(_MOST_METRICS, 2 * size)

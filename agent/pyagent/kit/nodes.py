"""Several servers that each can take a batch: one is asked after the other, until one answers.

    class Cluster(Output[ClusterOptions]):
        def setup(self) -> None:
            self._pool = NodePool(self.options.urls, log=self.log)

        async def write(self, batch: Batch) -> None:
            await self._pool.ask(lambda url: self._post(url, batch.payload()))

`_post` raises Retry where the server does not take the batch now; then the next one is asked, and this one is left for last for
a while that grows with its failures. Batches take turns. Pauses between attempts of a batch are the engine's.
"""

import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

from pyagent.api import Retry
from pyagent.api.units import joined

__all__ = ["NodePool"]

N = TypeVar("N")
A = TypeVar("A")

_LONGEST_SHUN = 60.0
_MOST_SUBJECTS = 10_000


@dataclass(slots=True)
class _Circuit:
    """How one node is with one subject. What a subject suffers from is not held against the node's others."""

    failures: int = 0
    """Failures in a row."""
    not_before: float = 0.0
    """The server asked to be left alone until then, by the clock."""
    shunned_until: float = 0.0
    """Until then the other nodes are asked first."""


class NodePool(Generic[N]):
    """`nodes`: at least one; whatever the output wants to know of each."""

    def __init__(
        self,
        nodes: Sequence[N],
        *,
        log: logging.Logger,
        name: Callable[[N], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name`: of a node, for messages. `clock`: seconds that never go back."""
        self.nodes = tuple(nodes)
        self.turn = random.randrange(len(self.nodes))  # noqa: S311  # spreads load
        """Index of the node that was asked first the last time."""
        self._log = log
        self._name = name
        self._clock = clock
        self._circuits: list[dict[str, _Circuit]] = [{} for _ in self.nodes]
        """For each node, by subject: those that it did not serve the last time."""

    async def ask(
        self,
        ask: Callable[[N], Awaitable[A]],
        subject: str = "",
        explain: Callable[[N, str], str] = lambda node, text: f"cannot write to {node}: {text}",
    ) -> A:
        """What the first node that does not raise Retry gives. Raises Retry where all do, with what each said, and the shortest
        pause that one asked for.

        `subject`: what it is about, a bucket or an index; a node that refuses one is asked for others as before. `explain`:
        the message about a node that is not asked, for its text.
        """
        self.turn = (self.turn + 1) % len(self.nodes)
        now = self._clock()
        circuits = [self._circuit(index, subject) for index in range(len(self.nodes))]
        turns = [(self.turn + step) % len(self.nodes) for step in range(len(self.nodes))]
        failures: list[Retry] = []
        for index in sorted(turns, key=lambda index: circuits[index].shunned_until > now):
            node, circuit = self.nodes[index], circuits[index]
            if circuit.not_before > now:
                failures.append(Retry(explain(node, f"it asked to wait {circuit.not_before - now:.0f} s more")))
                continue
            try:
                answer = await ask(node)
            except Retry as failure:
                failures.append(failure)
                self._shun(circuit, failure)
            else:
                if circuit.failures and len(self.nodes) > 1:
                    self._log.info("%s takes metrics again", self._name(node))
                circuit.failures, circuit.shunned_until = 0, 0.0
                self._circuits[index].pop(subject, None)
                return answer
        wait = min(circuit.not_before for circuit in circuits) - self._clock()
        slow = all(failure.needs_operator for failure in failures)
        raise Retry(reduce(joined, map(str, failures)), wait if wait > 0 else None, needs_operator=slow)

    def _circuit(self, index: int, subject: str) -> _Circuit:
        circuits = self._circuits[index]
        if subject not in circuits and len(circuits) >= _MOST_SUBJECTS:
            del circuits[next(iter(circuits))]  # subjects may be named by a tag: there may be any number in time
        return circuits.setdefault(subject, _Circuit())

    def _shun(self, circuit: _Circuit, failure: Retry) -> None:
        first, now = not circuit.failures, self._clock()
        if circuit.shunned_until <= now:  # writes at once that meet the same failure are one
            circuit.failures += 1
            circuit.shunned_until = now + min(2.0**circuit.failures, _LONGEST_SHUN)
        if failure.after is not None:
            circuit.not_before = now + failure.after
        if first and len(self.nodes) > 1:
            # The engine hears of it only if no other node takes the batch.
            self._log.warning("%s; another of the urls is tried", failure)

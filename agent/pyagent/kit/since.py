"""What changed since the last gather, for each key: differences and rates of counters, which may start anew.

with self._since.gather():
for row in read_rows(host_path("proc", "net", "dev")):
if change := self._since.change(row.words[0], {"received": row.unsigned(1)}):
acc.add("net_rate", change.rates, {"interface": row.words[0]})
"""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Change", "Since"]

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Change:
    """Of one key, between two gathers."""

    before: Mapping[str, float]
    now: Mapping[str, float]
    seconds: float
    """Between the two; greater than 0."""

    @property
    def differences(self) -> dict[str, float]:
        """By how much each value grew, for those that were there before. A counter that went back began anew at 0."""
        return {
            name: value - self.before[name] if value >= self.before[name] else value
            for name, value in self.now.items()
            if name in self.before
        }

    @property
    def rates(self) -> dict[str, float]:
        """The same, per second."""
        return {name: value / self.seconds for name, value in self.differences.items()}

    @property
    def restarted(self) -> bool:
        """Some value is smaller than it was."""
        return any(value < self.before.get(name, value) for name, value in self.now.items())


class Since(Generic[K]):
    """Remembers the values of the last gather. A key that a gather does not name is forgotten: if it comes back it is new.

    `clock`: seconds, never set back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._now = clock()
        self._last: dict[K, tuple[float, Mapping[str, float]]] = {}
        self._seen: dict[K, tuple[float, Mapping[str, float]]] = {}

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Around all calls of one gather, which all have the same time. Where it fails, what it saw counts all the same."""
        self._now, self._seen = self._clock(), {}
        try:
            yield
        finally:
            self._last = self._seen

    def change(self, key: K, values: Mapping[str, float]) -> Change | None:
        """What changed of this key; None where it was not there, or no time has passed."""
        self._seen[key] = (self._now, values)
        then, before = self._last.get(key, (self._now, values))
        return Change(before, values, self._now - then) if self._now > then else None

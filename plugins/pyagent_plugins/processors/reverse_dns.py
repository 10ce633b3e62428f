"""Adds the names of IP addresses in tags and fields, as /etc/hosts and the DNS have them."""

import asyncio
import time
from typing import Annotated

from pyagent.api import Duration, Metric, Options, Processor, PyagentError, option
from pyagent.kit.problems import Problems
from pyagent.kit.reverse_dns import Resolver

__all__ = ["Lookup", "ReverseDns", "ReverseDnsOptions"]

_LONGEST_WAIT = 4.0
"""Seconds that metrics are held up; the engine gives up a call after 5."""
_NAMELESS = 60_000_000_000
"""Nanoseconds for which it counts that an address has no name."""
_MOST_KNOWN = 100_000
_MOST_WAITING = 10_000
"""Look-ups that wait for their turn."""


class Lookup(Options, frozen=True):
    tag: Annotated[str, option("key of the tag with the address")] = ""
    field: Annotated[str, option("key of the field with the address, a text")] = ""
    dest: Annotated[str, option("key of the tag or field that the name goes to")] = ""


class ReverseDnsOptions(Options, frozen=True):
    lookup: Annotated[list[Lookup], option("what is looked up; one table each")] = []
    cache_ttl: Annotated[Duration, option("how long an answer counts", ge="0s")] = Duration("24h")
    lookup_timeout: Annotated[Duration, option("give up a look-up after; metrics wait for 4 s at most", ge="0s")] = (
        Duration("1m")
    )
    max_parallel_lookups: Annotated[int, option("look-ups at once; 0 or less: 10")] = 10
    ordered: Annotated[bool, option("metrics stay in their order, whatever this says")] = False


class ReverseDns(Processor[ReverseDnsOptions]):
    max_in_flight = 8

    def setup(self) -> None:
        self._problems = Problems(self.log)
        self._resolver = Resolver()
        most = self.options.max_parallel_lookups
        self._turns = asyncio.Semaphore(most if most > 0 else 10)
        self._known: dict[str, tuple[list[str], int]] = {}
        """Address: its names, and until when they count, ns of the monotonic clock; in the order in which they came."""
        self._asking: dict[str, asyncio.Task[list[str]]] = {}

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        wanted = {address for metric in metrics for address, *_ in self._addresses(metric)}
        found: dict[str, list[str]] = {}
        asking = {}
        for address in wanted:
            names = self._cached(address)
            if names is not None:
                found[address] = names
            elif task := self._asked(address):
                asking[address] = task
        if asking:
            longest = min(_LONGEST_WAIT, self.options.lookup_timeout.seconds)
            await asyncio.wait(asking.values(), timeout=longest)
        for address, task in asking.items():
            if not task.done():
                self._problems.add(
                    "late", f"cannot look up {address!r}: no answer in time; metrics go on without its name"
                )
            elif not task.cancelled() and task.exception() is None:
                found[address] = task.result()
        for metric in metrics:
            for address, is_field, dest in self._addresses(metric):
                if names := found.get(address):
                    if is_field:
                        metric.fields = {**metric.fields, dest: names[0]}
                    else:
                        metric.tags = {**metric.tags, dest: names[0]}
        return metrics

    async def stop(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _addresses(self, metric: Metric) -> list[tuple[str, bool, str]]:
        """Each address, whether it stands in a field, and where its name goes."""
        result = []
        for lookup in self.options.lookup:
            if lookup.field and isinstance(value := metric.fields.get(lookup.field), str) and value:
                result.append((value, True, lookup.dest))
            if lookup.tag and (text := metric.tags.get(lookup.tag)):
                result.append((text, False, lookup.dest))
        return result

    def _cached(self, address: str) -> list[str] | None:
        names, until = self._known.get(address, (None, 0))
        if names is not None and time.monotonic_ns() >= until:
            del self._known[address]
            return None
        return names

    def _asked(self, address: str) -> "asyncio.Task[list[str]] | None":
        """The look-up of an address, of which there is one at a time; None where too many wait."""
        task = self._asking.get(address)
        if task is None:
            if len(self._asking) >= _MOST_WAITING:
                self._problems.add("many", f"cannot look up {address!r}: {_MOST_WAITING:,} others wait")
                return None
            task = self._asking[address] = asyncio.create_task(self._look_up(address))
            task.add_done_callback(lambda _: self._asking.pop(address, None))
        return task

    async def _look_up(self, address: str) -> list[str]:
        timeout = self.options.lookup_timeout.seconds
        try:
            async with asyncio.timeout(timeout), self._turns:
                names = await self._resolver.names(address, timeout)
        except (PyagentError, TimeoutError) as error:
            self._problems.add("lookup", str(error) or f"cannot look up {address!r}: no answer in time")
            return []
        ttl = int(self.options.cache_ttl)
        if not names:
            self._problems.add("nameless", f"cannot look up {address!r}: it has no name")
            ttl = min(ttl, _NAMELESS)
        self._remember(address, names, ttl)
        return names

    def _remember(self, address: str, names: list[str], ttl: int) -> None:
        now = time.monotonic_ns()
        if ttl <= 0:
            return
        while self._known:
            oldest = next(iter(self._known))
            if len(self._known) < _MOST_KNOWN and self._known[oldest][1] > now:
                break
            del self._known[oldest]
        self._known[address] = (names, now + ttl)

"""Adds the names of IP addresses in tags and fields, as /etc/hosts and the DNS have them."""

import asyncio
from typing import Annotated

from pyagent.api import Duration, Metric, Options, Processor, option
from pyagent.kit.lookups import LONGEST_WAIT, LookUps
from pyagent.kit.problems import Problems
from pyagent.kit.reverse_dns import Resolver

__all__ = ["Lookup", "ReverseDns", "ReverseDnsOptions"]

_NAMELESS = 60_000_000_000
"""Nanoseconds for which it counts that an address has no name."""
_MOST_KNOWN = 100_000


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
        self._names: LookUps[list[str]] = LookUps(
            self._look_up, self._problems, most=_MOST_KNOWN, parallel=most if most > 0 else 10, without="its name"
        )

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        wanted = {address for metric in metrics for address, *_ in self._addresses(metric)}
        found = await self._names.of(wanted, min(LONGEST_WAIT, self.options.lookup_timeout.seconds))
        for metric in metrics:
            for address, is_field, dest in self._addresses(metric):
                if names := found.get(address):
                    if is_field:
                        metric.fields = {**metric.fields, dest: names[0]}
                    else:
                        metric.tags = {**metric.tags, dest: names[0]}
        return metrics

    async def stop(self) -> None:
        await self._names.stop()

    def _addresses(self, metric: Metric) -> list[tuple[str, bool, str]]:
        """Each address, whether it stands in a field, and where its name goes."""
        result = []
        for lookup in self.options.lookup:
            if lookup.field and isinstance(value := metric.fields.get(lookup.field), str) and value:
                result.append((value, True, lookup.dest))
            if lookup.tag and (text := metric.tags.get(lookup.tag)):
                result.append((text, False, lookup.dest))
        return result

    async def _look_up(self, address: str) -> tuple[list[str], int]:
        timeout = self.options.lookup_timeout.seconds
        async with asyncio.timeout(timeout):
            names = await self._resolver.names(address, timeout)
        ttl = int(self.options.cache_ttl)
        if not names:
            self._problems.add("nameless", f"cannot look up {address!r}: it has no name")
            ttl = min(ttl, _NAMELESS)
        return names, ttl

"""Adds the names of network interfaces by their numbers, as the device that a tag names has them, asked by SNMP."""

from typing import Annotated

from pyagent.api import Duration, Metric, Processor, PyagentError, option
from pyagent.kit.lookups import LookUps
from pyagent.kit.numbers import parse_integer
from pyagent.kit.problems import Problems
from pyagent.kit.snmp import SnmpClient, SnmpOptions, conversion

__all__ = ["IfName", "IfNameOptions"]

_IF_NAME, _IF_DESCR = "1.3.6.1.2.1.31.1.1.1.1", "1.3.6.1.2.1.2.2.1.2"
_OLD = 300_000_000_000
"""Nanoseconds after which a table without a wanted interface is asked for anew."""
_NO_LIMIT = 100_000


class IfNameOptions(SnmpOptions, frozen=True):
    tag: Annotated[str, option("tag with the number of the interface")] = "ifIndex"
    dest: Annotated[str, option("tag for its name")] = "ifName"
    agent: Annotated[str, option("tag with the address of the device")] = "agent"
    max_parallel_lookups: Annotated[int, option("devices asked at once", ge=1)] = 100
    max_cache_entries: Annotated[int, option("devices whose names are kept (0: 100,000)", ge=0)] = 100
    ordered: Annotated[bool, option("metrics stay in their order, whatever this says")] = False
    cache_ttl: Annotated[Duration, option("how long names count", ge="0s")] = Duration("8h")


class IfName(Processor[IfNameOptions]):
    max_in_flight = 8

    def setup(self) -> None:
        options = self.options
        self._client = SnmpClient(options)
        self._problems = Problems(self.log)
        self._text = conversion("")
        self._names: LookUps[dict[int, str]] = LookUps(
            self._look_up,
            self._problems,
            most=options.max_cache_entries or _NO_LIMIT,
            parallel=options.max_parallel_lookups,
            without="names of interfaces",
        )

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        wanted = [(metric, *found) for metric in metrics if (found := self._interface(metric)) is not None]
        tables = await self._names.of({agent for _, agent, _ in wanted})
        old = {
            agent
            for _, agent, number in wanted
            if number not in tables.get(agent, {number: ""}) and self._names.forget(agent, _OLD)
        }
        if old:
            tables |= await self._names.of(old)
        for metric, agent, number in wanted:
            if (table := tables.get(agent)) is None:
                continue
            if (name := table.get(number)) is None:
                self._problems.add("number", f"cannot name the interface {number}: {agent} has none of this number")
            elif name:
                metric.tags = {**metric.tags, self.options.dest: name}
        return metrics

    async def stop(self) -> None:
        await self._names.stop()

    def _interface(self, metric: Metric) -> tuple[str, int] | None:
        options = self.options
        for tag in (options.agent, options.tag):
            if not metric.tags.get(tag):
                self._problems.add(tag, f"cannot name an interface: a metric {metric.name!r} has no tag {tag!r}")
                return None
        text = metric.tags[options.tag]
        number = parse_integer(text)
        if number is None or number < 0:
            self._problems.add("text", f"cannot name an interface: its number is {text!r}")
            return None
        return metric.tags[options.agent], number

    async def _look_up(self, agent: str) -> tuple[dict[int, str], int]:
        failed: PyagentError | None = None
        for oid in (_IF_NAME, _IF_DESCR):
            try:
                table = {
                    int(index): str(self._text(value))
                    async for index, value in self._client.walk(agent, oid)
                    if index.isdigit()
                }
            except PyagentError as error:
                failed = failed or error
                continue
            if table:
                return table, int(self.options.cache_ttl)
        raise failed or PyagentError(f"cannot ask {agent}: it has no table of interfaces")

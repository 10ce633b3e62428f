"""Adds tags from the tables of devices, asked by SNMP.

One tag of a metric names the device, another one the index of the row.
"""

from typing import Annotated

from pyagent.api import ConfigError, Duration, Metric, Options, Processor, option
from pyagent.kit.field_texts import value_text
from pyagent.kit.lookups import LookUps
from pyagent.kit.problems import Problems
from pyagent.kit.snmp import SnmpClient, SnmpOptions, conversion, numeric_oid

__all__ = ["LookedUpTag", "SnmpLookup", "SnmpLookupOptions"]

_NO_LIMIT = 100_000


class LookedUpTag(Options, frozen=True):
    oid: Annotated[str, option("the column, in numbers or as MODULE::NAME")] = ""
    name: Annotated[str, option("the tag; empty: the column's name")] = ""
    oid_index_suffix: Annotated[str, option("end of indexes that count, which is taken off")] = ""
    oid_index_length: Annotated[int, option("numbers of an index that count (0: all)", ge=0)] = 0
    conversion: Annotated[str, option("int, float, float(N), hwaddr, hex, hextoint:ORDER:TYPE or ipaddr")] = ""
    is_tag: Annotated[bool, option("it is one, whatever this says", no_effect=True)] = True
    translate: Annotated[bool, option("values that are OIDs are not translated", no_effect=True)] = False
    secondary_index_table: Annotated[bool, option("tables are not joined", no_effect=True)] = False
    secondary_index_use: Annotated[bool, option("tables are not joined", no_effect=True)] = False
    secondary_outer_join: Annotated[bool, option("tables are not joined", no_effect=True)] = False


class SnmpLookupOptions(SnmpOptions, frozen=True):
    agent_tag: Annotated[str, option("tag with the address of the device")] = "source"
    index_tag: Annotated[str, option("tag with the index of the row")] = "index"
    tag: Annotated[list[LookedUpTag], option("tags to add; one table each")] = []
    max_parallel_lookups: Annotated[int, option("devices asked at once", ge=1)] = 16
    max_cache_entries: Annotated[int, option("devices whose rows are kept (0: 100,000)", ge=0)] = 100
    ordered: Annotated[bool, option("metrics stay in their order, whatever this says")] = False
    cache_ttl: Annotated[Duration, option("how long rows count", ge="0s")] = Duration("8h")
    min_time_between_updates: Annotated[
        Duration, option("a device is asked anew for a row that it did not have after (0s: never)", ge="0s")
    ] = Duration("5m")


class SnmpLookup(Processor[SnmpLookupOptions]):
    max_in_flight = 8

    def setup(self) -> None:
        options = self.options
        self._client = SnmpClient(options)
        self._problems = Problems(self.log)
        self._columns = []
        for tag in options.tag:
            if not tag.oid:
                raise ConfigError("a table 'tag' has no 'oid'", option="tag")
            try:
                oid, name = numeric_oid(tag.oid, options.path)
                self._columns.append((oid, tag.name or name, tag, conversion(tag.conversion)))
            except ConfigError as error:
                raise ConfigError(f"tag {tag.oid!r}: {error}", option="tag") from None
        self._rows: LookUps[dict[str, dict[str, str]]] = LookUps(
            self._look_up,
            self._problems,
            most=options.max_cache_entries or _NO_LIMIT,
            parallel=options.max_parallel_lookups,
            without="its tags",
        )

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        options = self.options
        wanted = [(metric, *row) for metric in metrics if (row := self._row(metric)) is not None]
        tables = await self._rows.of({agent for _, agent, _ in wanted})
        pause = int(options.min_time_between_updates)
        old = {
            agent
            for _, agent, index in wanted
            if pause and agent in tables and index not in tables[agent] and self._rows.forget(agent, pause)
        }
        if old:
            tables |= await self._rows.of(old)
        for metric, agent, index in wanted:
            if (table := tables.get(agent)) is None:
                continue
            if (tags := table.get(index)) is None:
                self._problems.add("index", f"cannot add tags: {agent} has no row {index!r}")
            else:
                metric.tags = {**metric.tags, **tags}
        return metrics

    async def stop(self) -> None:
        await self._rows.stop()

    def _row(self, metric: Metric) -> tuple[str, str] | None:
        options = self.options
        for tag in (options.agent_tag, options.index_tag):
            if not metric.tags.get(tag):
                self._problems.add(tag, f"cannot add tags: a metric {metric.name!r} has no tag {tag!r}")
                return None
        return metric.tags[options.agent_tag], metric.tags[options.index_tag]

    async def _look_up(self, agent: str) -> tuple[dict[str, dict[str, str]], int]:
        rows: dict[str, dict[str, str]] = {}
        for oid, name, tag, convert in self._columns:
            suffix = tag.oid_index_suffix
            async for index, value in self._client.walk(agent, oid):
                if suffix:
                    if not f".{index}".endswith(suffix):
                        continue
                    index = f".{index}".removesuffix(suffix)[1:]
                if tag.oid_index_length:
                    index = ".".join(index.split(".")[: tag.oid_index_length])
                row = rows.setdefault(index, {})
                try:
                    text = value_text(convert(value))
                except (ValueError, OSError) as error:
                    self._problems.add(name, f"cannot convert {name!r} of {agent}: {error}")
                    continue
                if text:
                    row[name] = text
        return rows, int(self.options.cache_ttl)

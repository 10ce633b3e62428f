"""The kits as plugins use them, and what mypy says where they are used wrongly."""

from datetime import UTC
from typing import reveal_type

from pyagent.api import Accumulator, Batch, Input, Options, Output
from pyagent.kit.command import Commands
from pyagent.kit.each import for_each
from pyagent.kit.filter import name_filter
from pyagent.kit.globpath import match_files
from pyagent.kit.http import HttpOptions, UrlClient
from pyagent.kit.nodes import NodePool
from pyagent.kit.procfs import host_path, read_int, read_rows
from pyagent.kit.since import Since
from pyagent.kit.timestamps import load_zone, parse_timestamp


class Pages(Input[HttpOptions]):
    def setup(self) -> None:
        self.client = UrlClient(self.options, ["http://localhost"], headers={"a": "b"})
        self.client = UrlClient(self.options, 3)  # E: [arg-type]

    async def gather(self, acc: Accumulator) -> None:
        await for_each(["a", "b"], lambda url: self.ask(url, acc))
        await for_each([1], lambda url: self.ask(url, acc))  # E: [arg-type]
        for_each(["a"], lambda url: self.ask(url, acc))  # E: [unused-coroutine]

    async def ask(self, url: str, acc: Accumulator) -> None:
        answer = await self.client.request(url, expected=(200, 204))
        reveal_type(answer.status)  # N: int
        reveal_type(answer.text)  # N: str
        await self.client.request(url, expected=200)  # E: [arg-type]


class OtherOptions(Options, frozen=True):
    pass


class WithoutHttp(Input[OtherOptions]):
    def setup(self) -> None:
        self.client = UrlClient(self.options)  # E: [arg-type]


class Host(Input):
    def setup(self) -> None:
        self.wanted = name_filter(["eth*"], separators=".")
        self.since = Since[str]()
        self.commands = Commands(timeout=5.0)
        Commands()  # E: [call-arg]
        name_filter([1])  # E: [list-item]

    def gather(self, acc: Accumulator) -> None:
        with self.since.gather():
            for row in read_rows(host_path("proc", "net", "dev")):
                if not self.wanted(row.words[0]):
                    continue
                reveal_type(row.integer(1))  # N: int
                reveal_type(row.unsigned(1))  # N: pyagent.api.metric.Uint
                if change := self.since.change(row.words[0], {"received": row.unsigned(1)}):
                    reveal_type(change.rates)  # N: dict[str, float]
                    acc.add("net", change.rates)
                _ = self.since.change("eth0", {"received": 1}).rates  # E: [union-attr]
                self.since.change(3, {"received": 1})  # E: [arg-type]
        reveal_type(read_int("/proc/x"))  # N: int
        reveal_type(match_files("/var/*"))  # N: list[str]
        reveal_type(self.commands.run(["true"]).text)  # N: str
        self.commands.run(["true"], given="text")  # E: [arg-type]


class Cluster(Output):
    def setup(self) -> None:
        self.pool = NodePool(["a", "b"], log=self.log)
        reveal_type(self.pool)  # N: pyagent.kit.nodes.NodePool[str]
        NodePool(["a"])  # E: [call-arg]

    async def write(self, batch: Batch) -> None:
        reveal_type(await self.pool.ask(self.post))  # N: int
        await self.pool.ask(lambda node: len(node))  # E: [arg-type, return-value]

    async def post(self, node: str) -> int:
        return len(node)


reveal_type(parse_timestamp("unix", 3.5, UTC))  # N: int
reveal_type(parse_timestamp("2006-01-02", "2024-05-06", load_zone("Europe/Berlin")))  # N: int
parse_timestamp("unix", None)  # E: [arg-type]
parse_timestamp("2006-01-02", "2024-05-06", "Europe/Berlin")  # E: [arg-type]

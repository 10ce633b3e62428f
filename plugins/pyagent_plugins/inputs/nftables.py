"""Counters and sets of nftables.

Runs `nft --json list table TABLE`. Names and types are those of Telegraf 1.40.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
    Input,
    Measurement,
    Options,
    PyagentError,
    counters,
    fields,
    option,
)
from pyagent.kit.command import CommandFailed, Commands, find_program
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import INT64_MAX, INT64_MIN

__all__ = ["Nftables", "NftablesOptions"]

_KINDS = ("anonymous-counters", "counters", "sets")


class NftablesOptions(Options, frozen=True):
    use_sudo: Annotated[bool, option("run it by sudo")] = False
    binary: Annotated[str, option("the program", executes=True)] = "nft"
    tables: Annotated[list[str], option('the tables, also with a family: "inet filter" ([]: filter)')] = []
    include: Annotated[
        list[str], option("anonymous-counters (of rules with a comment), counters (with a name), sets ([]: the first)")
    ] = []


_TIMEOUT = 30.0
_REFUSED = "nft needs root: set `use_sudo` and allow it in /etc/sudoers.d, or give the agent CAP_NET_ADMIN"
_GONE = b"Error: No such file or directory"


class Nftables(Input[NftablesOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "nftables",
            "A counter or a set.",
            tags={
                "table": "the table",
                "chain": "the chain of a rule",
                "rule": "the comment of a rule",
                "counter": "the name of a counter",
                "set": "the name of a set",
            },
            fields=counters("int", "1", pkts="packets counted")
            | counters("int", "bytes", bytes="bytes of these")
            | fields("int", "1", count="elements of a set"),
            charts=(Chart("Packets counted", ("pkts",)), Chart("Bytes counted", ("bytes",))),
        ),
    )

    def setup(self) -> None:
        self._include = self.options.include or ["anonymous-counters"]
        for place, kind in enumerate(self._include):
            if kind not in _KINDS:
                raise ConfigError(f"include has {kind!r}; there are {', '.join(_KINDS)}", option="include")
            if kind in self._include[:place]:
                raise ConfigError(f"include has {kind!r} twice; remove one", option="include")
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="", use_sudo=self.options.use_sudo, refused=_REFUSED)

    def gather(self, acc: Accumulator) -> None:
        program = find_program(self.options.binary or "nft", "binary", package="nftables", in_path=True)
        failures: list[Exception] = []
        for table in self.options.tables or ["filter"]:
            try:
                self._table(acc, program, table)
            except PyagentError as error:
                failures.append(error)
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()

    def _table(self, acc: Accumulator, program: str, table: str) -> None:
        try:
            output = self._commands.run([program, "--json", "list", "table", table]).stdout
        except CommandFailed as failed:
            if failed.output.stderr.partition(b"\n")[0].strip() == _GONE:
                raise PyagentError(f"there is no table {table!r}; see `tables`") from None
            raise
        try:
            found = list(_found(json.loads(output.decode("utf-8", "replace")), self._include))
        except (ValueError, RecursionError) as error:
            cause = error if str(error) else "it is nested too deeply"
            raise PyagentError(f"cannot read the JSON of nft for the table {table!r}: {cause}") from None
        for values, tags in found:
            acc.add("nftables", values, tags)


def _found(document: Any, include: Iterable[str]) -> Iterator[tuple[dict[str, int], dict[str, str]]]:
    """Fields and tags, in the order of `include`. Raises ValueError for what nft does not print."""
    things = _typed(_typed(document, dict).get("nftables"), list)
    of: dict[str, list[dict[str, Any]]] = {"metainfo": [], "rule": [], "counter": [], "set": []}
    for thing in things:
        members = _typed(thing, dict)
        if kind := next((name for name in of if name in members), None):
            of[kind].append(_typed(members[kind], dict))
    rules = list(_counted(of["rule"]))
    named = [(_counts(one), {"table": _text(one, "table"), "counter": _text(one, "name")}) for one in of["counter"]]
    sets = [
        ({"count": len(_typed(one.get("elem"), list))}, {"table": _text(one, "table"), "set": _text(one, "name")})
        for one in of["set"]
    ]
    for kind in include:
        yield from {"anonymous-counters": rules, "counters": named, "sets": sets}[kind]


def _counted(rules: list[dict[str, Any]]) -> Iterator[tuple[dict[str, int], dict[str, str]]]:
    for rule in rules:
        tags = {"table": _text(rule, "table"), "chain": _text(rule, "chain"), "rule": _text(rule, "comment")}
        for expression in _typed(rule.get("expr"), list):
            counter = _typed(expression, dict).get("counter")
            # A text is the name of a counter, which holds the numbers itself.
            if counter is not None and not isinstance(counter, str):
                counts = _counts(_typed(counter, dict))
                if tags["rule"]:
                    yield counts, tags


def _counts(counter: dict[str, Any]) -> dict[str, int]:
    return {"bytes": _number(counter, "bytes"), "pkts": _number(counter, "packets")}


def _typed(value: Any, kind: type) -> Any:
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ValueError(f"{str(value)[:80]!r} is no {'object' if kind is dict else 'list'}")
    return value


def _number(members: dict[str, Any], name: str) -> int:
    value = members.get(name, 0)
    value = 0 if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not INT64_MIN <= value <= INT64_MAX:
        raise ValueError(f"{name} is no whole number of 64 bits: {str(value)[:40]!r}")
    return value


def _text(members: dict[str, Any], name: str) -> str:
    value = members.get(name, "")
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is no text: {str(value)[:40]!r}")
    return value or ""

"""Packets and bytes that rules of iptables counted.

Of the rules with a comment. Runs `iptables -nvL CHAIN -t TABLE -x`. Names and types are those of Telegraf 1.40.
"""

import re
from typing import Annotated

from pyagent.api import About, Accumulator, Chart, Input, Measurement, Options, PyagentError, Uint, counters, option
from pyagent.kit.command import Commands, find_program
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.once import Once

__all__ = ["Iptables", "IptablesOptions"]


class IptablesOptions(Options, frozen=True):
    use_sudo: Annotated[bool, option("run it by sudo")] = False
    use_lock: Annotated[bool, option("wait up to 5 s for the lock of the tables (-w 5)")] = False
    binary: Annotated[str, option("the program, such as ip6tables", executes=True)] = "iptables"
    table: Annotated[str, option("the table; without one nothing is measured")] = ""
    chains: Annotated[list[str], option("its chains; without one nothing is measured")] = []


_TIMEOUT = 30.0
_REFUSED = "iptables needs root: set `use_sudo` and allow it in /etc/sudoers.d, or give the agent CAP_NET_ADMIN and CAP_NET_RAW"
_SPACE = "\t\n\f\r "
_CHAIN = re.compile(r"Chain\s+(\S+)", re.ASCII)
_HEADER = re.compile(r"\s*pkts\s+bytes\s+target", re.ASCII)
_RULE = re.compile(r"\s*(\d+)\s+(\d+)\s+(\w+)", re.ASCII)


class Iptables(Input[IptablesOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "iptables",
            "A rule that has a comment; the others are left out.",
            tags={"table": "the table", "chain": "the chain", "target": "of the rule", "ruleid": "its comment"},
            fields=counters("uint", "1", pkts="packets that it matched")
            | counters("uint", "bytes", bytes="bytes of these"),
            charts=(Chart("Packets matched", ("pkts",)), Chart("Bytes matched", ("bytes",))),
        ),
    )

    def setup(self) -> None:
        self._once = Once()
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="", use_sudo=self.options.use_sudo, refused=_REFUSED)

    def gather(self, acc: Accumulator) -> None:
        if not self.options.table or not self.options.chains:
            return
        program = find_program(self.options.binary or "iptables", "binary", package="iptables", in_path=True)
        lock = ["-w", "5"] if self.options.use_lock else []
        failures: list[Exception] = []
        for chain in self.options.chains:
            command = [program, *lock, "-nvL", chain, "-t", self.options.table, "-x"]
            try:
                self._add(acc, chain, self._commands.run(command).text.split("\n"))
            except PyagentError as error:
                failures.append(error)
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()

    def _add(self, acc: Accumulator, chain: str, lines: list[str]) -> None:
        where = f"the rules of the chain {chain}"
        if len(lines) < 3 or lines[-1]:
            raise PyagentError(f"cannot read {where}: the output ends within line {len(lines)}")
        name = _CHAIN.match(lines[0])
        if name is None:
            raise PyagentError(f"cannot read {where}: line 1 does not begin with 'Chain NAME': {lines[0][:80]!r}")
        if not _HEADER.match(lines[1]):
            raise PyagentError(
                f"cannot read {where}: line 2 does not begin with 'pkts bytes target': {lines[1][:80]!r}"
            )
        for number, line in enumerate(lines[2:], start=3):
            rule = _RULE.match(line)
            if rule is None and line.strip() and self._once(where):
                self.log.warning("%s: line %d is no rule and is left out: %r", where, number, line.strip()[:80])
            comment = _comment(line[rule.end() :]) if rule else None
            if rule is None or comment is None:
                continue
            packets, size = parse_unsigned(rule[1]), parse_unsigned(rule[2])
            if packets is None or size is None:
                if self._once(where):
                    self.log.warning("%s: line %d has a number beyond 64 bits and is left out", where, number)
                continue
            tags = {"table": self.options.table, "chain": name[1], "target": rule[3], "ruleid": comment}
            acc.add("iptables", {"pkts": Uint(packets), "bytes": Uint(size)}, tags)


def _comment(text: str) -> str | None:
    """The first comment of a rule, without space around it; None where it has none."""
    start = text.find("/*") + 2
    while start >= 2:
        inner = text[start:].lstrip(_SPACE)
        if (end := inner.find("*/", 1)) > 0:
            return inner[:end].rstrip(_SPACE)
        if inner.startswith("*/"):
            # An empty comment: iptables writes two spaces, and the tag is one of them.
            return " " if len(inner) < len(text) - start else None
        start = text.find("/*", start) + 2
    return None

"""Counters and sizes of IP sets.

Runs `ipset save`. Names and types are those of Telegraf 1.40.
"""

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    Duration,
    Field,
    Input,
    Measurement,
    MetricType,
    Options,
    PyagentError,
    Uint,
    counters,
    fields,
    option,
)
from pyagent.kit.command import CommandFailed, Commands, find_program
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import INT64_MAX, parse_unsigned
from pyagent.kit.procfs import Row, rows_of

__all__ = ["Ipset", "IpsetOptions"]


class IpsetOptions(Options, frozen=True):
    include_unmatched_sets: Annotated[bool, option("also entries that matched no packet yet")] = False
    use_sudo: Annotated[bool, option("run it by sudo")] = False
    count_per_ip_entries: Annotated[bool, option("count the entries of each set, and the addresses in them")] = False
    timeout: Annotated[Duration, option("how long it may take")] = Duration("1s")


_REFUSED = "ipset needs root: set `use_sudo` and allow it in /etc/sudoers.d, or give the agent CAP_NET_ADMIN"
_FIELDS = {"timeout": "timeout", "packets": "packets_total", "bytes": "bytes_total"}
_LEAST_WORDS = 7
"""Of an entry that counts: add SET ENTRY packets N bytes N."""
_MOST_FAILURES = 20


class Ipset(Input[IpsetOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "ipset",
            "An entry of a set that counts; with count_per_ip_entries also each set.",
            tags={"set": "the set", "rule": "the entry"},
            fields=counters("uint", "1", packets_total="packets that matched")
            | counters("uint", "bytes", bytes_total="bytes of these")
            | {"timeout": Field("uint", "s", "until the entry goes")}
            | fields("int", "1", entries="entries of the set", ips="addresses in them"),
            charts=(Chart("Packets matched", ("packets_total",)), Chart("Entries", ("entries", "ips"))),
        ),
    )

    def setup(self) -> None:
        self._program = find_program("ipset", package="ipset", in_path=True)
        self._commands = Commands(
            timeout=self.options.timeout.seconds, use_sudo=self.options.use_sudo, refused=_REFUSED
        )

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        try:
            output = self._commands.run([self._program, "save"]).stdout
        except CommandFailed as failed:
            failures.append(failed)
            output = failed.output.stdout
        sizes = _Sizes(acc)
        for row in rows_of("the output of `ipset save`", output, whole=True):
            if self.options.count_per_ip_entries:
                _try(sizes.add, row, failures)
            _try(partial(self._entry, acc), row, failures)
        sizes.finish()
        if failures:
            raise joined_failures(failures)

    async def stop(self) -> None:
        self._commands.stop()

    def _entry(self, acc: Accumulator, row: Row) -> None:
        # A comment may hold any word.
        text = row.text.partition('"')[0]
        words = text.split()
        if "packets" not in text or "bytes" not in text:
            return
        if len(row.words) < _LEAST_WORDS:
            row.fail(f"an entry with counters has {_LEAST_WORDS} words at least")
        if row.words[0] != "add" or (row.words[4] == "0" and not self.options.include_unmatched_sets):
            return
        values: dict[str, Uint] = {}
        wrong = ""
        for place, word in enumerate(words):
            if name := _FIELDS.get(word):
                given = words[place + 1] if place + 1 < len(words) else ""
                number = parse_unsigned(given)
                if number is None:
                    wrong = wrong or word
                if number is not None or not given.isdecimal():
                    values[name] = Uint(number or 0)  # as Telegraf: what is no number is 0, with an error
        acc.add("ipset", values, {"set": row.words[1], "rule": row.words[2]}, kind=MetricType.COUNTER)
        if wrong:
            row.fail(f"behind {wrong!r} is no number of 64 bits")


class _Sizes:
    """Entries and addresses of the set whose lines are read."""

    def __init__(self, acc: Accumulator) -> None:
        self._acc = acc
        self._name: str | None = None
        self._entries = self._addresses = 0

    def add(self, row: Row) -> None:
        if len(row.words) < 3:
            row.fail("it has fewer than 3 words")
        if row.words[0] == "create":
            self.finish()
            self._name, self._entries, self._addresses = row.words[1], 0, 0
        elif row.words[0] == "add":
            self._entries += 1
            try:
                self._addresses += _addresses(row.words[2])
            except ValueError:
                row.fail("its entry is no IP address and no network")

    def finish(self) -> None:
        if self._name is not None:
            values = {"entries": self._entries, "ips": min(self._addresses, INT64_MAX)}
            self._acc.add("ipset", values, {"set": self._name}, kind=MetricType.GAUGE)
            self._name = None


def _addresses(text: str) -> int:
    """How many addresses an entry stands for: of an IPv4 network without that of the network and of broadcasts."""
    address, slash, prefix = text.partition("/")
    if "%" in text or len(text) > 64:
        raise ValueError(text)
    bits = ipaddress.ip_address(address).max_prefixlen
    if not slash:
        return 1
    if not (prefix.isascii() and prefix.isdecimal() and int(prefix) <= bits):
        raise ValueError(text)
    count = 1 << (bits - int(prefix))
    return count - 2 if bits == 32 and count > 2 else count


def _try(work: Callable[[Row], None], row: Row, failures: list[Exception]) -> None:
    try:
        work(row)
    except PyagentError as error:
        if len(failures) < _MOST_FAILURES:
            failures.append(error)

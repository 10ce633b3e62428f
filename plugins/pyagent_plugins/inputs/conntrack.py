"""The kernel's table of tracked connections.

Files of /proc/sys/net, and /proc/net/stat/nf_conntrack. Names and types are those of Telegraf 1.40.
"""

import os
from collections.abc import Iterator
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
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
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_float, parse_unsigned
from pyagent.kit.once import Once
from pyagent.kit.procfs import Row, host_path, read_bytes, read_rows

__all__ = ["Conntrack", "ConntrackOptions"]

_DIRECTORIES = ("sys/net/ipv4/netfilter", "sys/net/netfilter")
_FILES = ("ip_conntrack_count", "ip_conntrack_max", "nf_conntrack_count", "nf_conntrack_max")
_CHOICES = ("all", "percpu")


class ConntrackOptions(Options, frozen=True):
    collect: Annotated[
        list[str], option("statistics of /proc/net/stat/nf_conntrack: all (their sums), percpu (of each processor)")
    ] = []
    dirs: Annotated[
        list[str],
        option("folders of the files ([]: /proc/sys/net/ipv4/netfilter and /proc/sys/net/netfilter)", reads_path=True),
    ] = []
    files: Annotated[
        list[str],
        option("names of files with one number; those that are missing are left out ([]: the counts and the most)"),
    ] = []


_COLUMNS = {
    "entries": "connections in the table",
    "searched": "searches of the table",
    "found": "searches that found one",
    "new": "connections added that were not expected",
    "invalid": "packets that cannot be tracked",
    "ignore": "packets of connections that are known",
    "delete": "connections removed",
    "delete_list": "connections put on the list of those to be removed",
    "insert": "connections put into the table",
    "insert_failed": "connections that were in the table",
    "drop": "packets dropped, as they could not be tracked",
    "early_drop": "connections dropped to make room",
    "icmp_error": "packets that cannot be tracked, for an error of ICMP",
    "expect_new": "connections added that were expected",
    "expect_create": "expectations added",
    "expect_delete": "expectations removed",
    "search_restart": "searches begun anew, as the table had changed its size",
}
_UINT32 = (1 << 32) - 1
_UINT64 = (1 << 64) - 1


class Conntrack(Input[ConntrackOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "conntrack",
            "The table; its statistics with `collect`.",
            tags={"cpu": "all, or cpu0 and so on; with collect"},
            fields=fields(
                "float", "1", ip_conntrack_count="connections in the table", ip_conntrack_max="how many there may be"
            )
            | {"entries": Field("uint", "1", _COLUMNS["entries"])}
            | counters("uint", "1", **{name: text for name, text in _COLUMNS.items() if name != "entries"}),
            open=True,
            charts=(Chart("Tracked connections", ("ip_conntrack_count", "ip_conntrack_max")),),
        ),
    )

    def setup(self) -> None:
        for name in self.options.collect:
            if name not in _CHOICES:
                raise ConfigError(f"cannot collect {name!r}: it is not all or percpu", option="collect")
        for name in self.options.files:
            if "/" in name:
                raise ConfigError(
                    f"cannot read {name!r}: give the name of a file, and its folder in dirs", option="files"
                )
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        found: dict[str, float] = {}
        for field, path in self._paths():
            # A file that there is under two names is read twice; the last one counts.
            try:
                found[field] = _number(path, failures)
            except PyagentError as error:
                failures.append(error)
        for choice in self.options.collect:
            try:
                self._statistics(acc, percpu=choice == "percpu")
            except PyagentError as error:
                failures.append(error)
        if found:
            acc.add("conntrack", found)
        else:
            failures.append(
                PyagentError(
                    "cannot read the table of connections: none of its files is there; load the kernel module nf_conntrack"
                )
            )
        if failures:
            raise joined_failures(failures)

    def _statistics(self, acc: Accumulator, *, percpu: bool) -> None:
        path = host_path("proc", "net/stat/nf_conntrack")
        rows = []
        for row in read_rows(path, missing="load the kernel module nf_conntrack", whole=True):
            if row.words[0] == "entries":
                if row.number > 1:
                    row.fail("the names of the columns are there twice")
            elif len(row.words) == len(_COLUMNS):
                rows.append([_count(row, place) for place in range(len(_COLUMNS))])
            elif row.number > 1 and self._once(path):
                self.log.warning("cannot read %s: line %d: it has not 17 numbers, and does not count", path, row.number)
        if not rows:
            raise PyagentError(f"cannot read {path}: it has no statistics")
        sums = [sum(column) & _UINT32 for column in zip(*rows, strict=True)]
        for number, counts in enumerate(rows if percpu else [sums]):
            values = {name: Uint(count) for name, count in zip(_COLUMNS, counts, strict=True)}
            acc.add("conntrack", values, {"cpu": f"cpu{number}" if percpu else "all"}, kind=MetricType.COUNTER)

    def _paths(self) -> Iterator[tuple[str, str]]:
        """Field and path of the files that are there."""
        for folder in self.options.dirs or [host_path("proc", part) for part in _DIRECTORIES]:
            for name in self.options.files or _FILES:
                _, separator, rest = name.partition("_")
                path = os.path.join(folder, name)
                if separator and os.path.exists(path):
                    yield f"ip_{rest}", path


def _number(path: str, failures: list[Exception]) -> float:
    """0 and a failure for a text, as in Telegraf."""
    data = read_bytes(path)
    text = data.decode("utf-8", "backslashreplace").strip()
    value = parse_float(text)
    if value is None and text and data.isascii() and text.isprintable():
        failures.append(PyagentError(f"cannot read {path}: line 1: it is no number but {text[:80]!r}"))
        return 0.0
    if value is None or not data.endswith(b"\n") or not abs(value) <= _UINT64:
        raise PyagentError(f"cannot read {path}: line 1: it is no number of 64 bits but {text[:80]!r}")
    return value


def _count(row: Row, place: int) -> int:
    value = parse_unsigned(row.words[place], 16)
    if value is None or value > _UINT32:
        row.fail(f"word {place + 1} is no hexadecimal number of 32 bits")
    return value

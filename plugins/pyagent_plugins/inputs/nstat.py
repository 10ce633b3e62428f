"""Counters of the network protocols of the kernel.

/proc/net/netstat, snmp and snmp6. Names and types are those of Telegraf 1.40.
"""

import os
from collections.abc import Iterable
from typing import Annotated

from pyagent.api import About, Accumulator, Input, Measurement, Options, PyagentError, option
from pyagent.kit.numbers import parse_integer
from pyagent.kit.once import Once
from pyagent.kit.procfs import Row, host_path, read_rows

__all__ = ["Nstat", "NstatOptions"]


class NstatOptions(Options, frozen=True):
    proc_net_netstat: Annotated[
        str, option("the file netstat ('': $PROC_NET_NETSTAT, else $PROC_ROOT/net/netstat)", reads_path=True)
    ] = ""
    proc_net_snmp: Annotated[
        str, option("the file snmp ('': $PROC_NET_SNMP, else $PROC_ROOT/net/snmp)", reads_path=True)
    ] = ""
    proc_net_snmp6: Annotated[
        str, option("the file snmp6 ('': $PROC_NET_SNMP6, else $PROC_ROOT/net/snmp6)", reads_path=True)
    ] = ""
    dump_zeros: Annotated[bool, option("also counters that are 0")] = False


class Nstat(Input[NstatOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "nstat",
            "Counters as the kernel names them: a table's name, and a column's behind it, such as `TcpExtSyncookiesSent`.",
            tags={"name": "the file: netstat, snmp or snmp6"},
            open=True,
        ),
    )

    def setup(self) -> None:
        self._once = Once()

    def gather(self, acc: Accumulator) -> None:
        options = self.options
        for name, given in (("netstat", options.proc_net_netstat), ("snmp", options.proc_net_snmp)):
            self._add(acc, name, _tables(read_rows(_path(name, given), whole=True)))
        path = _path("snmp6", options.proc_net_snmp6)
        if os.path.exists(path):  # the kernel may have no IPv6
            self._add(acc, "snmp6", _pairs(read_rows(path, whole=True)))

    def _add(self, acc: Accumulator, name: str, counters: Iterable[tuple[Row, str, str]]) -> None:
        found: dict[str, int] = {}
        seen = set()
        for row, key, text in counters:
            if key in seen:
                row.fail(f"{key} is there twice")
            if not (key.isascii() and key.isprintable()):
                row.fail(f"the name {key!r} is no text")
            seen.add(key)
            value = parse_integer(text)
            if value is None:
                # Some of the kernel's counters have no sign.
                if self._once(key):
                    self.log.warning(
                        "cannot read %s: line %d: %s is no number of 64 bits but %r, and is left out",
                        row.path,
                        row.number,
                        key,
                        text[:80],
                    )
            elif self.options.dump_zeros or text != "0":
                found[key] = value
        if found:
            acc.add("nstat", found, {"name": name})


def _path(name: str, given: str) -> str:
    if given:
        return given
    if path := os.environ.get(f"PROC_NET_{name.upper()}"):
        return path
    root = os.environ.get("PROC_ROOT")
    return f"{root}/net/{name}" if root else host_path("proc", "net", name)


def _tables(rows: Iterable[Row]) -> Iterable[tuple[Row, str, str]]:
    """Of lines in pairs: names, and below them values."""
    header: Row | None = None
    for row in rows:
        if header is None:
            header = row
            continue
        prefix = header.words[0].removesuffix(":")
        if row.words[0] != header.words[0] or len(row.words) < len(header.words):
            row.fail(f"it has not a value for each name of line {header.number}")
        for key, text in zip(header.words[1:], row.words[1:], strict=False):
            yield row, prefix + key, text
        header = None
    if header is not None:
        raise PyagentError(f"cannot read {header.path}: line {header.number}: it has names, and no values follow")


def _pairs(rows: Iterable[Row]) -> Iterable[tuple[Row, str, str]]:
    for row in rows:
        if len(row.words) % 2:
            row.fail("it is no name with its value")
        for place in range(0, len(row.words), 2):
            yield row, row.words[place], row.words[place + 1]

"""State of bonded network interfaces.

Linux: /proc/net/bonding, and /sys/class/net with `collect_sys_details`. Names and types are those of Telegraf 1.40.
"""

import os
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    ConfigError,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    counters,
    fields,
    option,
)
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_integer
from pyagent.kit.procfs import Row, host_path, read_rows, read_text

__all__ = ["Bond", "BondOptions"]


class BondOptions(Options, frozen=True):
    host_proc: Annotated[str, option("where /proc is (empty: HOST_PROC, else /proc)", reads_path=True)] = ""
    host_sys: Annotated[str, option("where /sys is (empty: HOST_SYS, else /sys)", reads_path=True)] = ""
    bond_interfaces: Annotated[list[str], option("report these alone ([]: all)")] = []
    collect_sys_details: Annotated[bool, option("add bond_sys, of what /sys/class/net tells")] = False


_LACP = "IEEE 802.3ad Dynamic link aggregation"
_BOND = {"bond": "the bonded interface"}


class Bond(Input[BondOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "bond",
            "Each bonded interface.",
            tags=_BOND,
            fields={
                "active_slave": Field("str", "", "the interface in use, in active-backup mode"),
                "status": Field("int", "1", "1: it is up; 0: it is not"),
            },
        ),
        Measurement(
            "bond_slave",
            "Each interface of a bond; and, without the tag interface, how many there are.",
            tags=_BOND | {"interface": "the interface in the bond"},
            fields=counters("int", "1", failures="failures of the link")
            | fields("int", "1", status="1: it is up; 0: it is not", count="interfaces of the bond")
            | counters(
                "int",
                "1",
                actor_churned="churns of this side (LACP)",
                partner_churned="churns of the other side (LACP)",
                total_churned="churns of both (LACP)",
            ),
        ),
        Measurement(
            "bond_sys",
            "With collect_sys_details.",
            tags=_BOND | {"mode": "how it bonds, such as 802.3ad"},
            fields=fields(
                "int",
                "1",
                slave_count="interfaces it should have",
                ad_port_count="ports that work together (LACP), else all",
            ),
        ),
    )

    def setup(self) -> None:
        for name in self.options.bond_interfaces:
            if "/" in name:
                raise ConfigError(f"cannot report {name!r}: give the name of a bond", option="bond_interfaces")

    def gather(self, acc: Accumulator) -> None:
        options = self.options
        proc, sys = options.host_proc or host_path("proc"), options.host_sys or host_path("sys")
        folder = os.path.join(proc, "net/bonding")
        try:
            names = options.bond_interfaces or sorted(os.listdir(folder))
        except FileNotFoundError:
            names = []  # no bond, and the kernel's module is not loaded
        except OSError as error:
            raise PyagentError(f"cannot read {folder}: {error.strerror}") from None
        failures: list[Exception] = []
        for name in names:
            mode = ""
            try:
                rows = list(read_rows(os.path.join(folder, name), missing="there is no such bond", whole=True))
            except PyagentError as error:
                failures.append(error)
                continue
            try:
                mode = _add_bond(acc, name, rows, os.path.join(folder, name))
            except PyagentError as error:
                failures.append(error)
            if options.collect_sys_details:
                try:
                    _add_details(acc, name, os.path.join(sys, "class/net", name, "bonding"), mode)
                except PyagentError as error:
                    failures.append(error)
        if failures:
            raise joined_failures(failures)


def _parts(row: Row) -> tuple[str, str] | None:
    parts = row.text.split(":")
    return (parts[0].strip(), parts[1].strip()) if len(parts) > 1 else None


def _add_bond(acc: Accumulator, bond: str, rows: list[Row], path: str) -> str:
    """Gives the mode. Raises PyagentError."""
    start = next((index for index, row in enumerate(rows) if "Slave Interface:" in row.text), len(rows))
    mode, found, status = "", dict[str, str | int](), None
    for name, value in filter(None, map(_parts, rows[:start])):
        if name == "Bonding Mode":
            mode = value
        if "Currently Active Slave" in name:
            found["active_slave"] = value
        if "MII Status" in name:
            status = int(value == "up")
            break
    if status is None:
        raise PyagentError(f"cannot read {path}: there is no line 'MII Status' of the bond")
    acc.add("bond", found | {"status": status}, {"bond": bond})
    _add_slaves(acc, bond, rows[start:], lacp=mode == _LACP)
    return mode


def _add_slaves(acc: Accumulator, bond: str, rows: list[Row], *, lacp: bool) -> None:
    tags = {"bond": bond}
    found = {"status": 0}
    count = 0
    for row in rows:
        parts = _parts(row)
        if parts is None:
            continue
        name, value = parts
        if "Slave Interface" in name:
            tags["interface"] = value
            count += 1
        elif "MII Status" in name:
            found["status"] |= int(value == "up")
        elif "Link Failure Count" in name:
            found["failures"] = _count(row, value)
            if not lacp:
                acc.add("bond_slave", found, tags)
                found = {"status": 0}
        elif "Actor Churned Count" in name:
            found["actor_churned"] = _count(row, value)
        elif "Partner Churned Count" in name:
            found["partner_churned"] = _count(row, value)
            if "actor_churned" not in found:
                row.fail("there is no 'Actor Churned Count' before it")
            found["total_churned"] = found["actor_churned"] + found["partner_churned"]
            acc.add("bond_slave", found, tags)
            found = {"status": 0}
    acc.add("bond_slave", {"count": count}, {"bond": bond})


def _count(row: Row, text: str) -> int:
    value = parse_integer(text)
    if value is None:
        row.fail("its count is no number of 64 bits")
    return value


def _add_details(acc: Accumulator, bond: str, folder: str, mode_of_proc: str) -> None:
    modes = read_text(os.path.join(folder, "mode")).split(" ")
    slaves = len(read_text(os.path.join(folder, "slaves")).split())
    ports = read_text(os.path.join(folder, "ad_num_ports")) if mode_of_proc == _LACP else ""
    # The kernel shows no number of ports to accounts that may not see it: it counts as none.
    working = (parse_integer(ports) or 0) if modes[0] == "802.3ad" else slaves
    acc.add("bond_sys", {"slave_count": slaves, "ad_port_count": working}, {"bond": bond, "mode": modes[0]})

"""Huge pages, and how many of them are in use.

/sys/kernel/mm/hugepages, /sys/devices/system/node and /proc/meminfo. Names and types are those of Telegraf 1.40.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Chart,
    ConfigError,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    fields,
    option,
)
from pyagent.kit.numbers import parse_integer
from pyagent.kit.procfs import cannot_read, host_path, read_bytes, read_rows

__all__ = ["Hugepages", "HugepagesOptions"]

_TYPES = ("root", "per_node", "meminfo")
_DEFAULT = ("root", "meminfo")


class HugepagesOptions(Options, frozen=True):
    types: Annotated[
        list[str] | None,
        option(
            "what to read: root (of the whole host, by size), per_node (of each NUMA node), meminfo (default: root, meminfo)"
        ),
    ] = None


_OF_NODES = {"free_hugepages": "free", "nr_hugepages": "total", "surplus_hugepages": "surplus"}
_OF_THE_HOST = _OF_NODES | {
    "nr_hugepages_mempolicy": "mempolicy",
    "nr_overcommit_hugepages": "overcommit",
    "resv_hugepages": "reserved",
}
_MEMINFO = {
    "HugePages_Total": "total",
    "HugePages_Free": "free",
    "HugePages_Rsvd": "reserved",
    "HugePages_Surp": "surplus",
    "Hugepagesize": "size_kb",
    "Hugetlb": "tlb_kb",
    "AnonHugePages": "anonymous_kb",
    "ShmemHugePages": "shared_kb",
    "FileHugePages": "file_kb",
}
_MEANINGS = {
    "free": "not in use",
    "total": "all",
    "surplus": "more than the kernel was told to keep",
    "reserved": "promised to programs, and not yet in use",
}
_NODE = {name: _MEANINGS[name] for name in ("free", "total", "surplus")}
_SIZE = "size of a page, in KiB"


class Hugepages(Input[HugepagesOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "hugepages_root",
            "Pages of the whole host, with `root`.",
            tags={"size_kb": _SIZE},
            fields=fields(
                "int",
                "1",
                **_MEANINGS,
                mempolicy="all, by the policy of the agent's memory",
                overcommit="how many more than those the kernel may make",
            ),
        ),
        Measurement(
            "hugepages_per_node",
            "Pages of each NUMA node, with `per_node`.",
            tags={"size_kb": _SIZE, "node": "number of the node"},
            fields=fields("int", "1", **_NODE),
        ),
        Measurement(
            "hugepages_meminfo",
            "Pages of the default size, and transparent huge pages, with `meminfo`.",
            fields=fields("int", "1", **_MEANINGS)
            | {
                name: Field("int", "KiB", text)
                for name, text in (("size_kb", "size of a page"), ("tlb_kb", "of all sizes"))
            }
            | fields(
                "int",
                "KiB",
                anonymous_kb="transparent, of programs",
                shared_kb="transparent, of shared memory",
                file_kb="transparent, of files",
            ),
            charts=(Chart("Huge pages", ("total", "free", "reserved", "surplus")),),
        ),
    )

    def setup(self) -> None:
        types = list(_DEFAULT) if self.options.types is None else self.options.types
        if not types:
            raise ConfigError("cannot read huge pages: types is empty; name root, per_node or meminfo", option="types")
        for name in types:
            if name not in _TYPES:
                raise ConfigError(f"cannot use {name!r}: it is not root, per_node or meminfo", option="types")
        self._types = types

    def gather(self, acc: Accumulator) -> None:
        types = self._types
        if "root" in types:
            _add(acc, "hugepages_root", host_path("sys", "kernel/mm/hugepages"), _OF_THE_HOST, {})
        if "per_node" in types:
            nodes = host_path("sys", "devices/system/node")
            for node, name in _folders(nodes, "node", ""):
                path = os.path.join(nodes, name, "hugepages")
                _add(acc, "hugepages_per_node", path, _OF_NODES, {"node": node})
        if "meminfo" in types:
            found = {}
            for row in read_rows(host_path("proc", "meminfo"), whole=True):
                if len(row.words) > 1 and (field := _MEMINFO.get(row.words[0].removesuffix(":"))):
                    if field in found:
                        row.fail("it is there twice")
                    found[field] = row.integer(1)
            if not found:
                path = host_path("proc", "meminfo")
                raise PyagentError(
                    f"cannot read {path}: it says nothing of huge pages; this kernel has none, remove meminfo"
                )
            acc.add("hugepages_meminfo", found)


def _folders(path: str, prefix: str, suffix: str) -> Iterator[tuple[str, str]]:
    """The number in each name that has one, and the name."""
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        raise cannot_read(path, error, missing="this kernel has no huge pages; remove this input") from None
    for name in names:
        number = name.removesuffix(suffix).removeprefix(prefix)
        if name.startswith(prefix) and parse_integer(number) is not None:
            yield number, name


def _add(acc: Accumulator, measurement: str, path: str, names: Mapping[str, str], tags: dict[str, str]) -> None:
    for size, folder in _folders(path, "hugepages-", "kB"):
        found = {}
        for name, field in sorted(names.items()):
            file = os.path.join(path, folder, name)
            if os.path.isfile(file):
                found[field] = _number(file)
        if found:
            acc.add(measurement, found, {**tags, "size_kb": size})


def _number(path: str) -> int:
    data = read_bytes(path)
    text = data.decode("utf-8", "backslashreplace")
    value = parse_integer(text.removesuffix("\n"))
    if value is None or not data.endswith(b"\n"):
        raise PyagentError(f"cannot read {path}: line 1: it is no whole number but {text[:80]!r}")
    return value

"""Statistics of ZFS.

Linux: /proc/spl/kstat/zfs. Names and types are those of Telegraf 1.40.
"""

import glob
import os
from typing import Annotated

from pyagent.api import About, Accumulator, ConfigError, Input, Measurement, Options, PyagentError, option
from pyagent.api.files import path_of
from pyagent.kit.each import joined_failures
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.once import Once
from pyagent.kit.procfs import Row, host_path, read_bytes, rows_of

__all__ = ["Zfs", "ZfsOptions"]

_DEFAULT = (
    "abdstats",
    "arcstats",
    "dnodestats",
    "dbufcachestats",
    "dmu_tx",
    "fm",
    "vdev_mirror_stats",
    "zfetchstats",
    "zil",
)


class ZfsOptions(Options, frozen=True):
    kstatPath: Annotated[
        str, option("where the statistics are (empty: /proc/spl/kstat/zfs, or that of HOST_PROC)", reads_path=True)
    ] = ""
    kstatMetrics: Annotated[list[str], option('statistics to report ([]: all that there are; [""]: none)')] = []
    poolMetrics: Annotated[bool, option("report each pool as well, or each data set (ZFS 2.1 and later)")] = False
    datasetMetrics: Annotated[bool, option("FreeBSD's data sets, which this agent does not read", no_effect=True)] = (
        False
    )
    useNativeTypes: Annotated[bool, option("report unsigned numbers as such, and not in a signed one of 64 bits")] = (
        False
    )


_AS_THEY_ARE = ("zil", "dmu_tx", "dnodestats")
"""Their names have a prefix of their own."""
_TEXTS, _SIGNED, _UNSIGNED, _FLOATS = (0, 7), (1, 3), (2, 4), (5, 6)
"""Types of values, as the kernel module numbers them."""
_HEADER = ["name", "type", "data"]
_OF_DATASET = 7
"""Values that there are at least."""


class Zfs(Input[ZfsOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "zfs",
            "All of ZFS: a field for each statistic, `arcstats_hits` for `hits` of arcstats.",
            tags={"pools": "the pools, NAME::NAME"},
            open=True,
        ),
        Measurement(
            "zfs_pool",
            "Each pool, or each of its data sets, with poolMetrics. With useNativeTypes numbers are unsigned.",
            tags={"pool": "the pool", "dataset": "the data set (ZFS 2.1 and later)"},
            open=True,
        ),
    )

    def setup(self) -> None:
        self._once = Once()
        wanted = self.options.kstatMetrics or _DEFAULT
        self._wanted = [name for name in wanted if name]
        for name in self._wanted:
            if name not in _DEFAULT:
                raise ConfigError(f"cannot report {name!r}: there are {', '.join(_DEFAULT)}", option="kstatMetrics")

    def gather(self, acc: Accumulator) -> None:
        root = self.options.kstatPath or host_path("proc", "spl/kstat/zfs")
        folder = glob.escape(root)
        pools = [path_of(path, root) for path in sorted(glob.glob(f"{folder}/*/objset-*"))]
        old = not pools
        if old:
            pools = [path_of(path, root) for path in sorted(glob.glob(f"{folder}/*/io"))]
        names = list(dict.fromkeys(os.path.basename(os.path.dirname(path)) for path in pools))
        failures: list[Exception] = []
        if self.options.poolMetrics:
            for path in pools:
                self._add_pool(acc, path, failures, old=old)
        found: dict[str, object] = {}
        for name in self._wanted:
            path = os.path.join(root, name)
            if not os.path.exists(path):
                continue  # not each version of ZFS has all of them
            prefix = "" if name in _AS_THEY_ARE else f"{name}_"
            found |= {f"{prefix}{key}": value for key, value in self._values(path, failures).items()}
        if found:
            acc.add("zfs", found, {"pools": "::".join(names)} if names else {})
        if failures:
            raise joined_failures(failures)

    def _add_pool(self, acc: Accumulator, path: str, failures: list[Exception], *, old: bool) -> None:
        tags = {"pool": os.path.basename(os.path.dirname(path))}
        if old:
            acc.add("zfs_pool", _old_pool(path), tags)
            return
        found = self._values(path, failures)
        if len(found) < _OF_DATASET:
            raise PyagentError(f"cannot read {path}: it has {len(found)} values, and not {_OF_DATASET} or more")
        name = found.pop("dataset_name", None)
        if not isinstance(name, str):
            raise PyagentError(f"cannot read {path}: there is no text named dataset_name")
        acc.add("zfs_pool", found, tags | {"dataset": name})

    def _values(self, path: str, failures: list[Exception]) -> dict[str, object]:
        """By name. Raises PyagentError; a value of a type that there is not is left out, and its error put to `failures`."""
        found: dict[str, object] = {}
        last = 0
        for row in rows_of(path, read_bytes(path), whole=True):
            if row.number == 2 and row.words != _HEADER:
                row.fail("it is not 'name type data'")
            if row.number > 2:
                if len(row.words) != len(_HEADER):
                    row.fail(f"it has {len(row.words)} words, and not name, type and data")
                try:
                    value = self._value(row)
                except _UnknownType as error:
                    failures.append(PyagentError(str(error)))
                else:
                    found[row.words[0]] = value
            last = row.number
        if last < 2:
            raise PyagentError(f"cannot read {path}: line 2 is missing")
        return found

    def _value(self, row: Row) -> object:
        text = row.words[2]
        kind = parse_integer(row.words[1])
        if kind is None:
            kind = _SIGNED[-1]
            if self._once(row.path + row.words[0]):
                self.log.warning(
                    "cannot read %s: line %d: %r is no type; it is taken for a signed number",
                    row.path,
                    row.number,
                    row.words[1][:80],
                )
        if kind in _TEXTS:
            return text
        if kind in _SIGNED:
            return row.integer(2)
        if kind in _UNSIGNED:
            value = row.unsigned(2)
            # Telegraf's way, kept for what reads its metrics: the same 64 bits with a sign.
            if self.options.useNativeTypes:
                return value
            return int(value) if value < 1 << 63 else int(value) - (1 << 64)
        if kind in _FLOATS:
            number = parse_finite(text)
            if number is None:
                row.fail("word 3 is no number")
            return number
        raise _UnknownType(f"cannot read {row.path}: line {row.number}: there is no type {kind}; the value is left out")


class _UnknownType(Exception):
    pass


def _old_pool(path: str) -> dict[str, int]:
    rows = {row.number: row for row in rows_of(path, read_bytes(path), whole=True)}
    names, values = rows.get(2), rows.get(3)
    if names is None or values is None or len(names.words) != len(values.words):
        raise PyagentError(f"cannot read {path}: lines 2 and 3 are not names and as many values")
    return {name: values.integer(place) for place, name in enumerate(names.words)}

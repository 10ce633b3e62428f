"""Statistics of Lustre servers.

Linux: /proc/fs/lustre and /sys/fs/lustre. Names and types are those of Telegraf 1.40.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pyagent.api import (
    About,
    Accumulator,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Uint,
    counters,
    fields,
    option,
)
from pyagent.kit.globpath import match_files
from pyagent.kit.numbers import parse_unsigned
from pyagent.kit.procfs import Row, host_path, read_rows, read_text

__all__ = ["Lustre2", "Lustre2Options"]


class Lustre2Options(Options, frozen=True):
    mgs_procfiles: Annotated[
        list[str], option("files of management servers, wildcards allowed ([]: the usual ones)", reads_path=True)
    ] = []
    ost_procfiles: Annotated[
        list[str], option("files of object storage servers, wildcards allowed ([]: the usual ones)", reads_path=True)
    ] = []
    mds_procfiles: Annotated[
        list[str], option("files of metadata servers, wildcards allowed ([]: the usual ones)", reads_path=True)
    ] = []


_MGS = (("sys", "mgs/*/eviction_count"),)
_OST = (
    ("proc", "obdfilter/*/stats"),
    ("proc", "osd-ldiskfs/*/stats"),
    ("proc", "obdfilter/*/job_stats"),
    ("proc", "osd-ldiskfs/*/brw_stats"),
    ("proc", "osd-zfs/*/brw_stats"),
    ("sys", "obdfilter/*/eviction_count"),
)
_MDS = (("proc", "mdt/*/md_stats"), ("proc", "mdt/*/job_stats"), ("sys", "mdt/*/eviction_count"))
_OPERATIONS = (
    "open",
    "close",
    "mknod",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "rename",
    "getattr",
    "setattr",
    "getxattr",
    "setxattr",
    "statfs",
    "sync",
    "samedir_rename",
    "crossdir_rename",
)
_Wanted = Mapping[str, Mapping[str, int]]
"""By the first word of a line: fields, and the word that each of them is."""
_OF_OST: _Wanted = {
    **{f"{way}_bytes": {f"{way}_bytes": 6, f"{way}_calls": 1} for way in ("read", "write")},
    **{
        name: {name: 1, f"{name}_samples": 1, f"{name}_pages": 6}
        for name in ("cache_hit", "cache_miss", "cache_access")
    },
}
_OF_OST_JOB: _Wanted = {
    **{
        name: {
            f"jobstats_{way}_calls": 3,
            f"jobstats_{way}_min_size": 7,
            f"jobstats_{way}_max_size": 9,
            f"jobstats_{way}_bytes": 11,
        }
        for way in ("read", "write")
        for name in (way, f"{way}_bytes")
    },
    **{name: {f"jobstats_ost_{name}": 3} for name in ("getattr", "setattr", "sync", "statfs")},
    **{name: {f"jobstats_{name}": 3} for name in ("punch", "destroy", "create", "get_info", "set_info", "quotactl")},
}
_OF_MDS: _Wanted = {name: {name: 1} for name in _OPERATIONS}
_OF_MDS_JOB: _Wanted = {name: {f"jobstats_{name}": 3} for name in _OPERATIONS}
_SECTIONS = {
    "pages per bulk r/w": "pages_per_bulk_rw",
    "discontiguous pages": "discontiguous_pages",
    "disk I/Os in flight": "disk_ios_in_flight",
    "I/O time (1/1000s)": "io_time",
    "disk I/O size": "disk_io_size",
}
_BUCKET = {"read_ios": 1, "read_percent": 2, "write_ios": 5, "write_percent": 6}
_SEPARATORS = re.compile("[ :]+")
_TAGS = ("name", "brw_section", "bucket", "jobid", "client")
_Found = dict[tuple[str, str, str, str, str], dict[str, Uint]]
"""Fields by the values of `_TAGS`."""


def _declared() -> dict[str, Field]:
    names = {
        name for table in (_OF_OST, _OF_OST_JOB, _OF_MDS, _OF_MDS_JOB) for found in table.values() for name in found
    }
    return {
        name: Field("uint", "bytes" if name.endswith(("bytes", "_size")) else "1", name.replace("_", " "), counter=True)
        for name in sorted(names)
    }


class Lustre2(Input[Lustre2Options]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "lustre2",
            "Each target, and with their tags its buckets, jobs and clients.",
            tags={
                "name": "the target",
                "brw_section": "what is counted in buckets",
                "bucket": "the bucket",
                "jobid": "the job",
                "client": "the client",
            },
            fields=fields("uint", "1", health="1: the server is healthy; 0: it is not")
            | counters("uint", "1", evictions="clients that were thrown out", read_ios="reads", write_ios="writes")
            | fields("uint", "percent", read_percent="of all reads", write_percent="of all writes")
            | _declared(),
        ),
    )

    def gather(self, acc: Accumulator) -> None:
        found: _Found = {}
        _health(found)
        for pattern in self.options.mgs_procfiles or _usual(_MGS):
            if not pattern.endswith("eviction_count"):
                raise PyagentError(f"cannot read {pattern}: of a management server there is eviction_count alone")
            _evictions(found, pattern)
        for pattern in self.options.ost_procfiles or _usual(_OST):
            _read(found, pattern, _OF_OST, _OF_OST_JOB)
        for pattern in self.options.mds_procfiles or _usual(_MDS):
            _read(found, pattern, _OF_MDS, _OF_MDS_JOB)
        for key, values in found.items():
            acc.add("lustre2", values, {tag: text for tag, text in zip(_TAGS, key, strict=True) if text})


def _usual(files: Sequence[tuple[str, str]]) -> list[str]:
    return [host_path(root, "fs/lustre", name) for root, name in files]


def _health(found: _Found) -> None:
    # Older versions have it in /proc; a host without Lustre in neither.
    for root in ("sys", "proc"):
        path = host_path(root, "fs/lustre/health_check")
        if os.path.exists(path):
            found["", "", "", "", ""] = {"health": Uint(read_text(path) == "healthy")}
            return


def _files(pattern: str) -> Iterator[tuple[str, str]]:
    """Paths, and the target that each is of."""
    try:
        paths = match_files(pattern)
    except ValueError as error:
        raise PyagentError(f"cannot use the pattern {pattern!r}: {error}") from None
    for path in paths:
        parts = path.split("/")
        if len(parts) > 1:
            yield path, parts[-2]


def _read(found: _Found, pattern: str, stats: _Wanted, job_stats: _Wanted) -> None:
    if pattern.endswith("brw_stats"):
        _buckets(found, pattern)
    elif pattern.endswith("eviction_count"):
        _evictions(found, pattern)
    else:
        _stats(found, pattern, job_stats if pattern.endswith("job_stats") else stats)


def _evictions(found: _Found, pattern: str) -> None:
    for path, target in _files(pattern):
        value = parse_unsigned(text := read_text(path))
        if value is None:
            raise PyagentError(f"cannot read {path}: line 1: it is no number of 64 bits: {text[:80]!r}")
        found.setdefault((target, "", "", "", ""), {})["evictions"] = Uint(value)


def _stats(found: _Found, pattern: str, wanted: _Wanted) -> None:
    for path, name in _files(pattern):
        parts = path.split("/")
        target, client = (parts[-4], parts[-2]) if "/exports/" in path and len(parts) > 3 else (name, "")
        job = ""
        for row in read_rows(path, whole=True):
            if row.words[0] == "-" and len(row.words) > 2 and row.words[1].rstrip(":") == "job_id":
                job = row.words[2]
                continue
            words = [word for word in _SEPARATORS.split(row.text) if word]
            for field, place in wanted.get(words[0], {}).items() if words else ():
                values = found.setdefault((target, "", "", job, client), {})
                values[field] = _number(row, words, place)


def _buckets(found: _Found, pattern: str) -> None:
    for path, target in _files(pattern):
        if not os.access(path, os.R_OK):
            continue  # they are root's in some versions
        section = ""
        for row in read_rows(path, whole=True):
            if ":" not in row.words[0]:
                section = _SECTIONS.get(row.text.partition("  ")[0], "")
            elif section and "snapshot_time" not in row.words[0]:
                bucket = row.words[0].removesuffix(":")
                values = {field: _number(row, row.words, place) for field, place in _BUCKET.items()}
                found.setdefault((target, section, bucket, "", ""), {}).update(values)


def _number(row: Row, words: Sequence[str], place: int) -> Uint:
    value = parse_unsigned(words[place].removesuffix(",")) if place < len(words) else None
    if value is None:
        row.fail(f"word {place + 1} is no number of 64 bits")
    return Uint(value)

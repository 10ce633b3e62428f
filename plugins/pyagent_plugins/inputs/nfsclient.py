"""Statistics of NFS mounts.

Linux: /proc/self/mountstats, or the file that MOUNT_PROC names. Names and types are those of Telegraf 1.40.
"""

import os
from collections.abc import Sequence
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
    Uint,
    counters,
    option,
)
from pyagent.kit.procfs import Row, read_rows
from pyagent.kit.regex import Regex, compile_regex

__all__ = ["NfsClient", "NfsClientOptions"]


class NfsClientOptions(Options, frozen=True):
    fullstat: Annotated[bool, option("report events, bytes, transports and all operations as well")] = False
    include_mounts: Annotated[list[str], option("mount points to report, regular expressions ([]: all)")] = []
    exclude_mounts: Annotated[list[str], option("mount points to leave out, regular expressions")] = []
    include_operations: Annotated[list[str], option("operations to report with fullstat ([]: all)")] = []
    exclude_operations: Annotated[list[str], option("operations to leave out with fullstat")] = []


_OF_BOTH = [
    "NULL",
    "GETATTR",
    "SETATTR",
    "LOOKUP",
    "ACCESS",
    "READLINK",
    "READ",
    "WRITE",
    "CREATE",
    "SYMLINK",
    "REMOVE",
    "RENAME",
    "LINK",
    "READDIR",
    "FSINFO",
    "PATHCONF",
    "COMMIT",
]
_OF_3 = [*_OF_BOTH, *["MKDIR", "MKNOD", "RMDIR", "READDIRPLUS", "FSSTAT"]]
_OF_4 = [
    *_OF_BOTH,
    *[
        "OPEN",
        "OPEN_CONFIRM",
        "OPEN_NOATTR",
        "OPEN_DOWNGRADE",
        "CLOSE",
        "RENEW",
        "SETCLIENTID",
        "SETCLIENTID_CONFIRM",
        "LOCK",
        "LOCKT",
        "LOCKU",
        "LOOKUP_ROOT",
        "STATFS",
        "SERVER_CAPS",
        "DELEGRETURN",
        "GETACL",
        "SETACL",
        "FS_LOCATIONS",
        "RELEASE_LOCKOWNER",
        "SECINFO",
        "FSID_PRESENT",
        "EXCHANGE_ID",
        "CREATE_SESSION",
        "DESTROY_SESSION",
        "SEQUENCE",
        "GET_LEASE_TIME",
        "RECLAIM_COMPLETE",
        "LAYOUTGET",
        "GETDEVICEINFO",
        "LAYOUTCOMMIT",
        "LAYOUTRETURN",
        "SECINFO_NO_NAME",
        "TEST_STATEID",
        "FREE_STATEID",
        "GETDEVICELIST",
        "BIND_CONN_TO_SESSION",
        "DESTROY_CLIENTID",
        "SEEK",
        "ALLOCATE",
        "DEALLOCATE",
        "LAYOUTSTATS",
        "CLONE",
        "COPY",
        "OFFLOAD_CANCEL",
        "LOOKUPP",
        "LAYOUTERROR",
        "COPY_NOTIFY",
        "GETXATTR",
        "SETXATTR",
        "LISTXATTRS",
        "REMOVEXATTR",
    ],
]
_EVENTS = [
    "inoderevalidates",
    "dentryrevalidates",
    "datainvalidates",
    "attrinvalidates",
    "vfsopen",
    "vfslookup",
    "vfsaccess",
    "vfsupdatepage",
    "vfsreadpage",
    "vfsreadpages",
    "vfswritepage",
    "vfswritepages",
    "vfsgetdents",
    "vfssetattr",
    "vfsflush",
    "vfsfsync",
    "vfslock",
    "vfsrelease",
    "congestionwait",
    "setattrtrunc",
    "extendwrite",
    "sillyrenames",
    "shortreads",
    "shortwrites",
    "delay",
    "pnfsreads",
    "pnfswrites",
]
_BYTES = [
    "normalreadbytes",
    "normalwritebytes",
    "directreadbytes",
    "directwritebytes",
    "serverreadbytes",
    "serverwritebytes",
    "readpages",
    "writepages",
]
_UDP = ["bind_count", "rpcsends", "rpcreceives", "badxids", "inflightsends", "backlogutil"]
_TCP = [
    "bind_count",
    "connect_count",
    "connect_time",
    "idle_time",
    "rpcsends",
    "rpcreceives",
    "badxids",
    "inflightsends",
    "backlogutil",
]
_OPERATION = [
    "ops",
    "trans",
    "timeouts",
    "bytes_sent",
    "bytes_recv",
    "queue_time",
    "response_time",
    "total_time",
    "errors",
]
_SAFE_DIGITS = 19
"""So many always fit 64 bits."""
_OF_STAT = 8
"""Numbers that a line READ or WRITE has at least."""
_MOUNT = {"mountpoint": "where it is mounted", "serverexport": "SERVER:PATH"}
_READ_WRITE = {
    "retrans": Field("uint", "1", "sent again", counter=True),
    "bytes": Field("uint", "bytes", "sent and received", counter=True),
    "rtt": Field("uint", "ms", "from the request to its answer", counter=True),
    "exe": Field("uint", "ms", "from the call to its end", counter=True),
    "rtt_per_op": Field("float", "ms", "rtt of one operation"),
}


def _counted(names: Sequence[str]) -> dict[str, Field]:
    units = {"bytes": "bytes", "_time": "ms", "_sent": "bytes", "_recv": "bytes"}
    return {
        name: Field("uint", next((unit for end, unit in units.items() if name.endswith(end)), "1"), name, counter=True)
        for name in names
    }


class NfsClient(Input[NfsClientOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "nfsstat",
            "Reads and writes of each mount.",
            tags=_MOUNT | {"operation": "READ or WRITE"},
            fields=counters("uint", "1", ops="operations") | _READ_WRITE,
        ),
        Measurement(
            "nfs_events", "With fullstat: events, as the kernel names them.", tags=_MOUNT, fields=_counted(_EVENTS)
        ),
        Measurement("nfs_bytes", "With fullstat: bytes read and written.", tags=_MOUNT, fields=_counted(_BYTES)),
        Measurement("nfs_xprt_tcp", "With fullstat: the transport.", tags=_MOUNT, fields=_counted(_TCP)),
        Measurement("nfs_xprt_udp", "With fullstat: the transport.", tags=_MOUNT, fields=_counted(_UDP)),
        Measurement(
            "nfs_ops",
            "With fullstat: each operation; READ and WRITE have the fields of nfsstat, too.",
            tags=_MOUNT | {"operation": "its name"},
            fields=_counted(_OPERATION) | _READ_WRITE,
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._included = _compiled(options.include_mounts, "include_mounts")
        self._excluded = _compiled(options.exclude_mounts, "exclude_mounts")
        excluded = set(options.exclude_operations)
        self._operations = {
            version: set(options.include_operations or names) - excluded
            for version, names in (("3", _OF_3), ("4", _OF_4))
        }

    def gather(self, acc: Accumulator) -> None:
        path = os.environ.get("MOUNT_PROC") or "/proc/self/mountstats"
        mount = export = version = ""
        wanted = False
        known = False
        silent: Row | None = None
        """The line of a mount that nothing was read of."""
        for row in read_rows(path, whole=True):
            words = row.words
            if words[0] == "device":
                if silent:
                    silent.fail("it has no READ and no WRITE")
                known = True
            if len(words) > 4 and "fstype" in words and ("nfs" in words or "nfs4" in words):
                export, mount = words[1], words[4]
                wanted = self._wanted(mount)
                silent = row if wanted else None
            elif len(words) > 5 and ("(nfs)" in words or "(nfs4)" in words):
                version = words[5].partition("/")[2].partition("/")[0]
            if mount and wanted and len(words) > 1:
                self._add(acc, row, {"mountpoint": mount, "serverexport": export}, version)
                silent = None if words[0] in ("READ:", "WRITE:") else silent
        if silent:
            silent.fail("it has no READ and no WRITE")
        if not known:
            raise PyagentError(f"cannot read {path}: it has no line that begins with device")

    def _wanted(self, mount: str) -> bool:
        if self._included and not any(one.search(mount) for one in self._included):
            return False
        return not any(one.search(mount) for one in self._excluded)

    def _add(self, acc: Accumulator, row: Row, tags: dict[str, str], version: str) -> None:
        for place, word in enumerate(row.words):
            if len(word) > _SAFE_DIGITS and word.isdecimal():
                row.unsigned(place)  # a file with such a number is to be trusted in nothing
        name = row.words[0].replace(":", "", 1)
        found: dict[str, Uint | float] = {}
        if name in ("READ", "WRITE"):
            numbers = _numbers(row, 1)
            if len(numbers) < _OF_STAT:
                row.fail(f"it has {len(numbers)} numbers, and not {_OF_STAT} or more")
            found = _read_write(numbers)
            acc.add("nfsstat", found, tags | {"operation": name})
        if not self.options.fullstat:
            return
        if name == "events":
            self._whole(acc, row, "nfs_events", _EVENTS, 1, tags)
        elif name == "bytes":
            self._whole(acc, row, "nfs_bytes", _BYTES, 1, tags)
        elif name == "xprt" and row.words[1] in ("tcp", "udp"):
            # Behind the protocol stands the port.
            tcp = row.words[1] == "tcp"
            self._whole(acc, row, "nfs_xprt_tcp" if tcp else "nfs_xprt_udp", _TCP if tcp else _UDP, 3, tags)
        if name in self._operations.get(version, ()):
            numbers = _numbers(row, 1)
            if len(numbers) <= len(_OPERATION):
                found |= zip(_OPERATION, numbers, strict=False)
                acc.add("nfs_ops", found, tags | {"operation": name})

    def _whole(
        self, acc: Accumulator, row: Row, measurement: str, names: Sequence[str], start: int, tags: dict[str, str]
    ) -> None:
        """A line with a number for each name; older kernels have fewer, and then it is left out."""
        numbers = _numbers(row, start)
        if len(numbers) >= len(names):
            acc.add(measurement, dict(zip(names, numbers, strict=False)), tags)


def _numbers(row: Row, start: int) -> list[Uint]:
    return row.all_unsigned(start, len(row.words))


def _read_write(numbers: Sequence[Uint]) -> dict[str, Uint | float]:
    ops, rtt = numbers[0], numbers[6]
    most = (1 << 64) - 1
    return {
        "ops": ops,
        # As the kernel's own counters they go round.
        "retrans": Uint((numbers[1] - ops) & most),
        "bytes": Uint((numbers[3] + numbers[4]) & most),
        "rtt": rtt,
        "exe": numbers[7],
        "rtt_per_op": rtt / ops if ops else 0.0,
    }


def _compiled(patterns: Sequence[str], name: str) -> list[Regex]:
    try:
        return [compile_regex(pattern) for pattern in patterns]
    except ValueError as error:
        raise ConfigError(f"cannot use {name}: {error}", option=name) from None

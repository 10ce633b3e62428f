"""Processor time, memory, files of single processes.

Linux: /proc/PID, and netlink for sockets. Names and types are those of Telegraf 1.40.
"""

import os
from collections.abc import Iterable
from typing import Annotated, Any

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
    counters,
    fields,
    option,
)
from pyagent.kit.command import Commands, find_program
from pyagent.kit.once import Once
from pyagent.kit.regex import Regex
from pyagent_plugins.inputs.procstat.filters import Filter, FilterOptions, regex_of
from pyagent_plugins.inputs.procstat.finders import (
    Finder,
    Group,
    Native,
    Pgrep,
    cgroups,
    pid_of_file,
    supervised,
    systemd_main,
)
from pyagent_plugins.inputs.procstat.processes import Processes, Values
from pyagent_plugins.inputs.procstat.sockets import PROTOCOLS, Sockets

__all__ = ["Procstat", "ProcstatOptions"]

_TIMEOUT = 30.0
"""Seconds for pgrep, systemctl and supervisorctl, which are short."""
_SELECTORS = (*("supervisor_units", "systemd_unit", "win_service", "cgroup", "pid_file", "exe", "pattern", "user"),)
"""The first one that is set counts."""
_PROPERTIES = ("cpu", "limits", "memory", "mmap", "sockets")
_USUAL = ["cpu", "memory", "mmap"]
_TAGS = ("cmdline", "pid", "ppid", "status", "user", "child_level", "parent_pid", "level")
_OF_PROCESSES = ("cmdline", "ppid", "status", "user")
_OF_SOCKETS = ("protocol", "state", "src", "src_port", "dest", "dest_port", "name")


class ProcstatOptions(Options, frozen=True):
    pid_file: Annotated[str, option("file that holds the number of the process", reads_path=True)] = ""
    exe: Annotated[str, option("regular expression for the name (pgrep) or the path of the program (native)")] = ""
    pattern: Annotated[str, option("regular expression for the command line")] = ""
    user: Annotated[str, option("account that they run for")] = ""
    systemd_unit: Annotated[str, option("main process of this unit of systemd")] = ""
    include_systemd_children: Annotated[bool, option("all processes of the unit, which may have wildcards then")] = (
        False
    )
    cgroup: Annotated[
        str, option("processes of control groups: a path, or one below /sys/fs/cgroup, wildcards allowed")
    ] = ""
    supervisor_units: Annotated[list[str], option("children of these units of supervisor")] = []
    win_service: Annotated[str, option("service of Windows; there is none here")] = ""
    process_name: Annotated[str, option("value of the tag process_name (empty: the name of the process)")] = ""
    prefix: Annotated[str, option("what names of fields begin with, before a _")] = ""
    mode: Annotated[str, option("cpu_usage: irix, percent of one processor; solaris, of all of them")] = "irix"
    tag_with: Annotated[
        list[str],
        option(
            "what is a tag and no field: cmdline, pid, ppid, status, user; of sockets protocol, state, src, src_port, dest,"
            " dest_port, name; and level, how far below what a filter selects"
        ),
    ] = []
    properties: Annotated[
        list[str] | None,
        option(
            "what to report: cpu, limits, memory, mmap (costly), sockets (unset: cpu, memory and mmap; []: none of them)"
        ),
    ] = None
    socket_protocols: Annotated[list[str], option("which sockets: all, or some of tcp4, tcp6, udp4, udp6, unix")] = []
    pid_finder: Annotated[str, option("pgrep, or native: by /proc, which costs less")] = "pgrep"
    filter: Annotated[
        list[FilterOptions], option("which processes, instead of the options above; several are allowed")
    ] = []

    def remarks(self) -> Iterable[tuple[str, str]]:
        if self.win_service or any(each.win_services or each.win_service for each in self.filter):
            yield "win_service", "selects nothing: there are no services of Windows here; remove it"


_LOOKUP = {"result": "success, or lookup_error"}


class Procstat(Input[ProcstatOptions]):
    about = About(platforms=("linux",))
    measurements = (
        Measurement(
            "procstat",
            "One process. With `prefix` the names begin with it. `num_fds` is unsigned with `limits`, and has a sign without."
            " A field that cannot be read, for lack of rights, is left out.",
            tags={
                "process_name": "its name, or what the option says",
                "filter": "name of the filter, where there are some",
                "exe": "the option, where that selects; likewise cgroup, pattern, pidfile, systemd_unit, user",
            },
            fields=fields(
                "float",
                "s",
                cpu_time_user="processor time in programs",
                cpu_time_system="processor time in the kernel",
                cpu_time_iowait="time it waited for disks",
            )
            | {
                "cpu_usage": Field("float", "percent", "processor time since the last gather"),
                "memory_usage": Field("float", "percent", "of the memory of the host"),
                "created_at": Field("int", "ns", "when it was started, since 1970"),
                "pid": Field("int", "1", "its number"),
                "ppid": Field("int", "1", "number of its parent"),
                "cmdline": Field("str", "", "its command line"),
                "status": Field("str", "", "blocked, idle, lock, running, sleep, stop, wait or zombie"),
                "user": Field("str", "", "account it runs for"),
                "num_threads": Field("int", "1", "its threads"),
            }
            | counters(
                "int",
                "1",
                voluntary_context_switches="times it waited for something",
                involuntary_context_switches="times it was interrupted",
            )
            | counters(
                "uint",
                "1",
                minor_faults="page faults without a disk",
                major_faults="page faults with one",
                child_minor_faults="the same of children that ended",
                child_major_faults="the same of children that ended",
                read_count="calls to read",
                write_count="calls to write",
            )
            | counters(
                "uint",
                "bytes",
                read_bytes="read, also from caches",
                write_bytes="written, also to caches",
                disk_read_bytes="read from disks",
                disk_write_bytes="written to disks",
            )
            | fields("uint", "bytes", memory_rss="memory it has", memory_vms="memory it could use")
            | fields(
                "uint",
                "KiB",
                memory_size="of its mappings (0 since Linux 4.15)",
                memory_pss="memory it has, its part of what is shared",
                memory_shared_clean="shared and unchanged",
                memory_shared_dirty="shared and changed",
                memory_private_clean="its own and unchanged",
                memory_private_dirty="its own and changed",
                memory_referenced="used of late",
                memory_anonymous="of no file",
                memory_swap="swapped out",
            ),
            open=True,
            charts=(
                Chart("Processor time of processes", ("cpu_usage",)),
                Chart("Memory of processes", ("memory_rss",)),
            ),
        ),
        Measurement(
            "procstat_lookup",
            "What a selection found. It has the tags of what was selected, too.",
            tags={**_LOOKUP, "pid_finder": "pgrep or native; without filters", "filter": "name of the filter"},
            fields=fields(
                "int",
                "1",
                pid_count="processes that were selected",
                running="those of them that run",
                result_code="0: success; 1: lookup_error",
                level="with tag_with level: of which generation of children",
            ),
            open=True,
        ),
        Measurement(
            "procstat_socket",
            "One socket of a process; it has the tags of the process.",
            tags={"process_name": "name of the process"},
            fields=fields("str", "", protocol="tcp4, tcp6, udp4, udp6 or unix", state="established, listen and so on")
            | fields(
                "str",
                "",
                src="address",
                dest="address of the other end",
                name="of a unix socket",
                type="of a unix socket",
            )
            | fields("int", "1", pid="number of the process")
            | fields(
                "uint",
                "1",
                src_port="port",
                dest_port="port of the other end",
                inode="its number",
                peer="of the other end",
            )
            | fields("uint", "bytes", rx_queue="received and not read", tx_queue="sent and not acknowledged")
            | counters("uint", "bytes", bytes_received="received", bytes_sent="sent")
            | fields("uint", "1", lost="segments lost", retransmits="segments sent again"),
            open=True,
        ),
    )
    compares = True

    def setup(self) -> None:
        options = self.options
        self._properties = _USUAL if options.properties is None else options.properties
        self._check()
        self._once = Once()
        self._commands = Commands(timeout=_TIMEOUT, timeout_option="")
        self._prefix = f"{options.prefix}_" if options.prefix else ""
        self._names: dict[str, str] = {}
        self._shares = os.cpu_count() or 1 if options.mode.lower() == "solaris" else 1
        self._processes = Processes(self._properties, self._warn)
        self._protocols: tuple[str, ...] = ()
        if "sockets" in self._properties:
            self._protocols = (
                PROTOCOLS if "all" in (options.socket_protocols or ["all"]) else tuple(options.socket_protocols)
            )
        self._tagged = [name for name in _OF_PROCESSES if name in options.tag_with]
        self._sockets_tagged = [name for name in _OF_SOCKETS if name in options.tag_with]
        self._filters = [Filter(each, self._processes, self._commands, self._warn) for each in options.filter]
        self._selector = next((name for name in _SELECTORS if getattr(options, name)), "")
        if self._filters:
            if self._selector:
                raise ConfigError(
                    "cannot operate in mixed mode with filters and old-style config; move the option into a filter",
                    option=self._selector,
                )
            return
        if not self._selector:
            raise ConfigError("require filter option but none set; set one of " + ", ".join(_SELECTORS))
        self._finder = options.pid_finder or "pgrep"
        self._regex: Regex | None = None
        self._find: Finder
        if self._finder == "native":
            self._find = Native(self._processes)
            if self._selector in ("exe", "pattern"):
                self._regex = regex_of(getattr(options, self._selector), self._selector)
        elif self._finder == "pgrep":
            program = find_program("pgrep", package="procps")
            self._find = Pgrep(program, self._commands)
        else:
            raise ConfigError(
                f"has pid_finder {self._finder!r}, which there is not; there are pgrep and native", option="pid_finder"
            )

    def gather(self, acc: Accumulator) -> None:
        # In a thread of its own: a host may have thousands of processes.
        self._processes.begin()
        sockets = Sockets()
        if not self._filters:
            self._gather_selected(acc, sockets)
            return
        problems = []
        for each in self._filters:
            try:
                groups = each.groups()
            except PyagentError as error:
                _add_lookup(acc, {"filter": each.name}, 0, 0, failed=True)
                problems.append(f"applying filter {each.name!r} failed: {error}")
                continue
            running: set[int] = set()
            leveled = "level" in self.options.tag_with
            for group in groups:
                tags = {**group.tags, "filter": each.name, "level": str(group.level) if leveled else ""}
                self._add_group(acc, group.pids, tags, running, sockets)
                if leveled:
                    tags = {"filter": each.name}
                    _add_lookup(acc, tags, len(group.pids), len(running), level=group.level)
            _add_lookup(acc, {"filter": each.name}, sum(len(group.pids) for group in groups), len(running))
        if problems:
            raise PyagentError("; ".join(problems))

    async def stop(self) -> None:
        self._commands.stop()

    def _check(self) -> None:
        options = self.options
        for name in options.tag_with:
            if name in _OF_SOCKETS and "sockets" not in self._properties:
                raise ConfigError(
                    f"socket tagging option {name!r} specified without sockets enabled; add sockets to properties",
                    option="tag_with",
                )
            if name not in (*_TAGS, *_OF_SOCKETS):
                raise ConfigError(
                    f"invalid 'tag_with' setting {name!r}; there are {', '.join(_TAGS)}", option="tag_with"
                )
        for name in self._properties:
            if name not in _PROPERTIES:
                known = ", ".join(_PROPERTIES)
                raise ConfigError(f"invalid 'properties' setting {name!r}; there are {known}", option="properties")
        if "sockets" not in self._properties:
            return
        protocols = options.socket_protocols
        for name in protocols:
            if name not in ("all", *PROTOCOLS):
                raise ConfigError(
                    f"invalid 'socket_protocol' setting {name!r}; there are all, {', '.join(PROTOCOLS)}",
                    option="socket_protocols",
                )
        if "all" in protocols and len(protocols) > 1:
            raise ConfigError(
                "additional 'socket_protocol' settings besides 'all' are not allowed; remove them",
                option="socket_protocols",
            )
        if len(set(protocols)) < len(protocols):
            raise ConfigError("duplicate 'socket_protocol' setting; name each once", option="socket_protocols")

    def _gather_selected(self, acc: Accumulator, sockets: Sockets) -> None:
        by = {"pid_finder": self._finder}
        try:
            groups = self._select()
        except PyagentError:
            _add_lookup(acc, by, 0, 0, failed=True)
            raise
        running: set[int] = set()
        count = 0
        tags = dict(by)
        for group in groups:
            tags |= group.tags
            count += len(group.pids)
            named = {**group.tags, "process_name": self.options.process_name}
            self._add_group(acc, group.pids, named, running, sockets)
        if self.options.supervisor_units:
            tags["supervisor_unit"] = ";".join(self.options.supervisor_units)
        _add_lookup(acc, tags, count, len(running))

    def _select(self) -> list[Group]:
        """Raises PyagentError."""
        options, find = self.options, self._find
        match self._selector:
            case "supervisor_units":
                return self._supervised()
            case "systemd_unit":
                if options.include_systemd_children:
                    # The first is where systemd has them beside control groups of version 1.
                    old = cgroups("systemd/system.slice")
                    return cgroups(f"{'systemd/' if old else ''}system.slice/{options.systemd_unit}")
                pids = systemd_main(self._commands, options.systemd_unit)
                return [Group(pids, {"systemd_unit": options.systemd_unit})]
            case "cgroup":
                return cgroups(options.cgroup)
            case "pid_file":
                return [Group([pid_of_file(options.pid_file)], {"pidfile": options.pid_file})]
            case "exe":
                return [Group(find.by_name(options.exe, self._regex), {"exe": options.exe})]
            case "pattern":
                return [Group(find.by_command(options.pattern, self._regex), {"pattern": options.pattern})]
            case "user":
                return [Group(find.by_user(options.user), {"user": options.user})]
        raise PyagentError("os not supporting win_service option; remove it")

    def _supervised(self) -> list[Group]:
        pattern = self.options.pattern
        told = {tags["supervisor_unit"]: (tags, pid) for tags, pid in self._told()}
        groups = []
        for unit in self.options.supervisor_units:
            tags, pid = told.get(unit, ({}, None))
            if pid is None:
                groups.append(Group([], tags))
            elif pids := self._find.children(pid):
                groups.append(Group(pids, {**tags, "pattern": pattern, "parent_pid": pattern}))
        return groups

    def _told(self) -> list[tuple[dict[str, str], int | None]]:
        return supervised(self._commands, " ".join(self.options.supervisor_units))

    def _add_group(
        self, acc: Accumulator, pids: list[int], tags: dict[str, str], running: set[int], sockets: Sockets
    ) -> None:
        tags = {name: value for name, value in tags.items() if value}
        pid_tag = "pid" in self.options.tag_with
        for pid in pids:
            process = self._processes.process(pid)
            if process is None:
                continue
            running.add(pid)
            values = self._named(process.values)
            own = {"process_name": process.name, **tags}
            if pid_tag:
                own["pid"] = str(pid)
            else:
                values["pid"] = pid
            for name in self._tagged:
                if (value := values.pop(self._prefix + name, None)) is not None:
                    own[name] = str(value)
            acc.add("procstat", values, own)
            for protocol in self._protocols:
                try:
                    for one in sockets.of(pid, protocol):
                        tagged = {name: str(one.pop(name)) for name in self._sockets_tagged if name in one}
                        acc.add("procstat_socket", one, {**own, **tagged})
                except PyagentError as error:
                    self._warn(error)

    def _named(self, values: Values) -> dict[str, Any]:
        if self._shares > 1 and "cpu_usage" in values:
            values = {**values, "cpu_usage": values["cpu_usage"] / self._shares}
        if not self._prefix:
            return dict(values)
        return {self._prefix + name: value for name, value in values.items()}

    def _warn(self, error: PyagentError) -> None:
        """Once for each kind of fault, whatever the process."""
        if self._once(str(error).rpartition(": ")[2]):
            self.log.warning("%s", error)


def _add_lookup(
    acc: Accumulator, tags: dict[str, str], count: int, running: int, *, failed: bool = False, level: int | None = None
) -> None:
    values = {"pid_count": count, "running": running, "result_code": int(failed)}
    if level is not None:
        values["level"] = level
    tags = {name: value for name, value in tags.items() if value}
    acc.add("procstat_lookup", values, {**tags, "result": "lookup_error" if failed else "success"})

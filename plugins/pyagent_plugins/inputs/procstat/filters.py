"""The tables `[[inputs.procstat.filter]]`: services, what their processes must be, and the children of these."""

from collections.abc import Callable
from typing import Annotated

from pyagent.api import ConfigError, Options, PyagentError, option
from pyagent.kit.command import Commands
from pyagent.kit.glob import Matcher, compile_patterns
from pyagent.kit.regex import Regex, compile_regex
from pyagent_plugins.inputs.procstat.finders import Group, cgroups, matches, pid_of_file, supervised, systemd_units
from pyagent_plugins.inputs.procstat.processes import Processes

__all__ = ["Filter", "FilterOptions", "regex_of"]


class FilterOptions(Options, frozen=True):
    name: Annotated[str, option("value of the tag filter")] = ""
    pid_files: Annotated[list[str], option("files that hold the number of a process", reads_path=True)] = []
    systemd_units: Annotated[list[str], option("main processes of these units, wildcards allowed")] = []
    cgroups: Annotated[
        list[str], option("processes of these control groups, paths or below /sys/fs/cgroup, wildcards allowed")
    ] = []
    supervisor_units: Annotated[list[str], option("children of these units of supervisor")] = []
    win_services: Annotated[list[str], option("services of Windows; there are none here")] = []
    win_service: Annotated[list[str], option("the same, as the sample has it")] = []
    patterns: Annotated[list[str], option("regular expressions, one of which the command line matches")] = []
    users: Annotated[list[str], option("accounts that they run for, wildcards allowed")] = []
    executables: Annotated[list[str], option("paths of their programs, wildcards allowed")] = []
    process_names: Annotated[list[str], option("their names, wildcards allowed")] = []
    recursion_depth: Annotated[int, option("add their children, so many generations (-1: all)")] = 0


_SERVICES = ("pid_files", "cgroups", "systemd_units", "supervisor_units", "win_services")


class Filter:
    """One of the tables. Raises ConfigError for one that cannot be. `problem` is called with what costs one process only."""

    def __init__(
        self, options: FilterOptions, processes: Processes, commands: Commands, problem: Callable[[PyagentError], None]
    ) -> None:
        if not options.name:
            raise ConfigError("a filter must be named; set its `name`", option="filter")
        active = [name for name in _SERVICES if getattr(options, name)]
        if len(active) > 1:
            raise ConfigError(
                f"filter {options.name!r} cannot select by {' and '.join(active)} at once; make a filter for each",
                option="filter",
            )
        self.name = options.name
        self._options = options
        self._processes = processes
        self._commands = commands
        self._problem = problem
        self._regexes = [regex_of(pattern, "patterns") for pattern in options.patterns]
        self._tests = [
            (_matcher(patterns, name), text_of)
            for name, patterns, text_of in (
                ("users", options.users, processes.user),
                ("executables", options.executables, processes.executable),
                ("process_names", options.process_names, processes.name),
            )
            if patterns
        ]

    def groups(self) -> list[Group]:
        """Raises PyagentError."""
        groups = [Group([pid for pid in group.pids if self._passes(pid)], group.tags) for group in self._of_services()]
        previous, depth = groups, 0
        parents = self._processes.parents() if self._options.recursion_depth and any(g.pids for g in groups) else {}
        seen = {pid for group in groups for pid in group.pids}
        while depth != self._options.recursion_depth and previous:
            depth += 1
            below = []
            for group in previous:
                for pid in group.pids:
                    children = parents.get(pid, [])
                    if self._options.recursion_depth < 0:
                        # A process that got the number of another while they were read could be its own ancestor.
                        children = [child for child in children if child not in seen]
                        seen.update(children)
                    if children:
                        below.append(Group(children, group.tags | {"parent_pid": str(pid)}, depth))
            groups = groups + below
            previous = below
        return groups

    def _of_services(self) -> list[Group]:
        options = self._options
        if options.pid_files:
            return [self._of_file(path) for path in options.pid_files]
        if options.cgroups:
            return [group for pattern in options.cgroups for group in cgroups(pattern)]
        if options.systemd_units:
            return systemd_units(self._commands, options.systemd_units)
        if options.supervisor_units:
            groups = []
            parents = self._processes.parents()
            for tags, pid in supervised(self._commands, " ".join(options.supervisor_units).strip()):
                if pid is None:
                    groups.append(Group([], tags))
                else:
                    groups.append(Group(parents.get(pid, []), tags | {"parent_pid": str(pid)}))
            return groups
        if options.win_services or options.win_service:
            return []
        return [Group(self._processes.pids())]

    def _of_file(self, path: str) -> Group:
        pid = pid_of_file(path)
        if self._processes.exists(pid):
            return Group([pid], {"pidfile": path})
        self._problem(PyagentError(f"cannot find process {pid} of file {path}: it does not run"))
        return Group([], {"pidfile": path})

    def _passes(self, pid: int) -> bool:
        for wanted, text_of in self._tests:
            text = text_of(pid)
            if not text or not wanted(text):
                return False
        if not self._regexes:
            return True
        line = self._processes.command_line(pid)
        return line is not None and any(matches(regex, line) for regex in self._regexes)


def regex_of(pattern: str, name: str) -> Regex:
    """Raises ConfigError."""
    try:
        return compile_regex(pattern)
    except ValueError as error:
        raise ConfigError(f"cannot use {name} {pattern!r}: {error}", option=name) from None


def _matcher(patterns: list[str], name: str) -> Matcher:
    try:
        return compile_patterns(patterns)
    except ValueError as error:
        raise ConfigError(f"cannot use {name}: {error}", option=name) from None

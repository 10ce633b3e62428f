"""What is on this host: the unit and its files, the agent that runs, another that does the same, the journal."""

import errno
import os
import pwd
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyagent.api.units import counted
from pyagent.cli.doctor.findings import Report
from pyagent.cli.terminal import span
from pyagent.runtime.environment_files import EnvironmentFile, environment_files

__all__ = [
    "Unit",
    "look_at_agent",
    "look_at_files",
    "look_at_journal",
    "look_at_readers",
    "look_at_unit",
    "look_for_others",
    "look_for_telegraf",
]

RUNNING_SYSTEMD = Path("/run/systemd/system")
"""There where systemd is what runs the host."""
PROC = Path("/proc")
ROOT = ""
"""What stands before the paths of environment files; tests set these."""
LINES = 400
"""Of the journal, the last ones."""
SHOWN = 5
_ERROR = re.compile(r"(?<!\S)E! (.*)")
_LOW_SPACE = 64 << 20


@dataclass(slots=True)
class Unit:
    """What systemd says of an instance."""

    name: str
    known: bool = False
    """systemd runs here, and has the unit."""
    active: str = ""
    enabled: str = ""
    pid: int = 0
    user: str = ""
    restarts: int = 0
    result: str = ""
    environment: set[str] = field(default_factory=set)
    """Names of the running process's variables, where it may be looked at."""

    @property
    def running(self) -> bool:
        return self.active == "active"


def look_at_files(report: Report, instance: str) -> dict[str, str]:
    """The settings of the instance's environment files."""
    settings: dict[str, str] = {}
    files = environment_files(instance)
    report.about = f"environment of pyagent@{instance}"
    for file in files:
        if file.problem == "not there":
            continue
        if file.problem:
            remedy = f"ls -ld {shlex.quote(file.path)}; it must be a file that root may read"
            if os.geteuid() and file.problem == os.strerror(errno.EACCES):
                remedy = f"run it as root: sudo pyagent doctor {instance}"
            report.failed("environment", f"cannot read {file.path}: {file.problem}", remedy)
            continue
        settings |= {one.name: one.value for one in file.settings}
        for number in file.left_out:
            report.failed(
                "environment", f"{file.path}:{number}: this line is not understood and left out", "write NAME=VALUE"
            )
        if names := ", ".join(dict.fromkeys(one.name for one in file.settings)):
            report.ok("environment", f"{file.path} sets {names}")
        else:
            report.note("environment", f"{file.path} sets nothing")
        _look_at_rights(report, file)
    if all(file.problem == "not there" for file in files):
        paths = " nor ".join(file.path for file in files)
        report.failed(
            "environment",
            f"neither {paths} is there",
            f"write TELEGRAF_CONFIG=URL and INFLUX_TOKEN=... into {files[-1].path}, or: pyagent provision {instance}",
        )
    elif not settings and all(file.problem in ("", "not there") for file in files):
        report.failed(
            "environment",
            "no variable is set, so there is no configuration",
            f"write TELEGRAF_CONFIG=URL and INFLUX_TOKEN=... into {files[-1].path}",
        )
    return settings


def _look_at_rights(report: Report, file: EnvironmentFile) -> None:
    secret = any(re.search("TOKEN|PASSWORD|SECRET|KEY", one.name) for one in file.settings)
    try:
        mode = os.stat(file.path).st_mode
    except OSError:
        return
    if secret and mode & stat.S_IROTH:
        report.warning(
            "environment", f"{file.path} holds a secret, and everybody may read it", f"chmod 0600 {file.path}"
        )


def look_at_unit(report: Report, instance: str) -> Unit:
    """Whether it runs, and with what is in the files now."""
    unit = _unit(f"pyagent@{instance}.service")
    report.about = unit.name
    if not unit.known:
        report.skipped("unit", "systemd does not run here, or has no such unit (sudo make install)")
        return unit
    if unit.running:
        report.ok("unit", f"it runs, process {unit.pid}, {unit.enabled or 'not enabled'}")
        if unit.enabled not in ("enabled", "enabled-runtime", "static"):
            report.note("unit", "it does not start with the host", f"systemctl enable {unit.name}")
    elif unit.active == "activating":
        report.warning("unit", f"it is starting, after {unit.restarts} restarts", f"journalctl -u {unit.name} -n 20")
    else:
        what = f"it does not run ({unit.active or 'unknown'}" + (
            f", {unit.result})" if unit.result != "success" else ")"
        )
        report.warning("unit", what, f"systemctl enable --now {unit.name}")
    if unit.environment:
        names = dict.fromkeys(one.name for file in environment_files(instance) for one in file.settings)
        missing = [name for name in names if name not in unit.environment]
        if missing:
            report.failed(
                "unit",
                f"the running agent does not have {', '.join(missing)}, which the files set now",
                f"systemctl restart {unit.name}",
            )
    return unit


def _unit(name: str) -> Unit:
    unit = Unit(name)
    if not RUNNING_SYSTEMD.is_dir() or shutil.which("systemctl") is None:
        return unit
    names = "LoadState,ActiveState,UnitFileState,MainPID,User,NRestarts,Result"
    shown = _output(["systemctl", "show", name, "-p", names])
    values = dict(line.partition("=")[::2] for line in shown.splitlines())
    unit.known = values.get("LoadState") == "loaded"
    unit.active, unit.enabled = values.get("ActiveState", ""), values.get("UnitFileState", "")
    unit.pid, unit.restarts = int(values.get("MainPID") or 0), int(values.get("NRestarts") or 0)
    unit.user, unit.result = values.get("User", ""), values.get("Result", "")
    if unit.pid:
        text = _text(Path(f"/proc/{unit.pid}/environ"))  # empty where it is another's, and we are not root
        unit.environment = {entry.partition("=")[0] for entry in text.split("\0") if entry}
    return unit


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=False)  # noqa: S603  # ours
        return done.stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # it has ended


def look_at_readers(report: Report, paths: Iterable[str], user: str) -> None:
    """Whether the unit's account may read the files that the configuration is made of."""
    try:
        account = pwd.getpwnam(user)
        groups = set(os.getgrouplist(user, account.pw_gid))
    except (KeyError, OSError):
        return
    for path in paths:
        if place := _unreadable(Path(path), account.pw_uid, groups):
            kind = "folder" if place.is_dir() else "file"
            report.about = path
            report.failed(
                "rights",
                f"the account {user} of the unit may not read the {kind} {place}",
                f"chgrp {user} {place} && chmod g+r{'x' if kind == 'folder' else ''} {place}",
            )


def _unreadable(path: Path, uid: int, groups: set[int]) -> Path | None:
    """The first folder that cannot be passed, or the file that cannot be read."""
    if uid == 0:
        return None
    for place in (*reversed(path.resolve().parents), path):
        try:
            status = place.stat()
        except OSError:
            return None  # loading it says why
        wanted = stat.S_IXOTH if place.is_dir() else stat.S_IROTH
        shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
        if not status.st_mode & (wanted << shift):
            return place
    return None


def look_at_agent(report: Report, status: Mapping[str, Any] | None, why: str) -> None:
    """What the running agent says of itself; `why` it could not be asked."""
    if status is None:
        report.skipped("agent", why)
        return
    report.ok("agent", f"it runs for {span(status['uptime_seconds'])}, version {status['version']}")
    configuration = status["configuration"]
    if configuration["last_reload_error"]:
        report.failed(
            "agent", f"the last reload was refused: {configuration['last_reload_error']}", "correct it, and reload"
        )
    if configuration["from_cache"]:
        report.warning("agent", "it runs with the last good copy: the configuration's URL did not answer at its start")
    for one in status["inputs"]:
        if one["error"]:
            report.failed("agent", f"{one['name']}: {one['error']}")
    for one in status["outputs"]:
        if one["error"]:
            waiting = counted(one["queued"], "metric waits", "metrics wait", separator=",")
            waits = f"; {waiting}, the oldest for {span(one['oldest_age_seconds'])}"
            report.failed("agent", f"{one['name']}: {one['error']}{waits}")
        elif 2 * one["queued"] > one["limit"]:
            report.warning(
                "agent", f"{one['name']}: {one['queued']:,} of {one['limit']:,} metrics wait", "is its server slow?"
            )
        if one["dropped"]:
            report.warning(
                "agent",
                f"{one['name']}: {counted(one['dropped'], 'metric', separator=',')} had no room since the start",
                'a larger metric_buffer_limit, or buffer_strategy = "disk", bridges longer outages',
            )
    if kept := status.get("quarantine", {}).get("metrics"):
        were = counted(
            kept, "metric was refused for good, and is", "metrics were refused for good, and are", separator=","
        )
        why = f", the last ones for: {status['refused']}" if status.get("refused") else ""
        name = status.get("instance", "NAME")
        report.warning(
            "agent",
            f"{were} kept{why}",
            f"mend the cause, then: pyagent quarantine retry all {name}, or: pyagent quarantine drop all {name}",
        )


def look_at_state(report: Report, directory: Path | None) -> None:
    """Whether what is not written can be kept."""
    if directory is None:
        return
    report.about = str(directory)
    try:
        room = shutil.disk_usage(directory).free
    except OSError as error:
        report.warning("state", f"cannot look at the state directory: {error.strerror}", "make it, or start the unit")
        return
    if room < _LOW_SPACE:
        report.warning("state", f"only {room >> 20} MiB are free for what is not written", "free some of the disk")
    else:
        report.ok("state", f"{room >> 20:,} MiB are free for what is not written")


def look_at_journal(report: Report, unit: Unit) -> None:
    """The last errors that the unit logged, each kind once."""
    if not unit.known or shutil.which("journalctl") is None:
        return
    report.about = f"journal of {unit.name}"
    text = _output(["journalctl", "-u", unit.name, "-n", str(LINES), "--no-pager", "-o", "cat"])
    errors = [match[1] for line in text.splitlines() if (match := _ERROR.search(line))]
    kinds = {re.sub(r"\d+", "#", error): error for error in errors}
    for error in list(kinds.values())[-SHOWN:]:
        report.note("journal", error[:300])
    if not kinds:
        report.ok("journal", "no errors in its last lines")


def look_for_telegraf(report: Report) -> None:
    """Telegraf, or this agent by that name, beside the instance: now, or from the next boot on."""
    report.about = "this host"
    ours = "an agent of this kind by the name of telegraf"
    running: dict[str, list[str]] = {"Telegraf": [], ours: []}
    for path in PROC.glob("[0-9]*/comm"):
        if _text(path).strip() == "telegraf":
            # A script's process has its interpreter first.
            program = os.path.basename(_text(path.with_name("cmdline")).partition("\0")[0])
            running[ours if program.startswith("python") else "Telegraf"].append(path.parent.name)
    for kind, processes in running.items():
        if processes:
            report.warning(
                "others",
                f"{kind} runs as well (process {', '.join(sorted(processes, key=int))}): what both gather is there twice",
                "systemctl disable --now telegraf, if this agent is to do its work",
            )
    if not any(running.values()) and _unit("telegraf.service").enabled == "enabled":
        report.warning(
            "others",
            "Telegraf does not run, and starts with the host: what both gather is there twice then",
            "systemctl disable telegraf, if this agent is to do its work",
        )


def look_for_others(report: Report, instance: str, configs: Sequence[str]) -> None:
    """Another instance of ours that runs the same configuration, or starts with the host."""
    ours = {part for config in configs for part in config.split(",") if part}
    if not ours:
        return
    report.about = "this host"
    names = {path.stem.removeprefix("telegraf-") for path in Path(f"{ROOT}/etc/telegraf").glob("telegraf-*.env")}
    names |= {path.stem for path in Path(f"{ROOT}/etc/pyagent").glob("*.env")}
    for name in sorted(names - {instance}):
        values = {one.name: one.value for file in environment_files(name) for one in file.settings}
        theirs = {
            part for key in ("TELEGRAF_CONFIG", "PYAGENT_CONFIG") for part in values.get(key, "").split(",") if part
        }
        unit = _unit(f"pyagent@{name}.service")
        if ours & theirs and (unit.running or unit.enabled == "enabled"):
            report.warning(
                "others",
                f"pyagent@{name} {'runs' if unit.running else 'starts with the host'} with the same configuration: every point "
                "is there twice",
                f"systemctl disable --now pyagent@{name}, or this one",
            )

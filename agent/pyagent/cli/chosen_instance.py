"""The instances of the unit, pyagent@NAME: which one is meant, which ones run, and what settings one of them has."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pyagent.api import PyagentError
from pyagent.cli.arguments import CommandParser
from pyagent.cli.instances import checked_instance

__all__ = [
    "InstanceError",
    "running_instances",
    "settings_of",
    "the_instance",
    "use_instance",
]

RUN = "/run/pyagent"
STATE = "/var/lib/pyagent"
ROOT = ""
"""What stands before the paths of environment files; tests set it."""
# What systemd gives to a service, or what concerns the terminal: all else of a shell's environment the unit does not see.
_KEPT = re.compile(r"PATH|TERM|COLUMNS|LINES|NO_COLOR|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|PYTHON\w*|SUDO_\w+")


class InstanceError(PyagentError):
    """No instance, or none that can be used. One line."""


def running_instances() -> list[str]:
    """The names of those that run, sorted. One that may not be looked at is one of them."""
    return sorted(filter(_runs, _folders()))


def _folders() -> Iterator[str]:
    try:
        with os.scandir(RUN) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return


def _runs(name: str) -> bool:
    try:
        os.stat(f"{RUN}/{name}/control.sock")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def the_instance(what: str) -> str:
    """The only one that runs. Raises InstanceError where there are none or several. `what`: the command, for the message."""
    found = running_instances()
    if len(found) == 1:
        return found[0]
    if not found:
        raise InstanceError("no agent runs as pyagent@NAME; start one with: systemctl start pyagent@NAME")
    raise InstanceError(f"several agents run: {', '.join(found)}; name one, such as: {what} --instance {found[0]}")


def settings_of(name: str, *, quiet: bool = False) -> Mapping[str, str]:
    """The environment that the unit gives to an instance. `quiet`: lines that are not understood are not told. Raises
    InstanceError where its files cannot be read, or where there is no such instance; PyagentError for a name that none can
    have."""
    from pyagent.runtime.environment_files import environment_files

    checked_instance(name)
    found: dict[str, str] = {}
    files = environment_files(name, ROOT)
    for file in files:
        if file.problem and file.problem != "not there":
            remedy = "; run it with sudo" if os.geteuid() else ""
            raise InstanceError(f"cannot read the settings of pyagent@{name}: {file.path}: {file.problem}{remedy}")
        for number in () if quiet else file.left_out:
            print(f"W! {file.path}:{number}: not understood and left out; write NAME=VALUE", file=sys.stderr)
        found |= {setting.name: setting.value for setting in file.settings}
    if all(file.problem for file in files) and name not in running_instances():
        paths = " nor ".join(file.path for file in files)
        raise InstanceError(f"there is no instance {name}: neither {paths} is there{_others()}")
    own = {
        "PYAGENT_INSTANCE": name,
        "STATE_DIRECTORY": f"{STATE}/{name}",
        "RUNTIME_DIRECTORY": f"{RUN}/{name}",
        "PYAGENT_ENVIRONMENT_FILES": " and ".join(map(str, files)),
        "HOME": _home(),
    }
    return {key: value for key, value in os.environ.items() if _KEPT.fullmatch(key)} | own | found


def _others() -> str:
    names = {path.stem.removeprefix("telegraf-") for path in Path(f"{ROOT}/etc/telegraf").glob("telegraf-*.env")}
    names |= {path.stem for path in Path(f"{ROOT}/etc/pyagent").glob("*.env")}
    return f"; there are {', '.join(sorted(names))}" if names else ""


def _home() -> str:
    import pwd

    try:
        return pwd.getpwnam("pyagent").pw_dir
    except KeyError:
        return "/"


def use_instance(parser: CommandParser, given: argparse.Namespace) -> None:
    """Where an instance is named, take its settings in place of this shell's. Where nothing says which configuration is meant,
    those of the only instance that runs. Ends the program where that cannot be done."""
    from pyagent.config import SourceError, default_sources

    try:
        name = given.instance
        if not name and not given.config and not given.config_directory and not os.environ.get("PYAGENT_INSTANCE"):
            try:
                found = default_sources(os.environ)
            except SourceError:
                return  # whoever reads them will say so
            if not found and running_instances():
                name = the_instance(f"{parser.prog}{_words(given)}")
                print(f"I! with the settings of pyagent@{name}, which runs", file=sys.stderr)
        if name:
            settings = settings_of(name)
            os.environ.clear()
            os.environ.update(settings)
    except PyagentError as error:
        print(f"E! {error}", file=sys.stderr)
        raise SystemExit(1) from None


def _words(given: argparse.Namespace) -> str:
    """The command again, as far as a hint needs it."""
    if action := getattr(given, "action", ""):
        return f" {action}"
    return "".join(f" --{flag}" for flag in ("test", "once") if getattr(given, flag, False))

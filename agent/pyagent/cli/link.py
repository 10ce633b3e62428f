"""`pyagent link --as telegraf`: a `telegraf` command that is this agent, for units and habits that name Telegraf."""

import argparse
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from pyagent.cli.arguments import CommandParser

_EPILOG = """\
  sudo pyagent link --as telegraf               `telegraf --config URL` runs this agent; so do units that name /usr/bin/telegraf
  sudo pyagent link --as telegraf --remove"""
ACCOUNT = "telegraf"
"""The account that Telegraf's units run as, and the name of its folder in /etc."""


class LinkError(Exception):
    """Why it cannot be done, and what to do."""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("--as", dest="name", default="", metavar="NAME", help="the command to be: telegraf")
    parser.add_argument("--remove", action="store_true", help="take the command away again")
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.name != "telegraf":
        arguments.parser.error("say which command it is to be: --as telegraf")
    root = Path(os.environ.get("PYAGENT_ROOT", "/"))  # tests set it
    try:
        lines = remove(root) if arguments.remove else link(root, Path(sys.argv[0]))
    except LinkError as error:
        print(f"E! {error}", file=sys.stderr)
        return 1
    except OSError as error:
        advice = "; use sudo" if os.geteuid() else ""
        print(f"E! cannot change {error.filename2 or error.filename}: {error.strerror}{advice}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def link(root: Path, program: Path) -> list[str]:
    """Make `usr/bin/telegraf` a link to `program`; returns what was done. Raises LinkError, OSError."""
    program = Path(shutil.which(str(program)) or program).absolute()
    if program.name != "pyagent" or not os.access(program, os.X_OK):
        raise LinkError(f"cannot link to {program}: it is not the installed program; run it as: sudo pyagent link ...")
    path = root / "usr/bin/telegraf"
    done = []
    if _is_ours(path):
        if path.readlink() == program:
            done.append(f"{path} is this agent already.")
        else:
            path.unlink()
    elif path.exists() or path.is_symlink():
        raise LinkError(f"cannot make {path}: Telegraf is installed there; remove it first (apt remove telegraf)")
    elif (other := shutil.which("telegraf")) and not _is_ours(Path(other)):
        raise LinkError(f"cannot make {path}: there is another telegraf, {other}; remove it first")
    if not done:
        path.symlink_to(program)
        done.append(f"{path} is this agent now.")
    if not _has_account():
        command = ["useradd", "--system", "--no-create-home", "--home-dir", f"/etc/{ACCOUNT}"]
        command += ["--shell", "/usr/sbin/nologin", ACCOUNT]
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # no input of others
        if made.returncode:
            raise LinkError(f"cannot make the account {ACCOUNT}: {' '.join(made.stderr.split())}")
        done.append(f"The account {ACCOUNT} was made: units of Telegraf run as it.")
    folder = root / "etc" / ACCOUNT
    if not folder.exists():
        folder.mkdir(mode=0o755, parents=True)
        done.append(f"{folder} was made, for the environment files of its units.")
    return [*done, "Undo it with: sudo pyagent link --as telegraf --remove"]


def remove(root: Path) -> list[str]:
    """Take the link away; account and folder stay, for files may belong to them. Raises LinkError, OSError."""
    path = root / "usr/bin/telegraf"
    if not path.is_symlink() and not path.exists():
        return [f"There is no {path}."]
    if not _is_ours(path):
        raise LinkError(f"cannot remove {path}: it is not a link to pyagent, but Telegraf itself")
    path.unlink()
    return [f"{path} is removed. The account {ACCOUNT} and /etc/{ACCOUNT} stay."]


def _is_ours(path: Path) -> bool:
    return path.is_symlink() and path.readlink().name == "pyagent"


def _has_account() -> bool:
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return False
    return True

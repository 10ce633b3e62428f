"""`pyagent provision`: what an agent needs at InfluxDB and on this host, from the terminal."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from pyagent.api import PyagentError, redact
from pyagent.cli import how_to_install
from pyagent.cli.arguments import CommandParser
from pyagent.cli.flags import add_plugin_directory_flag
from pyagent.cli.server_flags import RefusedSecret

ACTIONS = ("setup", "list", "show", "edit", "delete")
_EPILOG = """\
  pyagent provision                        asks step by step
  pyagent provision setup --url URL --org home --bucket monitoring-system --user admin
  pyagent provision ram --url URL --org home --bucket monitoring-system --input mem --start
  pyagent provision db --url URL --org home --bucket monitoring-system --retention 30d \\
      --input postgresql --set postgresql.address=@env:PG_ADDRESS
  pyagent provision list
  pyagent provision edit ram

Secrets come from a file, a variable or a question, never from an argument: --token-file FILE, INFLUX_TOKEN, or a question
for the token; @env:NAME, @file:PATH or @prompt for a value. The text at InfluxDB has references such as ${PG_ADDRESS};
their values go into the file of settings, which is for root alone."""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG

    def flag(name: str, text: str, **settings: Any) -> None:
        parser.add_argument(name, help=text, **settings)

    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME|ACTION",
        help="the instance's name, which becomes pyagent@NAME; or an action. setup: the first user, organization and bucket "
        "of a new InfluxDB; list: the configurations; show NAME; edit NAME: in $EDITOR, checked before it is sent; delete NAME",
    )
    parser.group("InfluxDB, and as whom it is called")
    flag("--url", "its address, such as http://localhost:8086 (default: the instance's, else INFLUX_HOST)", default="")
    flag("--org", "organization, by name or ID (default: the only one)", default="", metavar="NAME")
    flag("--token-file", "file with an operator or all-access token; - is standard input (else INFLUX_TOKEN, else asked for)",
         default="", metavar="FILE")  # fmt: skip
    flag("--user", "sign in as this user, without a token; with 'setup': the user to make", default="", metavar="NAME")
    flag(
        "--password-file",
        "file with the user's password (else INFLUX_PASSWORD, else asked for)",
        default="",
        metavar="FILE",
    )
    flag("--tls-ca", "certificate authorities to trust, PEM, for the agent as well", default="", metavar="FILE")
    flag("--wait", "wait for a server that is starting", type=float, default=0.0, metavar="SECONDS")
    for name in ("--token", "--password"):
        flag(name, argparse.SUPPRESS, action=RefusedSecret)
    parser.group("What is made")
    flag("--bucket", "bucket to write to, by name or ID", default="", metavar="NAME")
    flag("--create-bucket", "make the bucket where it is missing", action="store_true")
    flag("--retention", "how long the bucket keeps points: 30d, 12h, 6mo, 1y, inf; makes the bucket where it is missing",
         default="", metavar="TIME")  # fmt: skip
    flag("--change-retention", "where the bucket keeps them for another time, change that; a shorter one deletes points",
         action="store_true")  # fmt: skip
    flag(
        "--input",
        "an input to gather; may be repeated, or a list with commas",
        action="append",
        default=[],
        metavar="NAME",
    )
    flag("--set", "a setting: INPUT.OPTION=VALUE, or agent.OPTION=VALUE; may be repeated. @env:NAME, @file:PATH and @prompt "
         "stand for secrets", action="append", default=[], metavar="SETTING")  # fmt: skip
    flag(
        "--configuration",
        "use the configuration of this ID as it is, which may be another host's",
        default="",
        metavar="ID",
    )
    flag("--read-bucket", "let the token read the bucket, too", action="store_true")
    flag("--replace", "overwrite a configuration's text that was edited at InfluxDB", action="store_true")
    flag("--force", "replace settings in the file that differ, and a token whose file was lost; with 'delete': do not ask",
         action="store_true")  # fmt: skip
    flag("--start", "start the instance, now and at every boot", action="store_true")
    flag("--check", "say what would be done, and change nothing", action="store_true")
    flag("--json", "print one JSON document", action="store_true")
    flag("--host", "name of this host in descriptions (default: that in the instance's file, else the system's)",
         default="", metavar="NAME")  # fmt: skip
    flag("--settings-directory", "where NAME.env is written (default /etc/pyagent; PYAGENT_SETTINGS_DIRECTORY)",
         default="", metavar="DIR")  # fmt: skip
    add_plugin_directory_flag(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 with one line that says what is wrong and what to do."""
    words: Sequence[str] = arguments.words
    try:
        from pyagent.cli.provision import commands
    except ImportError as error:
        print(f"E! cannot run 'provision': {error}{how_to_install(error)}", file=sys.stderr)
        return 1
    try:
        return commands.run(words, arguments)
    except PyagentError as error:
        print(f"E! {redact(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        # A client that is only half made has a word about it, when it goes.
        sys.unraisablehook = lambda _: None
        print("\nE! interrupted; the same command again goes on from here", file=sys.stderr)
        return 130

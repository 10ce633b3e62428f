"""`pyagent reload [INSTANCE]`: a running agent reads its configuration anew, and says what came of it."""

import argparse

from pyagent.cli.arguments import CommandParser
from pyagent.cli.control import add_agent_flags, ask, exit_status

_EPILOG = """\
  pyagent reload ram      what systemctl reload pyagent@ram does
  pyagent reload          the only one that runs"""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("word", nargs="?", metavar="INSTANCE", help="as in pyagent@INSTANCE")
    add_agent_flags(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where it runs with what it has read, 1 where the agent cannot be asked, 2 where the reload failed: then it goes on with
    the configuration before."""
    return exit_status(lambda: _reload(arguments))


def _reload(arguments: argparse.Namespace) -> int:
    document = ask(arguments, "/reload?wait=1", method="POST", instance=arguments.word)
    if arguments.json:
        import json

        print(json.dumps(document, indent=2))
    else:
        print("the configuration is reloaded")
    return 0

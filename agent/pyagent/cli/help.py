"""`pyagent help [COMMAND]`: what `--help` says."""

import argparse

from pyagent.cli.arguments import CommandParser


def configure(parser: CommandParser) -> None:
    parser.epilog = "  pyagent help config"
    parser.add_argument("topic", nargs="*", metavar="COMMAND", help="the command; without one, the agent itself")


def run(arguments: argparse.Namespace) -> int:
    from pyagent import cli

    return cli.main([*arguments.topic, "--help"])

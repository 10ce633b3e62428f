"""`pyagent help [COMMAND]`: what `--help` says."""

import argparse

from pyagent.cli.arguments import Parser


def configure(parser: Parser) -> None:
    parser.epilog = "  pyagent help config"
    parser.add_argument("topic", nargs="*", metavar="COMMAND", help="the command; without one, the agent itself")


def run(arguments: argparse.Namespace) -> int:
    from pyagent import cli

    return cli.main([*arguments.topic, "--help"])

"""`pyagent doctor`: what a person would look at where no data arrive, each with a result and a remedy."""

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyagent.cli.arguments import Parser
from pyagent.cli.control import add_agent_flags, ask
from pyagent.cli.flags import add_source_flags, source_settings

_EPILOG = """\
  pyagent doctor ram                              the instance pyagent@ram, as the unit runs it
  pyagent doctor --config telegraf.conf           a configuration, with this shell's environment
  pyagent doctor ram --probe                      write a point of its own, too, and read it back

Nothing is stored without --probe, and nothing is changed. The exit status is 0 where all is well, 1 where there are
warnings, 2 where something failed."""


def configure(parser: Parser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("name", nargs="?", metavar="INSTANCE", help="as in pyagent@INSTANCE")
    parser.add_argument("--probe", action="store_true", help="write a point pyagent_probe to each bucket")
    add_source_flags(parser)
    add_agent_flags(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """0 where all is well, 1 where there are warnings, 2 where something failed."""
    from pyagent.cli.doctor import host
    from pyagent.cli.doctor.examination import Examination
    from pyagent.cli.doctor.findings import Report
    from pyagent.cli.doctor.screen import Screen
    from pyagent.runtime.log import configure_logging

    configure_logging(quiet=True)
    logging.getLogger("pyagent").handlers.clear()
    instance = arguments.name or arguments.instance
    screen = Screen(sys.stdout)
    report = Report() if arguments.json else Report(screen.show, screen.busy)
    if instance:
        os.environ.update(host.look_at_files(report, instance))
        os.environ.setdefault("PYAGENT_INSTANCE", instance)
    settings = source_settings(arguments.parser, arguments)
    if instance:
        settings = dataclasses.replace(settings, state_directory=Path("/var/lib/pyagent") / instance)

    def status() -> Mapping[str, Any]:
        document: Mapping[str, Any] = ask(arguments, "/status", instance=instance)
        return document

    examination = Examination(report, settings, instance, arguments.probe, status if instance else None)
    asyncio.run(examination.run())
    if arguments.json:
        print(json.dumps(report.document(), indent=2))
    else:
        screen.end(report)
    return report.exit_status

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
from typing import TYPE_CHECKING, Any

from pyagent.api import PyagentError
from pyagent.cli.arguments import CommandParser
from pyagent.cli.chosen_instance import STATE, settings_of, the_instance
from pyagent.cli.control import add_agent_flags, ask
from pyagent.cli.flags import add_source_flags, source_settings
from pyagent.cli.instances import checked_instance
from pyagent.config import default_sources

if TYPE_CHECKING:
    from pyagent.cli.doctor.findings import Report

_EPILOG = """\
  pyagent doctor ram                              the instance pyagent@ram, as the unit runs it
  pyagent doctor --config telegraf.conf           a configuration, with this shell's environment
  pyagent doctor ram --probe                      write a point of its own, too, and read it back

Nothing is stored without --probe, and nothing is changed. The exit status is 0 where all is well, 1 where there are
warnings, 2 where something failed."""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("name", nargs="?", metavar="INSTANCE", help="as in pyagent@INSTANCE")
    parser.add_argument("--probe", action="store_true", help="write a point pyagent_probe to each bucket")
    add_source_flags(parser)
    add_agent_flags(parser)
    parser.set_defaults(parser=parser)


def _instance(arguments: argparse.Namespace) -> str:
    """The instance that is meant; empty where a configuration is named, or found where the agent looks for one. Raises
    PyagentError."""
    if name := arguments.name or arguments.instance:
        return checked_instance(name)
    if arguments.config or arguments.config_directory or default_sources(os.environ):
        return ""
    return the_instance("pyagent doctor")


def run(arguments: argparse.Namespace) -> int:
    """0 where all is well, 1 where there are warnings, 2 where something failed."""
    from pyagent.cli.doctor.findings import Report
    from pyagent.cli.doctor.screen import Screen
    from pyagent.runtime.log import configure_logging
    from pyagent.runtime.stdout import own_stdout

    configure_logging(quiet=True)
    # The findings say what the plugins log; without any handler Python prints it.
    logging.getLogger("pyagent").handlers[:] = [logging.NullHandler()]
    try:
        instance = _instance(arguments)
    except PyagentError as error:
        print(f"E! {error}", file=sys.stderr)
        return 2
    with own_stdout():
        # Also where standard output is closed.
        screen = Screen(sys.__stdout__ or sys.stderr)
        report = Report() if arguments.json else Report(screen.show, screen.busy)
        _examine(arguments, report, instance)
        if not arguments.json:
            screen.end(report)
    if arguments.json:
        print(json.dumps(report.document(), indent=2))
    return report.exit_status


def _examine(arguments: argparse.Namespace, report: "Report", instance: str) -> None:
    from pyagent.cli.doctor import host
    from pyagent.cli.doctor.examination import Examination

    if instance and host.look_at_files(report, instance):
        settings_of_unit = settings_of(instance, quiet=True)
        os.environ.clear()
        os.environ.update(settings_of_unit)
    settings = source_settings(arguments.parser, arguments)
    if instance:
        state = os.environ.get("PYAGENT_STATE_DIRECTORY") or f"{STATE}/{instance}"
        settings = dataclasses.replace(settings, state_directory=Path(state))

    def status() -> Mapping[str, Any]:
        document: dict[str, Any] = ask(arguments, "/status", instance=instance)
        if document.get("quarantine", {}).get("metrics"):
            *_, newest = ask(arguments, "/quarantine", instance=instance)["entries"] or [{}]
            document["refused"] = newest.get("reason", "")
        return document

    examination = Examination(report, settings, instance, arguments.probe, status if instance else None)
    asyncio.run(examination.run())

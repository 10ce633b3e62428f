"""`pyagent dashboards`: dashboards and alert rules for Grafana, of what the plugins say that they measure."""

import argparse
import asyncio
import dataclasses
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyagent.api import ConfigError, PyagentError, Secret, redact
from pyagent.api.units import counted
from pyagent.cli import how_to_install
from pyagent.cli.arguments import CommandParser
from pyagent.cli.chosen_instance import use_instance
from pyagent.cli.flags import add_instance_flag, add_source_flags, catalog, source_settings
from pyagent.cli.server_flags import RefusedSecret

if TYPE_CHECKING:
    from pyagent.config import Plan
    from pyagent.dashboards.boards import Board
    from pyagent.dashboards.subjects import Destination, Subject

_EPILOG = """\
  pyagent dashboards                                   for all plugins, into the folder dashboards
  pyagent dashboards --config telegraf.conf            just those that fit a configuration
  pyagent dashboards --instance ram --directory DIR
  pyagent dashboards --config URL --push http://localhost:3000"""
DIRECTORY = "dashboards"


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG

    def flag(name: str, metavar: str, text: str) -> None:
        parser.add_argument(name, default="", metavar=metavar, help=text)

    parser.add_argument(
        "--directory", metavar="DIR", help=f"write files into it (default {DIRECTORY}, or none with --push)"
    )
    parser.add_argument(
        "--ask",
        action="store_true",
        help="ask inputs of a configuration that run what others wrote for its titles and units",
    )
    flag("--host", "HOST", "the only host that the dashboards without variables and the links show")
    flag("--datasource", "UID", "a data source of Grafana that is there already, in Flux")
    flag("--influxdb-url", "URL", "where Grafana reaches InfluxDB (default: the address of the configuration)")
    parser.group("A running Grafana")
    flag("--push", "URL", "put them into this Grafana, such as http://localhost:3000")
    flag("--grafana-token-file", "FILE", "file with a token of a service account (else GRAFANA_TOKEN, else asked for)")
    flag("--tls-ca", "FILE", "certificate authorities to trust, PEM")
    parser.add_argument("--no-alerts", action="store_true", help="put no alert rules into it")
    parser.add_argument("--grafana-token", default="", help=argparse.SUPPRESS, action=RefusedSecret)
    add_source_flags(parser)
    add_instance_flag(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    try:
        from pyagent.dashboards import subjects as _  # noqa: F401  # its library may be missing
    except ImportError as error:
        print(f"E! cannot make dashboards: {error}{how_to_install(error)}", file=sys.stderr)
        return 1
    warnings: list[str] = []
    try:
        _check(arguments)
        try:
            subjects, destination = _what_there_is(arguments, warnings.append)
        except BaseException:
            _warn(warnings)
            raise
        if arguments.influxdb_url:
            destination = dataclasses.replace(destination, url=arguments.influxdb_url)
        if not arguments.push or arguments.directory:
            _warn(warnings)
            _write(arguments, subjects, destination)
        if arguments.push:
            asyncio.run(_push(arguments, subjects, destination, warnings))
    except (ConfigError, PyagentError) as error:
        print(f"E! {redact(str(error))}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            raise  # of standard output, not of a file
        print(f"E! {_not_written(Path(error.filename), error.strerror)}", file=sys.stderr)
        return 1
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """What the flags alone say. Raises PyagentError."""
    from pyagent.dashboards.grafana import checked_address, checked_source_address

    if arguments.directory == "":
        raise PyagentError("cannot write into a folder without a name: --directory is empty; name one")
    if arguments.push:
        checked_address(arguments.push)
    if arguments.influxdb_url:
        arguments.influxdb_url = checked_source_address(arguments.influxdb_url)


def _not_written(path: Path, cause: str | None) -> str:
    for one in (path, *path.parents):
        if one.is_symlink() and not one.exists():
            path, cause = one, f"it is a link to {one.readlink()}, which is missing"
    return f"cannot write {path}: {cause}; name another folder by --directory"


def _what_there_is(arguments: argparse.Namespace, warn: Callable[[str], None]) -> tuple[list["Subject"], "Destination"]:
    """Of the configuration that is named, else of all plugins. Raises PyagentError where there is nothing to show."""
    from pyagent.dashboards.subjects import Destination, destination_of, subjects_of_catalog, subjects_of_plan

    if not (arguments.config or arguments.config_directory or arguments.instance):
        if arguments.ask:
            raise PyagentError("cannot ask without a configuration: name one by --config or --instance")
        subjects, problems = subjects_of_catalog(catalog(arguments))
        for problem in problems:
            warn(problem)
        return subjects, Destination()

    from pyagent.cli.asking import ask_inputs, can_be_asked
    from pyagent.runtime.loading import Loader
    from pyagent.runtime.log import component_logger, configure_logging
    from pyagent.runtime.stdout import own_stdout

    configure_logging(quiet=True)
    use_instance(arguments.parser, arguments)
    settings = source_settings(arguments.parser, arguments)

    async def load() -> "Plan":
        loader = Loader(settings, component_logger("config"))
        return await loader.plan(await loader.read(), partial=True)

    # What plugins print as they are imported is not what was asked for.
    with own_stdout():
        plan = asyncio.run(load())
        asked = asyncio.run(ask_inputs(plan, warn)) if arguments.ask else {}
    if not arguments.ask and (more := can_be_asked(plan)):
        warn(f"with --ask there is more to show of {', '.join(more)}: it runs or reads what measures there")
    for broken in plan.broken:
        warn(broken.reason)
    subjects, problems = subjects_of_plan(plan, asked)
    for problem in problems:
        warn(problem)
    if not subjects:
        raise PyagentError(
            "cannot make dashboards: no input of this configuration declares what it measures; see pyagent plugins, or add "
            "[[inputs.internal]] for the agent's health"
        )
    if not any(subject.name == "internal" for subject in subjects):
        warn("without [[inputs.internal]] there is no dashboard of the agents' health, and no alert but of silence")
    silent = sorted({one.name for one in plan.inputs} - {subject.name for subject in subjects})
    if silent:
        warn(
            f"without a dashboard, as they do not say what they measure: {', '.join(f'inputs.{name}' for name in silent)}"
        )
    destination, others = destination_of(plan)
    if others:
        warn(
            f"{destination.bucket} is the first bucket of the dashboards; choose the others on them: {', '.join(others)}"
        )
    return subjects, destination


def _write(arguments: argparse.Namespace, subjects: Sequence["Subject"], destination: "Destination") -> None:
    import shlex

    from pyagent.dashboards.boards import DATA_SOURCE, boards
    from pyagent.dashboards.files import files_of, write_files

    directory = Path(arguments.directory or DIRECTORY)
    files = files_of(subjects, destination, datasource=arguments.datasource or DATA_SOURCE, host=arguments.host)
    changes = write_files(directory, files)
    names = [Path(name).stem for name in files if name.startswith("import/")]
    print(f"{counted(len(names), 'dashboard')} in {directory}: {', '.join(names)}")
    written, removed = len(changes.written), len(changes.removed)
    print(f"{counted(written, 'file')} written, {len(files) - written} as before, {removed} removed")
    if changes.kept:
        kept = ", ".join(str(directory / name) for name in changes.kept)
        _warn([f"somebody edited files after they were written here; what they had is kept as {kept}"])
    print("For Grafana's folder of provisioning, on its host:")
    print(f"    sudo cp -r {shlex.quote(str(directory / 'provisioning'))}/. /etc/grafana/provisioning/")
    if wanted := _variables(arguments, destination):
        print(f"Its environment has to give {', '.join(wanted)} (docs/grafana.md).")
    print("Or through its pages: Dashboards, New, Import, and a file of the folder import.")
    _print_links("http://GRAFANA:3000", boards(subjects, destination, "provisioning"), destination, arguments.host)


def _variables(arguments: argparse.Namespace, destination: "Destination") -> list[str]:
    """What the file of the data source leaves to the environment of Grafana."""
    if arguments.datasource:
        return []
    known = {"URL": destination.url, "ORG": destination.organization, "BUCKET": destination.bucket, "TOKEN": ""}
    return [f"GRAFANA_INFLUX_{name}" for name, value in known.items() if not value]


async def _push(
    arguments: argparse.Namespace, subjects: Sequence["Subject"], destination: "Destination", warnings: list[str]
) -> None:
    from pyagent.dashboards.alerts import alert_rules
    from pyagent.dashboards.boards import DATA_SOURCE, boards
    from pyagent.dashboards.grafana import Grafana, checked_address

    url = checked_address(arguments.push)
    uid = arguments.datasource or DATA_SOURCE
    influx = Secret(os.environ.get("GRAFANA_INFLUX_TOKEN", "").strip())
    grafana = Grafana(url, _token(arguments), tls_ca=arguments.tls_ca)
    try:
        version = await grafana.check()
        _warn(warnings)  # not before: an address that is wrong is what matters first
        print(f"Grafana {version} at {url}")
        print(f"data source {uid}: {await grafana.put_source(uid, destination, influx.reveal())}")
        await grafana.put_folder()
        found = boards(subjects, destination, "provisioning", datasource=uid)
        for board in found:
            done, address = await grafana.put_board(board)
            print(f"{done:<9}  {board.title:<16}  {address}")
        rules = [] if arguments.no_alerts else alert_rules(subjects, destination, datasource=uid)
        if rules:
            await grafana.put_rules(rules)
            print(f"{counted(len(rules), 'alert rule')} in the folder pyagent")
        _print_links(url, found, destination, arguments.host)
    finally:
        await grafana.close()


def _print_links(grafana: str, boards: Sequence["Board"], destination: "Destination", host: str) -> None:
    """How an address chooses bucket, host and time, and how one panel stands in a page."""
    print("Links, and one panel for an iframe (docs/grafana.md):")
    print(f"    {boards[0].link(grafana, destination.bucket, host)}")
    print(f"    {boards[0].panel_link(grafana, destination.bucket, host)}")


def _token(arguments: argparse.Namespace) -> str:
    """Of the file, else of GRAFANA_TOKEN, else as it is typed. Raises PyagentError."""
    from pyagent.cli.provision.questions import Missing, Questions
    from pyagent.cli.tokens import checked_token, only_line

    if arguments.grafana_token_file:
        return checked_token(only_line(arguments.grafana_token_file, "token"), f"in {arguments.grafana_token_file}")
    if token := os.environ.get("GRAFANA_TOKEN", "").strip():
        return checked_token(token, "in GRAFANA_TOKEN")
    try:
        return checked_token(Questions().secret("the token of a service account in Grafana"), "that was typed")
    except Missing:
        raise PyagentError(
            "cannot use Grafana without a token: write one of a service account into a file and name that with "
            "--grafana-token-file, or set GRAFANA_TOKEN"
        ) from None


def _warn(warnings: list[str]) -> None:
    """Print them once."""
    while warnings:
        print(f"W! {redact(warnings.pop(0))}", file=sys.stderr)

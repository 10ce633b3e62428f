"""`pyagent config`: make a configuration, check one, show what it means."""

import argparse
import asyncio
import json
import logging
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pyagent.api import ConfigError, redact
from pyagent.api.units import counted
from pyagent.cli.arguments import Choices, CommandParser
from pyagent.cli.chosen_instance import use_instance
from pyagent.cli.flags import (
    add_filter_flags,
    add_instance_flag,
    add_sample_filter_flags,
    add_source_flags,
    catalog,
    names,
    source_settings,
)

if TYPE_CHECKING:
    from pyagent.config import Plan, PluginPlan
    from pyagent.runtime.loading import Texts

_ACTIONS = Choices(
    create="print a sample configuration (the default)",
    check="load a configuration and set up its plugins; start nothing",
    show="print what is in effect, and where each value comes from",
    schema="print a JSON Schema of the configuration, for editors",
    migrate="write FILE.migrated with today's names in place of deprecated ones",
)
SETUP_DEADLINE = 10.0
"""Seconds for the setup of a plugin, as at a start."""
_EPILOG = """\
  pyagent config create --input-filter mem --output-filter influxdb_v2 > telegraf.conf
  pyagent config check --config telegraf.conf
  pyagent config show --config telegraf.conf
  pyagent config check --instance ram     what pyagent@ram would run with
  pyagent config schema > telegraf.schema.json
  pyagent config migrate --config telegraf.conf"""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="create")
    parser.add_argument("--json", action="store_true", help="with 'show': print one JSON document")
    parser.add_argument("--force", action="store_true", help="with 'migrate': overwrite FILE.migrated")
    add_source_flags(parser)
    add_instance_flag(parser)
    add_filter_flags(parser)
    add_sample_filter_flags(parser)
    parser.set_defaults(parser=parser)


def run(arguments: argparse.Namespace) -> int:
    actions = dict(zip(_ACTIONS, (create, check, show, schema, migrate), strict=True))
    try:
        return actions[arguments.action](arguments)
    except ConfigError as error:
        print(f"E! {redact(str(error))}", file=sys.stderr)
        return 1


def create(arguments: argparse.Namespace) -> int:
    """Print a sample configuration. Also the root flag --sample-config."""
    from pyagent.config.sample import sample

    chosen = {
        "inputs": names(arguments.input_filter),
        "outputs": names(arguments.output_filter),
        "processors": names(arguments.processor_filter),
        "aggregators": names(arguments.aggregator_filter),
    }
    try:
        print(sample(catalog(arguments), sections=names(arguments.section_filter), chosen=chosen), end="")
    except ConfigError as error:
        print(f"E! {redact(str(error))}", file=sys.stderr)
        return 1
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Load everything and make every plugin, as at a start; connect to nothing, start nothing, open no log file.

    2: the agent would start, and leave out external plugins that cannot be used.
    """
    from pyagent.config.load import has_plugins
    from pyagent.config.registry import call_with_deadline
    from pyagent.runtime.log import component_logger, configure_logging, plugin_logger

    configure_logging()
    log = component_logger("config")
    status = 0
    try:
        plan, documents = _load(arguments)
        for warning in plan.warnings:
            log.warning("%s", warning)
        for document in documents:
            if not has_plugins(document):
                log.warning("%s:1: no plugin is in it", document.where)
        # Telegraf logs these as errors, and so does a start; but they stop neither.
        for error in plan.errors:
            log.warning("%s", error)
        for broken in plan.broken:
            log.error("%s", broken.reason)
            status = 2
        for plugin in (*plan.inputs, *plan.outputs, *plan.processors, *plan.aggregators):
            try:
                # A setup may be anybody's code.
                call_with_deadline(partial(_make, plugin, plugin_logger(plugin)), SETUP_DEADLINE)
                continue
            except ConfigError as error:
                log.error("%s", error)
            except TimeoutError:
                log.error("%s: its setup did not end within %g s", plugin.location, SETUP_DEADLINE)
            status = 1 if not plugin.is_external else status or 2
    except ConfigError as error:
        for text in (error, *getattr(error, "__notes__", ())):
            log.error("%s", text)
        return 1
    if not plan.inputs:
        log.warning("no inputs found; the agent needs one to start, such as [[inputs.mem]]")
    if not plan.outputs:
        log.warning("no outputs found; the agent starts with --test only")
    log.info(
        "%s: %s; %s, %s, %s, %s",
        ", ".join(plan.sources),
        ("no errors", "not usable", "usable without what is named above")[status],
        counted(len(plan.inputs), "input"),
        counted(len(plan.outputs), "output"),
        counted(len(plan.processors), "processor"),
        counted(len(plan.aggregators), "aggregator"),
    )
    return status


def _make(plan: "PluginPlan", log: logging.Logger) -> None:
    """Raises ConfigError."""
    from pyagent.api.foreign import describe, file_of
    from pyagent.config import create_plugin
    from pyagent.pipeline.traits import traits_of

    plugin = create_plugin(plan, log)
    if not plan.is_external:
        return
    try:
        traits_of(plan, plugin)
    except BaseException as error:
        reason = describe(error, (file_of(plan.plugin),))
        raise ConfigError(f"{plan.location}: {plan.label}: cannot be made: {reason}") from None


def show(arguments: argparse.Namespace) -> int:
    """Print what is in effect, and where each value comes from."""
    from pyagent.config.effective import as_json, as_toml, effective

    plan, documents = _load(arguments)
    found = effective(plan, documents, os.environ)
    print(json.dumps(as_json(found), indent=2) if arguments.json else as_toml(found))
    return 0


def schema(arguments: argparse.Namespace) -> int:
    """Print a JSON Schema of the configuration."""
    from pyagent.config.schema import json_schema

    print(json.dumps(json_schema(catalog(arguments)), indent=2))
    return 0


def migrate(arguments: argparse.Namespace) -> int:
    """Write `NAME.migrated` beside each source (of a URL, in the working directory) that has anything deprecated."""
    from pyagent.config import is_url
    from pyagent.config.migrate import migrate as migrated
    from pyagent.runtime.loading import Loader
    from pyagent.runtime.log import component_logger, configure_logging

    configure_logging()
    log = component_logger("config")
    plugins = catalog(arguments)
    use_instance(arguments.parser, arguments)
    for source in asyncio.run(Loader(source_settings(arguments.parser, arguments), log).read()):
        result = migrated(source.text, source.where, plugins)
        if not result.changes:
            log.info("%s: nothing to migrate", source.where)
            continue
        target = f"{source.where.rstrip('/').rpartition('/')[2] if is_url(source.where) else source.where}.migrated"
        try:
            with open(target, "w" if arguments.force else "x", encoding="utf-8", newline="") as file:
                file.write(result.text)
        except FileExistsError:
            raise ConfigError(f"cannot write {target}: it is there already; add --force to overwrite it") from None
        except OSError as error:
            raise ConfigError(f"cannot write {target}: {error.strerror}") from None
        for change in result.changes:
            log.info("%s", change)
        log.info(
            "%s: %s; the result is in %s: try it before you use it",
            source.where,
            counted(len(result.changes), "change"),
            target,
        )
    return 0


def _load(arguments: argparse.Namespace) -> tuple["Plan", "list[Any]"]:
    """The plan, and the documents it is made of. A source is asked once. Raises ConfigError."""
    from pyagent.config.toml import parse_document
    from pyagent.runtime.loading import Loader
    from pyagent.runtime.log import component_logger
    from pyagent.runtime.stdout import own_stdout

    use_instance(arguments.parser, arguments)
    settings = source_settings(arguments.parser, arguments)

    async def load() -> tuple["Plan", "Texts"]:
        loader = Loader(settings, component_logger("config"))
        texts = await loader.read()
        # What is looked at may be one file of several.
        return await loader.plan(texts, partial=True), texts

    # What plugins print as they are imported is not what was asked for.
    with own_stdout():
        plan, texts = asyncio.run(load())
    documents = [
        parse_document(text, settings.environ, strict_env=settings.strict_env, old_env=settings.old_env)
        for text in texts
    ]
    return plan, documents

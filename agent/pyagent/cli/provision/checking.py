"""Whether a configuration can be used, as `pyagent config check` sees it, before it is sent anywhere."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from pyagent.api import ConfigError
from pyagent.cli.instances import SettingsFile
from pyagent.config import SourceText, create_plugin, load_plan
from pyagent.config.registry import call_with_deadline
from pyagent.runtime.log import plugin_logger

__all__ = ["Checked", "check", "environment_of"]

DEADLINE = 10.0
"""Seconds for the setup of a plugin, as at a start."""


class Checked(NamedTuple):
    """Each with file and line."""

    mistakes: list[str]
    """With one of these it cannot be used."""
    warnings: list[str]


def environment_of(
    name: str, file: SettingsFile, variables: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """What an agent that runs as this instance has: what is in the file, with these, and a token, which need not be known."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYAGENT_INSTANCE": name,
        "PYAGENT_ENVIRONMENT_FILES": str(file.path),
        **file.values,
        **variables,
        "INFLUX_TOKEN": "a-token-of-this-configuration",
    }


def check(text: str, where: str, environ: Mapping[str, str], plugin_directories: tuple[Path, ...]) -> Checked:
    """What is wrong; `where` is the URL that the text is for, so that what a hosted one may not do counts.

    Every plugin is made, as at a start; nothing is started and nothing is connected to.
    """
    try:
        plan = load_plan(
            [SourceText(where, text, where)], environ=environ, plugin_directories=plugin_directories, partial=True
        )
    except ConfigError as error:
        return Checked([str(error)], [])
    found = [*plan.errors, *(broken.reason for broken in plan.broken)]
    for plugin in (*plan.inputs, *plan.outputs, *plan.processors, *plan.aggregators):
        try:
            call_with_deadline(partial(create_plugin, plugin, plugin_logger(plugin)), DEADLINE)
        except ConfigError as error:
            found.append(str(error))
        except TimeoutError:
            found.append(f"{plugin.location}: its setup did not end within {DEADLINE:g} s")
    if not plan.inputs:
        found.append(f"{where}: no inputs; the agent needs one, such as [[inputs.mem]]")
    if not plan.outputs:
        found.append(f"{where}: no outputs; the agent needs one, such as [[outputs.influxdb_v2]]")
    return Checked(found, list(plan.warnings))

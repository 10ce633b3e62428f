"""Whether a configuration can be used, as `pyagent config check` sees it, before it is sent anywhere."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pyagent.api import ConfigError
from pyagent.config import SourceText, create_plugin, load_plan
from pyagent.config.registry import call_with_deadline
from pyagent.runtime.log import plugin_logger

__all__ = ["mistakes"]

DEADLINE = 10.0
"""Seconds for the setup of a plugin, as at a start."""


def mistakes(text: str, where: str, environ: Mapping[str, str], plugin_directories: tuple[Path, ...]) -> list[str]:
    """What is wrong, with file and line; `where` is the URL that the text is for, so that what a hosted one may not do counts.

    Every plugin is made, as at a start; nothing is started and nothing is connected to.
    """
    try:
        plan = load_plan(
            [SourceText(where, text, where)], environ=environ, plugin_directories=plugin_directories, partial=True
        )
    except ConfigError as error:
        return [str(error)]
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
    return found

"""From texts to a plan."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyagent.api import Plugin
from pyagent.config.plan import Plan, PluginPlan
from pyagent.config.source import SourceText

__all__ = ["create_plugin", "load_plan"]


def load_plan(
    sources: Sequence[SourceText],
    *,
    environ: Mapping[str, str],
    plugin_directories: Sequence[Path] = (),
    strict_env: bool = True,
    testing: bool = False,
    select: Sequence[str] = (),
    input_filter: Sequence[str] = (),
    output_filter: Sequence[str] = (),
) -> Plan:
    """Make a plan of one or more texts. Raises ConfigError, in one line "FILE:LINE: ...".

    `testing`: no output is needed. `select`: label selectors; `input_filter`, `output_filter`: the only names to keep.
    It imports the plugins that are named and may take seconds where one from outside hangs: call it in a thread from a
    running loop.
    """
    raise NotImplementedError


def create_plugin(plan: PluginPlan, log: logging.Logger) -> Plugin[Any]:
    """Make the plugin that the plan describes. Raises ConfigError "FILE:LINE: ..." whatever went wrong in its `setup`.

    For a plugin from outside (`plan.origin`) the caller may go on without it.
    """
    raise NotImplementedError

"""From sources (files, directories, URLs) to a validated, immutable plan."""

from pyagent.config.load import create_plugin, load_plan
from pyagent.config.plan import AgentSettings, BrokenPlugin, FilterOptions, InputPlan, OutputPlan, Plan, PluginPlan
from pyagent.config.source import (
    SourceError,
    SourceText,
    default_sources,
    expand_sources,
    is_url,
    mask_url,
    read_source,
    split_values,
)

__all__ = [
    "AgentSettings",
    "BrokenPlugin",
    "FilterOptions",
    "InputPlan",
    "OutputPlan",
    "Plan",
    "PluginPlan",
    "SourceError",
    "SourceText",
    "create_plugin",
    "default_sources",
    "expand_sources",
    "is_url",
    "load_plan",
    "mask_url",
    "read_source",
    "split_values",
]

"""From sources (files, directories, URLs) to a validated, immutable plan."""

from pyagent.config.load import create_plugin, load_plan
from pyagent.config.plan import (
    AgentSettings,
    AggregatorPlan,
    BrokenPlugin,
    FilterOptions,
    InputPlan,
    OutputPlan,
    Plan,
    PluginPlan,
    ProcessorPlan,
)
from pyagent.config.source import (
    SourceError,
    SourceText,
    default_sources,
    expand_sources,
    is_url,
    mask_url,
    read_source,
    settings_place,
    split_values,
)

__all__ = [
    "AgentSettings",
    "AggregatorPlan",
    "BrokenPlugin",
    "FilterOptions",
    "InputPlan",
    "OutputPlan",
    "Plan",
    "PluginPlan",
    "ProcessorPlan",
    "SourceError",
    "SourceText",
    "create_plugin",
    "default_sources",
    "expand_sources",
    "is_url",
    "load_plan",
    "mask_url",
    "read_source",
    "settings_place",
    "split_values",
]

"""The kinds of plugins, in one table. It imports nothing, so that the command line and the log may look into it."""

from typing import Literal, NamedTuple

__all__ = [
    "COMMON_KEYS",
    "KINDS",
    "PLUGIN_KINDS",
    "RUNNING",
    "SECTIONS",
    "TABLES",
    "KindTraits",
    "PluginKind",
    "words",
]

PluginKind = Literal["inputs", "outputs", "processors", "aggregators", "parsers", "serializers", "secretstores"]


class KindTraits(NamedTuple):
    title: str
    """In headings."""
    singular: str
    base: str
    """The class of `pyagent.api` that a plugin of this kind derives from."""
    method: str = ""
    """What does a plugin's work."""
    runs: bool = True
    """Plugins of this kind run in the pipeline."""
    computes: bool = False
    """A plain `def` computes, and waits for nothing."""
    tables: tuple[str, ...] = ()
    """The tables of a configuration that hold such plugins, the one of today first; none where another's `data_format` names
    them."""
    single_table: bool = False
    """`[kind.name]` is as good as `[[kind.name]]`: Telegraf still takes it."""
    common_keys: frozenset[str] = frozenset()
    """What every such plugin takes besides its own options."""


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FILTER_KEYS = words(
    "namepass namepass_separator namedrop namedrop_separator tagpass tagdrop metricpass pass fieldpass fieldinclude drop "
    "fielddrop fieldexclude taginclude tagexclude"
)
_USED = _FILTER_KEYS | words("alias labels log_level name_override name_prefix name_suffix")

PLUGIN_KINDS: dict[PluginKind, KindTraits] = {
    "inputs": KindTraits(
        "Inputs",
        "input",
        "Input",
        "gather",
        tables=("inputs", "plugins"),
        single_table=True,
        common_keys=_USED | words("interval precision collection_jitter collection_offset tags startup_error_behavior"),
    ),
    "outputs": KindTraits(
        "Outputs",
        "output",
        "Output",
        "write",
        tables=("outputs",),
        single_table=True,
        common_keys=_USED
        | words("flush_interval flush_jitter metric_batch_size metric_buffer_limit startup_error_behavior"),
    ),
    "processors": KindTraits(
        "Processors",
        "processor",
        "Processor",
        "process",
        computes=True,
        tables=("processors",),
        common_keys=_FILTER_KEYS | words("alias labels log_level order"),
    ),
    "aggregators": KindTraits(
        "Aggregators",
        "aggregator",
        "Aggregator",
        "add",
        computes=True,
        tables=("aggregators",),
        common_keys=_USED | words("period delay grace drop_original tags"),
    ),
    "parsers": KindTraits("Parsers", "parser", "Parser", runs=False),
    "serializers": KindTraits("Serializers", "serializer", "Serializer", runs=False),
    "secretstores": KindTraits("Secret stores", "secretstore", "SecretStore", runs=False, tables=("secretstores",)),
}
KINDS: tuple[PluginKind, ...] = tuple(PLUGIN_KINDS)
RUNNING: tuple[PluginKind, ...] = tuple(kind for kind, traits in PLUGIN_KINDS.items() if traits.runs)
TABLES: dict[str, PluginKind] = {table: kind for kind, traits in PLUGIN_KINDS.items() for table in traits.tables}
"""The kind of the plugins that a table of a configuration holds."""
SECTIONS = ("global_tags", "agent", "secretstores", "outputs", "processors", "aggregators", "inputs")
"""Of a sample configuration, in its order."""
COMMON_KEYS = frozenset().union(*(traits.common_keys for traits in PLUGIN_KINDS.values())) | words(
    "always_include_local_tags buffer_strategy buffer_directory buffer_disk_sync data_format data_type delay "
    "drop_original grace id influx_parser_type lvm order period"
)
"""Telegraf takes these on every plugin, whether they mean something there or not."""

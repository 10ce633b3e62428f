"""The options that every plugin has besides its own (reference: telegraf 1.3, 1.4, 3.7).

They have rules of their own: durations are text in Go's syntax, and a value of another type is left out of account, as in
Telegraf, which says nothing of it; here a warning does.
"""

from dataclasses import replace
from typing import Any, TypeVar

from pyagent.api import Duration
from pyagent.api.units import LEAST_INTERVAL
from pyagent.booleans import BOOLEANS
from pyagent.config.table_view import TableView, type_name
from pyagent.plugin_kinds import COMMON_KEYS, PLUGIN_KINDS, PluginKind, words

__all__ = [
    "common_bool",
    "common_count",
    "common_duration",
    "common_interval",
    "common_table",
    "common_text",
    "has_no_effect",
    "strings",
    "without_mistyped",
]

T = TypeVar("T")


_NO_TAGS = words(
    "interval precision collection_jitter collection_offset flush_interval flush_jitter metric_batch_size "
    "metric_buffer_limit name_override name_prefix name_suffix namepass namedrop fieldinclude fieldexclude taginclude "
    "tagexclude data_format"
)
"""Options that nobody has for tags."""


def has_no_effect(kind: PluginKind, key: str) -> bool:
    """A key that is accepted on this kind of plugin and has no effect there."""
    return key in COMMON_KEYS and key not in PLUGIN_KINDS[kind].common_keys


def common_text(view: TableView, key: str) -> str:
    value = view.table.get(key, "")
    return value if isinstance(value, str) else _ignored(view, key, value, "a string", "")


def without_mistyped(view: TableView, key: str) -> TableView:
    """The table without `key` where that is no string, for a key that options of plugins' own declare as well."""
    if isinstance(view.table.get(key, ""), str):
        return view
    common_text(view, key)
    return replace(view, table={name: value for name, value in view.table.items() if name != key})


def common_duration(view: TableView, key: str, *, negative: bool = False) -> Duration | None:
    """None where it is not given. Raises ConfigError for text that is no duration, and unless `negative` for one below 0."""
    if key not in view.table:
        return None
    value = view.table[key]
    if not isinstance(value, str):
        nothing: Duration | None = None
        return _ignored(view, key, value, 'text with a unit, such as "10s"', nothing)
    try:
        duration = Duration.from_common(value)
    except ValueError as error:
        raise view.error(f"the option {key!r}: {error}", key) from None
    if duration < 0 and not negative:
        raise view.error(f"the option {key!r} cannot be negative: {value}", key)
    return duration


def common_interval(view: TableView, key: str) -> Duration | None:
    """How often something is done; None where that is not given, or 0. Raises ConfigError also for one that is too short."""
    duration = common_duration(view, key)
    if duration and duration < LEAST_INTERVAL:
        raise view.error(f"the option {key!r} must be {LEAST_INTERVAL} or more; found {duration}", key)
    return duration or None


def common_count(view: TableView, key: str) -> int | None:
    value = view.table.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    nothing: int | None = None
    return _ignored(view, key, value, "an integer", nothing)


def common_bool(view: TableView, key: str) -> bool:
    """True, false, or text as Go reads it (`t`, `1`, `TRUE`, ...). Raises ConfigError for anything else."""
    value = view.table.get(key, False)
    if isinstance(value, str) and value in BOOLEANS:
        return BOOLEANS[value]
    if not isinstance(value, bool):
        raise view.error(f"the option {key!r} must be true or false, not {value!r}", key)
    return value


def common_table(view: TableView, key: str) -> dict[str, str]:
    """A table of text (`tags`). Raises ConfigError where a value is none."""
    table = view.table.get(key, {})
    if not isinstance(table, dict):
        empty: dict[str, str] = {}
        return _ignored(view, key, table, "a table", empty)
    for name, value in table.items():
        # What stands below a table belongs to it, whatever is meant.
        place = f"below [{view.label}.{key}]; options of the plugin belong above that" if name in _NO_TAGS else ""
        if not isinstance(value, str):
            remedy = f"it stands {place}" if place else "put it in quotes"
            raise view.error(f"{key}: {name!r} must be a string, not {type_name(value)}; {remedy}", key, name)
        if place:
            view.warn(f"{key}: {name!r} is a tag here, as it stands {place}", key, name)
    return table


def strings(view: TableView, value: Any, *keys: str) -> tuple[str, ...] | None:
    """A list of text; None for a table, which Telegraf does not see where a list should be. Raises ConfigError for anything
    else, elements of another type included: Telegraf leaves them out, and what was meant to be kept out comes through."""
    if isinstance(value, dict):
        view.warn(f"the option {'.'.join(keys)!r} is ignored: it must be a list of strings, not a table", *keys)
        return None
    if not isinstance(value, list):
        name = ".".join(keys)
        raise view.error(f"the option {name!r} must be a list of strings, not {type_name(value)}", *keys)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            name = ".".join(keys)
            raise view.error(
                f"the option {name!r} must be a list of strings; {type_name(item)} is in it: put it in quotes",
                *keys,
                index,
            )
    return tuple(value)


def _ignored(view: TableView, key: str, value: Any, wanted: str, default: T) -> T:
    view.warn(f"the option {key!r} is ignored: it must be {wanted}, not {type_name(value)}", key)
    return default

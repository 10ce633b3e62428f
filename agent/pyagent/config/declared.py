"""What can be configured, as the declarations say it: options with type, default and one line of text."""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from weakref import WeakKeyDictionary

import msgspec

from pyagent.api import Duration, Secret, Size
from pyagent.api.options import Options, option
from pyagent.config.annotations import bounds_text
from pyagent.config.plan import PluginKind

__all__ = ["COMMON", "OptionSpec", "declared_options", "default_of", "plain", "table_type"]

_TYPES: dict[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    Duration: "duration",
    Size: "size",
    Secret: "secret",
    Any: "any value",
}


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One option of a plugin or of `[agent]`."""

    name: str
    attribute: str
    """Its name in Python."""
    annotation: Any
    """As declared, without `Annotated`."""
    type: str
    """In words: `boolean`, `list of string`, `one of 'a', 'b'`."""
    required: bool
    default: Any
    """As a value of TOML; None where there is none."""
    text: str
    deprecated: str = ""
    """What to use instead."""
    effects: tuple[str, ...] = ()
    """`executes`, `writes`, `reads_path`."""
    holds_secrets: bool = False
    renamed_from: tuple[str, ...] = ()
    no_effect: bool = False
    bounds: str = ""
    """Of a number, in words: `0 or more`."""
    limits: Mapping[str, float | str] = field(default_factory=dict)
    """The same by `ge`, `gt`, `le`, `lt`."""

    @property
    def offered(self) -> bool:
        """Samples and forms have it: there is no better one, and it does something."""
        return not self.deprecated and not self.no_effect


_declared: WeakKeyDictionary[type[msgspec.Struct], tuple[OptionSpec, ...]] = WeakKeyDictionary()
"""Read once of each type: those that all plugins of a kind share are asked for with each plugin."""


def declared_options(kind: type[msgspec.Struct]) -> tuple[OptionSpec, ...]:
    """The options that a type of options declares, in its order; those that it shares with others come last."""
    found = _declared.get(kind)
    if found is None:
        found = _declared[kind] = tuple(_read(kind))
    return found


def _read(kind: type[msgspec.Struct]) -> Iterator[OptionSpec]:
    inherited = {info.name for base in kind.__bases__ if issubclass(base, msgspec.Struct) for info in _fields(base)}
    for info in sorted(_fields(kind), key=lambda info: info.name in inherited):
        annotation, meta = _split(info.type)
        extra = (meta.extra or {}) if meta else {}
        yield OptionSpec(
            name=info.encode_name,
            attribute=info.name,
            annotation=annotation,
            type=_type_name(annotation),
            required=info.required,
            default=None if info.required else plain(default_of(info)),
            text=(meta.description or "") if meta else "",
            deprecated=extra.get("deprecated", ""),
            effects=tuple(name for name in ("executes", "writes", "reads_path") if extra.get(name)),
            holds_secrets=extra.get("holds_secrets", False),
            renamed_from=extra.get("renamed_from", ()),
            no_effect=extra.get("no_effect", False),
            bounds=bounds_text(extra),
            limits={name: extra[name] for name in ("ge", "gt", "le", "lt") if name in extra},
        )


def table_type(annotation: Any) -> tuple[type[msgspec.Struct], bool] | None:
    """The options that are tables of their own in an option of this type, and whether there is a list of them."""
    annotation, _ = _split(annotation)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return annotation, False
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list and (inner := table_type(arguments[0])):
        return inner[0], True
    if origin in (Union, types.UnionType):
        return next((found for item in arguments if (found := table_type(item))), None)
    return None


def plain(value: Any) -> Any:
    """An option's value as one of TOML: a duration is its text, a secret is masked, None stays."""
    match value:
        case Duration():
            return str(value)
        case Secret():
            return "***" if value else ""
        case Size():
            return int(value)
        case msgspec.Struct():
            pairs = {info.encode_name: plain(getattr(value, info.name)) for info in msgspec.structs.fields(value)}
            return {name: item for name, item in pairs.items() if item is not None}
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
    return value


def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def default_of(info: msgspec.structs.FieldInfo) -> Any:
    """The value of an option that is not set."""
    return info.default if info.default is not msgspec.NODEFAULT else info.default_factory()


def _split(annotation: Any) -> tuple[Any, msgspec.Meta | None]:
    if get_origin(annotation) is not Annotated:
        return annotation, None
    inner, *rest = get_args(annotation)
    return inner, next((item for item in rest if isinstance(item, msgspec.Meta)), None)


def _type_name(annotation: Any) -> str:
    annotation, _ = _split(annotation)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return "table"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is list:
        return f"list of {_type_name(arguments[0])}"
    if origin is dict:
        return f"table of {_type_name(arguments[1])}"
    if origin is Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if origin in (Union, types.UnionType):
        return " or ".join(_type_name(item) for item in arguments if item is not type(None))
    return _TYPES.get(annotation, getattr(annotation, "__name__", str(annotation)))


# Options that the engine gives to all plugins of a kind. Durations in them are text with a unit (reference: telegraf 1.1).


class _Named(Options, frozen=True):
    alias: Annotated[str, option("a name for this one among several of its plugin")] = ""
    labels: Annotated[dict[str, str], option("labels that --select chooses by")] = {}
    log_level: Annotated[
        Literal["", "error", "warn", "info", "debug", "trace"], option("level of its log lines (empty: the agent's)")
    ] = ""


class _Filtered(_Named, frozen=True):
    namepass: Annotated[list[str], option("patterns: metrics of these names pass")] = []
    namepass_separator: Annotated[str, option("characters that * in namepass does not match")] = ""
    namedrop: Annotated[list[str], option("patterns: metrics of these names do not pass")] = []
    namedrop_separator: Annotated[str, option("characters that * in namedrop does not match")] = ""
    tagpass: Annotated[dict[str, list[str]], option("tags and patterns: metrics with one of them pass")] = {}
    tagdrop: Annotated[dict[str, list[str]], option("tags and patterns: metrics with one of them do not pass")] = {}
    metricpass: Annotated[
        str, option("CEL expression of name, tags, fields and time: metrics for which it is true pass")
    ] = ""
    fieldinclude: Annotated[list[str], option("patterns: fields to keep")] = []
    fieldexclude: Annotated[list[str], option("patterns: fields to leave out")] = []
    fieldpass: Annotated[list[str], option("fields to keep", deprecated="fieldinclude")] = []
    fielddrop: Annotated[list[str], option("fields to leave out", deprecated="fieldexclude")] = []
    taginclude: Annotated[list[str], option("patterns: tags to keep")] = []
    tagexclude: Annotated[list[str], option("patterns: tags to leave out")] = []


# `pass` and `drop` are words of Python.
_OLDEST = msgspec.defstruct(
    "_Oldest",
    [
        ("pass", Annotated[list[str], option("fields to keep", deprecated="fieldinclude")], []),
        ("drop", Annotated[list[str], option("fields to leave out", deprecated="fieldexclude")], []),
    ],
)


_Startup = Annotated[
    Literal["", "error", "retry", "ignore", "probe"], option("what happens when it cannot start (empty: error)")
]


class _Renamed(_Filtered, frozen=True):
    name_override: Annotated[str, option("another name for its metrics")] = ""
    name_prefix: Annotated[str, option("put before the name")] = ""
    name_suffix: Annotated[str, option("put behind the name")] = ""


class _Tagged(_Renamed, frozen=True):
    tags: Annotated[dict[str, str], option("tags to add to its metrics")] = {}


class _Input(_Tagged, frozen=True):
    interval: Annotated[Duration, option("how often it is gathered (0s: as the agent)")] = Duration(0)
    precision: Annotated[Duration, option("unit that times are rounded to (0s: as the agent)")] = Duration(0)
    collection_jitter: Annotated[Duration, option("random delay of each gather, up to this much")] = Duration(0)
    collection_offset: Annotated[Duration, option("fixed shift of its schedule")] = Duration(0)
    startup_error_behavior: _Startup = ""


class _Output(_Renamed, frozen=True):
    flush_interval: Annotated[Duration, option("how often it is written (0s: as the agent)")] = Duration(0)
    flush_jitter: Annotated[Duration, option("random delay of each flush, up to this much")] = Duration(0)
    metric_batch_size: Annotated[int, option("metrics in one write at the most (0: as the agent)")] = 0
    metric_buffer_limit: Annotated[int, option("metrics kept while it cannot be written (0: as the agent)")] = 0
    startup_error_behavior: _Startup = ""


class _Processor(_Filtered, frozen=True):
    order: Annotated[int, option("place among the processors; those of the same act in the order of the file")] = 0


class _Aggregator(_Tagged, frozen=True):
    period: Annotated[Duration, option("how much time is summed up")] = Duration("30s")
    delay: Annotated[Duration, option("how late a metric may come")] = Duration("100ms")
    grace: Annotated[Duration, option("how old a metric may be")] = Duration(0)
    drop_original: Annotated[bool, option("drop the metrics that were summed up")] = False


class _SecretStore(Options, frozen=True):
    id: Annotated[str, option("name of the store in references @{id:key}: letters, digits and _")]
    labels: Annotated[dict[str, str], option("labels that --select chooses by")] = {}


COMMON: dict[PluginKind, tuple[type[msgspec.Struct], ...]] = {
    "inputs": (_Input, _OLDEST),
    "outputs": (_Output, _OLDEST),
    "processors": (_Processor, _OLDEST),
    "aggregators": (_Aggregator, _OLDEST),
    "parsers": (),
    "serializers": (),
    "secretstores": (_SecretStore,),
}
"""What every plugin of a kind has besides its own options."""

"""The plan: what the configuration says, validated and immutable. The engine runs it and nothing else.

Two plans are compared by the `identity` of their plugins: equal ones keep running at a reload.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pyagent.api import (
    Aggregator,
    Duration,
    Input,
    Options,
    Output,
    Parser,
    Plugin,
    Processor,
    Serializer,
    Size,
    option,
)
from pyagent.config.isolation import Isolation, is_async, isolation_of
from pyagent.plugin_kinds import PluginKind

__all__ = [
    "AgentSettings",
    "AggregatorPlan",
    "BrokenPlugin",
    "FilterOptions",
    "InputPlan",
    "Origin",
    "OutputPlan",
    "ParserPlan",
    "Plan",
    "PluginKind",
    "PluginPlan",
    "ProcessorPlan",
    "SerializerPlan",
]

Origin = Literal["builtin", "entry point", "file"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ZERO = Duration(0)


class AgentSettings(Options, frozen=True):
    """The table `[agent]` (reference: telegraf 1.2). Those without an effect yet are accepted and checked."""

    interval: Annotated[Duration, option("how often every input is gathered")] = Duration("10s")
    round_interval: Annotated[bool, option("gather at multiples of the interval: at :00, :10, :20, ...")] = True
    precision: Annotated[Duration, option("unit that times are rounded to; 0 chooses by the interval")] = Duration(0)
    collection_jitter: Annotated[Duration, option("random delay up to this much before each gather", ge=0)] = Duration(
        0
    )
    collection_offset: Annotated[Duration, option("fixed shift of the schedule", ge=0)] = Duration(0)
    flush_interval: Annotated[Duration, option("how often outputs are written")] = Duration("10s")
    flush_jitter: Annotated[Duration, option("random delay up to this much before each flush", ge=0)] = Duration(0)
    metric_batch_size: Annotated[int, option("metrics in one write at the most", ge=0)] = 1000
    metric_buffer_limit: Annotated[int, option("metrics kept per output while it cannot be written", ge=0)] = 10_000
    debug: Annotated[bool, option("log debug messages")] = False
    quiet: Annotated[bool, option("log errors only; wins over debug")] = False
    logtarget: Annotated[str, option("where to log", deprecated="logfile")] = ""
    logformat: Annotated[str, option("`text` or `structured` (JSON)")] = "text"
    structured_log_message_key: Annotated[str, option("name of the message's key in structured logs")] = "msg"
    logfile: Annotated[str, option("file to log to; empty: standard error", writes=True)] = ""
    logfile_rotation_interval: Annotated[Duration, option("start a new log file after this time; 0: never")] = Duration(
        0
    )
    logfile_rotation_max_size: Annotated[Size, option("start a new log file above this size; 0: never")] = Size(0)
    logfile_rotation_max_archives: Annotated[int, option("old log files to keep; -1: all")] = 5
    log_with_timezone: Annotated[str, option("time zone of log lines: an IANA name or `local`; empty: UTC")] = ""
    hostname: Annotated[str, option("value of the tag `host`; empty: the system's name")] = ""
    """Resolved: the system's name where the configuration gives none, "" with omit_hostname."""
    omit_hostname: Annotated[bool, option("do not add the tag `host`")] = False
    snmp_translator: Annotated[str, option("`gosmi` or `netsnmp`")] = ""
    statefile: Annotated[str, option("file that plugins keep their state in", writes=True)] = ""
    always_include_local_tags: Annotated[bool, option("add a plugin's tags again after its tag filters")] = False
    always_include_global_tags: Annotated[bool, option("add global tags again after tag filters")] = False
    skip_processors_after_aggregators: Annotated[bool | None, option("no second pass of processors")] = None
    skip_processors_before_aggregators: Annotated[bool, option("no first pass of processors")] = False
    config_url_retry_attempts: Annotated[int, option("tries for a configuration from a URL; 0: 3, -1: no limit")] = 0
    buffer_strategy: Annotated[str, option("`memory`, or `disk`: nothing taken is lost")] = "memory"
    buffer_directory: Annotated[str, option("folder of buffers on disk; empty: the state directory", writes=True)] = ""
    buffer_disk_sync: Annotated[bool, option("wait for the disk at each write")] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOptions:
    """Which metrics pass a plugin, and with which fields and tags (reference: telegraf 2). An empty one passes all."""

    namepass: tuple[str, ...] = ()
    namepass_separator: str = ""
    namedrop: tuple[str, ...] = ()
    namedrop_separator: str = ""
    tagpass: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    tagdrop: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NOTHING)
    metricpass: str = ""
    """An expression (pyagent.cel), checked."""
    fieldinclude: tuple[str, ...] = ()
    fieldexclude: tuple[str, ...] = ()
    taginclude: tuple[str, ...] = ()
    tagexclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginPlan:
    """One `[[kind.name]]` of the configuration."""

    kind: PluginKind
    name: str
    alias: str = ""
    plugin: type[Plugin[Any]]
    options: Options
    location: str
    """Where it stands, "FILE:LINE" or "URL:LINE", for messages."""
    option_locations: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """The same for each option that is given, by the name that it has in `options`."""
    origin: Origin = "builtin"
    log_level: str | None = None
    """error, warn, info, debug or trace; None: the agent's."""
    identity: str
    """Stable hash of kind, name and all that was given; equal ones are unchanged at a reload."""
    name_override: str = ""
    name_prefix: str = ""
    name_suffix: str = ""
    filters: FilterOptions = FilterOptions()
    always_include_local_tags: bool = False
    always_include_global_tags: bool = False
    startup_error_behavior: str = "error"
    """error, retry, ignore or probe (reference: telegraf 1.6)."""
    is_async: bool = field(init=False, compare=False)
    """Its `gather` (or `start`), `write` or `process` is `async def`."""
    isolation: Isolation = field(init=False, compare=False)
    """Where its calls run."""

    def __post_init__(self) -> None:
        asynchronous = is_async(self.kind, self.plugin)
        object.__setattr__(self, "is_async", asynchronous)
        # In this order: of an external one nothing is asked.
        alien = self.is_external or self.plugin.runs_scripts
        isolation = isolation_of(self.kind, asynchronous=asynchronous, external=alien)
        object.__setattr__(self, "isolation", isolation)

    @property
    def is_external(self) -> bool:
        """Whether its code, or some that its options hold, is not the engine's: it may do anything."""
        return self.origin != "builtin" or self.plugin.is_foreign(self.options)

    @property
    def label(self) -> str:
        """`inputs.mem`, or `inputs.mem::alias`: its name in logs."""
        return f"{self.kind}.{self.name}" + (f"::{self.alias}" if self.alias else "")

    @property
    def has_foreign_code(self) -> bool:
        """Whether what is made of it may hold code that is not the engine's."""
        return self.is_external

    def locate(self, option: str | None) -> str:
        """Where an option stands, or the plugin where the option is not given."""
        return self.option_locations.get(option or "", self.location)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserPlan:
    """How a plugin's data are parsed: the parser of its `data_format`, with its options from the plugin's table."""

    data_format: str
    plugin: type[Parser[Any]]
    options: Options


@dataclass(frozen=True, slots=True, kw_only=True)
class SerializerPlan:
    """How an output's metrics are written: the serializer of its `data_format`, with its options from the output's table."""

    data_format: str
    plugin: type[Serializer[Any]]
    options: Options
    origin: Origin = "builtin"

    @property
    def is_external(self) -> bool:
        """As `PluginPlan.is_external`."""
        return self.origin != "builtin"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlan(PluginPlan):
    plugin: type[Input[Any]]
    interval: Duration
    precision: Duration
    """Unit that times are rounded to, resolved: the plugin's, else the agent's, else by the interval (telegraf 4.4)."""
    service_precision: Duration = _ZERO
    """The same for what a service input receives, which only the plugin's own setting rounds; 0: times are kept."""
    collection_jitter: Duration = _ZERO
    collection_offset: Duration = _ZERO
    round_interval: bool = True
    tags: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Its own tags only, without the global ones."""
    parser: ParserPlan | None = None
    """For an input that parses."""

    @property
    def has_foreign_code(self) -> bool:
        return self.is_external or self.parser is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlan(PluginPlan):
    plugin: type[Output[Any]]
    flush_interval: Duration
    flush_jitter: Duration = _ZERO
    metric_batch_size: int = 1000
    metric_buffer_limit: int = 10_000
    queue_id: str
    """Which queue on disk is its own: made of the alias, else of plugin, organisation, bucket and ordinal."""
    on_disk: bool = False
    """Everything is kept on disk before it counts as taken."""
    buffer_directory: str = ""
    buffer_disk_sync: bool = True
    serializer: SerializerPlan | None = None
    """For an output that serializes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorPlan(PluginPlan):
    plugin: type[Processor[Any]]
    order: int = 0
    parser: ParserPlan | None = None
    """For one that parses."""
    serializer: SerializerPlan | None = None
    """For one that serializes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorPlan(PluginPlan):
    plugin: type[Aggregator[Any]]
    period: Duration
    delay: Duration
    grace: Duration = _ZERO
    drop_original: bool = False
    precision: Duration
    """Unit that the times of its results are rounded to."""
    round_interval: bool = True
    tags: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPlugin:
    """An external plugin (drop-in file or entry point) that cannot be used. It harms no other."""

    kind: PluginKind
    name: str
    alias: str = ""
    location: str
    reason: str
    """A whole message, with the location."""
    before: int = 0
    """How many plans of its kind are before it, in the order in which they act."""

    @property
    def label(self) -> str:
        """As `PluginPlan.label`."""
        return f"{self.kind}.{self.name}" + (f"::{self.alias}" if self.alias else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    agent: AgentSettings
    global_tags: Mapping[str, str]
    """Added to every metric of every input; `host` is among them unless omit_hostname."""
    inputs: tuple[InputPlan, ...] = ()
    outputs: tuple[OutputPlan, ...] = ()
    processors: tuple[ProcessorPlan, ...] = ()
    """In the order in which they act."""
    aggregators: tuple[AggregatorPlan, ...] = ()
    broken: tuple[BrokenPlugin, ...] = ()
    warnings: tuple[str, ...] = ()
    """For the log, each a whole line with its place."""
    errors: tuple[str, ...] = ()
    """The same, for what is worse and yet stops nothing: an unknown log level, say."""
    sources: Sequence[str] = ()
    """Files and URLs it was made of, in order; passwords in URLs masked."""

"""What agents of the fault tests are configured to do, in a form of which it can be said what each metric has to reach."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from receiver import Key, line

Place = tuple[str, str]
"""An output's name and a bucket there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A numbered metric. `bucket`: the value of its tag `to`, "" where it has none."""

    source: str
    number: int
    name: str = "load"
    bucket: str = ""
    tier: str = "gold"

    @property
    def key(self) -> Key:
        return self.source, self.number

    def line(self, time_ns: int) -> str:
        return line(
            self.source,
            self.number,
            time_ns,
            self.name,
            f",tier={self.tier}" + f",to={self.bucket}" * bool(self.bucket),
        )


@dataclass(frozen=True, slots=True)
class Filter:
    toml: str
    passes: Callable[[Sample], bool]


EVERYTHING = Filter("", lambda _: True)
FILTERS = [
    Filter('namepass = ["load", "d*k"]', lambda sample: sample.name in ("load", "disk")),
    Filter('namedrop = ["net"]', lambda sample: sample.name != "net"),
    Filter('metricpass = "fields.number % 2 == 0"', lambda sample: sample.number % 2 == 0),
    Filter(
        "metricpass = \"name == 'load' || 'to' in tags\"", lambda sample: sample.name == "load" or sample.bucket != ""
    ),
    Filter('[outputs.influxdb_v2.tagpass]\n    tier = ["gold"]', lambda sample: sample.tier == "gold"),
    Filter('[outputs.influxdb_v2.tagdrop]\n    to = ["b1", "b2"]', lambda sample: sample.bucket not in ("b1", "b2")),
]

_OUTPUT = """
[[outputs.influxdb_v2]]
  alias = "{name}"
  urls = ["{url}"]
  bucket = "{name}"
  organization = "o"
  bucket_tag = "{bucket_tag}"
  exclude_bucket_tag = {exclude}
  timeout = "{timeout}"
  metric_buffer_limit = {limit}
  metric_batch_size = {batch}
  {filter}
"""


@dataclass(frozen=True, slots=True)
class Writes:
    """One output. Its queue is named after it, so that it is the same one whatever else changes."""

    name: str
    url: str
    divided: bool = False
    """By the tag `to`: each value is a bucket."""
    exclude: bool = False
    filter: Filter = EVERYTHING
    limit: int = 1_000_000
    batch: int = 200
    timeout: str = "1s"

    def toml(self) -> str:
        return _OUTPUT.format(
            name=self.name,
            url=self.url,
            bucket_tag="to" if self.divided else "",
            exclude="true" if self.divided and self.exclude else "false",
            timeout=self.timeout,
            limit=self.limit,
            batch=self.batch,
            filter=self.filter.toml,
        )

    def place(self, sample: Sample) -> Place | None:
        """Where it has to arrive; None: nowhere."""
        if not self.filter.passes(sample):
            return None
        return self.name, (sample.bucket if self.divided and sample.bucket else self.name)


@dataclass(frozen=True, slots=True)
class Setup:
    """A whole configuration but for the address to listen on."""

    outputs: tuple[Writes, ...]
    strategy: str = "disk"
    staged: bool = False
    """A processor that changes nothing stands before the outputs."""

    def changed(self, **changes: object) -> "Setup":
        """The same with each output changed so."""
        return replace(self, outputs=tuple(replace(output, **changes) for output in self.outputs))  # type: ignore[arg-type]

    def toml(self, port: int, version: str) -> str:
        """`version` can be read in the agent's status."""
        processor = '[[processors.override]]\n  alias = "passes"\n' if self.staged else ""
        return (
            _AGENT.format(strategy=self.strategy, port=port, version=version)
            + processor
            + "".join(output.toml() for output in self.outputs)
        )

    def places(self, sample: Sample) -> set[Place]:
        return {place for output in self.outputs if (place := output.place(sample))}


_AGENT = """
[agent]
  interval = "1h"
  flush_interval = "200ms"
  buffer_strategy = "{strategy}"
  omit_hostname = true
[[inputs.mem]]
  alias = "{version}"
  namepass = ["nothing"]
[[inputs.influxdb_v2_listener]]
  service_address = "127.0.0.1:{port}"
"""

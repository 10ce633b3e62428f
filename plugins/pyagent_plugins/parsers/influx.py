"""Line protocol, by InfluxDB's own rules.

As in Telegraf one bad line costs the whole piece of data. Unlike there, a string may hold any backslash, and tags must be
unique: both as InfluxDB has it.
"""

from typing import Annotated

from pyagent.api import ConfigError, Duration, Metric, Options, ParseError, Parser, PrecisionName, option
from pyagent.api.files import without_mark
from pyagent.kit.page_room import check_room

__all__ = ["Influx", "InfluxOptions"]


class InfluxOptions(Options, frozen=True):
    influx_timestamp_precision: Annotated[Duration, option("unit of the times: 1ns, 1us, 1ms or 1s")] = Duration("1ns")
    influx_parser_type: Annotated[str, option("there is one parser only", no_effect=True)] = "internal"


_PRECISIONS: dict[int, PrecisionName] = {0: "ns", 1: "ns", 1_000: "us", 1_000_000: "ms", 1_000_000_000: "s"}


class Influx(Parser[InfluxOptions]):
    def setup(self) -> None:
        unit = self.options.influx_timestamp_precision
        if unit not in _PRECISIONS:
            problem = f"cannot read times in units of {unit}; use one of 1ns, 1us, 1ms and 1s"
            raise ConfigError(problem, option="influx_timestamp_precision")
        self._precision = self.line_precision = _PRECISIONS[unit]

    def parse(self, data: bytes) -> list[Metric]:
        check_room(len(data), data.count(b"\n"), data.count(b"="))
        parsed = self.parse_lines(without_mark(data), self._precision)
        if parsed.errors:
            raise ParseError(str(parsed.errors[0]))
        for metric in parsed.metrics if self.default_tags else ():
            metric.tags = {**self.default_tags, **metric.tags}
        return parsed.metrics

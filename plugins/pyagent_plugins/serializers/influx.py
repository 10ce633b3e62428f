"""Line protocol: a line for each metric, as InfluxDB takes it."""

from collections.abc import Sequence
from typing import Annotated

from pyagent.api import LineOptions, Metric, Options, Serializer, option

__all__ = ["Influx", "InfluxOptions"]


class InfluxOptions(Options, frozen=True):
    influx_max_line_bytes: Annotated[int, option("spread the fields of longer lines over several (0: never)", ge=0)] = 0
    influx_sort_fields: Annotated[bool, option("sort fields by name")] = False
    influx_uint_support: Annotated[bool, option("write unsigned integers as such, not as signed ones")] = False
    influx_omit_timestamp: Annotated[bool, option("leave out the time")] = False


class Influx(Serializer[InfluxOptions]):
    def setup(self) -> None:
        options = self.options
        self._lines = LineOptions(
            uint_support=options.influx_uint_support,
            sort_fields=options.influx_sort_fields,
            omit_timestamp=options.influx_omit_timestamp,
            max_line_bytes=options.influx_max_line_bytes,
        )

    def line_options(self) -> LineOptions:
        return self._lines

    def serialize(self, metric: Metric) -> bytes:
        return self.encode_lines([metric], self._lines)

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        return self.encode_lines(metrics, self._lines)

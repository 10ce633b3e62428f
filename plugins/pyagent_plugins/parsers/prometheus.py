"""Prometheus' text format, as exporters show it.

A page with one bad line is refused as a whole, as is one whose last line has no end: it broke off.
"""

from typing import Annotated, Literal

from pyagent.api import Metric, Options, Parser, option
from pyagent.kit.exposition import read

__all__ = ["Prometheus", "PrometheusOptions"]


class PrometheusOptions(Options, frozen=True):
    prometheus_metric_version: Annotated[
        Literal[0, 1, 2],
        option("1: a measurement for each metric; 2: all in the measurement prometheus, a field for each (0: 2)"),
    ] = 0
    prometheus_ignore_timestamp: Annotated[bool, option("give samples the present as their time, not their own")] = (
        False
    )


class Prometheus(Parser[PrometheusOptions]):
    def parse(self, data: bytes) -> list[Metric]:
        options = self.options
        version: Literal[1, 2] = 1 if options.prometheus_metric_version == 1 else 2
        return read(data, version, self.now(), options.prometheus_ignore_timestamp, self.default_tags)

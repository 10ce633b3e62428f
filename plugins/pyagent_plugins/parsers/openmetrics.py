"""OpenMetrics, as exporters show it: text that ends with `# EOF`.

A page with one bad line is refused as a whole, as is one that does not end with `# EOF`: it broke off.
"""

from typing import Annotated, Literal

from pyagent.api import Metric, Options, Parser, option
from pyagent.kit.openmetrics_text import read_text

__all__ = ["OpenMetrics", "OpenMetricsOptions"]


class OpenMetricsOptions(Options, frozen=True):
    openmetrics_metric_version: Annotated[
        Literal[0, 1, 2],
        option("1: a measurement for each metric; 2: all in the measurement openmetric, a field for each (0: 2)"),
    ] = 0
    openmetrics_ignore_timestamp: Annotated[bool, option("give samples the present as their time, not their own")] = (
        False
    )


class OpenMetrics(Parser[OpenMetricsOptions]):
    def parse(self, data: bytes) -> list[Metric]:
        options = self.options
        version: Literal[1, 2] = 1 if options.openmetrics_metric_version == 1 else 2
        return read_text(data, version, self.now(), options.openmetrics_ignore_timestamp, self.default_tags)

"""Output of Nagios plugins: texts, and performance data with their limits.

`inputs.exec` adds how the program ended: the field `state` of `nagios_state`.
"""

from pyagent.api import Metric, Parser
from pyagent.kit.nagios import read_output

__all__ = ["Nagios"]


class Nagios(Parser):
    def parse(self, data: bytes) -> list[Metric]:
        metrics = read_output(data, self.now())
        for metric in metrics if self.default_tags else ():
            metric.tags = {**self.default_tags, **metric.tags}
        return metrics

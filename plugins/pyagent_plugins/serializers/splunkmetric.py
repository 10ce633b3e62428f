"""Splunk's metrics as JSON: an object for each field, or for each metric, as forwarders and the HTTP Event Collector take them.

Tags are dimensions; `host`, `index` and `source` are where the event goes. Text fields are left out; booleans are 1 and 0.
"""

from typing import Annotated

from pyagent.api import FieldValue, Metric, Options, Serializer, option
from pyagent.kit.json_text import json_bytes, json_number, json_object, json_quoted

__all__ = ["Splunkmetric", "SplunkmetricOptions"]


class SplunkmetricOptions(Options, frozen=True):
    splunkmetric_hec_routing: Annotated[
        bool, option("write events of the HTTP Event Collector, with time, host, index and source")
    ] = False
    splunkmetric_multimetric: Annotated[bool, option("one object for all fields of a metric (from Splunk 8.0 on)")] = (
        False
    )
    splunkmetric_omit_event_tag: Annotated[bool, option('leave out `"event": "metric"`')] = False


_PLACES = ("host", "index", "source")


class Splunkmetric(Serializer[SplunkmetricOptions]):
    def serialize(self, metric: Metric) -> bytes:
        dimensions: dict[str, FieldValue] = {key: value for key, value in metric.tags.items() if key not in _PLACES}
        values = {
            key: int(value) if isinstance(value, bool) else value
            for key, value in metric.fields.items()
            if not isinstance(value, str)
        }
        time = float(metric.time) / 1e9
        if self.options.splunkmetric_multimetric:
            named = {f"metric_name:{metric.name}.{key}": value for key, value in values.items()}
            return self._written(metric, time, {**dimensions, **named})
        return b"".join(
            [
                self._written(metric, time, {**dimensions, "metric_name": f"{metric.name}.{key}", "_value": value})
                for key, value in values.items()
            ]
        )

    def _written(self, metric: Metric, time: float, fields: dict[str, FieldValue]) -> bytes:
        if not self.options.splunkmetric_hec_routing:
            return json_bytes(json_object({**fields, "time": time}))
        event = "" if self.options.splunkmetric_omit_event_tag else '"event":"metric",'
        places = "".join([f'"{key}":{json_quoted(value)},' for key in _PLACES if (value := metric.tags.get(key))])
        return json_bytes(f'{{"time":{json_number(time)},{event}{places}"fields":{json_object(fields)}}}')

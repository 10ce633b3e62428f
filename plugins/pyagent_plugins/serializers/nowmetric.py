"""ServiceNow's metrics as JSON: an object for each field that is no text.

The tag `host` is its node, `objectname` its resource; other tags are left out.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pyagent.api import Metric, Options, Serializer, option
from pyagent.kit.field_texts import milliseconds
from pyagent.kit.json_text import json_bytes, json_quoted, json_value

__all__ = ["Nowmetric", "NowmetricOptions"]


class NowmetricOptions(Options, frozen=True):
    nowmetric_format: Annotated[
        Literal["", "oi", "jsonv2"],
        option("a list, as Operational Intelligence takes it (oi), or an object with records (jsonv2); empty: oi"),
    ] = "oi"


class Nowmetric(Serializer[NowmetricOptions]):
    def serialize(self, metric: Metric) -> bytes:
        # One that has nothing but text is null, as in Telegraf.
        return self._written(_objects(metric) or None)

    def serialize_batch(self, metrics: Sequence[Metric]) -> bytes:
        return self._written([text for metric in metrics for text in _objects(metric)])

    def _written(self, objects: list[str] | None) -> bytes:
        text = "null" if objects is None else f"[{','.join(objects)}]"
        return json_bytes(f'{{"records":{text}}}' if self.options.nowmetric_format == "jsonv2" else text)


def _objects(metric: Metric) -> list[str]:
    node = json_quoted(metric.tags.get("host", ""))
    middle = f'"resource":{json_quoted(metric.tags.get("objectname", ""))},"node":{node},"value":'
    item = f'{{"node":{node}}}' if metric.tags.get("host") else "null"
    end = f',"timestamp":{milliseconds(metric.time)},"ci2metric_id":{item},"source":"Telegraf"}}'
    return [
        f'{{"metric_type":{json_quoted(key)},{middle}{json_value(value)}{end}'
        for key, value in metric.fields.items()
        if key and not isinstance(value, str)
    ]

"""JSON whose values, objects and lists are chosen by paths in gjson's syntax.

Each table `json_v2` makes metrics of a document: `field` and `tag` take single values, `object` takes all that an object
holds. Of a list each element is a metric; several lists give every combination of their elements, as in Telegraf.
"""

import json
from typing import Annotated, Any

from pyagent.api import ConfigError, Metric, Options, ParseError, Parser, option
from pyagent.api.files import without_mark
from pyagent.kit.gjson_objects import DataSet, JsonObject, Levels, Walk, product, read_pairs
from pyagent.kit.gjson_text import find
from pyagent.kit.surrogates import whole_characters
from pyagent.kit.timestamps import Zone, load_zone, parse_timestamp

__all__ = ["JsonV2", "JsonV2Options"]


class Selection(Options, frozen=True):
    measurement_name: Annotated[str, option("the measurement; empty: the plugin's name")] = ""
    measurement_name_path: Annotated[str, option("path to the measurement")] = ""
    timestamp_path: Annotated[str, option("path to the time; without one it is the present")] = ""
    timestamp_format: Annotated[
        str, option("unix, unix_ms, unix_us, unix_ns, a name such as RFC3339, or a layout of Go's reference time")
    ] = ""
    timestamp_timezone: Annotated[str, option("zone of times that name none: an IANA name or Local; empty: UTC")] = ""
    field: Annotated[list[DataSet], option("values that are fields")] = []
    tag: Annotated[list[DataSet], option("values that are tags")] = []
    object: Annotated[list[JsonObject], option("objects, or lists of them, whose members are fields and tags")] = []


class JsonV2Options(Options, frozen=True):
    json_v2: Annotated[list[Selection], option("what to take of a document")] = []


class JsonV2(Parser[JsonV2Options]):
    def setup(self) -> None:
        if not self.options.json_v2:
            raise ConfigError("no table 'json_v2' says what to take; add [[inputs.NAME.json_v2]]", option="data_format")
        self._zones: list[Zone] = []
        self._levels: Levels = {}
        for selection in self.options.json_v2:
            try:
                self._zones.append(load_zone(selection.timestamp_timezone))
            except ValueError as error:
                raise ConfigError(f"the option 'timestamp_timezone': {error}", option="json_v2") from None

    def parse(self, data: bytes) -> list[Metric]:
        text = whole_characters(without_mark(data).decode("utf-8", "surrogateescape").removeprefix("\ufeff"))
        now = self.now()
        metrics: list[Metric] = []
        try:
            whole = read_pairs(text)
            walk = Walk(self.log, self.measurement, now, self._levels)
            for selection, zone in zip(self.options.json_v2, self._zones, strict=True):
                metrics += self._select(text, whole, walk, selection, zone, now)
        except json.JSONDecodeError as error:
            raise ParseError(f"column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}", error.lineno) from None
        except RecursionError:
            raise ParseError("the document is nested too deeply") from None
        except ValueError as error:
            raise ParseError(str(error)) from None
        if self.default_tags:
            for metric in metrics:
                metric.tags.update(self.default_tags)
        return metrics

    def _select(self, text: str, whole: Any, walk: Walk, selection: Selection, zone: Zone, now: int) -> list[Metric]:
        walk.name = selection.measurement_name or self.measurement
        if selection.measurement_name_path:
            found = find(text, selection.measurement_name_path)
            if not found.is_object and not found.is_list:
                walk.name = found.text()
        walk.time = now
        if selection.timestamp_path:
            found = find(text, selection.timestamp_path)
            if not isinstance(found.value, str | bool | float) and not found.is_object and not found.is_list:
                raise ValueError(f"the time at the path {selection.timestamp_path!r} is missing or null")
            if not found.is_object and not found.is_list:
                if not selection.timestamp_format:
                    raise ValueError("'timestamp_path' needs 'timestamp_format' beside it")
                walk.time = parse_timestamp(selection.timestamp_format, found.text(), zone)
        fields = walk.values(text, selection.field, tag=False)
        tags = walk.values(text, selection.tag, tag=True)
        objects: list[Metric] = []
        for wanted in selection.object:
            objects += walk.objects(text, whole, wanted)
        metrics = product(tags, fields)
        return product(objects, metrics) if objects and metrics else metrics + objects

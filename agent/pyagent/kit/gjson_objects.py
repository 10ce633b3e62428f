"""From JSON objects to metrics, as the parser json_v2 makes them.

`Walk` goes as Telegraf does: members of an object go into one metric, each element of a list makes a metric, and what
lies beside a list is copied to them. Objects without lists inside, which most are, take a way of their own with the
same results: `_Level` knows what becomes of each key.
"""

import json
import logging
from collections.abc import Callable
from typing import Annotated, Any, Final

from pyagent.api import FieldValue, Metric, Options, Uint, option
from pyagent.kit.gjson_results import Result, children
from pyagent.kit.gjson_text import find
from pyagent.kit.numbers import go_float, parse_boolean, parse_float, parse_integer, parse_unsigned
from pyagent.kit.timestamps import Zone, load_zone, parse_timestamp

__all__ = ["DataSet", "JsonObject", "Levels", "Walk", "product", "read_pairs"]


class DataSet(Options, frozen=True):
    path: Annotated[str, option("path, in gjson's syntax, to a value or a list of values")] = ""
    type: Annotated[str, option("int, uint, float, string or bool; empty: as it is, numbers are floats")] = ""
    rename: Annotated[str, option("name; empty: the last key of the path")] = ""
    optional: Annotated[bool, option("nothing at the path is no error")] = False


class JsonObject(Options, frozen=True):
    path: Annotated[str, option("path, in gjson's syntax, to an object or a list of them")] = ""
    optional: Annotated[bool, option("nothing at the path is no error")] = False
    timestamp_key: Annotated[str, option("key of the time, with the keys above it")] = ""
    timestamp_format: Annotated[
        str, option("unix, unix_ms, unix_us, unix_ns, a name such as RFC3339, or a layout of Go's reference time")
    ] = ""
    timestamp_timezone: Annotated[str, option("zone of times that name none: an IANA name or Local; empty: UTC")] = ""
    disable_prepend_keys: Annotated[bool, option("names without the keys above them")] = False
    included_keys: Annotated[list[str], option("keys to take, with those above them; []: all")] = []
    excluded_keys: Annotated[list[str], option("keys to leave out, with those above them")] = []
    tags: Annotated[list[str], option("keys that are tags, with those above them")] = []
    renames: Annotated[dict[str, str], option("a new name for each key, with those above it")] = {}
    fields: Annotated[dict[str, str], option("type of each key, with those above it")] = {}
    field: Annotated[list[DataSet], option("paths, from this object, to what is to be taken as fields")] = []
    tag: Annotated[list[DataSet], option("paths, from this object, to what is to be taken as tags")] = []


_NO_OBJECT: Final = JsonObject()
_MOST_COMBINATIONS: Final = 250_000
"""A document of a few lines can ask for more than any memory holds."""
_pairs: Final = json.JSONDecoder(object_pairs_hook=tuple)


def _refused(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


_pairs_exactly: Final = json.JSONDecoder(
    object_pairs_hook=tuple, parse_int=lambda text: float(text) if len(text) > 300 or text == "-0" else int(text)
)
_pairs.parse_constant = _pairs_exactly.parse_constant = _refused
_pairs.scan_once = json.scanner.make_scanner(_pairs)  # type: ignore[attr-defined]
_pairs_exactly.scan_once = json.scanner.make_scanner(_pairs_exactly)  # type: ignore[attr-defined]


def read_pairs(text: str) -> Any:
    """A JSON text; objects are tuples of their pairs, as a key may stand twice. Raises json.JSONDecodeError, ValueError."""
    try:
        return (_pairs_exactly if "-0" in text else _pairs).decode(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return _pairs_exactly.decode(text)


def product(one: list[Metric], other: list[Metric]) -> list[Metric]:
    """Every combination; the values of `other` win, the time is that of `one`. Raises ValueError for too many."""
    if not one:
        return other
    if not other:
        return one
    if len(one) * len(other) > _MOST_COMBINATIONS:
        raise ValueError(f"the lists of the document give more than {_MOST_COMBINATIONS:,} combinations")
    return [Metric(a.name, {**a.tags, **b.tags}, {**a.fields, **b.fields}, a.time) for a in one for b in other]


def convert(found: Result, wanted: str, name: str) -> FieldValue:
    """Raises ValueError."""
    value = found.value
    if wanted == "string" and isinstance(value, dict | list):
        return found.raw
    if isinstance(value, str):
        reader = _READERS.get(wanted)
        if reader is None:
            return value
        if (number := reader(value)) is None:
            raise ValueError(f"the value of {name!r} must be of type {wanted}, and is {value!r:.80}")
        return number
    if isinstance(value, bool):
        if wanted == "string":
            return "true" if value else "false"
        return int(value) if wanted == "int" else Uint(value) if wanted == "uint" else value
    if not isinstance(value, float):
        raise ValueError(f"the value of {name!r} is an object or a list, where a single value must be")
    if wanted == "string":
        return go_float(value)
    if wanted == "int":
        return _signed(value, found.raw)
    if wanted == "uint":
        return _unsigned(value, found.raw)
    if wanted == "bool":
        if value not in (0, 1):
            raise ValueError(f"the value of {name!r} must be of type bool, and is {found.raw:.80}")
        return value == 1
    return value


_READERS: Final[dict[str, Callable[[str], FieldValue | None]]] = {
    "bool": parse_boolean,
    "float": parse_float,
    "int": parse_integer,
    "uint": lambda text: None if (number := parse_unsigned(text)) is None else Uint(number),
}


def _signed(value: float, raw: str) -> int:
    if abs(value) <= 9007199254740991:
        return int(value)
    if raw.removeprefix("-").isdigit():
        return (int(raw[:4000]) + 2**63) % 2**64 - 2**63
    return int(value) if abs(value) < 2**63 else -(2**63)


def _unsigned(value: float, raw: str) -> Uint:
    if 0 <= value <= 9007199254740991:
        return Uint(int(value))
    if raw.isdigit():
        return Uint(int(raw[:4000]) % 2**64)
    if abs(value) < 2**63:
        return Uint(int(value) % 2**64)
    return Uint(int(value) if 0 < value < 2**64 else 2**63 if value < 0 else 0)


class _Special(Exception):
    """An object needs the long way."""


_SKIP, _FIELD, _TAG, _TYPED, _TIME = range(5)


class _Level(dict[str, "tuple[int, str, str, str, _Level | None]"]):
    """What becomes of the keys of one object: action, name, type, full key, and the level of an object that is there."""

    __slots__ = ("prefix", "type", "wanted")

    def __init__(self, wanted: JsonObject, prefix: str = "", type: str = "") -> None:
        self.wanted = wanted
        self.prefix = prefix
        self.type = type

    def __missing__(self, key: str) -> "tuple[int, str, str, str, _Level | None]":
        wanted = self.wanted
        if len(self) > 5000:  # keys come from anybody
            self.clear()
        full, name, kind = names_of(wanted, self.prefix, key, self.type)
        action = _SKIP
        if takes(wanted, full, False):
            if wanted.timestamp_key and full == wanted.timestamp_key:
                action = _TIME
            elif full in wanted.tags:
                action = _TAG
            else:
                action = _TYPED if kind else _FIELD
        inner = _Level(wanted, full, kind) if takes(wanted, full, True) else None
        entry = self[key] = (action, name, kind, full, inner)
        return entry


Levels = dict[int, _Level]
"""What was learned of keys, by the id of their object's options."""


def names_of(wanted: JsonObject, prefix: str, key: str, kind: str) -> tuple[str, str, str]:
    """Full key, name and type of a member; `prefix`: the full key above, `kind`: the type from there."""
    key = key.replace(" ", "_")
    full = f"{prefix}_{key}" if prefix else key
    name = wanted.renames.get(full)
    if name is None:
        name = key if wanted.disable_prepend_keys else full
    return full, name, wanted.fields.get(full, kind)


def takes(wanted: JsonObject, full: str, above: bool) -> bool:
    """Whether a key counts; `above`: it has an object or a list, where keys below it may count."""
    if full in wanted.excluded_keys:
        return False
    if not wanted.included_keys or full in wanted.included_keys or full in wanted.tags:
        return True
    return above and any(key.startswith(full) for key in (*wanted.included_keys, *wanted.tags))


class _Node:
    """A value on its way into metrics. `metric` is shared by the members of an object."""

    __slots__ = ("full", "index", "metric", "name", "part", "path", "place", "tag", "type")

    def __init__(self, metric: Metric, part: Result, full: str = "", type: str = "", tag: bool = False) -> None:
        self.metric = metric
        self.part = part
        self.full = self.name = full
        self.type = type
        self.tag = tag
        self.path: _Path | None = None
        self.place = 0
        """Where the value is in the object that is walked through, as Telegraf counts it."""
        self.index = part.index

    def inner(self, metric: Metric, part: Result) -> "_Node":
        node = _Node(metric, part, self.full, self.type, self.tag)
        node.name, node.path, node.place = self.name, self.path, self.place
        return node


class _Path:
    __slots__ = ("found", "tag", "wanted")

    def __init__(self, found: Result, wanted: DataSet, tag: bool) -> None:
        self.found = found
        self.wanted = wanted
        self.tag = tag

    def is_at(self, place: int) -> bool:
        return self.found.index == place or place in (self.found.indexes or ())


class Walk:
    """Through one document. `name` and `time`: those of the metrics that it makes, as long as nothing else is said."""

    def __init__(self, log: logging.Logger, name: str, time: int, levels: Levels) -> None:
        self.log = log
        self.name = name
        self.time = time
        self._levels = levels
        self._object = _NO_OBJECT
        self._paths: list[_Path] = []
        self._walks_objects = False

    def values(self, text: str, wanted: list[DataSet], *, tag: bool) -> list[Metric]:
        """Metrics of single values, in every combination. Raises ValueError."""
        self._walks_objects = False
        metrics: list[Metric] = []
        for data in wanted:
            found = self._find(text, data.path, data.optional)
            if found is None:
                continue
            if found.is_object and data.type != "string":
                self.log.debug("there is an object at the path %r; use 'object' for it", data.path)
                continue
            full = (data.rename or data.path.rpartition(".")[2]).replace(" ", "_")
            node = _Node(self._metric(), found, full, data.type, tag)
            node.place = found.index
            metrics = product(metrics, self._expand(node))
        return metrics

    def objects(self, text: str, whole: Any, wanted: JsonObject) -> list[Metric]:
        """Metrics of an object or a list of them. `whole`: `text` as `read_pairs` gives it. Raises ValueError."""
        self._walks_objects, self._object, self._paths = True, wanted, []
        if not wanted.field and not wanted.tag and wanted.path == "@this":
            return self._plain(Result(text.strip(" \t\r\n"), None), whole)
        found = self._find(text, wanted.path, wanted.optional)
        if found is None:
            return []
        if not wanted.field and not wanted.tag:
            return self._plain(found, read_pairs(found.raw) if isinstance(found.value, dict | list) else None)
        for several, tag in ((wanted.field, False), (wanted.tag, True)):
            for data in several:
                place = find(found.raw, data.path)
                if place.raw:
                    self._paths.append(_Path(place, data, tag))
                elif not data.optional:
                    raise ValueError(f"there is nothing at the path {data.path!r}")
        return self._expand(_Node(self._metric(), found))

    def _find(self, text: str, path: str, optional: bool) -> Result | None:
        if not path:
            raise ValueError("the option 'path' is missing")
        found = find(text, path)
        if found.raw:
            return found
        self.log.debug("there is nothing at the path %r", path)
        if optional:
            return None
        raise ValueError(f"there is nothing at the path {path!r}")

    def _metric(self) -> Metric:
        return Metric(self.name, {}, {}, self.time)

    # The short way --------------------------------------------------------------------------------------------------

    def _plain(self, found: Result, value: Any) -> list[Metric]:
        root = _Node(self._metric(), found)
        if type(value) is tuple:
            try:
                return self._flat(value)
            except _Special:
                return self._expand(root)
        if type(value) is not list:
            return self._expand(root)
        metrics: list[Metric] = []
        elements: list[Result] | None = None
        for number, item in enumerate(value):
            if type(item) is tuple:
                try:
                    metrics += self._flat(item)
                    continue
                except _Special:
                    pass
            if elements is None:
                elements = [element for _, _, element in children(found)]
            node = root.inner(self._metric(), elements[number])
            node.place = elements[number].index - found.index
            if type(item) is tuple:
                metrics += self._combine(node)
            elif (more := self._logged(node)) is not None:
                metrics += more
            else:
                break
        return metrics

    def _flat(self, pairs: Any) -> list[Metric]:
        level = self._levels.get(id(self._object))
        if level is None:
            level = self._levels[id(self._object)] = _Level(self._object)
        metric = Metric(self.name, {}, {}, self.time)
        try:
            return [metric] if self._fill(pairs, level, metric, metric.tags, metric.fields) else []
        except (OverflowError, ValueError):
            raise _Special from None

    def _fill(
        self, pairs: Any, level: _Level, metric: Metric, tags: dict[str, str], fields: dict[str, FieldValue]
    ) -> bool:
        """Whether there is a metric: an object that is empty takes away what lies before it, as in Telegraf."""
        there = False
        for key, value in pairs:
            action, name, wanted, full, inner = level[key]
            kind = type(value)
            if kind is tuple:
                if inner is not None:
                    there = self._fill(value, inner, metric, tags, fields)
                continue
            if kind is list:
                if inner is not None:
                    raise _Special
                continue
            if not action:
                continue
            there = True
            if action == _TIME:
                metric.time = self._time(Result(str(value), float(value) if kind is int else value))
                continue
            if value is None:
                continue
            if name in fields or name in tags:
                raise _Special
            if action == _FIELD:
                fields[name] = float(value) if kind is int else value
            elif action == _TAG:
                tags[name] = (
                    value if kind is str else go_float(value) if kind is not bool else "true" if value else "false"
                )
            else:
                fields[name] = convert(Result(str(value), float(value) if kind is int else value), wanted, full)
        return there

    # The long way, step by step as Telegraf goes ----------------------------------------------------------------------

    def _time(self, found: Result) -> int:
        wanted = self._object
        if not wanted.timestamp_format:
            raise ValueError("'timestamp_key' needs 'timestamp_format' beside it")
        zone: Zone = load_zone(wanted.timestamp_timezone)
        return parse_timestamp(wanted.timestamp_format, found.text(), zone)

    def _logged(self, node: _Node) -> list[Metric] | None:
        """What a value inside of another expands to; None after an error, which costs what comes behind it."""
        try:
            return self._expand(node)
        except ValueError as error:
            self.log.error("a part of the document is left out: %s", error)
            return None

    def _expand(self, node: _Node) -> list[Metric]:
        part = node.part
        if part.is_object:
            if node.type == "string":
                return [self._put(node, node.name, node.type, node.tag)]
            return self._combine(node) if self._walks_objects else []
        if part.is_list:
            if node.type == "string":
                return [self._put(node, node.name, node.type, node.tag)]
            return self._each(node)
        wanted = self._object
        if wanted.timestamp_key and node.full == wanted.timestamp_key:
            node.metric.time = self._time(part)
        elif part.value is not None:
            name, kind, tag = node.name, node.type, node.tag
            if wanted.field or wanted.tag:
                path = node.path or self._path_at(node.place)
                if path is None:
                    return []
                tag = tag or path.tag
                kind = kind if path.tag else path.wanted.type
                name = path.wanted.rename or name
            self._put(node, name, kind, tag)
        return [node.metric]

    def _put(self, node: _Node, name: str, kind: str, tag: bool) -> Metric:
        value = convert(node.part, "string" if tag else kind, node.full)
        if tag:
            node.metric.tags[name] = str(value)
        else:
            node.metric.fields[name] = value
        return node.metric

    def _path_at(self, place: int) -> _Path | None:
        return next((path for path in self._paths if path.is_at(place)), None)

    def _each(self, node: _Node) -> list[Metric]:
        if node.path is None and (self._object.field or self._object.tag):
            node.path = self._path_at(node.index)
        metrics: list[Metric] = []
        above = node.metric
        for _, _, element in children(Result(node.part.raw, None, node.index, node.part.indexes)):
            inner = node.inner(self._metric(), element)
            inner.index = element.index - node.index
            inner.place = inner.index + node.place
            if element.is_object:
                metrics += self._combine(inner)
                for metric in metrics:
                    metric.fields.update(above.fields)
                    metric.tags.update(above.tags)
                continue
            inner.metric.fields.update(above.fields)
            inner.metric.tags.update(above.tags)
            more = self._logged(inner)
            if more is None:
                break
            metrics += more
        return metrics

    def _combine(self, node: _Node) -> list[Metric]:
        wanted = self._object
        metrics: list[Metric] = []
        for key, _, value in children(Result(node.part.raw, None, node.index, node.part.indexes)):
            full, name, kind = names_of(wanted, node.full, key, node.type)
            if not takes(wanted, full, value.is_object or value.is_list):
                continue
            inner = node.inner(node.metric, value)
            inner.full, inner.name, inner.type, inner.tag = full, name, kind, full in wanted.tags
            inner.index = value.index
            inner.place = node.place + value.index
            if value.is_object:
                metrics = self._combine(inner)
                continue
            inner.index -= node.index
            inner.place -= node.index
            more = self._logged(inner)
            if more is None:
                break
            metrics = product(more, metrics)
        return metrics

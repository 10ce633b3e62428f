"""`Metric` of the scripts: a metric whose tags and fields are dicts that check what is put into them, as in Telegraf."""

import time as clock
from collections.abc import Callable, Iterator
from typing import Any

from pyagent.api import Metric
from pyagent.api.metric import INT64_MAX, INT64_MIN
from pyagent.kit.starlark.methods import pairs_of
from pyagent.kit.starlark.operators import Operators
from pyagent.kit.starlark.values import Bound, Builtin, Dict, Host, List, StarlarkError, quoted, repr_of, type_of

__all__ = ["METRIC_FUNCTIONS", "MetricValue", "copied", "direct_access", "go_type"]

_ABSENT = object()
_GO_TYPES = {
    "NoneType": "starlark.NoneType",
    "tuple": "starlark.Tuple",
    "list": "*starlark.List",
    "dict": "*starlark.Dict",
    "set": "*starlark.Set",
    "function": "*starlark.Function",
    "builtin_function_or_method": "*starlark.Builtin",
    "Metric": "*starlark.Metric",
    "Fields": "starlark.FieldDict",
    "Tags": "starlark.TagDict",
    "int": "starlark.Int",
    "float": "starlark.Float",
    "string": "starlark.String",
    "bool": "starlark.Bool",
}


def go_type(value: Any) -> str:
    """How Telegraf's messages name a type."""
    kind = type_of(value)
    return _GO_TYPES.get(kind, kind)


class _Table(Host):
    """Tags or fields of one metric."""

    __slots__ = ("data", "frozen", "loops")

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.loops = 0
        self.frozen = False

    def __len__(self) -> int:
        return len(self.data)

    def attribute(self, name: str) -> Any:
        method = _METHODS.get(name)
        if method is None:
            raise StarlarkError(f"no such method {quoted(name)}")
        return Bound(self, name, method)

    def attributes(self) -> list[str]:
        return list(_METHODS)

    def get(self, key: Any) -> Any:
        try:
            value = self.data[key]
        except (KeyError, TypeError):
            _key(key)
            raise StarlarkError(f"key {repr_of(key)} not in {self.kind}") from None
        return value if type(value) in _PLAIN else int(value)

    def find(self, key: Any, default: Any) -> Any:
        return self.get(key) if _key(key) in self.data else default

    def has(self, key: Any) -> bool:
        return type(key) is str and key in self.data

    def keys(self) -> list[str]:
        return list(self.data)

    def pairs(self) -> list[tuple[str, Any]]:
        return [(key, self.get(key)) for key in self.keys()]

    def loop(self) -> Iterator[Any]:
        self.loops += 1
        try:
            yield from self.keys()
        finally:
            self.loops -= 1

    def changes(self, verb: str) -> None:
        if self.frozen:
            raise StarlarkError("cannot modify frozen metric")
        if self.loops:
            raise StarlarkError(f"cannot {verb} during iteration")

    def take(self, key: Any, default: Any) -> Any:
        self.changes("delete")
        value = self.find(key, default)
        self.data.pop(key, None)
        return value

    def text(self) -> str:
        return "{" + ", ".join([f"{quoted(key)}: {repr_of(value)}" for key, value in self.pairs()]) + "}"

    def freeze(self) -> None:
        self.frozen = True


class TagTable(_Table):
    __slots__ = ()

    kind = "Tags"

    def keys(self) -> list[str]:
        return sorted(self.data)

    def set(self, key: Any, value: Any) -> None:
        self.changes("insert")
        if type(key) is not str:
            raise StarlarkError("tag key must be of type 'str'")
        if type(value) is not str:
            raise StarlarkError("tag value must be of type 'str'")
        self.data[key] = value


class FieldTable(_Table):
    __slots__ = ()

    kind = "Fields"

    def set(self, key: Any, value: Any) -> None:
        self.changes("insert")
        if type(key) is not str:
            raise StarlarkError("field key must be of type 'str'")
        self.data[key] = value if type(value) is float else _field(value)


class MetricValue(Host):
    """A metric in a script. `tags` and `fields` are its own dicts."""

    __slots__ = ("fields", "frozen", "metric", "tags")

    kind = "Metric"

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.fields: FieldTable | None = None
        self.tags: TagTable | None = None
        self.frozen = False

    def attribute(self, name: str) -> Any:
        if name == "fields":
            if self.fields is None:
                self.fields = FieldTable(self.metric.fields)
            return self.fields
        if name == "tags":
            if self.tags is None:
                self.tags = TagTable(self.metric.tags)
            return self.tags
        if name == "name":
            return self.metric.name
        if name == "time":
            return self.metric.time
        raise KeyError(name)

    def attributes(self) -> list[str]:
        return ["name", "tags", "fields", "time"]

    def set_attribute(self, name: str, value: Any) -> None:
        if self.frozen:
            raise StarlarkError("cannot modify frozen metric")
        if name == "name":
            if type(value) is not str:
                raise StarlarkError("type error")
            self.metric.name = value
        elif name == "time":
            if type(value) is not int:
                raise StarlarkError("type error")
            if not INT64_MIN <= value <= INT64_MAX:
                raise StarlarkError("type error: unrepresentable time")
            self.metric.time = value
        elif name in ("tags", "fields"):
            raise StarlarkError(f"cannot set {name}")
        else:
            raise StarlarkError(f"cannot assign to field {quoted(name)}")

    def text(self) -> str:
        metric = self.metric
        tags, fields = TagTable(metric.tags).text(), FieldTable(metric.fields).text()
        return f"Metric({quoted(metric.name)}, tags={tags}, fields={fields}, time={metric.time})"

    def freeze(self) -> None:
        self.frozen = True
        self.attribute("tags").freeze()
        self.attribute("fields").freeze()

    def copy(self) -> "MetricValue":
        return MetricValue(copied(self.metric))


def copied(metric: Metric) -> Metric:
    return Metric(metric.name, dict(metric.tags), dict(metric.fields), metric.time, metric.kind)


_PLAIN = frozenset((float, int, str, bool))


def _key(key: Any) -> str:
    if type(key) is not str:
        raise StarlarkError("key must be of type 'str'")
    return key


def _field(value: Any) -> Any:
    if type(value) is int:
        if not INT64_MIN <= value <= INT64_MAX:
            raise StarlarkError(f"cannot represent integer {repr_of(value)} as int64")
        return value
    if type(value) is str or type(value) is bool or type(value) is float:
        return value
    raise StarlarkError(f"invalid starlark type {go_type(value)}")


def _clear(table: Any, /) -> None:
    table.changes("delete")
    table.data.clear()


def _get(table: Any, key: Any, default: Any = None, /) -> Any:
    return table.find(key, default)


def _pop(table: Any, key: Any, default: Any = _ABSENT, /) -> Any:
    value = table.take(key, default)
    if value is _ABSENT:
        raise StarlarkError("pop: missing key")
    return value


def _popitem(table: Any, /) -> tuple[str, Any]:
    table.changes("delete")
    if keys := table.keys():
        return keys[0], table.take(keys[0], None)
    what = "tag" if table.kind == "Tags" else "field"
    raise StarlarkError(f"popitem(): {what} dictionary is empty")


def _setdefault(table: Any, key: Any, default: Any = None, /) -> Any:
    if _key(key) in table.data:
        return table.get(key)
    table.set(key, default)
    return default


def _update(table: Any, more: Any = (), /, **named: Any) -> None:
    for key, value in (*pairs_of(more, "update"), *named.items()):
        table.set(key, value)


_METHODS: dict[str, Any] = {
    "clear": _clear,
    "get": _get,
    "items": lambda table, /: List(table.pairs()),
    "keys": lambda table, /: List(table.keys()),
    "pop": _pop,
    "popitem": _popitem,
    "setdefault": _setdefault,
    "update": _update,
    "values": lambda table, /: List([value for _, value in table.pairs()]),
}


def _collection(value: Any, what: str) -> list[tuple[Any, Any]]:
    if value is _ABSENT:
        return []
    if type(value) is not Dict and not isinstance(value, _Table):
        raise StarlarkError(f"The type {go_type(value)} is unsupported as type of collection of {what}")
    pairs = list(pairs_of(value, what))
    for key, _ in pairs:
        if type(key) is not str:
            raise StarlarkError(f"The type {go_type(key)} is unsupported as type of key for {what}")
    return pairs


def _metric(name: Any, tags: Any = _ABSENT, fields: Any = _ABSENT) -> MetricValue:
    if type(name) is not str:
        raise StarlarkError(f"Metric: for parameter name: got {type_of(name)}, want string")
    made_fields = {key: _field(value) for key, value in _collection(fields, "fields")}
    made_tags = {}
    for key, value in _collection(tags, "tags"):
        if type(value) is not str:
            raise StarlarkError(f"The type {go_type(value)} is unsupported as type of value for tags")
        made_tags[key] = value
    return MetricValue(Metric(name, made_tags, made_fields, clock.time_ns()))


def _deepcopy(source: Any, track: Any = False) -> MetricValue:
    if not isinstance(source, MetricValue):
        raise StarlarkError(f"deepcopy: for parameter source: got {type_of(source)}, want Metric")
    return source.copy()


def direct_access(operators: Operators) -> dict[str, Callable[..., Any]]:
    """`metric.fields[key]` and `metric.fields[key] = value` in one step, by the names of helpers; the same of tags."""
    index, setindex, attribute = operators.index, operators.setindex, operators.attribute

    def fields(a: Any, key: Any) -> Any:
        if type(a) is MetricValue and type(key) is str:
            value = a.metric.fields.get(key)
            if type(value) in _PLAIN:
                return value
        return index(attribute(a, "fields"), key)

    def tags(a: Any, key: Any) -> Any:
        if type(a) is MetricValue and type(key) is str:
            value = a.metric.tags.get(key)
            if value is not None:
                return value
        return index(attribute(a, "tags"), key)

    def setfields(a: Any, key: Any, value: Any) -> None:
        # Without a table nobody goes through it, and it is not frozen.
        if type(a) is MetricValue and a.fields is None and type(key) is str:
            a.metric.fields[key] = value if type(value) is float else _field(value)
        else:
            setindex(attribute(a, "fields"), key, value)

    def settags(a: Any, key: Any, value: Any) -> None:
        setindex(attribute(a, "tags"), key, value)

    return {"$fields": fields, "$tags": tags, "$setfields": setfields, "$settags": settags}


METRIC_FUNCTIONS = {"Metric": Builtin("Metric", _metric), "deepcopy": Builtin("deepcopy", _deepcopy)}

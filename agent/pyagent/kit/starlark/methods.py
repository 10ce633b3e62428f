"""Methods of Starlark's lists, dicts and sets, and the table of all methods by type."""

from collections.abc import Callable, Iterable
from typing import Any

from pyagent.kit.starlark.operators import METHODS, hashed, mutable
from pyagent.kit.starlark.texts import STRING_METHODS
from pyagent.kit.starlark.values import Dict, Host, List, Set, StarlarkError, equal, type_of

__all__ = ["METHODS", "items_of", "pairs_of"]

_ABSENT = object()


def items_of(value: Any, what: str) -> list[Any]:
    """The elements of whatever a `for` goes through, but for endless ranges."""
    if isinstance(value, Host):
        try:
            return list(value.loop())
        except NotImplementedError:
            pass
    elif isinstance(value, list | tuple | dict):
        return list(value)
    elif isinstance(value, range):
        if len(value) > 1_000_000:
            raise StarlarkError(f"{what}: the range is too long")
        return list(value)
    raise StarlarkError(f"{what}: got {type_of(value)}, want iterable")


def pairs_of(value: Any, what: str) -> Iterable[tuple[Any, Any]]:
    """What makes a dict: another one, or a sequence of pairs."""
    if type(value) is Dict:
        return list(value.items())
    if isinstance(value, Host) and (items := getattr(value, "pairs", None)) is not None:
        return list(items())
    pairs = []
    for number, pair in enumerate(items_of(value, what)):
        if not isinstance(pair, list | tuple):
            raise StarlarkError(f"dictionary update sequence element #{number} is not iterable ({type_of(pair)})")
        if len(pair) != 2:
            raise StarlarkError(f"dictionary update sequence element #{number} has length {len(pair)}, want 2")
        pairs.append((pair[0], pair[1]))
    return pairs


def _index(value: Any, name: str) -> int:
    if type(value) is not int:
        raise StarlarkError(f"{name}: got {type_of(value)}, want int")
    return value


def _append(items: List, item: Any, /) -> None:
    mutable(items, "list", "append to")
    list.append(items, item)


def _clear_list(items: List, /) -> None:
    mutable(items, "list", "clear")
    list.clear(items)


def _extend(items: List, more: Any, /) -> None:
    mutable(items, "list", "extend")
    list.extend(items, items_of(more, "extend"))


def _index_of(items: List, item: Any, start: Any = 0, end: Any = None, /) -> int:
    for at in range(*slice(start, end).indices(len(items))):
        if equal(items[at], item):
            return at
    raise StarlarkError("index: value not in list")


def _insert(items: List, at: Any, item: Any, /) -> None:
    mutable(items, "list", "insert into")
    list.insert(items, _index(at, "insert"), item)


def _pop(items: List, at: Any = -1, /) -> Any:
    size = len(items)
    if not -size <= _index(at, "pop") < size:
        where = f"[{-size}:{size - 1}]" if size else ": empty list"
        raise StarlarkError(f"pop: index {at} out of range {where}")
    mutable(items, "list", "pop from")
    return list.pop(items, at)


def _remove(items: List, item: Any, /) -> None:
    mutable(items, "list", "remove from")
    for at, one in enumerate(items):
        if equal(one, item):
            del items[at]
            return
    raise StarlarkError("remove: element not found")


def _clear_dict(table: Dict, /) -> None:
    mutable(table, "hash table", "clear")
    dict.clear(table)


def _pop_key(table: Dict, key: Any, default: Any = _ABSENT, /) -> Any:
    mutable(table, "hash table", "delete from")
    value = dict.pop(table, hashed(key), default)
    if value is _ABSENT:
        raise StarlarkError("pop: missing key")
    return value


def _popitem(table: Dict, /) -> tuple[Any, Any]:
    mutable(table, "hash table", "delete from")
    for key in table:
        return key, dict.pop(table, key)
    raise StarlarkError("popitem: empty dict")


def _setdefault(table: Dict, key: Any, default: Any = None, /) -> Any:
    if hashed(key) not in table:
        mutable(table, "hash table", "insert into")
    return dict.setdefault(table, key, default)


def _update(table: Dict, more: Any = (), /, **named: Any) -> None:
    mutable(table, "hash table", "insert into")
    for key, value in pairs_of(more, "update"):
        table[hashed(key)] = value
    dict.update(table, named)


def _add(items: Set, item: Any, /) -> None:
    if hashed(item) not in items:
        mutable(items, "hash table", "insert into")
        items[item] = None


def _clear_set(items: Set, /) -> None:
    mutable(items, "hash table", "clear")
    dict.clear(items)


def _discard(items: Set, item: Any, /) -> None:
    mutable(items, "hash table", "delete from")
    dict.pop(items, hashed(item), None)


def _remove_item(items: Set, item: Any, /) -> None:
    mutable(items, "hash table", "delete from")
    if dict.pop(items, hashed(item), _ABSENT) is _ABSENT:
        raise StarlarkError("remove: missing key")


def _pop_first(items: Set, /) -> Any:
    mutable(items, "hash table", "delete from")
    for item in items:
        dict.pop(items, item)
        return item
    raise StarlarkError("pop: empty set")


def _update_set(items: Set, *others: Any) -> None:
    for one in others:
        for item in items_of(one, "update"):
            _add(items, item)


def _set_of(value: Any, what: str) -> Set:
    return value if type(value) is Set else Set(map(hashed, items_of(value, what)))


def _difference(items: Set, other: Any, /) -> Set:
    others = _set_of(other, "difference")
    return Set(item for item in items if item not in others)


def _intersection(items: Set, other: Any, /) -> Set:
    others = _set_of(other, "intersection")
    return Set(item for item in items if item in others)


def _symmetric_difference(items: Set, other: Any, /) -> Set:
    others = _set_of(other, "symmetric_difference")
    return Set([*(item for item in items if item not in others), *(item for item in others if item not in items)])


_LIST: dict[str, Callable[..., Any]] = {
    "append": _append,
    "clear": _clear_list,
    "extend": _extend,
    "index": _index_of,
    "insert": _insert,
    "pop": _pop,
    "remove": _remove,
}
_DICT: dict[str, Callable[..., Any]] = {
    "clear": _clear_dict,
    "get": lambda table, key, default=None, /: table.get(hashed(key), default),
    "items": lambda table, /: List(table.items()),
    "keys": lambda table, /: List(table),
    "pop": _pop_key,
    "popitem": _popitem,
    "setdefault": _setdefault,
    "update": _update,
    "values": lambda table, /: List(table.values()),
}
_SET: dict[str, Callable[..., Any]] = {
    "add": _add,
    "clear": _clear_set,
    "difference": _difference,
    "discard": _discard,
    "intersection": _intersection,
    "issubset": lambda items, other, /: items.keys() <= _set_of(other, "issubset").keys(),
    "issuperset": lambda items, other, /: items.keys() >= _set_of(other, "issuperset").keys(),
    "pop": _pop_first,
    "remove": _remove_item,
    "symmetric_difference": _symmetric_difference,
    "update": _update_set,
    "union": lambda items, *others: Set([*items, *(hashed(item) for one in others for item in items_of(one, "union"))]),
}
METHODS.update({str: STRING_METHODS, List: _LIST, Dict: _DICT, Set: _SET})

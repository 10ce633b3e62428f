"""What Starlark's operators do. A compiled script calls these."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from pyagent.kit.starlark.values import (
    NUMBERS,
    Bound,
    Budget,
    Dict,
    Host,
    List,
    Set,
    StarlarkError,
    equal,
    repr_of,
    type_of,
)

__all__ = ["METHODS", "Operators", "checked_integer", "hashed", "mutable"]

MOST_BITS = 1 << 16
"""Of an integer: a multiplication takes long, and a text of it longer."""
LARGE = 1000
MOST_IN_KEY = 1000
"""Values in a tuple that is a key."""
_ORDERED = (list, tuple)
METHODS: dict[type, dict[str, Callable[..., Any]]] = {}
"""Of strings, lists, dicts and sets; `methods` fills it."""


class Operators:
    """The operators of one script, which take from its budget."""

    def __init__(self, budget: Budget) -> None:
        self._tick, self._charge = budget.tick, budget.charge

    def add(self, a: Any, b: Any) -> Any:
        kind, other = type(a), type(b)
        if kind is float or kind is int:
            if other is float or other is int:
                return a + b if kind is not other or kind is float else checked_integer(a + b)
        elif kind is other:
            if kind is str or kind is tuple:
                self._large(len(a) + len(b), kind)
                return a + b
            if kind is List:
                self._large(len(a) + len(b), kind)
                return List(list.__add__(a, b))
        return self._other("+", a, b)

    def sub(self, a: Any, b: Any) -> Any:
        if type(a) in NUMBERS and type(b) in NUMBERS:
            return a - b
        if type(a) is Set and type(b) is Set:
            return Set(key for key in a if key not in b)
        return self._other("-", a, b)

    def mul(self, a: Any, b: Any) -> Any:
        kind, other = type(a), type(b)
        if kind in NUMBERS and other in NUMBERS:
            if kind is int and other is int:
                if a.bit_length() + b.bit_length() > MOST_BITS:
                    raise StarlarkError("the product is too large")
                return a * b
            return a * b
        if kind is int and other in (str, List, tuple):
            a, b, kind, other = b, a, other, kind
        if other is int and kind in (str, List, tuple):
            times = max(b, 0)
            self._large(len(a) * times, kind)
            return List(list.__mul__(a, times)) if kind is List else a * times
        return self._other("*", a, b)

    def div(self, a: Any, b: Any) -> Any:
        if type(a) in NUMBERS and type(b) in NUMBERS:
            if b == 0:
                raise StarlarkError("floating-point division by zero")
            return float(a) / float(b)
        return self._other("/", a, b)

    def floordiv(self, a: Any, b: Any) -> Any:
        if type(a) in NUMBERS and type(b) in NUMBERS:
            if b == 0:
                raise StarlarkError("floored division by zero")
            return a // b
        return self._other("//", a, b)

    def mod(self, a: Any, b: Any) -> Any:
        if type(a) in NUMBERS and type(b) in NUMBERS:
            if b == 0:
                whole = type(a) is int and type(b) is int
                raise StarlarkError("integer modulo by zero" if whole else "floating-point modulo by zero")
            return a % b
        if type(a) is str:
            from pyagent.kit.starlark.texts import interpolate

            text = interpolate(a, b)
            self._large(len(text), str)
            return text
        return self._other("%", a, b)

    def bitor(self, a: Any, b: Any) -> Any:
        if type(a) is int and type(b) is int:
            return a | b
        if type(a) is Dict and type(b) is Dict:
            return Dict(dict.__or__(a, b))
        if type(a) is Set and type(b) is Set:
            return Set([*a, *b])
        return self._other("|", a, b)

    def bitand(self, a: Any, b: Any) -> Any:
        if type(a) is int and type(b) is int:
            return a & b
        if type(a) is Set and type(b) is Set:
            return Set(key for key in a if key in b)
        return self._other("&", a, b)

    def bitxor(self, a: Any, b: Any) -> Any:
        if type(a) is int and type(b) is int:
            return a ^ b
        if type(a) is Set and type(b) is Set:
            return Set([*(key for key in a if key not in b), *(key for key in b if key not in a)])
        return self._other("^", a, b)

    def lshift(self, a: Any, b: Any) -> Any:
        if type(a) is int and type(b) is int:
            if b < 0:
                raise StarlarkError(f"negative shift count: {b}")
            if b >= 512:
                raise StarlarkError(f"shift count too large: {b}")
            return checked_integer(a << b)
        return self._other("<<", a, b)

    def rshift(self, a: Any, b: Any) -> Any:
        if type(a) is int and type(b) is int:
            if b < 0:
                raise StarlarkError(f"negative shift count: {b}")
            return a >> b
        return self._other(">>", a, b)

    def iadd(self, a: Any, b: Any) -> Any:
        """`a += b`: a list grows in place."""
        if type(a) is List and not isinstance(b, str | int | float | None):
            mutable(a, "list", "append to")
            items = list(self.loop(b))
            self._large(len(items), List)
            list.extend(a, items)
            return a
        return self.add(a, b)

    def ior(self, a: Any, b: Any) -> Any:
        if type(a) is Dict and type(b) is Dict:
            mutable(a, "hash table", "insert into")
            dict.update(a, b)
            return a
        return self.bitor(a, b)

    def _other(self, op: str, a: Any, b: Any) -> Any:
        result: Any = NotImplemented
        if isinstance(a, Host):
            result = a.binary(op, b, swapped=False)
        if result is NotImplemented and isinstance(b, Host):
            result = b.binary(op, a, swapped=True)
        if result is NotImplemented:
            raise StarlarkError(f"unknown binary op: {type_of(a)} {op} {type_of(b)}")
        return result

    def _large(self, size: int, kind: type) -> None:
        if size > LARGE:
            self._charge(size if kind is str else 8 * size)

    def neg(self, a: Any) -> Any:
        if type(a) in NUMBERS:
            return -a
        result = a.binary("neg", None, swapped=False) if isinstance(a, Host) else NotImplemented
        if result is NotImplemented:
            raise StarlarkError(f"unknown unary op: -{type_of(a)}")
        return result

    def pos(self, a: Any) -> Any:
        if type(a) in NUMBERS:
            return a
        raise StarlarkError(f"unknown unary op: +{type_of(a)}")

    def invert(self, a: Any) -> Any:
        if type(a) is int:
            return ~a
        raise StarlarkError(f"unknown unary op: ~{type_of(a)}")

    def eq(self, a: Any, b: Any) -> bool:
        return equal(a, b)

    def order(self, a: Any, b: Any, op: str) -> int:
        """Below, at or above 0."""
        kind, other = type(a), type(b)
        if (kind in NUMBERS and other in NUMBERS) or (kind is other and kind in (str, bool)):
            if a < b:
                return -1
            if a == b:
                return 0
            return _with_nan(a, b) if a != a or b != b else 1
        if kind is other and issubclass(kind, _ORDERED):
            for one, two in zip(a, b, strict=False):
                self._tick()
                if not self.eq(one, two):
                    return self.order(one, two, op)
            return len(a) - len(b)
        if kind is other and isinstance(a, Host) and (result := a.compare(b)) is not None:
            return result
        raise StarlarkError(f"{type_of(a)} {op} {type_of(b)} not implemented")

    def lt(self, a: Any, b: Any) -> bool:
        return self.order(a, b, "<") < 0

    def le(self, a: Any, b: Any) -> bool:
        return self.order(a, b, "<=") <= 0

    def gt(self, a: Any, b: Any) -> bool:
        return self.order(a, b, ">") > 0

    def ge(self, a: Any, b: Any) -> bool:
        return self.order(a, b, ">=") >= 0

    def contains(self, item: Any, container: Any) -> bool:
        kind = type(container)
        if kind is str:
            if type(item) is not str:
                raise StarlarkError(f"'in <string>' requires string as left operand, not {type_of(item)}")
            return item in container
        if kind is Dict or kind is Set:
            return hashed(item) in container
        if kind is List or kind is tuple:
            return any(self.eq(item, one) for one in self.loop(container))
        if kind is range:
            if type(item) is not int:
                raise StarlarkError(f"'in <range>' requires integer as left operand, not {type_of(item)}")
            return item in container
        if isinstance(container, Host):
            try:
                return container.has(item)
            except NotImplementedError:
                pass
        raise StarlarkError(f"unknown binary op: {type_of(item)} in {type_of(container)}")

    def index(self, a: Any, key: Any) -> Any:
        kind = type(a)
        if kind is Dict:
            try:
                return a[key]
            except KeyError:
                raise StarlarkError(f"key {repr_of(key)} not in dict") from None
            except TypeError:
                hashed(key)
                raise
        if isinstance(a, Host):
            try:
                return a.get(key)
            except NotImplementedError:
                raise StarlarkError(f"unhandled index operation {a.kind}[{type_of(key)}]") from None
        if kind is List or kind is tuple or kind is range:
            return a[_position(a, key)]
        if kind is str:
            if a.isascii():
                return a[_position(a, key)]
            data = a.encode("utf-8", "surrogateescape")
            at = _position(data, key)
            return data[at : at + 1].decode("utf-8", "surrogateescape")
        raise StarlarkError(f"unhandled index operation {type_of(a)}[{type_of(key)}]")

    def setindex(self, a: Any, key: Any, value: Any) -> None:
        kind = type(a)
        if kind is Dict:
            mutable(a, "hash table", "insert into")
            a[hashed(key)] = value
        elif isinstance(a, Host):
            a.set(key, value)
        elif kind is List:
            mutable(a, "list", "assign to element of")
            a[_position(a, key)] = value
        else:
            raise StarlarkError(f"{type_of(a)} value does not support item assignment")

    def slice(self, a: Any, start: Any, stop: Any, step: Any) -> Any:
        for bound in (start, stop, step):
            if bound is not None and type(bound) is not int:
                raise StarlarkError(f"invalid slice index: got {type_of(bound)}, want int")
        if step == 0:
            raise StarlarkError("zero is not a valid slice step")
        kind, part = type(a), slice(start, stop, step)
        if kind is str:
            if a.isascii():
                return a[part]
            return a.encode("utf-8", "surrogateescape")[part].decode("utf-8", "surrogateescape")
        if kind is tuple or kind is range:
            return a[part]
        if kind is List:
            self._large(len(a), kind)
            return List(a[part])
        raise StarlarkError(f"invalid slice operand {type_of(a)}")

    def augindex(self, a: Any, key: Any, operator: Callable[[Any, Any], Any], value: Callable[[], Any]) -> None:
        self.setindex(a, key, operator(self.index(a, key), value()))

    def loop(self, a: Any) -> Iterator[Any]:
        """What a `for` goes through; what it belongs to cannot be changed meanwhile."""
        kind = type(a)
        if kind is tuple or kind is range:
            return self._steps(a)
        if kind is List or kind is Dict or kind is Set:
            return self._locked(a)
        if isinstance(a, Host):
            try:
                return a.loop()
            except NotImplementedError:
                pass
        raise StarlarkError(f"{type_of(a)} value is not iterable")

    def _steps(self, a: Any) -> Iterator[Any]:
        tick = self._tick
        for item in a:
            tick()
            yield item

    def _locked(self, a: Any) -> Iterator[Any]:
        tick = self._tick
        a.loops += 1
        try:
            for item in a:
                tick()
                yield item
        finally:
            a.loops -= 1

    def loop_of(self, a: Any, count: int) -> Iterator[tuple[Any, ...]]:
        """The same for `for a, b in ...`."""
        return (
            item if type(item) is tuple and len(item) == count else self.unpack(item, count) for item in self.loop(a)
        )

    def unpack(self, a: Any, count: int) -> tuple[Any, ...]:
        try:
            items = tuple(self.loop(a))
        except StarlarkError:
            raise StarlarkError(f"got {type_of(a)} in sequence assignment") from None
        if len(items) != count:
            many = "many" if len(items) > count else "few"
            raise StarlarkError(f"too {many} values to unpack (got {len(items)}, want {count})")
        return items

    def display(self, *pairs: tuple[Any, Any]) -> Dict:
        """`{key: value, ...}`"""
        made = Dict()
        for key, value in pairs:
            if hashed(key) in made:
                raise StarlarkError(f"duplicate key: {repr_of(key)}")
            made[key] = value
        return made

    def attribute(self, a: Any, name: str) -> Any:
        if isinstance(a, Host):
            try:
                return a.attribute(name)
            except KeyError:
                raise StarlarkError(f"{a.kind} has no .{name} field or method") from None
        if (method := METHODS.get(type(a), {}).get(name)) is not None:
            return Bound(a, name, method)
        members = getattr(a, "members", None)
        if members is not None and name in members:
            return members[name]
        raise StarlarkError(f"{type_of(a)} has no .{name} field or method")

    def setattribute(self, a: Any, name: str, value: Any) -> None:
        if not isinstance(a, Host):
            raise StarlarkError(f"can't assign to .{name} field of {type_of(a)}")
        a.set_attribute(name, value)

    def augattribute(self, a: Any, name: str, operator: Callable[[Any, Any], Any], value: Callable[[], Any]) -> None:
        self.setattribute(a, name, operator(self.attribute(a, name), value()))

    def arguments(self, a: Any) -> tuple[Any, ...]:
        """`*a` of a call."""
        try:
            return tuple(self.loop(a))
        except StarlarkError:
            raise StarlarkError(f"argument after * must be iterable, not {type_of(a)}") from None

    def named(self, a: Any) -> dict[str, Any]:
        """`**a` of a call."""
        if type(a) is not Dict or not all(type(key) is str for key in a):
            raise StarlarkError(f"argument after ** must be a mapping with keys that are strings, not {type_of(a)}")
        return dict(a)


def _with_nan(a: float, b: float) -> int:
    """NaN is equal to itself, and above all others."""
    return (a != a) - (b != b)


def checked_integer(value: int) -> int:
    if value.bit_length() > MOST_BITS:
        raise StarlarkError("the integer is too large")
    return value


def mutable(a: Any, what: str, verb: str) -> None:
    """Raises where a list, dict or set cannot be changed now."""
    if a.frozen:
        raise StarlarkError(f"cannot {verb} frozen {what}")
    if a.loops:
        raise StarlarkError(f"cannot {verb} {what} during iteration")


def hashed(key: Any) -> Any:
    """A key of a dict or a set. Raises for one that cannot be."""
    kind = type(key)
    if kind is str or kind is int or key is None or kind is bool:
        return key
    if kind is float:
        return math.nan if key != key else key
    if kind is tuple:
        waiting, count = list(key), 0
        while waiting:
            item = waiting.pop()
            count += 1
            if count > MOST_IN_KEY:
                raise StarlarkError("the tuple is too large for a key")
            if type(item) is tuple:
                waiting += item
            else:
                hashed(item)
        return key
    if isinstance(key, list | dict | range | Host):
        raise StarlarkError(f"unhashable type: {type_of(key)}")
    return key


def _position(a: Any, key: Any) -> int:
    kind, size = type_of(a) if not isinstance(a, bytes) else "string", len(a)
    if type(key) is not int:
        raise StarlarkError(f"{kind} index: got {type_of(key)}, want int")
    if not -size <= key < size:
        if not size:
            raise StarlarkError(f"index {key} out of range: empty {kind}")
        raise StarlarkError(f"{kind} index {key} out of range [{-size}:{size - 1}]")
    return key

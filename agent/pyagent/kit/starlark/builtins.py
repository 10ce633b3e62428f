"""The functions that every Starlark script has."""

from collections.abc import Callable
from functools import cmp_to_key
from types import FunctionType
from typing import Any

from pyagent.kit.starlark.failures import FAULTS, words_of
from pyagent.kit.starlark.methods import METHODS, items_of, pairs_of
from pyagent.kit.starlark.operators import LARGE, Operators, hashed
from pyagent.kit.starlark.values import (
    Budget,
    Builtin,
    Dict,
    Host,
    List,
    Set,
    StarlarkError,
    float_text,
    repr_of,
    size_of,
    str_of,
    type_of,
)

__all__ = ["universe"]

_ABSENT = object()
_MOST_DIGITS = 4000
"""Of a text that becomes an integer, or the other way round."""


def universe(operators: Operators, budget: Budget, log: Callable[[str], None]) -> dict[str, Any]:
    """All of them by name. `log` gets what is printed."""

    def collected(value: Any, what: str) -> list[Any]:
        items = items_of(value, what)
        if len(items) > LARGE:
            budget.charge(8 * len(items))
        return items

    def _bool(value: Any = False, /) -> bool:
        return bool(value)

    def _abs(value: Any, /) -> Any:
        if type(value) not in (int, float):
            raise StarlarkError(f"abs: got {type_of(value)}, want int or float")
        return abs(value)

    def _any(items: Any, /) -> bool:
        return any(operators.loop(items))

    def _all(items: Any, /) -> bool:
        return all(operators.loop(items))

    def _chr(code: Any, /) -> str:
        if type(code) is not int:
            raise StarlarkError(f"chr: got {type_of(code)}, want int")
        if not 0 <= code <= 0x10FFFF:
            raise StarlarkError(f"chr: Unicode code point {code} out of range (>0x10FFFF)" if code > 0 else "chr: <0")
        return chr(code)

    def _dict(pairs: Any = (), /, **named: Any) -> Dict:
        made = Dict()
        for key, value in pairs_of(pairs, "dict"):
            made[hashed(key)] = value
        dict.update(made, named)
        return made

    def _dir(value: Any, /) -> List:
        if isinstance(value, Host):
            return List(sorted(value.attributes()))
        return List(sorted(METHODS.get(type(value), getattr(value, "members", {}))))

    def _enumerate(items: Any, start: Any = 0, /) -> List:
        return List(enumerate(collected(items, "enumerate"), start))

    def _fail(*arguments: Any, sep: str = " ") -> None:
        raise StarlarkError(f"fail: {sep.join(map(str_of, arguments))}")

    def _float(value: Any = 0.0, /) -> float:
        if type(value) in (bool, int, float):
            return float(value)
        if type(value) is not str:
            raise StarlarkError(f"float: got {type_of(value)}, want number or string")
        if not value or value != value.strip():
            raise StarlarkError(f"invalid float literal: {repr_of(value)}" if value else "float: empty string")
        try:
            number = float(value)
        except ValueError:
            raise StarlarkError(f"invalid float literal: {value}") from None
        if number in (float("inf"), float("-inf")) and value.lstrip("+-").lower() not in ("inf", "infinity"):
            raise StarlarkError(f"floating-point number too large: {value}")
        return number

    def _getattr(value: Any, name: Any, default: Any = _ABSENT, /) -> Any:
        if type(name) is not str:
            raise StarlarkError(f"getattr: for parameter name: got {type_of(name)}, want string")
        try:
            return operators.attribute(value, name)
        except StarlarkError:
            if default is _ABSENT:
                raise
            return default

    def _hasattr(value: Any, name: Any, /) -> bool:
        try:
            operators.attribute(value, str_of(name))
        except StarlarkError:
            return False
        return True

    def _hash(text: Any, /) -> int:
        if type(text) is not str:
            raise StarlarkError(f"hash: got {type_of(text)}, want string or bytes")
        if len(text) > LARGE:
            budget.charge(len(text))
        value = 0
        data = text.encode("utf-16-be", "surrogatepass")
        for at in range(0, len(data), 2):
            value = (31 * value + (data[at] << 8 | data[at + 1])) & 0xFFFFFFFF
        return value - (1 << 32) if value >= 1 << 31 else value

    def _int(x: Any = 0, base: Any = _ABSENT) -> int:
        if type(x) is str:
            number = 10 if base is _ABSENT else base
            if type(number) is not int or not (number == 0 or 2 <= number <= 36):
                raise StarlarkError("int: base must be an integer >= 2 && <= 36")
            try:
                if "_" in x or x != x.strip() or len(x) > _MOST_DIGITS:
                    raise ValueError(x)
                return int(x, number)
            except ValueError:
                raise StarlarkError(f"int: invalid literal with base {number}: {x[:100]}") from None
        if base is not _ABSENT:
            raise StarlarkError("int: can't convert non-string with explicit base")
        if type(x) is float and (x != x or x in (float("inf"), float("-inf"))):
            raise StarlarkError(f"int: cannot convert float {float_text(x)} to integer")
        if type(x) not in (bool, int, float):
            raise StarlarkError(f"int: cannot convert {type_of(x)} to int")
        return int(x)

    def _len(value: Any, /) -> int:
        return size_of(value)

    def _list(items: Any = (), /) -> List:
        return List(collected(items, "list"))

    def extreme(what: str, sign: int) -> Callable[..., Any]:
        def find(*arguments: Any, key: Any = None) -> Any:
            items = operators.loop(arguments[0]) if len(arguments) == 1 else iter(arguments)
            best: Any = _ABSENT
            best_key: Any = None
            for item in items:
                its_key = item if key is None else key(item)
                if best is _ABSENT or sign * operators.order(its_key, best_key, "<" if sign < 0 else ">") > 0:
                    best, best_key = item, its_key
            if best is _ABSENT:
                raise StarlarkError(f"{what}: argument is an empty sequence")
            return best

        return find

    def _ord(text: Any, /) -> int:
        if type(text) is not str:
            raise StarlarkError(f"ord: got {type_of(text)}, want string or bytes")
        if len(text) != 1:
            raise StarlarkError(f"ord: string encodes {len(text)} Unicode code points, want 1")
        return ord(text)

    def _print(*arguments: Any, sep: str = " ") -> None:
        log(sep.join(map(str_of, arguments)))

    def _range(*bounds: Any) -> range:
        if not 1 <= len(bounds) <= 3 or not all(type(bound) is int for bound in bounds):
            raise StarlarkError("range: want one to three ints")
        if len(bounds) == 3 and not bounds[2]:
            raise StarlarkError("range: step argument must not be zero")
        if any(abs(bound) >= 1 << 62 for bound in bounds):
            raise StarlarkError("range: the bounds are too large")
        return range(*bounds)

    def _reversed(items: Any, /) -> List:
        return List(reversed(collected(items, "reversed")))

    def _set(items: Any = (), /) -> Set:
        return Set(map(hashed, collected(items, "set")))

    def _sorted(iterable: Any, key: Any = None, reverse: Any = False) -> List:
        items = collected(iterable, "sorted")
        keys = items if key is None else [key(item) for item in items]

        def order(a: tuple[Any, Any], b: tuple[Any, Any]) -> int:
            budget.tick()
            return operators.order(a[0], b[0], "<")

        pairs = sorted(zip(keys, items, strict=True), key=cmp_to_key(order), reverse=bool(reverse))
        return List(item for _, item in pairs)

    def _tuple(items: Any = (), /) -> tuple[Any, ...]:
        return tuple(collected(items, "tuple"))

    def _zip(*sequences: Any) -> List:
        return List(zip(*[collected(one, "zip") for one in sequences], strict=False))

    def catch(function: Any, /) -> str | None:
        """The text of the error that `function()` ends with."""
        if not isinstance(function, FunctionType | Builtin) and not callable(function):
            raise StarlarkError(f"catch: for parameter fn: got {type_of(function)}, want callable")
        try:
            function()
        except FAULTS as error:
            return words_of(error)
        return None

    functions: dict[str, Callable[..., Any]] = {
        "abs": _abs,
        "all": _all,
        "any": _any,
        "bool": _bool,
        "catch": catch,
        "chr": _chr,
        "dict": _dict,
        "dir": _dir,
        "enumerate": _enumerate,
        "fail": _fail,
        "float": _float,
        "getattr": _getattr,
        "hasattr": _hasattr,
        "hash": _hash,
        "int": _int,
        "len": _len,
        "list": _list,
        "max": extreme("max", 1),
        "min": extreme("min", -1),
        "ord": _ord,
        "print": _print,
        "range": _range,
        "repr": lambda value, /: repr_of(value),
        "reversed": _reversed,
        "set": _set,
        "sorted": _sorted,
        "str": lambda value, /: str_of(value),
        "tuple": _tuple,
        "type": lambda value, /: type_of(value),
        "zip": _zip,
    }
    return {name: Builtin(name, function) for name, function in functions.items()}

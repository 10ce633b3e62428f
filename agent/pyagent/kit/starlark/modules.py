"""What a script can load: `json.star`, `logging.star`, `math.star` and `time.star`."""

import json
import logging
import math
import re
from collections.abc import Callable
from typing import Any

from pyagent.kit.starlark.operators import Operators
from pyagent.kit.starlark.texts import MOST_CHARACTERS
from pyagent.kit.starlark.values import (
    Budget,
    Builtin,
    Dict,
    Host,
    List,
    Module,
    StarlarkError,
    float_text,
    repr_of,
    type_of,
)

__all__ = ["load_module"]

_ABSENT = object()
_DEEPEST = 200


def load_module(name: str, operators: Operators, budget: Budget, log: logging.Logger) -> Module | None:
    """The module, under the name that scripts load from the file of this name: `json` of `json.star`. None: there is none."""
    match name:
        case "json.star":
            return Module("json", _json(budget))
        case "logging.star":
            return Module("log", _logging(log))
        case "math.star":
            return Module("math", _math())
        case "time.star":
            from pyagent.kit.starlark.times import TIME

            return TIME
    return None


def _logging(log: logging.Logger) -> dict[str, Any]:
    def level(name: str, number: int) -> Builtin:
        def write(message: Any, /) -> None:
            if type(message) is not str:
                raise StarlarkError(f"log.{name}: got {type_of(message)}, want string")
            log.log(number, "%s", message)

        return Builtin(f"log.{name}", write)

    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
    return {name: level(name, number) for name, number in levels.items()}


# JSON ------------------------------------------------------------------------------------------------------------------

_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)


def _json(budget: Budget) -> dict[str, Any]:
    def encode(value: Any, /) -> str:
        text = _encoded(value, 0, budget)
        budget.charge(len(text))
        return text

    def decode(x: Any, default: Any = _ABSENT) -> Any:
        if type(x) is not str:
            raise StarlarkError(f"json.decode: got {type_of(x)}, want string")
        budget.charge(len(x))
        try:
            return _value(json.loads(x, parse_constant=_refused))
        except json.JSONDecodeError as error:
            reason, offset = error.msg, error.pos
            if offset >= len(x.rstrip()):
                reason = "unexpected end of file"
        except (ValueError, RecursionError) as error:
            reason, offset = str(error), 0
        if default is not _ABSENT:
            return default
        raise StarlarkError(f"json.decode: at offset {offset}, {reason}")

    def indent(text: Any, /, prefix: Any = "", indent: Any = "\t") -> str:
        decode(text)
        made = _indented(text, prefix, indent)
        budget.charge(len(made))
        return made

    return {
        name: Builtin(f"json.{name}", function)
        for name, function in (("encode", encode), ("decode", decode), ("indent", indent))
    }


def _refused(text: str) -> None:
    raise ValueError(f"unexpected {text}")


def _encoded(value: Any, depth: int, budget: Budget) -> str:
    budget.tick()
    if depth > _DEEPEST:
        raise StarlarkError("json.encode: the value is nested too deeply")
    if value is None or type(value) is bool:
        return "null" if value is None else "true" if value else "false"
    if type(value) is int:
        return repr_of(value)
    if type(value) is float:
        if not math.isfinite(value):
            raise StarlarkError(f"json.encode: cannot encode non-finite float {float_text(value)}")
        return float_text(value)
    if type(value) is str:
        return _json_text(value)
    pairs = value.pairs() if isinstance(value, Host) and hasattr(value, "pairs") else None
    if type(value) is Dict or pairs is not None:
        table = dict(pairs) if pairs is not None else value
        parts = []
        if any(type(key) is not str for key in table):
            wrong = next(key for key in table if type(key) is not str)
            raise StarlarkError(f"json.encode: dict has {type_of(wrong)} key, want string")
        for key in sorted(table):
            parts.append(f"{_json_text(key)}:{_encoded(table[key], depth + 1, budget)}")
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list | tuple | dict | range):
        return "[" + ",".join([_encoded(item, depth + 1, budget) for item in value]) + "]"
    if isinstance(value, Host):
        return _encoded(Dict({name: value.attribute(name) for name in value.attributes()}), depth + 1, budget)
    raise StarlarkError(f"json.encode: cannot encode {type_of(value)} as JSON")


def _json_text(text: str) -> str:
    """As Go's library: what HTML needs is escaped where a text is not plain ASCII."""
    if text.isascii() and text.isprintable():
        return json.dumps(text)
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return json.dumps(valid, ensure_ascii=False).translate(_HTML)


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return List(map(_value, value))
    if isinstance(value, dict):
        return Dict({key: _value(item) for key, item in value.items()})
    return value


def _indented(text: str, prefix: str, indent: str) -> str:
    parts: list[str] = []
    depth = size = 0
    before = ""
    for part in _PART.findall(text):
        closes = part in ("}", "]")
        if closes:
            depth -= 1
        if (closes and before not in ("{", "[")) or (not closes and before in ("{", "[", ",")):
            parts.append(f"\n{prefix}{indent * depth}")
        parts.append(": " if part == ":" else part)
        if part in ("{", "["):
            depth += 1
        before = part
        size += len(prefix) + len(indent) * depth + len(part)
        if size > MOST_CHARACTERS:
            raise StarlarkError("json.indent: the text is too long")
    return "".join(parts)


# Mathematics -----------------------------------------------------------------------------------------------------------


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise StarlarkError(f"got {type_of(value)}, want float or int")
    return float(value)


def _rounded(function: Callable[[float], int], name: str) -> Callable[..., int]:
    def call(value: Any, /) -> int:
        if type(value) is int:
            return value
        number = _number(value)
        if not math.isfinite(number):
            raise StarlarkError(f"{name}: cannot convert float {float_text(number)} to integer")
        return function(number)

    return call


def _floats(function: Callable[..., float]) -> Callable[..., float]:
    """A function of floats. Where Python refuses a value, Go gives NaN or an infinity."""

    def call(*values: Any) -> float:
        numbers = [_number(value) for value in values]
        try:
            return float(function(*numbers))
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return call


def _ln(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def _log(x: float, base: float = math.e) -> float:
    if base == 1:
        raise StarlarkError("division by zero")
    return _ln(x) if base == math.e else _ln(x) / _ln(base)


def _pow(x: float, y: float) -> float:
    return math.inf if x == 0 and y < 0 else math.pow(x, y)


def _round(x: float) -> float:
    """Halves away from zero."""
    if not math.isfinite(x) or abs(x) >= 1 << 52:
        return x
    return math.copysign(math.floor(abs(x) + 0.5) if abs(x) != 0.49999999999999994 else 0.0, x)


def _math() -> dict[str, Any]:
    plain = "copysign fabs remainder exp sqrt acos asin atan atan2 cos hypot sin tan degrees radians acosh asinh atanh"
    functions: dict[str, Callable[..., Any]] = {
        name: _floats(getattr(math, name)) for name in (*plain.split(), "cosh", "sinh", "tanh", "gamma")
    }
    functions |= {
        "ceil": _rounded(math.ceil, "ceil"),
        "floor": _rounded(math.floor, "floor"),
        "log": _floats(_log),
        "mod": _floats(math.fmod),
        "pow": _floats(_pow),
        "round": _floats(_round),
    }
    members: dict[str, Any] = {name: Builtin(f"math.{name}", function) for name, function in functions.items()}
    return members | {"e": math.e, "pi": math.pi}

"""Expressions of JSONata, by the library `jsonata-python`, with bounds of memory and time that it has not.

What an evaluation makes is charged before or as it is made, by its size: the library would make gigabytes of a short text.
"""

import copy
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from jsonata import Jsonata
from jsonata.regex_engine import RegexFlags, default_regex_engine
from jsonata.utils import Utils

from pyagent.kit.json_text import json_any

__all__ = ["Transformation"]

MOST_BYTES = 256 << 20
"""That one evaluation makes, all together."""
SECONDS = 5.0
SECONDS_EACH = 0.005
"""More, for each metric."""
DEEPEST = 200
_LOOKED_UP = frozenset(("variable", "name", "path", "string", "value", "number", "parent"))
"""Nodes that give texts which are there already."""
_WALKED = frozenset(("string", "distinct", "clone"))
"""Functions that go through all that is in a value."""
_MATCHING = frozenset(("match", "replace", "split"))
_NUMBERS = re.compile(r"\d+")


class OutOfBounds(BaseException):
    """No Exception: the library makes other ones of these."""


class Transformation:
    """An expression, and the time that it has: what was not used since the last evaluations, SECONDS at most. So many metrics
    one by one take no longer than a batch of them. The constructor raises the library's own errors."""

    def __init__(self, text: str) -> None:
        self._expression = _Bounded(text, _compile_pattern)
        self._left, self._ended = SECONDS, time.monotonic()

    def __call__(self, value: Any, metrics: int = 1) -> str:
        """The JSON of what is made of a value. Raises ValueError."""
        begun = time.monotonic()
        left = min(self._left + begun - self._ended, SECONDS) + SECONDS_EACH * metrics
        run = copy.copy(self._expression)
        run.begin(begun + left)
        Jsonata.CURRENT.jsonata = run  # by which the library finds it, and not one that this thread had before
        try:
            found = run.evaluate(value, _FUNCTIONS)
            if found is None:
                raise ValueError("the transformation gives nothing")
            run.walk(found)
            return json_any(Utils.convert_nulls(found))
        except OutOfBounds as error:
            raise ValueError(f"the transformation fails: {error}") from None
        except ValueError:
            raise
        except Exception as error:  # the library's own, and what Python has for a division by 0
            raise ValueError(f"the transformation fails: {error}") from None
        finally:
            self._ended = time.monotonic()
            self._left = max(begun + left - self._ended, 0.0)


class _Bounded(Jsonata):  # type: ignore[misc]  # the library has no types
    """Each evaluation is a copy."""

    def begin(self, until: float) -> None:
        self._until, self._depth = until, 0
        self._bytes: float = MOST_BYTES
        self.set_output_convert_nulls(False)  # it is walked through before

    def tick(self) -> None:
        if time.monotonic() > self._until:
            raise OutOfBounds(
                f"it takes too long: a batch has {SECONDS:g} s, and {SECONDS_EACH * 1000:g} ms for each metric"
            )

    def charge(self, size: float) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise OutOfBounds(f"it takes more than {MOST_BYTES >> 20} MiB of memory")

    def made(self, value: Any, looked_up: bool = False) -> None:
        if isinstance(value, str):
            if not looked_up:
                self.charge(sys.getsizeof(value))
        elif isinstance(value, list | dict):
            self.charge((8 if looked_up else 64) * len(value))

    def walk(self, *values: Any) -> None:
        """Charges all that is in them: what is in one twice counts twice, as it does for whoever writes or compares it."""
        stack = list(values)
        while stack:
            value = stack.pop()
            if isinstance(value, str):
                self.charge(sys.getsizeof(value))
            elif isinstance(value, list | dict):
                self.charge(256 + 64 * len(value))
                self.tick()
                if isinstance(value, dict):
                    stack += value
                    value = value.values()
                stack += value

    def match(self, text: Any = None, pattern: Any = None, by: Any = None, *_: Any) -> None:
        """The library looks for all matches in one step; charges what is made for each."""
        if isinstance(text, str) and hasattr(pattern, "finditer"):
            for _match in pattern.finditer(text):
                self.tick()
                self.charge(64 + len(by) if isinstance(by, str) else 64)

    def _eval(self, expr: Any, input: Any, environment: Any) -> Any:  # the library's name
        self.tick()
        self._depth += 1
        if self._depth > DEEPEST:
            raise OutOfBounds(f"it is nested deeper than {DEEPEST} calls")
        result = super()._eval(expr, input, environment)
        self._depth -= 1
        self.made(result, getattr(expr, "type", None) in _LOOKED_UP)
        return result

    def evaluate_string_concat(self, lhs: Any, rhs: Any) -> Any:
        self.walk(lhs, rhs)
        return super().evaluate_string_concat(lhs, rhs)

    def evaluate_equality_expression(self, lhs: Any, rhs: Any, op: Any) -> Any:
        self._compared(lhs, rhs)
        return super().evaluate_equality_expression(lhs, rhs, op)

    def evaluate_includes_expression(self, lhs: Any, rhs: Any) -> Any:
        self._compared(lhs, rhs)
        return super().evaluate_includes_expression(lhs, rhs)

    def evaluate_descendants(self, expr: Any, input: Any) -> Any:
        self.walk(input)
        return super().evaluate_descendants(expr, input)

    def evaluate_wildcard(self, expr: Any, input: Any) -> Any:
        self.walk(input)
        return super().evaluate_wildcard(expr, input)

    def evaluate_range_expression(self, lhs: Any, rhs: Any) -> Any:
        if isinstance(lhs, int) and isinstance(rhs, int):
            self.charge(64 * max(rhs - lhs, 0))
        return super().evaluate_range_expression(lhs, rhs)

    def _compared(self, *values: Any) -> None:
        for value in values:
            if isinstance(value, list | dict):
                self.walk(value)


class _BoundedFunction(Jsonata.JNativeFunction):  # type: ignore[misc]
    def call(self, input: Any, args: Any) -> Any:
        run = Jsonata.CURRENT.jsonata
        run.tick()
        name = self.function_name
        if name in _WALKED:
            run.walk(*args)
        elif name in _SIZES:
            run.charge(_SIZES[name](*args))
        if name in _MATCHING:
            run.match(*args)
        result = super().call(input, args)
        run.made(result)
        return result


def _size_padded(text: Any = None, width: Any = 0, *_: Any) -> float:
    return abs(width) if isinstance(width, int | float) else 0


def _size_joined(texts: Any = None, separator: Any = None, *_: Any) -> float:
    if not isinstance(texts, list):
        return 0
    return sum(len(text) for text in texts if isinstance(text, str)) + len(separator or "") * len(texts)


def _size_replaced(text: Any = None, pattern: Any = None, by: Any = None, *_: Any) -> float:
    if not isinstance(text, str) or not isinstance(by, str):
        return 0
    if isinstance(pattern, str):
        return text.count(pattern) * len(by)
    return by.count("$") * len(text)  # `$0` and its like are as long as the text at most


def _size_of_number(number: Any = None, picture: Any = None, *_: Any) -> float:
    """Roman numerals have an M for each thousand."""
    return abs(number) / 1000 if isinstance(number, int | float) and str(picture)[:1] in "iI" else 0


def _size_of_time(*texts: Any) -> float:
    """Of a picture such as `[Y,9-9]`, which says how wide a number is."""
    return sum(float(width) for text in texts if isinstance(text, str) for width in _NUMBERS.findall(text))


_SIZES: dict[str, Callable[..., float]] = {
    "pad": _size_padded,
    "join": _size_joined,
    "replace": _size_replaced,
    "formatInteger": _size_of_number,
    "fromMillis": _size_of_time,
    "now": _size_of_time,
}


def _bounded_functions() -> dict[str, Any]:
    functions = {}
    for name, function in Jsonata.static_frame.bindings.items():
        if isinstance(function, Jsonata.JNativeFunction):
            functions[name] = bounded = _BoundedFunction.__new__(_BoundedFunction)
            bounded.__dict__.update(vars(function))
    return functions


_FUNCTIONS = _bounded_functions()


def _compile_pattern(pattern: str, flags: RegexFlags) -> Any:
    """In linear time, where google-re2 is there."""
    try:
        import re2
    except ImportError:
        return default_regex_engine(pattern, flags)
    letters = ("i" if flags.case_insensitive else "") + ("m" if flags.multiline else "")
    return re2.compile(f"(?{letters}){pattern}" if letters else pattern)

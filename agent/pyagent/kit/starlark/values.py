"""Starlark's values, as Python's: None, bool, int, float, str and tuple are themselves, the others are here.

Names of types, texts and messages are those of starlark-go, which Telegraf runs.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any

__all__ = [
    "NUMBERS",
    "Bound",
    "Budget",
    "Builtin",
    "Dict",
    "Host",
    "List",
    "Module",
    "OutOfTime",
    "Set",
    "StarlarkError",
    "equal",
    "float_text",
    "freeze",
    "quoted",
    "repr_of",
    "size_of",
    "str_of",
    "type_of",
]

STEPS = 2000
"""Steps between two looks at the clock."""
MOST_PARTS = 100_000
"""Values in one that are written or compared."""
NUMBERS = frozenset((int, float))
MOST_BYTES = 256 << 20
"""What one call may allocate, about: characters and elements of what is large."""


class StarlarkError(Exception):
    """What a script did wrong. `catch` gets its text."""


class OutOfTime(BaseException):
    """The script takes too long, or too much. `catch` does not stop it."""


class Budget:
    """What one call may take. `tick` counts steps: turns of loops and calls of functions."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left = 0
        self._until = 0.0
        self._bytes = MOST_BYTES
        self.made = 0
        """Bytes that were made in earlier calls, until somebody begins to count anew."""

    def start(self) -> None:
        self.refill()
        self._left = STEPS
        self._until = time.monotonic() + self.seconds

    def refill(self) -> None:
        self.made += MOST_BYTES - self._bytes
        self._bytes = MOST_BYTES

    def tick(self) -> None:
        self._left -= 1
        if self._left < 0:
            if time.monotonic() > self._until:
                raise OutOfTime(f"it did not end within {self.seconds:g} s")
            self._left = STEPS

    def charge(self, size: int) -> None:
        """Before something of this size is made, which also takes the time of some steps."""
        self._bytes -= size
        self._left -= size >> 8
        if self._bytes < 0:
            raise OutOfTime(f"it takes more than {MOST_BYTES >> 20} MiB of memory")


class List(list[Any]):
    __slots__ = ("frozen", "loops")

    def __init__(self, items: Any = ()) -> None:
        super().__init__(items)
        self.frozen = False
        self.loops = 0

    __hash__ = None


class Dict(dict[Any, Any]):
    __slots__ = ("frozen", "loops")

    def __init__(self, *items: Any) -> None:
        super().__init__(*items)
        self.frozen = False
        self.loops = 0

    __hash__ = None


class Set(dict[Any, None]):
    """In the order in which its elements came."""

    __slots__ = ("frozen", "loops")

    def __init__(self, items: Any = ()) -> None:
        super().__init__(dict.fromkeys(items))
        self.frozen = False
        self.loops = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Set) and self.keys() == other.keys()

    __hash__ = None


class Builtin:
    """A function of the host."""

    __slots__ = ("function", "name")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)


class Bound:
    """A method of the host with its receiver."""

    __slots__ = ("method", "name", "receiver")

    def __init__(self, receiver: Any, name: str, method: Callable[..., Any]) -> None:
        self.receiver = receiver
        self.name = name
        self.method = method

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.method(self.receiver, *arguments, **named)


class Module:
    """What `load` gives."""

    def __init__(self, name: str, members: Mapping[str, Any]) -> None:
        self.name = name
        self.members = members


class Host:
    """A value of the host with a type of its own. What a subclass does not define is an error in the script."""

    __slots__ = ()

    kind = ""

    def attribute(self, name: str) -> Any:
        """Raises KeyError for one that there is not."""
        raise KeyError(name)

    def attributes(self) -> list[str]:
        return []

    def set_attribute(self, name: str, value: Any) -> None:
        raise StarlarkError(f"can't assign to .{name} field of {self.kind}")

    def get(self, key: Any) -> Any:
        raise NotImplementedError

    def set(self, key: Any, value: Any) -> None:
        raise StarlarkError(f"{self.kind} value does not support item assignment")

    def has(self, key: Any) -> bool:
        raise NotImplementedError

    def loop(self) -> Iterator[Any]:
        raise NotImplementedError

    def text(self) -> str:
        raise NotImplementedError

    def binary(self, op: str, other: Any, *, swapped: bool) -> Any:
        return NotImplemented

    def compare(self, other: Any) -> int | None:
        """Below, at or above 0; None where there is no order."""
        return None

    def freeze(self) -> None:
        pass


_TYPES: dict[type, str] = {
    type(None): "NoneType",
    bool: "bool",
    int: "int",
    float: "float",
    str: "string",
    tuple: "tuple",
    List: "list",
    Dict: "dict",
    Set: "set",
    range: "range",
    FunctionType: "function",
    Builtin: "builtin_function_or_method",
    Bound: "builtin_function_or_method",
    Module: "module",
}


def type_of(value: Any) -> str:
    kind = type(value)
    return _TYPES.get(kind) or getattr(kind, "kind", "") or ("int" if isinstance(value, int) else kind.__name__)


def size_of(value: Any) -> int:
    """What `len` gives: of a text its bytes in UTF-8."""
    if type(value) is str:
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, tuple | list | dict | range):
        return len(value)
    raise StarlarkError(f"len: value of type {type_of(value)} has no len")


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f"}
_ESCAPES["\v"] = "\\v"


def quoted(text: str) -> str:
    parts = []
    for character in text:
        if (escape := _ESCAPES.get(character)) is not None:
            parts.append(escape)
        elif character.isprintable():
            parts.append(character)
        elif "\udc80" <= character <= "\udcff":
            parts.append(f"\\x{ord(character) - 0xDC00:02x}")
        elif character < "\x80":
            parts.append(f"\\x{ord(character):02x}")
        else:
            code = ord(character)
            parts.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return '"' + "".join(parts) + '"'


def float_text(value: float, conversion: str = "g") -> str:
    """As Go writes it: the shortest digits, with an exponent below 1e-04 and from 1e+06 on."""
    if value != value:
        return "nan"
    if value in (float("inf"), float("-inf")):
        return "+inf" if value > 0 else "-inf"
    if conversion not in "gG":
        return f"{value:.6{conversion}}"
    sign = "-" if repr(value)[0] == "-" else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return sign + "0.0"
    if not -4 <= point - 1 < 6:
        tail = f"{digits[0]}{'.' + digits[1:] if digits[1:] else ''}e{point - 1:+03d}"
        return sign + (tail if conversion == "g" else tail.upper())
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def str_of(value: Any) -> str:
    return value if type(value) is str else repr_of(value)


def repr_of(value: Any) -> str:
    parts: list[str] = []
    _write(value, parts, 0)
    return "".join(parts)


def _write(value: Any, parts: list[str], depth: int) -> None:
    if len(parts) > MOST_PARTS:
        raise StarlarkError("the value is too large to be written")
    if depth > 100:
        parts.append("...")
    elif isinstance(value, tuple):
        _write_all(value, "(", ",)" if len(value) == 1 else ")", parts, depth)
    elif isinstance(value, List):
        _write_all(value, "[", "]", parts, depth)
    elif isinstance(value, Set):
        _write_all(value, "set([", "])", parts, depth)
    elif isinstance(value, Dict):
        parts.append("{")
        for number, (key, item) in enumerate(value.items()):
            parts.append(", " if number else "")
            _write(key, parts, depth + 1)
            parts.append(": ")
            _write(item, parts, depth + 1)
        parts.append("}")
    else:
        parts.append(_plain_text(value))


def _write_all(values: Iterable[Any], begin: str, end: str, parts: list[str], depth: int) -> None:
    parts.append(begin)
    for number, item in enumerate(values):
        parts.append(", " if number else "")
        _write(item, parts, depth + 1)
    parts.append(end)


def _plain_text(value: Any) -> str:
    """Of what holds no others."""
    if type(value) is str:
        return quoted(value)
    if value is None or value is True or value is False:
        return str(value)
    if isinstance(value, int):
        try:
            return str(int(value))
        except ValueError:  # thousands of digits
            raise StarlarkError("the integer is too large to be written") from None
    if isinstance(value, float):
        return float_text(value)
    match value:
        case Host():
            return value.text()
        case range():
            bounds = [value.start, value.stop, value.step]
            shown = bounds if value.step != 1 else bounds[:2] if value.start else bounds[1:2]
            return f"range({', '.join(map(str, shown))})"
        case Builtin():
            return f"<built-in function {value.name}>"
        case Bound():
            return f"<built-in method {value.name} of {type_of(value.receiver)} value>"
        case Module():
            return f"<module {quoted(value.name)}>"
        case FunctionType():
            return f"<function {value.__name__}>"
    return f"<{type_of(value)}>"


def equal(a: Any, b: Any) -> bool:
    """`a == b`. Python's own comparison of lists in lists, each in itself many times, would keep the interpreter for itself."""
    return _equal(a, b, [MOST_PARTS])


def _equal(a: Any, b: Any, left: list[int]) -> bool:
    kind, other = type(a), type(b)
    if kind is not other:
        return kind in NUMBERS and other in NUMBERS and bool(a == b)
    if kind is str or kind is int or a is b:
        return bool(a == b or a is b)
    if kind is float:
        return bool(a == b) or (a != a and b != b)
    if kind is not List and kind is not tuple and kind is not Dict:
        return a.compare(b) == 0 if isinstance(a, Host) else bool(a == b)
    left[0] -= len(a) + 1
    if left[0] < 0:
        raise StarlarkError("the values are too large to be compared")
    if len(a) != len(b):
        return False
    if kind is Dict:
        return all(key in b and _equal(item, b[key], left) for key, item in a.items())
    return all(_equal(one, two, left) for one, two in zip(a, b, strict=True))


def freeze(value: Any) -> None:
    """Let nothing in it be changed any more."""
    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        if isinstance(one, List | Dict | Set):
            one.frozen = True
            waiting += one.values() if isinstance(one, Dict) else one
        elif isinstance(one, tuple):
            waiting += one
        elif isinstance(one, FunctionType):
            waiting += (*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values())
            waiting += [cell.cell_contents for cell in one.__closure__ or ()]
        elif isinstance(one, Host):
            one.freeze()
        else:
            continue
        seen.add(id(one))

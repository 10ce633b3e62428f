"""Functions and operators of XPath, as antchfx/xpath has them: those of 1.0 but for `id` and `lang`, and of later versions
`ends-with`, `lower-case`, `matches`, `replace`, `reverse` and `string-join`. Lengths and positions in texts count bytes."""

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pyagent.api.units import format_number
from pyagent.kit.numbers import parse_float
from pyagent.kit.xpath import ATTRIBUTE, Context, Query, siblings
from pyagent.kit.xpath_syntax import XPathError

if TYPE_CHECKING:
    from pyagent.kit.regex import Regex

__all__ = ["FUNCTIONS", "OPERATORS", "compared", "last", "position", "to_number"]

Made = Callable[[Context], Any]


def to_number(text: str) -> float:
    number = parse_float(text.strip())
    return math.nan if number is None else number


def _number(at: Context, value: Any) -> float:
    if isinstance(value, Query):
        node = value.first(at)
        return math.nan if node is None else node.number()
    if isinstance(value, str):
        return to_number(value)
    return float(value)


def _shown(value: float) -> str:
    if value != value or abs(value) == math.inf:
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return format_number(value) if value else "0"


def _text(at: Context, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Query):
        node = value.first(at)
        return "" if node is None else at.text(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return _shown(value)


def _text_or_none(at: Context, argument: Query, name: str = "") -> str | None:
    """A text, None where there is no node; numbers and booleans are none, and an error where `name` says of which function."""
    value = argument.evaluate(at)
    if isinstance(value, str):
        return value
    if isinstance(value, Query):
        node = value.first(at)
        return None if node is None else at.text(node)
    if name:
        raise XPathError(f"{name}() needs text")
    return ""


def _only_text(at: Context, argument: Query, name: str) -> str:
    value = argument.evaluate(at)
    if not isinstance(value, str):
        raise XPathError(f"the second argument of {name}() must be text, such as string(NODE)")
    return value


def _truth(at: Context, value: Any) -> bool:
    return value.first(at) is not None if isinstance(value, Query) else bool(value)


def _within(name: str, holds: Callable[[str, str], bool]) -> Callable[[Query, Query], Made]:
    def make(one: Query, other: Query) -> Made:
        def call(at: Context) -> bool:
            text = _text_or_none(at, one, name)
            return text is not None and holds(text, _only_text(at, other, name))

        return call

    return make


def _matches(one: Query, other: Query) -> Made:
    def call(at: Context) -> bool | str:
        text = _text_or_none(at, one)
        if text is None:
            return ""
        return _regex(_only_text(at, other, "matches"), "matches").search(text) is not None

    return call


def _regex(pattern: str, name: str) -> "Regex":
    from pyagent.kit.regex import compile_regex

    try:
        return compile_regex(pattern)
    except ValueError as error:
        raise XPathError(f"the second argument of {name}(): {error}") from None


def _replace(*arguments: Query) -> Made:
    def call(at: Context) -> str:
        from pyagent.kit.regex import compile_template

        text, pattern, by = (_text(at, argument.evaluate(at)) for argument in arguments)
        regex = _regex(pattern, "replace")
        for group in range(len(regex.groups), 0, -1):
            by = by.replace(f"${group}", f"${{{group}}}")
        replaced = regex.replace(text, compile_template(regex, by))
        return text if replaced is None else replaced

    return call


def _substring(text: Query, start: Query, length: Query | None = None) -> Made:
    def call(at: Context) -> str:
        given = _text_or_none(at, text)
        if given is None:
            return ""
        data = given.encode("utf-8", "surrogateescape")
        first = _rounded(start, at)
        if first > len(data):
            return ""
        if length is None:
            return _decoded(data if first <= 0 else data[int(first) - 1 :])
        count = min(_rounded(length, at), len(data))
        if count <= 0:
            return ""
        if first < 0:
            count += first
            return _decoded(data[: int(count - 1)]) if count > 1 else ""
        if first == 0:
            return _decoded(data[: int(count - 1)])
        if count + first - 1 > len(data):
            raise XPathError("substring() reaches beyond the end of its text")
        return _decoded(data[int(first - 1) : int(count + first - 1)])

    return call


def _rounded(argument: Query, at: Context) -> float:
    value = argument.evaluate(at)
    if not isinstance(value, float) or not math.isfinite(value):
        raise XPathError("substring() needs numbers behind its text")
    return math.copysign(math.floor(abs(value) + 0.5), value)


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _part(after: bool) -> Callable[[Query, Query], Made]:
    def make(one: Query, other: Query) -> Made:
        def call(at: Context) -> str:
            text, word = _text_or_none(at, one), _text_or_none(at, other)
            if not text or not word:
                return ""
            before, found, rest = text.partition(word)
            return (rest if after else before) if found else ""

        return call

    return make


def _length(argument: Query, *_: Query) -> Made:
    return lambda at: float(len((_text_or_none(at, argument) or "").encode("utf-8", "surrogateescape")))


def _normalized(argument: Query | None = None, *_: Query) -> Made:
    def call(at: Context) -> str:
        text = at.text(at.node) if argument is None else _text_or_none(at, argument)
        return " ".join((text or "").split())

    return call


def _translate(*arguments: Query) -> Made:
    def call(at: Context) -> str:
        text, old, new = (_text(at, argument.evaluate(at)) for argument in arguments)
        by = new.encode("utf-8", "surrogateescape")
        table: dict[int, str] = {}
        place = 0
        for character in old:
            table.setdefault(ord(character), chr(by[place]) if place < len(by) else "")
            place += len(character.encode("utf-8", "surrogateescape"))
        return text.translate(table)

    return call


def _joined(nodes: Query, separator: Query) -> Made:
    def call(at: Context) -> str:
        between = _text_or_none(at, separator) or ""
        value = nodes.evaluate(at)
        if isinstance(value, str):
            return value
        return between.join([at.effort.join(at.text(node)) for node in _all(at, value)])

    return call


def _all(at: Context, value: Any) -> Any:
    return value.select(at) if isinstance(value, Query) else ()


def _sum(argument: Query, *_: Query) -> Made:
    def call(at: Context) -> float:
        value = argument.evaluate(at)
        if isinstance(value, str):
            number = parse_float(value)
            if number is None:
                raise XPathError("sum() needs nodes or a number")
            return number
        if isinstance(value, float):
            return value
        return float(sum(number for node in _all(at, value) if (number := parse_float(at.text(node))) is not None))

    return call


def _count(argument: Query, *_: Query) -> Made:
    return lambda at: float(sum(1 for _ in _all(at, argument.evaluate(at))))


def _not(argument: Query, *_: Query) -> Made:
    def call(at: Context) -> bool:
        value = argument.evaluate(at)
        return not value if isinstance(value, bool) else isinstance(value, Query) and value.first(at) is None

    return call


def _round(value: float) -> float:
    if not math.isfinite(value):
        return value
    if -0.5 <= value < 0.5:
        return value * 0
    whole = float(math.floor(value))
    return whole + 1 if value - whole >= 0.5 else whole


def _whole(function: Callable[[float], float]) -> Callable[..., Made]:
    def make(argument: Query, *_: Query) -> Made:
        def call(at: Context) -> float:
            value = _number(at, argument.evaluate(at))
            return float(function(value)) if math.isfinite(value) else value

        return call

    return make


def _of_node(read: Callable[[Any], str]) -> Callable[..., Made]:
    def make(argument: Query | None = None) -> Made:
        def call(at: Context) -> str:
            node = at.node if argument is None else argument.first(at)
            return "" if node is None else read(node)

        return call

    return make


def _string(argument: Query | None = None) -> Made:
    if argument is None:
        return lambda at: at.text(at.node)
    return lambda at: _text(at, argument.evaluate(at))


def _concat(*arguments: Query) -> Made:
    return lambda at: "".join([_text(at, argument.evaluate(at)) for argument in arguments])


def position(axis: Query | None) -> Made:
    """Of a node among its siblings that the axis would find, too."""

    def call(at: Context) -> float:
        test = axis.test if axis is not None else None
        return 1.0 + sum(1 for other in siblings(at.node, before=True) if test is None or test(other))

    return call


def last(axis: Query | None) -> Made:
    def call(at: Context) -> float:
        test = axis.test if axis is not None else None
        node = at.node
        if node.parent is None or node.kind == ATTRIBUTE:
            return 1.0 if test is None or test(node) else 0.0
        others = node.parent.children
        return float(sum(1 for other in others if test is None or (test(other) and not other.blank)))

    return call


_MANY: Final = 1000
FUNCTIONS: Final[dict[str, tuple[int, int, Callable[..., Made]]]] = {
    "boolean": (1, 1, lambda argument: lambda at: _truth(at, argument.evaluate(at))),
    "ceiling": (1, _MANY, _whole(math.ceil)),
    "concat": (2, _MANY, _concat),
    "contains": (2, _MANY, _within("contains", operator.contains)),
    "count": (1, _MANY, _count),
    "ends-with": (2, _MANY, _within("ends-with", str.endswith)),
    "false": (0, _MANY, lambda *_: lambda at: False),
    "floor": (1, _MANY, _whole(math.floor)),
    "local-name": (0, 1, _of_node(lambda node: str(node.name))),
    "lower-case": (1, _MANY, lambda argument, *_: lambda at: _text(at, argument.evaluate(at)).lower()),
    "matches": (2, 2, _matches),
    "name": (0, 1, _of_node(lambda node: f"{node.prefix}:{node.name}" if node.prefix else node.name)),
    "namespace-uri": (0, 1, _of_node(lambda node: getattr(node, "uri", node.prefix))),
    "normalize-space": (0, _MANY, _normalized),
    "not": (1, _MANY, _not),
    "number": (1, 1, lambda argument: lambda at: _number(at, argument.evaluate(at))),
    "replace": (3, 3, _replace),
    "round": (1, _MANY, _whole(_round)),
    "starts-with": (2, _MANY, _within("starts-with", str.startswith)),
    "string": (0, 1, _string),
    "string-join": (2, 2, _joined),
    "string-length": (1, _MANY, _length),
    "substring": (2, _MANY, lambda *arguments: _substring(*arguments[:3])),
    "substring-after": (2, 2, _part(True)),
    "substring-before": (2, 2, _part(False)),
    "sum": (1, _MANY, _sum),
    "translate": (3, 3, _translate),
    "true": (0, _MANY, lambda *_: lambda at: True),
}
"""By name: least and most arguments, and what makes a function of their queries."""


def _divided(one: float, other: float) -> float:
    try:
        return one / other
    except ZeroDivisionError:
        if one == 0 or one != one:
            return math.nan
        return math.copysign(math.inf, math.copysign(1, one) * math.copysign(1, other))


def _modulo(one: float, other: float) -> float:
    return math.fmod(one, other) if math.isfinite(one) and other == other and other != 0 else math.nan


def _numeric(function: Callable[[float, float], float]) -> Callable[[Query, Query], Made]:
    def make(left: Query, right: Query) -> Made:
        def call(at: Context) -> float:
            here = at.node
            one = _number(at, left.evaluate(at))
            at.node = here
            other = _number(at, right.evaluate(at))
            at.node = here
            return function(one, other)

        return call

    return make


def _logical(stops: bool) -> Callable[[Query, Query], Made]:
    def make(left: Query, right: Query) -> Made:
        def call(at: Context) -> bool:
            here = at.node
            if _truth(at, left.evaluate(at)) is stops:
                return stops
            at.node = here
            return _truth(at, right.evaluate(at))

        return call

    return make


OPERATORS: Final[dict[str, Callable[[Query, Query], Made]]] = {
    "+": _numeric(operator.add),
    "-": _numeric(operator.sub),
    "*": _numeric(operator.mul),
    "div": _numeric(_divided),
    "mod": _numeric(_modulo),
    "or": _logical(True),
    "and": _logical(False),
}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compared(sign: str, left: Query, right: Query) -> Made:
    holds = _COMPARE[sign]
    as_text = sign in ("=", "!=")

    def texts(one: str, other: str) -> bool:
        return holds(one, other) if as_text else holds(to_number(one), to_number(other))

    def call(at: Context) -> bool:
        one, other = left.evaluate(at), right.evaluate(at)
        if isinstance(one, bool) or isinstance(other, bool):
            if isinstance(one, bool) and isinstance(other, bool):
                return False
            raise XPathError(f"a boolean cannot be compared by {sign}; use not() or string()")
        if not isinstance(one, Query) and not isinstance(other, Query):
            if isinstance(one, str) and isinstance(other, str):
                return texts(one, other)
            return holds(_number(at, one), _number(at, other))
        if isinstance(one, Query) and isinstance(other, Query):
            return any(texts(at.text(x), at.text(y)) for x in one.select(at) for y in other.select(at))
        if isinstance(one, Query):
            if isinstance(other, float):
                return any(holds(node.number(), other) for node in one.select(at))
            return any(texts(at.text(node), other) for node in one.select(at))
        if isinstance(one, float):
            return any(holds(one, node.number()) for node in other.select(at))
        return any(texts(one, at.text(node)) for node in other.select(at))

    return call

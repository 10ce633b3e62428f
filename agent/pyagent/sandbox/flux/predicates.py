"""A filter's function taken apart at its `and`s, and the parts that InfluxDB's storage answers.

The storage takes comparisons of a column with a literal, joined by `and` and `or`. For it a tag that a series lacks is an empty
text, where Flux has null: `r.cpu != "0"` keeps such a series when the storage answers, and drops it when Flux does.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.evaluate import Closure, Code, Scope, compile_node
from pyagent.sandbox.flux.patterns import Regex
from pyagent.sandbox.flux.syntax import Node, place
from pyagent.sandbox.flux.values import Callee, Duration, Time

Row = dict[str, Any]
Predicate = Callable[[Row], Any]

VALUE: Final = "_value"
_TAG_OPERATORS: Final = ("==", "!=", "=~", "!~")
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_NUMBERS: Final = (int, float)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a predicate: `columns` are those it asks for (None: cannot be told); `stored` is it as the storage
    answers it, None when it does not."""

    columns: frozenset[str] | None
    asks: Predicate
    stored: Predicate | None


def one_row(function: Callee, *names: str) -> None:
    """Refuse a function of a script that does not take just these arguments.

    Raises:
        InfluxError: with the function's place.
    """
    if not isinstance(function, Closure):
        return
    found = [name for name, _ in function.node.parameters]
    where = f"error {place(function.node.at)}: "
    expected = ", ".join(f"`{name}`" for name in names)
    problems = [f"found unexpected argument {name} (Expected {expected})" for name in found if name not in names]
    problems += [f"missing required argument {name}" for name in names if name not in found]
    if problems:
        message = "\n\n".join(f"{where}{problem} (argument fn)" for problem in problems)
        raise InfluxError("invalid", message, final=True)


def parts_of(function: Callee) -> tuple[list[Part], bool]:
    """The parts of a predicate of `r`, and whether the function is a single expression."""
    if not isinstance(function, Closure) or isinstance(function.node.body, list):
        return [Part(None, lambda row: function(r=row), None)], False
    name, scope = function.node.parameters[0][0], function.scope
    parts = []
    for node in _split(function.node.body):
        if isinstance(node, syntax.Identifier) and node.name == "true":
            continue
        asked: set[str] = set()
        alone = _columns(node, name, asked)
        asks = _bind(compile_node(node), scope, name)
        parts.append(Part(frozenset(asked) if alone else None, asks, _stored(node, name, scope)))
    return parts, True


def _bind(code: Code, scope: Scope, name: str) -> Predicate:
    return lambda row: code(Scope(scope, {name: row}))


def _split(node: Node) -> list[Node]:
    if isinstance(node, syntax.Binary) and node.operator == "and":
        return [*_split(node.left), *_split(node.right)]
    return [node]


def _stored(node: Node, name: str, scope: Scope) -> Predicate | None:
    match node:
        case syntax.Binary(operator="and" | "or"):
            left, right = _stored(node.left, name, scope), _stored(node.right, name, scope)
            if left is None or right is None:
                return None
            if node.operator == "and":
                return lambda row: left(row) and right(row)
            return lambda row: left(row) or right(row)
        case syntax.Unary(operator="exists", value=syntax.Member(value=syntax.Identifier(name=found), name=column)):
            return (lambda row: row.get(column, "") != "") if found == name and column != VALUE else None
        case syntax.Unary(operator="not", value=syntax.Unary(operator="not" | "exists")):
            inner = _stored(node.value, name, scope)
            return None if inner is None else (lambda row: not inner(row))
        case syntax.Binary(left=syntax.Member(value=syntax.Identifier(name=found), name=column)) if found == name:
            return _comparison(node.operator, column, _literal(node.right, name, scope))
        case _:
            return None


def _literal(node: Node, name: str, scope: Scope) -> Any:
    """The value of a literal, or of a name or a member that stands for one; None for anything else."""
    match node:
        case syntax.Literal():
            value = node.value
        case syntax.Identifier() if node.name != name:
            value = scope.find(node.name)
        case syntax.Member():
            owner = _record(node.value, name, scope)
            value = owner.get(node.name) if owner is not None else None
        case _:
            return None
    return value if isinstance(value, str | int | float | Regex) and not isinstance(value, Time | Duration) else None


def _record(node: Node, name: str, scope: Scope) -> Row | None:
    if isinstance(node, syntax.Identifier) and node.name != name:
        value = scope.find(node.name)
    elif isinstance(node, syntax.Member):
        owner = _record(node.value, name, scope)
        value = owner.get(node.name) if owner is not None else None
    else:
        return None
    return value if isinstance(value, dict) else None


def _comparison(sign: str, column: str, literal: Any) -> Predicate | None:
    if literal is None:
        return None
    if isinstance(literal, Regex):
        if sign not in ("=~", "!~"):
            return None
        wanted, search = sign == "=~", literal.search

        def matches(row: Row) -> bool:
            value = row.get(column, "")
            return isinstance(value, str) and (search(value) is not None) == wanted

        return matches
    if sign in ("=~", "!~") or (column != VALUE and sign not in _TAG_OPERATORS):
        return None
    if column != VALUE and sign == "==" and literal == "":
        return None  # the storage has no empty tags
    if sign == "==" and isinstance(literal, str):  # of each query, and of each series
        return lambda row: row.get(column, "") == literal
    compare = _COMPARE[sign]
    alike: tuple[type, ...] = (type(literal),)
    if isinstance(literal, _NUMBERS) and not isinstance(literal, bool):
        alike = _NUMBERS
    boolean = isinstance(literal, bool)

    def compares(row: Row) -> bool:
        value = row.get(column, "")
        return isinstance(value, alike) and isinstance(value, bool) == boolean and compare(value, literal)

    return compares


def _columns(node: object, name: str, asked: set[str]) -> bool:
    """Collect the members of `name` that are asked for; False if `name` is used in another way."""
    match node:
        case syntax.Member(value=syntax.Identifier(name=found)) if found == name:
            asked.add(node.name)
            return True
        case syntax.Identifier():
            return node.name != name
        case syntax.Literal():
            return True
        case syntax.Member() | syntax.Unary():
            return _columns(node.value, name, asked)
        case syntax.Binary():
            return _columns(node.left, name, asked) and _columns(node.right, name, asked)
        case syntax.Conditional():
            return all(_columns(part, name, asked) for part in (node.test, node.then, node.other))
        case syntax.Array():
            return all(_columns(part, name, asked) for part in node.items)
        case syntax.Call():
            return all(_columns(part, name, asked) for part in (node.callee, *(value for _, value in node.arguments)))
        case syntax.Text():
            return all(isinstance(part, str) or _columns(part, name, asked) for part in node.parts)
        case _:
            return False

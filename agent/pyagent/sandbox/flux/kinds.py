"""The type that an expression of a row's function gives, known without a value: a column of nothing but null has one, too."""

from typing import Any

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.evaluate import Closure, Scope
from pyagent.sandbox.flux.tables import BOOLEAN, DOUBLE, LONG, STRING, TIME, UNSIGNED
from pyagent.sandbox.flux.values import Callee, Time, Uint

Kind = str | dict[str, Any] | None
"""A column type, the types of a record's members, or None where it cannot be told."""

_OF_VALUES: tuple[tuple[type, str], ...] = (
    (bool, BOOLEAN), (Time, TIME), (Uint, UNSIGNED), (int, LONG), (float, DOUBLE), (str, STRING),
)  # fmt: skip
_LOGICAL = ("==", "!=", "<", "<=", ">", ">=", "=~", "!~", "and", "or")


def kind_of_value(value: object) -> Kind:
    if isinstance(value, dict):
        return {name: kind_of_value(part) for name, part in value.items()}
    return next((name for kind, name in _OF_VALUES if isinstance(value, kind)), None)


def kind_of(node: object, known: dict[str, Kind], scope: Scope, depth: int = 0) -> Kind:
    """The type of an expression; `known`: those of the names of the function that it is in."""
    if depth > 50:
        return None
    match node:
        case syntax.Literal():
            return kind_of_value(node.value)
        case syntax.Text():
            return STRING
        case syntax.Identifier():
            return known[node.name] if node.name in known else kind_of_value(_found(node.name, scope))
        case syntax.Member():
            owner = kind_of(node.value, known, scope, depth + 1)
            return owner.get(node.name) if isinstance(owner, dict) else None
        case syntax.Unary():
            return BOOLEAN if node.operator in ("not", "exists") else kind_of(node.value, known, scope, depth + 1)
        case syntax.Binary():
            if node.operator in _LOGICAL:
                return BOOLEAN
            return kind_of(node.left, known, scope, depth + 1) or kind_of(node.right, known, scope, depth + 1)
        case syntax.Conditional():
            return kind_of(node.then, known, scope, depth + 1) or kind_of(node.other, known, scope, depth + 1)
        case syntax.Record():
            base = kind_of(node.base, known, scope, depth + 1) if node.base is not None else {}
            made = dict(base) if isinstance(base, dict) else {}
            for name, value in node.properties:
                made[name] = kind_of(value, known, scope, depth + 1)
            return made
        case syntax.Call():
            return _of_call(node, known, scope, depth)
        case syntax.Pipe(call=syntax.Call()):
            return _of_call(node.call, known, scope, depth)
        case _:
            return None


def _found(name: str, scope: Scope) -> Any:
    try:
        return scope.find(name)
    except InfluxError:
        return None


def _of_call(node: Any, known: dict[str, Kind], scope: Scope, depth: int) -> Kind:
    match node.callee:
        case syntax.Identifier(name=name):
            callee = None if name in known else _found(name, scope)
        case syntax.Member(value=syntax.Identifier(name=package), name=name):
            owner = None if package in known else _found(package, scope)
            callee = owner.get(name) if isinstance(owner, dict) else None
        case _:
            return None
    if isinstance(callee, Closure):
        given: dict[str, Kind] = {name: kind_of(value, known, scope, depth + 1) for name, value in node.arguments}
        return kind_of_function(callee, given, depth + 1)
    return callee.result if isinstance(callee, Callee) else None


def kind_of_function(function: Callee, given: dict[str, Kind], depth: int = 0) -> Kind:
    """The type of what a function gives for arguments of these types."""
    if not isinstance(function, Closure):
        return function.result
    known: dict[str, Kind] = {name: given.get(name) for name, _ in function.node.parameters}
    body = function.node.body
    if not isinstance(body, list):
        return kind_of(body, known, function.scope, depth)
    for statement in body:
        if isinstance(statement, syntax.Assign):
            known[statement.name] = kind_of(statement.value, known, function.scope, depth)
        elif isinstance(statement, syntax.Return):
            return kind_of(statement.value, known, function.scope, depth)
    return None

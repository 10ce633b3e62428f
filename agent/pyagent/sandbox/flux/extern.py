"""The syntax tree in JSON that clients send beside a script: imports, options and variables with literal values."""

from collections.abc import Callable
from typing import Any

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import invalid
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.patterns import Regex
from pyagent.sandbox.flux.syntax import Node
from pyagent.sandbox.flux.values import MONTHS, NANOSECONDS, Duration, Uint, parse_time


def statements_of(extern: object) -> list[Node]:
    """The statements of a request's `extern`.

    Raises:
        InfluxError: it is not such a tree, or has more than assignments of values.
    """
    if not extern:
        return []
    try:
        imports = [_import(part) for part in extern.get("imports") or []]  # type: ignore[attr-defined]  # checked by the except
        return [*imports, *(_statement(part) for part in extern["body"] or [])]  # type: ignore[index]
    except RecursionError:
        raise invalid("cannot decode extern: it is nested too deeply") from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise invalid("cannot decode extern: a part of it is missing, or of another kind") from None


def _import(tree: Document) -> Node:
    path = str(tree["path"]["value"])
    return syntax.Import(tree["as"]["name"] if tree.get("as") else path.rpartition("/")[2], path)


def _statement(tree: Document) -> Node:
    if tree["type"] == "OptionStatement":
        assigned = tree["assignment"]
        if assigned["type"] == "MemberAssignment":
            member = assigned["member"]
            name, option = member["object"]["name"], member["property"].get("name") or member["property"]["value"]
            return syntax.Option(name, option, _expression(assigned["init"]))
        return syntax.Option(assigned["id"]["name"], None, _expression(assigned["init"]))
    if tree["type"] == "VariableAssignment":
        return syntax.Assign(tree["id"]["name"], _expression(tree["init"]))
    if tree["type"] == "ExpressionStatement":
        return syntax.Expression(_expression(tree["expression"]))
    raise invalid(f"cannot decode extern: {tree['type']} is not supported by this server")


def _duration(tree: Document) -> Duration:
    months = sum(int(part["magnitude"]) * MONTHS.get(part["unit"], 0) for part in tree["values"])
    return Duration(months, sum(int(part["magnitude"]) * NANOSECONDS.get(part["unit"], 0) for part in tree["values"]))


_LITERALS: dict[str, Callable[[Document], Any]] = {
    "StringLiteral": lambda tree: str(tree["value"]),
    "IntegerLiteral": lambda tree: int(tree["value"]),
    "UnsignedIntegerLiteral": lambda tree: Uint(tree["value"]),
    "FloatLiteral": lambda tree: float(tree["value"]),
    "BooleanLiteral": lambda tree: bool(tree["value"]),
    "DateTimeLiteral": lambda tree: parse_time(tree["value"]),
    "DurationLiteral": _duration,
    "RegexpLiteral": lambda tree: Regex(tree["value"]),
}


def _expression(tree: Document) -> Node:
    kind = tree["type"]
    if kind in _LITERALS:
        return syntax.Literal(_LITERALS[kind](tree))
    if kind == "ArrayExpression":
        return syntax.Array([_expression(item) for item in tree.get("elements") or []])
    if kind == "ObjectExpression":
        pairs = [
            (part["key"].get("name") or part["key"]["value"], _expression(part["value"]))
            for part in tree.get("properties") or []
        ]
        return syntax.Record(None, pairs)
    if kind == "UnaryExpression":
        return syntax.Unary(tree["operator"], _expression(tree["argument"]))
    if kind == "BinaryExpression":
        return syntax.Binary(tree["operator"], _expression(tree["left"]), _expression(tree["right"]))
    if kind == "Identifier":
        return syntax.Identifier(tree["name"])
    if kind == "MemberExpression":
        return syntax.Member(_expression(tree["object"]), tree["property"].get("name") or tree["property"]["value"])
    if kind == "CallExpression":
        given = tree.get("arguments") or []
        properties = given[0]["properties"] if given else []
        return syntax.Call(
            _expression(tree["callee"]), [(part["key"]["name"], _expression(part["value"])) for part in properties]
        )
    raise invalid(f"cannot decode extern: {kind} is not supported by this server")

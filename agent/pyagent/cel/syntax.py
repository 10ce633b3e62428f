"""The parts of an expression. The checker fills in their types, the compiler makes them run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyagent.cel.types import DYN, Type

if TYPE_CHECKING:
    from pyagent.cel.functions import Overload

__all__ = ["Call", "ExpressionError", "Fold", "Ident", "Items", "Literal", "Mapped", "Node", "Select", "depth"]


class ExpressionError(ValueError):
    """An expression that is none, or that cannot give what is wanted."""

    def __init__(self, reason: str, text: str, position: int) -> None:
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        place = f"line {line}, character {column} of the expression" if "\n" in text.strip() else f"character {column}"
        reason = reason if len(reason) <= 300 else f"{reason[:297]}..."
        super().__init__(f"{reason} (at {place})")


@dataclass(slots=True, kw_only=True)
class Node:
    position: int
    """Where it begins in the text, for messages."""
    type: Type = DYN

    def children(self) -> Iterator["Node"]:
        return iter(())


@dataclass(slots=True, kw_only=True)
class Literal(Node):
    value: Any


@dataclass(slots=True, kw_only=True)
class Ident(Node):
    name: str
    """With a leading dot where the variables of `all`, `map`, ... do not count."""
    slot: int = -1
    """Its place in the frame; -1: a type's name."""


@dataclass(slots=True, kw_only=True)
class Select(Node):
    """`operand.field`."""

    operand: Node
    field: str
    test: bool = False
    """`has(operand.field)`"""
    names_type: str = ""
    """A type whose name has dots in it."""

    def children(self) -> Iterator[Node]:
        yield self.operand


@dataclass(slots=True, kw_only=True)
class Call(Node):
    """A function, a method of `target`, or an operator, which is a function named as in `_+_`."""

    function: str
    target: Node | None = None
    arguments: list[Node]
    overloads: "tuple[Overload, ...]" = ()
    """Those that the types known beforehand allow."""

    def children(self) -> Iterator[Node]:
        if self.target is not None:
            yield self.target
        yield from self.arguments

    @property
    def operands(self) -> list[Node]:
        return list(self.children())


@dataclass(slots=True, kw_only=True)
class Items(Node):
    """A list: `[1, 2]`."""

    items: list[Node]

    def children(self) -> Iterator[Node]:
        yield from self.items


@dataclass(slots=True, kw_only=True)
class Mapped(Node):
    """A map: `{"a": 1}`."""

    entries: list[tuple[Node, Node]]

    def children(self) -> Iterator[Node]:
        for entry in self.entries:
            yield from entry


@dataclass(slots=True, kw_only=True)
class Fold(Node):
    """`operand.macro(variable, condition)`, and `operand.map(variable, condition, result)`."""

    macro: str
    operand: Node
    variable: str
    slot: int = -1
    condition: Node | None = None
    result: Node | None = None

    def children(self) -> Iterator[Node]:
        yield self.operand
        if self.condition is not None:
            yield self.condition
        if self.result is not None:
            yield self.result


def depth(node: Node) -> int:
    """Levels of an expression. Without recursion: it is asked before anything recursive is done."""
    deepest, waiting = 0, [(node, 1)]
    while waiting:
        here, level = waiting.pop()
        deepest = max(deepest, level)
        waiting += ((child, level + 1) for child in here.children())
    return deepest


def parts(node: Node) -> int:
    """Nodes of an expression, without those that a macro in it goes through again and again by itself."""
    count, waiting = 0, [node]
    while waiting:
        here = waiting.pop()
        count += 1
        waiting += [here.operand] if isinstance(here, Fold) else here.children()
    return count

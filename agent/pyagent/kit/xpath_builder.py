"""From trees of XPath expressions to what evaluates them, with the ways that antchfx/xpath takes for predicates that count."""

from copy import deepcopy
from typing import Any, Final

from pyagent.kit import xpath as q
from pyagent.kit import xpath_syntax as s
from pyagent.kit.xpath_functions import FUNCTIONS, OPERATORS, compared, last, position
from pyagent.kit.xpath_syntax import ALL, ELEMENT, XPathError

__all__ = ["compile_xpath"]

_POSITION, _LAST, _COUNTS, _NOT_FLAT = 1, 2, 4, 8
"""What is known of an expression: it asks for positions, for the last one, it has a predicate that counts, its nodes lie
at several depths."""
_PLAIN, _DESCENDS, _FILTERED = 0, 1, 2


def compile_xpath(text: str) -> q.Query:
    """Raises XPathError."""
    query, _ = _Builder().node(s.parse(text), _PLAIN)
    return query


def _test(step: s.Axis) -> q.Test:
    kind, local, prefix = step.kind, step.local, step.prefix
    if local or prefix:
        if kind == ALL:
            return lambda node: node.name == local and node.prefix == prefix
        return lambda node: node.name == local and node.kind == kind and node.prefix == prefix
    if kind == ALL:
        return lambda node: True
    return lambda node: node.kind == kind


class _Builder:
    def __init__(self) -> None:
        self._axis: q.Query | None = None
        """The node-set that was built last: `position()` and `last()` are meant of it."""

    def node(self, tree: Any, flags: int) -> tuple[q.Query, int]:
        """A query, and what is known of it."""
        match tree:
            case s.Constant():
                return q.Constant(tree.value), 0
            case s.Root():
                return q.Top(), 0
            case s.Axis():
                query, known = self._step(tree, flags)
            case s.Filter():
                query, known = self._filter(tree, flags)
            case s.Group():
                query, known = self.node(tree.input, _PLAIN)
                query = q.Grouped(query)
            case s.Call():
                return self._call(tree)
            case s.Operation():
                return self._operation(tree)
            case _:
                raise XPathError(f"the variable ${tree.name} is not known; there are no variables")
        self._axis = query
        return query, known

    def _step(self, tree: s.Axis, flags: int) -> tuple[q.Query, int]:
        self._axis = None
        test, axis, below = _test(tree), tree.axis, tree.input
        input: q.Query
        if below is None:
            input, known = q.Here(), 0
        else:
            inner = _PLAIN
            if not flags & _FILTERED:
                if axis == "child" and isinstance(below, s.Axis) and below.axis == "descendant-or-self":
                    input, known = self.node(below.input, _DESCENDS) if below.input is not None else (q.Here(), 0)
                    return q.Descendant(input, test, tree.local), known | _NOT_FLAT
                if axis in ("descendant", "descendant-or-self"):
                    inner = _DESCENDS
            input, known = self.node(below, inner)
        match axis:
            case "child":
                child = q.Child(input, test, tree.local)
                child.plain = tree.local if tree.kind == ELEMENT and not tree.prefix else ""
                return child, known
            case "attribute":
                return q.Attribute(input, test, tree.local), known
            case "self":
                return q.Itself(input, test), known
            case "parent":
                return q.Parent(input, test), known
            case "descendant" | "descendant-or-self":
                kind = q.Topmost if flags & _DESCENDS else q.Descendant
                return kind(input, test, tree.local, itself=axis == "descendant-or-self"), known | _NOT_FLAT
            case "ancestor" | "ancestor-or-self":
                return q.Ancestor(input, test, itself=axis == "ancestor-or-self"), known | _NOT_FLAT
            case "following" | "preceding":
                beside = q.Beside(input, test, before=axis == "preceding", siblings_only=False)
                return beside, known | _NOT_FLAT
            case "following-sibling" | "preceding-sibling":
                return q.Beside(input, test, before=axis.startswith("p"), siblings_only=True), known
        raise XPathError(f"the axis {axis!r} is not known")

    def _filter(self, tree: s.Filter, flags: int) -> tuple[q.Query, int]:
        outermost = not flags & _FILTERED
        input, known = self.node(tree.input, flags | _FILTERED)
        axis = self._axis
        condition, asked = self.node(tree.condition, flags)
        if condition.kind in ("number", "any") or asked & (_POSITION | _LAST):
            asked |= _POSITION
        if not isinstance(tree.input, s.Filter):
            known &= ~_COUNTS
        if asked & _POSITION:
            known |= _COUNTS
        if (
            asked & _POSITION
            and asked & _LAST
            and isinstance(condition, q.Function)
            and isinstance(condition.input, q.Filtered | q.Grouped)
        ):
            condition = q.Last(deepcopy(condition.input))  # which counts for itself
        if outermost and axis is not None:
            self._axis = None
            if input.merges and known & _COUNTS:
                parent: q.Query | None = None
                if isinstance(axis, _OF_AXES) and not isinstance(axis.input, q.Here):
                    parent, axis.input = axis.input, q.Here()
                found = q.Filtered(input, condition)
                return (q.Merged(parent, found) if parent is not None else found), known
        return q.Filtered(input, condition), known

    def _call(self, tree: s.Call) -> tuple[q.Query, int]:
        name, given = tree.name, tree.arguments
        if name in ("last", "position"):
            axis = self._axis
            function = (last if name == "last" else position)(axis)
            return q.Function(function, axis), _LAST if name == "last" else _POSITION
        if name == "reverse":
            if not given:
                raise XPathError("reverse() needs nodes")
            input, known = self.node(given[0], _PLAIN)
            return q.Reverse(input), known
        found = FUNCTIONS.get(name)
        if found is None:
            raise XPathError(f"there is no function {name}()")
        least, most, make = found
        if not least <= len(given) <= most:
            raise XPathError(f"{name}() cannot take {len(given)} arguments")
        known = 0
        arguments = []
        for argument in given:
            query, known = self.node(argument, _PLAIN)
            arguments.append(query)
        return q.Function(make(*arguments)), known

    def _operation(self, tree: s.Operation) -> tuple[q.Query, int]:
        left, known_left = self.node(tree.left, _PLAIN)
        right, known_right = self.node(tree.right, _PLAIN)
        known = known_left | known_right
        if tree.operator == "|":
            return q.Union(left, right), known | _NOT_FLAT
        if (make := OPERATORS.get(tree.operator)) is not None:
            query = q.Function(make(left, right))
            query.kind = "boolean" if tree.operator in ("and", "or") else "number"
        else:
            query = q.Function(compared(tree.operator, left, right))
            query.kind = "boolean"
        return query, known


_OF_AXES: Final = (q.Child, q.Attribute, q.Descendant, q.Topmost, q.Ancestor, q.Beside, q.Parent, q.Itself, q.Grouped)

"""An expression that was checked becomes functions within functions.

Each takes the frame: a list of the metric's name, tags, fields and time, then the variables of `all`, `map` and the like.
What depends on nothing is computed once, here. A conversion or a regular expression of fixed text that cannot be is an
error of the expression, as in Telegraf; any other failure waits until it runs.
"""

from collections.abc import Sequence
from typing import Any

from pyagent.cel.branches import (
    Code,
    Frame,
    Run,
    a_bool,
    a_map,
    conditional,
    equality,
    has,
    items_of,
    logic,
    membership,
    quantified,
)
from pyagent.cel.check import FUNCTIONS, VARIABLES
from pyagent.cel.cost import CostLimit, spend, spend_on
from pyagent.cel.functions import Dispatch, Overload
from pyagent.cel.syntax import Call, ExpressionError, Fold, Ident, Items, Literal, Mapped, Node, Select, parts
from pyagent.cel.values import ERRORS, CelType, Failure, Timestamp, explain_failure, shown
from pyagent.kit.regex import compile_regex

__all__ = ["compile_node"]

_TIME = list(VARIABLES).index("time")
_CONVERSIONS = frozenset(("bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"))


def compile_node(node: Node, text: str) -> Run:
    """Raises ExpressionError."""
    return _Compiler(text).code(node).run


def _fixed(value: Any, *, literal: bool = True) -> Code:
    return Code(lambda frame: value, True, literal, value)


class _Compiler:
    def __init__(self, text: str) -> None:
        self._text = text
        self._rounds = 0
        """Macros around what is compiled: it may run many times."""

    def code(self, node: Node) -> Code:
        match node:
            case Literal():
                return _fixed(node.value)
            case Ident():
                return self._ident(node)
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case Items():
                return self._items([self.code(item) for item in node.items])
            case Mapped():
                return self._map([(self.code(key), self.code(value)) for key, value in node.entries])
            case Fold():
                return Code(self._fold(node))
        raise TypeError(type(node))

    def _ident(self, node: Ident) -> Code:
        slot = node.slot
        if slot < 0:
            return _fixed(CelType(node.name.removeprefix(".")))
        if slot == _TIME:
            return Code(lambda frame: Timestamp(frame[_TIME]))
        return Code(lambda frame: frame[slot])

    def _select(self, node: Select) -> Code:
        if node.names_type:
            return _fixed(CelType(node.names_type))
        operand, name = self.code(node.operand).run, node.field
        if node.test:
            return Code(lambda frame: has(operand(frame), name))
        if node.operand.type.name != "map":
            return Code(lambda frame: a_map(operand(frame), name)[name])
        if isinstance(node.operand, Ident) and (slot := node.operand.slot) >= 0:
            return Code(lambda frame: frame[slot][name])
        return Code(lambda frame: operand(frame)[name])

    def _items(self, items: list[Code]) -> Code:
        if all(item.fixed for item in items):
            return _fixed([item.value for item in items], literal=all(item.literal for item in items))
        runs = [item.run for item in items]
        return Code(lambda frame: [run(frame) for run in runs])

    def _map(self, entries: list[tuple[Code, Code]]) -> Code:
        runs = [(key.run, value.run) for key, value in entries]

        def run(frame: Frame) -> dict[Any, Any]:
            return {key(frame): value(frame) for key, value in runs}

        return self._once(run) if all(key.fixed and value.fixed for key, value in entries) else Code(run)

    @staticmethod
    def _once(run: Run) -> Code:
        """Computed here, where that is possible."""
        try:
            return _fixed(run([]), literal=False)
        except (*ERRORS, CostLimit):
            return Code(run)

    # Calls ----------------------------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Code:
        codes = [self._weighed(operand) for operand in node.operands]
        function = node.function
        if function in ("_&&_", "_||_"):
            return Code(logic([code.run for code in codes], decides=function == "_||_"))
        if function == "_?_:_":
            return Code(conditional(*(code.run for code in codes)))
        run = self._run(node, codes)
        if node.function != "_[_]" and _sized(node):
            run = _paid(run)
        if not codes or not all(code.fixed for code in codes):
            return Code(run)
        if function not in _CONVERSIONS or not all(code.literal for code in codes):
            return self._once(run)
        try:
            return _fixed(run([]))
        except (*ERRORS, CostLimit) as error:
            raise ExpressionError(explain_failure(error), self._text, node.position) from None

    def _weighed(self, node: Node) -> Code:
        """An argument. Looking at a long text costs little once; in a round of a macro it is paid for."""
        code = self.code(node)
        return Code(_paid(code.run), code.fixed, code.literal, code.value) if self._rounds and _sized(node) else code

    def _run(self, node: Call, codes: list[Code]) -> Run:
        if node.function in ("_==_", "_!=_"):
            return equality(node, codes, wanted=node.function == "_==_")
        if node.function == "_in_":
            return membership(node, codes)
        if node.function == "matches" and codes[1].literal and isinstance(codes[1].value, str):
            return self._matches(node, codes)
        overloads = [
            overload
            for overload in FUNCTIONS[node.function]
            if overload.method is (node.target is not None) and len(overload.parameters) == len(codes)
        ]
        return _applied(node, codes, overloads)

    def _matches(self, node: Call, codes: list[Code]) -> Run:
        try:
            regex = compile_regex(codes[1].value)
        except ValueError as error:
            raise ExpressionError(str(error), self._text, node.operands[1].position) from None
        run, search, weight = codes[0].run, regex.search, regex.weight

        def matches(frame: Frame) -> bool:
            text = run(frame)
            if not isinstance(text, str):
                raise Failure(f"{shown(text)} is no text, and has no matches()")
            spend(len(text) * weight // 1000)
            return search(text) is not None

        return matches

    # Macros ---------------------------------------------------------------------------------------------------------

    def _fold(self, node: Fold) -> Run:
        operand, slot = self.code(node.operand).run, node.slot
        self._rounds += 1
        condition = self.code(node.condition).run if node.condition is not None else None
        result = self.code(node.result).run if node.result is not None else None
        self._rounds -= 1
        steps = sum(parts(part) for part in (node.condition, node.result) if part is not None)
        if node.macro in ("all", "exists"):
            assert condition is not None
            return quantified(operand, slot, condition, steps, decides=node.macro == "exists")

        def chosen(frame: Frame) -> list[Any]:
            found = []
            for item in items_of(operand(frame)):
                spend(steps)
                frame[slot] = item
                if condition is None or a_bool(condition(frame)):
                    found.append(result(frame) if result is not None else item)
            return found

        return chosen if node.macro in ("map", "filter") else lambda frame: len(chosen(frame)) == 1


def _sized(node: Node) -> bool:
    """Its value may be as long as one likes."""
    return node.type.unsure or node.type.name in ("string", "bytes", "list", "map")


def _paid(run: Run) -> Run:
    return lambda frame: spend_on(run(frame))


def _applied(node: Call, codes: list[Code], overloads: Sequence[Overload]) -> Run:
    """A function on its arguments. Which one, where that depends on types that are known only then, is asked each time."""
    runs = [code.run for code in codes]
    operands = node.operands
    if len(node.overloads) == 1 and not any(operand.type.unsure for operand in operands):
        call = node.overloads[0].call
        match runs:
            case [one]:
                return lambda frame: call(one(frame))
            case [one, other]:
                return lambda frame: call(one(frame), other(frame))
        return lambda frame: call(*[run(frame) for run in runs])
    if len(overloads) == 1 and all(parameter.variable for parameter in overloads[0].parameters):
        call, (one,) = overloads[0].call, runs
        return lambda frame: call(one(frame))
    dispatch = Dispatch(node.function, overloads)
    if len(runs) == 2:
        first, second = runs

        def apply(frame: Frame) -> Any:
            one, other = first(frame), second(frame)
            return dispatch[type(one), type(other)](one, other)

        return apply

    def apply_all(frame: Frame) -> Any:
        values = [run(frame) for run in runs]
        return dispatch[tuple(map(type, values))](*values)

    return apply_all

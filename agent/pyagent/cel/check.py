"""Is an expression sound? Every name and function exists and fits the types that are known beforehand (cel-go's checker)."""

import difflib
from collections.abc import Mapping, Sequence

from pyagent.cel import conversions, formatting, mathematics, operators, strings, times
from pyagent.cel.functions import Overload, describe_missing
from pyagent.cel.syntax import Call, ExpressionError, Fold, Ident, Items, Literal, Mapped, Node, Select
from pyagent.cel.types import (
    BOOL,
    DYN,
    Bindings,
    Type,
    list_of,
    map_of,
    parse_type,
    type_of,
)
from pyagent.cel.values import CEL_TYPES, Failure, cel_type_of

__all__ = ["FUNCTIONS", "VARIABLES", "check"]

VARIABLES: Mapping[str, Type] = {
    "name": parse_type("string"),
    "tags": parse_type("map(string,string)"),
    "fields": parse_type("map(string,dyn)"),
    "time": parse_type("timestamp"),
}
"""What an expression is about, in the order of the frame that it runs on."""

_LANGUAGE = {
    "_&&_": "bool, bool -> bool",
    "_||_": "bool, bool -> bool",
    "_?_:_": "bool, A, A -> A",
    "_==_": "A, A -> bool",
    "_!=_": "A, A -> bool",
}
_TYPES = {kind.name: type_of(Type(kind.name)) for kind in CEL_TYPES.values()}
_TYPES |= {"list": type_of(list_of(DYN)), "map": type_of(map_of(DYN, DYN))}


def _functions() -> dict[str, list[Overload]]:
    found: dict[str, list[Overload]] = {}
    for module in (operators, conversions, strings, formatting, times, mathematics):
        for name, overloads in module.LIBRARY.functions.items():
            found.setdefault(name, []).extend(overloads)
    # What the compiler does by itself.
    for name, signature in _LANGUAGE.items():
        parameters, _, result = signature.rpartition(" -> ")
        types = tuple(map(parse_type, parameters.split(", ")))
        found[name] = [Overload(types, parse_type(result), False, conversions.same)]
    found["_in_"] = [
        Overload((Type("A", variable=True), parse_type(container)), BOOL, False, conversions.same)
        for container in ("list(A)", "map(A,B)")
    ]
    return found


FUNCTIONS: Mapping[str, Sequence[Overload]] = _functions()


def check(node: Node, text: str) -> int:
    """Fill in types, overloads and places of variables. Returns the size of the frame. Raises ExpressionError."""
    checker = _Checker(text)
    checker.visit(node)
    checker.finish()
    return checker.size


class _Checker:
    def __init__(self, text: str) -> None:
        self.size = len(VARIABLES)
        self._text = text
        self._types = Bindings()
        self._scopes: list[dict[str, tuple[Type, int]]] = [
            {name: (kind, slot) for slot, (name, kind) in enumerate(VARIABLES.items())}
        ]
        self._seen: list[Node] = []

    def visit(self, node: Node) -> Type:
        kind = self._kind(node)
        node.type = kind
        self._seen.append(node)
        return kind

    def finish(self) -> None:
        for node in self._seen:
            node.type = self._types.resolve(node.type, final=True)
        for node in self._seen:
            if isinstance(node, Call) and node.function == "format" and isinstance(node.target, Literal):
                self._check_format(node.target, node.arguments[0])

    def _kind(self, node: Node) -> Type:
        match node:
            case Literal():
                return Type(cel_type_of(node.value).name)
            case Ident():
                return self._ident(node)
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case Items():
                return list_of(self._joined(node.items))
            case Mapped():
                keys, values = [key for key, _ in node.entries], [value for _, value in node.entries]
                kind = self._joined(keys)
                # What is no key fails when it runs. Its type can be twice as large with every level.
                return map_of(DYN if kind.parameters else kind, self._joined(values))
            case Fold():
                return self._fold(node)
        raise TypeError(type(node))

    def _error(self, reason: str, node: Node) -> ExpressionError:
        return ExpressionError(reason, self._text, node.position)

    def _ident(self, node: Ident) -> Type:
        name = node.name.removeprefix(".")
        scopes = self._scopes[:1] if name != node.name else reversed(self._scopes)
        for scope in scopes:
            if name in scope:
                kind, node.slot = scope[name]
                return kind
        if name in _TYPES:
            return _TYPES[name]
        known = ", ".join(VARIABLES)
        raise self._error(f"there is no variable {name!r}; there are {known}{_similar(name, VARIABLES)}", node)

    def _select(self, node: Select) -> Type:
        dotted = _dotted(node)
        if dotted in _TYPES and not node.test:
            node.names_type = dotted
            return _TYPES[dotted]
        operand = self._types.resolve(self.visit(node.operand))
        if operand.name == "map":
            return BOOL if node.test else self._types.resolve(operand.parameters[1])
        if operand.variable:
            self._types.assignable([DYN], [operand])
        elif not operand.open:
            raise self._error(f"{operand} has no parts to select by '.{node.field}'", node)
        return BOOL if node.test else DYN

    def _call(self, node: Call) -> Type:
        if node.target is not None and (prefix := _dotted(node.target)) and f"{prefix}.{node.function}" in FUNCTIONS:
            # math.abs(x) is a function of that name, and no method.
            node.function, node.target = f"{prefix}.{node.function}", None
        method = node.target is not None
        given = [self.visit(operand) for operand in node.operands]
        known = FUNCTIONS.get(node.function)
        if known is None:
            raise self._error(f"there is no function {node.function!r}{_similar(node.function, FUNCTIONS)}", node)
        if node.function in ("_&&_", "_||_"):
            for operand, kind in zip(node.operands, given, strict=True):
                self._want_bool(operand, kind)
            return BOOL
        result: Type | None = None
        fitting = []
        for overload in known:
            if overload.late or overload.method is not method or len(overload.parameters) != len(given):
                continue
            *parameters, gives = self._types.instantiate([*overload.parameters, overload.result])
            if self._types.assignable(given, parameters):
                fitting.append(overload)
                gives = self._types.resolve(gives)
                if result is None:
                    result = gives
                elif result.name != "dyn" and result != gives:
                    result = DYN
        if result is None:
            types = [self._types.resolve(kind, final=True) for kind in given]
            raise self._error(describe_missing(node.function, types, method=method), node)
        node.overloads = tuple(fitting)
        return result

    def _joined(self, nodes: Sequence[Node]) -> Type:
        joined: Type | None = None
        for node in nodes:
            kind = self.visit(node)
            joined = kind if joined is None else self._types.join(joined, kind)
        return joined or self._types.fresh()

    def _fold(self, node: Fold) -> Type:
        operand = self._types.resolve(self.visit(node.operand))
        if operand.name in ("list", "map"):
            kind = operand.parameters[0]
        elif operand.open:
            self._types.assignable([DYN], [operand])
            kind = DYN
        else:
            raise self._error(f"{node.macro} goes through a list or a map, and this is {operand}", node.operand)
        node.slot = self.size
        self.size += 1
        self._scopes.append({node.variable: (kind, node.slot)})
        if node.condition is not None:
            self._want_bool(node.condition, self.visit(node.condition))
        result = self.visit(node.result) if node.result is not None else kind
        self._scopes.pop()
        return list_of(self._types.resolve(result)) if node.macro in ("map", "filter") else BOOL

    def _want_bool(self, node: Node, kind: Type) -> None:
        if not self._types.assignable([kind], [BOOL]):
            raise self._error(f"this is {self._types.resolve(kind, final=True)} where a bool should be", node)

    def _check_format(self, target: Literal, arguments: Node) -> None:
        if isinstance(arguments, Items):
            try:
                formatting.check_format(target.value, [item.type for item in arguments.items])
            except Failure as error:
                raise self._error(str(error), target) from None


def _dotted(node: Node) -> str:
    """`a.b.c` where a node is nothing but names, else an empty text."""
    names = []
    while isinstance(node, Select) and not node.test:
        names.append(node.field)
        node = node.operand
    return ".".join([node.name.removeprefix("."), *reversed(names)]) if isinstance(node, Ident) else ""


def _similar(name: str, known: Mapping[str, object]) -> str:
    words = [word for word in known if word[0].isalpha() and "@" not in word]
    close = difflib.get_close_matches(name, words, 1)
    return f"; did you mean {close[0]!r}?" if close else ""

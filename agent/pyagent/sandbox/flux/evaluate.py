"""Syntax trees to closures, and a script's run."""

from collections.abc import Callable, Iterable
from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.syntax import Node, place
from pyagent.sandbox.flux.tables import Stream
from pyagent.sandbox.flux.values import Callee, arithmetic, compare, negate, to_text, truth, type_name


class Scope:
    __slots__ = ("parent", "values")

    def __init__(self, parent: "Scope | None", values: dict[str, Any]) -> None:
        self.parent = parent
        self.values = values

    def find(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.parent
        raise invalid(f"undefined identifier {name}")


Code = Callable[[Scope], Any]


class Closure(Callee):
    """A function of the script; its syntax is kept so that a filter can be taken apart."""

    __slots__ = ("node", "scope")

    def __init__(self, node: syntax.Function, scope: Scope, run: Callable[[dict[str, Any]], Any]) -> None:
        super().__init__("function", {name: default is None for name, default in node.parameters}, node.pipe, run)
        self.node = node
        self.scope = scope


def compile_node(node: Node) -> Code:
    """A function that computes the expression in a scope."""
    return _COMPILERS[type(node)](node)


def _literal(node: syntax.Literal) -> Code:
    value = node.value
    return lambda scope: value


def _text(node: syntax.Text) -> Code:
    parts = [part if isinstance(part, str) else compile_node(part) for part in node.parts]
    return lambda scope: "".join(part if isinstance(part, str) else to_text(part(scope)) for part in parts)


def _identifier(node: syntax.Identifier) -> Code:
    name = node.name
    return lambda scope: scope.find(name)


def _array(node: syntax.Array) -> Code:
    items = [compile_node(item) for item in node.items]
    return lambda scope: [item(scope) for item in items]


def _dict(node: syntax.Dict) -> Code:
    pairs = [(compile_node(key), compile_node(value)) for key, value in node.pairs]
    return lambda scope: {key(scope): value(scope) for key, value in pairs}


def _record(node: syntax.Record) -> Code:
    base = compile_node(node.base) if node.base else None
    properties = [(name, compile_node(value)) for name, value in node.properties]

    def run(scope: Scope) -> dict[str, Any]:
        made: dict[str, Any] = dict(base(scope)) if base else {}
        for name, value in properties:
            made[name] = value(scope)
        return made

    return run


def _member(node: syntax.Member) -> Code:
    value, name = compile_node(node.value), node.name

    def run(scope: Scope) -> Any:
        record = value(scope)
        if isinstance(record, dict):
            found = record.get(name)
            if found is None and isinstance(record, Package):
                raise invalid(
                    f"error {place(node.at)}: package {record.name} has no member {name} that this server knows"
                )
            return found
        raise invalid(f"error {place(node.at)}: type conflict: expected record but found {type_name(record)}")

    return run


class Package(dict[str, Any]):
    """What an import gives."""

    def __init__(self, name: str, members: dict[str, Any]) -> None:
        super().__init__(members)
        self.name = name


def _index(node: syntax.Index) -> Code:
    value, index = compile_node(node.value), compile_node(node.index)

    def run(scope: Scope) -> Any:
        items, position = value(scope), index(scope)
        if isinstance(items, dict):
            return items.get(position)
        if not isinstance(items, list) or not isinstance(position, int):
            raise invalid(f"error {place(node.at)}: type conflict: expected array but found {type_name(items)}")
        if not 0 <= position < len(items):
            raise invalid(f"error {place(node.at)}: cannot access element {position} of array of length {len(items)}")
        return items[position]

    return run


def _call(node: syntax.Call, piped: Code | None = None) -> Code:
    callee, arguments = compile_node(node.callee), [(name, compile_node(value)) for name, value in node.arguments]

    def run(scope: Scope) -> Any:
        function = callee(scope)
        if not isinstance(function, Callee):
            raise invalid(f"error {place(node.at)}: expected function but found {type_name(function)}")
        given = {name: value(scope) for name, value in arguments}
        if piped is not None:
            if function.pipe is None:
                raise invalid(f"error {place(node.at)}: function {function.name} does not take a pipe argument")
            given[function.pipe] = piped(scope)
        try:
            return function(**given)
        except InfluxError as error:
            if error.message.startswith(("missing ", "found unexpected ")):
                raise invalid(f"error {place(node.at)}: {error.message}") from None
            raise

    return run


def _pipe(node: syntax.Pipe) -> Code:
    if not isinstance(node.call, syntax.Call):
        raise invalid(f"compilation failed: error {place(node.call.at)}: pipe destination must be a function call")
    return _call(node.call, compile_node(node.value))


def _unary(node: syntax.Unary) -> Code:
    value = compile_node(node.value)
    if node.operator == "not":

        def not_(scope: Scope) -> bool | None:
            found = value(scope)
            return None if found is None else not truth(found)

        return not_
    if node.operator == "exists":
        return lambda scope: value(scope) is not None
    if node.operator == "-":
        return lambda scope: negate(value(scope))
    return value


def _binary(node: syntax.Binary) -> Code:
    left, right, operator = compile_node(node.left), compile_node(node.right), node.operator
    if operator == "and":
        return lambda scope: truth(left(scope)) and truth(right(scope))
    if operator == "or":
        return lambda scope: truth(left(scope)) or truth(right(scope))
    work = compare if operator in ("==", "!=", "<", "<=", ">", ">=", "=~", "!~") else arithmetic

    def run(scope: Scope) -> Any:
        try:
            return work(operator, left(scope), right(scope))
        except InfluxError as error:
            if error.message.startswith("type conflict"):
                raise invalid(f"error {place(node.at)}: {error.message}") from None
            raise

    return run


def _conditional(node: syntax.Conditional) -> Code:
    test, then, other = compile_node(node.test), compile_node(node.then), compile_node(node.other)
    return lambda scope: then(scope) if truth(test(scope)) else other(scope)


def _function(node: syntax.Function) -> Code:
    defaults = [(name, compile_node(default)) for name, default in node.parameters if default is not None]
    body = _block(node.body) if isinstance(node.body, list) else compile_node(node.body)

    def make(scope: Scope) -> Closure:
        known = [(name, default(scope)) for name, default in defaults]

        def run(arguments: dict[str, Any]) -> Any:
            values = {**dict(known), **arguments} if known else arguments
            return body(Scope(scope, values))

        return Closure(node, scope, run)

    return make


def _block(statements: list[Node]) -> Code:
    steps = [
        (one.name if isinstance(one, syntax.Assign) else None, compile_node(one.value))
        for one in statements
        if isinstance(one, syntax.Assign | syntax.Return | syntax.Expression)
    ]
    if not statements or not isinstance(statements[-1], syntax.Return):
        raise invalid("compilation failed: missing return statement in block")

    def run(scope: Scope) -> Any:
        inner, value = Scope(scope, {}), None
        for name, step in steps:
            value = step(inner)
            if name is not None:
                inner.values[name] = value
        return value

    return run


_COMPILERS: dict[type, Callable[[Any], Code]] = {
    syntax.Literal: _literal,
    syntax.Text: _text,
    syntax.Identifier: _identifier,
    syntax.Array: _array,
    syntax.Dict: _dict,
    syntax.Record: _record,
    syntax.Member: _member,
    syntax.Index: _index,
    syntax.Call: _call,
    syntax.Pipe: _pipe,
    syntax.Unary: _unary,
    syntax.Binary: _binary,
    syntax.Conditional: _conditional,
    syntax.Function: _function,
}


def check_names(nodes: Iterable[object], known: set[str]) -> None:
    """Refuse names that nothing defines, before anything runs.

    Raises:
        InfluxError: with the place of the first one.
    """
    for node in nodes:
        _check(node, known)


def _check(node: object, known: set[str]) -> None:
    match node:
        case syntax.Identifier():
            if node.name not in known:
                raise invalid(f"error {place(node.at)}: undefined identifier {node.name}")
        case syntax.Assign() | syntax.Option():
            _check(node.value, known)
            known.add(node.name)
        case syntax.Import():
            known.add(node.name)
        case syntax.Function():
            for _, default in node.parameters:
                _check(default, known)
            inner = {*known, *(name for name, _ in node.parameters)}
            check_names(node.body if isinstance(node.body, list) else [node.body], inner)
        case syntax.Array():
            check_names(node.items, known)
        case syntax.Text():
            check_names(node.parts, known)
        case syntax.Dict():
            check_names((part for pair in node.pairs for part in pair), known)
        case syntax.Record():
            check_names((node.base, *(value for _, value in node.properties)), known)
        case syntax.Call():
            check_names((node.callee, *(value for _, value in node.arguments)), known)
        case syntax.Pipe():
            check_names((node.value, node.call), known)
        case syntax.Binary():
            check_names((node.left, node.right), known)
        case syntax.Conditional():
            check_names((node.test, node.then, node.other), known)
        case syntax.Index():
            check_names((node.value, node.index), known)
        case syntax.Member() | syntax.Unary() | syntax.Return() | syntax.Expression():
            _check(node.value, known)
        case _:
            pass


def run(
    statements: list[Node], scope: Scope, packages: Callable[[str], Package], keep: Callable[[str, Stream], None]
) -> None:
    """Run a script; `packages` gives what an import names, `keep` takes what an expression that is not yielded gives.

    Raises:
        InfluxError: a name or type is wrong, or a function refuses.
    """
    for statement in statements:
        match statement:
            case syntax.Import():
                scope.values[statement.name] = packages(statement.path)
            case syntax.Assign():
                scope.values[statement.name] = compile_node(statement.value)(scope)
            case syntax.Option():
                value = compile_node(statement.value)(scope)
                if statement.member is not None:
                    scope.values[statement.name] = {**scope.find(statement.name), statement.member: value}
                else:
                    scope.values[statement.name] = value
            case syntax.Expression():
                value = compile_node(statement.value)(scope)
                if isinstance(value, Stream) and not value.yielded:
                    keep("_result", value)
            case _:
                raise invalid(
                    f"compilation failed: error {place(statement.at)}: return is not allowed outside of a function"
                )


def conjuncts(function: Callee) -> list[tuple[set[str] | None, Callable[[dict[str, Any]], Any]]]:
    """A predicate taken apart at its `and`s: for each part the columns it asks for (None: cannot be told), and the part."""
    if not isinstance(function, Closure) or isinstance(function.node.body, list) or len(function.node.parameters) != 1:
        return [(None, lambda row: function(r=row))]
    name = function.node.parameters[0][0]
    if name != "r":
        raise invalid(f"found unexpected argument r (Expected one of {name})")
    parts: list[tuple[set[str] | None, Callable[[dict[str, Any]], Any]]] = []
    for part in _split(function.node.body):
        asked: set[str] = set()
        alone = _columns(part, name, asked)
        parts.append((asked if alone else None, _bind(compile_node(part), function.scope, name)))
    return parts


def _bind(code: Code, scope: Scope, name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda row: code(Scope(scope, {name: row}))


def _split(node: Node) -> list[Node]:
    if isinstance(node, syntax.Binary) and node.operator == "and":
        return [*_split(node.left), *_split(node.right)]
    return [node]


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

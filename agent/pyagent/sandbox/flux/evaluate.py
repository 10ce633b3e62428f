"""Syntax trees to closures, and a script's run."""

from collections.abc import Callable
from typing import Any

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.syntax import Node, place
from pyagent.sandbox.flux.tables import Stream
from pyagent.sandbox.flux.unusable import UNUSABLE
from pyagent.sandbox.flux.values import (
    Callee,
    Calls,
    Dictionary,
    Time,
    Unfit,
    WrongArguments,
    WrongType,
    arithmetic,
    compare,
    long_time,
    negate,
    to_text,
    truth,
    type_name,
)
from pyagent.sandbox.limits import making


class Scope:
    __slots__ = ("calls", "parent", "values")

    def __init__(self, parent: "Scope | None", values: dict[str, Any], calls: Calls | None = None) -> None:
        self.parent = parent
        self.values = values
        inherited = parent.calls if parent is not None else Calls()
        self.calls: Calls = inherited if calls is None else calls

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
    return lambda scope: join([part if isinstance(part, str) else _interpolated(part(scope)) for part in parts])


def join(parts: list[str]) -> str:
    making(sum(map(len, parts)))
    return "".join(parts)


def _interpolated(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        raise invalid("cannot interpolate a null value" if value is None else f"cannot interpolate {type_name(value)}")
    return long_time(value) if isinstance(value, Time) else to_text(value)


def _identifier(node: syntax.Identifier) -> Code:
    name = node.name
    return lambda scope: scope.find(name)


def _array(node: syntax.Array) -> Code:
    items = [compile_node(item) for item in node.items]
    return lambda scope: [item(scope) for item in items]


def _dict(node: syntax.Dict) -> Code:
    pairs = [(compile_node(key), compile_node(value)) for key, value in node.pairs]
    return lambda scope: Dictionary({key(scope): value(scope) for key, value in pairs})


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
                raise failed(node.value, f"record is missing label {name}{_not_here(record.name)}")
            return found
        raise failed(node, f"expected {{A with {name}: B}} but found {type_name(record)}")

    return run


def _not_here(package: str) -> str:
    """What is said beside InfluxDB's words where InfluxDB has the package and this server does not."""
    return f"; this server does not have the package {package}" if package in UNUSABLE else ""


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
            raise failed(node, f"expected [A] but found {type_name(items)}")
        if not 0 <= position < len(items):
            raise invalid(f"cannot access element {position} of array of length {len(items)}")
        return items[position]

    return run


def _call(node: syntax.Call, piped: Code | None = None) -> Code:
    callee, arguments = compile_node(node.callee), [(name, compile_node(value)) for name, value in node.arguments]
    name = node.callee.name if isinstance(node.callee, syntax.Identifier | syntax.Member) else ""
    where = place(node.at)
    in_script = node.at != syntax.NOWHERE

    def run(scope: Scope) -> Any:
        function = callee(scope)
        if not isinstance(function, Callee):
            raise failed(node, f"expected function but found {type_name(function)}")
        given = {name: value(scope) for name, value in arguments}
        if piped is not None:
            if function.pipe is None:
                lacking = [name for name, needed in function.parameters.items() if needed and name not in given]
                words = ["missing pipe argument", *(f"missing required argument {name}" for name in lacking)]
                raise InfluxError("invalid", "\n\n".join(f"error {where}: {one}" for one in words), final=True)
            given[function.pipe] = piped(scope)
        calls = scope.calls
        if calls.running:
            try:
                return function(**given)
            except WrongType as error:
                raise invalid(f"type conflict: {error.wanted} != {error.found}") from None
        try:
            if not in_script:
                return function(**given)
            calls.append(f"{where}: {name}")
            try:
                return function(**given)
            finally:
                calls.pop()
        except WrongArguments as error:
            given_at = dict(node.arguments)
            words = [f"error {place(given_at.get(named, node).at)}: {problem}" for named, problem in error.problems]
            raise InfluxError("invalid", "\n\n".join(words), final=True) from None
        except WrongType as error:
            at = next((value for name, value in node.arguments if name == error.argument), node)
            raise failed(at, error.message) from None
        except InfluxError as error:
            if not error.final and in_script:
                error.message = f'error calling function "{name}" {where}: {error.message}'
            raise

    return run


def failed(node: Node, message: str) -> InfluxError:
    """An error of the script's text at this place."""
    return InfluxError("invalid", f"error {place(node.at)}: {message}", final=True)


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
    if operator in ("and", "or"):
        return _logical(left, right, decides=operator == "or")
    work = compare if operator in ("==", "!=", "<", "<=", ">", ">=", "=~", "!~") else arithmetic

    at_column = isinstance(node.left, syntax.Member) and not isinstance(node.right, syntax.Member)
    arithmetical = work is arithmetic

    def run(scope: Scope) -> Any:
        one, other = left(scope), right(scope)
        try:
            return work(operator, one, other)
        except Unfit:
            first, second = type_name(one), type_name(other)
            if not arithmetical:
                where = f"cannot compile @ {place(node.at)[1:]}: " if scope.calls.running else ""
                raise invalid(f"{where}unsupported binary expression {first} {operator} {second}") from None
            if not scope.calls.running:
                raise failed(node.right, f"expected {first} but found {second}") from None
            # The type that the script asks for comes first, then that of the column.
            wanted, found = (second, first) if at_column else (first, second)
            raise invalid(f"type conflict: {wanted} != {found}") from None

    return run


def knows_null(calls: Calls) -> bool:
    """Whether `and` and `or` of a null may be null: row by row InfluxDB takes one on the left for false."""
    return calls.by_columns or not calls.running


def both(one: bool | None, other: bool | None) -> bool | None:
    """`and`: what is false decides, then null."""
    return False if one is False or other is False else None if one is None or other is None else True


def either(one: bool | None, other: bool | None) -> bool | None:
    """`or`: what is true decides, then null."""
    return True if one or other else None if one is None or other is None else False


def _logical(left: Code, right: Code, *, decides: bool) -> Code:
    """`and`, `or`; `decides`: what the left side is where the right one is not asked."""

    def run(scope: Scope) -> bool | None:
        one = left(scope)
        true = truth(one)
        if true == decides and (one is not None or not knows_null(scope.calls)):
            return decides
        other: bool | None = right(scope)
        truth(other)
        if one is None and knows_null(scope.calls):
            return either(one, other) if decides else both(one, other)
        return other

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


def run(
    statements: list[Node],
    scope: Scope,
    packages: Callable[[syntax.Import], Package],
    keep: Callable[[str, Stream], None],
    options: Callable[[str, Any], None] = lambda name, value: None,
) -> None:
    """Run a script; `packages` gives what an import names, `keep` takes what an expression that is not yielded gives, and
    `options` is told the options that are set; one of a package with its name, as `package.option`.

    Raises:
        InfluxError: a name or type is wrong, or a function refuses.
    """
    for statement in statements:
        match statement:
            case syntax.Import():
                scope.values[statement.name] = packages(statement)
            case syntax.Assign():
                scope.values[statement.name] = compile_node(statement.value)(scope)
            case syntax.Option():
                value = compile_node(statement.value)(scope)
                if statement.member is not None:
                    owner = scope.find(statement.name)
                    owner[statement.member] = value
                    options(f"{getattr(owner, 'name', statement.name)}.{statement.member}", value)
                else:
                    scope.values[statement.name] = value
                    options(statement.name, value)
            case syntax.Expression():
                value = compile_node(statement.value)(scope)
                if isinstance(value, Stream) and not value.yielded:
                    keep("_result", value)
            case _:
                raise failed(statement, "return is not allowed outside of a function")

"""Starlark's syntax, made into a Python code object in which everything but names, calls and control flow is a call of
`Operators`.

Python's own parser reads the text, as Starlark's grammar is a part of Python's; what is not Starlark is refused here. The
script reaches nothing of Python: names of helpers begin with `$`, which no script can write, attributes are looked up by
`Operators.attribute`, and there are no builtins of Python's.
"""

import ast
import warnings
from collections.abc import Collection, Iterable
from types import CodeType

from pyagent.kit.starlark.syntax import (
    NAMES,
    ScriptSyntaxError,
    bound,
    helper_call,
    load_of,
    names_of,
    parameters,
    placed,
    refused,
)

__all__ = ["ScriptSyntaxError", "compile_script"]

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "div",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.BitOr: "bitor",
    ast.BitAnd: "bitand",
    ast.BitXor: "bitxor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}
_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq",
    ast.NotEq: "eq",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
    ast.In: "contains",
    ast.NotIn: "contains",
}
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}
_IN_PLACE = {"add": "iadd", "bitor": "ior"}
_MOST_SOURCE = 1 << 20


class Compiled:
    """A script that can be run, and what it defines and loads."""

    def __init__(self, code: CodeType, names: Collection[str], loads: Collection[tuple[str, str, str, int]]) -> None:
        self.code = code
        self.names = names
        self.loads = loads
        """Module, name there, name here and line."""


def compile_script(source: str, filename: str, predeclared: Collection[str]) -> Compiled:
    """`predeclared`: names that the script may use without defining them. Raises ScriptSyntaxError."""
    if len(source) > _MOST_SOURCE:
        raise ScriptSyntaxError("the script has more than 1 MiB", 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes, and of `is` with a literal
            tree = ast.parse(source, filename)
            return _Compiler(filename, predeclared).compile(tree)
    except SyntaxError as error:
        raise ScriptSyntaxError(error.msg or "it cannot be read", error.lineno or 1, error.offset or 0) from None
    except (RecursionError, MemoryError):
        raise ScriptSyntaxError("it is nested too deeply", 1) from None
    except ValueError as error:  # a NUL, a surrogate, an integer of thousands of digits
        raise ScriptSyntaxError(str(error), 1) from None


class _Compiler:
    def __init__(self, filename: str, predeclared: Collection[str]) -> None:
        self._filename = filename
        self._predeclared = predeclared
        self._scopes: list[set[str]] = []
        self._loads: list[tuple[str, str, str, int]] = []
        self._loops = 0
        self._functions = 0
        self._temporaries = 0

    def compile(self, tree: ast.Module) -> Compiled:
        names = set(bound(tree.body))
        self._scopes = [names]
        for statement in tree.body:
            if (load := load_of(statement)) is not None:
                self._load(load, names)
        body = [made for statement in tree.body if load_of(statement) is None for made in self._statement(statement)]
        module = ast.Module(body=body, type_ignores=[])
        ast.fix_missing_locations(module)
        # Line and column of what is made are those of the source.
        code = compile(module, self._filename, "exec", dont_inherit=True, optimize=0)
        return Compiled(code, frozenset(names), self._loads)

    def _load(self, call: ast.Call, names: set[str]) -> None:
        texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        pairs = [(name, name) for name in texts[1:]]
        for keyword in call.keywords:
            if keyword.arg is None or not isinstance(keyword.value, ast.Constant):
                raise refused("load operand must be a string", call)
            pairs.append((str(keyword.value.value), keyword.arg))
        if len(texts) != len(call.args) or not texts:
            raise refused("load operand must be a string", call)
        if not pairs:
            raise refused("load statement must import at least 1 symbol", call)
        for there, here in pairs:
            names.add(here)
            self._loads.append((texts[0], there, here, call.lineno))

    # Statements.

    def _body(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        return [made for statement in statements for made in self._statement(statement)]

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        match node:
            case ast.Expr():
                if load_of(node) is not None:
                    raise refused("load statement within a function", node)
                return [placed(ast.Expr(self._expression(node.value)), node)]
            case ast.Assign(targets=[target]):
                return self._assign(target, self._expression(node.value), node)
            case ast.AugAssign():
                return [self._augmented(node)]
            case ast.FunctionDef():
                return [self._function(node)]
            case ast.Return():
                if not self._functions:
                    raise refused("return statement not within a function", node)
                return [placed(ast.Return(None if node.value is None else self._expression(node.value)), node)]
            case ast.If():
                if not self._functions:
                    raise refused("if statement not within a function", node)
                test = self._expression(node.test)
                return [placed(ast.If(test, self._body(node.body), self._body(node.orelse)), node)]
            case ast.For(orelse=[]):
                return [self._for(node)]
            case ast.Pass():
                return [node]
            case ast.Break() | ast.Continue():
                if not self._loops:
                    raise refused(f"{type(node).__name__.lower()} not in a loop", node)
                return [node]
        raise refused(f"{NAMES.get(type(node), 'this statement')} is not in Starlark", node)

    def _assign(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> list[ast.stmt]:
        match target:
            case ast.Name():
                return [placed(ast.Assign([self._stored(target)], value), node)]
            case ast.Subscript():
                if isinstance(target.slice, ast.Slice):
                    raise refused("can't assign to a slice", target)
                helper, owner = _container(target)
                key = self._expression(target.slice)
                call = helper_call(f"set{helper or 'index'}", target, self._expression(owner), key, value)
                return [placed(ast.Expr(call), node)]
            case ast.Attribute():
                name = placed(ast.Constant(target.attr), target)
                return [
                    placed(
                        ast.Expr(helper_call("setattribute", target, self._expression(target.value), name, value)), node
                    )
                ]
            case ast.Tuple() | ast.List():
                count = placed(ast.Constant(len(target.elts)), target)
                temporary = self._temporary()
                made: list[ast.stmt] = [
                    placed(
                        ast.Assign(
                            [placed(ast.Name(temporary, ast.Store()), node)], helper_call("unpack", node, value, count)
                        ),
                        node,
                    )
                ]
                for number, part in enumerate(target.elts):
                    item = ast.Subscript(ast.Name(temporary, ast.Load()), ast.Constant(number), ast.Load())
                    made += self._assign(part, placed(item, part), node)
                return made
        raise refused(f"can't assign to {NAMES.get(type(target), 'this')}", target)

    def _augmented(self, node: ast.AugAssign) -> ast.stmt:
        operator = _BINARY.get(type(node.op))
        if operator is None:
            raise refused("this operator is not in Starlark", node)
        operator = _IN_PLACE.get(operator, operator)
        target = node.target
        if isinstance(target, ast.Name):
            read = self._expression(placed(ast.Name(target.id, ast.Load()), target))
            return placed(
                ast.Assign([self._stored(target)], helper_call(operator, node, read, self._expression(node.value))),
                node,
            )
        helper = placed(ast.Name(f"${operator}", ast.Load()), node)
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        later = placed(ast.Lambda(nothing, self._expression(node.value)), node)
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            key: ast.expr = self._expression(target.slice)
            return placed(
                ast.Expr(helper_call("augindex", node, self._expression(target.value), key, helper, later)), node
            )
        if isinstance(target, ast.Attribute):
            key = placed(ast.Constant(target.attr), target)
            return placed(
                ast.Expr(helper_call("augattribute", node, self._expression(target.value), key, helper, later)), node
            )
        raise refused("can't assign to this", node)

    def _function(self, node: ast.FunctionDef) -> ast.stmt:
        if node.decorator_list or node.returns is not None:
            raise refused("decorators and annotations are not in Starlark", node)
        self._stored_name(node.name, node)
        arguments = self._arguments(node.args)
        self._scopes.append({*parameters(node.args), *bound(node.body)})
        loops, self._loops = self._loops, 0
        self._functions += 1
        body: list[ast.stmt] = [placed(ast.Expr(helper_call("tick", node)), node)]
        if (rest := node.args.kwarg) is not None:
            own = helper_call("dict", rest, placed(ast.Name(rest.arg, ast.Load()), rest))
            body.append(placed(ast.Assign([placed(ast.Name(rest.arg, ast.Store()), rest)], own), rest))
        body += self._body(node.body)
        self._functions -= 1
        self._loops = loops
        self._scopes.pop()
        made = ast.FunctionDef(name=node.name, args=arguments, body=body, decorator_list=[], returns=None)
        return placed(made, node)

    def _for(self, node: ast.For) -> ast.stmt:
        if not self._functions:
            raise refused("for loop not within a function", node)
        target, loop, before = self._loop(node.target, node.iter, node)
        self._loops += 1
        body = [*before, *self._body(node.body)]
        self._loops -= 1
        return placed(ast.For(target, loop, body, []), node)

    def _loop(self, target: ast.expr, items: ast.expr, node: ast.AST) -> tuple[ast.expr, ast.expr, list[ast.stmt]]:
        """The target of a `for`, what it goes through, and the statements that unpack what is nested."""
        through = self._expression(items)
        if isinstance(target, ast.Name):
            return self._stored(target), helper_call("loop", items, through), []
        if isinstance(target, ast.Tuple | ast.List) and all(isinstance(part, ast.Name) for part in target.elts):
            count = placed(ast.Constant(len(target.elts)), target)
            stored: list[ast.expr] = [self._stored(part) for part in target.elts if isinstance(part, ast.Name)]
            return placed(ast.Tuple(stored, ast.Store()), target), helper_call("loop_of", items, through, count), []
        if not isinstance(node, ast.For):
            raise refused("nested targets are not possible here", target)
        temporary = self._temporary()
        value = placed(ast.Name(temporary, ast.Load()), target)
        return (
            placed(ast.Name(temporary, ast.Store()), target),
            helper_call("loop", items, through),
            self._assign(target, value, node),
        )

    def _temporary(self) -> str:
        self._temporaries += 1
        return f"${self._temporaries}"

    # Expressions.

    def _expression(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                return self._read(node)
            case ast.BinOp() if (operator := _BINARY.get(type(node.op))) is not None:
                return helper_call(operator, node, self._expression(node.left), self._expression(node.right))
            case ast.UnaryOp(op=ast.Not()):
                return placed(ast.UnaryOp(ast.Not(), self._expression(node.operand)), node)
            case ast.UnaryOp():
                if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
                    value = self._constant(node.operand).value
                    if type(value) in (int, float):
                        return placed(ast.Constant(-value), node)  # type: ignore[operator]  # a number, see above
                return helper_call(_UNARY[type(node.op)], node, self._expression(node.operand))
            case ast.BoolOp():
                return placed(ast.BoolOp(node.op, [self._expression(value) for value in node.values]), node)
            case ast.Compare():
                return self._compared(node)
            case ast.IfExp():
                parts = (self._expression(part) for part in (node.test, node.body, node.orelse))
                return placed(ast.IfExp(*parts), node)
            case ast.List():
                return helper_call("list", node, placed(ast.Tuple(self._items(node.elts), ast.Load()), node))
            case ast.Tuple():
                return placed(ast.Tuple(self._items(node.elts), ast.Load()), node)
            case ast.Dict():
                return self._dict(node)
            case ast.Subscript(slice=ast.Slice() as part):
                nothing = placed(ast.Constant(None), node)
                bounds = [
                    nothing if one is None else self._expression(one) for one in (part.lower, part.upper, part.step)
                ]
                return helper_call("slice", node, self._expression(node.value), *bounds)
            case ast.Subscript():
                helper, owner = _container(node)
                return helper_call(helper or "index", node, self._expression(owner), self._expression(node.slice))
            case ast.Attribute():
                return helper_call(
                    "attribute", node, self._expression(node.value), placed(ast.Constant(node.attr), node)
                )
            case ast.Call():
                return self._called(node)
            case ast.Lambda():
                arguments = self._arguments(node.args)
                self._scopes.append(set(parameters(node.args)))
                body: ast.expr = placed(
                    ast.BoolOp(ast.Or(), [helper_call("tick", node), self._expression(node.body)]), node
                )
                self._scopes.pop()
                if (rest := node.args.kwarg) is not None:
                    inner = placed(ast.Lambda(_one(rest.arg), body), node)
                    own = helper_call("dict", rest, placed(ast.Name(rest.arg, ast.Load()), rest))
                    body = placed(ast.Call(inner, [own], []), node)
                return placed(ast.Lambda(arguments, body), node)
            case ast.ListComp():
                return helper_call("list", node, self._comprehension(node, node.generators, node.elt))
            case ast.DictComp():
                pair = placed(ast.Tuple([node.key, node.value], ast.Load()), node)
                return helper_call("dict", node, self._comprehension(node, node.generators, pair))
        raise refused(f"{NAMES.get(type(node), 'this expression')} is not in Starlark", node)

    def _constant(self, node: ast.Constant) -> ast.Constant:
        value = node.value
        if value is None or isinstance(value, bool | int | float | str):
            return node
        raise refused("such a literal is not in Starlark", node)

    def _items(self, nodes: list[ast.expr]) -> list[ast.expr]:
        return [self._expression(node) for node in nodes]

    def _compared(self, node: ast.Compare) -> ast.expr:
        operator = _COMPARED.get(type(node.ops[0]))
        if operator is None:
            raise refused("`is` is not in Starlark", node)
        if len(node.ops) > 1:
            raise refused("a comparison cannot follow another one; use parentheses, or `and`", node)
        made = helper_call(operator, node, self._expression(node.left), self._expression(node.comparators[0]))
        return placed(ast.UnaryOp(ast.Not(), made), node) if isinstance(node.ops[0], ast.NotEq | ast.NotIn) else made

    def _dict(self, node: ast.Dict) -> ast.expr:
        pairs: list[ast.expr] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise refused("`**` in a dict is not in Starlark", node)
            pairs.append(placed(ast.Tuple([self._expression(key), self._expression(value)], ast.Load()), node))
        return helper_call("display", node, *pairs)

    def _called(self, node: ast.Call) -> ast.expr:
        positional: list[ast.expr] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                spread = helper_call("arguments", argument, self._expression(argument.value))
                positional.append(placed(ast.Starred(spread, ast.Load()), argument))
            else:
                positional.append(self._expression(argument))
        named = [
            ast.keyword(word.arg, self._expression(word.value))
            if word.arg is not None
            else ast.keyword(None, helper_call("named", node, self._expression(word.value)))
            for word in node.keywords
        ]
        if isinstance(node.func, ast.Constant | ast.List | ast.Dict | ast.Tuple):
            return helper_call("call", node, self._expression(node.func), *positional)
        return placed(ast.Call(self._expression(node.func), positional, named), node)

    def _comprehension(self, node: ast.expr, generators: list[ast.comprehension], item: ast.expr) -> ast.expr:
        made: list[ast.comprehension] = []
        self._scopes.append(set())
        for one in generators:
            if one.is_async:
                raise refused("`async` is not in Starlark", node)
            # The first one is read outside of the comprehension.
            through = self._expression(one.iter)
            self._scopes[-1] |= set(names_of(one.target))
            target, loop, _ = self._loop_through(one.target, through, node)
            made.append(ast.comprehension(target, loop, self._items(one.ifs), 0))
        element = self._expression(item)
        self._scopes.pop()
        return placed(ast.ListComp(element, made), node)

    def _loop_through(self, target: ast.expr, through: ast.expr, node: ast.expr) -> tuple[ast.expr, ast.expr, None]:
        if isinstance(target, ast.Name):
            return self._stored(target), helper_call("loop", node, through), None
        if isinstance(target, ast.Tuple | ast.List) and all(isinstance(part, ast.Name) for part in target.elts):
            stored: list[ast.expr] = [self._stored(part) for part in target.elts if isinstance(part, ast.Name)]
            count = placed(ast.Constant(len(stored)), target)
            return placed(ast.Tuple(stored, ast.Store()), target), helper_call("loop_of", node, through, count), None
        raise refused("nested targets are not possible in a comprehension", target)

    def _arguments(self, arguments: ast.arguments) -> ast.arguments:
        for one in (*arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
            if one is not None:
                if one.annotation is not None:
                    raise refused("annotations are not in Starlark", one)
                self._stored_name(one.arg, one)
        if arguments.posonlyargs:
            raise refused("`/` in parameters is not in Starlark", arguments.posonlyargs[0])
        return ast.arguments(
            posonlyargs=[],
            args=arguments.args,
            vararg=arguments.vararg,
            kwonlyargs=arguments.kwonlyargs,
            kw_defaults=[None if one is None else self._expression(one) for one in arguments.kw_defaults],
            kwarg=arguments.kwarg,
            defaults=self._items(arguments.defaults),
        )

    # Names.

    def _read(self, node: ast.Name) -> ast.expr:
        name = node.id
        if not any(name in scope for scope in self._scopes) and name not in self._predeclared:
            raise refused(f"undefined: {name}", node)
        return placed(ast.Name(name, ast.Load()), node)

    def _stored(self, node: ast.Name) -> ast.Name:
        self._stored_name(node.id, node)
        return placed(ast.Name(node.id, ast.Store()), node)

    def _stored_name(self, name: str, node: ast.AST) -> None:
        if name.startswith("__"):
            raise refused(f"the name {name} is reserved", node)


def _container(node: ast.Subscript) -> tuple[str, ast.expr]:
    """`metric` of `metric.fields[key]`, and what reads it at once: this is most of what scripts do."""
    owner = node.value
    if isinstance(owner, ast.Attribute) and owner.attr in ("fields", "tags"):
        return owner.attr, owner.value
    return "", owner


def _one(name: str) -> ast.arguments:
    """A function's only parameter."""
    return ast.arguments(posonlyargs=[], args=[ast.arg(name)], kwonlyargs=[], kw_defaults=[], defaults=[])

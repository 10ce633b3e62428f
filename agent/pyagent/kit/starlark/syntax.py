"""Nodes of Python's syntax, as a Starlark script is made of them: where they are, what they bind, and what they are called."""

import ast
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = [
    "NAMES",
    "ScriptSyntaxError",
    "bound",
    "helper_call",
    "load_of",
    "names_of",
    "parameters",
    "placed",
    "refused",
]

NodeT = TypeVar("NodeT", bound=ast.AST)


class ScriptSyntaxError(Exception):
    """The text is no Starlark."""

    def __init__(self, message: str, line: int, column: int = 0) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


NAMES: dict[type[ast.AST], str] = {
    ast.While: "`while`",
    ast.Try: "`try`",
    ast.Raise: "`raise`",
    ast.Import: "`import`",
    ast.ImportFrom: "`import`",
    ast.ClassDef: "`class`",
    ast.With: "`with`",
    ast.Global: "`global`",
    ast.Nonlocal: "`nonlocal`",
    ast.Delete: "`del`",
    ast.Assert: "`assert`",
    ast.Assign: "more than one `=` in a statement",
    ast.AnnAssign: "an annotation",
    ast.AsyncFunctionDef: "`async`",
    ast.For: "`else` of a loop",
    ast.Match: "`match`",
    ast.BinOp: "this operator",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "`:=`",
    ast.Set: "a set in braces",
    ast.SetComp: "a set in braces",
    ast.GeneratorExp: "a generator",
    ast.Starred: "`*` here",
    ast.Await: "`await`",
    ast.Yield: "`yield`",
    ast.YieldFrom: "`yield`",
    ast.Call: "a call",
    ast.Constant: "a literal",
}


def refused(message: str, node: ast.AST) -> ScriptSyntaxError:
    return ScriptSyntaxError(message, getattr(node, "lineno", 1), getattr(node, "col_offset", -1) + 1)


def placed(made: NodeT, node: ast.AST) -> NodeT:
    """The new node where the other one is."""
    return ast.copy_location(made, node)


def helper_call(helper: str, node: ast.AST, *arguments: ast.expr) -> ast.Call:
    function = placed(ast.Name(f"${helper}", ast.Load()), node)
    return placed(ast.Call(function, list(arguments), []), node)


def load_of(node: ast.stmt) -> ast.Call | None:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="load")) as call):
            return call
    return None


def parameters(arguments: ast.arguments) -> list[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return [one.arg for one in every if one is not None]


def names_of(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from names_of(part)


def bound(statements: Iterable[ast.stmt]) -> Iterator[str]:
    """What these statements assign to, but for those within functions."""
    for node in statements:
        match node:
            case ast.Assign():
                for target in node.targets:
                    yield from names_of(target)
            case ast.AugAssign():
                yield from names_of(node.target)
            case ast.FunctionDef():
                yield node.name
            case ast.For():
                yield from names_of(node.target)
                yield from bound(node.body)
            case ast.If():
                yield from bound(node.body)
                yield from bound(node.orelse)

"""Names that nothing defines are refused before a script runs."""

from collections.abc import Iterable, Iterator

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.flux import syntax
from pyagent.sandbox.flux.syntax import Node, place
from pyagent.sandbox.limits import check


def check_names(nodes: Iterable[Node], known: set[str]) -> None:
    """Refuse names that nothing defines.

    Raises:
        InfluxError: with all of them and their places.
    """
    problems = [f"error {place(node.at)}: undefined identifier {node.name}" for node in _unknown(nodes, known)]
    if problems:
        raise InfluxError("invalid", "\n\n".join(problems), final=True)


def _unknown(nodes: Iterable[object], known: set[str]) -> Iterator[syntax.Identifier]:
    for node in nodes:
        yield from _of(node, known)


def _of(node: object, known: set[str]) -> Iterator[syntax.Identifier]:
    match node:
        case syntax.Identifier():
            if node.name not in known:
                yield node
        case syntax.Assign() | syntax.Option():
            yield from _of(node.value, known)
            known.add(node.name)
        case syntax.Import():
            known.add(node.name)
        case syntax.Function():
            yield from _unknown([default for _, default in node.parameters], known)
            check()
            inner = {*known, *(name for name, _ in node.parameters)}
            yield from _unknown(node.body if isinstance(node.body, list) else [node.body], inner)
        case syntax.Array():
            yield from _unknown(node.items, known)
        case syntax.Text():
            yield from _unknown(node.parts, known)
        case syntax.Dict():
            yield from _unknown((part for pair in node.pairs for part in pair), known)
        case syntax.Record():
            yield from _unknown((node.base, *(value for _, value in node.properties)), known)
        case syntax.Call():
            yield from _unknown((*(value for _, value in node.arguments), node.callee), known)
        case syntax.Pipe():
            yield from _unknown((node.call, node.value), known)
        case syntax.Binary():
            yield from _unknown((node.left, node.right), known)
        case syntax.Conditional():
            yield from _unknown((node.test, node.then, node.other), known)
        case syntax.Index():
            yield from _unknown((node.value, node.index), known)
        case syntax.Member() | syntax.Unary() | syntax.Return() | syntax.Expression():
            yield from _of(node.value, known)
        case _:
            pass

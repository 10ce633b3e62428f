"""Flux text to a syntax tree."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from lark import Lark, Token, Transformer, Tree, UnexpectedInput, v_args
from lark.exceptions import UnexpectedEOF, VisitError
from lark.tree import Meta

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.patterns import Regex
from pyagent.sandbox.flux.values import parse_duration, parse_time
from pyagent.sandbox.limits import take

Location = tuple[int, int, int, int]
"""Line and column of the start and of the end, from 1; the end is behind the last character."""
NOWHERE: Location = (0, 0, 0, 0)
"""Where the server's own functions that are written in Flux are."""


@dataclass(slots=True)
class Node:
    at: Location = field(kw_only=True, default=(1, 1, 1, 1))


@dataclass(slots=True)
class Literal(Node):
    value: Any


@dataclass(slots=True)
class Text(Node):
    """A string with `${}` in it: str and Node parts."""

    parts: list[Any]


@dataclass(slots=True)
class Identifier(Node):
    name: str


@dataclass(slots=True)
class Array(Node):
    items: list[Node]


@dataclass(slots=True)
class Dict(Node):
    pairs: list[tuple[Node, Node]]


@dataclass(slots=True)
class Record(Node):
    base: Node | None
    properties: list[tuple[str, Node]]


@dataclass(slots=True)
class Member(Node):
    value: Node
    name: str


@dataclass(slots=True)
class Index(Node):
    value: Node
    index: Node


@dataclass(slots=True)
class Call(Node):
    callee: Node
    arguments: list[tuple[str, Node]]


@dataclass(slots=True)
class Pipe(Node):
    value: Node
    call: Node


@dataclass(slots=True)
class Unary(Node):
    operator: str
    value: Node


@dataclass(slots=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(slots=True)
class Conditional(Node):
    test: Node
    then: Node
    other: Node


@dataclass(slots=True)
class Function(Node):
    parameters: list[tuple[str, Node | None]]
    pipe: str | None
    body: "Node | list[Node]"


@dataclass(slots=True)
class Assign(Node):
    name: str
    value: Node


@dataclass(slots=True)
class Option(Node):
    name: str
    member: str | None
    value: Node


@dataclass(slots=True)
class Return(Node):
    value: Node


@dataclass(slots=True)
class Expression(Node):
    value: Node


@dataclass(slots=True)
class Import(Node):
    name: str
    path: str


def _location(meta: Meta) -> Location:
    return (1, 1, 1, 1) if meta.empty else (meta.line, meta.column, meta.end_line, meta.end_column)


def _nowhere(meta: Meta) -> Location:
    return NOWHERE


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}
_SPECIAL = re.compile(r"(?P<bytes>(?:\\x[0-9a-fA-F]{2})+)|\\(?P<escape>[\s\S])|\$\{(?P<inner>[^}]*)\}?")


def unquote(text: str) -> list[Any]:
    """The str and lark.Tree parts of a quoted string."""
    parts: list[Any] = []
    plain: list[str] = []
    body, at = text[1:-1], 0
    for found in _SPECIAL.finditer(body):
        plain.append(body[at : found.start()])
        at = found.end()
        if found["bytes"]:
            plain.append(bytes.fromhex(found["bytes"].replace("\\x", "")).decode("utf-8", "surrogateescape"))
        elif found["escape"]:
            plain.append(_ESCAPES.get(found["escape"], "\\" + found["escape"]))
        else:
            parts += ["".join(plain), _tree(found["inner"], "only_expression")]
            plain.clear()
    return [*parts, "".join(plain) + body[at:]]


@v_args(meta=True)
class _Build(Transformer[Token, Any]):
    """Grammar rules to nodes; a rule that is not here is a list of its children."""

    def __init__(self, at: Callable[[Meta], Location] = _location) -> None:
        super().__init__()
        self.at = at

    def __default__(self, data: Any, children: list[Any], meta: Meta) -> Any:
        return children

    def start(self, meta: Meta, children: list[Any]) -> list[Node]:
        return [child for child in children if isinstance(child, Node)]

    def only_expression(self, meta: Meta, children: list[Any]) -> Any:
        return children[0]

    def package(self, meta: Meta, children: list[Any]) -> None:
        return None

    def import_(self, meta: Meta, children: list[Any]) -> Node:
        path = str(children[-1])[1:-1]
        name = str(children[0]) if children[0] is not None else path.rsplit("/", 1)[-1]
        return Import(name, path, at=self.at(meta))

    def option(self, meta: Meta, children: list[Any]) -> Node:
        return Option(str(children[0]), None, children[1], at=self.at(meta))

    def option_member(self, meta: Meta, children: list[Any]) -> Node:
        return Option(str(children[0]), str(children[1]), children[2], at=self.at(meta))

    def assign(self, meta: Meta, children: list[Any]) -> Node:
        return Assign(str(children[0]), children[1], at=self.at(meta))

    def return_(self, meta: Meta, children: list[Any]) -> Node:
        return Return(children[0], at=self.at(meta))

    def expression_statement(self, meta: Meta, children: list[Any]) -> Node:
        return Expression(children[0], at=self.at(meta))

    def conditional(self, meta: Meta, children: list[Any]) -> Node:
        return Conditional(*children, at=self.at(meta))

    def or_op(self, meta: Meta, children: list[Any]) -> Node:
        return Binary("or", *children, at=self.at(meta))

    def and_op(self, meta: Meta, children: list[Any]) -> Node:
        return Binary("and", *children, at=self.at(meta))

    def power_op(self, meta: Meta, children: list[Any]) -> Node:
        return Binary("^", *children, at=self.at(meta))

    def binary(self, meta: Meta, children: list[Any]) -> Node:
        return Binary(str(children[1]), children[0], children[2], at=self.at(meta))

    def not_op(self, meta: Meta, children: list[Any]) -> Node:
        return Unary("not", children[0], at=self.at(meta))

    def exists_op(self, meta: Meta, children: list[Any]) -> Node:
        return Unary("exists", children[0], at=self.at(meta))

    def negative(self, meta: Meta, children: list[Any]) -> Node:
        return Unary("-", children[1], at=self.at(meta))

    def positive(self, meta: Meta, children: list[Any]) -> Node:
        return Unary("+", children[1], at=self.at(meta))

    def pipe(self, meta: Meta, children: list[Any]) -> Node:
        return Pipe(*children, at=self.at(meta))

    def member(self, meta: Meta, children: list[Any]) -> Node:
        return Member(children[0], str(children[1]), at=self.at(meta))

    def index(self, meta: Meta, children: list[Any]) -> Node:
        value, index = children
        if isinstance(index, Literal) and isinstance(index.value, str):
            return Member(value, index.value, at=self.at(meta))
        return Index(value, index, at=self.at(meta))

    def call(self, meta: Meta, children: list[Any]) -> Node:
        return Call(children[0], [one for one in children[1] or [] if one is not None], at=self.at(meta))

    def argument(self, meta: Meta, children: list[Any]) -> tuple[str, Node]:
        return str(children[0]), children[1]

    def argument_short(self, meta: Meta, children: list[Any]) -> tuple[str, Node]:
        return str(children[0]), Identifier(str(children[0]), at=self.at(meta))

    property = argument
    property_short = argument_short

    def property_quoted(self, meta: Meta, children: list[Any]) -> tuple[str, Node]:
        return "".join(unquote(str(children[0]))), children[1]

    def identifier(self, meta: Meta, children: list[Any]) -> Node:
        return Identifier(str(children[0]), at=self.at(meta))

    def integer(self, meta: Meta, children: list[Any]) -> Node:
        value = int(children[0])
        if value > 2**63:
            raise invalid(
                f'compilation failed: error {place(self.at(meta))}: invalid integer literal "{value}": value out of range'
            )
        return Literal(value, at=self.at(meta))

    def float(self, meta: Meta, children: list[Any]) -> Node:
        return Literal(float(children[0]), at=self.at(meta))

    def string(self, meta: Meta, children: list[Any]) -> Node:
        parts = unquote(str(children[0]))
        if all(isinstance(part, str) for part in parts):
            return Literal("".join(parts), at=self.at(meta))
        return Text(
            [part if isinstance(part, str) else _Build(self.at).transform(part) for part in parts], at=self.at(meta)
        )

    def regex(self, meta: Meta, children: list[Any]) -> Node:
        text = str(children[0])[1:-1].replace("\\/", "/")
        try:
            return Literal(Regex(text), at=self.at(meta))
        except ValueError as error:
            raise invalid(
                f"compilation failed: error {place(self.at(meta))}: invalid regular expression: {error}"
            ) from None

    def duration(self, meta: Meta, children: list[Any]) -> Node:
        return Literal(parse_duration(str(children[0])), at=self.at(meta))

    def time(self, meta: Meta, children: list[Any]) -> Node:
        return Literal(parse_time(str(children[0])), at=self.at(meta))

    def pipe_literal(self, meta: Meta, children: list[Any]) -> Node:
        return Identifier("<-", at=self.at(meta))

    def array(self, meta: Meta, children: list[Any]) -> Node:
        return Array([one for one in children[0] or [] if one is not None], at=self.at(meta))

    def empty_dict(self, meta: Meta, children: list[Any]) -> Node:
        return Dict([], at=self.at(meta))

    def dict(self, meta: Meta, children: list[Any]) -> Node:
        return Dict([(pair[0], pair[1]) for pair in children if pair is not None], at=self.at(meta))

    def record(self, meta: Meta, children: list[Any]) -> Node:
        return Record(None, [one for one in children[0] or [] if one is not None], at=self.at(meta))

    def record_with(self, meta: Meta, children: list[Any]) -> Node:
        base = Identifier(str(children[0]), at=self.at(meta))
        return Record(base, [one for one in children[1] if one is not None], at=self.at(meta))

    def parameter(self, meta: Meta, children: list[Any]) -> tuple[str, Node | None, bool]:
        return str(children[0]), None, False

    def parameter_pipe(self, meta: Meta, children: list[Any]) -> tuple[str, Node | None, bool]:
        return str(children[0]), None, True

    def parameter_default(self, meta: Meta, children: list[Any]) -> tuple[str, Node | None, bool]:
        return str(children[0]), children[1], False

    def function(self, meta: Meta, children: list[Any]) -> Node:
        return self._function(meta, children[1], children[2])

    def function_block(self, meta: Meta, children: list[Any]) -> Node:
        return self._function(meta, children[1], children[3:])

    def _function(self, meta: Meta, parameters: list[Any] | None, body: Any) -> Node:
        given = [one for one in parameters or [] if one is not None]
        pipe = next((name for name, _, is_pipe in given if is_pipe), None)
        return Function([(name, default) for name, default, _ in given], pipe, body, at=self.at(meta))


def place(at: Location) -> str:
    return f"@{at[0]}:{at[1]}-{at[2]}:{at[3]}"


@cache
def _parser() -> Lark:
    return Lark.open(
        "grammar.lark",
        rel_to=__file__,
        parser="lalr",
        lexer="contextual",
        start=["start", "only_expression"],
        propagate_positions=True,
        maybe_placeholders=True,
    )


def _tree(text: str, start: str) -> Tree[Token]:
    """The text's tree; a query is counted what it takes, word by word."""
    parsing = _parser().parse_interactive(text, start=start)
    for _ in parsing.iter_parse():
        take(_WORD)
    tree: Tree[Token] = parsing.resume_parse()  # type: ignore[no-untyped-call]  # lark's
    return tree


_WORD = 600
"""Bytes of a word of a script, and of what is made of it."""


def warm_up() -> None:
    """Build the parser, so that the first query need not wait for it."""
    _parser()


def parse(script: str, *, located: bool = True) -> list[Node]:
    """The statements of a script; not `located`: they are the server's own, which no error shows.

    Raises:
        InfluxError: it is not Flux, or not the part of it that is understood; with line and column.
    """
    try:
        statements: list[Node] = _Build(_location if located else _nowhere).transform(_tree(script, "start"))
    except UnexpectedInput as error:
        words = _unexpected(script, error)
        raise invalid(f"{'' if words.endswith('<INVALID_OP>') else 'compilation failed: '}error {words}") from None
    except VisitError as error:
        if isinstance(error.orig_exc, InfluxError):
            raise error.orig_exc from None
        if isinstance(error.orig_exc, ValueError):  # more digits than Python reads
            raise invalid("compilation failed: a number is out of range") from None
        raise
    return statements


_CLOSERS = {"(": "RPAREN", "[": "RBRACK", "{": "RBRACE"}


def _unexpected(script: str, error: UnexpectedInput) -> str:
    lines = script.split("\n")
    token = getattr(error, "token", None)
    if isinstance(error, UnexpectedEOF) or (token is not None and token.type == "$END"):
        # A text that does not end reaches to the end of the script: it is not looked at again from its middle.
        closers = [
            _CLOSERS[char] for char in re.sub(r'"(?:\\.|[^"\\])*+"?|[^()\[\]{}"]', "", script) if char in _CLOSERS
        ]
        wanted = f"expected {closers[-1]}, got EOF" if closers else "unexpected end of the script"
        return f"@1:1-{len(lines)}:{len(lines[-1]) + 1}: {wanted}"
    line, column = error.line, error.column
    ahead = lines[line - 1][: column - 1]
    number = len(ahead.rstrip("0123456789."))
    word = re.match(r"[^\W\d]\w*", lines[line - 1][column - 1 :])
    if number < len(ahead) and word:  # a number and a name in one: two operands, and nothing between them
        end = f"-{line}:{column + word.end()}"
        return (
            f"@{line}:{column}{end}: undefined identifier {word[0]}\n\n"
            f"error @{line}:{number + 1}{end}: invalid binary operator <INVALID_OP>"
        )
    text = str(token) if token is not None else lines[line - 1][column - 1 : column]
    return f"@{line}:{column}-{line}:{column + len(text)}: invalid expression: unexpected {text[:40]}"

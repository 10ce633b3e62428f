"""From text to the parts of an expression (cel-spec, langdef: Syntax and Macros; the grammar is cel-go's CEL.g4)."""

from collections.abc import Callable

from pyagent.api.metric import INT64_MAX
from pyagent.cel.lexer import Token, tokens
from pyagent.cel.syntax import Call, ExpressionError, Fold, Ident, Items, Literal, Mapped, Node, Select, depth
from pyagent.cel.values import NUMBERS

__all__ = ["parse"]

_LEVELS = {"||": 1, "&&": 2}
_LEVELS |= dict.fromkeys(("<", "<=", ">", ">=", "==", "!=", "in"), 3)
_LEVELS |= dict.fromkeys("+-", 4) | dict.fromkeys("*/%", 5)
_RESERVED = frozenset(("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"))
_RESERVED |= {"package", "namespace", "return", "var", "void", "while"}
_FOLDS = {"all": (2,), "exists": (2,), "exists_one": (2,), "filter": (2,), "map": (2, 3)}
_VALUES = "a name, a number, a 'text', true, false, null, or something in brackets"
_MOST_NESTED, _MOST_DEEP = 100, 150
"""Brackets within brackets, and levels in all: far from Python's limit of calls within calls."""


def parse(text: str) -> Node:
    """The expression, its macros expanded. Raises ExpressionError."""
    parser = _Parser(text)
    node = parser.expression()
    parser.expect_end()
    if depth(node) > _MOST_DEEP:
        raise ExpressionError("it is nested too deeply; make it simpler", text, 0)
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._index = 0
        self._nested = 0

    # Words --------------------------------------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._index]

    def _advance(self) -> Token:
        token = self._next
        self._index += 1
        return token

    def _at(self, *signs: str) -> bool:
        return self._next.kind == "sign" and self._next.text in signs

    def _take(self, sign: str) -> bool:
        if self._at(sign):
            self._index += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise self._error(f"{self._seen()} where {sign!r} should be")

    def expect_end(self) -> None:
        if self._next.kind != "end":
            raise self._error(f"{self._seen()} where an operator or the end should be")

    def _name(self) -> str:
        if self._next.kind != "name":
            raise self._error(f"{self._seen()} where a name should be")
        return self._advance().text

    def _seen(self) -> str:
        token = self._next
        return "the expression ends" if token.kind == "end" else f"there is {token.text[:40]!r}"

    def _error(self, reason: str, position: int | None = None) -> ExpressionError:
        return ExpressionError(reason, self._text, self._next.position if position is None else position)

    def _message(self) -> ExpressionError:
        return self._error("messages of protocol buffers cannot be made here; use timestamp(), duration() and literals")

    # Expressions, from the loosest to the tightest ------------------------------------------------------------------

    def expression(self) -> Node:
        self._nested += 1
        if self._nested > _MOST_NESTED:
            raise self._error("it is nested too deeply; make it simpler")
        node = self._binary(1)
        if self._at("?"):
            position = self._advance().position
            yes = self._binary(1)
            self._expect(":")
            node = Call(position=position, function="_?_:_", arguments=[node, yes, self.expression()])
        self._nested -= 1
        return node

    def _binary(self, lowest: int) -> Node:
        left = self._unary()
        while self._next.kind == "sign" and (level := _LEVELS.get(self._next.text, 0)) >= lowest:
            sign = self._advance()
            function, right = f"_{sign.text}_", self._binary(level + 1)
            if level <= 2 and isinstance(left, Call) and left.function == function:
                left.arguments.append(right)  # a chain of hundreds is one level
            else:
                left = Call(position=sign.position, function=function, arguments=[left, right])
        return left

    def _unary(self) -> Node:
        if not self._at("!", "-"):
            return self._member()
        sign = self._next
        count = 0
        while self._take(sign.text):
            count += 1
        if sign.text == "-" and self._is_number():
            count -= 1  # it is the number's own
            operand = self._member(negative=True)
        else:
            operand = self._member()
        return Call(position=sign.position, function=f"{sign.text}_", arguments=[operand]) if count % 2 else operand

    def _is_number(self) -> bool:
        return type(self._next.value) in (int, float)

    def _member(self, *, negative: bool = False) -> Node:
        node = self._number(negative=True) if negative else self._primary()
        while True:
            if self._at("["):
                position = self._advance().position
                index = self.expression()
                self._expect("]")
                node = Call(position=position, function="_[_]", arguments=[node, index])
            elif self._take("."):
                position = self._next.position
                if self._next.kind == "quoted":
                    node = Select(position=position, operand=node, field=self._advance().text[1:-1])
                    continue
                name = self._name()
                if self._at("("):
                    node = self._method(node, name, position)
                else:
                    node = Select(position=position, operand=node, field=name)
            elif self._at("{") and isinstance(node, Select):
                raise self._message()
            else:
                return node

    def _primary(self) -> Node:
        token = self._next
        if token.kind == "literal":
            return (
                self._number()
                if type(token.value) is int
                else Literal(position=token.position, value=self._advance().value)
            )
        if token.kind == "name" or self._at("."):
            return self._named()
        opened = {"(": self._group, "[": self._list, "{": self._map}.get(token.text)
        if token.kind != "sign" or opened is None:
            raise self._error(f"{self._seen()} where a value should be: {_VALUES}")
        self._advance()
        return opened(token.position)

    def _number(self, *, negative: bool = False) -> Node:
        token = self._advance()
        value = -token.value if negative else token.value
        if type(value) is int and value > INT64_MAX:
            raise self._error(f"the number {token.text} does not fit 64 bits", token.position)
        return Literal(position=token.position, value=value)

    def _named(self) -> Node:
        dot = "." if self._take(".") else ""
        position = self._next.position
        name = self._name()
        if name in _RESERVED:
            raise self._error(f"the name {name!r} is reserved by the language", position)
        if self._at("{"):
            raise self._message()
        if not self._at("("):
            return Ident(position=position, name=dot + name)
        arguments = self._arguments()
        if dot + name == "has" and len(arguments) == 1:
            (operand,) = arguments
            if not isinstance(operand, Select):
                raise self._error("has() takes a selection such as fields.x", position)
            operand.test = True
            return operand
        return Call(position=position, function=name, arguments=arguments)

    def _method(self, target: Node, name: str, position: int) -> Node:
        arguments = self._arguments()
        if len(arguments) in _FOLDS.get(name, ()):
            return self._fold(target, name, arguments, position)
        if isinstance(target, Ident) and target.name == "math" and name in ("greatest", "least"):
            return self._extreme(name, arguments, position)
        return Call(position=position, function=name, target=target, arguments=arguments)

    def _fold(self, target: Node, macro: str, arguments: list[Node], position: int) -> Node:
        variable, *rest = arguments
        if not isinstance(variable, Ident) or variable.name.startswith("."):
            raise self._error(f"the first argument of {macro} must be a new name", variable.position)
        fold = Fold(position=position, macro=macro, operand=target, variable=variable.name)
        if macro == "map":
            *condition, fold.result = rest
            fold.condition = condition[0] if condition else None
        else:
            (fold.condition,) = rest
        return fold

    def _extreme(self, name: str, arguments: list[Node], position: int) -> Node:
        """`math.greatest` and `math.least` take any number of numbers, or one list of them."""
        numbers = arguments
        if len(arguments) == 1 and isinstance(arguments[0], Items):
            numbers = arguments[0].items
        if not numbers:
            raise self._error(f"math.{name} needs a number at least", position)
        for number in numbers:
            if isinstance(number, Items | Mapped) or (
                isinstance(number, Literal) and type(number.value) not in NUMBERS
            ):
                raise self._error(f"math.{name} takes numbers only", number.position)
        if len(arguments) > 2:
            arguments = [Items(position=position, items=arguments)]
        return Call(position=position, function="math.@max" if name == "greatest" else "math.@min", arguments=arguments)

    # What stands in brackets ----------------------------------------------------------------------------------------

    def _group(self, position: int) -> Node:
        node = self.expression()
        self._expect(")")
        return node

    def _arguments(self) -> list[Node]:
        self._expect("(")
        arguments: list[Node] = []
        if not self._take(")"):
            arguments.append(self.expression())
            while self._take(","):
                arguments.append(self.expression())
            self._expect(")")
        return arguments

    def _list(self, position: int) -> Node:
        items: list[Node] = []
        self._series("]", lambda: items.append(self.expression()))
        return Items(position=position, items=items)

    def _map(self, position: int) -> Node:
        entries: list[tuple[Node, Node]] = []

        def entry() -> None:
            key = self.expression()
            self._expect(":")
            entries.append((key, self.expression()))

        self._series("}", entry)
        return Mapped(position=position, entries=entries)

    def _series(self, end: str, element: Callable[[], None]) -> None:
        """Elements with commas between them; one more may stand behind the last."""
        while not self._at(end, ","):
            element()
            if not self._at(","):
                break
            if self._tokens[self._index + 1].text == end:
                break
            self._advance()
        self._take(",")
        self._expect(end)

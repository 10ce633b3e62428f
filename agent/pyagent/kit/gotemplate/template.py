"""A template, compiled to functions of a frame."""

from collections.abc import Callable, Mapping
from typing import Any, Never

from pyagent.api.errors import ConfigError
from pyagent.kit.gotemplate.functions import FUNCTIONS, Function
from pyagent.kit.gotemplate.tokens import Action, Token, Unreadable, cut
from pyagent.kit.gotemplate.values import MEMBERS, Member, TemplateError, Time, shown, truth, type_name

__all__ = ["GoTemplate"]

_MOST_TEXT = 1 << 20
"""Characters of one value."""
_MOST_OUTPUT = 16 << 20
_MOST_ROUNDS = 1_000_000
_MOST_ITEMS = 100_000
_MOST_DEPTH = 50
_MOST_SOURCE = 1 << 18


class _Frame:
    """One rendering."""

    __slots__ = ("dot", "out", "root", "rounds", "size", "variables")

    def __init__(self, root: Any, variables: int) -> None:
        self.root = self.dot = root
        self.out: list[str] = []
        self.size = 0
        self.rounds = 0
        self.variables: list[Any] = [None] * variables

    def write(self, text: str) -> None:
        self.out.append(text)
        self.size += len(text)
        if self.size > _MOST_OUTPUT:
            raise TemplateError(f"the text is longer than {_MOST_OUTPUT >> 20} MiB")


_Members = Mapping[str, Member] | None
_Value = Callable[[_Frame], Any]
_Node = Callable[[_Frame], str | None]
"""Writes; returns `break` or `continue` where a loop is to be left."""


class GoTemplate:
    """Raises ConfigError, about `option`, for what is no template of the subset, with line and column.

    `members`: the names that what is rendered has, where that is known. What they cannot give (another name, too few arguments)
    is an error of `render` and stands in `doubts`; with `strict` it is refused at once. `functions`: with those of Sprig, or
    `GO_FUNCTIONS` alone. `texts`: what stands outside of the actions.
    """

    def __init__(
        self,
        text: str,
        option: str,
        members: Mapping[str, Member] | None = None,
        *,
        strict: bool = False,
        functions: Mapping[str, Function] = FUNCTIONS,
    ) -> None:
        compiler = _Compiler(text, option, members, strict=strict, functions=functions)
        self._run = compiler.compiled()
        self._variables = compiler.slots
        self.is_constant = not compiler.has_actions
        self.texts = "".join(compiler.texts)
        self.doubts = compiler.doubts

    def render(self, value: Any) -> str:
        """Raises TemplateError, with line and column."""
        frame = _Frame(value, self._variables)
        self._run(frame)
        return "".join(frame.out)


class _Compiler:
    def __init__(
        self, text: str, option: str, root: _Members, *, strict: bool, functions: Mapping[str, Function]
    ) -> None:
        self._text, self._option, self._root, self._strict = text, option, root, strict
        self._functions = functions
        self._scopes: list[dict[str, int]] = [{}]
        self._dots: list[_Members] = [root]
        """What is known about the dot."""
        self._tokens: list[Token] = []
        self._depth = self._loops = 0
        self._start = 0
        self.slots = 0
        self.has_actions = False
        self.texts: list[str] = []
        self.doubts: list[str] = []
        if len(text) > _MOST_SOURCE:
            raise ConfigError(f"cannot use the template: it is longer than {_MOST_SOURCE >> 10} KiB", option=option)

    def compiled(self) -> _Node:
        try:
            self._pieces = cut(self._text)
            nodes, end, _ = self._list(())
        except Unreadable as error:
            self._fail(str(error), error.position)
        assert not end
        return nodes

    # Lists of nodes, and control

    def _list(self, ends: tuple[str, ...]) -> tuple[_Node, str, Action | None]:
        """Nodes as far as a word of `ends`, and that word's action."""
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            self._fail("it is nested too deeply", self._start)
        nodes: list[_Node] = []
        start = self._start
        for piece in self._pieces:
            if isinstance(piece, str):
                if piece:
                    self.texts.append(piece)
                    nodes.append(_text(piece))
                continue
            self.has_actions = True
            self._start, self._tokens = piece.position, piece.tokens
            if not piece.tokens:
                self._fail("there is nothing between its braces", piece.position)
            first = piece.tokens[0]
            if first.kind == "word" and first.value in ("end", "else"):
                if first.value not in ends:
                    self._fail(f"{{{{ {first.value} }}}} belongs to no if, range or with", piece.position)
                del piece.tokens[0]
                self._depth -= 1
                return _sequence(nodes), str(first.value), piece
            nodes.append(self._action(piece))
            if self._tokens:
                self._unexpected()
        if ends:
            self._fail("it has no {{ end }}", start)
        self._depth -= 1
        return _sequence(nodes), "", None

    def _action(self, action: Action) -> _Node:
        first = action.tokens[0]
        word = str(first.value) if first.kind == "word" else ""
        match word:
            case "if" | "with" | "range":
                del action.tokens[0]
                self._scopes.append({})
                made = self._range() if word == "range" else self._branch(word)
                self._scopes.pop()
                return made
            case "break" | "continue":
                del action.tokens[0]
                if not self._loops:
                    self._fail(f"{{{{ {word} }}}} stands in no range", first.position)
                return lambda frame: word
            case "define" | "template" | "block":
                self._fail(f"{{{{ {word} }}}} is not supported: write out what it would put there", first.position)
        return self._written()

    def _written(self) -> _Node:
        """A pipeline whose value is written, or a variable that is set."""
        if (slot := self._assignment()) is not None:
            value = self._pipeline()

            def assign(frame: _Frame) -> None:
                frame.variables[slot] = value(frame)

            return assign
        value = self._pipeline()

        def write(frame: _Frame) -> None:
            found = value(frame)
            frame.write(found if type(found) is str else "<no value>" if found is None else shown(found))

        return write

    def _assignment(self) -> int | None:
        """The slot of `$x :=` or `$x =` at the beginning."""
        tokens = self._tokens
        if len(tokens) < 2 or tokens[0].kind != "variable" or tokens[1].kind not in (":=", "="):
            return None
        slot = self._declared(tokens[0]) if tokens[1].kind == ":=" else self._slot(tokens[0])
        del tokens[:2]
        return slot

    def _declared(self, token: Token) -> int:
        self.slots += 1
        self._scopes[-1][str(token.value)] = self.slots - 1
        return self.slots - 1

    def _slot(self, token: Token) -> int:
        found = next((scope[name] for scope in reversed(self._scopes) if (name := str(token.value)) in scope), None)
        if found is None:
            self._fail(f"the variable {token.value} is not declared", token.position)
        return found

    def _branch(self, word: str) -> _Node:
        # The name is visible in the value only afterwards: `with $x := $x`.
        value, slot = self._declaration()
        self._rest()
        dotted = word == "with"
        self._dots.append(None if dotted else self._dots[-1])
        then, end, action = self._list(("else", "end"))
        self._dots.pop()
        otherwise: _Node | None = None
        if end == "else":
            assert action is not None
            otherwise = self._else(action, word)
        else:
            self._rest()

        def branch(frame: _Frame) -> str | None:
            found = value(frame)
            if slot is not None:
                frame.variables[slot] = found
            if not truth(found):
                return otherwise(frame) if otherwise is not None else None
            if not dotted:
                return then(frame)
            dot, frame.dot = frame.dot, found
            try:
                return then(frame)
            finally:
                frame.dot = dot

        return branch

    def _else(self, action: Action, word: str) -> _Node:
        if action.tokens and action.tokens[0].kind == "word" and action.tokens[0].value == word and word != "range":
            del action.tokens[0]
            self._depth += 1
            if self._depth > _MOST_DEPTH:
                self._fail("it is nested too deeply", self._start)
            made = self._branch(word)
            self._depth -= 1
            return made
        self._rest()
        otherwise, end, again = self._list(("else", "end"))
        if end == "else":
            self._fail("there is a second {{ else }}", again.position if again else 0)
        self._rest()
        return otherwise

    def _declaration(self) -> tuple[_Value, int | None]:
        tokens = self._tokens
        if len(tokens) >= 2 and tokens[0].kind == "variable" and tokens[1].kind in (":=", "="):
            name, mark = tokens[0], tokens[1].kind
            del tokens[:2]
            value = self._pipeline()
            return value, self._declared(name) if mark == ":=" else self._slot(name)
        return self._pipeline(), None

    def _range(self) -> _Node:
        tokens = self._tokens
        names: list[Token] = []
        declares = True
        kinds = [token.kind for token in tokens[:4]]
        if kinds[:1] == ["variable"] and kinds[1:2] in ([":="], ["="]):
            names, declares = [tokens[0]], kinds[1] == ":="
            del tokens[:2]
        elif kinds[:3] == ["variable", ",", "variable"] and kinds[3:] in ([":="], ["="]):
            names, declares = [tokens[0], tokens[2]], kinds[3] == ":="
            del tokens[:4]
        value = self._pipeline()
        self._rest()
        slots = [self._declared(name) if declares else self._slot(name) for name in names]
        self._dots.append(None)
        self._loops += 1
        body, end, action = self._list(("else", "end"))
        self._loops -= 1
        self._dots.pop()
        otherwise = None
        if end == "else":
            assert action is not None
            otherwise = self._else(action, "range")
        else:
            self._rest()
        place = self._start

        def loop(frame: _Frame) -> str | None:
            pairs = self._pairs(value(frame), place)
            if not pairs:
                return otherwise(frame) if otherwise is not None else None
            dot = frame.dot
            try:
                for pair in pairs:
                    frame.rounds += 1
                    if frame.rounds > _MOST_ROUNDS:
                        raise TemplateError(f"its loops go round more than {_MOST_ROUNDS} times")
                    frame.dot = pair[1]
                    for slot, item in zip(slots, pair[-len(slots) :] if slots else (), strict=True):
                        frame.variables[slot] = item
                    if body(frame) == "break":
                        break
            finally:
                frame.dot = dot
            return None

        return loop

    def _pairs(self, found: Any, place: int) -> list[tuple[Any, Any]]:
        if isinstance(found, dict):
            return [(key, found[key]) for key in sorted(found)]
        if isinstance(found, list):
            return list(enumerate(found))
        if found is None:
            return []
        if isinstance(found, int) and not isinstance(found, bool):
            if found > _MOST_ROUNDS:
                raise TemplateError(f"its loops go round more than {_MOST_ROUNDS} times")
            return [(number, number) for number in range(found)]
        raise self._error(place, f"cannot go through a {type_name(found)}")

    # Pipelines and operands

    def _pipeline(self) -> _Value:
        value = self._command(None)
        while self._tokens and self._tokens[0].kind == "|":
            del self._tokens[0]
            value = self._command(value)
        return value

    def _command(self, piped: _Value | None) -> _Value:
        if not self._tokens:
            self._fail("a value is missing", self._start)
        first = self._tokens[0]
        if first.kind == "word" and first.value not in ("true", "false", "nil"):
            del self._tokens[0]
            return self._call(first, piped)
        if piped is not None and not self._takes_arguments():
            self._fail(f"{_source(first)} takes no value from a `|`", first.position)
        value = self._operand(piped)
        if self._tokens and self._tokens[0].kind not in ("|", ")"):
            self._unexpected()
        if first.kind == "word" and first.value == "nil":
            self._fail("nil is no command", first.position)
        return value

    def _takes_arguments(self) -> bool:
        """Whether the operand ends with a name, which may be a method."""
        first = self._tokens[0]
        if first.kind == "field":
            return True
        depth = 0
        for token, after in zip(self._tokens, [*self._tokens[1:], None], strict=True):
            depth += {"(": 1, ")": -1}.get(token.kind, 0)
            if not depth:
                return after is not None and after.kind == "field" and not after.apart
        return False

    def _arguments(self) -> list[_Value]:
        found = []
        while self._tokens and self._tokens[0].kind not in ("|", ")"):
            found.append(self._operand(None, is_argument=True))
        return found

    def _operand(self, piped: _Value | None, *, is_argument: bool = False) -> _Value:
        token = self._tokens.pop(0)
        known: _Members = None
        value: _Value
        match token.kind:
            case "text" | "number":
                constant = token.value
                value = lambda frame: constant  # noqa: E731
            case "word" if token.value in ("true", "false", "nil"):
                constant = {"true": True, "false": False, "nil": None}[str(token.value)]
                value = lambda frame: constant  # noqa: E731
            case "word":
                value = self._call(token, None, alone=True)
            case ".":
                value, known = _dot, self._dots[-1]
            case "field":
                self._tokens.insert(0, Token("field", token.value, token.position, apart=False))
                value, known = _dot, self._dots[-1]
            case "variable" if token.value == "$":
                value, known = _root, self._root
            case "variable":
                slot = self._slot(token)
                value = lambda frame: frame.variables[slot]  # noqa: E731
            case "(":
                self._depth += 1
                if self._depth > _MOST_DEPTH:
                    self._fail("it is nested too deeply", token.position)
                value = self._pipeline()
                self._depth -= 1
                if not self._tokens or self._tokens.pop(0).kind != ")":
                    self._fail("a ( is not closed", token.position)
            case _:
                self._tokens.insert(0, token)
                self._unexpected()
        while self._tokens and self._tokens[0].kind == "field" and not self._tokens[0].apart:
            name = self._tokens.pop(0)
            last = not (self._tokens and self._tokens[0].kind == "field" and not self._tokens[0].apart)
            arguments = self._arguments() if last and not is_argument else []
            if last and piped is not None:
                arguments.append(piped)
            value, known = self._member(value, name, arguments, known), None
        if is_argument and self._tokens and not self._tokens[0].apart and self._tokens[0].kind not in ("|", ")"):
            self._unexpected()
        return value

    def _member(self, value: _Value, token: Token, arguments: list[_Value], known: _Members) -> _Value:
        name, place = str(token.value), token.position
        if known is not None:
            if name not in known:
                return self._doubt(
                    f"there is no .{name} here: there are {', '.join(f'.{one}' for one in known)}", place
                )
            kinds, direct = found = known[name]
            if cause := _miscounted(f".{name}", len(arguments), len(kinds), len(kinds)):
                return self._doubt(cause, place)
            if not arguments:
                return lambda frame: direct(value(frame))
            return lambda frame: self._called(
                found, value(frame), [argument(frame) for argument in arguments], name, place
            )

        def member(frame: _Frame) -> Any:
            owner = value(frame)
            given = [argument(frame) for argument in arguments]
            members = MEMBERS.get(type(owner))
            if members is not None and name in members:
                return self._called(members[name], owner, given, name, place)
            if isinstance(owner, dict):
                if given:
                    raise self._error(place, f".{name} is no method, and takes no arguments")
                return owner.get(name)
            if owner is None:
                raise self._error(place, f"there is no value to take .{name} of")
            raise self._error(place, f"a {type_name(owner)} has no .{name}")

        return member

    def _called(self, member: Member, owner: Any, given: list[Any], name: str, place: int) -> Any:
        kinds, direct = member
        if cause := _miscounted(f".{name}", len(given), len(kinds), len(kinds)):
            raise self._error(place, cause)
        for kind, one in zip(kinds, given, strict=True):
            if not isinstance(one, {"s": str, "i": int, "t": Time}[kind]):
                raise self._error(place, f".{name} does not take a {type_name(one)}")
        try:
            return direct(owner, *given)
        except TemplateError as error:
            raise self._error(place, str(error)) from None

    def _call(self, token: Token, piped: _Value | None, *, alone: bool = False) -> _Value:
        """Of a function. `alone`: as an argument, without any of its own."""
        name, place = str(token.value), token.position
        function = self._functions.get(name)
        if function is None:
            self._fail(f"there is no function {name}, or it is not supported", place)
        arguments = [] if alone else self._arguments()
        if piped is not None:
            arguments.append(piped)
        if cause := _miscounted(name, len(arguments), function.least, function.most):
            return self._doubt(cause, place)
        if function.lazy:
            return _lazy(name, arguments)
        run = function.run

        def call(frame: _Frame) -> Any:
            given = [argument(frame) for argument in arguments]
            _check_kinds(function, given, lambda text: self._error(place, f"{name}: {text}"))
            try:
                found = run(*given)
            except TemplateError as error:
                raise self._error(place, f"{name}: {error}") from None
            except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
                raise self._error(place, f"{name}: {error or type(error).__name__}") from None
            if isinstance(found, str | list | dict) and len(found) > (
                _MOST_TEXT if isinstance(found, str) else _MOST_ITEMS
            ):
                raise self._error(place, f"{name}: what it gives is too long")
            return found

        return call

    # Errors

    def _rest(self) -> None:
        if self._tokens:
            self._unexpected()

    def _unexpected(self) -> Never:
        token = self._tokens[0]
        self._fail(f"{_source(token)} cannot stand here", token.position)

    def _fail(self, cause: str, position: int) -> Never:
        raise ConfigError(f"cannot use the template: {self._where(position)}: {cause}", option=self._option)

    def _doubt(self, cause: str, position: int) -> _Value:
        """Of what Go finds out when it comes there, and not before."""
        if self._strict:
            self._fail(cause, position)
        error = self._error(position, cause)
        self.doubts.append(str(error))

        def fail(frame: _Frame) -> Never:
            raise error

        return fail

    def _error(self, position: int, cause: str) -> TemplateError:
        return TemplateError(f"{self._where(position)} of the template: {cause}")

    def _where(self, position: int) -> str:
        before = self._text[:position]
        return f"line {before.count(chr(10)) + 1}, column {position - before.rfind(chr(10))}"


def _miscounted(name: str, count: int, least: int, most: int) -> str:
    if least <= count <= most:
        return ""
    wanted = str(least) if least == most else f"{least} or more" if count < least else f"at most {most}"
    return f"{name} takes {wanted} argument{'' if wanted == '1' else 's'}, not {count}"


def _text(text: str) -> _Node:
    def write(frame: _Frame) -> None:
        frame.write(text)

    return write


def _sequence(nodes: list[_Node]) -> _Node:
    if len(nodes) == 1:
        return nodes[0]

    def run(frame: _Frame) -> str | None:
        for node in nodes:
            if left := node(frame):
                return left
        return None

    return run


def _dot(frame: _Frame) -> Any:
    return frame.dot


def _root(frame: _Frame) -> Any:
    return frame.root


def _lazy(name: str, arguments: list[_Value]) -> _Value:
    """`and` and `or`: the first value that decides, without those behind it."""
    *firsts, last = arguments
    wanted = name == "or"

    def decided(frame: _Frame) -> Any:
        for argument in firsts:
            if truth(found := argument(frame)) is wanted:
                return found
        return last(frame)

    return decided


_KINDS: dict[str, tuple[Any, str]] = {
    "s": (str, "string"),
    "i": (int, "int"),
    "b": (bool, "bool"),
    "l": (list, "list"),
    "d": (dict, "map"),
}


def _check_kinds(function: Function, given: list[Any], error: Callable[[str], TemplateError]) -> None:
    for kind, one in zip(function.kinds + function.kinds[-1:] * len(given), given, strict=False):
        if kind != "a" and not isinstance(one, _KINDS[kind][0]):
            raise error(f"it wants a {_KINDS[kind][1]}, not a {type_name(one)}")


def _source(token: Token) -> str:
    return (
        f".{token.value}" if token.kind == "field" else repr(token.value) if token.kind == "text" else str(token.value)
    )

"""Pipelines of a template and what stands in them, compiled to functions of a frame."""

from collections.abc import Callable, Mapping
from typing import Any, Never

from pyagent.api.errors import ConfigError
from pyagent.kit.gotemplate.functions import Function
from pyagent.kit.gotemplate.tokens import Token
from pyagent.kit.gotemplate.values import MEMBERS, Member, TemplateError, Time, truth, type_name

__all__ = ["MOST_DEPTH", "Frame", "Members", "Node", "Operands", "Value"]

MOST_DEPTH = 50
_MOST_TEXT = 1 << 20
"""Characters of one value."""
_MOST_OUTPUT = 16 << 20
_MOST_ITEMS = 100_000


class Frame:
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


Members = Mapping[str, Member] | None
Value = Callable[[Frame], Any]
Node = Callable[[Frame], str | None]
"""Writes; returns `break` or `continue` where a loop is to be left."""


class Operands:
    """Reads the words of an action."""

    def __init__(
        self, text: str, option: str, root: Members, *, strict: bool, functions: Mapping[str, Function]
    ) -> None:
        self._functions = functions
        self._text, self._option, self._root, self._strict = text, option, root, strict
        self._scopes: list[dict[str, int]] = [{}]
        self._dots: list[Members] = [root]
        """What is known about the dot."""
        self._tokens: list[Token] = []
        self._depth = 0
        self._start = 0
        """Where the action begins."""
        self.doubts: list[str] = []

    def _slot(self, token: Token) -> int:
        found = next((scope[name] for scope in reversed(self._scopes) if (name := str(token.value)) in scope), None)
        if found is None:
            self._fail(f"the variable {token.value} is not declared", token.position)
        return found

    # Pipelines and operands

    def _pipeline(self) -> Value:
        value = self._command(None)
        while self._tokens and self._tokens[0].kind == "|":
            del self._tokens[0]
            value = self._command(value)
        return value

    def _command(self, piped: Value | None) -> Value:
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

    def _arguments(self) -> list[Value]:
        found = []
        while self._tokens and self._tokens[0].kind not in ("|", ")"):
            found.append(self._operand(None, is_argument=True))
        return found

    def _operand(self, piped: Value | None, *, is_argument: bool = False) -> Value:
        token = self._tokens.pop(0)
        known: Members = None
        value: Value
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
                if self._depth > MOST_DEPTH:
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

    def _member(self, value: Value, token: Token, arguments: list[Value], known: Members) -> Value:
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

        def member(frame: Frame) -> Any:
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

    def _call(self, token: Token, piped: Value | None, *, alone: bool = False) -> Value:
        """Of a function. `alone`: as an argument, without any of its own."""
        name, place = str(token.value), token.position
        function = self._functions.get(name)
        if function is None:
            if name in ("env", "expandenv"):
                self._fail(
                    f"{name} is left out on purpose, as it shows secrets; write ${{NAME}}, which the configuration replaces",
                    place,
                )
            self._fail(f"there is no function {name}, or it is not supported", place)
        arguments = [] if alone else self._arguments()
        if piped is not None:
            arguments.append(piped)
        if cause := _miscounted(name, len(arguments), function.least, function.most):
            return self._doubt(cause, place)
        if function.lazy:
            return _lazy(name, arguments)
        run = function.run

        def call(frame: Frame) -> Any:
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

    def _doubt(self, cause: str, position: int) -> Value:
        """Of what Go finds out when it comes there, and not before."""
        if self._strict:
            self._fail(cause, position)
        error = self._error(position, cause)
        self.doubts.append(str(error))

        def fail(frame: Frame) -> Never:
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


def _dot(frame: Frame) -> Any:
    return frame.dot


def _root(frame: Frame) -> Any:
    return frame.root


def _lazy(name: str, arguments: list[Value]) -> Value:
    """`and` and `or`: the first value that decides, without those behind it."""
    *firsts, last = arguments
    wanted = name == "or"

    def decided(frame: Frame) -> Any:
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

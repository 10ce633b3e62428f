"""A template: its texts and actions, compiled to functions of a frame."""

from collections.abc import Mapping
from typing import Any

from pyagent.api.errors import ConfigError
from pyagent.kit.gotemplate.functions import FUNCTIONS, Function
from pyagent.kit.gotemplate.operands import MOST_DEPTH, Frame, Members, Node, Operands, Value
from pyagent.kit.gotemplate.tokens import Action, Token, Unreadable, cut
from pyagent.kit.gotemplate.values import Member, TemplateError, shown, truth, type_name

__all__ = ["GoTemplate"]

_MOST_ROUNDS = 1_000_000
_MOST_SOURCE = 1 << 18


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
        frame = Frame(value, self._variables)
        self._run(frame)
        return "".join(frame.out)


class _Compiler(Operands):
    def __init__(
        self, text: str, option: str, root: Members, *, strict: bool, functions: Mapping[str, Function]
    ) -> None:
        super().__init__(text, option, root, strict=strict, functions=functions)
        self._loops = 0
        self.slots = 0
        self.has_actions = False
        self.texts: list[str] = []
        if len(text) > _MOST_SOURCE:
            raise ConfigError(f"cannot use the template: it is longer than {_MOST_SOURCE >> 10} KiB", option=option)

    def compiled(self) -> Node:
        try:
            self._pieces = cut(self._text)
            nodes, end, _ = self._list(())
        except Unreadable as error:
            self._fail(str(error), error.position)
        assert not end
        return nodes

    # Lists of nodes, and control

    def _list(self, ends: tuple[str, ...]) -> tuple[Node, str, Action | None]:
        """Nodes as far as a word of `ends`, and that word's action."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            self._fail("it is nested too deeply", self._start)
        nodes: list[Node] = []
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

    def _action(self, action: Action) -> Node:
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

    def _written(self) -> Node:
        """A pipeline whose value is written, or a variable that is set."""
        if (slot := self._assignment()) is not None:
            value = self._pipeline()

            def assign(frame: Frame) -> None:
                frame.variables[slot] = value(frame)

            return assign
        value = self._pipeline()

        def write(frame: Frame) -> None:
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

    def _branch(self, word: str) -> Node:
        # The name is visible in the value only afterwards: `with $x := $x`.
        value, slot = self._declaration()
        self._rest()
        dotted = word == "with"
        self._dots.append(None if dotted else self._dots[-1])
        then, end, action = self._list(("else", "end"))
        self._dots.pop()
        otherwise: Node | None = None
        if end == "else":
            assert action is not None
            otherwise = self._else(action, word)
        else:
            self._rest()

        def branch(frame: Frame) -> str | None:
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

    def _else(self, action: Action, word: str) -> Node:
        if action.tokens and action.tokens[0].kind == "word" and action.tokens[0].value == word and word != "range":
            del action.tokens[0]
            self._depth += 1
            if self._depth > MOST_DEPTH:
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

    def _declaration(self) -> tuple[Value, int | None]:
        tokens = self._tokens
        if len(tokens) >= 2 and tokens[0].kind == "variable" and tokens[1].kind in (":=", "="):
            name, mark = tokens[0], tokens[1].kind
            del tokens[:2]
            value = self._pipeline()
            return value, self._declared(name) if mark == ":=" else self._slot(name)
        return self._pipeline(), None

    def _range(self) -> Node:
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

        def loop(frame: Frame) -> str | None:
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


def _text(text: str) -> Node:
    def write(frame: Frame) -> None:
        frame.write(text)

    return write


def _sequence(nodes: list[Node]) -> Node:
    if len(nodes) == 1:
        return nodes[0]

    def run(frame: Frame) -> str | None:
        for node in nodes:
            if left := node(frame):
                return left
        return None

    return run

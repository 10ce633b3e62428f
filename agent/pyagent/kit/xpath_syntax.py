"""XPath 1.0 expressions as trees, read as the library antchfx/xpath reads them, which Telegraf has.

That means: prefixes of names are compared as they are written, and what follows a whole expression counts for nothing.
"""

import re
from typing import Any, Final

from msgspec import Struct

from pyagent.kit.numbers import parse_float

__all__ = ["ALL", "ATTRIBUTE", "COMMENT", "ELEMENT", "ROOT", "TEXT", "Axis", "Call", "Constant", "Filter", "Group"]
__all__ += ["Operation", "Root", "Variable", "XPathError", "parse"]

ROOT, ELEMENT, ATTRIBUTE, TEXT, COMMENT, ALL = range(6)
"""Kinds of nodes; ALL is any of them."""


class XPathError(ValueError):
    """An expression is none, or cannot be evaluated."""


class Constant(Struct):
    value: str | float


class Root(Struct):
    pass


class Axis(Struct):
    axis: str
    kind: int
    local: str
    prefix: str
    input: Any


class Filter(Struct):
    input: Any
    condition: Any


class Call(Struct):
    name: str
    arguments: list[Any]


class Operation(Struct):
    operator: str
    left: Any
    right: Any


class Group(Struct):
    input: Any


class Variable(Struct):
    name: str


_NODE_TYPES: Final = {"node": ALL, "text": TEXT, "comment": COMMENT, "processing-instruction": ELEMENT}
_TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>\d+(?:\.\d*)?|\.\d+)
    |(?P<string>"[^"]*"|'[^']*')
    |(?P<operator>\.\.|//|<=|>=|!=|[-,@()|*\[\]+=$<>!./])
    |(?P<name>[^\W][\w.\-\u00b7]*)(?:(?P<axis>\s*::)|:(?P<local>\*|[^\W\d][\w.\-\u00b7]*|(?P<bad>))|\s*(?P<lone>:))?(?=\s*(?P<call>\()?)
    |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
_STEPS = {".", "..", "@", "*", "axis", "name"}


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._depth = 0
        self.type = ""
        self.value: Any = ""
        self.prefix = ""
        self._call = False
        self.next()

    def next(self) -> None:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            rest = self._text[self._position :].lstrip()
            what = "a string that is not closed" if rest[:1] in "\"'" else f"an unexpected {rest[:1]!r}"
            raise XPathError(f"{self._text!r} has {what}")
        self._position = match.end()
        kind = match.lastgroup
        if match["number"]:
            number = parse_float(match["number"])
            self.type, self.value = "number", float("inf") if number is None else number
        elif match["string"]:
            self.type, self.value = "string", match["string"][1:-1]
        elif match["operator"]:
            self.type = self.value = match["operator"]
            if self.type == "!":
                raise XPathError(f"{self._text!r} has an unexpected '!'")
        elif match["name"]:
            if match["lone"] or match["bad"] is not None:
                raise XPathError(f"{self._text!r} has a name with nothing behind its colon")
            local = match["local"]
            self.type = "axis" if match["axis"] else "name"
            self.prefix, self.value = (match["name"], local) if local else ("", match["name"])
            self._call = bool(match["call"])
        else:
            assert kind in ("end", None)
            self.type = self.value = ""

    def skip(self, wanted: str) -> None:
        if self.type != wanted:
            found = repr(str(self.value)) if self.type else "its end"
            raise XPathError(f"{self._text!r} must have {wanted!r} where {found} is")
        self.next()

    def expression(self) -> Any:
        self._depth += 1
        if self._depth > 200:
            raise XPathError("the expression is nested too deeply")
        found = self._binary(0)
        self._depth -= 1
        return found

    def _operator(self, level: int) -> str:
        if self.type == "name":
            return str(self.value) if not self.prefix and self.value in _LEVELS[level] else ""
        return self.type if self.type in _LEVELS[level] else ""

    def _binary(self, level: int) -> Any:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        while operator := self._operator(level):
            self.next()
            left = Operation(operator, left, self._binary(level + 1))
        return left

    def _unary(self) -> Any:
        minus = False
        while self.type == "-":
            self.next()
            minus = not minus
        found = self._path()
        while self.type == "|":
            self.next()
            found = Operation("|", found, self._path())
        return Operation("*", found, Constant(-1.0)) if minus else found

    def _path(self) -> Any:
        if not (
            self.type in ("string", "number", "$", "(")
            or (self.type == "name" and self._call and (self.prefix or self.value not in _NODE_TYPES))
        ):
            return self._location()
        found = self._primary()
        if self.type == "[":
            found = Filter(found, self._predicate())
        if self.type == "/":
            self.next()
            return self._relative(found)
        if self.type == "//":
            self.next()
            return self._relative(Axis("descendant-or-self", ALL, "", "", found))
        return found

    def _primary(self) -> Any:
        kind, value = self.type, self.value
        self.next()
        if kind in ("string", "number"):
            return Constant(value)
        if kind == "$":
            if self.type != "name":
                raise XPathError(f"{self._text!r} has a '$' without a name")
            name = f"{self.prefix}:{self.value}" if self.prefix else str(self.value)
            self.next()
            return Variable(name)
        if kind == "(":
            found = self.expression()
            self.skip(")")
            return found if isinstance(found, Constant) else Group(found)
        self.skip("(")
        arguments = []
        if self.type != ")":
            arguments.append(self.expression())
            while self.type != ")":
                self.skip(",")
                arguments.append(self.expression())
        self.next()
        return Call(value, arguments)

    def _predicate(self) -> Any:
        self.skip("[")
        found = self.expression()
        self.skip("]")
        return found

    def _location(self) -> Any:
        if self.type == "/":
            self.next()
            return self._relative(Root()) if self.type in _STEPS else Root()
        if self.type == "//":
            self.next()
            return self._relative(Axis("descendant-or-self", ALL, "", "", Root()))
        return self._relative(None)

    def _relative(self, found: Any) -> Any:
        while True:
            found = self._step(found)
            if self.type == "//":
                found = Axis("descendant-or-self", ALL, "", "", found)
            elif self.type != "/":
                return found
            self.next()

    def _step(self, found: Any) -> Any:
        if self.type in (".", ".."):
            found = Axis("self" if self.type == "." else "parent", ALL, "", "", found)
            self.next()
        else:
            axis = "child"
            if self.type == "@":
                axis = "attribute"
                self.next()
            elif self.type == "axis":
                axis = self.value
                self.next()
            elif self.type == "(":
                return self._sequence(found)
            found = self._test(found, axis)
        while self.type == "[":
            found = Filter(found, self._predicate())
        return found

    def _sequence(self, before: Any) -> Any:
        self.next()
        found = self._step(before)
        while self.type == ",":
            self.next()
            found = Operation("|", found, self._step(before))
        self.skip(")")
        return found

    def _test(self, found: Any, axis: str) -> Axis:
        kind = ATTRIBUTE if axis == "attribute" else ELEMENT
        if self.type == "*":
            self.next()
            return Axis(axis, kind, "", "", found)
        if self.type != "name":
            raise XPathError(f"{self._text!r} must have the name of a node where {str(self.value) or 'its end'!r} is")
        name, prefix = str(self.value), self.prefix
        if self._call and not prefix and name in _NODE_TYPES:
            self.next()
            self.skip("(")
            local = ""
            if name == "processing-instruction":
                if self.type == "string":
                    local = self.value
                    self.next()
            else:
                kind = _NODE_TYPES[name]
            self.skip(")")
            return Axis(axis, kind, local, "", found)
        self.next()
        return Axis(axis, kind, "" if name == "*" else name, prefix, found)


_LEVELS: Final = (("or",), ("and",), ("=", "!="), ("<", ">", "<=", ">="), ("+", "-"), ("*", "div", "mod"))


def parse(text: str) -> Any:
    """Raises XPathError."""
    if not text:
        raise XPathError("the expression is empty")
    try:
        return _Parser(text).expression()
    except RecursionError:
        raise XPathError("the expression is nested too deeply") from None

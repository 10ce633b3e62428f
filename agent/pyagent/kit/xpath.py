"""XPath 1.0 over trees of any format, as the library antchfx/xpath evaluates it, which Telegraf has.

Nodes are of any class with the attributes of `Node`. Results are `bool`, `float`, `str`, or nodes.

The engine is that of antchfx in its order, and so in what surprises: nodes are sought one at a time, and a predicate
moves the place from which what stands behind it in the same expression is sought. Expressions that libxml2 would answer
in another way (`text()` of a CDATA section, `[position()]` after an axis, comparisons of booleans) get Telegraf's answer.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from pyagent.kit.xpath_syntax import ALL, ATTRIBUTE, COMMENT, ELEMENT, ROOT, TEXT, XPathError

__all__ = [
    "ALL",
    "ATTRIBUTE",
    "COMMENT",
    "ELEMENT",
    "ROOT",
    "TEXT",
    "Context",
    "Effort",
    "Node",
    "Query",
    "XPathError",
]


class Node(Protocol):
    kind: int
    name: str
    prefix: str
    parent: Any
    index: int
    """Its place among the children of its parent."""
    attributes: Any

    @property
    def children(self) -> Any: ...

    @property
    def blank(self) -> bool:
        """Whether it is a text of blanks alone, which does not count among siblings."""

    def text(self) -> str: ...

    def number(self) -> float: ...


SECONDS, SECONDS_PER_MIB = 10.0, 2.0
"""For all expressions of one document. Each `//` may look at the whole of it for each node that was found before."""
_STEPS = 2_000
"""Between two looks at the clock."""
_MOST_JOINED = 64 << 20


class Effort:
    """What one document may take. `left` counts nodes that are looked at, and texts that are made, by their length."""

    __slots__ = ("_joined", "_seconds", "_until", "left")

    def __init__(self, size: int = 0) -> None:
        """`size`: bytes of the document."""
        self.left = _STEPS
        self._seconds = SECONDS + SECONDS_PER_MIB * (size >> 20)
        self._until = time.monotonic() + self._seconds
        self._joined = _MOST_JOINED

    def spent(self) -> None:
        """When nothing is left. Raises XPathError where that was the end of it."""
        if time.monotonic() > self._until:
            raise XPathError(
                f"it takes more than {self._seconds:g} s to find what the expressions ask for; make them more exact, as // and "
                "* look at all there is"
            )
        self.left = _STEPS

    def join(self, text: str) -> str:
        """A part of a text that is made of many."""
        self._joined -= len(text)
        if self._joined < 0:
            raise XPathError(f"string-join() gives more than {_MOST_JOINED >> 20} MiB; select fewer nodes")
        return text


class Context:
    """Where an expression is evaluated. `root`: what `/` means. `node` moves with the evaluation."""

    __slots__ = ("counts", "effort", "node", "root")

    def __init__(self, node: Any, root: Any, effort: Effort | None = None) -> None:
        """`effort`: shared by the expressions of a document."""
        self.node = node
        self.root = root
        self.effort = effort or Effort()
        self.counts: dict[int, float] = {}

    def step(self) -> None:
        """Before a node is looked at. Raises XPathError where it takes too long."""
        effort = self.effort
        effort.left -= 1
        if effort.left < 0:
            effort.spent()

    def text(self, node: Any) -> str:
        """Of all that is below it, in XML. Raises XPathError where it takes too long."""
        text: str = node.text()
        effort = self.effort
        effort.left -= 1 + (len(text) >> 6)
        if effort.left < 0:
            effort.spent()
        return text


Test = Callable[[Any], bool]


class Query:
    """A part of an expression. `select` gives the nodes of one that is a node-set, one at a time."""

    kind = "nodes"
    """What it gives: nodes, boolean, number, string, or any (a function)."""
    merges = True
    """Whether predicates that count start anew for each parent."""
    posit = 1
    """The place of the node that was found last, where the axis counts."""
    level = 0
    input: Any = None
    test: Test | None = None

    def select(self, at: Context) -> Iterator[Any]:
        return iter(())

    def evaluate(self, at: Context) -> Any:
        """A value, or the query itself, which then gives nodes."""
        return self

    def first(self, at: Context) -> Any:
        return next(self.select(at), None)


class Here(Query):
    def select(self, at: Context) -> Iterator[Any]:
        yield at.node

    def first(self, at: Context) -> Any:
        return at.node


class Top(Query):
    def select(self, at: Context) -> Iterator[Any]:
        yield at.root

    def first(self, at: Context) -> Any:
        return at.root


class _Step(Query):
    def __init__(self, input: Query, test: Test, name: str = "") -> None:
        self.input = input
        self.test: Test = test
        self.name = name
        self.posit = 0


class Child(_Step):
    """`plain`: elements of that name without a prefix."""

    plain = ""
    _names: tuple[str, ...] | None = None

    def names(self) -> tuple[str, ...]:
        """The names of a path of plain children from where it begins, the first of which is "/" for the top; else none."""
        if self._names is None:
            above: tuple[str, ...] = ()
            if type(self.input) is Child:
                above = self.input.names()
            elif type(self.input) in (Here, Top):
                above = ("." if type(self.input) is Here else "/",)
            self._names = (*above, self.plain) if above and self.plain else ()
        return self._names

    def select(self, at: Context) -> Iterator[Any]:
        test, step = self.test, at.step
        for node in self.input.select(at):
            self.posit = 0
            for child in node.children:
                step()
                if test(child):
                    self.posit += 1
                    yield child

    def first(self, at: Context) -> Any:
        names = self.names()
        if names:
            node = at.node if names[0] == "." else at.root
            if hasattr(node, "first_named"):
                for name in names[1:]:
                    node = node.first_named(name)
                    if node is None:
                        return None
                return node
        test = self.test
        if type(self.input) is Here:
            for child in at.node.children:
                if test(child):
                    self.posit = 1
                    return child
            return None
        return next(self.select(at), None)


class Attribute(_Step):
    def __init__(self, input: Query, test: Test, name: str = "") -> None:
        super().__init__(input, test, name)
        self.posit = 1

    def select(self, at: Context) -> Iterator[Any]:
        for node in self.input.select(at):
            at.step()
            for attribute in node.attributes:
                if self.test(attribute):
                    yield attribute


class Descendant(_Step):
    def __init__(self, input: Query, test: Test, name: str = "", *, itself: bool = False) -> None:
        super().__init__(input, test, name)
        self.itself = itself

    def select(self, at: Context) -> Iterator[Any]:
        test, step = self.test, at.step
        for node in self.input.select(at):
            self.posit = 0
            if self.itself and test(node):
                self.level, self.posit = 0, 1
                yield node
            below = [iter(node.children)]
            while below:
                child = next(below[-1], None)
                step()
                if child is None:
                    below.pop()
                    continue
                if test(child):
                    self.level = len(below)
                    self.posit += 1
                    yield child
                below.append(iter(child.children))


class Topmost(_Step):
    """Descendants that are in no other one: what is sought below them is found once."""

    def __init__(self, input: Query, test: Test, name: str = "", *, itself: bool = False) -> None:
        super().__init__(input, test, name)
        self.itself = itself

    def select(self, at: Context) -> Iterator[Any]:
        test, step = self.test, at.step
        for node in self.input.select(at):
            self.posit = 0
            if (self.itself or not node.children) and test(node):
                self.posit = 1
                yield node
                continue
            below = [iter(node.children)]
            while below:
                child = next(below[-1], None)
                step()
                if child is None:
                    below.pop()
                elif test(child):
                    self.posit += 1
                    yield child
                else:
                    below.append(iter(child.children))


class Ancestor(_Step):
    def __init__(self, input: Query, test: Test, name: str = "", *, itself: bool = False) -> None:
        super().__init__(input, test, name)
        self.itself = itself

    def select(self, at: Context) -> Iterator[Any]:
        seen: set[int] = set()
        for node in self.input.select(at):
            self.posit = 0
            above = node if self.itself else node.parent
            while above is not None:
                at.step()
                if self.test(above) and id(above) not in seen:
                    seen.add(id(above))
                    self.posit += 1
                    yield above
                above = above.parent


def siblings(node: Any, *, before: bool = False) -> Iterable[Any]:
    """Those behind a node, or those before it, nearest first."""
    if node.parent is None or node.kind == ATTRIBUTE:
        return ()
    others = node.parent.children
    if not before:
        return others[node.index + 1 :]  # type: ignore[no-any-return]
    return [other for other in reversed(others[: node.index]) if not other.blank]


class Beside(_Step):
    """Following or preceding siblings, or all that follows or precedes in the document."""

    def __init__(self, input: Query, test: Test, *, before: bool, siblings_only: bool) -> None:
        super().__init__(input, test)
        self.before = before
        self.siblings_only = siblings_only

    def select(self, at: Context) -> Iterator[Any]:
        for node in self.input.select(at):
            self.posit = 0
            if self.siblings_only:
                for other in siblings(node, before=self.before):
                    at.step()
                    if self.test(other):
                        self.posit += 1
                        yield other
                continue
            above = node
            while above is not None:
                if above is not node and self.before:
                    self.posit = 0
                for other in siblings(above, before=self.before):
                    if not self.before:
                        self.posit = 0
                    at.node = other
                    for found in Descendant(Here(), self.test, itself=True).select(at):
                        self.posit += 1
                        yield found
                above = above.parent


class Parent(_Step):
    def select(self, at: Context) -> Iterator[Any]:
        self.posit = 1
        for node in self.input.select(at):
            at.step()
            if node.parent is not None and self.test(node.parent):
                yield node.parent


class Itself(_Step):
    def select(self, at: Context) -> Iterator[Any]:
        self.posit = 1
        for node in self.input.select(at):
            if self.test(node):
                yield node

    def first(self, at: Context) -> Any:
        node = self.input.first(at)
        return node if node is None or self.test(node) else next(self.select(at), None)


class Filtered(Query):
    def __init__(self, input: Query, condition: Query) -> None:
        self.input = input
        self.condition = condition
        self.merges = input.merges

    def _fits(self, at: Context) -> bool:
        value = self.condition.evaluate(at)
        if type(value) is bool:
            return value
        if type(value) is float:
            return value == value and abs(value) < 2**53 and int(value) == self.input.posit
        if type(value) is str:
            return bool(value)
        return isinstance(value, Query) and value.first(at) is not None

    def select(self, at: Context) -> Iterator[Any]:
        places: dict[int, int] = {}
        for node in self.input.select(at):
            at.node = node
            if self._fits(at):
                level = self.input.level
                self.posit = places[level] = places.get(level, 0) + 1
                yield node


class Merged(Query):
    def __init__(self, input: Query, child: Query) -> None:
        self.input = input
        self.child = child

    def select(self, at: Context) -> Iterator[Any]:
        for node in self.input.select(at):
            at.node = node
            yield from list(self.child.select(at))


class Grouped(Query):
    merges = False

    def __init__(self, input: Query) -> None:
        self.input = input
        self.kind = input.kind

    def select(self, at: Context) -> Iterator[Any]:
        self.posit = 0
        for node in self.input.select(at):
            self.posit += 1
            yield node

    def evaluate(self, at: Context) -> Any:
        value = self.input.evaluate(at)
        return self if value is self.input else value


class Union(Query):
    def __init__(self, left: Query, right: Query) -> None:
        self.left = left
        self.right = right

    def select(self, at: Context) -> Iterator[Any]:
        here = at.node
        found: dict[int, Any] = {}
        for side in (self.left, self.right):
            for node in side.select(at):
                found.setdefault(id(node), node)
            at.node = here
        yield from found.values()


class Reverse(Query):
    kind = "any"

    def __init__(self, input: Query) -> None:
        self.input = input

    def select(self, at: Context) -> Iterator[Any]:
        yield from reversed(list(self.input.select(at)))


class Constant(Query):
    def __init__(self, value: str | float) -> None:
        self.value = value
        self.kind = "number" if isinstance(value, float) else "string"

    def evaluate(self, at: Context) -> Any:
        return self.value


class Function(Query):
    kind = "any"

    def __init__(self, function: Callable[[Context], Any], input: Query | None = None) -> None:
        self.evaluate = function  # type: ignore[assignment,method-assign]  # a function of its own
        self.input = input


class Last(Query):
    """`[last()]` behind another predicate or parentheses: the number of nodes that there are, counted once."""

    kind = "number"

    def __init__(self, input: Query) -> None:
        self.input = input

    def evaluate(self, at: Context) -> float:
        count = at.counts.get(id(self))
        if count is None:
            count = at.counts[id(self)] = float(sum(1 for _ in self.input.select(at)))
        return count

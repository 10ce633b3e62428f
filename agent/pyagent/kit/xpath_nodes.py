"""Documents as trees for XPath: JSON, MessagePack and CBOR, with the names and texts that Telegraf's libraries give them.

Members of an object and elements of a list are elements; elements of a list have no name in JSON. A single value is a text
node below its element. Children are made when something asks for them.
"""

from typing import Any

from pyagent.api.units import format_number
from pyagent.kit.json_text import json_number, json_quoted
from pyagent.kit.numbers import go_float
from pyagent.kit.xpath_functions import to_number
from pyagent.kit.xpath_syntax import ELEMENT, ROOT, TEXT

__all__ = ["CborNode", "JsonNode", "TreeNode", "go_text", "named_path", "own_name"]

_NONE: list[Any] = []


class TreeNode:
    """A node without attributes and prefixes."""

    __slots__ = ("_children", "index", "kind", "name", "parent", "value")
    attributes = _NONE
    prefix = ""
    blank = False

    def __init__(self, kind: int, name: str, value: Any, parent: Any = None, index: int = 0) -> None:
        self.kind = kind
        self.name = name
        self.value = value
        self.parent = parent
        self.index = index
        self._children: list[Any] | None = _NONE if kind == TEXT else None

    @property
    def children(self) -> list[Any]:
        children = self._children
        if children is None:
            children = self._children = self.grow()
        return children

    def grow(self) -> list[Any]:
        raise NotImplementedError

    def text(self) -> str:
        raise NotImplementedError

    def number(self) -> float:
        return to_number(self.text())

    def native(self) -> Any:
        return None if self.kind == ROOT else self.value

    @property
    def is_list(self) -> bool:
        return self.kind != ROOT and isinstance(self.value, list)


class JsonNode(TreeNode):
    __slots__ = ()

    @classmethod
    def document(cls, value: Any) -> "JsonNode":
        return cls(ROOT, "", value)

    def grow(self) -> list[Any]:
        value = self.value
        if isinstance(value, dict):
            return [JsonNode(ELEMENT, name, value[name], self, index) for index, name in enumerate(sorted(value))]
        if isinstance(value, list):
            return [JsonNode(ELEMENT, "", item, self, index) for index, item in enumerate(value)]
        shown = value if type(value) is str else go_text(value)
        return [JsonNode(TEXT, shown, shown, self)]

    def first_named(self, name: str) -> "JsonNode | None":
        """The child of a name. It is one of its own: only its value is meant."""
        value = self.value
        if type(value) is not dict or name not in value:
            return None
        return JsonNode(ELEMENT, name, value[name], self)

    def text(self) -> str:
        value = self.value
        if self.kind == ROOT:
            return "null"
        return value if type(value) is str else go_json(value)

    def number(self) -> float:
        value = self.value
        return value if type(value) is float and self.kind != ROOT else to_number(self.text())


class CborNode(TreeNode):
    __slots__ = ()

    @classmethod
    def document(cls, value: Any) -> "CborNode":
        return cls(ROOT, "", value)

    def grow(self) -> list[Any]:
        children: list[Any] = []

        def add(name: str, value: Any) -> None:
            children.append(CborNode(ELEMENT, name, value, self, len(children)))

        value = self.value
        if isinstance(value, list):
            for item in value:
                add("element", item)
        elif isinstance(value, dict):
            for name, item in sorted(((_key(key), item) for key, item in value.items()), key=lambda pair: pair[0]):
                if isinstance(item, list):
                    for one in item:
                        add(name or "element", one)
                else:
                    add(name, item)
        else:
            children.append(CborNode(TEXT, go_text(value), value, self))
        return children

    def text(self) -> str:
        return "<nil>" if self.kind == ROOT else go_text(self.value)

    def number(self) -> float:
        value = self.value
        kind = type(value)
        return float(value) if (kind is float or kind is int) and self.kind != ROOT else to_number(self.text())


def _key(key: Any) -> str:
    """The name of a member, of which the key is a text, a number or a boolean."""
    if isinstance(key, str):
        return key
    if isinstance(key, bool):
        return "true" if key else "false"
    return "n" + format_number(key) if isinstance(key, float) else f"n{key}"


def go_text(value: Any) -> str:
    """As Go prints a value by %v. Keys are sorted."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, int):
        return str(int(value)) if -(2**63) <= value < 2**64 else _big(value)
    if isinstance(value, bytes):
        return "[" + " ".join(map(str, value)) + "]"
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(go_text, value)) + "]"
    if isinstance(value, dict):
        pairs = sorted(
            value.items(),
            key=lambda pair: (
                not isinstance(pair[0], int),
                pair[0] if isinstance(pair[0], int) else 0,
                go_text(pair[0]),
            ),
        )
        return "map[" + " ".join(f"{go_text(key)}:{go_text(item)}" for key, item in pairs) + "]"
    return str(value)


def _big(value: int) -> str:
    """An integer beyond 64 bits, which there is a sign and words of 64 bits."""
    words = []
    rest = abs(value)
    while rest:
        words.append(str(rest % 2**64))
        rest >>= 64
    return f"{{{go_text(value < 0)} [{' '.join(words)}]}}"


def go_json(value: Any) -> str:
    """As Go writes it in JSON: keys sorted, no blanks, `<`, `>` and `&` as escapes."""
    if isinstance(value, float):
        return json_number(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json_quoted(key)}:{go_json(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(go_json, value)) + "]"
    return json_quoted(value)


def own_name(node: Any, *, with_parent: bool) -> str:
    """The name of a node in the name of a field, with its place for an element of a list."""
    name = str(node.name)
    parent = node.parent
    if parent is not None and getattr(parent, "is_list", False):
        if not name and with_parent:
            name = f"{parent.name}_"
        return f"{name}{node.index}"
    return name


def named_path(node: Any, top: Any) -> str:
    """Names of the nodes between one and another above it, joined by `_`."""
    names = []
    above = node.parent
    while above is not None and above is not top:
        names.append(own_name(above, with_parent=False))
        above = above.parent
    return "_".join(reversed(names))

"""Messages of Protocol Buffers as trees for XPath, with the names and texts that Telegraf's library gives them.

Fields that are set are elements. Elements of a repeated message stand side by side under its name; those of a repeated value
are elements without a name below one that has it. Members of maps are named by their keys.
"""

from typing import Any

from pyagent.api import Uint
from pyagent.kit.numbers import go_float, shortest_float32
from pyagent.kit.xpath_nodes import TreeNode, go_text
from pyagent.kit.xpath_syntax import ELEMENT, ROOT, TEXT
from pyagent.kit.xpath_values import Foreign

__all__ = ["ProtobufNode"]

_FLOAT, _ENUM, _GROUP, _MESSAGE = 2, 14, 10, 11
_UNSIGNED = (4, 6, 7, 13)  # uint64, fixed64, fixed32, uint32


class ProtobufNode(TreeNode):
    """`value`: a message, a list of values below its field, or a single value, which is that of a text node."""

    __slots__ = ()

    @classmethod
    def document(cls, message: Any) -> "ProtobufNode":
        return cls(ROOT, "", message)

    def grow(self) -> list[Any]:
        value = self.value
        children: list[Any] = []
        if isinstance(value, _Values):
            for name, item in value.items:
                children.append(ProtobufNode(ELEMENT, name, item, self, len(children)))
        elif isinstance(value, _Value):
            children.append(ProtobufNode(TEXT, "", value, self))
        else:
            for field, item in value.ListFields():
                for name, one in _parts(field, item):
                    children.append(ProtobufNode(ELEMENT, name, one, self, len(children)))
        return children

    def text(self) -> str:
        if self.kind == ROOT:
            return ""
        value = self.value
        if isinstance(value, _Value):
            return value.text
        return "".join([child.text() for child in self.children])

    def native(self) -> Any:
        value = self.value
        return value.native if isinstance(value, _Value) else None

    @property
    def is_list(self) -> bool:
        return False


class _Values:
    """Single values below one field, with their names."""

    __slots__ = ("items",)

    def __init__(self, items: list[tuple[str, Any]]) -> None:
        self.items = items


class _Value:
    __slots__ = ("native", "text")

    def __init__(self, kind: int, value: Any) -> None:
        self.native = value
        if kind in (_GROUP, _MESSAGE, _ENUM):
            self.text = " ".join(line.strip().replace(": ", ":", 1) for line in str(value).splitlines())
            self.native = Foreign(self.text)
        elif kind == _FLOAT:
            self.text = go_float(float(shortest_float32(value)))
        else:
            if kind in _UNSIGNED:
                self.native = Uint(value)
            self.text = go_text(value)


def _is_repeated(field: Any) -> bool:
    repeated = getattr(field, "is_repeated", None)
    return bool(repeated) if repeated is not None else field.label == field.LABEL_REPEATED


def _parts(field: Any, value: Any) -> list[tuple[str, Any]]:
    name, kind = str(field.name), int(field.type)
    if kind == _MESSAGE and field.message_type.GetOptions().map_entry:
        of_values = int(field.message_type.fields_by_name["value"].type)
        items = [(go_text(key), _Value(of_values, value[key])) for key in sorted(value)]
        return [(name, _Values(items))] if items else []
    if not _is_repeated(field):
        return [(name, value if kind == _MESSAGE else _Value(kind, value))]
    if kind == _MESSAGE:
        return [(name, item) for item in value]
    return [(name, _Values([("", _Value(kind, item)) for item in value]))]

"""Types as they are known before anything is computed, and which may stand for which.

Follows cel-go's checker to the letter where it matters: whether an expression is accepted depends on it. `dyn`, the type of
a field's value, stands for any type; a variable (`A` in a signature) is bound by the first type that it meets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["BOOL", "DYN", "Bindings", "Type", "list_of", "map_of", "parse_type", "type_of"]


@dataclass(frozen=True, slots=True)
class Type:
    name: str
    parameters: tuple["Type", ...] = ()
    variable: bool = False

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.parameters))})" if self.parameters else self.name

    @property
    def open(self) -> bool:
        """What it will be is known only when the expression runs."""
        return self.variable or self.name == "dyn"

    @property
    def unsure(self) -> bool:
        """Values of it may be of another type than what takes them wants; null stands in for times."""
        return self.open or self.name == "null_type"


BOOL, DYN, NULL = Type("bool"), Type("dyn"), Type("null_type")
_NULLABLE = ("null_type", "google.protobuf.Timestamp", "google.protobuf.Duration")
_SHORT = {"timestamp": "google.protobuf.Timestamp", "duration": "google.protobuf.Duration"}


def list_of(item: Type) -> Type:
    return Type("list", (item,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def type_of(kind: Type) -> Type:
    return Type("type", (kind,))


def parse_type(text: str) -> Type:
    """`int`, `list(A)`, `map(A,B)`; a capital letter is a variable."""
    name, _, inner = text.removesuffix(")").partition("(")
    if inner:
        return Type(name, tuple(map(parse_type, inner.split(","))))
    return Type(_SHORT.get(name, name), variable=name.isupper())


class Bindings:
    """What variables stand for."""

    def __init__(self) -> None:
        self._bound: dict[Type, Type] = {}
        self._fresh = 0

    def fresh(self) -> Type:
        """A variable that is bound to nothing yet."""
        self._fresh += 1
        return Type(f"_{self._fresh}", variable=True)

    def instantiate(self, types: Sequence[Type]) -> list[Type]:
        """Types of a signature with variables of their own."""
        own: dict[Type, Type] = {}

        def renewed(kind: Type) -> Type:
            if kind.variable:
                return own.setdefault(kind, self.fresh())
            return Type(kind.name, tuple(map(renewed, kind.parameters))) if kind.parameters else kind

        return [renewed(kind) for kind in types]

    def assignable(self, given: Sequence[Type], wanted: Sequence[Type]) -> bool:
        """Whether each type may stand for the other. Variables are bound where all may, else nothing changes."""
        before = dict(self._bound)
        if len(given) == len(wanted) and all(map(self._assign, given, wanted)):
            return True
        self._bound = before
        return False

    def join(self, one: Type, other: Type) -> Type:
        """The type of a list that holds both."""
        if self.assignable([one], [other]):
            return one if _less_specific(one, other) else other
        return DYN

    def resolve(self, kind: Type, *, final: bool = False) -> Type:
        """With variables replaced by what they stand for; in the end those that are bound to nothing are `dyn`."""
        if kind in self._bound:
            return self.resolve(self._bound[kind], final=final)
        if kind.variable:
            return DYN if final else kind
        if not kind.parameters:
            return kind
        return Type(kind.name, tuple(self.resolve(parameter, final=final) for parameter in kind.parameters))

    def _assign(self, one: Type, other: Type) -> bool:
        if other.variable:
            valid, bound = self._substitutes(one, other)
            if valid or bound:
                return valid
        if one.variable:
            return self._substitutes(other, one)[0]
        if one.open or other.open:
            return True
        if NULL in (one, other):
            return one.name in _NULLABLE and other.name in _NULLABLE
        if one.name == "type":
            return other.name == "type"
        if one.parameters and one.name == other.name:
            return all(map(self._assign, one.parameters, other.parameters))
        return one == other

    def _substitutes(self, kind: Type, variable: Type) -> tuple[bool, bool]:
        """Whether a type may stand for a variable, and whether the variable was bound before."""
        if kind == variable:
            return True, True
        bound = self._bound.get(variable)
        if bound is None:
            if self._occurs(variable, kind):
                return False, False
            self._bound[variable] = kind
            return True, False
        if kind == bound:
            return True, True
        if not self._assign(kind, bound):
            return False, True
        general = kind if _less_specific(kind, bound) else bound
        if not self._occurs(variable, general):
            self._bound[variable] = general
        return True, True

    def _occurs(self, variable: Type, within: Type) -> bool:
        if variable == within:
            return True
        if within.variable:
            bound = self._bound.get(within)
            return bound is not None and self._occurs(variable, bound)
        return any(self._occurs(variable, parameter) for parameter in within.parameters)


def _less_specific(one: Type, other: Type) -> bool:
    if one.name == "dyn" or one.variable:
        return True
    if other.name == "dyn" or other.variable or one.name != other.name:
        return False
    return one.name == "type" or all(map(_less_specific, one.parameters, other.parameters))

"""How functions are declared: a name, and for each combination of types what it gives and the Python function that does it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pyagent.cel.types import Type, parse_type
from pyagent.cel.values import CEL_TYPES, Failure

__all__ = ["Dispatch", "Library", "Overload", "describe_missing"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Overload:
    parameters: tuple[Type, ...]
    """A method's target comes first."""
    result: Type
    method: bool
    call: Callable[..., Any]
    late: bool = False
    """For values whose types are known only when it runs; the checker does not offer it."""

    def takes(self, kinds: Sequence[type]) -> bool:
        """Whether values of these Python types will do; what a list holds is not looked at."""
        return all(
            parameter.variable or (kind in CEL_TYPES and CEL_TYPES[kind].name == parameter.name)
            for kind, parameter in zip(kinds, self.parameters, strict=True)
        )


class Library:
    """Functions by name. A signature reads "string, int -> string"."""

    def __init__(self) -> None:
        self.functions: dict[str, list[Overload]] = {}

    def function(self, name: str, *signatures: str) -> Callable[[F], F]:
        """Declares `name(a, b)`."""
        return self._declare(name, signatures)

    def method(self, name: str, *signatures: str) -> Callable[[F], F]:
        """Declares `a.name(b)`."""
        return self._declare(name, signatures, method=True)

    def late(self, name: str, *signatures: str) -> Callable[[F], F]:
        """Declares what the checker does not offer: 1 < 1.5 is refused, and of two fields the same is computed."""
        return self._declare(name, signatures, late=True)

    def _declare(
        self, name: str, signatures: Sequence[str], *, method: bool = False, late: bool = False
    ) -> Callable[[F], F]:
        def declared(call: F) -> F:
            for signature in signatures:
                parameters, _, result = signature.rpartition("-> ")
                types = tuple(parse_type(part) for part in parameters.strip().split(", ") if part)
                overload = Overload(types, parse_type(result), method, call, late)
                self.functions.setdefault(name, []).append(overload)
            return call

        return declared


class Dispatch(dict[tuple[type, ...], Callable[..., Any]]):
    """The function for arguments of these Python types. There are few combinations, so each is looked for once."""

    def __init__(self, name: str, overloads: Sequence[Overload]) -> None:
        self._name = name
        self._overloads = overloads

    def __missing__(self, kinds: tuple[type, ...]) -> Callable[..., Any]:
        for overload in self._overloads:
            if overload.takes(kinds):
                self[kinds] = overload.call
                return overload.call
        given = [CEL_TYPES[kind].name if kind in CEL_TYPES else kind.__name__ for kind in kinds]
        raise Failure(describe_missing(self._name, given, method=self._overloads[0].method))


def describe_missing(name: str, types: Sequence[object], *, method: bool) -> str:
    """In words: there is no such function for these types."""
    is_operator = "_" in (name[0], name[-1])
    symbol = name.replace("_", "") if is_operator else name.replace("@max", "greatest").replace("@min", "least")
    first, rest = (f"{types[0]}.", types[1:]) if method else ("", types)
    return f"{symbol!r} cannot be applied to {first}({', '.join(map(str, rest))})"

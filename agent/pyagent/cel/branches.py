"""What is more than a function of its arguments: logic, equality, membership, and going through lists and maps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyagent.cel.cost import spend
from pyagent.cel.syntax import Call
from pyagent.cel.values import ERRORS, CelType, Failure, equal, shown

__all__ = [
    "Code",
    "Frame",
    "Run",
    "a_bool",
    "a_map",
    "conditional",
    "equality",
    "has",
    "items_of",
    "logic",
    "membership",
    "quantified",
]

Frame = list[Any]
Run = Callable[[Frame], Any]
_EQUALS = frozenset(("bool", "int", "uint", "string", "bytes", "google.protobuf.Timestamp", "google.protobuf.Duration"))
"""Types whose values are equal where Python finds them equal, if both sides are of the same one."""


@dataclass(frozen=True, slots=True)
class Code:
    run: Run
    fixed: bool = False
    """It gives the same on every frame."""
    literal: bool = False
    """It stands there: no function but conversions has made it."""
    value: Any = None


def equality(node: Call, codes: list[Code], *, wanted: bool) -> Run:
    one, other = (code.run for code in codes)
    kinds = [operand.type.name for operand in node.operands]
    fixed_text = any(code.fixed and isinstance(code.value, str) for code in codes)
    if fixed_text or (kinds[0] == kinds[1] and kinds[0] in _EQUALS):
        if wanted:
            return lambda frame: one(frame) == other(frame)
        return lambda frame: one(frame) != other(frame)
    return lambda frame: equal(one(frame), other(frame)) is wanted


def membership(node: Call, codes: list[Code]) -> Run:
    one, container = (code.run for code in codes)
    if node.operands[1].type.name == "map":
        return lambda frame: one(frame) in container(frame)
    items = codes[1].value
    if isinstance(items, list) and all(isinstance(item, str | CelType) for item in items):
        known = frozenset(items)

        def among(frame: Frame) -> bool:
            value = one(frame)
            return isinstance(value, str | CelType) and value in known

        return among

    def member(frame: Frame) -> bool:
        value, held = one(frame), container(frame)
        if isinstance(held, dict):
            return value in held
        if isinstance(held, list):
            spend(len(held))
            return any(equal(value, item) for item in held)
        raise Failure(f"{shown(held)} is no list or map that could hold something")

    return member


def logic(runs: list[Run], *, decides: bool) -> Run:
    """`||` where True decides, `&&` where False does. A part that fails matters only where no other one decides."""

    def despite(frame: Frame, rest: list[Run], error: Exception) -> bool:
        for run in rest:
            try:
                if a_bool(run(frame)) is decides:
                    return decides
            except ERRORS:
                continue
        raise error

    if len(runs) == 2:
        first, second = runs

        def both(frame: Frame) -> bool:
            try:
                one = a_bool(first(frame))
            except ERRORS as error:
                return despite(frame, [second], error)
            return decides if one is decides else a_bool(second(frame))

        return both

    def all_of_them(frame: Frame) -> bool:
        for place, run in enumerate(runs, 1):
            try:
                if a_bool(run(frame)) is decides:
                    return decides
            except ERRORS as error:
                return despite(frame, runs[place:], error)
        return not decides

    return all_of_them


def conditional(condition: Run, yes: Run, no: Run) -> Run:
    return lambda frame: yes(frame) if a_bool(condition(frame)) else no(frame)


def quantified(operand: Run, slot: int, condition: Run, steps: int, *, decides: bool) -> Run:
    """`exists` where True decides, `all` where False does. A round takes `steps`."""

    def quantified(frame: Frame) -> bool:
        failed: Exception | None = None
        for item in items_of(operand(frame)):
            spend(steps)
            frame[slot] = item
            try:
                if a_bool(condition(frame)) is decides:
                    return decides
            except ERRORS as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return not decides

    return quantified


def items_of(value: Any) -> Any:
    if isinstance(value, list | dict):
        return value
    raise Failure(f"{shown(value)} is no list or map that one could go through")


def a_bool(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise Failure(f"{shown(value)} is no bool")


def has(value: Any, name: str) -> bool:
    """What is no map has no parts; that a list is asked for them is a failure, as in Telegraf."""
    if isinstance(value, list):
        raise Failure(f"a list has no parts to ask for by '.{name}'")
    return isinstance(value, dict) and name in value


def a_map(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value
    raise Failure(f"{shown(value)} has no parts to select by '.{name}'")

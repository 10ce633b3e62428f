"""A bound on the work of one evaluation, as cel-go's cost limit: expressions and metrics both may come from strangers.

A step is what one part of an expression takes, or 16 characters of a text that is made. Only what can add up is counted: the
rounds of macros, what is made of texts and lists, what goes through lists within lists.
"""

import threading
from typing import Any

__all__ = ["MOST_STEPS", "CostLimit", "allow", "spend", "spend_on"]

MOST_STEPS = 200_000


class CostLimit(Exception):
    """The evaluation takes too long. No part of an expression goes on without it: `||` and the like do not catch it."""

    def __init__(self) -> None:
        super().__init__(f"it takes more than {MOST_STEPS:,} steps; make it simpler")


class _Left(threading.local):
    steps = MOST_STEPS


_LEFT = _Left()


def allow(steps: int) -> None:
    """Begin an evaluation."""
    _LEFT.steps = steps


def spend(steps: int) -> None:
    """Raises CostLimit."""
    _LEFT.steps -= steps
    if _LEFT.steps < 0:
        raise CostLimit


def spend_on(value: Any) -> Any:
    """The value, its size paid for."""
    if isinstance(value, str | bytes | list | dict):
        spend(len(value) >> 4)
    return value

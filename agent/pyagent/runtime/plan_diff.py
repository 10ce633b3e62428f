"""What of a running plan stays under another one."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from pyagent.config import PluginPlan

__all__ = ["Running", "match"]

PlanT = TypeVar("PlanT", bound=PluginPlan)


class Running(Protocol):
    @property
    def plan(self) -> PluginPlan: ...


RunningT = TypeVar("RunningT", bound=Running)


def match(plans: Sequence[PlanT], running: Iterable[RunningT]) -> list[tuple[PlanT, RunningT | None]]:
    """Each plan with what runs it already, unchanged but for the place where it is written; None where nothing does."""
    free = list(running)
    pairs: list[tuple[PlanT, RunningT | None]] = []
    for plan in plans:
        found = next((one for one in free if one.plan.identity == plan.identity and _same(one.plan, plan)), None)
        if found is not None:
            free.remove(found)
        pairs.append((plan, found))
    return pairs


def _same(plan: PluginPlan, other: PluginPlan) -> bool:
    # The identity is of the text: what the environment or [agent] has made of it is compared too.
    return _anywhere(plan) == _anywhere(other)


def _anywhere(plan: PluginPlan) -> PluginPlan:
    return dataclasses.replace(plan, location="", option_locations={})

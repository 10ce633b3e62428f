"""What of a running plan stays under another one."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from pyagent.config import PluginPlan
from pyagent.pipeline.outputs.running_output import RunningOutput

__all__ = ["Running", "match", "successor"]

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


def successor(runner: RunningOutput, candidates: Iterable[RunningOutput]) -> RunningOutput | None:
    """The new output that writes to the same place in the same format: what is queued is as good there."""
    for candidate in candidates:
        same_queue = candidate.plan.queue_id == runner.plan.queue_id
        if same_queue and candidate.encoder.format == runner.encoder.format:
            return candidate
    return None

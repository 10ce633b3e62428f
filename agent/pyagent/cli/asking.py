"""Asking inputs what they write, where programs and files of others know it: `pyagent dashboards --ask`."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

from pyagent.api import ConfigError, Input, Measurement
from pyagent.api.foreign import call_with_deadline
from pyagent.config import Plan
from pyagent.pipeline.failures import reason_of
from pyagent.runtime.build import build_plugins

__all__ = ["ask_inputs", "can_be_asked"]

PATIENCE = 300.0
"""Seconds for one input, however many programs it runs."""


def can_be_asked(plan: Plan) -> list[str]:
    """The inputs that know more than they declare."""
    return sorted(
        {f"inputs.{one.name}" for one in plan.inputs if one.plugin.ask_measurements is not Input.ask_measurements}
    )


async def ask_inputs(plan: Plan, warn: Callable[[str], None]) -> dict[str, Sequence[Measurement]]:
    """What they say, by the identity of their plans. One that cannot be asked is a warning, and has what it declares."""
    found: dict[str, Sequence[Measurement]] = {}
    heard, log = _Heard(warn), logging.getLogger("pyagent")
    before, level = log.handlers[:], log.level
    log.handlers[:] = [heard]
    log.setLevel(logging.WARNING)
    try:
        for one in plan.inputs:
            if one.plugin.ask_measurements is Input.ask_measurements:
                continue
            heard.label = one.label
            try:
                built = await build_plugins([one])
                for each in built:
                    plugin = cast("Input[Any]", each.plugin)
                    try:
                        asked = await asyncio.to_thread(
                            call_with_deadline, plugin.ask_measurements, PATIENCE, f"ask {one.label}"
                        )
                        found[one.identity] = list(asked)
                    finally:
                        await plugin.stop()
            except TimeoutError:
                warn(f"cannot ask {one.label}: it has not answered for {PATIENCE:g} s; see its timeout")
            except ConfigError as error:
                warn(str(error))
            except Exception as error:
                warn(f"cannot ask {one.label}: {reason_of(error)}")
    finally:
        log.handlers[:] = before
        log.setLevel(level)
    return found


class _Heard(logging.Handler):
    """What is logged meanwhile."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.label = ""
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(f"{self.label}: {record.getMessage()}")

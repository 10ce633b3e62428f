"""The code of others that runs in an input, for those who look after the host."""

import contextlib
from typing import Any

from pyagent.api import Input, redact
from pyagent.api.foreign import file_of, plain_text
from pyagent.config import InputPlan

__all__ = ["MOST", "origins_of"]

MOST = 1000


def origins_of(plan: InputPlan, plugin: Input[Any]) -> list[str]:
    """What it is and where it is from: what the input says of itself, or where its own code is, of one from outside."""
    if plan.origin != "builtin":
        return [redact(file_of(plan.plugin) or plan.origin)]  # none of its methods is called here, on the main loop
    with contextlib.suppress(Exception):
        return [redact(plain_text(one))[:500] for one in list(plugin.origins())[:MOST]]
    return []

"""What the agent knows about itself, for plugins that report it (`inputs.internal`)."""

from collections.abc import Mapping
from typing import Any

from pyagent.hooks import statistics

__all__ = ["own_statistics"]


def own_statistics() -> Mapping[str, Any]:
    """The document that `pyagent status --json` shows; empty outside of a running agent (--test, a plugin's own tests)."""
    return statistics()

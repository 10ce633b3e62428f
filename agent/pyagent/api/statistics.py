"""What the agent knows about itself, for plugins that report it (`inputs.internal`)."""

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["own_statistics", "provide_statistics"]

_source: Callable[[], Mapping[str, Any]] | None = None


def own_statistics() -> Mapping[str, Any]:
    """The document that `pyagent status --json` shows; empty outside of a running agent (--test, a plugin's own tests)."""
    return _source() if _source is not None else {}


def provide_statistics(source: Callable[[], Mapping[str, Any]]) -> None:
    """Called once by the engine when it runs."""
    global _source
    _source = source

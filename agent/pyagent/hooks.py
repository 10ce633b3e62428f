"""What the engine and the contract `pyagent.api` have in common behind it: no plugin imports this."""

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["known_secrets", "provide_statistics", "statistics"]

known_secrets: set[str] = set()
"""The values of all secrets of this process: they are masked wherever text is shown."""
_source: Callable[[], Mapping[str, Any]] | None = None


def provide_statistics(source: Callable[[], Mapping[str, Any]]) -> None:
    """`source` gives what the agent knows about itself. Called once, when it runs."""
    global _source
    _source = source


def statistics() -> Mapping[str, Any]:
    """What the source gives; empty where there is none."""
    return _source() if _source is not None else {}

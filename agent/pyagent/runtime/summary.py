"""The one line of the unit's status: what it does, how much, what waits, what fails."""

import time
from collections.abc import Mapping
from typing import Any

__all__ = ["Summary"]


class Summary:
    """Made of two looks at the same sums."""

    def __init__(self) -> None:
        self._at = 0.0
        self._gathered = 0

    def line(self, document: Mapping[str, Any], now: float | None = None) -> str:
        """`document` is `pyagent.runtime.status.status`'s; `now` monotonic seconds."""
        now = time.monotonic() if now is None else now
        inputs, outputs = document["inputs"], document["outputs"]
        gathered = sum(one["metrics"] for one in inputs)
        passed = now - self._at
        rate = max(gathered - self._gathered, 0) / passed if self._at and passed > 0 else 0.0
        self._at, self._gathered = now, gathered
        parts = [f"gathering {_names(inputs)}; writing {_names(outputs)}", f"{rate:.3g} metrics/s"]
        queued = sum(one["queued"] for one in outputs)
        oldest = max((one["oldest_age_seconds"] for one in outputs), default=0.0)
        if queued:
            parts.append(f"{queued:,} waiting, the oldest {_span(oldest)}")
        return "; ".join(parts + document.get("problems", [])[:3])


def _names(plugins: list[dict[str, Any]]) -> str:
    return ", ".join(one["name"].partition(".")[2] for one in plugins) or "none"


def _span(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

"""What is not as it should be, by names that stay: alerts and scripts may rely on them."""

from collections.abc import Iterator, Mapping
from typing import Any

from pyagent.api.units import counted

__all__ = ["degraded", "health"]

STALE_AFTER_INTERVALS = 3
"""An input that gave nothing for so many intervals is stuck."""
SLOW_LOOP = 1.0
"""Seconds by which the main loop may come late."""


def degraded(document: Mapping[str, Any]) -> list[dict[str, str]]:
    """The states that the agent is in, each with its name and a text; none where all is well."""
    return [{"state": state, "text": text} for state, text in _states(document)]


def health(document: Mapping[str, Any]) -> list[str]:
    """The texts alone."""
    return [text for _, text in _states(document)]


def _states(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    configuration = document["configuration"]
    if configuration["waiting"]:
        yield "config-waiting", f"waiting for the configuration: {configuration['waiting']}"
    if configuration.get("held_back"):
        yield "config-held-back", configuration["held_back"]
    if not configuration["last_reload_ok"]:
        yield "reload-failed", f"the last reload failed: {configuration['last_reload_error']}"
    for one in document.get("broken", ()):
        outcome = "the one before it goes on" if one["kept"] else "it is left out"
        yield "plugin-broken", f"{one['reason']}; {outcome}"
    for one in document.get("given_up", ()):
        yield "thread-given-up", f"{one['name']}: it was given up {one['seconds']:.0f} s ago, and still works"
    for one in document["inputs"]:
        if one["error"]:
            yield "input-failing", f"{one['name']}: {one['error']}"
        elif (one["age_seconds"] or 0) > STALE_AFTER_INTERVALS * one["interval_seconds"]:
            yield "input-stuck", f"{one['name']}: its gather has not ended for {one['age_seconds']:.0f} s"
    for one in document["outputs"]:
        if one["error"]:
            yield "output-failing", f"{one['name']}: {one['error']}"
        if one.get("disk_error"):
            yield "buffer-disk-failing", f"{one['name']}: cannot write to its disk buffer: {one['disk_error']}"
        if one["queued"] >= one["limit"]:
            yield "queue-full", f"{one['name']}: its queue is full ({counted(one['queued'], 'metric')})"
    for one in (*document.get("processors", ()), *document.get("aggregators", ())):
        if one["error"]:
            where = " (behind the aggregators)" if one.get("behind_aggregators") else ""
            yield "stage-failing", f"{one['name']}{where}: {one['error']}"
    if document.get("loop_lag_seconds", 0.0) > SLOW_LOOP:
        yield "loop-lag", f"the main loop came {document['loop_lag_seconds']:.1f} s late"

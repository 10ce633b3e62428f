"""The agent's own numbers in Prometheus' text format."""

from collections.abc import Mapping
from typing import Any

from pyagent.runtime.health import degraded

__all__ = ["prometheus"]

_HELP = {
    "input": {
        "metrics": ("counter", "Metrics gathered."),
        "failures": ("counter", "Gathers that failed."),
        "overruns": ("counter", "Ticks that found the gather before still running."),
        "abandoned": ("counter", "Gathers that were given up."),
        "dropped": ("counter", "Metrics and fields that were lost before the outputs."),
        "duration_seconds": ("gauge", "Time that the last gather took."),
        "success": ("gauge", "1 where the last gather succeeded."),
    },
    "output": {
        "written": ("counter", "Metrics delivered."),
        "rejected": ("counter", "Metrics that the receiver refused for good."),
        "dropped": ("counter", "Metrics dropped because the queue was full."),
        "filtered": ("counter", "Metrics kept out by filters."),
        "damaged": ("counter", "Metrics that were on disk and cannot be read any more."),
        "damaged_bytes": ("counter", "Bytes of the log on disk that cannot be read."),
        "set_aside": ("gauge", "Files of the log on disk that are not understood or belong elsewhere, and are kept."),
        "restored": ("counter", "Metrics found on disk at the start."),
        "queued": ("gauge", "Metrics that wait."),
        "disk_bytes": ("gauge", "Size on disk of what waits there."),
        "queued_bytes": ("gauge", "Encoded size of what waits."),
        "oldest_age_seconds": ("gauge", "Age of the oldest metric that waits."),
        "write_seconds": ("counter", "Time spent in writes."),
        "failures": ("counter", "Writes that failed."),
    },
    "aggregator": {
        "pushed": ("counter", "Metrics handed on."),
        "dropped": ("counter", "Metrics outside of the window."),
    },
}
_QUARANTINE_HELP = {
    "metrics": ("gauge", "Metrics that were refused for good and are kept."),
    "entries": ("gauge", "DeadLetters that they came from."),
    "bytes": ("gauge", "Size of their records."),
    "evicted": ("counter", "Refused metrics that had to go for newer ones."),
}


def prometheus(document: Mapping[str, Any]) -> str:
    """The same numbers in Prometheus' text format."""
    lines = []

    def add(name: str, kind: str, text: str, samples: list[tuple[str, float]]) -> None:
        lines.append(f"# HELP {name} {text}")
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{labels} {value:.15g}" for labels, value in samples)

    configuration = document["configuration"]
    version = f'{{version="{document["version"]}"}}'
    add("pyagent_info", "gauge", "The version that runs.", [(version, 1)])
    add("pyagent_uptime_seconds", "gauge", "Time since the start.", [("", document["uptime_seconds"])])
    age = configuration["age_seconds"]
    add("pyagent_config_age_seconds", "gauge", "Time since the configuration was loaded.", [("", age or 0)])
    reloaded = float(configuration["last_reload_ok"])
    memory = float(document["buffer"]["memory_bytes"])
    add(
        "pyagent_buffer_memory_bytes",
        "gauge",
        "Memory of all that waits, counted once where outputs share it.",
        [("", memory)],
    )
    for name, (type_, text) in _QUARANTINE_HELP.items() if "quarantine" in document else ():
        suffix = "_total" if type_ == "counter" else ""
        add(f"pyagent_quarantine_{name}{suffix}", type_, text, [("", float(document["quarantine"][name]))])
    add("pyagent_resident_bytes", "gauge", "Memory in use.", [("", float(document["resident_bytes"]))])
    add("pyagent_loop_lag_seconds", "gauge", "How late the main loop came.", [("", document["loop_lag_seconds"])])
    states = [(f'{{state="{one["state"]}"}}', 1.0) for one in degraded(document)]
    add("pyagent_degraded", "gauge", "1 for each state that is not as it should be.", list(dict.fromkeys(states)))
    add("pyagent_config_last_reload_ok", "gauge", "1 where the last reload succeeded.", [("", reloaded)])
    for kind, fields in _HELP.items():
        for field, (type_, text) in fields.items():
            suffix = "_total" if type_ == "counter" else ""
            samples = [
                (f'{{{kind}="{_escaped(one["name"])}"}}', _value(one, field)) for one in document.get(f"{kind}s", ())
            ]
            add(f"pyagent_{kind}_{field}{suffix}", type_, text, samples)
    return "\n".join(lines) + "\n"


def _value(one: Mapping[str, Any], field: str) -> float:
    value = not one["error"] if field == "success" else one[field]
    return float(sum(value.values()) if isinstance(value, dict) else value)  # by reason


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

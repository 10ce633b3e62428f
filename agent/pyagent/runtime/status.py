"""What the agent says about itself: one document, from which health and metrics follow."""

import os
import time
from collections.abc import Mapping
from typing import Any

from pyagent import __version__
from pyagent.buffer import memory_of
from pyagent.config import PluginPlan
from pyagent.pipeline.delivery import OutputRunner
from pyagent.pipeline.gather import InputRunner
from pyagent.runtime.agent import Agent

__all__ = ["Document", "ReloadState", "health", "prometheus", "status"]

Document = dict[str, Any]
STALE_AFTER_INTERVALS = 3
"""An input that gave nothing for so many intervals, or an output that failed for so many, is a problem."""


class ReloadState:
    """How the configuration came to be the one that runs. Times are seconds since the epoch, 0: never."""

    def __init__(self) -> None:
        self.started = time.time()
        self.loaded = 0.0
        self.from_cache = False
        self.waiting = ""
        """Why there is no configuration yet."""
        self.failed = 0.0
        self.error = ""
        """Of the last reload; empty where it succeeded."""

    def accepted(self, *, from_cache: bool) -> None:
        self.loaded, self.from_cache = time.time(), from_cache
        self.waiting = self.error = ""

    def refused(self, error: str) -> None:
        self.failed, self.error = time.time(), error


def status(agent: Agent, reload: ReloadState, instance: str) -> Document:
    """Everything, as JSON can hold it. No secret is in it: options are not shown, and errors come masked from the log."""
    now = time.time()
    plan = agent.plan
    return {
        "version": __version__,
        "instance": instance,
        "pid": os.getpid(),
        "uptime_seconds": round(now - reload.started, 3),
        "configuration": {
            "sources": list(plan.sources) if plan else [],
            "loaded": reload.loaded,
            "age_seconds": round(now - reload.loaded, 3) if reload.loaded else None,
            "from_cache": reload.from_cache,
            "waiting": reload.waiting,
            "last_reload_ok": not reload.error,
            "last_reload_error": reload.error,
        },
        "inputs": [_input(runner, now) for runner in agent.inputs],
        "outputs": [_output(runner, now) for runner in agent.outputs],
        "buffer": {
            "metrics": sum(runner.queued for runner in agent.outputs),
            "memory_bytes": memory_of(
                lines for runner in agent.outputs for queue in runner.queues for lines in queue.held()
            ),
            "disk_bytes": sum(queue.disk_bytes for runner in agent.outputs for queue in runner.queues),
        },
        "aggregators": [
            _names(a.plan)
            | {"pushed": a.pushed, "dropped": a.dropped, "failures": a.failures.total, "error": a.failures.current}
            for a in agent.route.stages.aggregators
        ],
    }


def _names(plan: PluginPlan) -> Document:
    return {"name": plan.label, "plugin": plan.name, "alias": plan.alias}


def _input(runner: InputRunner, now: float) -> Document:
    return {
        **_names(runner.plan),
        "interval_seconds": runner.plan.interval.seconds,
        "last_gather": runner.last_gather / 1e9,
        "age_seconds": round(now - runner.last_gather / 1e9, 3) if runner.last_gather else None,
        "duration_seconds": round(runner.last_duration, 6),
        "metrics": runner.gathered,
        "failures": runner.failures.total,
        "error": runner.failures.current,
        "overruns": runner.overruns,
        "dropped": dict(runner.acc.dropped),
    }


def _output(runner: OutputRunner, now: float) -> Document:
    lanes, queues = list(runner.lanes.values()), list(runner.queues)
    oldest = min((queue.oldest for queue in queues if queue.oldest), default=0)
    return {
        **_names(runner.plan),
        "added": sum(queue.added for queue in queues),
        "restored": sum(queue.restored for queue in queues),
        "written": runner.written,
        "rejected": runner.rejected,
        "dropped": sum(queue.dropped for queue in queues),
        "damaged": sum(queue.damaged for queue in queues),
        "filtered": runner.filtered,
        "not_encodable": dict(runner.lost),
        "queued": runner.queued,
        "limit": runner.plan.metric_buffer_limit,
        "queued_bytes": sum(queue.size for queue in queues),
        "disk_bytes": sum(queue.disk_bytes for queue in queues),
        "on_disk": any(queue.persisting for queue in queues),
        "disk_error": next((str(queue.disk_error) for queue in queues if queue.disk_error), ""),
        "oldest_age_seconds": round(now - oldest / 1e9, 3) if oldest else 0.0,
        "last_write": max((lane.last_write for lane in lanes), default=0.0),
        "write_seconds": round(sum(lane.write_seconds for lane in lanes), 6),
        "flush_interval_seconds": runner.plan.flush_interval.seconds,
        "failures": sum(lane.failures.total for lane in lanes),
        "error": runner.error,
        "partitions": {
            str(lane.partition): {
                "queued": len(lane.queue),
                "written": lane.written,
                "failures": lane.failures.total,
                "error": lane.failures.current,
            }
            for lane in lanes
            if lane.partition is not None
        },
    }


def health(document: Mapping[str, Any]) -> list[str]:
    """What is wrong, in words; nothing where all is well."""
    problems = []
    configuration = document["configuration"]
    if configuration["waiting"]:
        problems.append(f"waiting for the configuration: {configuration['waiting']}")
    if not configuration["last_reload_ok"]:
        problems.append(f"the last reload failed: {configuration['last_reload_error']}")
    for one in document["inputs"]:
        if one["error"]:
            problems.append(f"{one['name']}: {one['error']}")
        elif (one["age_seconds"] or 0) > STALE_AFTER_INTERVALS * one["interval_seconds"]:
            problems.append(f"{one['name']}: its gather has not ended for {one['age_seconds']:.0f} s")
    for one in document["outputs"]:
        if one["error"]:
            problems.append(f"{one['name']}: {one['error']}")
        elif one["queued"] >= one["limit"]:
            problems.append(f"{one['name']}: its queue is full ({one['queued']} metrics)")
    return problems


_HELP = {
    "input": {
        "metrics": ("counter", "Metrics gathered."),
        "failures": ("counter", "Gathers that failed."),
        "overruns": ("counter", "Ticks that found the gather before still running."),
        "duration_seconds": ("gauge", "Time that the last gather took."),
    },
    "output": {
        "written": ("counter", "Metrics delivered."),
        "rejected": ("counter", "Metrics that the receiver refused for good."),
        "dropped": ("counter", "Metrics dropped because the queue was full."),
        "filtered": ("counter", "Metrics kept out by filters."),
        "damaged": ("counter", "Metrics that were on disk and cannot be read any more."),
        "restored": ("counter", "Metrics found on disk at the start."),
        "queued": ("gauge", "Metrics that wait."),
        "disk_bytes": ("gauge", "Size on disk of what waits there."),
        "queued_bytes": ("gauge", "Encoded size of what waits."),
        "oldest_age_seconds": ("gauge", "Age of the oldest metric that waits."),
        "write_seconds": ("counter", "Time spent in writes."),
        "failures": ("counter", "Writes that failed."),
    },
}
_QUARANTINE_HELP = {
    "metrics": ("gauge", "Metrics that were refused for good and are kept."),
    "entries": ("gauge", "Refusals that they came from."),
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
    add("pyagent_config_last_reload_ok", "gauge", "1 where the last reload succeeded.", [("", reloaded)])
    for kind, fields in _HELP.items():
        for field, (type_, text) in fields.items():
            suffix = "_total" if type_ == "counter" else ""
            samples = [(f'{{{kind}="{_escaped(one["name"])}"}}', float(one[field])) for one in document[f"{kind}s"]]
            add(f"pyagent_{kind}_{field}{suffix}", type_, text, samples)
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

"""What the agent says about itself: one document, from which `degraded` and `prometheus` follow."""

import os
import time
from collections import Counter
from typing import Any

from pyagent import __version__
from pyagent.api.foreign import given_up
from pyagent.buffer import memory_of
from pyagent.config import PluginPlan
from pyagent.kit.shown import readable
from pyagent.pipeline.inputs.running_input import RunningInput
from pyagent.pipeline.outputs.running_output import RunningOutput
from pyagent.pipeline.stages.aggregators import RunningAggregator
from pyagent.pipeline.stages.processors import RunningProcessor
from pyagent.runtime.agent import Agent
from pyagent.runtime.origins import origins_of
from pyagent.runtime.queue_handover import HandoverState

__all__ = ["Document", "ReloadState", "status"]

Document = dict[str, Any]


class ReloadState:
    """How the configuration came to be the one that runs. Times are seconds since the epoch, 0: never."""

    def __init__(self) -> None:
        self.started = time.time()
        self.loaded = 0.0
        self.from_cache = False
        self.held_back = ""
        """Which hosted text is not used because the agent died of it."""
        self.waiting = ""
        """Why there is no configuration yet."""
        self.failed = 0.0
        self.error = ""
        """Of the last reload; empty where it succeeded."""

    def accepted(self, *, from_cache: bool, held_back: str = "") -> None:
        self.loaded, self.from_cache, self.held_back = time.time(), from_cache, held_back
        self.waiting = self.error = ""

    def refused(self, error: str) -> None:
        self.failed, self.error = time.time(), error


def status(agent: Agent, reload: ReloadState, instance: str, *, loop_lag: float = 0.0) -> Document:
    """Everything, as JSON can hold it. No secret is in it: options are not shown, and errors come masked from the log."""
    now = time.time()
    plan = agent.plan
    return {
        "version": __version__,
        "instance": instance,
        "pid": os.getpid(),
        "uptime_seconds": round(now - reload.started, 3),
        "resident_bytes": _resident_bytes(),
        "loop_lag_seconds": round(loop_lag, 6),
        "configuration": {
            "sources": list(plan.sources) if plan else [],
            "loaded": reload.loaded,
            "age_seconds": round(now - reload.loaded, 3) if reload.loaded else None,
            "from_cache": reload.from_cache,
            "held_back": reload.held_back,
            "waiting": reload.waiting,
            "last_reload_ok": not reload.error,
            "last_reload_error": reload.error,
        },
        "inputs": [_input(runner, now) for runner in agent.inputs],
        "broken": [{"name": one.label, "reason": one.reason, "kept": one.kept} for one in agent.broken],
        "given_up": [{"name": name, "seconds": round(seconds, 3)} for name, seconds in given_up()],
        "outputs": [_output(runner, now, agent.handover.state(runner)) for runner in agent.outputs],
        "ending_outputs": [
            {**_names(runner.plan), "handover": str(state), "queued": runner.queued}
            for runner, state in agent.handover.ending.items()
        ],
        "buffer": {
            "metrics": sum(runner.queued for runner in agent.outputs),
            "memory_bytes": memory_of(
                lines for runner in agent.outputs for queue in runner.queues for lines in queue.held()
            ),
            "disk_bytes": sum(queue.disk_bytes for runner in agent.outputs for queue in runner.queues),
        },
        "processors": [
            *(_stage(one) | {"behind_aggregators": False} for one in agent.fanout.stages.before),
            *(_stage(one) | {"behind_aggregators": True} for one in agent.fanout.stages.after),
        ],
        "aggregators": [
            _stage(one) | {"pushed": one.pushed, "dropped": one.dropped} for one in agent.fanout.stages.aggregators
        ],
    }


def _resident_bytes() -> int:
    """Memory in use; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _names(plan: PluginPlan) -> Document:
    return {"name": plan.label, "plugin": plan.name, "alias": plan.alias}


def _input(runner: RunningInput, now: float) -> Document:
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
        "abandoned": runner.abandoned,
        "dropped": dict(runner.acc.dropped),
        "origins": origins_of(runner.plan, runner.plugin),
    }


def _stage(stage: RunningProcessor | RunningAggregator) -> Document:
    return {
        **_names(stage.plan),
        "bypassed": stage.bypassed,
        "failures": stage.failures.total,
        "error": stage.failures.current,
    }


def _output(runner: RunningOutput, now: float, handover: HandoverState) -> Document:
    senders, queues, sums = list(runner.partitions.values()), list(runner.queues), runner.partitions.sums
    oldest = min((queue.oldest for queue in queues if queue.oldest), default=0)
    return {
        **_names(runner.plan),
        "added": sums.added,
        "restored": sums.restored,
        "written": sums.written,
        "rejected": sums.rejected,
        "dropped": runner.partitions.usage.dropped,
        "damaged": sums.damaged,
        "damaged_bytes": sums.damaged_bytes,
        "set_aside": sum(queue.set_aside for queue in runner.queues),
        "filtered": runner.filtered,
        "not_encodable": dict(runner.not_encodable),
        "queued": runner.queued,
        "limit": runner.plan.metric_buffer_limit,
        "queued_bytes": sum(queue.size for queue in queues),
        "disk_bytes": sum(queue.disk_bytes for queue in queues),
        "on_disk": any(queue.persisting for queue in queues),
        "senders": dict(Counter(str(sender.state) for sender in senders)),
        "storage": dict(Counter(str(queue.storage) for queue in queues)),
        "handover": str(handover),
        "connected": runner.is_connected,
        "disk_error": next((one.strerror or str(one) for queue in queues if (one := queue.disk_error)), ""),
        "oldest_age_seconds": round(now - oldest / 1e9, 3) if oldest else 0.0,
        "last_write": sums.last_write,
        "write_seconds": round(sums.write_seconds, 6),
        "flush_interval_seconds": runner.plan.flush_interval.seconds,
        "failures": sums.failures,
        "error": runner.error,
        "partitions_overflowed": runner.partitions.overflowed,
        "partitions": {
            readable(sender.partition): {
                "state": str(sender.state),
                "storage": str(sender.queue.storage),
                "queued": len(sender.queue),
                "written": sender.written,
                "failures": sender.failures.total,
                "error": sender.failures.current,
            }
            for sender in senders
            if sender.partition is not None
        },
    }

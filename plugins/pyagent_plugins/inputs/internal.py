"""What the agent does itself, in `internal_*`.

The measurements are Telegraf's, so that dashboards made for those work. The numbers are those of `pyagent status`. What
only a Go program has (most of its memory statistics) is not there; the age of the configuration and how long the event
loop kept us waiting are added.
"""

import gc
from collections.abc import Mapping
from typing import Annotated, Any

from pyagent.api import Accumulator, Chart, Field, Input, Measurement, Options, counters, fields, option
from pyagent.api.statistics import own_statistics


class InternalOptions(Options, frozen=True):
    collect_memstats: Annotated[bool, option("report the agent's memory as `internal_memstats`")] = True
    collect_gostats: Annotated[bool, option("there are no statistics of Go here", no_effect=True)] = False
    per_instance: Annotated[bool, option("plugins are told apart by their alias in any case", no_effect=True)] = False


_ERRORS = counters("int", "1", errors="errors logged by the plugin", startup_errors="always 0")


class Internal(Input[InternalOptions]):
    measurements = (
        Measurement(
            "internal_agent",
            "sums over all plugins",
            tags={"version": "the agent's version"},
            fields={
                **counters(
                    "int", "1", metrics_gathered="gathered", metrics_written="delivered", metrics_dropped="dropped"
                ),
                **counters("int", "1", metrics_rejected="refused by receivers", write_errors="failed writes"),
                **counters("int", "1", gather_errors="failed gathers", gather_timeouts="gathers that overran"),
                **fields("int", "1", metrics_quarantined="refused by receivers and kept, until somebody looks at them"),
                **fields("int", "ns", loop_lag_ns="time that the event loop kept this gather waiting"),
            },
            charts=(
                Chart("Metrics gathered and delivered", ("metrics_gathered", "metrics_written"), overview=True),
                Chart("Metrics in quarantine", ("metrics_quarantined",)),
                Chart("Metrics dropped or refused", ("metrics_dropped", "metrics_rejected")),
                Chart("Failures", ("gather_errors", "gather_timeouts", "write_errors")),
                Chart("Event loop: time that a gather waited", ("loop_lag_ns",)),
            ),
        ),
        Measurement(
            "internal_config",
            "the configuration that runs",
            tags={"version": "the agent's version"},
            fields={
                "age_seconds": Field("float", "s", "since it was loaded"),
                "last_reload_ok": Field("bool", "", "the last reload succeeded"),
                "from_cache": Field("bool", "", "its source did not answer, the last good text is used"),
            },
        ),
        Measurement(
            "internal_gather",
            "one metric for each input",
            tags={"input": "its name", "alias": "its alias, where it has one", "version": "the agent's version"},
            fields={
                **counters("int", "1", metrics_gathered="gathered", gather_errors="failed gathers"),
                **counters("int", "1", gather_timeouts="gathers that overran the interval"),
                **counters("int", "1", metrics_dropped="metrics and fields that were lost before the outputs"),
                **fields("int", "ns", gather_time_ns="time that the last gather took"),
                **_ERRORS,
            },
            charts=(
                Chart("Inputs: metrics gathered", ("metrics_gathered",)),
                Chart("Inputs: time that a gather takes", ("gather_time_ns",)),
                Chart("Inputs: failures", ("gather_errors", "gather_timeouts")),
                Chart("Inputs: metrics and fields lost", ("metrics_dropped",)),
            ),
        ),
        Measurement(
            "internal_write",
            "one metric for each output",
            tags={"output": "its name", "alias": "its alias, where it has one", "version": "the agent's version"},
            fields={
                **fields("int", "1", buffer_size="metrics that wait", buffer_limit="metrics that may wait"),
                **counters("int", "1", metrics_added="queued", metrics_written="delivered"),
                **counters("int", "1", metrics_dropped="dropped by a full queue", metrics_rejected="refused for good"),
                **counters("int", "1", metrics_filtered="kept out by filters", write_errors="failed writes"),
                **counters("int", "ns", write_time_ns="time spent in writes"),
                **fields("int", "ns", oldest_age_ns="age of the oldest that waits"),
                **fields(
                    "int",
                    "bytes",
                    buffer_bytes="encoded size of what waits",
                    buffer_disk_bytes="size of its log on disk",
                ),
                **fields("int", "1", metrics_restored="found on disk at the start", metrics_damaged="damaged on disk"),
                "bytes_damaged": Field("int", "bytes", "bytes of its log that cannot be read"),
                "files_set_aside": Field("int", "1", "files of its log that are not understood, or belong elsewhere"),
                **_ERRORS,
            },
            charts=(
                Chart("Outputs: metrics that wait", ("buffer_size",), overview=True),
                Chart("Outputs: age of the oldest that waits", ("oldest_age_ns",)),
                Chart("Outputs: metrics queued and delivered", ("metrics_added", "metrics_written")),
                Chart("Outputs: metrics dropped or refused", ("metrics_dropped", "metrics_rejected")),
                Chart("Outputs: failed writes", ("write_errors",)),
                Chart("Outputs: size of what waits", ("buffer_bytes", "buffer_disk_bytes")),
            ),
        ),
        Measurement(
            "internal_aggregate",
            "one metric for each aggregator",
            tags={"aggregator": "its name", "alias": "its alias, where it has one", "version": "the agent's version"},
            fields={
                **counters("int", "1", metrics_pushed="handed on", metrics_dropped="outside of the window"),
                "errors": _ERRORS["errors"],
            },
        ),
        Measurement(
            "internal_memstats",
            "the agent's memory",
            tags={"version": "the agent's version"},
            fields={
                "sys_bytes": Field("uint", "bytes", "resident memory"),
                "num_gc": Field("uint", "1", "runs of Python's garbage collector", counter=True),
            },
            charts=(Chart("Memory of the agent", ("sys_bytes",)),),
        ),
    )

    async def gather(self, acc: Accumulator) -> None:
        document = own_statistics()
        if not document:
            return
        version = {"version": document["version"]}
        inputs, outputs = document["inputs"], document["outputs"]
        acc.add(
            "internal_agent",
            {
                "metrics_gathered": _sum(inputs, "metrics"),
                "metrics_written": _sum(outputs, "written"),
                "metrics_dropped": _sum(outputs, "dropped"),
                "metrics_rejected": _sum(outputs, "rejected"),
                "metrics_quarantined": document.get("quarantine", {}).get("metrics"),
                "write_errors": _sum(outputs, "failures"),
                "gather_errors": _sum(inputs, "failures"),
                "gather_timeouts": _sum(inputs, "overruns"),
                "loop_lag_ns": round(document["loop_lag_seconds"] * 1e9),
            },
            version,
        )
        configuration = document["configuration"]
        values = {name: configuration[name] for name in ("age_seconds", "last_reload_ok", "from_cache")}
        acc.add("internal_config", values, version)
        for one in inputs:
            acc.add("internal_gather", _gather_fields(one), version | _named("input", one))
        for one in outputs:
            acc.add("internal_write", _write_fields(one), version | _named("output", one))
        for one in document["aggregators"]:
            values = {"metrics_pushed": one["pushed"], "metrics_dropped": one["dropped"], "errors": one["failures"]}
            acc.add("internal_aggregate", values, version | _named("aggregator", one))
        if self.options.collect_memstats:
            runs = sum(generation["collections"] for generation in gc.get_stats())
            acc.add("internal_memstats", {"sys_bytes": document["resident_bytes"], "num_gc": runs}, version)


def _gather_fields(one: Mapping[str, Any]) -> dict[str, int]:
    return {
        "metrics_gathered": one["metrics"],
        "gather_time_ns": round(one["duration_seconds"] * 1e9),
        "gather_timeouts": one["overruns"],
        "metrics_dropped": sum(one["dropped"].values()),
        "gather_errors": one["failures"],
        "startup_errors": 0,
        "errors": one["failures"],
    }


def _write_fields(one: Mapping[str, Any]) -> dict[str, int]:
    return {
        "buffer_size": one["queued"],
        "buffer_limit": one["limit"],
        "buffer_bytes": one["queued_bytes"],
        "buffer_disk_bytes": one["disk_bytes"],
        "metrics_restored": one["restored"],
        "metrics_damaged": one["damaged"],
        "bytes_damaged": one["damaged_bytes"],
        "files_set_aside": one["set_aside"],
        "oldest_age_ns": round(one["oldest_age_seconds"] * 1e9),
        "metrics_added": one["added"],
        "metrics_written": one["written"],
        "metrics_rejected": one["rejected"],
        "metrics_dropped": one["dropped"],
        "metrics_filtered": one["filtered"],
        "write_time_ns": round(one["write_seconds"] * 1e9),
        "write_errors": one["failures"],
        "startup_errors": 0,
        "errors": one["failures"],
    }


def _named(tag: str, one: Mapping[str, Any]) -> dict[str, str]:
    return {tag: one["plugin"]} | ({"alias": one["alias"]} if one["alias"] else {})


def _sum(plugins: list[Mapping[str, Any]], name: str) -> int:
    return sum(plugin[name] for plugin in plugins)

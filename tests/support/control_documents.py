"""What the control socket shows."""

from typing import Any


def document(**changes: Any) -> dict[str, Any]:
    configuration = {"waiting": "", "last_reload_ok": True, "last_reload_error": "", "age_seconds": 5.0}
    one = {
        "name": 'inputs.mem::a"b',
        "metrics": 7,
        "failures": 1,
        "overruns": 0,
        "abandoned": 0,
        "dropped": {"unusable metric": 2, "unusable field": 3},
        "duration_seconds": 0.25,
    }
    one |= {"error": "", "age_seconds": 1.0, "interval_seconds": 10.0}
    out = dict.fromkeys(
        (
            "written",
            "rejected",
            "dropped",
            "damaged",
            "damaged_bytes",
            "set_aside",
            "restored",
            "filtered",
            "queued",
            "queued_bytes",
            "disk_bytes",
            "failures",
        ),
        3,
    )
    out |= {"name": "outputs.influxdb_v2", "oldest_age_seconds": 1.5, "write_seconds": 0.5, "limit": 10, "error": ""}
    return {
        "version": "1",
        "uptime_seconds": 9.0,
        "resident_bytes": 1,
        "loop_lag_seconds": 0.0,
        "configuration": configuration | changes.get("configuration", {}),
        "buffer": {"metrics": 3, "memory_bytes": 99},
        "inputs": [one | changes.get("input", {})],
        "outputs": [out | changes.get("output", {})],
    }

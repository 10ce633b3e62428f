"""What Datadog's own stub of its Agent records of a check, to compare with what the input makes of the same one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyagent.api import Metric

__all__ = ["Found", "by_field", "expected", "recorded"]

Found = dict[tuple[str, tuple[tuple[str, str], ...], str], Any]
"""By measurement, tags and field."""
_STUB = """
import importlib.util, json, sys
from datadog_checks.base.stubs import aggregator, datadog_agent
spec = importlib.util.spec_from_file_location("the_check", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
instance = json.loads(sys.argv[2])
kind = getattr(module, sys.argv[3])
check = kind(sys.argv[3].lower(), {}, [instance])
check.check_id = "test"
for _ in range(int(sys.argv[4])):
    aggregator.reset()
    error = check.run()
print(json.dumps({
    "metrics": [[m.name, m.type, m.value, sorted(m.tags), m.hostname] for ms in aggregator._metrics.values() for m in ms],
    "service_checks": [[s.name, s.status, sorted(s.tags), s.message] for ss in aggregator._service_checks.values() for s in ss],
    "buckets": [
        [b.name, b.value, b.lower_bound, b.upper_bound, b.monotonic, sorted(b.tags)]
        for bs in aggregator._histogram_buckets.values()
        for b in bs
    ],
    "events": aggregator.events,
    "metadata": {name: value for (_, name), value in datadog_agent._metadata.items()},
    "error": error,
}))
"""
_GAUGE, _COUNT = 0, 2


def recorded(check: Path, instance: dict[str, Any], times: int = 1) -> dict[str, Any]:
    """Of the last of so many runs of the class that is named as its file."""
    done = subprocess.run(
        [sys.executable, "-c", _STUB, str(check), json.dumps(instance), check.stem.capitalize(), str(times)],
        capture_output=True,
        check=True,
        text=True,
        # The Agent itself refuses no tag.
        env=os.environ | {"DDEV_SKIP_GENERIC_TAGS_CHECK": "true"},
    )
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def expected(stub: dict[str, Any], check: str) -> Found:
    """Gauges, counts and service checks by the names and tags that the input gives them."""
    found: Found = {}
    for name, kind, value, tags, host in stub["metrics"]:
        measurement, _, field = name.rpartition(".")
        key = (measurement.replace(".", "_") or check, _tags([*tags, *([f"host:{host}"] if host else [])]), field)
        if kind == _GAUGE:
            found[key] = value
        elif kind == _COUNT:
            found[key] = found.get(key, 0) + value
    for name, status, tags, _ in stub["service_checks"]:
        measurement, _, field = name.rpartition(".")
        found[measurement.replace(".", "_"), _tags(tags), field] = status
    return found


def by_field(metrics: Iterable[Metric]) -> Found:
    return {
        (metric.name, tuple(sorted(metric.tags.items())), field): value
        for metric in metrics
        for field, value in metric.fields.items()
    }


def _tags(tags: list[str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted((key, value if colon else "true") for key, colon, value in (tag.partition(":") for tag in tags))
    )

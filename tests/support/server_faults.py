"""An output before a server that fails."""

import logging
from typing import Any

import pytest
from receiver import line

from pyagent.lineprotocol import encode, parse
from pyagent.pipeline.outputs import sender
from pyagent.pipeline.outputs.running_output import BufferResources, RunningOutput
from pyagent.testing.outputs import make_output
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB

LOG = logging.getLogger("pyagent.faults")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits of an outage, shortened."""
    for name, seconds in (
        ("_BACKOFF_FIRST", 0.02),
        ("_BACKOFF_SLOW", 0.02),
        ("_BACKOFF_MOST", 0.05),
        ("_BACKOFF_SLOW_MOST", 0.05),
    ):
        monkeypatch.setattr(sender, name, seconds)


def runner(url: str, buffer_resources: BufferResources, plan: Any) -> RunningOutput:
    options = {"urls": [url], "bucket": "b", "organization": "o", "timeout": "300ms"}
    plugin = make_output(InfluxDB, options, LOG)
    return RunningOutput(plan(InfluxDB), plugin, log=LOG, buffer_resources=buffer_resources)


def metrics(source: str, first: int, count: int) -> Any:
    text = "".join(line(source, number, 1_700_000_000_000_000_000 + number) for number in range(first, first + count))
    return encode(parse(text.encode(), 0, "ns").metrics)


@pytest.fixture
def plan() -> Any:
    from pyagent.api import Duration, NoOptions
    from pyagent.config import OutputPlan

    def make(plugin: Any, **settings: Any) -> OutputPlan:
        given: dict[str, Any] = {
            "kind": "outputs",
            "name": "influxdb_v2",
            "options": NoOptions(),
            "location": "test.conf:1",
            "identity": "test",
            "flush_interval": Duration("50ms"),
            "metric_batch_size": 50,
            "queue_id": "test",
        }
        return OutputPlan(plugin=plugin, **given | settings)

    return make

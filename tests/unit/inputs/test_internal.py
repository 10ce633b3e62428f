"""The agent's own numbers, in Telegraf's measurements."""

from collections.abc import Iterator
from typing import Any

import pytest

from pyagent import hooks
from pyagent.testing import assert_declared, run_input
from pyagent_plugins.inputs.internal import Internal

INPUT = {
    "plugin": "mem",
    "alias": "",
    "metrics": 7,
    "duration_seconds": 0.5,
    "overruns": 1,
    "failures": 2,
    "dropped": {"unusable metric": 3, "unusable field": 1},
}
OUTPUT = {
    "plugin": "influxdb_v2",
    "alias": "main",
    "added": 12,
    "written": 5,
    "rejected": 1,
    "dropped": 2,
    "filtered": 3,
    "queued": 4,
    "limit": 10,
    "queued_bytes": 400,
    "disk_bytes": 1000,
    "restored": 2,
    "damaged": 1,
    "damaged_bytes": 77,
    "set_aside": 5,
    "oldest_age_seconds": 1.5,
    "write_seconds": 0.25,
    "failures": 6,
}
DOCUMENT: dict[str, Any] = {
    "version": "1.2",
    "resident_bytes": 50_000_000,
    "loop_lag_seconds": 0.002,
    "configuration": {"age_seconds": 9.5, "last_reload_ok": True, "from_cache": False},
    "inputs": [INPUT, {**INPUT, "alias": "second"}],
    "outputs": [OUTPUT],
    "quarantine": {"metrics": 8, "bytes": 900, "entries": 2, "evicted": 0},
    "aggregators": [{"plugin": "minmax", "alias": "", "pushed": 3, "dropped": 1, "failures": 0}],
}


@pytest.fixture
def running() -> Iterator[None]:
    before = hooks._source
    hooks.provide_statistics(lambda: DOCUMENT)
    yield
    hooks._source = before


@pytest.mark.usefixtures("running")
def test_measurements_are_declared_and_carry_the_agents_numbers() -> None:
    metrics = run_input(Internal)
    assert_declared(Internal, metrics)
    found = {(m.name, m.tags.get("alias", "")): m for m in metrics}
    assert found["internal_agent", ""].fields["metrics_gathered"] == 14
    assert found["internal_agent", ""].fields["metrics_quarantined"] == 8
    assert found["internal_gather", "second"].tags == {"input": "mem", "alias": "second", "version": "1.2"}
    assert found["internal_gather", ""].fields["gather_time_ns"] == 500_000_000
    assert found["internal_gather", ""].fields["metrics_dropped"] == 4
    write = found["internal_write", "main"].fields
    assert (write["metrics_added"], write["buffer_size"], write["oldest_age_ns"]) == (12, 4, 1_500_000_000)
    assert (write["metrics_damaged"], write["bytes_damaged"], write["files_set_aside"]) == (1, 77, 5)
    assert found["internal_aggregate", ""].fields["metrics_pushed"] == 3
    assert found["internal_config", ""].fields["last_reload_ok"] is True
    assert found["internal_memstats", ""].fields["sys_bytes"] > 1_000_000


def test_an_agent_without_a_quarantine_says_nothing_of_it() -> None:
    before = hooks._source
    hooks.provide_statistics(lambda: {name: value for name, value in DOCUMENT.items() if name != "quarantine"})
    try:
        found = {m.name: m for m in run_input(Internal)}
    finally:
        hooks._source = before
    assert "metrics_quarantined" not in found["internal_agent"].fields


@pytest.mark.usefixtures("running")
def test_memory_can_be_left_out() -> None:
    assert "internal_memstats" not in {m.name for m in run_input(Internal, {"collect_memstats": False})}


def test_outside_of_an_agent_there_is_nothing_to_tell() -> None:
    assert run_input(Internal) == []

"""Inputs that ask the kernel itself, or read a database: timex and ras."""

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import PyagentError
from pyagent.testing import assert_declared, run_input
from pyagent_plugins.inputs import timex as timex_module
from pyagent_plugins.inputs.ras import Ras
from pyagent_plugins.inputs.timex import Timex

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")


def test_the_clock_of_this_host_is_declared() -> None:
    metrics = run_input(Timex)
    assert_declared(Timex, metrics)
    [metric] = metrics
    assert 9_000_000 <= int(metric.fields["tick_ns"]) <= 11_000_000  # what adjtimex allows at 100 Hz
    assert metric.fields["synchronized"] is (metric.tags["status"] != "error")


@pytest.mark.parametrize(("status", "unit"), [(0x2000, 1), (0x0001, 1000)])
def test_offsets_are_in_nanoseconds(status: int, unit: int) -> None:
    found = timex_module._Timex(offset=-7, jitter=3, freq=-98304, maxerror=5, esterror=6, tick=10000, status=status)
    values = timex_module._values(found, 0)
    assert (values["offset_ns"], values["pps_jitter_ns"]) == (-7 * unit, 3 * unit)
    assert (values["maxerror_ns"], values["estimated_error_ns"], values["tick_ns"]) == (5000, 6000, 10_000_000)
    assert values["frequency_offset_ppm"] == -1.5
    assert (timex_module._state(4), timex_module._state(5), timex_module._state(9)) == ("wait", "error", "unknown-9")


def _database(path: Path, *rows: tuple[Any, ...]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS mce_record"
            " (id INTEGER PRIMARY KEY, timestamp TEXT, error_msg TEXT, mcistatus_msg TEXT, socketid INTEGER)"
        )
        values = "INSERT INTO mce_record (timestamp, error_msg, mcistatus_msg, socketid) VALUES (?, ?, ?, ?)"
        database.executemany(values, rows)


_TIME = "2026-05-20 07:34:53 +0200"


def test_errors_that_rasdaemon_recorded(tmp_path: Path) -> None:
    path = tmp_path / "ras #1.db"
    _database(
        path,
        (_TIME, "MEMORY CONTROLLER RD_CHANNEL0_ERR Memory read error", "Corrected_error", 0),
        (_TIME, "MEMORY CONTROLLER Memory write error", "Uncorrected_error", 1),
        (_TIME, "Instruction CACHE Level-0 Instruction-Fetch Error", "Corrected_error", 1),
        (_TIME, "Generic CACHE Level-2 Generic Error", "Corrected_error", 1),
        (_TIME, "Internal unclassified error: 1", "Corrected_error", 1),
        (_TIME, "UPI: COR LL Rx detected CRC error", "Corrected_error", 1),
        (_TIME, "No Error, Internal parity error", "", 5),
    )
    metrics = run_input(Ras, {"db_path": str(path)})
    assert_declared(Ras, metrics)
    counts = {metric.tags.get("socket_id", ""): {k: v for k, v in metric.fields.items() if v} for metric in metrics}
    assert counts == {
        "0": {"memory_read_corrected_errors": 1},
        "1": {
            "memory_write_uncorrectable_errors": 1,
            "cache_l0_l1_errors": 1,
            "unclassified_mce_errors": 1,
            "processor_base_errors": 1,
        },
        "": {"cache_l2_errors": 1, "upi_errors": 1},
    }


@pytest.mark.parametrize(
    "row",
    [
        (_TIME, None, "", 0),
        ("yesterday", "x", "", 0),
        (_TIME, "x", "", "one"),
        (_TIME, "x", "", None),
        (None, "x", "", 0),
    ],
)
def test_a_damaged_record_is_named(row: tuple[Any, ...], tmp_path: Path) -> None:
    _database(tmp_path / "ras.db", row)
    with pytest.raises(PyagentError, match=rf"cannot read the database {tmp_path}/ras.db: record 1: "):
        run_input(Ras, {"db_path": str(tmp_path / "ras.db")})


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ras.db"
    _database(path, *[(_TIME, "Memory read error", "Corrected_error", 0)] * 200)
    whole = path.read_bytes()
    for size in (0, 10, 100, 4096, 5000, len(whole) - 4096):
        path.write_bytes(whole[:size])
        with pytest.raises(PyagentError, match=f"cannot read the database {path}: "):
            run_input(Ras, {"db_path": str(path)})
    path.write_bytes(os.urandom(8192))
    with pytest.raises(PyagentError, match=f"cannot read the database {path}: "):
        run_input(Ras, {"db_path": str(path)})

"""processors.printer: what stands on standard output."""

import logging
import os
import sys
from collections.abc import Iterator

import pytest

from pyagent.api import Metric, Uint
from pyagent.testing import make_processor
from pyagent_plugins.processors import printer
from pyagent_plugins.processors.printer import Printer

METRICS = [Metric("m", {"t": "a"}, {"b": Uint(1), "a": 2.5}, 7), Metric("n", {}, {"s": "x"}, 8)]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """What is read of standard output."""
    reading, writing = os.pipe()
    with open(writing, "w") as out:
        monkeypatch.setattr(sys, "__stdout__", out)
        yield reading
    os.close(reading)


def test_lines(pipe: int) -> None:
    processor = make_processor(Printer, {"influx_sort_fields": True, "influx_uint_support": True})
    assert processor.process(METRICS) == METRICS
    assert os.read(pipe, 1000) == b'm,t=a a=2.5,b=1u 7\nn s="x" 8\n'


def test_what_cannot_be_written_costs_no_other(pipe: int) -> None:
    odd = Metric("odd", {}, {"v": float("nan")}, 1)
    metrics = [METRICS[1], odd, METRICS[1]]
    assert make_processor(Printer).process(metrics) == metrics
    assert os.read(pipe, 1000) == b'n s="x" 8\n' * 2


def test_nobody_waits_for_a_reader_that_does_not_read(
    pipe: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(printer, "_PATIENCE", 0)
    metrics = [Metric("m", {}, {"s": "x" * 1000}, 1)] * 1000
    processor = make_processor(Printer)
    assert processor.process(metrics) == metrics
    assert processor.process(metrics) == metrics
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "nobody reads it" in caplog.text


def test_a_standard_output_that_is_closed(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sys, "__stdout__", None)
    processor = make_processor(Printer)
    assert processor.process(METRICS) == METRICS
    assert processor.process(METRICS) == METRICS
    assert len(caplog.records) == 1

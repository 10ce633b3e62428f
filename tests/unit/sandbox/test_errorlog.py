"""What the embedded server logs of its errors."""

import logging

import pytest

from pyagent.sandbox.errorlog import ErrorLog


def test_ten_lines_in_a_minute_and_then_how_many_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now = 5.0
    log = ErrorLog(logging.getLogger("test"), lambda: now)
    for number in range(1000):
        log.add(f"cannot {number}", logging.WARNING)
    assert caplog.messages == [f"W! cannot {number}" for number in range(10)]
    caplog.clear()
    now = 65.0
    log.add("cannot again", logging.ERROR)
    log.add("cannot this", logging.WARNING)
    assert caplog.messages == ["E! cannot again (and 990 more before it)", "W! cannot this"]


def test_a_line_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    ErrorLog(logging.getLogger("test")).add("x" * 100_000 + "the end", logging.ERROR)
    assert len(caplog.messages[0]) < 5000
    assert caplog.messages[0].endswith("the end")

"""What is logged once, and what is not waited for for ever."""

import asyncio
import logging

import pytest

from pyagent.api import Retry
from pyagent.kit.once import Once
from pyagent.pipeline.failures import FailureLog, explain, grace_period, reason_of

LOG = logging.getLogger("pyagent.test")


def test_a_text_is_new_once_and_not_one_of_too_many() -> None:
    once = Once()
    assert [once("a"), once("a"), once("b")] == [True, False, True]
    assert [once(str(number)) for number in range(200)].count(True) == 98
    assert not once("another")


def test_a_failure_that_returns_after_another_is_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog(LOG)
    for reason in (
        "no connection",
        "no connection",
        "wrong password",
        "wrong password",
        "no connection",
        "no connection",
    ):
        failures.failed(reason)
    failures.succeeded()
    failures.failed("no connection")
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == [
        "no connection",
        "wrong password",
        "no connection (again, after another failure; 5 in a row)",
        "no connection",
    ]


def test_failures_that_alternate_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog(LOG)
    for number in range(8640):  # a day
        failures.failed(f"{'even' if number % 2 == 0 else 'odd'} at {number}")
    logged = caplog.messages
    assert logged[:6] == [
        "even at 0",
        "odd at 1",
        "even at 2 (again, after another failure; 3 in a row)",
        "odd at 3 (again, after another failure; 4 in a row)",
        "even at 4 (again, after another failure; 5 in a row)",
        "odd at 5 (again, after another failure; 6 in a row)",
    ]
    assert len(logged) == 28
    assert logged[-1] == "odd at 8193 (again, after another failure; 8194 in a row)"
    assert failures.current == "odd at 8639"


def test_failures_without_end_end_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureLog(LOG)
    words = [f"{chr(97 + number // 20)}{chr(97 + number % 20)}" for number in range(300)]
    for word in words:
        failures.failed(word)
    assert caplog.messages[:100] == words[:100]
    assert len(caplog.messages) == 101
    assert "it has failed in 100 ways; what else fails is not logged" in caplog.messages[100]


async def test_what_does_not_end_is_abandoned_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with grace_period(0.01, LOG, "closing"):
        await asyncio.Event().wait()
    assert caplog.messages == ["closing did not end within 0.01 s; it is abandoned"]


async def test_a_timeout_of_its_own_is_its_own(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TimeoutError, match="of the server"):
        async with grace_period(300, LOG, "closing"):
            raise TimeoutError("of the server")
    assert caplog.messages == []


def test_bytes_that_are_not_utf8_are_shown_in_a_failure() -> None:
    assert explain("cannot write", Retry("\udcff is down")) == r"cannot write: \xff is down"
    assert reason_of(Retry("\udcff is down")) == r"\xff is down"

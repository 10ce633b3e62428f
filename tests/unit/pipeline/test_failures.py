"""What is logged once, and what is not waited for for ever."""

import asyncio
import logging

import pytest

from pyagent.api import Retry
from pyagent.kit.once import Once
from pyagent.pipeline.failures import explain, grace_period, reason_of

LOG = logging.getLogger("pyagent.test")


def test_a_text_is_new_once_and_not_one_of_too_many() -> None:
    once = Once()
    assert [once("a"), once("a"), once("b")] == [True, False, True]
    assert [once(str(number)) for number in range(200)].count(True) == 98
    assert not once("another")


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

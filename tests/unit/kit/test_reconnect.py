"""A lost connection is made anew after longer and longer pauses, and the log has what is new, not every attempt."""

import asyncio
import logging
from itertools import pairwise

import pytest

from pyagent.api import PyagentError
from pyagent.kit.notices import Notices
from pyagent.kit.reconnect import KeptConnection
from pyagent.testing.virtual import run_virtual

LOG = logging.getLogger("pyagent.test")


def test_pauses_double_up_to_the_longest_and_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    attempts: list[float] = []
    connections: list[asyncio.Future[str]] = []
    fails = 0

    async def connect() -> asyncio.Future[str]:
        nonlocal fails
        attempts.append(asyncio.get_running_loop().time())
        if fails:
            fails -= 1
            raise PyagentError("cannot connect: refused")
        connections.append(asyncio.get_running_loop().create_future())
        return connections[-1]

    async def main() -> None:
        nonlocal fails
        fails = 1
        kept = KeptConnection(connect, LOG, "a broker", longest=10.0)
        with pytest.raises(PyagentError, match="refused"):
            await kept.start()
        await kept.start()
        for failures in (6, 1):
            fails = failures
            attempts[:] = [asyncio.get_running_loop().time()]
            connections[-1].set_result("it went away")
            await asyncio.sleep(1000)
            pauses = [later - earlier for earlier, later in pairwise(attempts)]
            assert len(pauses) == failures + 1
            for pause, most in zip(pauses, (1, 2, 4, 8, 10, 10, 10), strict=False):
                assert most / 2 <= pause <= most
        await kept.stop()
        await kept.stop()

    with caplog.at_level(logging.INFO):
        run_virtual(main())
    assert caplog.text.count("cannot connect: refused") == 2  # once for each time that it was lost
    assert caplog.text.count("is lost: it went away") == 2
    assert caplog.text.count("connected to a broker again") == 2


def test_a_stop_ends_the_attempts() -> None:
    async def main() -> None:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def connect() -> asyncio.Future[str]:
            if lost.done():
                await asyncio.sleep(3600)
            return lost

        kept = KeptConnection(connect, LOG, "a broker")
        await kept.start()
        lost.set_result("gone")
        await asyncio.sleep(60)
        await kept.stop()
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())


def test_what_strangers_cause_is_logged_once_a_minute_with_its_number(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        notices = Notices(LOG)
        for number in range(5):
            notices.add("bad", f"bad {number}")
        notices.add("other", "other")
        await asyncio.sleep(61)
        notices.add("bad", "bad 5")
        notices.add("bad", "bad 6")
        notices.finish()
        for number in range(1000):
            notices.add(f"kind {number}", "x")

    run_virtual(main())
    told = [record.getMessage() for record in caplog.records]
    assert told[:4] == ["bad 0", "other", "bad 5 (and 4 more of this kind before it)", "1 more like this: bad 5"]
    assert len(told) < 110

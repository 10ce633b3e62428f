"""Who asks for a reload is told what came of the one that began after that."""

import asyncio

from pyagent.runtime.reloading import ReloadRequests


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_that_asked_before_it_began_have_one_answer() -> None:
    requests = ReloadRequests()
    asking = [asyncio.create_task(requests.ask_and_wait()) for _ in range(3)]
    await settled()
    await requests.wait()
    late = asyncio.create_task(requests.ask_and_wait())
    await settled()
    requests.done("a.conf:1: wrong")
    assert [await one for one in asking] == ["a.conf:1: wrong"] * 3
    await settled()
    assert not late.done()
    await requests.wait()  # it has asked for another one
    requests.done()
    assert await late == ""


async def test_nobody_has_to_wait() -> None:
    requests = ReloadRequests()
    requests.ask()
    requests.ask()
    await requests.wait()
    requests.done()
    waiting = asyncio.create_task(requests.wait())
    await settled()
    assert not waiting.done()
    waiting.cancel()


async def test_who_waited_may_be_gone() -> None:
    requests = ReloadRequests()
    gone, stays = (asyncio.create_task(requests.ask_and_wait()) for _ in range(2))
    await settled()
    gone.cancel()
    await settled()
    await requests.wait()
    requests.done("why")
    assert await stays == "why"
    assert gone.cancelled()

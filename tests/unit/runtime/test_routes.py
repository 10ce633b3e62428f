"""The routes of the control socket where two requests meet, or the engine's side takes time."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pyagent.buffer.quarantine import Quarantine
from pyagent.runtime.routes import agent_routes, quarantine_routes

LOG = logging.getLogger("pyagent.quarantine")


async def test_two_retries_at_once_queue_an_entry_once() -> None:
    quarantine = Quarantine(None, log=LOG)
    for number in range(3):
        quarantine.put("out", None, [b"m x=%d\n" % number], "400", time=1.0)
    queued: list[bytes] = []

    async def requeue(output: str, partition: str | None, lines: Sequence[bytes]) -> None:
        assert quarantine.metrics + len(queued) == 3  # it is still there until the queue has it
        await asyncio.sleep(0)
        queued.extend(lines)

    retry = quarantine_routes(quarantine, requeue)["POST /quarantine/*/retry"]
    results = await asyncio.gather(retry(["2"], {}), retry(["all"], {}), retry(["2"], {}), return_exceptions=True)
    assert sorted(queued) == [b"m x=0\n", b"m x=1\n", b"m x=2\n"]
    assert results[:2] == [
        {"entries": 1, "metrics": 1, "errors": {}},
        {"entries": 2, "metrics": 2, "errors": {}},
    ]
    assert isinstance(results[2], LookupError)


async def test_others_get_their_turn_while_thousands_are_dropped() -> None:
    quarantine = Quarantine(None, log=LOG)
    for _ in range(1000):
        quarantine.put("out", None, [b"m x=1\n"], "400", time=1.0)
    routes = quarantine_routes(quarantine, lambda *_: None)
    for route in ("GET /quarantine", "POST /quarantine/*/drop"):
        work = asyncio.ensure_future(routes[route](["all"], {}))
        turns = 0
        while not work.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 5
    assert len(quarantine) == 0


async def test_a_partition_that_is_not_utf8_is_shown_and_gets_its_metrics_back(tmp_path: Path) -> None:
    before = Quarantine(tmp_path, log=LOG)
    before.put("out", "\udcff", [b"m,k=\xff x=1\n"], "400", time=1.0)
    before.close()
    quarantine = Quarantine(tmp_path, log=LOG)

    queued: list[tuple[str | None, bytes]] = []

    async def requeue(output: str, partition: str | None, lines: Sequence[bytes]) -> None:
        queued.extend((partition, line) for line in lines)

    routes = quarantine_routes(quarantine, requeue)
    shown: Any = await routes["GET /quarantine"]([], {})
    assert shown["entries"][0]["partition"] == r"\xff"
    await routes["POST /quarantine/*/retry"](["all"], {})
    assert queued == [("\udcff", b"m,k=\xff x=1\n")]
    quarantine.close()


async def test_flush_and_reload_are_begun() -> None:
    begun: list[str] = []
    routes = agent_routes(
        flush=lambda: begun.append("flush"), reload=lambda: begun.append("reload"), reloaded=asyncio.Event().wait
    )
    for route in ("POST /flush", "POST /reload"):
        assert await routes[route]([], {}) == {"begun": True}
    assert begun == ["flush", "reload"]


@pytest.mark.parametrize("word", ["", "all of them", "²", "1_0", "+1"])
async def test_what_is_no_number_is_no_entry(word: str) -> None:
    routes = quarantine_routes(Quarantine(None, log=LOG), lambda *_: None)
    for route in ("GET /quarantine/*", "POST /quarantine/*/retry", "POST /quarantine/*/drop"):
        with pytest.raises(LookupError):
            await routes[route]([word], {})

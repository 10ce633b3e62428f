"""Servers that each can take a batch: which one is asked, and what is told where none takes it."""

import logging

import pytest

from pyagent.api import Retry
from pyagent.kit.nodes import NodePool

LOG = logging.getLogger("pyagent.test")


class World:
    """Nodes that fail as the test says."""

    def __init__(self, *names: str) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.down: dict[str, Retry] = {}
        self.pool = NodePool(names, log=LOG, clock=lambda: self.now)
        self.pool.turn = len(names) - 1

    async def ask(self, subject: str = "") -> str:
        async def ask(node: str) -> str:
            self.asked.append(node)
            if node in self.down:
                raise self.down[node]
            return f"{node} took it"

        self.asked.clear()
        return await self.pool.ask(ask, subject)


async def test_nodes_take_turns() -> None:
    world = World("a", "b", "c")
    assert [await world.ask() for _ in range(4)] == ["a took it", "b took it", "c took it", "a took it"]


async def test_one_that_fails_is_left_for_last_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World("a", "b")
    world.down["a"] = Retry("a is away")
    assert await world.ask() == "b took it"
    assert world.asked == ["a", "b"]
    await world.ask()
    await world.ask()
    assert world.asked == ["b"]
    world.now, world.pool.turn = 3.0, 1
    world.down.clear()
    assert await world.ask() == "a took it"
    assert caplog.messages == ["a is away; another of the urls is tried", "a takes metrics again"]


async def test_where_none_takes_it_all_that_they_said_is_told() -> None:
    world = World("a", "b")
    world.down = {"a": Retry("a is away", 5.0), "b": Retry("b asks to wait", 9.0, needs_operator=True)}
    with pytest.raises(Retry, match=r"^a is away; b asks to wait$") as caught:
        await world.ask()
    assert (caught.value.after, caught.value.needs_operator) == (5.0, False)
    world.now = 6.0
    with pytest.raises(Retry, match="cannot write to b: it asked to wait 3 s more") as caught:
        await world.ask()
    assert world.asked == ["a"]
    assert caught.value.after == 3.0


async def test_a_subject_that_suffers_is_not_held_against_the_others() -> None:
    world = World("a", "b")
    world.down["a"] = Retry("this bucket is closed", 60.0)
    assert await world.ask("bucket") == "b took it"
    world.down.clear()
    world.pool.turn = 1
    assert await world.ask("another") == "a took it"

"""Whether the watchdog is fed, and what it says: the schedule ticks, and the outputs' write loops do not stall."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from agent_plans import Storing, a_plan, an_input, an_output

from pyagent.api import Accumulator, Batch, Duration, Input
from pyagent.pipeline.inputs.running_input import MOST_GIVEN_UP
from pyagent.runtime.agent import Agent
from pyagent.runtime.health_server import HealthServer
from pyagent.runtime.liveness import LONGEST_WRITE, MARGIN, Liveness, Pulse
from pyagent.runtime.notify import Notifier
from pyagent.runtime.summary import Summary
from pyagent.testing.virtual import VirtualClock, run_virtual

START = 1_795_478_403 * 1_000_000_000


class Hanging(Input):
    async def gather(self, acc: Accumulator) -> None:
        await asyncio.sleep(1e6)


class Stuck(Storing):
    async def write(self, batch: Batch) -> None:
        await asyncio.sleep(1e6)


def alive(plan: Any, seconds: float, break_it: Any = None) -> list[str]:
    """What is found dead after so many seconds, asked every ten."""
    found: list[str] = []

    async def main() -> None:
        agent = Agent(clock=VirtualClock(START))
        await agent.apply(plan)
        loop = asyncio.get_running_loop()
        liveness = Liveness(agent, loop.time)
        if break_it is not None:
            await asyncio.sleep(1)
            break_it(agent)
        while loop.time() < seconds:
            await asyncio.sleep(10)
            found[:] = liveness.problems()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    run_virtual(main())
    return found


def test_what_works_is_alive_also_if_it_works_once_a_day() -> None:
    assert alive(a_plan(an_input(), an_output()), 3600) == []
    assert alive(a_plan(an_input(interval=Duration("24h")), an_output(flush_interval=Duration("1h"))), 100_000) == []


def test_a_plugin_that_hangs_is_isolated_and_no_reason_to_be_killed() -> None:
    assert alive(a_plan(an_input(Hanging), an_output()), 3600) == []


def test_a_server_that_is_down_is_no_reason_either() -> None:
    Storing.down = True
    assert alive(a_plan(an_input(), an_output()), 7200) == []
    Storing.down = False


def test_a_schedule_that_does_not_tick_is_dead() -> None:
    def end(agent: Agent) -> None:
        agent._tasks[agent.inputs[0]].cancel()

    assert alive(a_plan(an_input(), an_output()), 300, end) == ["inputs.counting does not run any more"]

    def stop(agent: Agent) -> None:
        agent.inputs[0].next_tick = START  # it never ticks again, though its task is there

        class Never:
            async def sleep_until(self, when: int) -> None:
                await asyncio.sleep(1e9)

            def now(self) -> int:
                return START

        agent.inputs[0]._clock = Never()

    assert alive(a_plan(an_input(), an_output()), MARGIN + 60, stop) == [
        "inputs.counting has not ticked since it was due"
    ]


def test_an_output_that_does_not_come_round_is_dead() -> None:
    plan = a_plan(an_input(), an_output(plugin=Stuck))
    assert alive(plan, 600) == []
    assert alive(plan, LONGEST_WRITE + MARGIN + 60) == [
        f"outputs.storing: its write loop has stalled for {LONGEST_WRITE + MARGIN + 60:.0f} s"
    ]


def test_the_pulse_measures_how_late_the_loop_is() -> None:
    beats: list[float] = []

    async def main() -> None:
        pulse = Pulse(10.0, lambda: beats.append(asyncio.get_running_loop().time()))
        task = asyncio.create_task(pulse.run())
        await asyncio.sleep(35)
        task.cancel()
        assert pulse.lag < 0.1

    run_virtual(main())
    assert len(beats) == 3


def test_watchdog_variables_are_taken_out_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        notifier = Notifier()
        assert notifier.watchdog == 30.0
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
        notifier.alive()
        assert manager.recv(100) == b"WATCHDOG=1"
        notifier.more_time(1.5)
        assert manager.recv(100) == b"EXTEND_TIMEOUT_USEC=1500000"
        # Somebody else's watchdog.
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        monkeypatch.setenv("WATCHDOG_PID", "1")
        assert Notifier().watchdog == 0.0


def test_the_status_line() -> None:
    summary = Summary()
    document: dict[str, Any] = {
        "inputs": [{"name": "inputs.mem", "metrics": 10}, {"name": "inputs.postgresql", "metrics": 0}],
        "outputs": [{"name": "outputs.influxdb_v2", "queued": 0, "oldest_age_seconds": 0.0}],
    }
    assert summary.line(document, 100.0) == "gathering mem, postgresql; writing influxdb_v2; 0 metrics/s"
    document["inputs"][0]["metrics"] = 135
    document["outputs"][0] |= {"queued": 3400, "oldest_age_seconds": 150.0}
    document["problems"] = ["outputs.influxdb_v2: 503"]
    assert summary.line(document, 110.0) == (
        "gathering mem, postgresql; writing influxdb_v2; 12.5 metrics/s; 3,400 waiting, the oldest 2 min; "
        "outputs.influxdb_v2: 503"
    )


class Blocking(Input):
    """A plain gather that hangs in its thread until the test lets go."""

    def setup(self) -> None:
        import threading

        self.gathers = 0
        self.go_on = threading.Event()

    def gather(self, acc: Accumulator) -> None:
        self.gathers += 1
        acc.add("m", {"n": self.gathers})
        self.go_on.wait(30)
        acc.add("late", {"n": self.gathers})


@pytest.mark.leaves_threads(reason="its gathers hang")
async def test_a_gather_that_takes_too_long_is_given_up_and_the_next_ones_are_held_back_in_the_end() -> None:
    Storing.lines.clear()
    agent = Agent(gather_timeout=0.05)
    await agent.apply(
        a_plan(
            an_input(Blocking, interval=Duration("100ms"), round_interval=False),
            an_output(flush_interval=Duration("50ms")),
        )
    )
    runner = agent.inputs[0]
    async with asyncio.timeout(20):
        while "have not ended" not in runner.failures.current:
            await asyncio.sleep(0.01)
    assert runner.abandoned == runner.plugin.gathers == MOST_GIVEN_UP
    runner._gather_timeout = 60.0  # what begins from now on ends at once, in whatever time that takes here
    runner.plugin.go_on.set()
    async with asyncio.timeout(20):
        while not runner.acc.dropped or len(Storing.lines) <= MOST_GIVEN_UP:
            await asyncio.sleep(0.01)
        while runner.failures.current:
            await asyncio.sleep(0.01)
    await agent.stop()
    assert sum(runner.acc.dropped.values()) == MOST_GIVEN_UP, "what came late is counted, and dropped"
    names = {line.split(b" ")[0].split(b",")[0] for line in Storing.lines}
    assert names == {b"m", b"late"}  # the gathers after that ended in time


async def test_health_over_tcp_says_what_is_for_everybody_and_nothing_else() -> None:
    import logging

    from control_documents import document

    server = HealthServer(("127.0.0.1", 0), document, logging.getLogger("health"))
    await server.start()

    async def ask(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    assert (await ask(b"GET /health HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"pyagent_uptime_seconds 9" in await ask(b"GET /metrics HTTP/1.1\r\n\r\n")
    head = await ask(b"HEAD /ready HTTP/1.1\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    for path in (b"/status", b"/quarantine", b"/buffers", b"/../status"):
        assert (await ask(b"GET %s HTTP/1.1\r\n\r\n" % path)).startswith(b"HTTP/1.1 404 ")
    for path in (b"/flush", b"/reload", b"/health"):
        assert (await ask(b"POST %s HTTP/1.1\r\n\r\n" % path)).startswith(b"HTTP/1.1 405 ")
    # Whoever says nothing is in nobody's way.
    crowd = [await asyncio.open_connection(*server.address) for _ in range(300)]
    assert (await ask(b"GET /health HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
    for _, writer in crowd:
        writer.transport.abort()
    await server.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8888", ("127.0.0.1", 8888)),
        (":8888", ("127.0.0.1", 8888)),
        ("[::1]:80", ("::1", 80)),
        ("localhost:1", ("localhost", 1)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),  # it is asked for
    ],
)
def test_health_addresses(text: str, address: tuple[str, int]) -> None:
    from pyagent.cli.flags import health_address

    assert health_address(text) == address


@pytest.mark.parametrize("text", ["8888", "host.example:80", "127.0.0.1:", "127.0.0.1:99999", "::"])
def test_what_is_no_health_address(text: str) -> None:
    from pyagent.cli.flags import health_address

    with pytest.raises(ValueError, match="give one like"):
        health_address(text)

"""What a server may say, or somebody in its place: no answer keeps the agent busy, and none makes it throw away what it has.

Each case runs in a process of its own, which is ended after a minute of work and may not take half a gigabyte.
"""

import pytest
from hostile import run

CONFLICT = '" is type float, already exists as type '
ANSWERS = {
    "conflict": (422, "partial write: " + 'input field "' * 1500 + '" on measurement "' * 1500),
    "conflict with an end": (422, "partial write: " + ('input field "' + '" on measurement "' + CONFLICT) * 9000),
    "too long": (422, "partial write: " + 'input field "a" on measurement "' * 9000 + '" is too long, 2' * 9000),
    "retention": (422, "partial write: " + "violates a Retention Policy Lower Bound at " * 9000 + "x" * 300_000),
    "dropped": (422, "partial write: " + "dropped=" * 90_000),
    "unable to parse": (400, "unable to parse '" + "\nunable to parse '" * 50_000),
    "ends of lines": (400, "unable to parse '" + "': " * 250_000),
    "line breaks": (400, "unable to parse '" + "\n" * 400_000),
    "paths": (400, '; unsupported path requested: "' * 9000 + '"' + " " * 300_000 + "x"),
    "control": (503, "\x1b" * 150_000),
    "spaces": (401, " " * 900_000),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_answer_hangs_the_output(name: str) -> None:
    status, message = ANSWERS[name]
    assert len(message) < 1 << 20  # more of an answer is not read
    code = f"""
import asyncio, logging
from pyagent.api import Reject, Retry
from pyagent.testing.outputs import Answer, MemoryBatch, ScriptedServer, make_output, write
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB

async def main():
    lines = [f"mem,host=a used={{n}}i {{n}}" for n in range(1000)]
    message = {message!r}
    async with ScriptedServer(Answer.error({status}, "unprocessable entity", message)) as server:
        output = make_output(InfluxDB, {{"urls": [server.url], "token": "t", "organization": "o", "bucket": "b"}})
        try:
            await write(output, MemoryBatch(lines))
        except (Reject, Retry) as error:
            assert len(str(error)) <= 500
            print("told")
        await output.close()

asyncio.run(main())
"""
    assert run(code) == "told"


@pytest.mark.parametrize(
    ("answer", "most"),
    [
        ('Answer(400, "Bad Request", {"Content-Type": "text/plain"})', 12),
        ('Answer(400, "<html>", {"Content-Type": "text/html"})', 12),
        ("Answer(422)", 12),
        ('Answer.error(400, "invalid", "no")', 300),
        ("Answer(413)", 300),
    ],
)
def test_an_answer_to_everything_costs_no_metric_and_few_requests(answer: str, most: int) -> None:
    """For 70 s of a virtual clock; then the server is itself again."""
    code = f"""
import asyncio, logging
from plans import numbered, output_plan
from pyagent.buffer import OutputQueue
from pyagent.buffer.quarantine import Quarantine
from pyagent.pipeline.outputs.sender import Sender
from pyagent.testing.outputs import Answer, MemoryBatch, ScriptedServer, make_output, write
from pyagent.testing.virtual import run_virtual
from pyagent_plugins.outputs.influxdb_v2 import InfluxDB

async def ask():
    async with ScriptedServer({answer}) as server:
        output = make_output(InfluxDB, {{"urls": [server.url], "token": "t", "organization": "o", "bucket": "b"}})
        try:
            await write(output, MemoryBatch(["m v=1 1", "m v=2 2"]))
        except Exception as error:
            return error
        finally:
            await output.close()

said = asyncio.run(ask())

async def main():
    asked, well = 0, False

    async def receive(batch):
        nonlocal asked
        if not well:
            asked += 1
            raise said

    log = logging.getLogger("test")
    quarantine = Quarantine(None, log=log)
    sender = Sender(output_plan(InfluxDB), OutputQueue(10_000), receive, dead_letters=quarantine, log=log)
    task = asyncio.create_task(sender.run())
    for second in range(70):
        sender.queue.enqueue(numbered(100 * second, 100))
        sender.appended()
        await asyncio.sleep(1)
    well = True
    await asyncio.sleep(200)
    sender.end()
    await task
    assert (quarantine.metrics, sender.rejected, sender.written) == (0, 0, 7000)
    print(asked)

run_virtual(main())
"""
    assert 0 < int(run(code)) <= most

"""Programs that run beside the agent: processors.execd and the kit below it."""

import asyncio
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, Processor, PyagentError
from pyagent.kit import long_running
from pyagent.kit.long_running import LongRunning
from pyagent.runtime.agent import GRACE
from pyagent.testing import make_processor, process_async
from pyagent_plugins.processors import execd
from pyagent_plugins.processors.execd import Execd

LOG = logging.getLogger("pyagent.test")
HANG = 10.0


def metrics(*numbers: int) -> list[Metric]:
    return [Metric("m", {"h": "a"}, {"v": number}, 1_700_000_000_000_000_000 + number) for number in numbers]


@asynccontextmanager
async def running(script: str, **options: Any) -> AsyncIterator[Processor[Any]]:
    """A program in Python: `lines` are those of its standard input, `say` writes one."""
    head = "import os, signal, sys, time\nlines = iter(sys.stdin.readline, '')\nsay = lambda text: print(text, end='', flush=True)\n"
    processor = make_processor(Execd, {"command": [sys.executable, "-c", head + script], **options})
    try:
        yield processor
    finally:
        await processor.stop()


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG):
        while not ready():
            await asyncio.sleep(0.01)


async def collected(processor: Processor[Any], wanted: int) -> list[Metric]:
    """What comes with this and the next calls."""
    result: list[Metric] = []
    async with asyncio.timeout(HANG):
        while len(result) < wanted:
            result += await process_async(processor, [])
            await asyncio.sleep(0.01)
    return result


async def test_each_metric_has_its_answer() -> None:
    async with running("for line in lines: say(line.replace('m,', 'k,'))") as processor:
        for start in range(5):
            given = metrics(start, start + 10)
            answers = await process_async(processor, given)
            assert answers == [Metric("k", one.tags, one.fields, one.time) for one in given]


async def test_a_format_whose_lines_need_their_ends() -> None:
    async with running("for line in lines: say('up{job=\"a\"} 1\\n')", data_format="prometheus") as processor:
        answer, *_ = await process_async(processor, metrics(1))  # one for each line, also for # TYPE
        assert (answer.tags, answer.fields) == ({"job": "a"}, {"up": 1.0})


async def test_more_or_fewer_metrics_than_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 1.0)
    script = "for line in lines:\n  if 'v=1i' not in line: say(line * 3)"
    async with running(script) as processor:
        answers = await process_async(processor, metrics(1, 2, 3))
        answers += await collected(processor, 6 - len(answers))
        assert sorted(one.fields["v"] for one in answers) == [2, 2, 2, 3, 3, 3]


async def test_what_comes_too_late_comes_with_the_next_metrics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.3)
    gate = tmp_path / "gate"
    script = f"for line in lines:\n  while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n  say(line)"
    async with running(script) as processor:
        with pytest.raises(PyagentError, match="has answered none of 2 metrics"):  # they go on as they were
            await process_async(processor, metrics(1, 2))
        gate.touch()
        assert await collected(processor, 2) == metrics(1, 2)


async def test_a_program_that_ends_is_started_again_and_no_metric_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    script = "say(next(lines)); sys.stderr.write('W! careful\\nno level\\n'); sys.exit(3)"
    async with running(script, restart_delay="0s") as processor:
        for _ in range(2):
            async with asyncio.timeout(HANG):
                while True:
                    try:
                        assert await process_async(processor, metrics(1, 2, 3)) == metrics(1, 2, 3)
                        break
                    except PyagentError as error:  # it has not been started again yet
                        if "it does not run" not in str(error):
                            raise
                        await asyncio.sleep(0.01)
    texts = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("WARNING", "careful") in texts
    assert ("ERROR", "stderr: no level") in texts
    assert any("has ended: exit status 3; it is started again in 0s" in text for _, text in texts)


async def test_a_program_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.2)
    many = [Metric("m", {}, {"text": "x" * 100_000}, 1) for _ in range(20)]
    async with running("time.sleep(1000)") as processor:
        with pytest.raises(PyagentError, match="has answered none of 20 metrics"):
            await process_async(processor, many)
        with pytest.raises(PyagentError, match="it does not read its standard input"):
            await process_async(processor, many)


WORDS = """
for line in lines:
  if 'v=99i' in line: sys.exit(1)
  while 'v=98i' in line and not os.path.exists(GATE): time.sleep(0.01)
  if 'v=0i' not in line: say(line)
"""


async def answered(processor: Processor[Any], *numbers: int) -> list[Metric]:
    """What goes on: where it fails, the metrics as they were."""
    try:
        return await process_async(processor, metrics(*numbers))
    except PyagentError:
        return metrics(*numbers)


async def test_quick_answers_make_no_later_one_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However many came quickly: what is handed on as done is never with the program alone."""
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.4)
    async with running(WORDS.replace("GATE", repr(str(tmp_path / "gate")))) as processor:
        for number in range(1, 31):
            assert await answered(processor, number) == metrics(number)
        assert await answered(processor, 98) == metrics(98)


@pytest.mark.parametrize("end", ["stop", "exit", "late"])
async def test_what_a_program_that_leaves_metrics_out_has_not_answered(
    end: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 2.0)
    gate = tmp_path / "gate"
    async with running(WORDS.replace("GATE", repr(str(gate))), restart_delay="1h") as processor:
        assert isinstance(processor, Execd)
        assert await answered(processor, 1, 0, 0) == metrics(1)
        for number in range(2, 12):
            assert metrics(number)[0] in await answered(processor, number, 0)
        assert processor._pause < execd._LONGEST_WAIT / 2  # it is not waited for long
        if end == "exit":
            assert metrics(5, 99, 6)[1:] == [
                one for one in await answered(processor, 5, 99, 6) if one.fields["v"] in (99, 6)
            ]
            return
        assert await answered(processor, 98) == []
        if end == "late":
            gate.touch()
            assert metrics(98)[0] in await collected(processor, 1)
        else:
            assert metrics(98)[0] in (await processor.stop() or [])


async def test_what_is_left_out_stays_so_where_the_program_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.4)
    async with running(WORDS) as processor:
        assert await answered(processor, 1, 0, 0) == metrics(1)
        assert await answered(processor, 0) == []
        assert not await processor.stop()


async def test_what_was_left_out_before_an_answer_stays_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.4)
    async with running(WORDS.replace("GATE", repr(str(tmp_path / "gate")))) as processor:
        assert await answered(processor, 1, 0, 2, 0) == metrics(1, 2)
        assert await answered(processor, 3) == metrics(3)
        assert await answered(processor, 98) == []
        assert await processor.stop() == metrics(98)


async def test_what_it_writes_when_it_is_to_end_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.1)
    async with running("say(sys.stdin.read())") as processor:
        assert await answered(processor, 1, 2) == metrics(1, 2)
        assert await processor.stop() == metrics(1, 2)


@pytest.mark.parametrize("script", ["time.sleep(1000)", "for line in lines: say('nonsense\\n')"])
async def test_a_program_that_answers_nothing_is_told(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.2)
    async with running(script) as processor:
        for _ in range(2):
            with pytest.raises(PyagentError, match=r"cannot process: `.*` has answered none of 2 metrics for"):
                await process_async(processor, metrics(1, 2))
        assert not await processor.stop()


async def test_no_argument_is_in_a_message(caplog: pytest.LogCaptureFixture) -> None:
    async with running("sys.exit(1)  # hunter7", restart_delay="1h") as processor:
        await answered(processor, 1)
        await until(lambda: "has ended: exit status 1" in caplog.text)
        with pytest.raises(PyagentError) as failure:
            await process_async(processor, metrics(1))
    assert "hunter7" not in caplog.text + str(failure.value)


async def test_a_program_that_writes_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execd, "_LONGEST_WAIT", 0.5)
    async with running("while True: say('m v=1i 1\\n' * 1000)") as processor:
        for _ in range(5):
            assert len(await process_async(processor, metrics(1))) <= 10_000
        assert isinstance(processor, Execd)
        assert len(processor._answers) < 30_000


async def test_lines_that_are_none_are_told(caplog: pytest.LogCaptureFixture) -> None:
    async with running("for line in lines: say('nonsense\\n' + line + 'x' * 300000 + '\\n')") as processor:
        assert await process_async(processor, metrics(1)) == metrics(1)
    assert any("cannot parse what" in record.getMessage() for record in caplog.records)


STAYS = """
child = subprocess.Popen(['sleep', '1000'])
open(PIDS + '.new', 'w').write(f'{os.getpid()} {child.pid}')
os.rename(PIDS + '.new', PIDS)
"""


@asynccontextmanager
async def staying(pids: Path, before: str, after: str) -> AsyncIterator[LongRunning]:
    """A program with a child that does not end by itself; behind it, both must be gone."""

    async def received(data: bytes) -> None:
        """It writes nothing."""

    script = f"import os, signal, subprocess, sys, time\n{before}{STAYS.replace('PIDS', repr(str(pids)))}{after}"
    program = LongRunning([sys.executable, "-c", script], received, LOG)
    await program.start()
    await until(pids.exists)
    numbers = await asyncio.to_thread(pids.read_text)
    yield program
    for pid in map(int, numbers.split()):
        await until(lambda pid=pid: not alive(pid))  # type: ignore[misc]  # bound at once
    await until(lambda: not program.running)
    await program.stop()


IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (IGNORES, "time.sleep(1000)"),
        ("", "sys.stdin.read()"),
        (IGNORES, "sys.stdin.read()"),
        ("", f"{IGNORES}\nsys.stdin.read()"),
    ],
)
async def test_one_that_does_not_end_is_killed_with_all_that_it_started(
    before: str, after: str, tmp_path: Path
) -> None:
    async with staying(tmp_path / "pids", before, after) as program:
        await program.stop(grace=0.1)
        assert not program.running


async def test_a_stop_that_is_cancelled_kills_all(tmp_path: Path) -> None:
    async with staying(tmp_path / "pids", IGNORES, "time.sleep(1000)") as program:
        stopping = asyncio.create_task(program.stop(grace=1000.0))
        await until(lambda: program.stopping)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping


def test_all_is_killed_before_an_input_is_given_up() -> None:
    grace = inspect.signature(LongRunning.stop).parameters["grace"].default
    assert grace + long_running._TERMINATING + long_running._LEFT / 2 < GRACE


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_what_it_writes_at_its_end_is_read() -> None:
    read = bytearray()

    async def received(data: bytes) -> None:
        read.extend(data)

    program = LongRunning([sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read()[::-1])"], received, LOG)
    await program.start()
    await program.write(b"abc", HANG)
    await program.stop(grace=HANG)
    assert bytes(read) == b"cba"


async def test_what_it_says_is_escaped_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def received(data: bytes) -> None:
        """It writes nothing."""

    script = "import sys; sys.stderr.write('W! \\x1b]0;x\\x07\\0\\r2\\r\\n' + 'flood\\n' * 1000)"
    program = LongRunning([sys.executable, "-c", script], received, LOG, restart_delay=1000.0)
    await program.start()
    await until(lambda: "has ended" in caplog.text)
    await program.stop()
    said = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == LOG.name]
    assert said[0] == ("WARNING", r"\x1b]0;x\x07\x00\r2")
    assert said[1:300] == [("ERROR", "stderr: flood")] * 299
    assert said[300] == ("WARNING", f"701 more lines of what `{sys.executable}` writes to standard error are left out")
    assert len(said) == 302


@pytest.mark.parametrize(("writes", "told_once"), [("", True), ("echo m v=1;", False)])
async def test_one_that_ends_at_once_each_time_does_not_fill_the_log(
    writes: str, told_once: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def received(data: bytes) -> None:
        """What it writes is of no account."""

    script = f"{writes} echo x >>{tmp_path}/lives; echo oops $$ >&2; exit 3"
    program = LongRunning(["sh", "-c", script], received, LOG, restart_delay=0.0)
    await program.start()
    lives = tmp_path / "lives"
    await until(lambda: lives.exists() and len(lives.read_text().splitlines()) > 17)
    await program.stop()
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    ends = [text for text in said if "has ended" in text]
    if told_once:
        assert len([text for text in said if text.startswith("stderr: oops")]) == 1
        assert ends[0] == "`sh` has ended: exit status 3; it is started again in 0s"
        assert [text.partition("3 (")[2].partition(" ")[0] for text in ends[1:5]] == ["2", "4", "8", "16"]
        assert len(ends) < 17
    else:
        assert len(ends) >= 17
        assert set(ends) == {"`sh` has ended: exit status 3; it is started again in 0s"}


def test_what_is_no_program_is_called_what_it_is(tmp_path: Path) -> None:
    async def received(data: bytes) -> None:
        """It writes nothing."""

    plain = tmp_path / "plain"
    plain.touch(0o644)
    for path, cause in (
        (tmp_path, "it is a directory; name the program in it"),
        (plain, "permission denied; let the agent's account execute it"),
        (tmp_path / "none", "there is no such program"),
        (plain / "x", "there is no such program"),
        (tmp_path / "a b", "there is no such program; give each argument as a text of its own"),
    ):
        with pytest.raises(ConfigError) as failure:
            LongRunning([str(path)], received, LOG)
        assert str(failure.value).endswith(f"cannot run {str(path)!r}: {cause}")


async def test_it_does_not_get_what_systemd_tells_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    read = bytearray()

    async def received(data: bytes) -> None:
        read.extend(data)

    program = LongRunning(
        [sys.executable, "-c", "import os; print(os.environ.get('NOTIFY_SOCKET'), os.environ['OWN'])"],
        received,
        LOG,
        environment=["OWN=a=b"],
        restart_delay=HANG,
    )
    await program.start()
    await until(lambda: b"\n" in read)
    assert bytes(read) == b"None a=b\n"
    await program.stop()

"""Pieces to a server: what is refused is found and located, a rate is kept to, a server that is away is waited for."""

import asyncio
from array import array
from collections.abc import Awaitable, Callable
from itertools import accumulate

import pytest

from pyagent.api import Batch, PartialWrite, Reject, Retry, Secret, TooLarge
from pyagent.importer.delivery import Delivery, Target, Undelivered, rate_limit
from pyagent.importer.pieces import Piece
from pyagent.testing.outputs import Answer, ScriptedServer
from pyagent.testing.virtual import run_virtual

Write = Callable[[list[bytes]], None]


def piece(*lines: bytes) -> Piece:
    rows = [b"row %d\n" % number for number in range(len(lines))]
    starts = array("Q", [0, *accumulate(map(len, rows))][:-1])
    return Piece(b"".join(rows), 10, b"".join(lines), array("Q", accumulate(map(len, lines))), starts)


def delivery(write: Write, **settings: object) -> tuple[Delivery, list[str]]:
    told: list[str] = []
    made = Delivery(Target("http://127.0.0.1:1", Secret(""), "o", "b"), told=told.append, **settings)  # type: ignore[arg-type]

    async def answered(batch: Batch) -> None:
        write(batch.payload().splitlines(keepends=True))

    made._output.write = answered  # type: ignore[method-assign]
    return made, told


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def wrapped() -> None:
        await main()

    run_virtual(wrapped())


LINES = [b"m v=%d %d\n" % (number, number) for number in range(40)]


def test_a_bad_line_is_found_and_located() -> None:
    stored: list[bytes] = []

    def write(lines: list[bytes]) -> None:
        if LINES[17] in lines:
            raise Reject("bad")
        stored.extend(lines)

    async def main() -> None:
        made, _ = delivery(write)
        refused = await made.send(piece(*LINES))
        assert [(one.line, one.text, one.reason) for one in refused] == [(27, b"row 17", "bad")]
        assert sorted(stored) == sorted(LINES[:17] + LINES[18:])
        assert made.written == 39

    run(main)


def test_a_request_that_is_too_large_is_halved() -> None:
    sizes: list[int] = []

    def write(lines: list[bytes]) -> None:
        if len(lines) > 5:
            raise TooLarge("413")
        sizes.append(len(lines))

    async def main() -> None:
        made, _ = delivery(write)
        assert await made.send(piece(*LINES)) == []
        assert sizes == [5] * 8

    run(main)


def test_a_few_lines_that_are_all_refused_are_kept_and_many_end_the_import() -> None:
    def write(lines: list[bytes]) -> None:
        raise Reject("never")

    async def main() -> None:
        made, _ = delivery(write)
        assert len(await made.send(piece(*LINES[:3]))) == 3
        made, _ = delivery(write)
        with pytest.raises(Undelivered, match="each line alone is refused as well"):
            await made.send(piece(*LINES))

    run(main)


def test_the_same_line_twice_is_two_rows() -> None:
    def write(lines: list[bytes]) -> None:
        raise Reject("never", tuple(range(len(lines))))

    async def main() -> None:
        made, _ = delivery(write)
        refused = await made.send(piece(LINES[0], LINES[1], LINES[0]))
        assert [one.line for one in refused] == [10, 11, 12]

    run(main)


def test_a_rate_is_kept_to() -> None:
    sent: list[tuple[float, int]] = []

    def write(lines: list[bytes]) -> None:
        sent.append((asyncio.get_running_loop().time(), sum(map(len, lines))))

    async def main() -> None:
        made, _ = delivery(write, rate=rate_limit(100, 60))
        await made.send(piece(*LINES))
        for begin in range(0, int(sent[-1][0]) + 1, 60):
            assert sum(size for at, size in sent if begin <= at < begin + 59) <= 100
        assert sent[-1][0] >= 60 * (sum(map(len, LINES)) // 100 - 1)

    run(main)


def test_a_large_rate_is_spread() -> None:
    limit = rate_limit(5 << 20, 300.0)
    assert (limit._size, limit._period) == ((5 << 20) // 80, 300.0 / 80)


def test_a_server_that_is_away_is_waited_for_and_told_once() -> None:
    failures = iter([Retry("away"), Retry("away"), Retry("busy", 30.0)])

    def write(lines: list[bytes]) -> None:
        if failure := next(failures, None):
            raise failure

    async def main() -> None:
        made, told = delivery(write)
        assert await made.send(piece(*LINES)) == []
        assert asyncio.get_running_loop().time() >= 30
        assert [text.partition(";")[0] for text in told] == ["away", "busy", "the server takes lines again"]

    run(main)


@pytest.mark.parametrize(("patience", "most"), [(0.0, 5.0), (2.0, 3.1), (45.0, 46.1)])
def test_a_server_that_never_answers_is_given_up_in_time(patience: float, most: float) -> None:
    async def never(batch: Batch) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        made, _ = delivery(lambda lines: None, patience=patience)
        made._output.write = never  # type: ignore[method-assign]
        with pytest.raises(Undelivered, match=r"no answer within .*given up after"):
            await made.send(piece(*LINES))
        assert patience <= asyncio.get_running_loop().time() <= most

    run(main)


def test_a_server_that_asks_for_more_time_than_there_is_is_given_up_in_time() -> None:
    def write(lines: list[bytes]) -> None:
        raise Retry("busy", 300.0)

    async def main() -> None:
        made, _ = delivery(write, patience=2.0)
        with pytest.raises(Undelivered, match="given up after 2 s"):
            await made.send(piece(*LINES))
        assert asyncio.get_running_loop().time() < 4

    run(main)


def test_what_only_a_person_can_mend_ends_the_import() -> None:
    def write(lines: list[bytes]) -> None:
        raise Retry("401 unauthorized; correct `token`", needs_operator=True)

    async def main() -> None:
        made, _ = delivery(write)
        with pytest.raises(Undelivered, match="correct the token"):
            await made.send(piece(*LINES))

    run(main)


def test_a_partial_write_is_accounted() -> None:
    def write(lines: list[bytes]) -> None:
        raise PartialWrite("partial write", 2, (1,))

    async def main() -> None:
        made, _ = delivery(write)
        refused = await made.send(piece(*LINES[:5]))
        assert [one.line for one in refused] == [11, 0]
        assert made.written == 3

    run(main)


@pytest.mark.parametrize("answer", [Answer(200, '{"status": "ok"}'), Answer(207), Answer(200, "<html>")])
async def test_an_answer_that_is_none_of_influxdb_ends_it_at_once(answer: Answer) -> None:
    async with ScriptedServer(answer) as server:
        made = Delivery(Target(server.url, Secret(""), "o", "b"), told=lambda text: None)
        with pytest.raises(Undelivered, match="not the words of InfluxDB: correct --host"):
            await made.send(piece(*LINES))
        await made.close()

"""outputs.influxdb_v2: which lines of the batch the server means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from writing import outcome, output, parse_error

from pyagent.api import Reject
from pyagent.kit.influxdb import named_lines, suspected_lines
from pyagent.testing.outputs import Answer, MemoryBatch, ScriptedServer, write


class TestNamedLines:
    async def named(self, lines: list[str], answer: Answer) -> tuple[int, ...] | None:
        error, _ = await outcome(answer, lines=lines)
        assert isinstance(error, Reject)
        assert not error.rest_stored
        return error.lines

    async def test_one(self) -> None:
        assert await self.named(["m v=1 1", "broken", "m v=3 3"], parse_error("broken")) == (1,)

    async def test_several_and_equal_ones(self) -> None:
        lines = ["broken", "m v=1 1", "m used=", "broken"]
        assert await self.named(lines, parse_error("broken", "m used=", "broken")) == (0, 2, 3)

    async def test_quotes_and_colons_in_the_line(self) -> None:
        lines = ["m v=1 1", "m s=\"it's': unable to parse 'm v=1 1': x\" 2x"]
        assert await self.named(lines, parse_error(lines[1])) == (1,)

    async def test_a_reason_with_quotes(self) -> None:
        line = "m v=9223372036854775808i"
        message = (
            f"unable to parse '{line}': unable to parse integer: strconv.ParseInt: parsing \"9\": value out of range"
        )
        assert await self.named(["m v=1", line], Answer.error(400, "invalid", message)) == (1,)

    async def test_a_line_break_within_the_line(self) -> None:
        lines = ['m s="one\ntwo" 1', 'm s="three\nfour" 2x']
        assert await self.named(lines, parse_error(lines[1])) == (1,)

    async def test_an_unbalanced_quote_swallows_what_follows(self) -> None:
        lines = ["m v=1 1", 'm s="abc 2', "m v=3 3", "m v=4 4"]
        assert await self.named(lines, parse_error("\n".join(lines[1:]))) == (1,)

    async def test_bytes_that_are_not_utf8(self) -> None:
        lines = ["m v=1 1", "caf\udce9\udcff \xe9"]
        assert await self.named(lines, parse_error("caf\ufffd\ufffd \xe9")) == (1,)

    async def test_influxdb_1_has_stored_the_rest(self) -> None:
        body = '{"error":"partial write: unable to parse \'broken\': missing fields dropped=0"}'
        error, _ = await outcome(Answer(400, body), lines=["m v=1 1", "broken"])
        assert isinstance(error, Reject)
        assert (error.lines, error.rest_stored, error.dropped) == ((1,), True, 1)

    async def test_a_line_cannot_pretend_that_the_rest_is_stored(self) -> None:
        line = 'm s="partial write: dropped=1" 1x'
        assert await self.named(["m v=1 1", line], parse_error(line)) == (1,)


# What a line and the server's message about it are made of, so that parts of one are often found in another.
PIECES = ["m", "v=1", " ", "\\", '"', "'", "': ", "unable to parse '", "\n", "missing fields", "é", "\udcff", "1"]
TEXTS = (
    # Of six, a line could be two messages of the server: no reader could tell.
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join).filter(lambda text: not text[0].isspace())
)


def test_a_line_that_looks_like_another_and_its_reason() -> None:
    lines = ["m", "m': missing fields"]
    message = "\n".join(f"unable to parse '{line}': missing fields" for line in lines)
    assert named_lines(message, MemoryBatch(lines)) == (0, 1)


@given(st.data())
def test_all_bad_lines_are_named_and_no_other(data: st.DataObject) -> None:
    lines = data.draw(st.lists(TEXTS, min_size=1, max_size=8))
    bad = data.draw(st.lists(st.sampled_from(range(len(lines))), min_size=1, unique=True).map(sorted))
    message = "\n".join(f"unable to parse '{lines[i]}': missing fields" for i in bad).replace("\udcff", "\ufffd")
    named = named_lines(message, MemoryBatch(lines))
    assert set(named) == {i for i, line in enumerate(lines) if line in {lines[i] for i in bad}}


CONFLICT = (
    "failure writing points to database: partial write: field type conflict: "
    'input field "used" on measurement "mem" is type integer, already exists as type float dropped=1'
)
RETENTION = (
    "failure writing points to database: partial write: dropped 2 points outside retention policy of duration 1h0m0s - "
    "oldest point m at 2000-01-01T00:00:00Z dropped because it violates a Retention Policy Lower Bound at "
    "2023-11-14T22:13:20.123456789Z, newest point m at 2000-01-01T00:00:00Z dropped because it violates a Retention "
    "Policy Lower Bound at 2023-11-14T22:13:20.123456789Z dropped=2"
)


async def test_lines_that_a_partial_write_may_have_refused_are_named_as_suspects() -> None:
    lines = [
        "mem,host=a used=1i 10",
        "mem,host=b used=1.5 20",
        'mem,host=c text="used=1i",used=t 30',
        "mem used=2i,free=3i",
        "memory used=1i 40",
        "mem,used=1i free=1i 50",
        "mem,host=a\\ b\\,c free=1,used=7i 60",
    ]
    assert suspected_lines(CONFLICT, MemoryBatch(lines)) == (0, 3, 6)
    async with ScriptedServer(Answer.error(422, "unprocessable entity", CONFLICT)) as server:
        plugin = output(server.url)
        with pytest.raises(Reject) as caught:
            await write(plugin, MemoryBatch(lines))
        await plugin.close()
    assert (caught.value.lines, caught.value.rest_stored, caught.value.dropped) == ((0, 3, 6), True, 1)


def test_lines_beyond_the_retention_are_suspects() -> None:
    second = 1_700_000_000
    lines = [
        f"m n=1i {(second - 1) * 10**9}",
        f"m n=1i {(second + 1) * 10**9}",
        "m n=1i",
        f"m n=1i {946684800 * 10**9}",
    ]
    assert suspected_lines(RETENTION, MemoryBatch(lines)) == (0, 3)


def test_lines_with_a_text_as_long_as_that_are_suspects() -> None:
    text = "x" * 30
    lines = [
        f'm s="{text}" 1',
        f'm s="short",other="{text}" 2',
        f'm n=1i,pad="{text}" 3',
        f'n s="{text}" 4',
        'm s="short" 5',
    ]
    message = 'partial write: input field "s" on measurement "m" is too long, 30 > 20 dropped=1'
    assert suspected_lines(message, MemoryBatch(lines)) == (0, 1)


@given(st.text(), st.lists(st.text(alphabet='m,= \\"i1tuf.é\n'), min_size=1, max_size=4))
def test_no_message_and_no_line_is_too_odd(message: str, lines: list[str]) -> None:
    for text in (
        message,
        CONFLICT,
        RETENTION,
        f'input field "{message}" on measurement "m" is too long, 2 > 1',
        f'input field "{message}" on measurement "m" is type float, already exists as type',
    ):
        assert all(0 <= index < len(lines) for index in suspected_lines(text, MemoryBatch(lines)))

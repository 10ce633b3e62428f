"""write() itself, which is one native call where there is a compiler: it takes the same, and raises the same."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from write_receiver import MakeWriter, Receiver

from pyagent.client import Int, PointError, Writer, WriterClosed

NOW = 1_800_000_000_000_000_000
WAYS = {"the method": Writer.write, "its reference": inspect.unwrap(Writer.write)}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def write(request: pytest.FixtureRequest) -> Callable[..., None]:
    way: Callable[..., None] = request.param
    return way


def test_all_ways_to_call_it_are_one(write: Any, make_writer: MakeWriter, receiver: Receiver) -> None:
    writer = make_writer(tags={"host": "h", "room": "r"}, schema={"n": int}, batch_size=3)
    write(writer, "m", {"n": 1}, {"room": "x"}, NOW)
    write(writer, "m", {"n": 2}, time=NOW)
    write(writer, "m", {"n": 3}, None, NOW)
    write(writer, "m", {"n": 4}, MappingProxyType({"room": "y"}), datetime(2027, 1, 15, 8, tzinfo=UTC))
    write(writer, measurement="m", fields={"n": 5, "f": Int(5)}, tags={}, time=NOW)
    writer.flush()
    assert receiver.lines == [
        f"m,host=h,room={room} {fields} {NOW}"
        for room, fields in [("x", "n=1i"), ("r", "n=2i"), ("r", "n=3i"), ("y", "n=4i"), ("r", "n=5i,f=5i")]
    ]
    assert writer.statistics.taken == 5


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("m", {}), PointError),
        (("m", {"f": [1]}), PointError),
        (("m", {"f": 1}, {"time": "x"}), PointError),
        (("m", {"f": 1}, None, 12), PointError),
        (("m",), TypeError),
        (("m", {"f": 1}, {}, None, 5), TypeError),
    ],
)
def test_mistakes_are_raised_where_they_are_made(
    write: Any, arguments: Any, error: type[Exception], make_writer: MakeWriter, receiver: Receiver
) -> None:
    writer = make_writer()
    with pytest.raises(error):
        write(writer, *arguments)
    writer.flush()
    assert not receiver.lines


def test_after_the_end_it_takes_nothing(write: Any, make_writer: MakeWriter) -> None:
    writer = make_writer()
    write(writer, "m", {"f": 1})
    writer.close()
    with pytest.raises(WriterClosed):
        write(writer, "m", {"f": 1})


def test_what_lies_ahead_is_warned_of(write: Any, make_writer: MakeWriter, caplog: pytest.LogCaptureFixture) -> None:
    writer = make_writer()
    for minutes in (0, 4, -60, 90):
        write(writer, "m", {"f": 1}, None, int(datetime.now().timestamp() + 60 * minutes) * 10**9)
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "the time of a point of 'm' is 89 min in the future"
    ]


def test_a_journal_has_it_before_it_returns(write: Any, make_writer: MakeWriter, tmp_path: Path) -> None:
    writer = make_writer(buffer_directory=tmp_path)
    for n in range(3):
        write(writer, "m", {"n": n}, None, NOW)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert [kept.count(b"m n=%d" % n) for n in range(3)] == [1, 1, 1]


def test_a_program_may_override_it(make_writer: MakeWriter, receiver: Receiver) -> None:
    class Mine(Writer):
        def write(self, measurement: str, fields: Any, tags: Any = None, time: Any = None) -> None:
            super().write("mine_" + measurement, fields, tags, time)

    writer = Mine(receiver.url, "t", "o", "b", sigterm=False)
    writer.write("m", {"n": 1}, None, NOW)
    assert writer.close() == 0
    assert receiver.lines == [f"mine_m n=1 {NOW}"]


def test_it_says_what_it_is() -> None:
    assert list(inspect.signature(Writer.write).parameters) == ["self", "measurement", "fields", "tags", "time"]
    assert (Writer.write.__doc__ or "").startswith("Take one point")
    assert Writer.write.__module__ == "pyagent.client.writer"

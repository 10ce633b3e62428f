"""Line protocol: bad lines, strings of several lines, times that are missing, blocks that end anywhere."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pyagent.importer.lp_lines import LpConverter
from pyagent.importer.pieces import Piece, Warnings


def convert(data: bytes, *ends: int, **settings: object) -> list[Piece]:
    converter = LpConverter(**settings)  # type: ignore[arg-type]
    pieces, start = [], 0
    for end in sorted(min(end, len(data)) for end in ends):
        pieces.append(converter.feed(data[start:end]))
        start = end
    return [*pieces, converter.feed(data[start:], final=True)]


def test_bad_lines_are_kept_with_their_places() -> None:
    data = b'm,h=a u=1 5\nm h=a\nm,h=a u=2 yesterday\nm,h=a note="two\nlines" 6\n# comment\nm,h=a u=3 7\r\n'
    (piece,) = convert(data)
    assert piece.data == b'm,h=a u=1 5\nm,h=a note="two\nlines" 6\nm,h=a u=3 7\n'
    assert [(one.line, one.column, one.text) for one in piece.rejected] == [
        (2, 5, b"m h=a"),
        (3, 11, b"m,h=a u=2 yesterday"),
    ]
    assert [piece.origin(index)[0] for index in range(3)] == [1, 4, 7]


def test_more_bad_lines_than_are_told_at_once() -> None:
    data = b"".join(b"bad%d\nm u=%d %d\n" % (number, number, number + 1) for number in range(2500))
    (piece,) = convert(data)
    assert piece.count == 2500
    assert [one.line for one in piece.rejected] == list(range(1, 5001, 2))
    assert [one.text for one in piece.rejected] == [b"bad%d" % number for number in range(2500)]


def test_the_comments_of_an_errors_file_are_none_of_its_lines() -> None:
    piece = LpConverter().feed(b'# error : line 3: x\nm v=1 1\n"# error : line 4: x, y"\nm v=2 2\n', final=True)
    assert (piece.count, piece.rejected) == (2, [])


def test_a_text_that_influxdb_does_not_take_is_refused_with_its_place() -> None:
    most = 1_048_576
    lines = [
        b'm s="%b",v=1 1' % (b"a" * most),
        b'm,h="x s="%b" 2' % (b'\\"' * most),
        b'm v=1,s="a%b" 3' % (b"a" * most),
        b"m v=4 4",
    ]
    piece = LpConverter(longest=16_000_000).feed(b"\n".join(lines), final=True)
    assert piece.count == 3
    assert [(one.line, one.column) for one in piece.rejected] == [(3, 9)]
    assert "1,048,577 bytes" in piece.rejected[0].reason


def test_a_time_that_is_missing_is_set_once() -> None:
    data = b"m u=1\nm u=2 7\nm u=3\n"
    (piece,) = convert(data, start=1_700_000_000_000_000_000)
    assert piece.data == b"m u=1 1700000000000000000\nm u=2 7\nm u=3 1700000000000000001\n"
    assert convert(data)[0].data == data


def test_precision_and_lines_to_pass_over() -> None:
    (piece,) = convert(b"junk\nm u=1 5\n", skip=1, precision="s", headers=("# mine",))
    assert piece.data == b"m u=1 5000000000\n"
    assert piece.origin(0)[0] == 2


def test_lines_that_are_too_long() -> None:
    (piece,) = convert(b'm s="' + b"x" * 50 + b'" 1\nm s="y" 2\n', longest=30)
    assert piece.data == b'm s="y" 2\n'
    assert "longer than 30 bytes" in piece.rejected[0].reason


def test_an_export_of_influxdb_1_is_taken() -> None:
    data = b"# DDL\nCREATE DATABASE noaa WITH NAME autogen\n# DML\n# CONTEXT-DATABASE:noaa\nm u=1 5\n"
    warnings = Warnings()
    (piece,) = convert(data, warnings=warnings)
    assert (piece.data, piece.rejected) == (b"m u=1 5\n", [])
    assert warnings.texts() == ["line 2: a statement of an export of InfluxDB 1 is passed over"]


line = st.sampled_from(
    [b"m u=1 5", b'm s="a\nb" 6', b"bad", b'm s="open', b"", b"# c", b'm s="\\"" 7', b"m,t=x u=2i 8\r"]
)


@given(st.lists(line, max_size=8), st.lists(st.integers(0, 120), max_size=3))
def test_blocks_may_end_anywhere(given_lines: Sequence[bytes], ends: Sequence[int]) -> None:
    data = b"\n".join(given_lines)
    (whole,) = convert(data)
    pieces = convert(data, *ends)
    assert b"".join(piece.data for piece in pieces) == whole.data
    assert [one for piece in pieces for one in piece.rejected] == whole.rejected

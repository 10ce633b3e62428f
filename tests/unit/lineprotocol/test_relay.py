"""Relaying is encode(change(parse(data))), for all data."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from line_strategies import line_data, options, precisions, texts

from pyagent.api import LineOptions
from pyagent.lineprotocol.results import TIME_MAX, Precision

NOW = 1_700_000_000_123_456_789


def test_lines_are_written_anew(core: SimpleNamespace) -> None:
    data = b'# c\nm,b=2,a=1 f=1.50,g=007i,f=2,s="a\\nb" \nbad\nm\\ 1 f=1e3 5\n'
    relayed = core.relay(data, NOW)
    assert relayed.encoded.data == b'm,a=1,b=2 f=2,g=7i,s="a\\\\nb" 1700000000123456789\nm\\ 1 f=1000 5\n'
    assert (relayed.encoded.count, relayed.encoded.oldest, relayed.encoded.newest) == (2, 5, NOW)
    assert [str(error) for error in relayed.errors] == ["line 3, column 4: missing fields"]


def test_tags_are_added_where_there_is_none_of_their_key(core: SimpleNamespace) -> None:
    relayed = core.relay(b"m,b=1 f=1 1\nm f=1 1", NOW, tags={"b": "2", "a b": "x,y", "": "z", "e": ""})
    assert relayed.encoded.data == b"m,a\\ b=x\\,y,b=1 f=1 1\nm,a\\ b=x\\,y,b=2 f=1 1\n"


def test_lines_without_a_time_are_apart_where_that_is_asked(core: SimpleNamespace) -> None:
    odd = b"m f=1,\\ =1"  # the key cannot be written: the native core leaves the line to the reference
    data = b"m f=1\nm f=2 7\nbad\n" + odd + b"\nm f=4\n" + odd + b" 9\nm f=5"
    times = [int(line.rsplit(b" ", 1)[1]) for line in core.relay(data, NOW, apart=True).encoded.data.splitlines()]
    assert times == [NOW, 7, NOW + 1, NOW + 2, 9, NOW + 3]
    assert [metric.time for metric in core.parse(data, NOW, apart=True).metrics] == times
    assert [metric.time for metric in core.parse(data, NOW).metrics] == [NOW, 7, NOW, NOW, 9, NOW]
    cut = NOW - NOW % 1000
    assert [metric.time for metric in core.parse(data, NOW, "us", apart=True).metrics] == [
        cut,
        7000,
        cut,
        cut,
        9000,
        cut,
    ]
    # Of the last time that there is no further one follows.
    assert [metric.time for metric in core.parse(b"m f=1\nm f=2\nm f=3\n", TIME_MAX, apart=True).metrics] == [TIME_MAX]


def test_times_that_are_apart_are_rounded_all_the_same(core: SimpleNamespace) -> None:
    relayed = core.relay(b"m f=1\nm f=2\n", NOW, round_to=1000, apart=True)
    assert relayed.encoded.data == b"m f=1 1700000000123457000\nm f=2 1700000000123457000\n"


@pytest.mark.parametrize(
    ("time", "to", "rounded"),
    [
        (1_499_999_999, 10**9, 10**9),
        (1_500_000_000, 10**9, 2 * 10**9),
        (-1_500_000_000, 10**9, -(10**9)),
        (-1_500_000_001, 10**9, -2 * 10**9),
        (0, 7 * 10**9, 3 * 10**9),  # multiples of seven seconds since year 1
        (5, 1, 5),
        (5, 0, 5),
        (2**63 - 2, 10**9, 2**63 - 2),
        (-(2**63) + 2, 10**9, -(2**63) + 2),
    ],
)
def test_times_are_rounded_half_up_from_year_one(core: SimpleNamespace, time: int, to: int, rounded: int) -> None:
    relayed = core.relay(b"m f=1 %d" % time, NOW, round_to=to)
    assert relayed.encoded.data == b"m f=1 %d\n" % rounded
    assert relayed.encoded.oldest == relayed.encoded.newest == rounded


def test_what_cannot_be_encoded_is_rejected(core: SimpleNamespace) -> None:
    relayed = core.relay(b'm,t=v f="xxxxxxxxxxxxxxxxxxxx",g=1 1\nm f=1 1\n', NOW, "ns", LineOptions(max_line_bytes=20))
    assert relayed.encoded.data == b"m f=1 1\n"
    [(metric, reason)] = relayed.encoded.rejected
    assert (metric.name, metric.tags, metric.fields) == ("m", {"t": "v"}, {"f": "x" * 20, "g": 1.0})
    assert reason.startswith("need more space")


def test_unknown_precision(core: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="'h'"):
        core.relay(b"", NOW, "h")


@given(
    line_data,
    precisions,
    options,
    st.dictionaries(texts, texts, max_size=3),
    st.sampled_from([0, 1, 10, 7 * 10**9, 10**10]) | st.integers(1, 10**12),
)
def test_relay_is_parse_and_encode(
    core: SimpleNamespace,
    data: bytes,
    precision: Precision,
    wanted: LineOptions,
    tags: dict[str, str],
    round_to: int,
) -> None:
    relayed = core.relay(data, NOW, precision, wanted, tags=tags, round_to=round_to)
    parsed = core.parse(data, NOW, precision)
    assert relayed.errors == parsed.errors
    for metric in parsed.metrics:
        metric.tags = {**tags, **metric.tags}
        metric.time = core.relay(b"m f=1 %d" % metric.time, 0, round_to=round_to).encoded.oldest
    assert relayed.encoded == core.encode(parsed.metrics, wanted)

"""Line protocol: the quick reader and the scanner give the same, and the corners have InfluxDB's words."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent.sandbox.points import (
    LineError,
    Point,
    UnparsableBody,
    ValueUnreadable,
    make_key,
    parse,
    parse_line,
    scan_line,
    split_key,
)

NOW = 1_700_000_000_123_456_789


def scanned(body: bytes) -> list[Point] | str:
    """What the scanner alone gives for a body."""
    points, failed, unreadable, at = [], [], [], 0
    while at < len(body):
        line, at = scan_line(body, at)
        line = line.lstrip(b" \t\0")
        if line and not line.startswith(b"#"):
            try:
                points.append(parse_line(line.removesuffix(b"\n"), NOW))
            except ValueUnreadable as error:
                unreadable.append(str(error))
            except LineError as error:
                failed.append(str(error))
    return "; ".join(failed) or next(iter(unreadable), "") or points


def read(body: bytes) -> list[Point] | str:
    try:
        return parse(body, NOW)
    except UnparsableBody as error:
        return "; ".join(part.rpartition("': ")[2] for part in str(error).split("\nunable to parse '"))
    except ValueUnreadable as error:
        return str(error)


pieces = st.sampled_from(
    [b"m", b",", b"=", b" ", b"\\", b'"', b"1", b"i", b"u", b"-", b".", b"e", b"t", b"true", b"\n", b"\t", b"#", b"a=b", b"f=1i", b"12",
     b's="x"', b"9223372036854775807", b"18446744073709551615", b"NaN", b"1e400", b"\xff", b"time=1", b"b=1,a=2", b"\x00"]
)  # fmt: skip


@settings(max_examples=4 * settings.default.max_examples)
@given(st.lists(pieces, max_size=14).map(b"".join))
@example(b'm f="a\nb",g=1i 5\nm f=2')
@example(b"m,b=1,a=2 f=1 1\nm,a=1,a=2 f=1")
def test_quick_reader_and_scanner_agree(body: bytes) -> None:
    quick, slow = read(body), scanned(body)
    if isinstance(slow, str):
        assert isinstance(quick, str)
        assert quick.count("; ") == slow.count("; ")
    else:
        assert quick == slow


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda text: not text.endswith("\\") and not text.startswith("#") and "\\" not in text and '"' not in text
)


@given(
    names, st.dictionaries(names.filter(lambda name: name not in ("time", "_field", "_measurement")), names, max_size=3)
)
def test_a_made_key_is_read_back(measurement: str, tags: dict[str, str]) -> None:
    key, _, _ = parse(make_key(measurement, tags) + b" f=1", NOW)[0]
    name, found = split_key(key)
    assert name.decode() == measurement
    assert {key.decode(): value.decode() for key, value in found} == tags


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"cpu ", "invalid field format"),
        (b"cpu", "missing fields"),
        (b"cpu,", "missing tag key"),
        (b"cpu,a", "missing tag value"),
        (b"cpu,a= f=1", "missing tag value"),
        (b"cpu,a=b=c f=1", "invalid tag format"),
        (b"cpu,a=1,a=2 f=1", "duplicate tags"),
        (b"cpu,_field=1 f=1", 'cannot use reserved tag key "_field"'),
        (b"cpu =1", "missing field key"),
        (b"cpu f=", "missing field value"),
        (b"cpu f=1,", "invalid field format"),
        (b"cpu f=x", "invalid boolean"),
        (b"cpu f=1.1.1", "invalid number"),
        (b"cpu f=-1u", "invalid number"),
        (b'cpu f="', "unbalanced quotes"),
        (b"cpu f=1 x", "bad timestamp"),
        (b"cpu f=1 1 1", "point is invalid"),
        (b"cpu f=1 -", 'strconv.ParseInt: parsing "-": invalid syntax'),
        (b"cpu f=1 9223372036854775807", "time outside range -9223372036854775806 - 9223372036854775806"),
        (b"m" * 65536 + b" f=1", "max key length exceeded: 65536 > 65535"),
        (b"m," + b"t=" + b"x" * 65520 + b" " + b"f" * 20 + b"=1", "max key length exceeded: 65548 > 65535"),
    ],
)
def test_reasons(line: bytes, reason: str) -> None:
    with pytest.raises(UnparsableBody) as caught:
        parse(line, NOW)
    assert str(caught.value) == f"unable to parse '{line.decode()}': {reason}"


def test_one_bad_line_refuses_all_and_each_bad_line_is_named() -> None:
    with pytest.raises(UnparsableBody) as caught:
        parse(b"good f=1\nbad\n# not read\n\nworse f=\n", NOW)
    assert str(caught.value) == "unable to parse 'bad': missing fields\nunable to parse 'worse f=': missing field value"


@pytest.mark.parametrize(
    ("precision", "given_time", "time", "default"),
    [
        ("ns", b"5", 5, NOW),
        ("us", b"5", 5_000, 1_700_000_000_123_456_000),
        ("ms", b"5", 5_000_000, 1_700_000_000_123_000_000),
        ("s", b"-5", -5_000_000_000, 1_700_000_000_000_000_000),
        ("u", b"5", 5, 1_700_000_000_123_456_000),
        ("h", b"5", 5, NOW // 3_600_000_000_000 * 3_600_000_000_000),
        ("x", b"5", 5, NOW),
    ],
)
def test_precision(precision: str, given_time: bytes, time: int, default: int) -> None:
    points = parse(b"m f=1 " + given_time + b"\nm f=1", NOW, precision)
    assert [at for _, _, at in points] == [time, default]


def test_values() -> None:
    body = rb'm i=-5i,u=18446744073709551615u,f=1.5e3,g=.5,t=T,w="a \" \\ \n b",x="a"b 1'
    assert parse(body, NOW)[0][1] == [
        (b"i", "integer", -5),
        (b"u", "unsigned", 18446744073709551615),
        (b"f", "float", 1500.0),
        (b"g", "float", 0.5),
        (b"t", "boolean", True),
        (b"w", "string", rb'a " \ \n b'),
        (b"x", "string", b'a"'),
    ]

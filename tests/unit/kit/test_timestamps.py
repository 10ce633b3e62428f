"""Times by layouts. The expected values are what Go's time.ParseInLocation gives, and Telegraf's ParseTimestamp."""

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.kit.timestamps import load_zone, parse_timestamp

S = 1_000_000_000


def parse(layout: str, text: Any, zone: str = "UTC") -> float:
    """Seconds, which all values here are in doubles without loss."""
    return parse_timestamp(layout, text, load_zone(zone)) / S


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]  # as many as one likes


@pytest.mark.parametrize(
    ("layout", "value", "nanoseconds"),
    [
        ("unix", 1700000000, 1700000000 * S),
        ("unix", "1700000000.25", 1700000000 * S + 250_000_000),
        ("unix", "1700000000,25", 1700000000 * S + 250_000_000),
        ("unix", "1 700 000 000", 1700000000 * S),
        ("unix", "-5", -5 * S),
        ("unix", "1e3", 1000 * S),
        ("unix", "-0.0000000001", -1),
        ("unix_ms", "1700000000123.5", 1700000000123_500_000),
        ("unix_us", 7, 7000),
        ("unix_ns", "1700000000123456789", 1700000000123456789),
        ("unix", 2.5, 2_500_000_000),
        ("timestamp_tz", 3600 * 10, 3600 * 9 * S),
        ("timestamp_tz_ms", "36000000", 3600 * 9 * S),
    ],
)
def test_unix_times(layout: str, value: Any, nanoseconds: int) -> None:
    assert parse_timestamp(layout, value, load_zone("Europe/Berlin")) == nanoseconds


@pytest.mark.parametrize(
    "value", ["", "x", "1.2.3", "1,2,3", "0x10", "1_000", "nan", "1/3", "1e9999", True, float("inf"), "1e300"]
)
def test_what_is_no_unix_time(value: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot read|out of range"):
        parse_timestamp("unix", value)


@pytest.mark.parametrize(
    ("layout", "text", "expected"),
    [
        ("2006-01-02T15:04:05Z07:00", "2024-02-29T12:00:00Z", utc(2024, 2, 29, 12)),
        ("2006-01-02T15:04:05Z07:00", "2024-02-29T12:00:00.125+02:00", utc(2024, 2, 29, 10) + 0.125),
        ("RFC3339", "2024-02-29T12:00:00-05:30", utc(2024, 2, 29, 17, 30)),
        ("rfc3339nano", "2024-02-29T12:00:00.5Z", utc(2024, 2, 29, 12) + 0.5),
        ("RFC1123Z", "Thu, 29 Feb 2024 12:00:00 +0100", utc(2024, 2, 29, 11)),
        ("RFC1123", "Thu, 29 Feb 2024 12:00:00 GMT", utc(2024, 2, 29, 12)),
        ("ANSIC", "Thu Feb  1 12:00:00 2024", utc(2024, 2, 1, 12)),
        ("UnixDate", "Thu Feb 1 12:00:00 EST 2024", utc(2024, 2, 1, 17)),
        ("Jan 2, 2006 15:04", "mar 14, 2024 05:06", utc(2024, 3, 14, 5, 6)),
        ("January 2 06 3PM", "December 31 69 12AM", utc(1969, 12, 31)),
        ("02/01/06 03:04pm", "31/12/68 01:05pm", utc(2068, 12, 31, 13, 5)),
        ("2006-002", "2024-366", utc(2024, 12, 31)),
        ("2006 __2", "2024  60", utc(2024, 2, 29)),
        ("20060102150405", "20240229010203", utc(2024, 2, 29, 1, 2, 3)),
        ("15:04:05.000 2006", "01:02:03.250 1970", 3723.25),
        ("05.999 2006", "03 1970", 3),
        ("05,00 2006", "03,25 1970", 3.25),
        ("5 2006", "3.5 1970", 3.5),
        ("2006_01_02", "1970_01_02", 86400),
        ("2006-01-02 -07", "1970-01-02 +02", 79200),
        ("2006-01-02 -07:00:00", "1970-01-02 -01:02:03", 86400 + 3723),
        ("2006 Z070000", "1970 Z", 0),
        ("2006 MST", "1970 GMT+3", -10800),
        ("2006  MST", "1970     UTC", 0),
        ("2006", "1970", 0),
        ("Monday 2006", "FRIDAY 1970", 0),
        ("x2006y", "x1970y", 0),
    ],
)
def test_layouts(layout: str, text: str, expected: float) -> None:
    assert parse(layout, text) == expected


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("2006-01-02", "2024-02-30"),
        ("2006-01-02", "2023-02-29"),
        ("2006-01-02", "2024-13-01"),
        ("2006-01-02", "2024-1-01"),
        ("2006-01-02", "2024-01-01 "),
        ("2006-01-02", "2024-01-0a"),
        ("15:04", "24:00"),
        ("03:04", "13:00"),
        ("15:04:05", "10:00:60"),
        ("2006-002", "2023-366"),
        ("2006-002-01", "2023-100-01"),
        ("2006-002-02", "2023-100-01"),
        ("05.000", "03.25"),
        ("2006 -0700", "2024 0100"),
        ("2006 -0700", "2024 +2500"),
        ("2006 PM", "2024 pm"),
        ("2006 Jan", "2024 J"),
        ("2006 MST", "2024 XYZ"),
        ("2006 MST", "2024 GMT+99"),
        ("2006 MST", "2024 x"),
        ("2006 x", "2024x"),
        ("2006", "0001"),
        ("2006", "٢٠٢٤"),
    ],
)
def test_texts_that_do_not_fit(layout: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read the time|out of range"):
        parse(layout, text)


@pytest.mark.parametrize(
    ("layout", "text", "place"),
    [
        ("2006-01-02", "2024-1-01", "'1-01' is not as the layout says"),
        ("2006-01-02", "x", "'x' is not as the layout says"),
        ("2006-01-02", "2024-01-", "it ends too early"),
        ("2006-01-02", "2024-01-01 x", "there is more: ' x'"),
        ("RFC3339", "2024-01-01 10:00:00Z", "' 10:00:00Z' is not as the layout says"),
        ("15:04", "24:00", "24 is out of range"),
    ],
)
def test_an_error_says_where_a_text_does_not_fit(layout: str, text: str, place: str) -> None:
    with pytest.raises(ValueError, match=f"{re.escape(place)}$"):
        parse(layout, text)


@pytest.mark.parametrize(("layout", "text"), [("204", "123"), ("1504", "123"), ("2006 MST", "2024 UTCX")])
def test_what_an_element_took_it_does_not_give_back(layout: str, text: str) -> None:
    """As in Go: a pattern that tries again would find another time."""
    with pytest.raises(ValueError, match="cannot read the time"):
        parse(layout, text)


@pytest.mark.parametrize("value", [5, 5.0, True])
def test_a_layout_needs_text(value: Any) -> None:
    with pytest.raises(ValueError, match="it is not text"):
        parse_timestamp("2006", value)


@pytest.mark.parametrize(
    ("zone", "text", "expected"),
    [
        ("Asia/Kolkata", "2024-03-04 05:06", utc(2024, 3, 3, 23, 36)),
        ("Europe/Berlin", "2024-07-01 12:00", utc(2024, 7, 1, 10)),
        ("Europe/Berlin", "2024-03-31 02:30", utc(2024, 3, 31, 1, 30)),  # a gap: the offset before it
        ("Europe/Berlin", "2024-10-27 02:30", utc(2024, 10, 27, 1, 30)),  # comes twice: standard time
        ("America/New_York", "2024-03-10 02:30", utc(2024, 3, 10, 6, 30)),
        ("", "2024-07-01 12:00", utc(2024, 7, 1, 12)),
    ],
)
def test_zones(zone: str, text: str, expected: float) -> None:
    assert parse("2006-01-02 15:04", text, zone) == expected
    assert parse("2006-01-02 15:04 Z07:00", text + " Z", zone) == parse("2006-01-02 15:04", text), "its own wins"


def test_this_hosts_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        assert parse("2006-01-02 15:04", "2024-07-01 12:00", "Local") == utc(2024, 7, 1, 10)
        assert parse("2006-01-02 15:04 MST", "2024-07-01 12:00 CEST") == utc(2024, 7, 1, 10)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_unknown_zone() -> None:
    for name in ("Moon/Sea", "../etc/passwd", "\0"):
        with pytest.raises(ValueError, match="unknown time zone"):
            load_zone(name)


def test_without_a_year_it_is_the_present_one() -> None:
    now = datetime.now(UTC)
    assert parse("01-02 15:04", "01-05 10:00") in {utc(now.year, 1, 5, 10), utc(now.year + 1, 1, 5, 10)}


@given(
    st.datetimes(datetime(1700, 1, 1), datetime(2261, 12, 31)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_rfc3339_agrees_with_the_standard_library(moment: datetime, zone: timezone) -> None:
    moment = moment.replace(tzinfo=zone)
    wanted = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert parse_timestamp("2006-01-02T15:04:05.999999Z07:00", moment.isoformat()) == wanted


@given(st.text("20061 -:.,0Z7TJanMoPMmST_35x", max_size=25), st.text("0123456789 -:.,ZTJanMoPM+x", max_size=25))
def test_any_layout_gives_a_time_or_an_error(layout: str, text: str) -> None:
    try:
        found = parse_timestamp(layout, text)
    except ValueError:
        return
    assert -(2**63) <= found < 2**63

"""Points in time: what is given is what is stored, and a number of another unit is none."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from pyagent.client.times import microseconds, milliseconds, nanoseconds, seconds, time_ns

NS = 1_800_000_000_123_456_789


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_time_without_a_zone_is_local_time() -> None:
    summer = datetime(2026, 7, 1, 12, 0, 0, 1)
    utc = int(datetime(2026, 7, 1, 10, 0, tzinfo=UTC).timestamp()) * 10**9 + 1000
    assert time_ns(summer) == utc
    assert time_ns(summer.isoformat()) == utc
    assert time_ns(date(2026, 7, 1)) == utc - 1000 - 12 * 3600 * 10**9
    assert time_ns("2026-07-01T12:00:00.000001+02:00") == utc


def test_a_time_with_a_zone_is_that_time() -> None:
    when = datetime(2026, 1, 1, 5, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5.5)))
    assert time_ns(when) == int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9 + 123_456_000


def test_nanoseconds_are_kept() -> None:
    assert time_ns(NS) == NS
    assert time_ns("2027-01-15T08:00:00.123456789Z") == NS
    assert time_ns(nanoseconds(NS)) == NS


@pytest.mark.usefixtures("berlin")
def test_times_of_pandas_and_numpy() -> None:
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    assert time_ns(pandas.Timestamp(NS, tz="Asia/Kolkata")) == NS
    assert time_ns(pandas.Timestamp("2026-07-01T12:00:00.000000001")) == time_ns("2026-07-01T12:00:00.000000001+02:00")
    assert time_ns(numpy.datetime64(NS, "ns")) == NS
    assert time_ns(numpy.int64(NS)) == NS
    for missing in (pandas.NaT, numpy.datetime64("NaT", "ns")):
        with pytest.raises(ValueError, match="NaT is no time"):
            time_ns(missing)


def test_units_are_said() -> None:
    assert time_ns(seconds(1_800_000_000)) == 1_800_000_000 * 10**9
    assert time_ns(milliseconds(1_800_000_000_123)) == 1_800_000_000_123 * 10**6
    assert time_ns(microseconds(5)) == 5000  # 1970, as it is meant
    assert time_ns(1_800_000_000_123, "ms") == 1_800_000_000_123 * 10**6
    assert time_ns(1_800_000_000.25) == 1_800_000_000_250_000_000


@pytest.mark.parametrize(
    ("value", "unit", "advice"),
    [
        (
            1_800_000_000,
            "ns",
            r"is 1970-01-01T00:00:01Z as nanoseconds; it looks like seconds: give seconds\(1800000000\)",
        ),
        (1_800_000_000_000, "ns", r"give milliseconds\(1800000000000\)"),
        (1_800_000_000_000, "s", r"give milliseconds\(1800000000000\)"),
        (NS, "ms", r"beyond the year 9999 as milliseconds; it looks like nanoseconds"),
        (0, "ns", r"if it is meant, give nanoseconds\(0\)"),
        (0.0, "ns", r"if it is meant, give seconds\(0.0\)"),
        (float("nan"), "ns", "nan is no time"),
        (float("inf"), "ns", "inf is no time"),
        ("yesterday", "ns", "ISO 8601"),
        (nanoseconds(2**63), "ns", "out of range"),
    ],
)
def test_a_number_of_another_unit_is_refused(value: object, unit: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        time_ns(value, unit)


@pytest.mark.parametrize("value", [True, None, [], b"1", timedelta(1)])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        time_ns(value)

"""pyagent.kit.layouts: what the recorded cases of formats leave open."""

import pytest

from pyagent.kit.layouts import TimeLayout, is_layout
from pyagent.kit.timestamps import load_zone, parse_time

SUMMER, WINTER = 1_720_000_000_000_000_000, 1_700_000_000_000_000_000
ZONES = "MST -07 -0700 -07:00 -070000 -07:00:00 Z07 Z07:00"


@pytest.mark.parametrize(
    ("zone", "time", "text"),
    [
        ("UTC", SUMMER, "UTC +00 +0000 +00:00 +000000 +00:00:00 Z Z"),
        ("America/New_York", SUMMER, "EDT -04 -0400 -04:00 -040000 -04:00:00 -04 -04:00"),
        ("America/New_York", WINTER, "EST -05 -0500 -05:00 -050000 -05:00:00 -05 -05:00"),
        ("Asia/Kolkata", WINTER, "IST +05 +0530 +05:30 +053000 +05:30:00 +05 +05:30"),
        ("America/Sao_Paulo", WINTER, "-03 -03 -0300 -03:00 -030000 -03:00:00 -03 -03:00"),
        ("Europe/London", WINTER, "GMT +00 +0000 +00:00 +000000 +00:00:00 Z Z"),
    ],
)
def test_zones(zone: str, time: int, text: str) -> None:
    assert TimeLayout(ZONES, load_zone(zone)).format(time) == text


@pytest.mark.parametrize("year", [0, 1, 4, 5, 399, 1600, 1970, 2400, 9987, 9999])
@pytest.mark.parametrize("day", ["01-01", "02-28", "03-01", "12-31"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_years_that_a_metric_cannot_have(year: int, day: str, zone: str) -> None:
    text = f"{year:04d}-{day} 12:34:56.5"
    time = parse_time("2006-01-02 15:04:05", text, load_zone(zone))
    assert TimeLayout("2006-01-02 15:04:05.9", load_zone(zone)).format(time) == text


def test_days_of_the_week_of_such_years() -> None:
    """As Go has them."""
    days = [TimeLayout("Mon").format(parse_time("2006-01-02", f"{year:04d}-01-01")) for year in (0, 1, 9999)]
    assert days == ["Sat", "Mon", "Fri"]
    assert TimeLayout("2006").format(parse_time("2006-01-02", "9999-12-31") + 86_400_000_000_000) == "10000"


def test_without_a_year_it_is_none() -> None:
    assert TimeLayout("2006 Jan 2").format(parse_time("Jan 2", "Feb 29")) == "0000 Feb 29"


def test_what_is_a_layout() -> None:
    assert [is_layout(text) for text in ("2006", "15:04", "ANSIC", "", "Mont", "unix_ms")] == [True, True] + [False] * 4

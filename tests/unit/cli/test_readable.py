"""Values with units, as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.cli.readable import readable, signed, unit_of
from pyagent.cli.terminal import cells, cut, shows_unicode


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (23_800_000_000, "bytes", "23.8 GB"),
        (5.98123, "percent", "5.98 %"),
        (100.0, "percent", "100 %"),
        (0.00421, "percent", "0.0042 %"),
        (0, "bytes", "0 B"),
        (512, "bytes", "512 B"),
        (999_400, "bytes", "999 kB"),
        (999_600, "bytes", "1.00 MB"),
        (-5e9, "bytes", "-5.00 GB"),
        (1_234_567, "bytes/s", "1.23 MB/s"),
        (3.4, "1/s", "3.40/s"),
        (1_234_567, "1", "1,234,567"),
        (12_345_678, "1", "12.3 M"),
        (0.57, "", "0.57"),
        (123_456.7, "", "123,457"),
        (12, "ms", "12.0 ms"),
        (250, "ns", "250 ns"),
        (0, "ns", "0 s"),
        (0.0123, "s", "12.3 ms"),
        (59.9, "s", "59.9 s"),
        (59.96, "s", "60 s"),
        (3_600_000, "ms", "1 h 00 min"),
        (True, "", "true"),
        (float("nan"), "bytes", "nan"),
        (10**400, "1", "inf"),
        ("a\x1b[2J", "", "a\\x1b[2J"),
    ],
)
def test_a_value_has_three_digits_and_its_unit(value: object, unit: str, text: str) -> None:
    assert readable(value, unit) == text


def test_a_change_has_its_sign_and_none_is_empty() -> None:
    assert [signed(d, "bytes") for d in (12_400_000, -12_400_000, 0)] == ["+12.4 MB", "-12.4 MB", ""]
    assert signed(3, "1") == "+3"


@pytest.mark.parametrize(
    ("field", "unit"),
    [
        ("temp_bytes", "bytes"),
        ("bytes_sent", "bytes"),
        ("rx_bytes_per_second", "bytes/s"),
        ("used_percent", "percent"),
        ("usage_idle", "percent"),
        ("gather_time_ns", "ns"),
        ("uptime", "s"),
        ("requests_total", "1"),
        ("load1", ""),
        ("bytes", "bytes"),
        ("", ""),
    ],
)
def test_the_unit_is_what_the_name_says(field: str, unit: str) -> None:
    assert unit_of(field) == unit


def test_a_declared_unit_is_the_one() -> None:
    assert unit_of("active_time", "ms") == "ms"
    assert unit_of("temp_bytes", "1") == "1"


_UNITS = st.sampled_from(["bytes", "percent", "ns", "us", "ms", "s", "1", "", "bytes/s", "1/s", "A"])


@given(st.integers(-(2**63), 2**64) | st.floats(-1e15, 1e15), _UNITS)
def test_a_value_is_short_and_has_no_exponent(value: float, unit: str) -> None:
    text = readable(value, unit)
    assert len(text) <= (15 if unit in ("bytes", "1", "", "bytes/s", "1/s") else 30)
    assert text.isascii()
    assert "e" not in text.partition(" ")[0]
    assert text[0] in "-0123456789"


@given(st.text(), st.integers(3, 40), st.sampled_from(["…", "..."]))
def test_what_is_cut_has_a_sign_and_fits(text: str, width: int, sign: str) -> None:
    short = cut(text, width, sign)
    assert cells(short) <= width
    assert short == text or short.endswith(sign)


def test_wide_characters_take_two_columns() -> None:
    assert (cells("資料"), cells("e\u0301"), cells("abc")) == (4, 1, 3)
    assert cut("資料庫", 5) == "資料…"
    assert cut("資料庫", 4) == "資…"


@pytest.mark.parametrize(
    ("environ", "encoding", "expected"),
    [
        ({"LANG": "de_DE.UTF-8"}, "utf-8", True),
        ({"LC_ALL": "C.utf8"}, "UTF-8", True),
        ({"LANG": "C", "LC_CTYPE": "en_US.UTF-8"}, "utf-8", True),
        ({"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}, "utf-8", True),
        ({}, "utf-8", False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "utf-8", False),  # what Python makes of LANG=C
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "utf-8", False),
        ({"LC_ALL": "de_DE.ISO-8859-1"}, "iso8859-1", False),
        ({"LANG": "de_DE.UTF-8"}, "ascii", False),
        ({"LANG": "de_DE.UTF-8@euro"}, "utf-8", True),
    ],
)
def test_a_terminal_shows_unicode_by_its_locale(environ: dict[str, str], encoding: str, expected: bool) -> None:
    assert shows_unicode(encoding, environ) is expected

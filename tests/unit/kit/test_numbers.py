"""Texts as numbers, as Go reads them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import FieldValue, Uint
from pyagent.kit.numbers import guess_value, parse_float, parse_integer, parse_unsigned, seconds_of, shown_value


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("12", 12),
        ("-0", 0),
        ("+7", 7),
        ("0" * 50 + "9", 9),
        ("9223372036854775808", 9223372036854775808.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("0x1p4", 16.0),
        ("0x10", "0x10"),
        ("true", True),
        ("F", False),
        ("t", True),
        ("tRUE", "tRUE"),
        ("1 ", "1 "),
        ("", ""),
        ("infinite", "infinite"),
        ("\u0661", "\u0661"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_guessed(text: str, wanted: object) -> None:
    value = guess_value(text)
    assert value == wanted
    assert type(value) is type(wanted)


@given(st.text(alphabet="0123456789+-._eExXpPabcdfinINF ", max_size=12))
def test_a_guess_is_what_the_parts_say(text: str) -> None:
    value = guess_value(text)
    if isinstance(value, float):
        assert value == parse_float(text) or math.isnan(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        assert value == parse_integer(text)
    else:
        assert parse_integer(text) is None
        assert parse_float(text) is None


def test_unsigned() -> None:
    assert parse_unsigned("18446744073709551615") == 2**64 - 1
    assert parse_unsigned("18446744073709551616") is None
    assert parse_unsigned("-1") is None
    assert parse_unsigned("ff", 16) == 255
    assert parse_unsigned("0xff", 16) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.5, "1.5"),
        (999999.0, "999999"),
        (1e6, "1e+06"),
        (-1234567.0, "-1.234567e+06"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1e100, "1e+100"),
        (5e-324, "5e-324"),
        (123456789012345.6, "1.234567890123456e+14"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        (7, "7"),
        (Uint(7), "7"),
        (True, "true"),
        ("a b", "a b"),
    ],
)
def test_shown(value: FieldValue, shown: str) -> None:
    assert shown_value(value) == shown


def test_seconds_have_the_digits_that_go_has() -> None:
    assert seconds_of(3_600_000_000_123) == 3600 + 123 / 1e9
    assert seconds_of(-1_500_000_000) == -1.5

"""Durations and sizes as text, beside a model that reads them character by character, as the program does that we follow."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Duration, Size
from pyagent.api.units import joined

SECOND = 10**9
DIGITS = "0123456789"
TIME_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
METRIC = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18}
BINARY = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50, "EiB": 2**60}


def number(text: str) -> Fraction | None:
    """Digits with at most one point among them."""
    whole, _, fraction = text.partition(".")
    if not whole + fraction or set(whole + fraction) - set(DIGITS):
        return None
    return Fraction(int(whole + fraction), 10 ** len(fraction))


def model(text: str, units: dict[str, int]) -> Fraction | None:
    """Number, unit, number, unit, ..., with a sign before all of it; None where that is not what it is."""
    sign, rest = (-1 if text[:1] == "-" else 1), text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return Fraction(0)
    total, found = Fraction(0), False
    while rest:
        end = next((i for i, character in enumerate(rest) if character not in DIGITS + "."), len(rest))
        value, rest = number(rest[:end]), rest[end:]
        end = next((i for i, character in enumerate(rest) if character in DIGITS + "."), len(rest))
        unit, rest = rest[:end], rest[end:]
        if value is None or unit not in units:
            return None
        total, found = total + value * units[unit], True
    return sign * total if found else None


def read(parse: object, text: str) -> int | None:
    assert callable(parse)
    try:
        result = parse(text)
    except ValueError:
        return None
    return int(result)


pieces = st.sampled_from(
    [
        *TIME_UNITS,
        *METRIC,
        *BINARY,
        "d",
        "w",
        "S",
        "1",
        "0",
        "12",
        "1.5",
        ".5",
        "3.",
        ".",
        "-",
        "+",
        " ",
        "e3",
        "\u0661",
    ]
)
texts = st.lists(pieces, max_size=6).map("".join)


@given(texts)
def test_common_durations(text: str) -> None:
    wanted, found = model(text, TIME_UNITS), read(Duration.from_common, text)
    assert (found is None) == (wanted is None)
    if wanted is not None and found is not None:
        # A fraction below a nanosecond is cut, for each part.
        assert abs(found - wanted) < 4


@given(texts)
def test_durations_of_options(text: str) -> None:
    """These know days, and seconds without a unit."""
    wanted = model(text, TIME_UNITS | {"d": 86400 * SECOND}) if text else Fraction(0)
    plain, _, power = text.lstrip("+-" if text[:1] in ("+", "-") and text[1:2] not in ("+", "-") else "").partition("e")
    if (seconds := number(plain)) is not None and power in ("", "3") and ("e" in text) == bool(power):
        wanted = seconds * SECOND * 10 ** int(power or 0) * (-1 if text[0] == "-" else 1)
    found = read(Duration.from_option, text)
    if wanted is not None and abs(wanted) >= 2**63:
        wanted = None
    assert (found is None) == (wanted is None)
    if wanted is not None and found is not None:
        assert abs(found - wanted) < 4


@given(texts)
def test_sizes(text: str) -> None:
    body = text[1:] if text[:1] in ("+", "-") else text
    wanted = model(text, BINARY) if model(text, BINARY) is not None else model(text, METRIC)
    if not text or (body and not set(body) - set(DIGITS)):
        wanted = Fraction(int(text or 0))
    if wanted is not None and abs(int(wanted)) >= 2**63:
        wanted = None
    assert read(Size.from_option, text) == (None if wanted is None else int(wanted))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("1.5", 1.5),
        ("1e3", 1000),
        ("1d12h", 129600),
        ("0.5d", 43200),
        ("1h1d", 90000),
        ("-5s", -5),
        ("+3s", 3),
        (".5s", 0.5),
        ("5.s", 5),
        ("0", 0),
        ("", 0),
    ],
)
def test_durations_of_options_that_are_known(text: str, seconds: float) -> None:
    assert Duration.from_option(text) == int(seconds * SECOND)


@pytest.mark.parametrize(
    "text", ["2w", "1 s", "10S", " ", "s", ".s", "1..5s", "--5s", "\u0663s", "1e9999", "inf", "nan", "1_0"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="the duration"):
        Duration.from_option(text)


@pytest.mark.parametrize("text", ["1d", "10", "1.5", "", " ", "1h1d"])
def test_what_is_no_common_duration(text: str) -> None:
    with pytest.raises(ValueError, match="the duration"):
        Duration.from_common(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10KB", 10_000),
        ("10kB", 10_000),
        ("1KiB", 1024),
        ("1.5GB", 1_500_000_000),
        ("1GiB512MiB", 1536 << 20),
        ("-1KB", -1000),
        ("7B", 7),
        ("-5", -5),
        ("+5", 5),
        ("", 0),
    ],
)
def test_sizes_that_are_known(text: str, size: int) -> None:
    assert Size.from_option(text) == size


@pytest.mark.parametrize(
    "text",
    ["1k", "10kiB", "1 MB", "1e3", "1.5", "unlimited", "1KiB5", "1KB1KiB", "KB", "1.2.3KB", "9" * 25, "9" * 5000],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="the size"):
        Size.from_option(text)


def test_a_million_digits_are_out_of_range() -> None:
    for kind, unit in ((Duration, "s"), (Size, "KiB")):
        with pytest.raises(ValueError, match="out of range"):
            kind("9" * 1_000_000 + unit)


def test_behind_a_question_nothing_is_joined_by_a_semicolon() -> None:
    assert joined("unknown flag '--tset'; did you mean --test?", "see --help") == (
        "unknown flag '--tset'; did you mean --test? see --help"
    )
    assert joined("it is full", "make room") == "it is full; make room"

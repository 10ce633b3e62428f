"""What `acc.add` makes of what plugins of any origin give it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Field, Measurement, Metric, MetricType, Uint, field_value
from pyagent.pipeline.inputs import accumulator
from pyagent.pipeline.inputs.accumulator import HIGH_WATER, Abandoned, InputAccumulator


class Scalar:
    """As numpy's scalars: not a number of Python's, with `item`."""

    def __init__(self, value: object) -> None:
        self._value = value

    def item(self) -> object:
        return self._value


class State(Enum):
    UP = 1


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (True, True),
        (1, 1),
        (-(2**63), -(2**63)),
        (2**63, Uint(2**63)),
        (Uint(7), Uint(7)),
        (1.5, 1.5),
        ("text", "text"),
        (b"\xff", "\udcff"),
        (Decimal("1.5"), 1.5),
        (Fraction(1, 2), 0.5),
        (Scalar(3), 3),
        (Scalar(2.5), 2.5),
        (State.UP, 1),
        (None, None),
    ],
)
def test_values_are_converted_by_the_documented_table(given_value: object, expected: object) -> None:
    value = field_value(given_value)
    assert (type(value), value) == (type(expected), expected)


@pytest.mark.parametrize("nonsense", [object(), [1], {"a": 1}, 2**64, -(2**63) - 1, 1j])
def test_a_field_that_cannot_be_used_costs_only_itself(nonsense: object) -> None:
    problems: list[str] = []
    acc = InputAccumulator(report=problems.append)
    acc.add("m", {"bad": nonsense, "good": 1})
    assert [metric.fields for metric in acc.drain()] == [{"good": 1}]
    assert acc.dropped == {"unusable field": 1}
    assert "'bad' of 'm' cannot be used" in problems[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda acc: acc.add(None, {"f": 1}),
        lambda acc: acc.add("", {"f": 1}),
        lambda acc: acc.add("m", None),
        lambda acc: acc.add("m", {"f": 1}, ["tag"]),
        lambda acc: acc.add("m", {"f": 1}, None, datetime(2026, 1, 1)),  # the point of it
        lambda acc: acc.add("m", {"f": 1}, None, "now"),
    ],
)
def test_a_metric_that_makes_no_sense_is_dropped_and_told(call: Callable[[InputAccumulator], None]) -> None:
    problems: list[str] = []
    acc = InputAccumulator(report=problems.append)
    call(acc)
    assert acc.drain() == []
    assert acc.dropped == {"unusable metric": 1}
    assert len(problems) == 1


def test_a_metric_without_fields_is_none() -> None:
    acc = InputAccumulator()
    acc.add("m", {"f": None})
    acc.add("m", {})
    assert acc.drain() == []
    assert not acc.dropped


@pytest.mark.parametrize(
    ("time", "expected"),
    [(None, 42), (7, 7), (1.5, 1_500_000_000), (datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC), 1_000_005_000)],
)
def test_times(time: Any, expected: int) -> None:
    acc = InputAccumulator(now=lambda: 42)
    acc.add("m", {"f": 1}, {"tag": 5, "none": None}, time, MetricType.GAUGE)
    assert acc.drain() == [Metric("m", {"tag": "5"}, {"f": 1}, expected, MetricType.GAUGE)]


@given(st.integers(0, 2**63 - 1) | st.floats(0, 2**53, allow_nan=False))
def test_declared_types_hold_whatever_came_in(value: float) -> None:
    declared = Measurement("m", fields={"i": Field("int"), "u": Field("uint"), "f": Field("float"), "s": Field("str")})
    acc = InputAccumulator([declared])
    acc.add("m", {"i": value, "u": value, "f": value, "s": value, "free": value})
    (metric,) = acc.drain()
    assert {name: type(field) for name, field in metric.fields.items()} == {
        "i": int,
        "u": Uint,
        "f": float,
        "s": str,
        "free": type(value),
    }
    assert not acc.dropped


def test_a_negative_value_of_an_unsigned_field_is_dropped() -> None:
    acc = InputAccumulator([Measurement("m", fields={"u": Field("uint")})])
    acc.add("m", {"u": -1, "ok": 1})
    assert [metric.fields for metric in acc.drain()] == [{"ok": 1}]
    assert acc.dropped == {"unusable field": 1}


def test_what_comes_after_the_end_is_counted_and_ends_the_gather() -> None:
    acc = InputAccumulator()
    acc.close()
    with pytest.raises(Abandoned):
        acc.add("m", {"f": 1})
    with pytest.raises(Abandoned):
        acc.add_metrics([Metric("m", {}, {"f": 1}, 0)] * 2)
    assert acc.dropped == {"added after the gather was abandoned": 3}


def test_a_flood_is_handed_on_in_parts() -> None:
    handed: list[int] = []
    acc = InputAccumulator(overflow=lambda: handed.append(len(acc.drain())))
    for _ in range(HIGH_WATER * 2 + 1):
        acc.add("m", {"f": 1})
    assert handed == [HIGH_WATER, HIGH_WATER]
    assert len(acc) == 1


given_values = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**63 - 2, 2**63 + 2)
    | st.integers(-1, 2**64).map(Uint)
    | st.floats()
    | st.text(st.sampled_from("a\udc80\ud800"), max_size=3)
    | st.sampled_from([State.UP, Scalar(3), Decimal("1.5"), b"\xff", object(), Fraction(1, 3)])
)
given_keys = st.sampled_from(["f", "i", "u", "b", "s", "other", 7, None])


@given(
    st.tuples(
        st.sampled_from(["m", "n", "", None, 7]),
        st.dictionaries(given_keys, given_values, max_size=6),
        st.none() | st.dictionaries(given_keys, st.text(max_size=2) | given_values, max_size=4),
        st.none() | st.integers() | st.floats(0, 1e9) | st.just("now"),
        st.sampled_from([*MetricType, 1, 99]),
    )
)
def test_the_short_way_makes_what_the_long_one_does(arguments: tuple[Any, ...]) -> None:
    """Of the native core where it is built, else of the reference: same metrics, same losses."""
    types: dict[str, Any] = {"f": "float", "i": "int", "u": "uint", "b": "bool", "s": "str"}
    declared = Measurement("m", fields={name: Field(kind) for name, kind in types.items()})

    def outcome(short: bool) -> object:
        problems: list[str] = []
        acc = InputAccumulator([declared], report=problems.append, now=lambda: 5)
        short_way = accumulator.plain_metric if short else lambda *_: None
        with patch.object(accumulator, "plain_metric", short_way):
            acc.add(*arguments)
        seen = [
            (
                one.name,
                one.tags,
                [(key, type(value), repr(value)) for key, value in one.fields.items()],
                one.time,
                one.kind,
            )
            for one in acc.drain()
        ]
        return seen, problems, acc.dropped

    assert outcome(True) == outcome(False)


def test_a_list_of_metrics_is_taken_in_steps() -> None:
    found: list[int] = []
    acc = InputAccumulator(overflow=lambda: found.append(len(acc.drain())))
    acc.add_metrics([Metric("m", {}, {"f": 1} if number % 2 else {}, number) for number in range(5 * HIGH_WATER)])
    assert found == 2 * [HIGH_WATER]
    assert (acc.added, len(acc)) == (5 * HIGH_WATER // 2, HIGH_WATER // 2)

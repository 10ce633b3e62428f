"""The input mock: Telegraf's formulas."""

import asyncio
import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from pyagent.api import ConfigError
from pyagent.testing import assert_declared, gather, make_input, run_input
from pyagent_plugins.inputs.mock import Mock


def several(count: int, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    async def run() -> list[dict[str, Any]]:
        plugin = make_input(Mock, options)
        return [metric.fields for _ in range(count) for metric in await gather(plugin)]

    return asyncio.run(run())


def test_constants_keep_their_types() -> None:
    values: dict[str, Any] = {"text": "x", "integer": 5, "float": 5.0, "boolean": True}
    [metric] = run_input(Mock, {"constant": [{"name": name, "value": value} for name, value in values.items()]})
    assert (metric.name, metric.fields) == ("mock", values)
    assert [type(value) for value in metric.fields.values()] == [str, int, float, bool]
    assert_declared(Mock, [metric])


def test_the_name() -> None:
    for given, name in (("sensors", "sensors"), ("", "mock")):
        [metric] = run_input(Mock, {"metric_name": given, "constant": [{"name": "a", "value": 1}]})
        assert metric.name == name


def test_steps() -> None:
    steps = [{"name": "up", "start": 1, "step": 2.5}, {"name": "old", "min": 3.0, "max": -1.0}]
    assert several(3, {"step": steps}) == [{"up": 1.0, "old": 3.0}, {"up": 3.5, "old": 2.0}, {"up": 6.0, "old": 1.0}]


def test_sine_waves() -> None:
    wave = {"name": "w", "amplitude": 10.0, "period": 0.2, "phase": 1.0, "base_line": 5.0}
    found = [fields["w"] for fields in several(5, {"sine_wave": [wave]})]
    assert found == pytest.approx([5 + 10 * math.sin((n + 1) * 0.2 * math.pi) for n in range(5)])


def test_random_values_stay_within_their_bounds() -> None:
    found = [fields["r"] for fields in several(200, {"random": [{"name": "r", "min": 1.0, "max": 6.0}]})]
    assert all(1 <= value <= 6 for value in found)
    assert len(set(found)) > 100


def test_stocks_wander_within_their_volatility_and_never_below_one() -> None:
    found = [fields["s"] for fields in several(200, {"stock": [{"name": "s", "price": 50.0, "volatility": 0.2}]})]
    assert found[0] == 50.0
    assert all(value >= 1 for value in found)
    assert all(abs(b - a) <= a * 0.2 + 1e-9 or b == 1 for a, b in pairwise(found))
    assert len(set(found)) > 100
    wild = [fields["s"] for fields in several(50, {"stock": [{"name": "s", "price": 2.0, "volatility": 5.0}]})]
    assert min(wild) >= 1
    assert several(2, {"stock": [{"name": "s", "volatility": 0.5}]}) == [{"s": 0.0}, {"s": 0.0}]


def test_later_kinds_win_the_same_name() -> None:
    options = {"step": [{"name": "a", "start": 1.0}], "constant": [{"name": "a", "value": "constant"}]}
    assert several(1, options) == [{"a": "constant"}]


def test_a_field_needs_a_name() -> None:
    with pytest.raises(ConfigError, match="name"):
        make_input(Mock, {"constant": [{"value": 1}]})


def test_nothing_to_make_up() -> None:
    assert run_input(Mock) == []

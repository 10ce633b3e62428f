"""processors.noise: its distributions."""

import math
import statistics
from functools import partial
from typing import Any

import pytest

from pyagent.api import Metric, Uint
from pyagent.testing import make_processor, run_processor
from pyagent_plugins.processors import noise
from pyagent_plugins.processors.noise import Noise


def drawn(monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[float]:
    """Noise of 20,000 values, always the same."""
    monkeypatch.setattr(noise.random, "Random", partial(noise.random.Random, 7))
    metrics = make_processor(Noise, options).process([Metric("m", {}, {"v": 0.0}, 0) for _ in range(20_000)])
    return [metric.fields["v"] for metric in metrics]  # type: ignore[union-attr,misc]  # it is no async one


def test_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    values = drawn(monkeypatch, type="gaussian", mu=5.0, scale=2.0)
    assert statistics.fmean(values) == pytest.approx(5.0, abs=0.1)
    assert statistics.stdev(values) == pytest.approx(2.0, abs=0.1)


def test_laplacian(monkeypatch: pytest.MonkeyPatch) -> None:
    values = drawn(monkeypatch, mu=5.0, scale=2.0)
    assert statistics.median(values) == pytest.approx(5.0, abs=0.1)
    assert statistics.fmean([abs(value - 5.0) for value in values]) == pytest.approx(2.0, abs=0.1)
    assert statistics.stdev(values) == pytest.approx(2.0 * math.sqrt(2.0), abs=0.1)


def test_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    values = drawn(monkeypatch, type="uniform", min=-3.0, max=1.0)
    assert min(values) == pytest.approx(-3.0, abs=0.01)
    assert max(values) == pytest.approx(1.0, abs=0.01)
    assert statistics.fmean(values) == pytest.approx(-1.0, abs=0.1)


@pytest.mark.parametrize("noise", [1e30, -1e30, math.inf, -math.inf])
def test_integers_end_where_there_are_no_more(noise: float) -> None:
    metric = Metric("m", {}, {"i": 5, "u": Uint(5), "z": 0}, 0)
    [result] = run_processor(Noise, [metric], {"type": "uniform", "min": noise, "max": noise})
    if math.isinf(noise):
        assert result.fields == metric.fields, "inf - inf is no number"
    else:
        ends = (2**63 - 1, Uint(2**64 - 1)) if noise > 0 else (-(2**63), Uint(0))
        assert result.fields == {"i": ends[0], "u": ends[1], "z": ends[0]}
        assert isinstance(result.fields["u"], Uint)

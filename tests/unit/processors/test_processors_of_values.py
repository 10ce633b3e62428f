"""Processors that change values and choose metrics: what a recorded case cannot say."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, Processor, Uint
from pyagent.testing import make_processor, run_processor
from pyagent_plugins.processors.batch import Batch
from pyagent_plugins.processors.round import Round
from pyagent_plugins.processors.scale import Scale
from pyagent_plugins.processors.strings import Strings
from pyagent_plugins.processors.strings.changes import lower, title, upper
from pyagent_plugins.processors.template import Template
from pyagent_plugins.processors.topk import TopK
from pyagent_plugins.processors.unpivot import Unpivot

SCALED = {"scaling": [{"fields": ["*"], "factor": 2.0}]}
SHOUTED = {"uppercase": [{"tag": "*", "field": "*", "tag_key": "*", "field_key": "*", "measurement": "*"}]}


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        (Scale, SCALED),
        (Round, {"precision": -1}),
        (Strings, SHOUTED),
        (Batch, {"batch_tag": "b", "batches": 2}),
        (Unpivot, {}),
        (TopK, {"period": "0s", "fields": ["f"], "add_groupby_tag": "g", "add_rank_fields": ["f"]}),
    ],
)
def test_dicts_that_metrics_share_stay_as_they_are(plugin: type[Processor[Any]], options: dict[str, Any]) -> None:
    tags, fields = {"a": "x"}, {"f": 17, "s": "t"}
    metrics = [Metric("m", tags, fields, 0), Metric("m", tags, fields, 0)]  # type: ignore[arg-type]  # a dict of two types
    result = make_processor(plugin, options).process(metrics)
    assert result
    assert (tags, fields) == ({"a": "x"}, {"f": 17, "s": "t"})


def test_the_largest_come_when_the_period_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0
    monkeypatch.setattr(time, "monotonic_ns", lambda: now)
    topk = make_processor(TopK, {"k": 1, "fields": ["v", "w"], "period": "10s", "group_by": []})
    first = [Metric("a", {}, {"v": 1.0}, 1), Metric("b", {}, {"v": 2.0}, 2), Metric("c", {}, {"w": 3}, 3)]
    assert topk.process(first) == []
    assert topk.process([Metric("a", {"x": "y"}, {"v": 4.0}, 4), Metric("z", {}, {"u": 1}, 4)]) == []
    now = 10_000_000_000
    # a has the largest mean of v, c that of w; what makes the period end counts in it.
    assert topk.process([Metric("d", {}, {"v": Uint(2)}, 5)]) == [
        first[0],
        Metric("a", {"x": "y"}, {"v": 4.0}, 4),
        first[2],
    ]
    assert topk.process([Metric("d", {}, {"v": 1}, 6)]) == []


def test_a_field_that_cannot_be_scaled_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = [Metric("m", {}, {"f": "x", "g": 1}, 0) for _ in range(3)]
    assert [metric.fields for metric in run_processor(Scale, metrics, SCALED)] == [{"f": "x", "g": 2.0}] * 3
    assert [record.getMessage() for record in caplog.records] == ["cannot scale the field 'f': 'x' is no number"]


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 17))
def test_integers_are_rounded_exactly(value: int, zeros: int) -> None:
    unit = 10**zeros
    whole, rest = divmod(abs(value), unit)
    wanted = (whole + (rest >= unit // 2)) * unit * (1 if value >= 0 else -1)
    [metric] = run_processor(Round, [Metric("m", {}, {"v": value}, 0)], {"precision": -zeros})
    assert metric.fields["v"] == (wanted + 2**63) % 2**64 - 2**63


@given(st.floats(allow_nan=False), st.integers(-330, 330))
def test_any_float_is_rounded(value: float, precision: int) -> None:
    [metric] = run_processor(Round, [Metric("m", {}, {"v": value}, 0)], {"precision": precision})
    assert isinstance(metric.fields["v"], float)


@given(st.text() | st.text(alphabet=["a", "\udcff", "ß", "İ", "Σ", "'", "."]))
def test_any_text_is_changed(text: str) -> None:
    # One character becomes one, but for the few that are two as a capital letter of a title.
    assert len(lower(text)) == len(upper(text)) == len(text) <= len(title(text))


def test_what_a_template_cannot_make_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = [Metric(name, {}, {"v": 1}, 1) for name in ("a", "b", "a")]
    assert run_processor(Template, metrics, {"tag": "t", "template": "{{ .Nope }}"}) == metrics
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1

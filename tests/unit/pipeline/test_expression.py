"""`metricpass`: its place among the filters, on every kind of plugin, and metrics that it fails on."""

import logging
from typing import Any

import pytest
from plans import LOG, START, input_plan, output_plan
from stage_plans import Sink, aggregator, metric, processor, suffix

from pyagent.api import Input, LineOptions, Metric, NoOptions, Output
from pyagent.config import FilterOptions
from pyagent.pipeline.filters import Selection, compile_selection
from pyagent.pipeline.modifiers import Modifiers
from pyagent.pipeline.outputs.encoder import OutputEncoder
from pyagent.pipeline.stages.chain import ProcessorChain
from pyagent.testing.virtual import VirtualClock, run_virtual
from pyagent_plugins.aggregators.minmax import MinMax

IS_A = FilterOptions(metricpass='name == "a"')


def chosen(metrics: list[Metric], **options: Any) -> list[str]:
    return [m.name for m in Selection(FilterOptions(**options)).apply(metrics)]


def test_metrics_pass_for_which_it_is_true() -> None:
    metrics = [Metric("a", {}, {"v": 1}, 0), Metric("b", {"k": "x"}, {"v": 2.5}, 0)]
    assert chosen(metrics, metricpass="fields.v > 2") == ["b"]
    assert chosen(metrics, metricpass='"k" in tags') == ["b"]
    assert chosen(metrics, metricpass="true") == ["a", "b"]
    assert chosen(metrics, metricpass="false") == []
    assert compile_selection(IS_A) is not None
    assert compile_selection(FilterOptions(metricpass="")) is None


def test_it_comes_after_names_and_tags_and_before_fields_and_tags_are_taken_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = [
        Metric("a", {"k": "x"}, {"v": 1, "w": 1}, 0),
        Metric("a", {}, {"w": 1}, 0),  # would fail
        Metric("b", {"k": "x"}, {"w": 1}, 0),  # would fail
    ]
    filters: dict[str, Any] = {
        "namepass": ("a",),
        "tagpass": {"k": ("*",)},
        "fieldexclude": ("v",),
        "tagexclude": ("k",),
    }
    (kept,) = Selection(FilterOptions(**filters, metricpass='fields.v == 1 && tags.k == "x"')).apply(metrics)
    assert kept == Metric("a", {}, {"w": 1}, 0)
    assert not caplog.records
    assert metrics[0].fields == {"v": 1, "w": 1}


def test_metrics_pass_that_it_fails_on_and_each_cause_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("pyagent.inputs.x")
    selection = Selection(FilterOptions(metricpass="fields.v > 1"), log)
    good, without, text = (Metric("m", {}, fields, 0) for fields in ({"v": 1}, {"w": 1}, {"v": "x"}))
    for _ in range(3):
        assert selection.select([good, without, text]) == [without, text]
    assert [(record.name, record.getMessage()) for record in caplog.records if record.levelno >= logging.INFO] == [
        (
            "pyagent.inputs.x",
            "cannot tell by metricpass whether m is to pass: there is no key 'v'; it passes; "
            "to leave out metrics without it, ask for it first, as in: 'v' in fields && ...",
        ),
        (
            "pyagent.inputs.x",
            "cannot tell by metricpass whether m is to pass: '>' cannot be applied to (string, int); it passes",
        ),
    ]


def test_a_processor_lets_others_by() -> None:
    stage = processor(suffix("_x"), filters=IS_A)
    assert [m.name for m in stage([metric("a"), metric("b"), metric("a")])] == ["a_x", "b", "a_x"]


def test_an_aggregator_takes_no_others_into_account() -> None:
    async def main() -> None:
        clock, sink = VirtualClock(START), Sink()
        runner = aggregator(MinMax(NoOptions(), LOG), sink, clock, drop_original=True, filters=IS_A)
        sink.stages = ProcessorChain((), [runner])
        sink.deliver([metric("a"), metric("b")])
        runner.push()
        assert [m.name for m in sink.metrics] == ["b", "a"]

    run_virtual(main())


def test_an_input_judges_what_was_gathered_before_it_is_renamed_and_tagged() -> None:
    plan = input_plan(Input, filters=FilterOptions(metricpass='name == "a" && tags == {}'), name_prefix="x_")
    modifiers = Modifiers(plan, {"host": "h"}, log=LOG)
    assert not modifiers.relayable
    assert [(m.name, m.tags) for m in modifiers([metric("a"), metric("b")], 0)] == [("x_a", {"host": "h"})]


def test_an_output_counts_what_it_keeps_out() -> None:
    encoder = OutputEncoder(output_plan(Output, filters=IS_A), LineOptions(), log=LOG)
    assert not encoder.relayable
    encoded = encoder([metric("a"), metric("b")])
    assert (encoded.filtered, encoded.parts[0][1].count) == (1, 1)
    assert encoder == OutputEncoder(output_plan(Output, filters=IS_A), LineOptions(), log=LOG)
    assert encoder != OutputEncoder(
        output_plan(Output, filters=FilterOptions(metricpass="true")), LineOptions(), log=LOG
    )

"""processors.parser: what the recorded cases leave open."""

import logging

import pytest

from pyagent.api import ConfigError, Metric, MetricType
from pyagent.config import SourceText, load_plan
from pyagent.testing import make_processor, run_processor
from pyagent_plugins.processors.parser import MetricParser


def test_metrics_without_a_time_get_it_when_they_are_parsed() -> None:
    options = {"parse_fields": ["a"], "drop_original": True, "data_format": "json"}
    [metric] = run_processor(MetricParser, [Metric("m", {}, {"a": '{"v":1}'}, 5)], options)
    assert metric.time > 1_700_000_000_000_000_000


def test_dicts_that_metrics_share_stay_as_they_are() -> None:
    tags, text = {"a": "1"}, {"f": "m,b=2 v=1i 7"}
    metric = Metric("m", tags, text, 5, MetricType.COUNTER)  # type: ignore[arg-type]  # a dict of str
    processor = make_processor(MetricParser, {"parse_fields": ["f"], "merge": "override"})
    [merged] = processor.process([metric])  # type: ignore[misc]  # a list of one
    assert (tags, text) == ({"a": "1"}, {"f": "m,b=2 v=1i 7"})
    assert merged == Metric("m", {"a": "1", "b": "2"}, {"f": "m,b=2 v=1i 7", "v": 1}, 5, MetricType.COUNTER)


@pytest.mark.parametrize("value", ["\udcff", "\x00", "a" * 100_000, "{" * 10_000])
def test_any_text_costs_no_metric(value: str, caplog: pytest.LogCaptureFixture) -> None:
    metric = Metric("m", {"t": value}, {"f": value}, 5)
    for data_format in ("json", "influx", "value", "logfmt"):
        options = {"parse_fields": ["f"], "parse_fields_base64": ["g"], "parse_tags": ["t"], "data_format": data_format}
        assert metric in run_processor(MetricParser, [metric], options)


def test_a_fault_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    metrics = [Metric("m", {}, {"f": f"bad {number}"}, 5) for number in range(10)]
    processor = make_processor(MetricParser, {"parse_fields": ["f"]})
    assert processor.process(metrics) == metrics
    assert len(caplog.records) == 1


def test_a_wrong_option_of_the_format_is_told_with_its_line() -> None:
    text = '[[inputs.mem]]\n[[outputs.discard]]\n[[processors.parser]]\n  data_format = "csv"\n  csv_comment = "##"\n'
    with pytest.raises(ConfigError, match=r"a.conf:5: .*csv_comment"):
        make_all(text + "  csv_header_row_count = 1\n")


def make_all(text: str) -> None:
    from pyagent.config.load import create_plugin

    for plan in load_plan([SourceText("a.conf", text)], environ={}).processors:
        create_plugin(plan, logging.getLogger("test"))

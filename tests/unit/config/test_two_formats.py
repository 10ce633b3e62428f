"""A plugin that reads and writes one format: its table holds the options of the parser and of the serializer."""

import pytest

from pyagent.api import ConfigError, Metric
from pyagent.testing import make_processor
from pyagent_plugins.processors.execd import Execd


def test_options_of_both_are_taken() -> None:
    table = {"command": ["cat"], "data_format": "json", "json_timestamp_units": "1ms", "json_string_fields": ["x"]}
    execd = make_processor(Execd, table)
    text = execd.serializer.serialize(Metric("m", {}, {"x": "y"}, 5_000_000))
    assert b'"timestamp":5' in text
    [metric] = execd.parser.parse(b'{"x": "y"}')
    assert metric.fields == {"x": "y"}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"json_colour": 1}, "json_colour"),
        ({"json_timestamp_units": "soon"}, "json_timestamp_units"),
        ({"json_string_fields": 7}, "json_string_fields"),
        ({"data_format": "splunkmetric"}, "splunkmetric"),
    ],
)
def test_what_neither_knows_and_what_is_wrong_is_told(more: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_processor(Execd, {"command": ["cat"], "data_format": "json", **more}).setup()

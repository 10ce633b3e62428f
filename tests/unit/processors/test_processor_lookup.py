"""processors.lookup: tables that change, and those that are none."""

import logging
import time
from pathlib import Path

import pytest

from pyagent.api import ConfigError, Metric, Processor
from pyagent.testing import make_processor, process
from pyagent_plugins.processors.lookup import Lookup


def rack(processor: Processor, host: str = "x") -> str | None:
    [metric] = process(processor, [Metric("m", {"host": host}, {"v": 1}, 0)])
    return metric.tags.get("rack")


def test_a_table_that_changes_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    table = tmp_path / "racks.json"
    table.write_text('{"x": {"rack": "r1"}}')
    processor = make_processor(Lookup, {"files": [str(table)], "key": '{{.Tag "host"}}'})
    table.write_text('{"x": {"rack": "another"}}')
    assert rack(processor) == "r1", "not so soon"
    now += 10
    assert rack(processor) == "another"
    table.write_text('{"x": {"rack": ')
    now += 10
    assert rack(processor) == "another", "what is no table changes nothing"
    table.unlink()
    now += 10
    assert rack(processor) == "another"
    table.write_text('{"x": {"rack": "back again"}}')
    now += 10
    assert rack(processor) == "back again"
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "ERROR", "ERROR", "INFO"]


@pytest.mark.parametrize(
    ("data_format", "text", "cause"),
    [
        ("json", "[]", "Expected"),
        ("json", '{"x": {"rack": 5}}', "Expected"),
        ("json", '{"a":' * 100_000, "cannot read"),
        ("csv_key_name_value", "a,b", "line 1: a row needs"),
        ("csv_key_name_value", "a,b,c\n\na,b,c,d", "line 3: the last tag"),
        ("csv_key_values", "# nothing\n", "there is no header"),
        ("csv_key_values", "a", "the header needs"),
        ("csv_key_values", "a,b\nc", "line 2: the row has 1 values, and the header 2"),
        ("csv_key_values", 'a,b\nc,d"', "line 2: a quote"),
        ("xml", "", "format"),
    ],
)
def test_what_is_no_table_is_told_with_its_line(tmp_path: Path, data_format: str, text: str, cause: str) -> None:
    table = tmp_path / "table"
    table.write_text(text)
    with pytest.raises(ConfigError, match=cause):
        make_processor(Lookup, {"files": [str(table)], "key": "a", "format": data_format})


def test_of_several_files_the_last_one_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x,rack,r1,row,left\n")
    (tmp_path / "b").write_text("x,rack,r2\ny,rack,r3\n")
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    processor = make_processor(Lookup, {"files": files, "key": '{{.Tag "host"}}', "format": "csv_key_name_value"})
    [metric] = process(processor, [Metric("m", {"host": "x", "row": "old"}, {"v": 1}, 0)])
    assert metric.tags == {"host": "x", "rack": "r2", "row": "left"}
    assert rack(processor, "y") == "r3"
    assert rack(processor, "z") is None

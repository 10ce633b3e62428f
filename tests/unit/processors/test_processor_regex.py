"""processors.regex: what the recorded cases leave open."""

import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError, Metric
from pyagent.kit import regex
from pyagent.testing import make_processor, process, run_processor
from pyagent_plugins.processors.regex import RegexProcessor


def changed(metric: Metric, **tables: Any) -> Metric:
    (result,) = run_processor(RegexProcessor, [metric], {name: [table] for name, table in tables.items()})
    return result


def tagged(**tags: str) -> Metric:
    return Metric("m", tags, {"f": 1}, 0)


def test_named_groups_append_to_tags() -> None:
    table = {"key": "a", "pattern": r"^(?P<x>\d+)(?P<y>[a-z]*)$", "append": True}
    assert changed(tagged(a="12", x="9"), tags=table).tags == {"a": "12", "x": "912"}
    assert changed(tagged(a="12z"), tags=table).tags == {"a": "12z", "x": "12", "y": "z"}


def test_named_groups_of_a_field_append_to_the_tag_as_in_telegraf() -> None:
    metric = Metric("m", {"x": "t"}, {"a": "12", "x": "f"}, 0)
    table = {"key": "a", "pattern": r"(?P<x>\d+)", "append": True}
    assert changed(metric, fields=table).fields == {"a": "12", "x": "t12"}


def test_a_wildcard_reads_what_it_has_written() -> None:
    table = {"key": "*", "pattern": "^.*$", "replacement": "<$0>", "result_key": "b"}
    assert changed(tagged(b="2", a="1"), tags=table).tags == {"a": "1", "b": "<<1>>"}


@pytest.mark.parametrize(
    ("result_key", "wanted"),
    [("keep", {"n": 2, "b_x": 1, "old_n": 3}), ("overwrite", {"n": 3, "b_x": 1}), ("", {"n": 2, "b_x": 1, "old_n": 3})],
)
def test_names_that_collide(result_key: str, wanted: dict[str, int]) -> None:
    metric = Metric("m", {}, {"old_b_x": 1, "n": 2, "old_n": 3}, 0)
    table = {"pattern": "^old_", "result_key": result_key}
    assert changed(metric, field_rename=table).fields == wanted


def test_two_tags_for_one_name_go_by_their_keys() -> None:
    table = {"pattern": "^[xy]$", "replacement": "z"}
    assert changed(tagged(y="1", x="2"), tag_rename=table).tags == {"z": "2", "y": "1"}


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"tags": [{"pattern": "a"}]}, "tags: `key` is missing"),
        ({"fields": [{"key": "[", "pattern": "a"}]}, "fields: "),
        ({"metric_rename": [{"pattern": "("}]}, "metric_rename: cannot read the regular expression '\\('"),
        ({"tag_rename": [{"pattern": "a", "result_key": "x"}]}, "tag_rename: cannot use result_key 'x'"),
    ],
)
def test_tables_that_cannot_work(tables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_processor(RegexProcessor, tables)


def test_what_is_probably_not_meant_is_said() -> None:
    tables = {
        "tags": [{"key": "a", "pattern": "(a)(?P<b>b)"}],
        "fields": [{"key": "a", "pattern": "(?P<b>b)"}],
        "metric_rename": [{"key": "a", "pattern": "b", "result_key": "keep"}],
    }
    told = [name for name, _ in make_processor(RegexProcessor, tables).options.remarks()]
    assert told == ["metric_rename", "metric_rename", "tags"]


def test_a_text_that_is_too_long_stays_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "re2", None)
    regex._short.cache_clear()
    try:
        plugin = make_processor(RegexProcessor, {"tags": [{"key": "a", "pattern": "x*y*z$", "replacement": "."}]})
    finally:
        regex._short.cache_clear()
    metrics = [tagged(a="x" * 5000), tagged(a="x" * 6000), tagged(a="xz")]
    with caplog.at_level(logging.ERROR):
        assert [one.tags["a"] for one in process(plugin, metrics)] == ["x" * 5000, "x" * 6000, "."]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "cannot match 'x*y*z$', values stay as they are"
    ]


TEXT = st.text(alphabet="ab1\udcffä🐱\n", max_size=6)
VALUE = TEXT | st.integers() | st.floats() | st.booleans()
TABLE = st.fixed_dictionaries(
    {"pattern": st.sampled_from(["a", "^(.)(?P<a>b?)", "(?P<a>a)|(?P<b>b)", "", "ä|.", r"\b"])},
    optional={
        "replacement": st.sampled_from(["", "$0$1", "${a}x", "$a$$"]),
        "result_key": st.sampled_from(["", "keep", "overwrite"]),
        "append": st.booleans(),
        "key": st.sampled_from(["*", "a", "[ab]"]),
    },
)


@given(
    st.lists(
        st.builds(Metric, TEXT, st.dictionaries(TEXT, TEXT), st.dictionaries(TEXT, VALUE), st.just(0)), max_size=3
    ),
    st.dictionaries(
        st.sampled_from(["tags", "fields", "tag_rename", "field_rename", "metric_rename"]), st.lists(TABLE, max_size=2)
    ),
)
def test_no_metrics_make_it_raise(metrics: list[Metric], tables: dict[str, list[dict[str, Any]]]) -> None:
    for name in ("tags", "fields"):
        for table in tables.get(name, ()):
            table.setdefault("key", "*")
    assert make_processor(RegexProcessor, tables).process(metrics) is metrics

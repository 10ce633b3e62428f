"""processors.rename on any metrics."""

from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric
from pyagent.testing import make_processor, run_processor
from pyagent_plugins.processors.rename import Rename

KEYS = st.sampled_from(["a", "b", "c", "ä"])
TABLES = st.lists(
    st.dictionaries(st.sampled_from(["measurement", "tag", "field", "dest"]), st.sampled_from(["", "a", "b", "c"]))
)


@given(
    st.lists(st.builds(Metric, KEYS, st.dictionaries(KEYS, KEYS), st.dictionaries(KEYS, st.integers()), st.just(0))),
    TABLES,
)
def test_it_renames_as_telegraf_does(metrics: list[Metric], tables: list[dict[str, str]]) -> None:
    wanted = []
    for metric in metrics:
        one = Metric(metric.name, dict(metric.tags), dict(metric.fields), metric.time)
        for table in tables:
            dest = table.get("dest")
            if not dest:
                continue
            if table.get("measurement"):
                one.name = dest if one.name == table["measurement"] else one.name
            elif table.get("tag"):
                if table["tag"] in one.tags:
                    one.tags[dest] = one.tags.pop(table["tag"])
            elif table.get("field") and table["field"] in one.fields:
                one.fields[dest] = one.fields.pop(table["field"])
        wanted.append(one)
    assert make_processor(Rename, {"replace": tables}).process(metrics) == wanted


def test_dicts_that_metrics_share_stay_as_they_are() -> None:
    tags, fields = {"a": "1"}, {"f": 1}
    metrics = [Metric("m", tags, fields, 0), Metric("m", tags, fields, 0)]  # type: ignore[arg-type]  # a dict of int
    table = {"replace": [{"tag": "a", "dest": "b"}, {"field": "f", "dest": "g"}]}
    assert run_processor(Rename, metrics, table) == [Metric("m", {"b": "1"}, {"g": 1}, 0)] * 2
    assert (tags, fields) == ({"a": "1"}, {"f": 1})

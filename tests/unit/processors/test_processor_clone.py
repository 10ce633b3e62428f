"""processors.clone: a copy belongs to nobody but itself."""

from pyagent.api import Metric, MetricType
from pyagent.testing import make_processor
from pyagent_plugins.processors.clone import Clone


def test_a_copy_shares_nothing_with_its_metric() -> None:
    metric = Metric("m", {"a": "1"}, {"v": 1}, 7, MetricType.COUNTER)
    copy, original = make_processor(Clone).process([metric])  # type: ignore[misc]  # a list of two
    assert original is metric
    assert copy == metric
    copy.tags["a"], copy.fields["v"] = "2", 2
    assert (metric.tags, metric.fields) == ({"a": "1"}, {"v": 1})

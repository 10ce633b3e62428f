"""Names of earlier versions go on for one version, with a warning that names the new one."""

import pytest

import pyagent.api
import pyagent.api.metric
from pyagent.api import MetricType
from pyagent.buffer import Chunk, QueueBatch
from pyagent.lineprotocol import encode


@pytest.mark.parametrize("module", [pyagent.api, pyagent.api.metric])
def test_kind_is_metric_type(module: object) -> None:
    with pytest.warns(DeprecationWarning, match="MetricType"):
        assert module.Kind is MetricType  # type: ignore[attr-defined]


def test_a_batchs_lines_are_its_slice() -> None:
    block = encode([pyagent.api.Metric("m", {}, {"n": number}, 1) for number in range(3)])
    batch = QueueBatch([Chunk(block)])
    with pytest.warns(DeprecationWarning, match="slice"):
        assert batch.lines(1, 3).payload() == batch.slice(1, 3).payload() == b"m n=1i 1\nm n=2i 1\n"

"""Names of earlier versions go on for one version, with a warning that names the new one."""

import pytest

import pyagent.api
import pyagent.api.errors
import pyagent.api.metric
from pyagent.api import Ingested, MetricType, NotConnected, QueueFull, Retry
from pyagent.buffer import Chunk, QueueBatch
from pyagent.lineprotocol import encode


@pytest.mark.parametrize("module", [pyagent.api, pyagent.api.metric])
def test_kind_is_metric_type(module: object) -> None:
    with pytest.warns(DeprecationWarning, match="MetricType"):
        assert module.Kind is MetricType  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", [pyagent.api, pyagent.api.errors])
def test_full_is_queue_full(module: object) -> None:
    with pytest.warns(DeprecationWarning, match="QueueFull"):
        old = module.Full  # type: ignore[attr-defined]
    with pytest.raises(old):  # what plugins catch by the old name
        raise QueueFull("no room")


def test_a_retry_that_is_slow_needs_an_operator() -> None:
    with pytest.warns(DeprecationWarning, match=r"Retry\(slow=\.\.\.\) is called Retry\(needs_operator=") as caught:
        error = Retry("wrong token", slow=True)
    assert caught[0].filename == __file__
    assert (error.needs_operator, error.after) == (True, None)
    with pytest.warns(DeprecationWarning, match=r"Retry\.slow is called needs_operator now") as caught:
        assert error.slow
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="needs_operator"):
        error.slow = False
    assert not error.needs_operator
    with pytest.warns(DeprecationWarning, match="needs_operator"):
        assert NotConnected("gone", slow=True).needs_operator


def test_what_was_taken_and_bad_is_accepted_and_rejected() -> None:
    ingested = Ingested(3, ("line 2: no fields",), 1)
    with pytest.warns(DeprecationWarning, match="accepted"):
        assert ingested.taken == ingested.accepted == 3
    with pytest.warns(DeprecationWarning, match="rejected"):
        assert ingested.bad == ingested.rejected == 1


def test_a_batchs_lines_are_its_slice() -> None:
    block = encode([pyagent.api.Metric("m", {}, {"n": number}, 1) for number in range(3)])
    batch = QueueBatch([Chunk(block)])
    with pytest.warns(DeprecationWarning, match="slice"):
        assert batch.lines(1, 3).payload() == batch.slice(1, 3).payload() == b"m n=1i 1\nm n=2i 1\n"

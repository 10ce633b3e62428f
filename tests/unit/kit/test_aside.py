"""Long answers are read beside the loop, one at a time, and what is made of a page is bounded."""

import asyncio
import gc
import threading
from collections.abc import Callable, Sequence

import pytest

from pyagent.api import Metric
from pyagent.api.errors import TooMuch
from pyagent.kit import exposition, page_room
from pyagent.kit.aside import SMALL, Aside, add_parsed
from pyagent.kit.exposition_protobuf import read_delimited
from pyagent.kit.openmetrics import read_protobuf
from pyagent.kit.openmetrics_text import read_text
from pyagent.pipeline.inputs.accumulator import InputAccumulator


async def test_what_is_long_is_read_in_a_thread() -> None:
    aside, here = Aside(), threading.get_ident()
    assert await aside.run(SMALL, threading.get_ident) == here
    assert await aside.run(SMALL + 1, threading.get_ident) != here


async def test_what_it_raises_is_raised() -> None:
    def fails() -> None:
        raise TooMuch("it is too long")

    for size in (SMALL, SMALL + 1):
        with pytest.raises(TooMuch, match="it is too long"):
            await Aside().run(size, fails)


async def test_one_is_read_after_the_other() -> None:
    aside, at_work, most = Aside(), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.001)
        with lock:
            at_work -= 1

    await asyncio.gather(*(aside.run(SMALL + 1, work) for _ in range(5)))
    assert most == 1


async def test_who_is_cancelled_does_not_wait() -> None:
    begun, end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        end.wait(60)

    task = asyncio.create_task(Aside().run(SMALL + 1, work))
    while not begun.is_set():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    thread = next(one for one in threading.enumerate() if one.name == "pyagent-aside")
    end.set()
    thread.join(60)
    assert not thread.is_alive()


def test_metrics_are_handed_on_in_pieces_and_in_their_order() -> None:
    sizes: list[int] = []

    class Counted(InputAccumulator):
        def add_metrics(self, metrics: Sequence[Metric]) -> None:
            sizes.append(len(metrics))
            super().add_metrics(metrics)

    acc = Counted()
    collecting: list[bool] = []

    def parse() -> list[Metric]:
        collecting.append(gc.isenabled())
        return [Metric("m", {}, {"v": number}, 0) for number in range(2500)]

    add_parsed(acc, parse, lambda metric: metric.tags.update(a="b"))
    assert sizes == [1000, 1000, 500]
    metrics = acc.drain()
    assert [metric.fields["v"] for metric in metrics] == list(range(2500))
    assert {metric.tags["a"] for metric in metrics} == {"b"}
    assert collecting == [False]
    assert gc.isenabled()


def _proto(*fields: tuple[int, bytes]) -> bytes:
    return b"".join(bytes([number << 3 | 2, len(content)]) + content for number, content in fields)


SAMPLES = b'm{a="b"} 1\n' * 100
HISTOGRAM = b"# TYPE h histogram\n" + b"".join(b'h_bucket{le="%d"} 1\n' % number for number in range(100))
SERIES = b"# TYPE h summary\n" + b"".join(b'h_sum{a="%d"} 1\n' % number for number in range(100))
NAMES = b"".join(b"# TYPE n%d gauge\n" % number for number in range(100))
FAMILY = _proto((1, b"m"), *[(4, _proto((3, b"")))] * 30)
SET = _proto((1, _proto((1, b"m"), *[(5, b"")] * 60)))
POINTS = _proto((1, _proto((1, b"m"), (5, _proto(*[(2, b"")] * 60)))))


@pytest.mark.parametrize(
    ("read", "page"),
    [
        *[
            (read, page)
            for read in (exposition.read, exposition.reference)
            for page in (SAMPLES, HISTOGRAM, SERIES, NAMES)
        ],
        *[(read_text, page + b"# EOF\n") for page in (SAMPLES, HISTOGRAM, SERIES, NAMES)],
        (read_delimited, bytes([len(FAMILY)]) + FAMILY),
        (read_protobuf, SET),
        (read_protobuf, POINTS),
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_what_a_page_becomes_is_bounded(
    read: Callable[..., list[Metric]], page: bytes, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the memory, not in its bytes: two of them may be a metric."""
    read(page, version, 1)
    # A bound that the page's own size does not raise: those are of the 256 MiB that are always allowed.
    monkeypatch.setattr(page_room, "_MOST", 6_000)
    monkeypatch.setattr(page_room, "most_made", lambda size: 6_000)
    if exposition.implementation == "native":
        from pyagent.kit.native import _exposition

        monkeypatch.setattr(_exposition, "most_made", lambda size: 6_000)
    with pytest.raises(
        TooMuch, match=r"it holds too many metrics: they take more than 0 MiB; divide it, or leave some out"
    ):
        read(page, version, 1)


def test_a_large_page_may_become_more() -> None:
    assert page_room.most_made(1000) == 256 << 20
    assert page_room.most_made(64 << 20) == 512 << 20

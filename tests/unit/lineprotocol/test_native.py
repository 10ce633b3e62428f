"""The native core equals the reference on everything that can be thought of."""

import gc
import sys
import threading
from types import ModuleType

from cores import REFERENCE
from hypothesis import given, settings
from hypothesis import strategies as st
from line_strategies import line_data, metrics, options, precisions, texts

from pyagent.api import LineOptions, Metric
from pyagent.lineprotocol.results import Precision

NOW = 1_700_000_000_123_456_789
many = settings(max_examples=250, deadline=None)


@many
@given(st.lists(metrics, max_size=5), options)
def test_encode(native: ModuleType, given_metrics: list[Metric], wanted: LineOptions) -> None:
    for _ in range(2):  # the second time from the caches
        assert native.encode(given_metrics, wanted) == REFERENCE.encode(given_metrics, wanted)


@many
@given(line_data | st.binary(max_size=60) | texts, st.integers() | st.just(NOW), precisions)
def test_parse(native: ModuleType, data: bytes | str, default_time: int, precision: Precision) -> None:
    for _ in range(2):
        got, wanted = native.parse(data, default_time, precision), REFERENCE.parse(data, default_time, precision)
        assert repr(got) == repr(wanted)
        assert [list(metric.tags) for metric in got.metrics] == [list(metric.tags) for metric in wanted.metrics]


@many
@given(
    st.from_regex(rb"\A[-+.0-9eEiu_xn]{1,40}\Z")
    | st.from_regex(rb"\A-?[0-9]{0,25}[.]?[0-9]{0,25}([eE]-?[0-9]{1,4})?\Z")
)
def test_numbers(native: ModuleType, number: bytes) -> None:
    line = b"m f=" + number + b" 1"
    assert repr(native.parse(line, 0)) == repr(REFERENCE.parse(line, 0))
    assert native.relay(line, 0) == REFERENCE.relay(line, 0)


@many
@given(
    line_data,
    st.integers() | st.just(NOW),
    precisions,
    options,
    st.none() | st.dictionaries(texts, texts, max_size=3),
    st.integers(-1, 20) | st.integers(0, 10**11) | st.integers(2**62, 2**70),
)
def test_relay(
    native: ModuleType,
    data: bytes,
    default_time: int,
    precision: Precision,
    wanted: LineOptions,
    tags: dict[str, str] | None,
    round_to: int,
) -> None:
    arguments = (data, default_time, precision, wanted)
    assert native.relay(*arguments, tags=tags, round_to=round_to) == REFERENCE.relay(
        *arguments, tags=tags, round_to=round_to
    )


def test_long_lines_and_many_tags(native: ModuleType) -> None:
    tags = {f"t{i}\\": f"v{i}" for i in range(300)}
    fields: dict[str, float | int | bool | str] = {f"f{i}": i / 7 for i in range(3000)}
    for metric in (
        Metric("m", tags, {"f": 1}, 1),
        Metric("m", {}, fields, 1),
        Metric("m", {}, {"f": "x" * 100000, "g": '"' * 100000}, 1),
        Metric("m" * 70000, {}, {"f": 1}, 1),
        Metric("m", {}, {"f" * 65531: 1}, 1),
        Metric("m", {}, {"f" * 65530: 1}, 1),
    ):
        for wanted in (LineOptions(), LineOptions(sort_fields=True), LineOptions(max_line_bytes=200)):
            encoded = native.encode([metric], wanted)
            assert encoded == REFERENCE.encode([metric], wanted)
            data = encoded.data * 2
            assert native.parse(data, 0) == REFERENCE.parse(data, 0)
            assert native.relay(data, 0, "ns", wanted) == REFERENCE.relay(data, 0, "ns", wanted)


def test_odd_objects_are_left_to_the_reference(native: ModuleType) -> None:
    class Text(str):
        __slots__ = ()

    class Sub(Metric):
        __slots__ = ()

    class Alike:
        name, tags, fields, time = "m", {"t": "v"}, {"f": 1}, 5

    bare = Metric.__new__(Metric)
    given_metrics = [
        Metric(Text("m"), {Text("t"): Text("v")}, {Text("f"): Text("x")}, 1),
        Sub("m", {}, {"f": True}, 2),
        Alike(),
        Metric("m", {}, {"f": 1}, True),
    ]
    assert native.encode(given_metrics).data == b'm,t=v f="x" 1\nm f=true 2\nm,t=v f=1i 5\nm f=1i 1\n'
    for unusable in (None, 5, "m", bare):
        encoded = native.encode([unusable])
        assert encoded.data == REFERENCE.encode([unusable]).data == b""
        assert len(encoded.rejected) == 1


def test_nothing_leaks(native: ModuleType) -> None:
    name, key, text = "".join(["leak", "name"]), "".join(["leak", "key"]), "".join(["leak", "text"])
    metric = Metric(name, {key: text}, {key: text, "g": 1.5, "h": 2**40}, 1)
    bad = b'm f=1 x\nm,t=v f="a\xff",g=5u 1\n' * 50

    def work() -> None:
        data = native.encode([metric] * 50 + [Metric("", {}, {}, 1)]).data
        native.parse(data, 0)
        native.parse(bad, 0)
        native.relay(bad + data, 0, tags={"x": "y"})

    work()
    gc.collect()
    before = sys.getrefcount(name), sys.getrefcount(key), sys.getrefcount(text), sys.getallocatedblocks()
    for _ in range(50):
        work()
    gc.collect()
    after = sys.getrefcount(name), sys.getrefcount(key), sys.getrefcount(text), sys.getallocatedblocks()
    assert before[:3] == after[:3]
    assert after[3] - before[3] < 200


def test_threads_do_not_disturb_each_other(native: ModuleType) -> None:
    data = b"".join(b'm%d,t=%d f=%d,g="x" %d\n' % (i % 7, i % 300, i, i) for i in range(5000))
    wanted_encoded = REFERENCE.relay(data, 0).encoded
    wanted_metrics = REFERENCE.parse(data, 0).metrics
    wrong: list[str] = []

    def work() -> None:
        for _ in range(5):
            if native.relay(data, 0).encoded != wanted_encoded:
                wrong.append("relay")
            parsed = native.parse(data, 0).metrics
            if parsed != wanted_metrics or native.encode(parsed).data != wanted_encoded.data:
                wrong.append("parse or encode")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_kept_of_a_head_outlives_its_eviction_while_it_is_copied(native: ModuleType) -> None:
    """A copy may set off the garbage collector, whose callbacks may run anything, other threads among it: here they push
    the head out of the cache in that moment."""
    flood = b"".join(b"m%d,t=x f=1 1\n" % number for number in range(40_000))
    evicted = 0

    def evict(phase: str, info: dict[str, int]) -> None:
        nonlocal evicted
        if phase == "start":
            evicted += 1
            native.parse(flood, 0)

    wanted = REFERENCE.parse(b"m,a=b,c=d f=1 1\n" * 3, 0).metrics
    before = gc.get_threshold()
    gc.callbacks.append(evict)
    try:
        for _ in range(5):
            native.parse(b"m,a=b,c=d f=1 1\n", 0)
            held = [{} for _ in range(500)]  # none is left over from before: the copy has to ask for one
            gc.set_threshold(1)
            found = native.parse(b"m,a=b,c=d f=1 1\n" * 3, 0).metrics
            gc.set_threshold(0)
            assert found == wanted
            assert len(held) == 500
    finally:
        gc.callbacks.remove(evict)
        gc.set_threshold(*before)
    assert evicted

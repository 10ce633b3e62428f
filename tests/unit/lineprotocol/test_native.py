"""The native core equals the reference on everything that can be thought of."""

import functools
import gc
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest
from cores import REFERENCE
from hypothesis import given, settings
from hypothesis import strategies as st
from line_strategies import line_data, metrics, options, precisions, texts

from pyagent.api import LineOptions, Metric
from pyagent.api.errors import TooMuch
from pyagent.lineprotocol.results import MAX_ERROR_BYTES, MAX_FIELDS, TIME_MAX, TIME_MIN, Parsed, Precision

NOW = 1_700_000_000_123_456_789
default_times = st.integers() | st.just(NOW) | st.integers(TIME_MAX - 2, TIME_MAX) | st.integers(TIME_MIN - 2, TIME_MIN)
many = settings(max_examples=2 * settings.default.max_examples)


@many
@given(st.lists(metrics, max_size=5), options)
def test_encode(native: ModuleType, given_metrics: list[Metric], wanted: LineOptions) -> None:
    for _ in range(2):  # the second time from the caches
        assert native.encode(given_metrics, wanted) == REFERENCE.encode(given_metrics, wanted)


@many
@given(line_data | st.binary(max_size=60) | texts, default_times, precisions, st.booleans())
def test_parse(native: ModuleType, data: bytes | str, default_time: int, precision: Precision, apart: bool) -> None:
    for _ in range(2):
        got, wanted = (core.parse(data, default_time, precision, apart=apart) for core in (native, REFERENCE))
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
    default_times,
    precisions,
    options,
    st.none() | st.dictionaries(texts, texts, max_size=3),
    st.integers(-1, 20) | st.integers(0, 10**11) | st.integers(2**62, 2**70),
    st.booleans(),
)
def test_relay(
    native: ModuleType,
    data: bytes,
    default_time: int,
    precision: Precision,
    wanted: LineOptions,
    tags: dict[str, str] | None,
    round_to: int,
    apart: bool,
) -> None:
    arguments = (data, default_time, precision, wanted)
    named = {"tags": tags, "round_to": round_to, "apart": apart}
    assert native.relay(*arguments, **named) == REFERENCE.relay(*arguments, **named)


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


LONG = {
    "many fields": b"m " + b",".join(b"f%d=%di" % (number, number) for number in range(20_000)),
    "each field twice": b"m " + b",".join(b"f%d=%di" % (number % 9000, number) for number in range(18_000)),
    "one field again and again": b"m " + b",".join(b"f=%d.5" % number for number in range(5000)),
    "keys that need escapes": b"m " + b",".join(b"\\ \\,%d\\==t" % (-number % 3000) for number in range(6000)),
    "keys of which nothing is left": b"m " + b",".join(b"\0" * number + b"\\=1" for number in range(1, 200)) + b",f=1",
    "nothing is left": b"m " + b",".join(b"\0" * number + b"\\=1" for number in range(1, 200)),
    "a long string": b'm f="' + b'x\\"\n' * 50_000 + b'",g=1',
    "many tags": b"m" + b"".join(b",t%d=%d" % (-number % 3000, number) for number in range(3000)) + b" f=1",
    "tags that are written alike": b"m,a\t=1,a\\t=2,b\r=3,b\\r=4,\f=5 " + b",".join(b"f%d=1" % n for n in range(5000)),
    "a head that leaves little room": b"m,t=" + b"x" * 65_000 + b" " + b",".join(b"f%d=1" % n for n in range(5000)),
    "keys that a tag makes too long": b"m,t=" + b"x" * 65_400 + b" f=1," + b"g" * 100 + b"=1",
}


def long_lines(name: str) -> bytes:
    return b"a f=1 1\n" + LONG[name] + b" 5\nb f=1 1\n"


@functools.cache
def long_lines_as_the_reference_reads_them(name: str) -> Parsed:
    """Slow, and the same for each of the tests."""
    return REFERENCE.parse(long_lines(name), 0)


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize(
    "wanted",
    [LineOptions(), LineOptions(sort_fields=True), LineOptions(max_line_bytes=2000)],
    ids=["", "sorted", "spread"],
)
def test_long_lines_are_the_same(native: ModuleType, name: str, wanted: LineOptions) -> None:
    data = long_lines(name)
    for tags in ({}, {"host": "x" * 40, "t": "\udc80"}):
        got = native.relay(data, 0, "ns", wanted, tags=tags)
        assert got == REFERENCE.relay(data, 0, "ns", wanted, tags=tags)
    parsed = native.parse(data, 0)
    assert parsed == long_lines_as_the_reference_reads_them(name)
    assert native.encode(parsed.metrics, wanted) == REFERENCE.encode(parsed.metrics, wanted)


def test_keys_of_one_hash_are_told_apart_soon(native: ModuleType) -> None:
    """The hash of text is known to everybody: here two differences cancel each other, in each of 13 places."""
    one, two = bytearray(32), bytearray(32)
    two[7], two[20], two[23] = 0x80, 0x04, 0x80  # bit 63 of a word; bits 34 and 63 of the one that is mixed in next
    pairs = [bytes(byte ^ ord("a") for byte in text) for text in (one, two)]
    keys = [b"".join(pairs[number >> place & 1] for place in range(13)) for number in range(2**13)]
    assert len(set(keys)) == 2**13
    data = b"m " + b"=1,".join(keys) + b"=1 1\n"
    encoded = native.relay(data, 0).encoded
    assert encoded.count == 1
    assert encoded.data == data
    assert native.relay(data.replace(b" 1\n", b"," + keys[0] + b"=2 1\n"), 0).encoded.data == data.replace(
        b"=1", b"=2", 1
    )


@pytest.mark.parametrize("work", ["parse", "relay"])
def test_what_is_made_has_a_bound(core: SimpleNamespace, work: str) -> None:
    data = b"m f=1\n" * 20_000
    function = getattr(core, work)
    assert not function(data, 0, most=12_000_000).errors
    with pytest.raises(TooMuch, match="more than 1 MiB"):
        function(data, 0, most=1 << 20)
    if work == "relay":
        with pytest.raises(TooMuch):
            function(data, 0, tags={"t": "x" * 1000}, most=12_000_000)
        with pytest.raises(TooMuch):  # what is refused is kept, to be told
            function(data, 0, "ns", LineOptions(max_line_bytes=1), most=5_000_000)
        line = b"m,t=" + b"x" * 60_000 + b" " + b",".join(b"f%d=1" % number for number in range(20_000))
        with pytest.raises(TooMuch):
            function(line, 0, "ns", LineOptions(max_line_bytes=60_100), most=12_000_000)


def test_a_line_has_at_most_so_many_fields(core: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    most = MAX_FIELDS
    if core is REFERENCE:
        monkeypatch.setattr("pyagent.lineprotocol.parser.MAX_FIELDS", most := 1000)
    fields = b",".join(b"f=%d" % (number & 7) for number in range(most))
    relayed = core.relay(b"m " + fields + b" 1\nm " + fields + b",f=9 1\nb f=2 2\n", 0)
    assert relayed.encoded.data == b"m f=7 1\nb f=2 2\n"
    [error] = relayed.errors
    assert (error.line, error.column, error.reason) == (2, len(fields) + 4, "too many fields")
    assert len(error.text) == MAX_ERROR_BYTES if most > 1000 else len(error.text) < MAX_ERROR_BYTES

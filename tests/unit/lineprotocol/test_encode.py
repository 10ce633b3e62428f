"""Vectors of the encoder: what is written for what."""

from array import array
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from pyagent.api import LineOptions, Metric, Uint


def line(core: SimpleNamespace, metric: Metric, **options: Any) -> bytes:
    encoded = core.encode([metric], LineOptions(**options))
    assert encoded.rejected == []
    assert list(encoded.ends) == [len(encoded.data)]
    return encoded.data  # type: ignore[no-any-return]


def value(core: SimpleNamespace, field: Any, **options: Any) -> bytes | None:
    """What is written for a field's value, None where the field is left out."""
    data = line(core, Metric("m", {}, {"v": field, "z": True}, 1), **options)
    assert data.startswith(b"m ")
    assert data.endswith(b"z=true 1\n")
    return data[len(b"m v=") : -len(b",z=true 1\n")] if data.startswith(b"m v=") else None


def test_layout(core: SimpleNamespace) -> None:
    metric = Metric("cpu", {"host": "h", "cpu": "cpu0"}, {"b": 1.5, "a": 2, "s": "x"}, 1700000000000000001)
    assert line(core, metric) == b'cpu,cpu=cpu0,host=h b=1.5,a=2i,s="x" 1700000000000000001\n'
    assert line(core, metric, sort_fields=True) == b'cpu,cpu=cpu0,host=h a=2i,b=1.5,s="x" 1700000000000000001\n'
    assert line(core, metric, omit_timestamp=True) == b'cpu,cpu=cpu0,host=h b=1.5,a=2i,s="x"\n'
    assert list(metric.fields) == ["b", "a", "s"]


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (42.0, b"42"),
        (0.0, b"0"),
        (-0.0, b"-0"),
        (1.5, b"1.5"),
        (1e15, b"1000000000000000"),
        (1e16, b"10000000000000000"),
        (1e21, b"1000000000000000000000"),
        (1.5e22, b"15000000000000000000000"),
        (-1e16, b"-10000000000000000"),
        (1e-4, b"0.0001"),
        (1e-5, b"0.00001"),
        (1e-9, b"0.000000001"),
        (-1.25e-7, b"-0.000000125"),
        (0.1, b"0.1"),
        (0.10000000149011612, b"0.10000000149011612"),
        (9007199254740993.0, b"9007199254740992"),
        (1.7976931348623157e308, b"17976931348623157" + b"0" * 292),
        (5e-324, b"0." + b"0" * 323 + b"5"),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
    ],
)
def test_floats_have_the_fewest_digits_and_no_exponent(
    core: SimpleNamespace, number: float, written: bytes | None
) -> None:
    assert value(core, number) == written


@pytest.mark.parametrize(
    ("number", "plain", "with_support"),
    [
        (0, b"0i", b"0i"),
        (-5, b"-5i", b"-5i"),
        (2**63 - 1, b"9223372036854775807i", b"9223372036854775807i"),
        (-(2**63), b"-9223372036854775808i", b"-9223372036854775808i"),
        (2**63, b"9223372036854775807i", b"9223372036854775808u"),
        (2**64, None, None),
        (-(2**63) - 1, None, None),
        (Uint(7), b"7i", b"7u"),
        (Uint(2**64 - 1), b"9223372036854775807i", b"18446744073709551615u"),
        (Uint(-1), None, None),
        (Uint(2**64), None, None),
        (True, b"true", b"true"),
        (False, b"false", b"false"),
    ],
)
def test_integers_and_booleans(
    core: SimpleNamespace, number: int, plain: bytes | None, with_support: bytes | None
) -> None:
    assert value(core, number) == plain
    assert value(core, number, uint_support=True) == with_support


def test_values_of_other_types_are_converted_or_left_out(core: SimpleNamespace) -> None:
    class Text(str):
        __slots__ = ()

    class Scalar:
        def item(self) -> float:
            return 2.5

    class Broken:
        def item(self) -> float:
            raise RuntimeError

    assert value(core, Decimal("1.5")) == b"1.5"
    assert value(core, b"a\xff") == b'"a\xff"'
    assert value(core, Text('q"')) == b'"q\\""'
    assert value(core, Scalar()) == b"2.5"
    for unusable in (None, object(), [1], Broken()):
        assert value(core, unusable) is None


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", b'""'),
        ("plain", b'"plain"'),
        ('a"b', b'"a\\"b"'),
        ("a\\", b'"a\\\\"'),
        ('\\"', b'"\\\\\\""'),
        ("a,b =\n\t\r\f", b'"a,b =\n\t\r\f"'),
        ("é€😀", '"é€😀"'.encode()),
        ("\udcff\udc80", b'"\xff\x80"'),
        ("\ud800", '"\ufffd"'.encode()),
        ("\0", b'"\0"'),
    ],
)
def test_strings(core: SimpleNamespace, text: str, written: bytes) -> None:
    assert value(core, text) == written


@pytest.mark.parametrize(
    ("text", "measurement", "tag", "field"),
    [
        ('a"#b', b'a"#b', b'a"#b', b'a"#b'),
        ("a,b c", b"a\\,b\\ c", b"a\\,b\\ c", b"a\\,b\\ c"),
        ("a=b", b"a=b", b"a\\=b", b"a\\=b"),
        ("a\tb\nc\fd\re", b"a\\tb\\nc\\fd\\re", b"a\\tb\\nc\\fd\\re", b"a\\tb\\nc\\fd\\re"),
        ("a\\b", b"a\\b", b"a\\b", b"a\\b"),
        # A backslash at the end would escape what follows.
        ("a\\", b"a", b"a", b"a"),
        ("a\\\\\\", b"a", b"a", b"a"),
        ("\0\0a\0", b"a\0", b"\0\0a\0", b"a\0"),
        # Receivers that read backslashes in pairs would take the separator for a real one.
        ("a\\ b", b"a\\\\ b", b"a\\\\ b", b"a\\ b"),
        ("a\\\\,b", b"a\\\\\\,b", b"a\\\\\\,b", b"a\\\\\\,b"),
        ("é\udcff\ud800", b"\xc3\xa9\xff\xef\xbf\xbd", b"\xc3\xa9\xff\xef\xbf\xbd", b"\xc3\xa9\xff\xef\xbf\xbd"),
    ],
)
def test_names(core: SimpleNamespace, text: str, measurement: bytes, tag: bytes, field: bytes) -> None:
    assert line(core, Metric(text, {}, {"f": 1}, 1)) == measurement + b" f=1i 1\n"
    assert line(core, Metric("m", {text: "v"}, {"f": 1}, 1)) == b"m," + tag + b"=v f=1i 1\n"
    assert line(core, Metric("m", {"t": text}, {"f": 1}, 1)) == b"m,t=" + tag + b" f=1i 1\n"
    assert line(core, Metric("m", {}, {text: 1}, 1)) == b"m " + field + b"=1i 1\n"


def test_what_cannot_be_a_tag_or_a_field_is_left_out(core: SimpleNamespace) -> None:
    metric = Metric("m", {"": "a", "b": "", "c": "\\", "\\": "d", "e": "f"}, {"": 1, "\\": 2, "g": 3}, 1)
    assert line(core, metric) == b"m,e=f g=3i 1\n"


def test_tags_are_sorted_by_bytes_and_unique_as_written(core: SimpleNamespace) -> None:
    # U+FFFF sorts before U+10000 as UTF-8, and a byte that is not UTF-8 by its own value.
    metric = Metric("m", {"\U00010000": "1", "\uffff": "2", "\udc80": "3", "b": "4", "B": "5"}, {"f": 1}, 1)
    assert line(core, metric) == b"m,B=5,b=4,\x80=3,\xef\xbf\xbf=2,\xf0\x90\x80\x80=1 f=1i 1\n"
    assert line(core, Metric("m", {"a\\": "1", "a": "2"}, {"f": 1}, 1)) == b"m,a=2 f=1i 1\n"


def test_a_tag_dict_that_changed_does_not_give_the_old_tags(core: SimpleNamespace) -> None:
    tags = {"a": "1"}
    metric = Metric("m", tags, {"f": 1}, 1)
    assert line(core, metric) == b"m,a=1 f=1i 1\n"
    tags["a"] = "2"
    assert line(core, metric) == b"m,a=2 f=1i 1\n"
    tags["b"] = "3"
    assert line(core, metric) == b"m,a=2,b=3 f=1i 1\n"
    del tags["a"]
    assert line(core, metric) == b"m,b=3 f=1i 1\n"


def test_more_series_than_the_cache_holds(core: SimpleNamespace) -> None:
    metrics = [Metric("m", {"id": str(i), "long": "x" * (i % 3000)}, {f"f{i}": i}, i) for i in range(20000)]
    encoded = core.encode(metrics)
    assert encoded.data == b"".join(
        b"m,id=%d%s f%d=%di %d\n" % (i, b",long=" + b"x" * (i % 3000) if i % 3000 else b"", i, i, i)
        for i in range(20000)
    )


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (Metric("", {}, {"f": 1}, 1), "invalid name"),
        (Metric("\\", {}, {"f": 1}, 1), "invalid name"),
        (Metric("#m", {}, {"f": 1}, 1), "invalid name"),
        (Metric("\0#m", {}, {"f": 1}, 1), "invalid name"),
        (Metric("m", {}, {}, 1), "no serializable fields"),
        (Metric("m", {}, {"f": float("nan"), "": 1}, 1), "no serializable fields"),
        (Metric("m", {}, {"f": 1}, 2**63 - 1), "time outside range"),
        (Metric("m", {}, {"f": 1}, -(2**70)), "time outside range"),
        (Metric("m", {"k": "v" * 65536}, {"f": 1}, 1), "max key length exceeded"),
        (Metric("m", {}, {"f" * 65536: 1}, 1), "max key length exceeded"),
        (Metric("m", {"k": 5}, {"f": 1}, 1), "invalid type"),  # type: ignore[dict-item]
        (Metric(None, {}, {"f": 1}, 1), "invalid type"),  # type: ignore[arg-type]
        (Metric("m", [], {"f": 1}, 1), "invalid type"),  # type: ignore[arg-type]
        (Metric("m", {}, {3: 1}, 1), "invalid type"),  # type: ignore[dict-item]
        (Metric("m", {}, {"f": 1}, 1.0), "invalid type"),  # type: ignore[arg-type]
        (Metric("m", {}, {"f": 1}, None), "invalid type"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_encoded_is_rejected_and_costs_no_other(
    core: SimpleNamespace, metric: Metric, reason: str
) -> None:
    before, after = Metric("a", {}, {"f": 1}, 30), Metric("b", {}, {"f": 2}, 20)
    encoded = core.encode([before, metric, after])
    assert encoded.data == b"a f=1i 30\nb f=2i 20\n"
    assert encoded.ends == array("Q", [10, 20])
    assert (encoded.count, encoded.oldest, encoded.newest) == (2, 20, 30)
    assert [(rejected, why.split(":")[0]) for rejected, why in encoded.rejected] == [(metric, reason)]


def test_nothing_to_encode(core: SimpleNamespace) -> None:
    for metrics in ([], [Metric("", {}, {"f": 1}, 1)]):
        encoded = core.encode(metrics)
        assert (encoded.data, list(encoded.ends), encoded.count) == (b"", [], 0)
        assert (encoded.oldest, encoded.newest) == (0, 0)


def test_any_sequence_is_taken(core: SimpleNamespace) -> None:
    metric = Metric("m", {}, {"f": 1}, 1)
    assert core.encode((metric, metric)).data == b"m f=1i 1\n" * 2


def test_long_metrics_become_several_lines_within_the_limit(core: SimpleNamespace) -> None:
    metric = Metric("m", {"t": "v"}, {"a": 1, "b": 2, "c": 3, "d": 4}, 5)
    whole = b"m,t=v a=1i,b=2i,c=3i,d=4i 5\n"
    assert line(core, metric, max_line_bytes=len(whole)) == whole
    # Counted with all commas and the LF: one byte less, and the last field has to go to a line of its own.
    assert line(core, metric, max_line_bytes=len(whole) - 1) == b"m,t=v a=1i,b=2i,c=3i 5\nm,t=v d=4i 5\n"
    assert line(core, metric, max_line_bytes=13) == b"".join(b"m,t=v %c=%di 5\n" % (96 + i, i) for i in (1, 2, 3, 4))
    assert line(core, metric, max_line_bytes=18, omit_timestamp=True) == b"m,t=v a=1i,b=2i\nm,t=v c=3i,d=4i\n"
    encoded = core.encode([metric, metric], LineOptions(max_line_bytes=13))
    assert (encoded.count, list(encoded.ends)) == (2, [52, 104])


def test_the_limit_counts_bytes(core: SimpleNamespace) -> None:
    metric = Metric("m", {}, {"é": 1, "b": "é"}, 5)
    assert line(core, metric, max_line_bytes=18) == 'm é=1i,b="é" 5\n'.encode()
    assert line(core, metric, max_line_bytes=15) == 'm é=1i 5\nm b="é" 5\n'.encode()


def test_a_field_that_fits_no_line_rejects_its_metric(core: SimpleNamespace) -> None:
    metric = Metric("m", {}, {"a": 1, "long": "x" * 50}, 5)
    encoded = core.encode([metric], LineOptions(max_line_bytes=40))
    assert encoded.data == b""
    [(rejected, reason)] = encoded.rejected
    assert rejected is metric
    assert reason.startswith("need more space")

"""The parser dropwizard: what Telegraf 1.40 made of the same documents."""

import contextlib
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, ParseError
from pyagent_plugins.parsers.dropwizard import Dropwizard, DropwizardOptions

ONE = {"counters": {"x": {"count": 1}}}
X = Metric("x", {"metric_type": "counter"}, {"count": 1.0}, 7)


def read(document: Any, default: dict[str, str] | None = None, **options: Any) -> list[Metric]:
    made = Dropwizard(DropwizardOptions(**options), logging.getLogger("test"), measurement="m")
    made.now, made.default_tags = lambda: 7, default or {}
    return made.parse(document if isinstance(document, bytes) else json.dumps(document).encode())


def tags(document: Any, **options: Any) -> dict[str, str]:
    [metric] = read(document, **options)
    return metric.tags


@pytest.mark.parametrize(
    ("name", "measurement", "own"),
    [
        ("jobs,q=a\\ b\\,c,r=\\=x", "jobs", {"q": "a b,c", "r": "=x"}),
        ("a\\,b", "a,b", {}),
        ("a b,c=d", "a b,c=d", {}),
        ("m,t=", "m,t=", {}),
        ("m,a=1,a=2", "m", {"a": "2"}),
        ("#x", "#x", {}),
        ("pool.size", "pool.size", {}),
    ],
)
def test_names(name: str, measurement: str, own: dict[str, str]) -> None:
    assert read({"gauges": {name: {"value": 1}}}) == [
        Metric(measurement, {"metric_type": "gauge", **own}, {"value": 1.0}, 7)
    ]


def test_values() -> None:
    values = {"n": None, "l": [1], "o": {"z": 1}, "s": "t\ud800", "b": False, "i": 5, "big": 10**30, "f": 1.5}
    [metric] = read({"gauges": {"g": values, "h": 5, "k": {}}, "counters": [1], "meters": None, "other": ONE})[:1]
    assert metric.fields == {"s": "t\ufffd", "b": False, "i": 5.0, "big": 1e30, "f": 1.5}


def test_paths() -> None:
    document = {"at": "2024-05-06T07:08:09.5+02:00", "a": {"b": ONE}}
    options = {"dropwizard_metric_registry_path": "a.b", "dropwizard_time_path": "at"}
    assert read(document, **options) == [Metric("x", X.tags, X.fields, 1_714_972_089_500_000_000)]
    options |= {"dropwizard_time_format": "20060102"}
    assert read(document | {"at": 20240506}, **options)[0].time == 1_714_953_600_000_000_000


def test_tags(caplog: pytest.LogCaptureFixture) -> None:
    """Of a name, of the object, of the paths, of the input: the first that has the key counts."""
    document = {"tags": {"a": "b", "metric_type": "q"}, "v": 7, "l": True, **ONE}
    paths = {"dropwizard_tag_paths_map": {"v": "v", "l": "l", "none": "missing"}}
    assert tags(document, dropwizard_tags_path="tags", **paths) == {"metric_type": "counter", "a": "b"}
    assert tags(document, **paths) == {"metric_type": "counter", "v": "7", "l": "true", "none": ""}
    assert not caplog.text
    assert tags({"tags": {"a": 5}, "v": 7, **ONE}, dropwizard_tags_path="tags", **paths)["v"] == "7"
    assert "cannot use the tags at 'tags'" in caplog.text
    assert read(ONE, {"metric_type": "z", "y": "x"})[0].tags == {"metric_type": "counter", "y": "x"}


def test_templates() -> None:
    document = {"gauges": {"a.h1.b.c": {"value": 1}}}
    [plain] = read(document, templates=["measurement.host.measurement.field"])
    assert (plain.name, plain.fields) == ("ab", {"cvalue": 1.0})
    [joined] = read(document, templates=["measurement.host.measurement.field metric_type=q"], separator="_")
    assert joined == Metric("a_b", {"host": "h1", "metric_type": "q"}, {"c_value": 1.0}, 7)


@pytest.mark.parametrize(
    ("document", "options", "message"),
    [
        (b"", {}, "cannot read the registry"),
        (b'{"counters": ', {}, "line 1: cannot read the registry"),
        (b"[]", {}, "must be an object"),
        (b'{"counters":{"a":{"count":NaN}}}', {}, "NaN is no number"),
        (b'{"counters":{"a":{"count":1e400}}}', {}, "out of range"),
        (b'{"counters":{"a":{"count":1%s}}}' % (b"0" * 400), {}, "out of range"),
        (b"[" * 100_000, {}, "nested too deeply|cannot read"),
        ({}, {"dropwizard_metric_registry_path": "a"}, "'dropwizard_metric_registry_path' = 'a'"),
        (ONE, {"dropwizard_time_path": "t"}, "'dropwizard_time_path' = 't'"),
        ({"t": 5}, {"dropwizard_time_path": "t", "dropwizard_time_format": "unix"}, "cannot read the time '5'"),
        (
            {"t": "2024-05-06T07:08:09Z"},
            {"dropwizard_time_path": "t", "dropwizard_time_format": "rfc3339"},
            "'rfc3339'",
        ),
    ],
)
def test_what_is_no_registry(document: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParseError, match=message):
        read(document, **options)


def test_paths_have_all_of_gjson() -> None:
    document = b'{"l": [1, 2], "o": {"p": 1.50}, "counters": {"x": {"count": 1}}, "open": {'
    paths = {"l": "l", "p": "[o.p]", "none": "a.#("}
    [metric] = read(document, dropwizard_metric_registry_path="{counters}", dropwizard_tag_paths_map=paths)
    assert metric.tags == {"metric_type": "counter", "l": "[1, 2]", "p": "[1.50]", "none": ""}


def test_a_key_that_is_no_text_ends_the_search() -> None:
    with pytest.raises(ParseError, match="'dropwizard_time_path' = 'a'"):
        read(b'{"b": 1, 5: 2, "a": 3, "counters": {}}', dropwizard_time_path="a")


@given(st.binary(max_size=40))
def test_any_bytes(data: bytes) -> None:
    for document in (data, b'{"counters":{"x":{"count":' + data + b"}}}"):
        with contextlib.suppress(ParseError):
            read(document, dropwizard_tags_path="a")

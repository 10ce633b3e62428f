"""Templates of names, as Graphite's and statsd's."""

import pytest

from pyagent.api import ConfigError
from pyagent.kit.templates import Templates


@pytest.mark.parametrize(
    ("texts", "name", "wanted"),
    [
        ([], "a.b.c", ("a_b_c", {}, "")),
        (["measurement.host.field"], "cpu.web1.load", ("cpu", {"host": "web1"}, "load")),
        (["measurement.host.field"], "cpu", ("cpu", {}, "")),
        ([".measurement*"], "drop.a.b", ("a_b", {}, "")),
        (["measurement..field*"], "a.b.c.d", ("a", {}, "c_d")),
        (["measurement.measurement.region"], "a.b.eu", ("a_b", {"region": "eu"}, "")),
        (["host.host.measurement"], "a.b.c", ("c", {"host": "a_b"}, "")),
        (["measurement* region=eu,dc=x"], "a.b", ("a_b", {"region": "eu", "dc": "x"}, "")),
        (["cpu.* measurement.host", "measurement*"], "cpu.web1", ("cpu", {"host": "web1"}, "")),
        (["cpu.* measurement.host", "measurement*"], "mem.web1", ("mem_web1", {}, "")),
        (["*.load .measurement", "cpu.* measurement.host"], "cpu.load", ("cpu", {"host": "load"}, "")),
        (["cpu.web1.* ..measurement", "cpu.* measurement.host"], "cpu.web1.x", ("x", {}, "")),
        (["cpu.web1.* ..measurement", "cpu.* measurement.host"], "cpu.web2.x", ("cpu", {"host": "web2"}, "")),
        (["_ cpu_* measurement_host"], "cpu_web1", ("cpu", {"host": "web1"}, "")),
        (["_ cpu_* measurement_host dc=a"], "cpu_web1", ("cpu", {"host": "web1", "dc": "a"}, "")),
        (["measurement.a.b", "measurement.x"], "cpu.web1.load", ("cpu", {"a": "web1", "b": "load"}, "")),
        (["measurement.x", "measurement.a.b"], "cpu.web1.load", ("cpu", {"a": "web1", "b": "load"}, "")),
        (["", "  "], "a.b", ("a_b", {}, "")),
    ],
)
def test_names(texts: list[str], name: str, wanted: tuple[str, dict[str, str], str]) -> None:
    assert Templates(texts, "_").apply(name) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host.field", "it has no word `measurement`"),
        ("measurement*.field*", "it may have one of `measurement*` and `field*`"),
        ("a b c d e", "it has too many words"),
        ("a.* measurement x=1,y", "'y' is no TAG=VALUE"),
    ],
)
def test_what_is_no_template(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Templates([text], "_")
    assert message in str(caught.value)
    assert caught.value.option == "templates"

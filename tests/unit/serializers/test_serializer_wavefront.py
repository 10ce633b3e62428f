"""The serializer wavefront: lines as Telegraf writes them."""

from typing import Any

import pytest

from pyagent.api import Metric
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.wavefront import Wavefront

METRIC = Metric("a_b/c", {"host": 'h"*', "k,1": "v 2", "e": "", "addr": "x"}, {"value": 1.5, "f_1": True, "s": "x"}, -1)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            {},
            '"a.b-c" 1.500000 18446744073709551615 source="h\\"-" "addr"="x" "k-1"="v 2"\n'
            '"a.b-c.f.1" 1.000000 18446744073709551615 source="h\\"-" "addr"="x" "k-1"="v 2"\n',
        ),
        (
            {"wavefront_use_strict": True, "wavefront_disable_prefix_conversion": True, "prefix": "p_"},
            '"p_a_b/c" 1.500000 18446744073709551615 source="h\\"-" "addr"="x" "k,1"="v 2"\n'
            '"p_a_b/c.f_1" 1.000000 18446744073709551615 source="h\\"-" "addr"="x" "k,1"="v 2"\n',
        ),
        (
            {"wavefront_source_override": ["none", "e", "addr"]},
            '"a.b-c" 1.500000 18446744073709551615 source="x" "k-1"="v 2" "telegraf_host"="h\\"-"\n'
            '"a.b-c.f.1" 1.000000 18446744073709551615 source="x" "k-1"="v 2" "telegraf_host"="h\\"-"\n',
        ),
    ],
)
def test_lines(options: dict[str, Any], wanted: str) -> None:
    assert make_serializer(Wavefront, options).serialize(METRIC).decode() == wanted


def test_a_source_tag_comes_first() -> None:
    metric = Metric("m", {"source": "s", "host": "h", "a": "b"}, {"value": float("inf"), "n": float("nan")}, 0)
    found = make_serializer(Wavefront, {"wavefront_source_override": ["a"]}).serialize(metric)
    assert found == b'"m" +Inf 0 source="s" "a"="b"\n"m.n" NaN 0 source="s" "a"="b"\n'

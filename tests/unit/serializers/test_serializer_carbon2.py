"""The serializer carbon2: lines as Telegraf writes them."""

from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, Uint
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.carbon2 import Carbon2

METRIC = Metric("a b/c!", {"k 1": "v 2", "a": ""}, {"f 1": 1.5, "on": True, "s": "x", "u": Uint(7)}, -1_500_000_000)
NAN = Metric("m", {}, {"f": float("nan"), "g": 1e21}, 0)


@pytest.mark.parametrize(
    ("metric", "options", "wanted"),
    [
        (
            METRIC,
            {},
            "metric=a_b:c: field=f_1 a=null k_1=v_2  1.5 -2\nmetric=a_b:c: field=on a=null k_1=v_2  1 -2\n"
            "metric=a_b:c: field=u a=null k_1=v_2  7 -2\n",
        ),
        (
            METRIC,
            {"carbon2_format": "metric_includes_field", "carbon2_sanitize_replace_char": "-"},
            "metric=a_b-c-_f_1 a=null k_1=v_2  1.5 -2\nmetric=a_b-c-_on a=null k_1=v_2  1 -2\n"
            "metric=a_b-c-_u a=null k_1=v_2  7 -2\n",
        ),
        (
            NAN,
            {"carbon2_format": "", "carbon2_sanitize_replace_char": ""},
            "metric=m field=f  NaN 0\nmetric=m field=g  1000000000000000000000 0\n",
        ),
    ],
)
def test_lines(metric: Metric, options: dict[str, Any], wanted: str) -> None:
    assert make_serializer(Carbon2, options).serialize(metric).decode() == wanted


@pytest.mark.parametrize("options", [{"carbon2_sanitize_replace_char": "::"}, {"carbon2_format": "x"}])
def test_mistakes(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"'::' in place of|carbon2_format"):
        make_serializer(Carbon2, options)

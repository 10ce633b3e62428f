"""The serializer influx: the engine's own line protocol, with its four options."""

import pytest

from pyagent.api import ConfigError, LineOptions, Metric, Uint
from pyagent.testing.outputs import make_serializer
from pyagent_plugins.serializers.influx import Influx

METRIC = Metric("m", {"h": "a"}, {"b": Uint(2**64 - 1), "a": 1.5}, 10)


def test_options() -> None:
    plain = make_serializer(Influx)
    assert plain.line_options() == LineOptions()
    assert plain.serialize(METRIC) == b"m,h=a b=9223372036854775807i,a=1.5 10\n"
    table = {"influx_sort_fields": True, "influx_uint_support": True, "influx_omit_timestamp": True}
    chosen = make_serializer(Influx, table)
    assert chosen.serialize_batch([METRIC, METRIC]) == b"m,h=a a=1.5,b=18446744073709551615u\n" * 2
    spread = make_serializer(Influx, {"influx_max_line_bytes": 14})
    assert spread.serialize(Metric("m", {}, {"a": 1, "b": 2}, 10)) == b"m a=1i 10\nm b=2i 10\n"


def test_mistakes() -> None:
    with pytest.raises(ConfigError, match="must be 0 or more"):
        make_serializer(Influx, {"influx_max_line_bytes": -1})
    with pytest.raises(ValueError, match=r"^cannot encode a metric of 'm': no serializable fields$"):
        make_serializer(Influx).serialize(Metric("m", {}, {}, 1))

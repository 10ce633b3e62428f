"""What one bad record among good ones costs: all of the data, as in Telegraf, unless the format is one of which it skips records,
by itself or by an option."""

from pathlib import Path
from typing import Any

import pytest
from collectd_packets import part as part_of_collectd
from collectd_packets import text, values
from protobuf_bytes import double, part

from pyagent.api import ParseError
from pyagent.config.catalog import Catalog
from pyagent.testing import make_parser

_XPATH = {"xpath": [{"metric_selection": "//n", "fields_int": {"n": "."}}]}
_PROTOBUF = {
    "xpath": [{"metric_selection": "/n/*", "fields_int": {"n": "."}}],
    "xpath_protobuf_files": [str(Path(__file__).parent / "numbers.proto")],
    "xpath_protobuf_type": "Numbers",
}
DATA: dict[str, tuple[dict[str, Any], bytes]] = {
    "dropwizard": ({}, b'{"counters": {"a": {"count": 1}, "b": {"count": x}, "c": {"count": 3}}}'),
    "form_urlencoded": ({}, b"a=1&b=%zz&c=3"),
    "graphite": ({}, b"n 1\nn x\nn 3\n"),
    "influx": ({}, b"m n=1\nm n=x\nm n=3\n"),
    "csv": ({"csv_column_names": ["n"], "csv_column_types": ["int"]}, b"1\nx\n3\n"),
    "json": ({"json_time_key": "t", "json_time_format": "unix"}, b'[{"n": 1, "t": 1}, {"n": 2}, {"n": 3, "t": 3}]'),
    "json_v2": ({"json_v2": [{"field": [{"path": "#.n", "type": "int"}]}]}, b'[{"n": 1}, {"n": 2.}, {"n": 3}]'),
    "logfmt": ({}, b"n=1\nn=2=2\nn=3\n"),
    "openmetrics": ({}, b"n 1\nn x\nn 3\n# EOF\n"),
    "prometheus": ({}, b"n 1\nn x\nn 3\n"),
    "nagios": ({}, b"a | n=1 | n=2 | n=3"),
    "wavefront": ({}, b"n 1 1700000000\nn x 1700000000\nn 3 1700000000\n"),
    "xml": (_XPATH, b"<r><i><n>1</n></i><i><n>x</n></i><i><n>3</n></i></r>"),
    "xpath_cbor": (_XPATH, b"\xa1ai\x83\xa1an\x01\xa1anax\xa1an\x03"),
    "xpath_json": (_XPATH, b'{"i": [{"n": 1}, {"n": "x"}, {"n": 3}]}'),
    "xpath_msgpack": (_XPATH, b"\x81\xa1i\x93\x81\xa1n\x01\x81\xa1n\xa1x\x81\xa1n\x03"),
    "xpath_protobuf": (_PROTOBUF, b"\x0a\x011\x0a\x01x\x0a\x013"),
    "value": ({"data_type": "integer"}, b"1 2 x"),
}
REMOTE_WRITE = [
    part(1, b"".join(part(1, part(1, key) + part(2, text)) for key, text in labels) + part(2, double(1, 1.0)))
    for labels in ([("__name__", "n")], [("a", "b")], [("__name__", "n")])
]
DATA["binary"] = ({"binary": [{"entries": [{"name": "n", "type": "uint16"}]}]}, b"1")
DATA["collectd"] = ({}, text(plugin="p") + values(1) + part_of_collectd(6, b"\0\1") + values(3))
SCHEMA = '{"type": "array", "items": {"type": "record", "name": "R", "fields": [{"name": "n", "type": "int"}]}}'
DATA["avro"] = ({"avro_schema": SCHEMA, "avro_format": "json"}, b'[{"n": 1}, {"n": "x"}, {"n": 3}]')
DATA["parquet"] = ({}, b"PAR1 and no more")
DATA["prometheusremotewrite"] = ({}, b"".join(REMOTE_WRITE))
"""By format: options, and three records of which the second is bad; a `value` has one."""
ALWAYS_SKIPPING: dict[str, bytes] = {"grok": b"1\nx\n3\n", "opentsdb": b"put n 1 1\nput n 2 x\nput n 3 3\n"}
"""Formats in which a bad record costs itself alone, as in Telegraf: three records of which the second is bad."""
SKIPPING = {"csv": {"csv_skip_errors": True}, "json": {"json_strict": False}}
"""Options by which a bad record costs itself alone."""
FORMATS = sorted(DATA)


def parser_of(name: str, **options: Any) -> Any:
    (entry,) = (entry for entry in Catalog().entries("parsers") if entry.name == name)
    return make_parser(Catalog().load(entry), DATA.get(name, ({},))[0] | options)  # type: ignore[arg-type]  # it is one


def test_every_format_is_here() -> None:
    assert {entry.name for entry in Catalog().entries("parsers")} == DATA.keys() | ALWAYS_SKIPPING, (
        "say what one bad record of it costs"
    )


@pytest.mark.parametrize("name", FORMATS)
def test_one_bad_record_costs_all_of_the_data(name: str) -> None:
    parser = parser_of(name, **({"json_strict": True} if name == "json" else {}))
    with pytest.raises(ParseError):
        parser.parse(DATA[name][1])


@pytest.mark.parametrize("name", sorted(SKIPPING))
def test_or_itself_alone(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    metrics = parser_of(name, **SKIPPING[name]).parse(DATA[name][1])
    assert [metric.fields["n"] for metric in metrics] == [1, 3]
    assert caplog.text.count("is left out") == 1


@pytest.mark.parametrize("name", sorted(ALWAYS_SKIPPING))
def test_or_itself_alone_always(name: str) -> None:
    options = {"grok_patterns": ["^%{NUMBER:n:int}$"]} if name == "grok" else {}
    assert len(parser_of(name, **options).parse(ALWAYS_SKIPPING[name])) == 2

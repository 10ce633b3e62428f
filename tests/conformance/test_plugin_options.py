"""The options of every plugin that Telegraf has as well: the same names, and Telegraf's own sample configuration loads as it is."""

import re
from pathlib import Path

import pytest

from pyagent.config import SourceText, load_plan
from pyagent.config.catalog import Catalog, CatalogEntry
from pyagent.config.declared import declared_options, table_type
from pyagent.plugin_kinds import COMMON_KEYS

SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "telegraf" / "samples"
_OPTION = re.compile(r"^\s*#?\s{0,2}([a-z][A-Za-z0-9_]*)\s*=(?!=)", re.MULTILINE)
_TABLE = re.compile(r"^\s*#?\s*\[+(?:inputs|outputs|processors|aggregators|secretstores)\.\w+\.(\w+)", re.MULTILINE)

_SHARED = "belongs to the options that Telegraf's plugins share; it takes it, and the sample does not show it"
MISSING: dict[str, dict[str, str]] = {
    "inputs.sysstat": {"vg": "is a tag of an example"},
    "processors.enum": dict.fromkeys(("amber", "green", "red"), "are keys of a table that is free, and no options"),
}
"""Options of Telegraf's samples that are not here, with the reason, by plugin."""
_CLIENT_TLS = dict.fromkeys(
    (
        "tls_cipher_suites",
        "tls_enable",
        "tls_key_pwd",
        "tls_min_version",
        "tls_renegotiation_method",
        "tls_server_name",
    ),
    _SHARED,
)
_SERVER_TLS = dict.fromkeys(
    ("tls_allowed_dns_names", "tls_cipher_suites", "tls_key_pwd", "tls_max_version", "tls_min_version"), _SHARED
)
_SNMP = dict.fromkeys(("path", "unconnected_udp_socket"), "an option of all plugins that ask by SNMP")
MORE: dict[str, dict[str, str]] = {
    "processors.ifname": _SNMP | {"max_cache_entries": "its sample does not show it"},
    "processors.snmp_lookup": _SNMP,
    "inputs.sysstat": {"sadc_interval": "its sample does not show it"},
    "inputs.systemd_units": {"subcommand": "deprecated; its sample has it no more"},
    "inputs.upsd": {"dump_raw_variables": "deprecated; its sample has it no more"},
    "inputs.exec": {"command": "Telegraf's old name for one command; its sample shows it no more"},
    "inputs.http_response": {
        "bearer_token": "Telegraf's old name for a file with a token; its sample shows it no more",
        "cookie_auth_headers": _SHARED,
        **{name: why for name, why in _CLIENT_TLS.items() if name[4:] not in ("renegotiation_method", "server_name")},
    },
    "inputs.influxdb_listener": {"socket_mode": _SHARED, **_SERVER_TLS},
    "inputs.memcached": _CLIENT_TLS,
    "inputs.socket_listener": {"max_parallel_parsers": _SHARED, "time_source": _SHARED, **_SERVER_TLS},
    "inputs.mqtt_consumer": _CLIENT_TLS,
    "inputs.nats_consumer": _CLIENT_TLS,
    "inputs.statsd": dict.fromkeys(
        ("parse_data_dog_tags", "udp_packet_size"), "of older versions, as the texts of InfluxDB's pages have it"
    ),
    "inputs.tail": {
        "from_beginning": "Telegraf's old name for one value; it migrates it, and its sample shows it no more"
    },
    "outputs.influxdb_v2": _CLIENT_TLS,
    "outputs.mqtt": {
        "batch": "Telegraf's old way to say layout; its sample shows it no more",
        "client_trace": _SHARED,
        "connection_timeout": _SHARED,
        "persistent_session": _SHARED,
        "topic_prefix": "Telegraf's old name for the beginning of a topic; its sample shows it no more",
        **_CLIENT_TLS,
    },
    "outputs.prometheus_client": _SERVER_TLS,
}
"""Options here that Telegraf's samples do not show, with the reason."""

CATALOG = Catalog()
PLUGINS = [
    entry
    for entry in CATALOG.entries("inputs", "outputs", "processors", "aggregators", "secretstores")
    if entry.origin == "pyagent" and (SAMPLES / entry.kind / f"{entry.name}.conf").exists()
]


def theirs(entry: CatalogEntry) -> set[str]:
    text = (SAMPLES / entry.kind / f"{entry.name}.conf").read_text()
    return set(_OPTION.findall(text)) | set(_TABLE.findall(text))


@pytest.mark.skipif(not PLUGINS, reason=f"Telegraf's samples are missing: {SAMPLES} is not there")
@pytest.mark.parametrize("entry", PLUGINS or [None], ids=lambda entry: entry and entry.label)
def test_the_options_are_telegrafs(entry: CatalogEntry) -> None:
    declared = [one for kind in CATALOG.option_types(entry) for one in declared_options(kind)]
    tables = [found[0] for one in declared if (found := table_type(one.annotation))]
    known = {one.name for one in (*declared, *(inner for table in tables for inner in declared_options(table)))}
    own = {one.name for one in declared_options(CATALOG.load(entry).options_type)}
    missing, more = theirs(entry) - known - COMMON_KEYS - {"id"}, own - theirs(entry)
    assert missing == MISSING.get(entry.label, {}).keys()
    assert more == MORE.get(entry.label, {}).keys()


@pytest.mark.skipif(not PLUGINS, reason=f"Telegraf's samples are missing: {SAMPLES} is not there")
@pytest.mark.parametrize(
    "entry", [one for one in PLUGINS if one.kind != "secretstores"] or [None], ids=lambda e: e and e.label
)
def test_telegrafs_sample_loads(entry: CatalogEntry) -> None:
    text = (SAMPLES / entry.kind / f"{entry.name}.conf").read_text()
    plan = load_plan([SourceText(f"{entry.name}.conf", text)], environ={}, partial=True)
    assert len(getattr(plan, entry.kind)) == 1
    assert not plan.errors


@pytest.mark.skipif(not PLUGINS, reason=f"Telegraf's samples are missing: {SAMPLES} is not there")
def test_every_exception_is_a_plugin() -> None:
    assert MISSING.keys() | MORE.keys() <= {entry.label for entry in PLUGINS}

"""The configuration text for what InfluxDB's page "Create a Telegraf configuration" sends: a list of plugins, not a text.

The keys and values are those of InfluxDB's generated text; the words around them are our own.
"""

import json
from collections.abc import Iterable
from typing import NamedTuple

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import invalid
from pyagent.sandbox.gojson import STRING, GoJSONError, Shape, decode, list_of, struct

AGENT = """\
# Configuration for telegraf agent
[agent]
  ## How often the inputs are gathered, aligned to the clock.
  interval = "10s"
  round_interval = true

  ## The most metrics in one write, and the most that are kept for an output that does not answer.
  metric_batch_size = 1000
  metric_buffer_limit = 10000

  ## A random delay before each gather.
  collection_jitter = "0s"

  ## How often what was gathered is written, and a random delay before that.
  flush_interval = "10s"
  flush_jitter = "0s"

  ## The precision of timestamps; empty: by the interval, at most one second.
  precision = ""

  ## The tag "host"; empty: the name of this host.
  hostname = ""
  omit_hostname = false
"""

INFLUXDB_V2 = """\
[[outputs.influxdb_v2]]
  ## URLs of the InfluxDB nodes; only one of them is written to each time.
  urls = ["http://localhost:8086"]

  ## Token, organisation and bucket.
  token = ""
  organization = ""
  bucket = ""
"""


def sections(plugins: Iterable[Document]) -> tuple[str, list[str]]:
    """The sections of the listed plugins, and the buckets that they write to; an input without a text is left out.

    Raises:
        InfluxError: a plugin that is not an input or output, an output without a text, or a config that does not fit.
    """
    text, buckets = "", []
    for plugin in plugins:
        kind, name = plugin.get("type", ""), plugin.get("name", "")
        if kind not in ("input", "output"):
            raise invalid(f"unsupported telegraf plugin type {kind}")
        known = (_INPUTS if kind == "input" else _OUTPUTS).get(name)
        if known is None:
            if kind == "output":
                raise invalid(f"unsupported telegraf plugin {name}, type output")
            continue
        try:
            config = decode(json.dumps(plugin.get("config")).encode(), known.shape) or {}
        except GoJSONError as error:
            raise invalid(error.message) from None
        text += _section(kind, name, known, config)
        if name == "influxdb_v2" and config.get("bucket"):
            buckets = [config["bucket"]]
    return text, buckets


def _quote(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(map(_quote, items)) + "]"


class _Plugin(NamedTuple):
    shape: Shape
    """The config that a request may give."""
    lines: tuple[str, ...]
    """`{name}` is a member of the config."""


def _section(kind: str, name: str, plugin: _Plugin, config: Document) -> str:
    values = {}
    for member, shape in (plugin.shape.fields or {}).items():
        given = config.get(member)
        if shape.kind == "list":
            items = [one if isinstance(one, str) else _file(one) for one in given or []]
            values[member] = _list(items)
        else:
            values[member] = _quote(given or "")
    return f"[[{kind}s.{name}]]\n" + "".join(f"  {line.format(**values)}\n" for line in plugin.lines)


def _file(given: Document) -> str:
    return "stdout" if given.get("type") == "stdout" else str(given.get("path", ""))


def _input(name: str, *lines: str, **members: Shape) -> _Plugin:
    return _Plugin(struct(f"inputs.{name}", **members), lines or ("# no configuration",))


_NAMES = list_of(STRING)

_OUTPUTS: dict[str, _Plugin] = {
    "file": _Plugin(
        struct("outputs.File", files=list_of(struct("outputs.FileConfig", type=STRING, path=STRING))),
        ("files = {files}", 'data_format = "influx"'),
    ),
    "influxdb_v2": _Plugin(
        struct("outputs.InfluxDBV2", urls=_NAMES, token=STRING, organization=STRING, bucket=STRING),
        ("urls = {urls}", "token = {token}", "organization = {organization}", "bucket = {bucket}"),
    ),
}

_INPUTS: dict[str, _Plugin] = {
    "cpu": _input("CPUStats", "percpu = true", "totalcpu = true", "collect_cpu_time = false", "report_active = false"),
    "disk": _input("DiskStats", 'ignore_fs = ["tmpfs", "devtmpfs", "devfs", "iso9660", "overlay", "aufs", "squashfs"]'),
    "diskio": _input("DiskIO"),
    "docker": _input(
        "Docker",
        "endpoint = {endpoint}",
        "gather_services = false",
        "container_names = []",
        "source_tag = false",
        "container_name_include = []",
        "container_name_exclude = []",
        'timeout = "5s"',
        "perdevice = true",
        "total = false",
        "docker_label_include = []",
        "docker_label_exclude = []",
        endpoint=STRING,
    ),
    "file": _input("File", "files = {files}", 'data_format = "influx"', files=_NAMES),
    "kernel": _input("Kernel"),
    "kubernetes": _input("Kubernetes", "url = {url}", url=STRING),
    "logparser": _input(
        "LogParserPlugin",
        "files = {files}",
        "from_beginning = false",
        "[inputs.logparser.grok]",
        '  patterns = ["%{{COMBINED_LOG_FORMAT}}"]',
        '  measurement = "apache_access_log"',
        "  custom_pattern_files = []",
        "  custom_patterns = '''",
        "  '''",
        files=_NAMES,
    ),
    "mem": _input("MemStats"),
    "net": _input("NetIOStats"),
    "net_response": _input("NetResponse", 'protocol = "tcp"', 'address = "localhost:80"'),
    "nginx": _input(
        "Nginx",
        "urls = {urls}",
        'tls_ca = "/etc/telegraf/ca.pem"',
        'tls_cert = "/etc/telegraf/cert.cer"',
        'tls_key = "/etc/telegraf/key.key"',
        "insecure_skip_verify = false",
        'response_timeout = "5s"',
        urls=_NAMES,
    ),
    "processes": _input("Processes"),
    "procstat": _input("Procstat", 'pid_file = "/var/run/nginx.pid"', "# exe = {exe}", exe=STRING),
    "prometheus": _input("Prometheus", "urls = {urls}", urls=_NAMES),
    "redis": _input("Redis", "servers = {servers}", "# password = {password}", servers=_NAMES, password=STRING),
    "swap": _input("SwapStats"),
    "syslog": _input("Syslog", "server = {server}", server=STRING),
    "system": _input("SystemStats"),
    "tail": _input("Tail", "files = {files}", 'data_format = "influx"', files=_NAMES),
}


def available(kind: str) -> list[Document]:
    """The plugins of a kind (empty: of all) in the form of InfluxDB's list."""
    if kind == "bundle":
        text = "".join(_section("input", name, _INPUTS[name], {}) for name in ("cpu", "swap", "disk", "mem"))
        return [
            {
                "type": "bundle",
                "name": "System Bundle",
                "description": "Collection of system related inputs",
                "config": text,
            }
        ]
    found = [("input", _INPUTS), ("output", _OUTPUTS)]
    return [
        {"type": of, "name": name, "description": "", "config": _section(of, name, plugin, {})}
        for of, plugins in found
        if kind in ("", of)
        for name, plugin in sorted(plugins.items())
    ]

"""The configuration text for what InfluxDB's page "Create a Telegraf configuration" sends: a list of plugins, not a text.

The keys and values are those of InfluxDB's generated text; the words around them are our own.
"""

import json
from collections.abc import Callable, Iterable

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import invalid

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


def sections(plugins: Iterable[object]) -> tuple[str, list[str]]:
    """The sections of the listed plugins, and the buckets that they write to; an input without a text is left out.

    Raises:
        InfluxError: a plugin that is not an input or output, or an output without a text.
    """
    text, buckets = "", []
    for plugin in plugins:
        if not isinstance(plugin, dict):
            raise invalid("unsupported telegraf plugin type ")
        kind, name, config = plugin.get("type") or "", plugin.get("name") or "", plugin.get("config") or {}
        if kind not in ("input", "output"):
            raise invalid(f"unsupported telegraf plugin type {kind}")
        write = (_INPUTS if kind == "input" else _OUTPUTS).get(name)
        if write is None:
            if kind == "output":
                raise invalid(f"unsupported telegraf plugin {name}, type output")
            continue
        if not isinstance(config, dict):
            raise invalid("json: cannot unmarshal into the plugin's config")
        text += write(config)
        if (kind, name) == ("output", "influxdb_v2") and config.get("bucket"):
            buckets = [str(config["bucket"])]
    return text, buckets


def _quote(value: object) -> str:
    return json.dumps(str(value or ""), ensure_ascii=False)


def _list(value: object) -> str:
    items = value if isinstance(value, list) else [value] if value else []
    return "[" + ", ".join(_quote(item) for item in items) + "]"


def _influxdb_v2(config: Document) -> str:
    values = [
        ("urls", _list(config.get("urls"))),
        ("token", _quote(config.get("token"))),
        ("organization", _quote(config.get("organization"))),
        ("bucket", _quote(config.get("bucket"))),
    ]
    return "[[outputs.influxdb_v2]]\n" + "".join(f"  {name} = {value}\n" for name, value in values)


def _file_output(config: Document) -> str:
    files = config.get("files") or [{"type": "stdout"}]
    names = [
        item.get("path") or "stdout" if isinstance(item, dict) else item
        for item in (files if isinstance(files, list) else [files])
    ]
    return f"[[outputs.file]]\n  files = {_list(names)}\n"


def _plain(name: str, *lines: str) -> Callable[[Document], str]:
    text = f"[[inputs.{name}]]\n" + "".join(f"  {line}\n" for line in lines)
    return lambda config: text


def _with(name: str, **keys: str) -> Callable[[Document], str]:
    """An input whose text has keys filled from the body: `urls="urls"` is a list, a key ending in _ is one string."""

    def write(config: Document) -> str:
        lines = [
            f"  {key.rstrip('_')} = {_quote(config.get(source)) if key.endswith('_') else _list(config.get(source))}\n"
            for key, source in keys.items()
        ]
        return f"[[inputs.{name}]]\n" + "".join(lines)

    return write


_OUTPUTS: dict[str, Callable[[Document], str]] = {"influxdb_v2": _influxdb_v2, "file": _file_output}

_INPUTS: dict[str, Callable[[Document], str]] = {
    "cpu": _plain("cpu", "percpu = true", "totalcpu = true", "collect_cpu_time = false", "report_active = false"),
    "disk": _plain("disk", 'ignore_fs = ["tmpfs", "devtmpfs", "devfs", "overlay", "aufs", "squashfs"]'),
    "diskio": _plain("diskio"),
    "docker": _with("docker", endpoint_="endpoint"),
    "file": _with("file", files="files"),
    "kernel": _plain("kernel", "# no configuration"),
    "kubernetes": _with("kubernetes", url_="url"),
    "logparser": _with("logparser", files="files"),
    "mem": _plain("mem", "# no configuration"),
    "net": _plain("net"),
    "net_response": _plain("net_response", 'protocol = "tcp"', 'address = "localhost:80"'),
    "nginx": _with("nginx", urls="urls"),
    "processes": _plain("processes", "# no configuration"),
    "procstat": _with("procstat", exe_="exe"),
    "prometheus": _with("prometheus", urls="urls"),
    "redis": _with("redis", servers="servers", password_="password"),  # noqa: S106  (names of keys)
    "swap": _plain("swap", "# no configuration"),
    "syslog": _with("syslog", server_="server"),
    "system": _plain("system", "# no configuration"),
    "tail": _plain("tail", 'files = ["/var/log/syslog"]', 'data_format = "influx"'),
}


def available(kind: str) -> list[Document]:
    """The plugins of a kind (empty: of all) in the form of InfluxDB's list."""
    if kind == "bundle":
        text = "".join(_INPUTS[name]({}) for name in ("cpu", "swap", "disk", "mem"))
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
        {"type": of, "name": name, "description": "", "config": writers[name]({})}
        for of, writers in found
        if kind in ("", of)
        for name in sorted(writers)
    ]

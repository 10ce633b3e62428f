"""The services that Monit watches.

Reads `/_status?format=xml`. Names and types are those of Telegraf 1.40.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pyagent.api import (
    Accumulator,
    Field,
    FieldValue,
    Input,
    Measurement,
    ParseError,
    PyagentError,
    Secret,
    option,
)
from pyagent.api.masking import mask_url
from pyagent.kit.http import Credentials, HttpOptions, UrlClient
from pyagent.kit.numbers import parse_finite, parse_integer
from pyagent.kit.xpath_syntax import ATTRIBUTE, ELEMENT
from pyagent.kit.xpath_xml import XmlNode, read_xml

__all__ = ["Monit", "MonitOptions"]

_LARGEST = 16 << 20
_INT64 = 1 << 64


class MonitOptions(HttpOptions, frozen=True):
    address: Annotated[str, option("where Monit answers")] = ""
    username: Annotated[Secret, option("account")] = Secret("")
    password: Annotated[Secret, option("its password")] = Secret("")


_ACTIONS = ("ignore", "alert", "restart", "stop", "exec", "unmonitor", "start")
_MONITORED = {1: "monitored", 2: "initializing", 4: "waiting"}
_MODES = {0: "active", 1: "passive"}
_DUPLEX = {1: "duplex", 0: "simplex"}

_Table = dict[str, tuple[str, str, str, str]]
"""Fields: path in the service, type, unit, meaning."""


def _sizes(name: str, text: str) -> _Table:
    return {
        f"{name}_percent": (f"{name}/percent", "float", "percent", f"{text} in use"),
        f"{name}_usage": (f"{name}/usage", "float", "1", f"{text} in use: MiB of blocks, number of inodes"),
        f"{name}_total": (f"{name}/total", "float", "1", f"{text} there are"),
    }


def _traffic() -> _Table:
    table: _Table = {
        "link_state": ("link/state", "int", "1", "1: up"),
        "link_speed": ("link/speed", "int", "bit/s", "speed"),
    }
    for way in ("download", "upload"):
        for kind in ("packets", "bytes", "errors"):
            for when, text in (("now", "of late"), ("total", "in all")):
                unit = "bytes" if kind == "bytes" else "1"
                table[f"{way}_{kind}_{when}"] = (f"link/{way}/{kind}/{when}", "int", unit, f"{kind} {text}")
    return table


_MODE: _Table = {"mode": ("mode", "int", "1", "rights, its octal digits as a number")}
_COMMON: _Table = {
    "status_code": ("status", "int", "1", "0: running; else bits of what failed"),
    "pending_action_code": ("pendingaction", "int", "1", "what Monit is to do"),
    "monitoring_status_code": ("monitor", "int", "1", "whether it is watched"),
    "monitoring_mode_code": ("monitormode", "int", "1", "0: active; 1: passive"),
}
_SERVICES: dict[str, tuple[str, _Table]] = {
    "0": ("filesystem", {**_MODE, **_sizes("block", "space"), **_sizes("inode", "inodes")}),
    "1": ("directory", _MODE),
    "2": ("file", {**_MODE, "size": ("size", "int", "bytes", "size")}),
    "3": (
        "process",
        {
            "cpu_percent": ("cpu/percent", "float", "percent", "processor time"),
            "cpu_percent_total": ("cpu/percenttotal", "float", "percent", "with its children"),
            "mem_kb": ("memory/kilobyte", "int", "KiB", "memory"),
            "mem_kb_total": ("memory/kilobytetotal", "int", "KiB", "with its children"),
            "mem_percent": ("memory/percent", "float", "percent", "memory"),
            "mem_percent_total": ("memory/percenttotal", "float", "percent", "with its children"),
            "pid": ("pid", "int", "1", "its number"),
            "parent_pid": ("ppid", "int", "1", "number of its parent"),
            "threads": ("threads", "int", "1", "its threads"),
            "children": ("children", "int", "1", "its children"),
        },
    ),
    "4": (
        "remote_host",
        {
            "remote_hostname": ("port/hostname", "str", "", "host"),
            "port_number": ("port/portnumber", "int", "1", "port"),
            "request": ("port/request", "str", "", "what is asked"),
            "response_time": ("port/responsetime", "float", "s", "until it answered"),
            "protocol": ("port/protocol", "str", "", "protocol"),
            "type": ("port/type", "str", "", "TCP or UDP"),
        },
    ),
    "5": (
        "system",
        {
            "cpu_system": ("system/cpu/system", "float", "percent", "processor time in the kernel"),
            "cpu_user": ("system/cpu/user", "float", "percent", "processor time in programs"),
            "cpu_wait": ("system/cpu/wait", "float", "percent", "waiting for disks"),
            "cpu_load_avg_1m": ("system/load/avg01", "float", "1", "load of the last minute"),
            "cpu_load_avg_5m": ("system/load/avg05", "float", "1", "load of the last five"),
            "cpu_load_avg_15m": ("system/load/avg15", "float", "1", "load of the last fifteen"),
            "mem_kb": ("system/memory/kilobyte", "int", "KiB", "memory in use"),
            "mem_percent": ("system/memory/percent", "float", "percent", "memory in use"),
            "swap_kb": ("system/swap/kilobyte", "float", "KiB", "swap in use"),
            "swap_percent": ("system/swap/percent", "float", "percent", "swap in use"),
        },
    ),
    "6": ("fifo", _MODE),
    "7": (
        "program",
        {
            "program_started": ("program/started", "int", "1", "when it was started, times 10000000"),
            "program_status": ("program/status", "int", "1", "how it ended"),
        },
    ),
    "8": ("network", _traffic()),
}
_KINDS = {
    path: kind for table in (_COMMON, *(table for _, table in _SERVICES.values())) for path, kind, *_ in table.values()
}
_KINDS["link/duplex"] = "int"
_TAGS = {
    "version": "of Monit",
    "source": "the host",
    "platform_name": "its system",
    "service": "the service",
    "status": "running or failure",
    "pending_action": "what Monit is to do",
    "monitoring_status": "whether it is watched",
    "monitoring_mode": "active or passive",
}


def _measurement(name: str, table: _Table) -> Measurement:
    declared: dict[str, Any] = {
        field: Field(kind, unit, text)  # type: ignore[arg-type]  # the table's words are those of FieldType
        for field, (_, kind, unit, text) in {**_COMMON, **table}.items()
    }
    if name == "network":
        declared["link_mode"] = Field("str", "", "duplex, simplex or unknown")
    return Measurement(f"monit_{name}", f"A service of the kind {name}.", tags=_TAGS, fields=declared)


class Monit(Input[MonitOptions]):
    measurements = tuple(_measurement(name, table) for name, table in _SERVICES.values())

    def setup(self) -> None:
        options = self.options
        self._url = f"{options.address}/_status?format=xml"
        credentials = Credentials(username=options.username, password=options.password)
        self._http = UrlClient(options, [self._url], option="address", credentials=credentials, max_body=_LARGEST)

    async def gather(self, acc: Accumulator) -> None:
        answer = await self._http.request(self._url)
        try:
            found = list(_services(read_xml(answer.body)))
        except ParseError as error:
            raise PyagentError(f"cannot read {mask_url(self._url)}: {error}") from None
        for name, values, tags in found:
            acc.add(name, values, tags)

    async def stop(self) -> None:
        await self._http.close()


def _services(document: XmlNode) -> Iterator[tuple[str, dict[str, FieldValue], dict[str, str]]]:
    """Measurement, fields and tags of each service. Raises ParseError."""
    root = next(node for node in document.children if node.kind == ELEMENT)
    host = {
        "version": _text(root, "server/version"),
        "source": _text(root, "server/localhostname"),
        "platform_name": _text(root, "platform/name"),
    }
    for service in root.children:
        if service.kind != ELEMENT or service.name != "service":
            continue
        given = {path: _value(service, path, kind) for path, kind in _KINDS.items()}
        kind = next((node.text() for node in service.attributes if node.kind == ATTRIBUTE and node.name == "type"), "")
        name, table = _SERVICES.get(kind, ("", {}))
        if not name:
            continue
        values = {field: given[path] for field, (path, *_) in {**_COMMON, **table}.items()}
        if name == "program":
            # As Telegraf: modulo 2^64.
            started = int(values["program_started"]) * 10_000_000
            values["program_started"] = (started + _INT64 // 2) % _INT64 - _INT64 // 2
        if name == "network":
            values["link_mode"] = _DUPLEX.get(int(given["link/duplex"]), "unknown")
        action = int(given["pendingaction"])
        named = _ACTIONS[action - 1] if 0 < action <= len(_ACTIONS) else "unknown"
        tags = {
            "service": _text(service, "name"),
            "status": "failure" if given["status"] else "running",
            "pending_action": named if action > 0 else "none",
            "monitoring_status": _MONITORED.get(int(given["monitor"]), "not_monitored"),
            "monitoring_mode": _MODES.get(int(given["monitormode"]), "unknown"),
        }
        yield f"monit_{name}", values, host | tags


def _value(service: XmlNode, path: str, kind: str) -> Any:
    text = _text(service, path)
    if kind == "str":
        return text
    text = text.strip()
    value = (parse_integer(text) if kind == "int" else parse_finite(text)) if text else int(kind != "int") * 0.0
    if value is None:
        raise ParseError(f"{path} of service {_text(service, 'name')[:80]!r} is {text[:80]!r} and no number")
    return int(value) if kind == "int" else float(value)


def _text(node: XmlNode, path: str) -> str:
    """Of the last element there; empty where there is none."""
    nodes = [node]
    for name in path.split("/"):
        nodes = [child for each in nodes for child in each.children if child.kind == ELEMENT and child.name == name]
    return nodes[-1].text() if nodes else ""

"""The recordings of Telegraf and its own test cases, as cases of `pyagent.testing`. They are read where they lie.

Those of plugins that there are not yet are only counted.
"""

import base64
import gzip
import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from recorded_brokers import RecordedMosquitto, RecordedNats
from recorded_daemons import RecordedChrony
from recorded_dns import RecordedDnsmasq
from recorded_played import APPEND, PlayedDovecot, RecordedConnection, planted
from recorded_services import RecordedFail2ban, RecordedMonit, RecordedSupervisor, RecordedUps
from recorded_web import RecordedCertificates, RecordedExporters, RecordedPorts, RecordedWeb
from recorded_workers import RecordedWorker

from pyagent.config.registry import Registry
from pyagent.plugin_kinds import PluginKind
from pyagent.testing.cases import Case, read_environ
from pyagent.testing.servers import SERVERS, Server

SHARED = Path(__file__).resolve().parents[3] / "shared"
GOLDEN = SHARED / "golden" / "telegraf"
CORPUS = SHARED / "corpus" / "telegraf" / "plugins"

SERVERS_OF_RECORDINGS: dict[str, Callable[[], Server]] = {
    "chrony": RecordedChrony,
    "http": RecordedWeb,
    "dns_query": RecordedDnsmasq,
    "http_response": RecordedWeb,
    "net_response": RecordedPorts,
    "x509_cert": RecordedCertificates,
    "prometheus": RecordedExporters,
    "mqtt_consumer": RecordedMosquitto,
    "nats_consumer": RecordedNats,
    "procstat": RecordedWorker,
    "dovecot": PlayedDovecot,
    "fail2ban": RecordedFail2ban,
    "monit": RecordedMonit,
    "socketstat": RecordedConnection,
    "supervisor": RecordedSupervisor,
    "upsd": RecordedUps,
}
"""By the plugin that was recorded with them."""
SERVERS.update(SERVERS_OF_RECORDINGS)

_TABLE = re.compile(r"^\s*\[\[(inputs|outputs|processors|aggregators)\.(\w+)\]\]", re.MULTILINE)
_FORMAT = re.compile(r'^\s*data_format\s*=\s*"(\w+)"', re.MULTILINE)
_OF_THE_HOST = ("interrupts", "interrupts_cpu_as_tag", "kernel", "kernel_psi", "kernel_vmstat")
"""Telegraf reads these from /proc itself, whatever HOST_PROC says: their values are those of the host of the recording."""
_VARYING = {
    **dict.fromkeys(_OF_THE_HOST, ("*",)),
    "nstat": ("*", "fields:*"),
    "system": ("uptime", "uptime_format", "n_physical_cpus", "fields:*"),
    "net": ("speed",),
    "net_protocol_stats": ("speed",),
}
"""The same of single fields: uptime, users, cores and speeds are those of the host."""
_JOINED = {"labels": ("tag:device",)}
"""`DIR` is a part of a longer word there, and is not replaced."""
_STDOUT = re.compile(r'\n\[\[outputs\.file\]\]\n\s*files = \["stdout"\][^\[]*')
"""Where what a gather in the middle of a run gives was to be seen."""
_EVERY_TIME = 'precision = "1ns"'
"""Telegraf's own tests have no agent, which would round times."""


class Recorded:
    """`cases`: those that can run here. `waiting`: how many there are of each plugin that is not there yet."""

    def __init__(self) -> None:
        self.cases: list[Case] = []
        self.waiting: Counter[str] = Counter()
        for case in (*_planted(), *_host(), *_services(), *_corpus()):
            missing = _missing(case.config) or (
                f"the server of {case.server}" if case.server not in ("", *SERVERS) else None
            )
            if missing:
                self.waiting[missing] += 1
            else:
                self.cases.append(case)

    @property
    def report(self) -> str:
        """One line."""
        total = sum(self.waiting.values())
        named = ", ".join(f"{name} {count}" for name, count in sorted(self.waiting.items()))
        return f"{total} recorded cases wait for their plugins: {named}"


@cache
def recorded() -> Recorded:
    return Recorded()


def _missing(config: str) -> str | None:
    """The first plugin of a configuration that is not there."""
    wanted = [(kind, name) for kind, name in _TABLE.findall(config)]
    wanted += [("parsers", name) for name in _FORMAT.findall(config)]
    return next((f"{kind}.{name}" for kind, name in wanted if name not in _names(kind)), None)


@cache
def _names(kind: PluginKind) -> set[str]:
    return set(Registry().names(kind))


def _planted() -> Iterator[Case]:
    for path in sorted(GOLDEN.glob("planted/*.conf")):
        yield Case(
            label=f"planted/{path.stem}",
            folder=path.parent,
            config=path.read_text(),
            expected=path.with_suffix(".out").read_bytes(),
            errors=None,
            fails=False,
            environ={"HOST_PROC": str(GOLDEN / "proc")},
            varies=_VARYING.get(path.stem, ()),
        )


def _host() -> Iterator[Case]:
    for path in sorted(GOLDEN.glob("host/*/*/telegraf.conf")):
        folder = path.parent
        yield Case(
            label="/".join(folder.parts[-3:]),
            folder=folder,
            config=_agent(path.read_text()),
            expected=_bytes(folder / "expected.out"),
            errors=None,
            fails="E! " in _text(folder / "expected.err"),
            environ=read_environ(_text(folder / "env")),
            varies=(
                *_varies(folder),
                *_JOINED.get(folder.name, ()),
                *(("lines:*",) if (folder / "mode").exists() else ()),
            ),
            gathers=2 if (folder / "then").is_dir() else 1,
            setup="setup.sh" if (folder / "setup.sh").exists() else "",
            program="server.py" if (folder / "server.py").exists() else "",
            links=_lost_links(folder),
            seconds=float((_text(folder / "mode").split() or ["", "0"])[1]),
        )


def _varies(folder: Path) -> tuple[str, ...]:
    lines = [line.strip() for line in _text(folder / "varies").splitlines()]
    return tuple(line for line in lines if line and not line.startswith("#"))


def _lost_links(folder: Path) -> dict[str, str]:
    """Planted links, which the recording holds as files with their targets."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 200)
    return {
        str(path.relative_to(folder)): target
        for path in files
        if "\n" not in (target := _text(path))
        and (target.startswith("../") or path.name in _LINKS.get(folder.name, ()))
    }


_LINKS = {"links_all_kinds": ("flink",), "link": ("dangling", "l")}
"""Files of cases that were links to something beside them."""


def _services() -> Iterator[Case]:
    """Those of listeners, files and commands, and those of servers that can be started here, by their name."""
    varying = _varying_of_services()
    for path in sorted(GOLDEN.glob("services/*/*/telegraf.conf")):
        folder = path.parent
        plugin = folder.parent.name
        if folder.name == "port_in_use":
            continue  # takes another program on that port; tests/plugins has such a case
        config = _STDOUT.sub("\n", path.read_text())
        recorded = json.loads(_text(folder / "requests.json") or "[]")
        requests = [_with_body(one) for one in recorded if isinstance(one, dict) and "request" in one]
        sent = (folder / "sent.txt").exists() and "service_address" in config
        if requests or sent:
            config = re.sub(r"127\.0\.0\.1:\d+", "${LISTEN}", config)
        # Listeners, files and commands need no package, and no server; nor does a case `down`.
        how = _text(folder / "how.md")
        fake = (folder / "fakebin").is_dir()
        files = None if fake else planted(plugin, folder.name)
        if files:
            config = config.replace("/usr/sbin/", "DIR/bin/")
        needs_none = fake or files is not None
        if plugin not in SERVERS:
            needs_none |= how.startswith("Packages: none") or _is_here(plugin)
        server = "" if needs_none or folder.name == "down" else plugin
        yield Case(
            label="/".join(folder.parts[-3:]),
            folder=folder,
            config=config,
            expected=_bytes(folder / "expected.out"),
            # Where they were recorded there was no systemd, whatever runs here.
            environ={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=DIR/none"}
            | ({"PATH": "DIR/fakebin:/usr/bin:/bin"} if fake else {}),
            planted=files or {},
            program=APPEND if files and APPEND in files else "",
            errors=None,
            fails=any(
                "E! " in line and not any(text in line for text in _CLOSED)
                for line in _text(folder / "expected.err").splitlines()
            ),
            server=server,
            recorded=bool(server),
            # Not every value of a server is named there.
            varies=_varies_of_server(plugin, how, varying.get(plugin, []))
            if server and server not in _BROKERS
            else (*_varies_of(folder), *_TIMES_OF_FILES.get(plugin, ()), *_NUMBER_OF_LINES.get(folder.name, ())),
            # Files are of now; a program has ended by then, which is logged.
            seconds=_SECONDS.get(folder.name, 2.0 if plugin == "directory_monitor" else 0.0),
            requests=requests,
            messages=[_sent(folder)] if sent else [],
            published=_published(folder) if server in _BROKERS else [],
        )


_PLAYED = ("dovecot", "socketstat")
"""Not programs of packages, whose versions differ."""
_VALUES = {
    "dovecot": (),
    "fail2ban": (),
    "monit": (
        *(f"monit_filesystem.{name}" for name in ("mode", "block_percent", "block_total", "block_usage")),
        *("inode_percent", "inode_total", "inode_usage", "mem_kb", "mem_kb_total", "mem_percent", "mem_percent_total"),
        *("cpu_percent", "cpu_percent_total", "cpu_system", "cpu_user", "cpu_wait", "swap_kb", "swap_percent"),
        *("cpu_load_avg_1m", "cpu_load_avg_5m", "cpu_load_avg_15m", "pid", "parent_pid"),
        *("program_started", "port_number", "response_time"),
        "tag:version",
    ),
    "socketstat": ("segs_in", "segs_out"),
    "supervisor": ("pid", "uptime"),
    "upsd": (),
}
"""Of these servers, what varies; not every value of another one is named in the recordings."""


def _varies_of_server(plugin: str, how: str, tags: Sequence[str]) -> tuple[str, ...]:
    versions = () if plugin in _PLAYED else (_of_version(how),)
    return (*versions, *_VALUES.get(plugin, ("*",)), "lines:*", *tags)


_BROKERS = ("mqtt_consumer", "nats_consumer")


def _published(folder: Path) -> list[tuple[str, bytes]]:
    """Topics and payloads: lines of sent.txt, or in the text."""
    if "`during v=2i`" in _text(folder / "how.md"):
        return [("js.one", b"during v=2i")]
    pairs = [line.partition(b" ") for line in _bytes(folder / "sent.txt").splitlines()]
    return [(topic.decode(), payload) for topic, _, payload in pairs]


def _of_version(how: str) -> str:
    """How much of a recording holds: another version of a server has other series, and the same one may have other fields."""
    packages = re.findall(r"(\S+) (?:\d+:)?(\d[^\s,-]*)\S*", how.partition("\n")[0].removeprefix("Packages: "))
    return "fields:*" if all(_installed(name) == version for name, version in packages) else "series:*"


@cache
def _installed(package: str) -> str:
    """Its version, as its authors count; "" where Debian's packages are not known."""
    try:
        query = ["dpkg-query", "--show", "--showformat", "${source:Upstream-Version}", package]
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _is_here(plugin: str) -> bool:
    """Whether what is recorded with a program of a package, and without a server, can run."""
    return plugin == "ping" and shutil.which("ping") is not None


def _varies_of(folder: Path) -> tuple[str, ...]:
    if folder.parts[-2:] in (("ping", "exec"), ("ping", "native")):
        return ("*",)  # they measure this host
    return tuple(re.findall(r"(\w+) varies", _text(folder / "how.md")))


def _varying_of_services() -> dict[str, list[str]]:
    """The tags that vary, by plugin: a column of the recordings' README."""
    rows = (line.split("|") for line in _text(GOLDEN / "services" / "README.md").splitlines() if line.startswith("| "))
    varying = {
        row[1].strip(): [f"tag:{name}" for name in re.findall(r"`([^`]+)`", row[6].partition(";")[0])]
        for row in rows
        if len(row) > 6 and row[6].strip().startswith("tags ")
    }
    # What filled it; and a difference of two sizes, which a redis that was just begun gives as one below zero, in 64 bits.
    varying |= {"x509_cert": ["tag:serial_number"]}  # that of the authority
    return varying | {"redis": ["tag:command", "tag:err", "any:used_memory_dataset"]}


_SECONDS = {"exits_and_restarts": 2.0, "end_append_poll": 3.0}
_NUMBER_OF_LINES = {"exits_and_restarts": ("lines:*",)}
_CLOSED = ("file already closed", "use of closed network connection")
"""What Telegraf finds when it ends a program or a listener, or one has ended."""
_TIMES_OF_FILES = {
    "filecount": ["newest_file_timestamp", "oldest_file_timestamp"],
    "filestat": ["modification_time"],
    "postfix": ["age"],
}


def _sent(folder: Path) -> dict[str, str]:
    """What was sent over a socket."""
    if "compressed with gzip" in _text(folder / "how.md"):
        return {"base64": base64.b64encode(gzip.compress(_bytes(folder / "sent.txt"), mtime=0)).decode()}
    return {"file": "sent.txt"}


def _with_body(exchange: dict[str, Any]) -> dict[str, Any]:
    """What was sent; of the answer the status, as its words and headers are free."""
    request = exchange["request"]
    return {
        "request": request | {"body": request["body"].removeprefix("gzip of: ")},
        "answer": {"status": exchange["answer"]["status"]},
    }


def _corpus() -> Iterator[Case]:
    for path in sorted(CORPUS.glob("*/*/*/**/telegraf.conf")):
        folder = path.parent
        if "freebsd" in folder.parts:
            continue  # programs of another system
        plugin = Path(*folder.parts[: len(CORPUS.parts) + 2])
        if plugin.name == "temp":
            yield from _in_both_formats(folder, path.read_text())
            continue
        expected = next(
            (one for name in (".", "proc", "proc1") if (one := folder / name / "expected.out").exists()), None
        )
        if expected is None:
            continue  # one whose code decides between several outcomes
        planted = expected.parent.name if expected.parent != folder else ""
        messages = json.loads(_text(folder / "sequence.json") or "[]")
        config = _with_own_files(path.read_text(), folder, plugin)
        if messages:
            config = config.replace("127.0.0.1:0", "${LISTEN}")
        yield Case(
            label="/".join(folder.relative_to(CORPUS).parts),
            folder=folder,
            config=f"{config}\n[agent]\nomit_hostname = true\n{_EVERY_TIME}\n",
            expected=expected.read_bytes(),
            errors=None,
            fails=bool(_text(folder / "expected.err").strip()),
            environ={"HOST_PROC": f"DIR/{planted.replace('1', '0')}"} if planted else {},
            # They are those of a gather there, and Telegraf's own tests do not look at those of these parsers.
            times=False if planted or plugin.parts[-2] == "parsers" or plugin.name == "lustre2" else None,
            gathers=2 if planted == "proc1" else 1,
            then=("proc1", "proc0"),
            working_directory=plugin,
            messages=messages,
            input=_bytes(folder / "input.influx"),
        )


def _in_both_formats(folder: Path, config: str) -> Iterator[Case]:
    """Cases of a plugin whose expected metrics are there for each of its formats."""
    for version in ("v1", "v2"):
        yield Case(
            label="/".join((*folder.relative_to(CORPUS).parts, version)),
            folder=folder,
            config=f'{config}\nmetric_format = "{version}"\n[agent]\nomit_hostname = true\n',
            expected=_bytes(folder / f"expected_{version}.out"),
            errors=None,
            fails=False,
        )


def _with_own_files(config: str, folder: Path, plugin: Path) -> str:
    """Some read a file of a neighbour, which the corpus may not have, and have the same file themselves."""
    for name in re.findall(r'"(\./testcases/[^"]+)"', config):
        if not (plugin / name).exists() and (own := folder / Path(name).name).exists():
            config = config.replace(name, f"./{own.relative_to(plugin)}")
    # Those of lustre2 have the folder of the case for a root.
    return config.replace('"/host_proc/', f'"{folder}/host_proc/')


def _agent(config: str) -> str:
    return config if "[agent]" in config else f"{config}\n[agent]\nomit_hostname = true\n"


def _replaced(text: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "surrogateescape")


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""

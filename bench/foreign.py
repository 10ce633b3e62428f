"""What does it cost to run the plugins of others by an input, beside calling them, and beside munin-node?

A gather of one check or plugin through its input, and the same called directly, in turns: a check for the Datadog Agent by its
`run()`, a module for collectd by the function that it registered, a program by `subprocess.run`, in a session of its own, as
munin-node runs it as well. The check and the module read
/proc/meminfo and hand on each of its lines. Allowed are 10 % and 1 ms more. The same again for what gives METRICS values, ten
for each of many devices, which it reads in a file; there the programs do nothing but print it.

Then a round of PLUGINS plugins of Munin: the CPU time of this process and of the plugins, against that of a munin-node that a
client asks for the same plugins, and of its children. Neither is asked for `config`, which both masters and this input keep.
"""

import argparse
import asyncio
import multiprocessing
import os
import pwd
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module, util
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from _report import Row, print_report, versions
from pyagent.api import Input
from pyagent.kit.scratch import ScratchFolder
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent.testing.munin_servers import MuninNode
from pyagent.testing.servers import ServerMissing

ROUNDS, CALLS, PLUGINS, METRICS = 7, 15, 50, 500
SHARE, MORE = 1.1, 1.0
CHECK = """
from datadog_checks.base import AgentCheck

class Foreign(AgentCheck):
    def check(self, instance):
        with open("/proc/meminfo") as file:
            for line in file:
                name, _, rest = line.partition(":")
                self.gauge("memory." + name, int(rest.split()[0]), tags=["of:host"])
        self.service_check("memory.read", self.OK)
"""
MODULE = """
import collectd

def read():
    with open("/proc/meminfo") as file:
        for line in file:
            name, _, rest = line.partition(":")
            values = collectd.Values(plugin="memory", type="gauge", type_instance=name)
            values.dispatch(values=[int(rest.split()[0])])

collectd.register_read(read)
"""
MANY_CHECK = """
from datadog_checks.base import AgentCheck

class Foreign(AgentCheck):
    def check(self, instance):
        with open("FILE") as file:
            for line in file:
                device, name, value = line.split()
                self.gauge("devices." + name, int(value), tags=["device:" + device])
"""
MANY_MODULE = """
import collectd

def read():
    with open("FILE") as file:
        for line in file:
            device, name, value = line.split()
            values = collectd.Values(plugin="devices", plugin_instance=device, type="gauge", type_instance=name)
            values.dispatch(values=[int(value)])

collectd.register_read(read)
"""
NAGIOS = "/usr/lib/nagios/plugins/check_load"
MUNIN = Path("/usr/share/munin/plugins")
_LINKS = (
    "buddyinfo cpu df df_abs df_inode diskstats entropy forks fw_packets if_err_lo if_lo interrupts irqstats load memory"
    " netstat open_files open_inodes port_22 port_80 port_443 port_5432 proc_pri processes psu_root psu_nobody psu_daemon"
    " psu_postgres swap tcp threads uptime users vmstat"
)

Seconds = Callable[[], float]
"""Does it once; how long that took."""


def direct_check(file: Path) -> Callable[[], object]:
    """As the tests of Datadog's integrations run a check."""
    sys.path.insert(0, str(file.parent))
    stubs = import_module("datadog_checks.base.stubs")
    check = import_module(file.stem).Foreign("foreign", {}, [{}])

    def run() -> None:
        if problem := check.run():
            raise SystemExit(problem)
        stubs.aggregator.reset()

    return run


def direct_module(file: Path) -> Callable[[], object]:
    given: list[Any] = []
    reads: list[Callable[[], object]] = []

    class Values:
        def __init__(self, **attributes: object) -> None:
            self.__dict__.update(attributes)

        def dispatch(self, **attributes: object) -> None:
            given.append(self.__dict__ | attributes)

    collectd = ModuleType("collectd")
    collectd.Values, collectd.register_read = Values, reads.append  # type: ignore[attr-defined]
    sys.modules["collectd"] = collectd
    sys.path.insert(0, str(file.parent))
    import_module(file.stem)

    def run() -> None:
        given.clear()
        reads[0]()

    return run


def through_input(name: str, options: dict[str, Any]) -> tuple[Callable[[], object], Callable[[], object]]:
    """What gathers once, and what stops it."""
    plugin = input_of(name, options)
    acc = InputAccumulator(plugin.measurements)

    def run() -> None:
        plugin.gather(acc)
        if not acc.drain():
            raise SystemExit(f"the input {name} gave nothing")

    return run, lambda: asyncio.run(plugin.stop())


def input_of(name: str, options: dict[str, Any]) -> Any:
    module = import_module(f"pyagent_plugins.inputs.{name}")
    kinds = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Input)]
    [kind] = [one for one in kinds if one.__module__ == module.__name__]
    return make_input(kind, options)


def serve(connection: Connection, kind: str, given: Any) -> None:
    """In a process of its own: the modules that a check gets differ between the two."""
    stop: Callable[[], object] = lambda: None  # noqa: E731
    if kind == "input":
        run, stop = through_input(*given)
    else:
        run = {"check": direct_check, "module": direct_module}[kind](given)
    run()
    while connection.recv():
        begun = time.perf_counter()
        run()
        connection.send(time.perf_counter() - begun)
    stop()


@contextmanager
def process(kind: str, given: Any) -> Iterator[Seconds]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=serve, args=(theirs, kind, given))
    worker.start()
    theirs.close()

    def seconds() -> float:
        ours.send(True)
        return float(ours.recv())

    try:
        yield seconds
        ours.send(False)
    finally:
        ours.close()
        worker.join()


@contextmanager
def program(words: list[str], **rights: Any) -> Iterator[Seconds]:
    def seconds() -> float:
        begun = time.perf_counter()
        subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            start_new_session=True,
            env={"PATH": os.defpath, "MUNIN_LIBDIR": str(MUNIN.parent)},
            **rights,
        )
        return time.perf_counter() - begun

    yield seconds


def compared(what: str, direct: Any, through: Any, rounds: int) -> Row:
    """Both take turns; of each round the quickest call counts, which other programs held up least."""
    ours, theirs = [], []
    with direct as call, through as gather:
        for _ in range(rounds):
            pairs = [(call(), gather()) for _ in range(CALLS)]
            theirs.append(min(one for one, _ in pairs) * 1e3)
            ours.append(min(one for _, one in pairs) * 1e3)
    itself = median(theirs)
    beside = f"itself {itself:.3g} ms: {(median(ours) / itself - 1) * 100:+.0f} %, {median(ours) - itself:+.2f} ms"
    return Row.of(what, "ms", ours, limit=round(itself * SHARE + MORE, 3), beside=beside)


def gathers(folder: Path, rounds: int, metrics: int) -> list[Row]:
    values = [(f"disk{at // 10}", f"value{at % 10}", at * 997) for at in range(metrics)]
    (folder / "values").write_text("".join(f"{device} {name} {value}\n" for device, name, value in values))
    rows: list[Row] = []
    for name, check, module, what in (
        ("memory", CHECK, MODULE, ""),
        ("many", MANY_CHECK, MANY_MODULE, f", {metrics} values"),
    ):
        files = folder / f"{name}_check.py", folder / f"{name}_module.py"
        for file, text in zip(files, (check, module), strict=True):
            file.write_text(text.replace("FILE", str(folder / "values")))
        rows += code_gathers(*files, what, rounds)
    rows += nagios_gathers(folder, values, rounds)
    if MUNIN.is_dir():
        rows += munin_gathers(folder, rounds)
    return [*rows, many_of_munin(folder, values, rounds)]


def code_gathers(check: Path, module: Path, what: str, rounds: int) -> Iterator[Row]:
    of_check = {"check": str(check)}
    of_module = {"modules": [module.stem], "module_path": [str(module.parent)]}
    for isolate, where in ((False, "in a thread"), (True, "in a process of its own")):
        if util.find_spec("datadog_checks") is not None:
            through = process("input", ("datadog_check", of_check | {"isolate": isolate}))
            yield compared(f"datadog_check, {where}{what}", process("check", check), through, rounds)
        through = process("input", ("collectd_python", of_module | {"isolate": isolate}))
        yield compared(f"collectd_python, {where}{what}", process("module", module), through, rounds)


def nagios_gathers(folder: Path, values: list[tuple[str, str, int]], rounds: int) -> Iterator[Row]:
    perfdata = " ".join(f"{device}_{name}={value}B;900000;950000;0;999999" for device, name, value in values)
    (folder / "perfdata").write_text(f"OK - all is well | {perfdata}\n")
    many = ["/bin/cat", str(folder / "perfdata")]
    for what, words in (
        ("check_load", [NAGIOS, "-w", "500,500,500", "-c", "900,900,900"]),
        (f"cat, {len(values)} values", many),
    ):
        if os.path.exists(words[0]):
            through = process("input", ("nagios", {"check": [{"name": "one", "command": words}]}))
            yield compared(f"nagios, {what}", program(words), through, rounds)


def munin_options(folder: Path, plugins: Path) -> dict[str, Any]:
    """They run as this account."""
    own = folder / "own"
    own.mkdir(exist_ok=True)
    (own / "all").write_text(f"[*]\nuser {pwd.getpwuid(os.geteuid()).pw_name}\ngroup {os.getegid()}\n")
    return {"directory": str(plugins), "state": str(folder / "state"), "configuration": str(own)}


def munin_gathers(folder: Path, rounds: int) -> Iterator[Row]:
    links = linked(folder / "one", ["load"])
    options = munin_options(folder, links)
    words = [str(links / "load")]
    yield compared("munin, load", program(words), process("input", ("munin", options)), rounds)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        direct = program(words, user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[nobody.pw_gid])
        through = process("input", ("munin", options | {"configuration": ""}))
        yield compared("munin, load, as nobody", direct, through, rounds)


def many_of_munin(folder: Path, values: list[tuple[str, str, int]], rounds: int) -> Row:
    printed = folder / "printed"
    printed.write_text("".join(f"{device}_{name}.value {value}\n" for device, name, value in values))
    plugin = folder / "many" / "devices"
    plugin.parent.mkdir()
    plugin.write_text(f'#!/bin/sh\n[ "$1" = config ] && exec echo graph_title Devices\nexec cat {printed}\n')
    plugin.chmod(0o755)
    through = process("input", ("munin", munin_options(folder, plugin.parent)))
    return compared(f"munin, cat, {len(values)} values", program([str(plugin)]), through, rounds)


def linked(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name in names:
        file = MUNIN / name
        (folder / name).symlink_to(file if file.exists() else MUNIN / f"{name.rpartition('_')[0]}_")
    return folder


def munin_rounds(folder: Path, rounds: int) -> list[Row]:
    names = _LINKS.split()
    names += [f"ps_program{number}" for number in range(PLUGINS - len(names))]
    links, configuration = linked(folder / "plugins", names), folder / "conf.d"
    configuration.mkdir()
    ours, theirs = [], []
    with MuninNode(links, configuration) as node:
        options = {"directory": str(links), "configuration": str(configuration), "state": str(node.state)}
        run, stop = through_input("munin", options)
        for _ in range(2):  # for its types, and for those that compute from what they remember
            run()
            ask(node, names)
        for _ in range(rounds):
            before = cpu_of_us()
            run()
            ours.append((cpu_of_us() - before) * 1e3)
            theirs.append(sum(cpu_of(node, names) for _ in range(2)) / 2 * 1e3)
        stop()
    itself = median(theirs)
    beside = f"munin-node {itself:.0f} ms for the same; every 60 s {median(ours) / 600:.2f} and {itself / 600:.2f} % of a core"
    return [Row.of(f"{PLUGINS} plugins of Munin, a round: CPU", "ms", ours, limit=round(itself), beside=beside)]


def cpu_of_us() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def cpu_of(node: MuninNode, names: list[str]) -> float:
    """Seconds of munin-node and of all that it started, for one round."""
    before = ticks(node.number)
    ask(node, names)
    children = Path(f"/proc/{node.number}/task/{node.number}/children")
    while children.read_text():  # what a child took is the parent's once it is gone
        time.sleep(0.01)
    return (ticks(node.number) - before) / os.sysconf("SC_CLK_TCK")


def ticks(number: int) -> int:
    return sum(map(int, Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[11:15]))


def ask(node: MuninNode, names: list[str]) -> None:
    """As a master that knows what the plugins are."""
    with socket.create_connection(("127.0.0.1", node.port)) as connection, connection.makefile("rwb") as stream:
        stream.readline()
        for command in ("cap multigraph dirtyconfig", *(f"fetch {name}" for name in names), "quit"):
            stream.write(f"{command}\n".encode())
            stream.flush()
            while command.startswith("fetch") and (line := stream.readline()) != b".\n":
                if not line or line.startswith((b"# Unknown", b"# Bad exit", b"# Timed out")):
                    raise SystemExit(f"munin-node says to {command!r}: {line!r}")
            if command.startswith("cap"):
                stream.readline()
        while stream.readline():
            pass


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds (default {ROUNDS})")
    parser.add_argument("--metrics", type=int, default=METRICS, help=f"values of one plugin (default {METRICS})")
    parser.add_argument("--json", action="store_true", help="print one JSON document as the last line")
    given = parser.parse_args()

    with ExitStack() as stack:
        scratch = ScratchFolder("pyagent-foreign.", "/tmp")  # where the accounts of plugins can go
        stack.callback(scratch.close)
        folder = scratch.path
        folder.chmod(0o755)
        rows = gathers(folder, given.rounds, given.metrics)
        try:
            rows += munin_rounds(folder, given.rounds) if MUNIN.is_dir() else []
        except ServerMissing as error:
            print(f"left out: {error}", file=sys.stderr)
    return print_report("What do the plugins of others cost?", rows, versions(), as_json=given.json)


if __name__ == "__main__":
    sys.exit(main())

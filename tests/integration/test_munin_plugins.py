"""The input munin with Debian's plugins of Munin: its values are what munin-run prints, its names those of a real munin-node."""

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_servers import running, unavailable
from waiting import wait_until

from pyagent.api import Metric, PyagentError
from pyagent.kit.scratch import ScratchFolder
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent.testing.munin_servers import MuninNode
from pyagent.testing.servers import Nginx, PostgresServer
from pyagent_plugins.inputs.munin import Munin

LIBRARY = Path("/usr/share/munin/plugins")
LINE = re.compile(r"(\w+)\.value (\S+)")
FIXED = {"MUNIN_LIBDIR": "/usr/share/munin"}
_COUNTING = (
    "cpu forks interrupts irqstats if_lo if_err_lo fw_packets swap uptime postgres_transactions_ALL postgres_bgwriter"
    " postgres_checkpoints"
)
COUNTING = _COUNTING.split()
"""Plugins whose values never go back."""
_PLUGINS = (
    "buddyinfo cpu df df_abs df_inode diskstats entropy forks fw_packets http_loadtime if_err_lo if_lo interrupts irqstats"
    " load memory multiping netstat open_files open_inodes port_22 postgres_bgwriter postgres_cache_ALL"
    " postgres_checkpoints postgres_connections_ALL postgres_connections_db postgres_locks_ALL postgres_size_ALL"
    " postgres_transactions_ALL postgres_users proc_pri processes psu_root swap tcp threads uptime users vmstat"
)
PLUGINS = _PLUGINS.split()
RECORDER = """#!/bin/sh
"$@" >{folder}/$$
status=$?
cat {folder}/$$
mv -f {folder}/$$ {folder}/"${{1##*/}}.${{2:-fetch}}"
exit $status
"""
SETTINGS = """
[*]
command {recorder} %c
timeout 300
[df*]
env.include_re ^/$
[http_loadtime]
env.target {url}
[multiping]
env.host 127.0.0.1 localhost
[postgres_*]
env.PGHOST 127.0.0.1
env.PGPORT {port}
env.PGUSER postgres
"""
OF_ROOT = "[if_*]\nuser root\n[if_err_*]\nuser nobody\n[fw_*]\nuser root\n[open_files]\ngroup (none-such), daemon\n"

Values = dict[tuple[str, str], float]
"""By graph and field."""


@dataclass(frozen=True)
class Proof:
    node: MuninNode
    plugins: Path
    configuration: Path
    recorded: Path

    @property
    def has_diskstats(self) -> bool:
        """It computes from what it remembers of a second before, and fails until then."""
        return (self.plugins / "diskstats").exists()

    def munin_run(self, plugin: str) -> "subprocess.CompletedProcess[str]":
        command = self.node.munin_run(plugin)
        return subprocess.run(command, env=self.node.environment, capture_output=True, text=True, timeout=300)

    def printed(self) -> dict[str, Values]:
        """What munin-run prints of every plugin, by its name."""

        def one(plugin: str) -> Values:
            done = self.munin_run(plugin)
            assert done.returncode == 0, (plugin, done.stdout, done.stderr)
            return values(done.stdout)

        names = sorted(os.listdir(self.plugins))
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(names, pool.map(one, names), strict=True))


def values(text: str) -> Values:
    found: Values = {}
    graph = ""
    for line in text.splitlines():
        if line.startswith("multigraph "):
            graph = line.split()[1]
        elif (match := LINE.fullmatch(line)) and match[2] != "U":
            found[graph, match[1]] = float(match[2])
    return found


def measured(plugin: str, graph: str) -> tuple[str, dict[str, str]]:
    """What a graph is called here: the rule of the plugin's page."""
    if graph and graph != plugin:
        first, _, below = graph.partition(".")
        return f"munin_{first}", {"graph": below} if below else {}
    for base in ("if_err", "if", "port", "psu"):
        if plugin.startswith(f"{base}_"):
            return f"munin_{base}", {"instance": plugin[len(base) + 1 :]}
    if plugin.endswith("_ALL"):
        return f"munin_{plugin[:-4]}", {"instance": "ALL"}
    return f"munin_{plugin}", {}


@pytest.fixture(scope="module")
def proof(nginx: Nginx, postgresql: PostgresServer) -> Iterator[Proof]:
    if not LIBRARY.is_dir():
        unavailable("Munin's plugins are missing: apt install munin-plugins-core munin-node")
    scratch = ScratchFolder("pyagent-munin.", "/tmp")  # where the accounts of plugins can go
    try:
        folder = scratch.path
        folder.chmod(0o755)
        links, configuration, recorded = (folder / name for name in ("plugins", "conf.d", "recorded"))
        for one in (links, configuration, recorded):
            one.mkdir(mode=0o755)
        recorded.chmod(0o777)
        recorder = folder / "recorder"
        recorder.write_text(RECORDER.format(folder=recorded))
        recorder.chmod(0o755)
        url = f"http://127.0.0.1:{nginx.port}/"
        (configuration / "proof").write_text(SETTINGS.format(recorder=recorder, url=url, port=postgresql.port))
        if os.geteuid() == 0:
            (configuration / "root").write_text(OF_ROOT)
        for name in PLUGINS:
            file = LIBRARY / name
            (links / name).symlink_to(file if file.exists() else LIBRARY / f"{name.rpartition('_')[0]}_")
        left_out = [name for name in PLUGINS if not suits(links / name, url, postgresql.port)]
        for name in left_out:
            (links / name).unlink()
        assert len(PLUGINS) - len(left_out) >= 25, left_out
        for node in running(lambda: MuninNode(links, configuration)):
            yield Proof(node, links, configuration, recorded)
    finally:
        scratch.close()


def suits(plugin: Path, url: str, port: int) -> bool:
    """Whether what it needs is here: a program, a disk, a kernel's file."""
    environment = FIXED | {"target": url, "host": "127.0.0.1", "PGHOST": "127.0.0.1", "PGUSER": "postgres"}
    environment |= {"PGPORT": str(port), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    environment |= {"MUNIN_CAP_MULTIGRAPH": "1", "MUNIN_PLUGSTATE": "/tmp", "MUNIN_STATEFILE": "/dev/null"}
    done = subprocess.run([plugin], env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode == 0 and (plugin.name == "diskstats" or bool(values(done.stdout)))


def options(proof: Proof) -> dict[str, object]:
    return {
        "directory": str(proof.plugins),
        "configuration": str(proof.configuration),
        "state": str(proof.node.state),
        "at_once": 4,
    }


def gathered(subject: Munin) -> list[Metric]:
    acc = InputAccumulator()
    subject.gather(acc)
    return acc.drain()


def test_values_are_those_of_munin_run(proof: Proof) -> None:
    subject = make_input(Munin, options(proof))
    if proof.has_diskstats:
        wait_until(lambda: values(proof.munin_run("diskstats").stdout))
    before = proof.printed()
    metrics = gathered(subject)
    printed = {name: values((proof.recorded / f"{name}.fetch").read_text()) for name in before}
    after = proof.printed()
    found: dict[tuple[str, frozenset[tuple[str, str]]], dict[str, object]] = {}
    for metric in metrics:
        found[metric.name, frozenset(metric.tags.items())] = dict(metric.fields)
    expected: dict[tuple[str, frozenset[tuple[str, str]]], dict[str, float]] = {}
    # Some print nothing to the account that munin-run takes: multiping, where only root may ping.
    assert sum(map(bool, printed.values())) >= 25
    for plugin, those in printed.items():
        for (graph, field), value in those.items():
            name, tags = measured(plugin, graph)
            expected.setdefault((name, frozenset(tags.items())), {})[field] = value
    assert found == expected
    for plugin, those in printed.items():
        assert set(those) == set(before[plugin]) == set(after[plugin]), plugin
    counted = [name for name in COUNTING if name in printed]
    assert len(counted) >= 8
    for name in counted:
        for key, value in printed[name].items():
            assert before[name][key] <= value <= after[name][key], (name, key)
    assert any(printed[name] != before[name] for name in counted)
    asyncio.run(subject.stop())


def test_names_and_types_are_those_of_a_node(proof: Proof) -> None:
    of_folder, of_node = options(proof), {"servers": [proof.node.address], "timeout": "300s"}
    subjects = [make_input(Munin, given | {"exclude": ["diskstats"]}) for given in (of_folder, of_node)]
    ours, theirs = (gathered(subject) for subject in subjects)
    assert {metric.tags["node"] for metric in theirs} == {proof.node.host}
    assert shapes(theirs) == shapes(ours)
    if proof.has_diskstats:
        disks = [make_input(Munin, given | {"plugins": ["diskstats"]}) for given in (of_folder, of_node)]
        found: list[dict[str, object]] = [{}, {}]

        def have_all() -> bool:
            for number, subject in enumerate(disks):
                with suppress(PyagentError):
                    found[number] = shapes(gathered(subject))
            return all(found)

        wait_until(have_all)
        assert found[0] == found[1]
        assert any("graph" in name for name in found[0])
        subjects += disks
    for subject in subjects:
        asyncio.run(subject.stop())


def shapes(metrics: list[Metric]) -> dict[str, object]:
    return {
        f"{metric.name},{sorted((key, value) for key, value in metric.tags.items() if key != 'node')}": (
            metric.kind,
            {field: type(value) for field, value in metric.fields.items()},
        )
        for metric in metrics
    }


def test_config_is_not_asked_at_each_gather(proof: Proof) -> None:
    subject = make_input(Munin, options(proof) | {"exclude": ["postgres_*", "multiping", "http_loadtime", "diskstats"]})
    gathered(subject)
    asked = list(proof.recorded.glob("*.config"))
    assert len(asked) >= 15
    for file in asked:
        file.unlink()
    gathered(subject)
    assert list(proof.recorded.glob("*.config")) == []
    asyncio.run(subject.stop())


@pytest.mark.skipif(os.geteuid() != 0, reason="another account can only be taken by root")
def test_accounts_are_those_of_munin_run(proof: Proof) -> None:
    """Also without a program that changes the account, and with a variable that such a one must not get."""
    links, configuration = proof.node.directory / "links", proof.node.directory / "accounts"
    links.mkdir()
    configuration.mkdir()
    seen = proof.recorded / "seen"
    script = links / "who"
    words = shlex.quote(str(seen))
    script.write_text(f'#!/bin/sh\n{{ id; umask; grep Cap /proc/self/status; }} >>{words}.$$\necho "a.value 1"\n')
    script.chmod(0o755)
    run = [*MuninNode.munin_run(proof.node, "who")]
    run[run.index("--servicedir") + 1] = str(links)
    run[run.index("--sconfdir") + 1] = str(configuration)
    for text in ("", "[who]\nuser daemon\ngroup adm, mail\n", "[who]\nuser root\n", "[*]\nenv.LD_BIND_NOW 1\n"):
        (configuration / "one").write_text(text)
        results = []
        for ask in (
            lambda: subprocess.run(run, env=proof.node.environment, check=True, capture_output=True),
            lambda: gathered(
                make_input(
                    Munin,
                    options(proof)
                    | {"directory": str(links), "configuration": str(configuration), "config_interval": "1h"},
                )
            ),
        ):
            for file in proof.recorded.glob("seen.*"):
                file.unlink()
            ask()
            results.append({file.read_text() for file in proof.recorded.glob("seen.*")})
        assert results[0] == results[1], text
        assert len(results[0]) == 1

"""The input collectd_python beside a real collectd, and in a process of its own."""

import asyncio
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_servers import unavailable
from waiting import wait_until

from pyagent.api import PyagentError
from pyagent.kit import guests
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import make_input
from pyagent_plugins.inputs.collectd_python import CollectdPython

COLLECTD = Path("/usr/sbin/collectd")
MODULE = """
import collectd
settings = {}

def config(block):
    for child in block.children:
        settings.setdefault(child.key, []).append(child.values)
        for inner in child.children:
            settings.setdefault(child.values[0] + "." + inner.key, []).append(inner.values)

def read(data):
    values = collectd.Values(plugin="proof", time=1700000000.0)
    values.plugin_instance = "one"
    values.dispatch(type="gauge", values=[len(data) + 0.25], type_instance="data")
    values.dispatch(type="counter", values=[12345678901234], type_instance="big")
    values.dispatch(type="derive", values=[-77], type_instance="down")
    values.dispatch(type="if_octets", values=(11, 22))
    values.dispatch(type="load", values=["0.5", 1, True], type_instance="texts")
    for number, value in enumerate(v for key in sorted(settings) for line in settings[key] for v in line):
        kind = {str: 1, float: 2, bool: 3}[type(value)]
        number_of = len(value) if isinstance(value, str) else float(value)
        values.dispatch(type="gauge", values=[kind * 1000 + number_of], type_instance="setting%d" % number)
    values.dispatch(type="gauge", values=[len(collectd.get_dataset("load"))], type_instance="dataset")
    for bad in ([1, 2], "no list", ["no number"]):
        try:
            values.dispatch(type="gauge", values=bad, type_instance="bad")
        except Exception as error:
            name = type(error).__name__
            values.dispatch(type="gauge", values=[1], type_instance="error-" + name + str(len(str(bad))))
    try:
        collectd.Values(type="no_such_type")
    except TypeError:
        pass
    try:
        collectd.Values(values=[1], plugin="proof").dispatch()
    except RuntimeError:
        values.dispatch(type="gauge", values=[1], type_instance="no-type")

collectd.register_config(config)
collectd.register_read(read, data="abc")
"""
BLOCK = """
  <Module proof>
    Text "a \\"b\\" \\\\ c" bare
    Number 42 -7.5 0x1F
    Flag true off "true"
    <Server "s">
      Port 80
    </Server>
  </Module>
"""
PYTHON = '<Plugin python>\n  ModulePath "{folder}"\n  Import "proof"\n' + BLOCK + "</Plugin>\n"


def test_values_are_those_of_a_real_collectd(tmp_path: Path) -> None:
    if not COLLECTD.exists() or not Path("/usr/lib/collectd/python.so").exists():
        unavailable("collectd and its plugin python are missing: apt install collectd-core")
    (tmp_path / "proof.py").write_text(MODULE)
    csv, config = tmp_path / "csv", tmp_path / "collectd.conf"
    config.write_text(
        f'Hostname "proof-host"\nBaseDir "{tmp_path}"\nPIDFile "{tmp_path}/pid"\nInterval 1\n'
        'TypesDB "/usr/share/collectd/types.db"\nLoadPlugin csv\n<LoadPlugin python>\n  Globals true\n</LoadPlugin>\n'
        f'<Plugin csv>\n  DataDir "{csv}"\n</Plugin>\n' + PYTHON.format(folder=tmp_path)
    )
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([COLLECTD, "-f", "-C", config], stdout=log, stderr=log)
    try:
        wait_until(lambda: any(csv.glob("*/*/gauge-no-type-*")) or process.poll() is not None)
    finally:
        process.terminate()
        process.wait(60)
    theirs: dict[tuple[str, ...], float] = {}
    for file in csv.glob("proof-host/proof-one/*"):
        name = file.name[: -len("-2023-11-14")]
        kind, _, instance = name.partition("-")
        head, first, *_ = file.read_text().splitlines()
        for source, value in zip(head.split(",")[1:], first.split(",")[1:], strict=True):
            theirs[f"proof_{source}", kind, instance] = float(value)
    assert len(theirs) >= 20, (tmp_path / "log").read_text()
    options = {"config_file": str(config), "types_db": ["/usr/share/collectd/types.db"]}
    acc = InputAccumulator()
    make_input(CollectdPython, options).gather(acc)
    metrics = acc.drain()
    ours = {
        (one.name, one.tags["type"], one.tags.get("type_instance", "")): float(one.fields["value"]) for one in metrics
    }
    assert ours == pytest.approx(theirs)
    assert {one.tags["instance"] for one in metrics} == {"one"}
    assert {one.time for one in metrics} == {1_700_000_000_000_000_000}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Any]:
    made: list[CollectdPython] = []

    def start(code: str, **options: Any) -> CollectdPython:
        (tmp_path / "guest.py").write_text(code)
        given = {"modules": ["guest"], "module_path": [str(tmp_path)], "isolate": True, "timeout": "120s"}
        made.append(make_input(CollectdPython, given | options))
        return made[-1]

    yield start
    for one in made:
        asyncio.run(one.stop())


def test_a_module_in_a_process_of_its_own(runs: Any, caplog: pytest.LogCaptureFixture) -> None:
    one = runs("""
import collectd
def read():
    import collectd as again
    print("from a module")
    collectd.warning("from its log")
    again.Values("if_octets", [1, 2]).dispatch()
collectd.register_read(read)
""")
    acc = InputAccumulator()
    with caplog.at_level(logging.INFO):
        one.gather(acc)
    assert [(metric.name, metric.fields) for metric in acc.drain()] == [
        ("python_rx", {"value": 1.0}),
        ("python_tx", {"value": 2.0}),
    ]
    assert any("from a module" in record.getMessage() for record in caplog.records)
    assert any("from its log" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("code", "options", "problem"),
    [("os._exit(3)", {}, "3"), ("time.sleep(100000)", {"timeout": "1ms"}, "it took longer than")],
)
def test_one_that_ends_its_process_or_hangs_is_ended(
    runs: Any, code: str, options: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if options:
        monkeypatch.setattr(guests, "_START", 1.0)  # of the half a minute for its imports, all of which it would take
    one = runs(
        f"""
import collectd, os, time
def read():
    collectd.Values("gauge", [1]).dispatch()
    {code}
collectd.register_read(read)
""",
        **options,
    )
    with pytest.raises(PyagentError, match=problem):
        one.gather(InputAccumulator())

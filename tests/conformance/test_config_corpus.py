"""Configurations that others wrote: each loads, or gives the one clear error that its plugin does not exist."""

import asyncio
import logging
import re
from pathlib import Path

import pytest

from pyagent.api import ConfigError, Metric
from pyagent.config import Plan, SourceText, create_plugin, load_plan
from pyagent.config.registry import Registry
from pyagent.runtime.run_once import MetricSink, run_once
from pyagent.runtime.settings import RunSettings

SHARED = Path(__file__).resolve().parent.parent.parent.parent / "shared"
CORPUS = SHARED / "corpus"
WIZARD = sorted((CORPUS / "wizard").glob("*.conf"))
SAMPLES = sorted((CORPUS / "telegraf/samples").glob("*/*.conf"))
TESTDATA = sorted(
    path for path in (CORPUS / "telegraf/config/testdata").rglob("*") if path.suffix in (".toml", ".conf")
)

# The lines that the page "Create a Telegraf configuration" of InfluxDB puts before a plugin.
HEAD = """[agent]
  interval = "10s"
  round_interval = true
  metric_batch_size = 1000
  metric_buffer_limit = 10000
  collection_jitter = "0s"
  flush_interval = "10s"
  flush_jitter = "0s"
  precision = ""
  debug = false
  quiet = false
  logfile = ""
  hostname = ""
  omit_hostname = false
[[outputs.influxdb_v2]]
  urls = ["http://localhost:8086"]
  token = "$INFLUX_TOKEN"
  organization = "home"
  bucket = "monitoring-system"
"""
# Texts that are wrong whatever plugins there are, with the reason that must be told.
WRONG = {"jti_openconfig_telemetry": "'sensors' is already set on line"}
KINDS = ("inputs", "outputs", "processors", "aggregators")


def sections(text: str) -> list[tuple[str, str]]:
    """Kind and name of every plugin that a text has, in order."""
    return re.findall(r"^\s*\[\[?(inputs|outputs|processors|aggregators|secretstores)\.(\w+)\]", text, re.MULTILINE)


def refusal(name: str, text: str, **settings: bool) -> str:
    """The message of a text that makes no plan, "" for one that does."""
    try:
        load_plan([SourceText(name, text)], environ={}, testing=True, **settings)
    except ConfigError as error:
        return str(error)
    return ""


def check(path: Path, text: str, *, testing: bool) -> None:
    """Load a text: it must fail only for a plugin that is not there, and name it with its line."""
    registry = Registry()
    there = {kind: set(registry.names(kind)) for kind in KINDS}
    named = sections(text)
    missing = [(kind, name) for kind, name in named if name not in there.get(kind, ())]
    sources = [SourceText(path.name, text)]
    if not missing and any(kind == "inputs" for kind, _ in named):
        plan = load_plan(sources, environ={"INFLUX_TOKEN": "token"}, testing=testing)
        assert [(entry.kind, entry.name) for entry in plan.inputs] == [pair for pair in named if pair[0] == "inputs"]
        check_plugins(plan)
        return
    with pytest.raises(ConfigError) as caught:
        load_plan(sources, environ={"INFLUX_TOKEN": "token"}, testing=testing)
    message = str(caught.value)
    assert "\n" not in message
    if not missing:
        assert message.startswith("no inputs found")
        return
    assert any(
        re.match(rf"{re.escape(path.name)}:\d+: {kind}\.{name}: ", message)
        and re.search(rf"undefined but requested \w+: {name}; |{kind} are not supported yet", message)
        for kind, name in missing
    ), message


def check_plugins(plan: Plan) -> None:
    """Make all of them, as `config check` does: each is made, or says in one line what it does not have."""
    for plugin in (*plan.inputs, *plan.outputs, *plan.processors, *plan.aggregators):
        message = ""
        try:
            create_plugin(plugin, logging.getLogger("pyagent.test"))
        except ConfigError as error:
            message = str(error)
        file = plugin.location.rpartition(":")[0]
        assert not message or re.match(rf"{re.escape(file)}:\d+: {plugin.label}: ", message)
        assert "\n" not in message


@pytest.mark.skipif(not WIZARD, reason=f"the corpus is missing: {CORPUS} is not there")
@pytest.mark.parametrize("path", WIZARD, ids=lambda path: path.stem)
def test_a_configuration_of_the_wizard(path: Path) -> None:
    if path.stem in WRONG:
        with pytest.raises(ConfigError, match=rf"^{path.name}:\d+: cannot read the TOML: {WRONG[path.stem]}"):
            load_plan([SourceText(path.name, path.read_text())], environ={}, testing=True)
        return
    check(path, HEAD + path.read_text(), testing=False)


@pytest.mark.skipif(not WIZARD, reason=f"the corpus is missing: {CORPUS} is not there")
@pytest.mark.parametrize("name", ["mem", "postgresql"])
def test_the_wizards_configurations_that_must_load(name: str) -> None:
    text = HEAD + (CORPUS / "wizard" / f"{name}.conf").read_text()
    plan = load_plan([SourceText("http://localhost:8086/api/v2/telegrafs/1", text)], environ={"INFLUX_TOKEN": "token"})
    assert [entry.label for entry in (*plan.inputs, *plan.outputs)] == [f"inputs.{name}", "outputs.influxdb_v2"]
    assert plan.warnings == ()


SYSTEM = ("cpu", "disk", "diskio", "mem", "net", "processes", "swap", "system")
"""What the page calls System; of those without a text of their own it writes the table alone."""


@pytest.mark.skipif(not WIZARD, reason=f"the corpus is missing: {CORPUS} is not there")
def test_the_wizards_system_bundle_loads_and_runs_as_it_is() -> None:
    texts = (CORPUS / "wizard" / f"{name}.conf" for name in SYSTEM)
    tables = (path.read_text() if path.exists() else f"[[inputs.{path.stem}]]" for path in texts)
    text = HEAD + "\n".join(tables)
    plan = load_plan([SourceText("http://localhost:8086/api/v2/telegrafs/1", text)], environ={"INFLUX_TOKEN": "token"})
    assert [entry.label for entry in plan.inputs] == [f"inputs.{name}" for name in SYSTEM]
    assert plan.warnings == ()
    assert plan.errors == ()
    gathered: list[Metric] = []
    settings = RunSettings(test=True)
    asyncio.run(run_once(plan, settings, sink=MetricSink(gathered.extend)))
    assert {metric.name for metric in gathered} >= {
        "cpu",
        "mem",
        "processes",
        "swap",
        "system",
    }  # a host may have no disk


@pytest.mark.skipif(not SAMPLES, reason=f"the corpus is missing: {CORPUS} is not there")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_sample_configuration(path: Path) -> None:
    check(path, path.read_text(), testing=True)


@pytest.mark.skipif(not TESTDATA, reason=f"the corpus is missing: {CORPUS} is not there")
@pytest.mark.parametrize("path", TESTDATA, ids=lambda path: path.stem)
@pytest.mark.parametrize("strict_env", [True, False])
def test_a_configuration_of_telegrafs_own_tests_never_crashes(path: Path, strict_env: bool) -> None:
    message = refusal(path.name, path.read_text(), strict_env=strict_env)
    assert re.match(r"[\w.-]+:\d+: |no inputs found|$", message)
    assert "\n" not in message

"""External plugins that cannot be used: those that ran in their place go on, the others run, and all of it is told."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import Aggregator, ConfigError, Input, Output, Processor
from pyagent.api.foreign import given_up
from pyagent.config import Plan, SourceText, load_plan
from pyagent.runtime.agent import Agent
from pyagent.runtime.health import degraded
from pyagent.runtime.loading import Loader
from pyagent.runtime.settings import RunSettings
from pyagent.runtime.status import ReloadState, status

pytestmark = pytest.mark.leaves_threads(reason="its plugins hang, or are not stopped")

KINDS: dict[str, tuple[type, str]] = {
    "inputs": (Input, "def gather(self, acc): acc.add('m', {'v': 1})"),
    "outputs": (Output, "def write(self, batch): pass"),
    "processors": (Processor, "def process(self, metrics): return metrics"),
    "aggregators": (
        Aggregator,
        "def add(self, metrics): pass\n    def push(self, acc): pass\n    def reset(self): pass",
    ),
}
BROKEN = {
    "import nosuchlibrary": "cannot import {file}: the Python library 'nosuchlibrary' is missing; ",
    "x = = 1": "cannot import {file}: line 1: invalid syntax",
    "raise SystemExit(3)": "cannot import {file}: line 1: SystemExit: 3",
    "{head}\n    def setup(self): {{}}['x']": "{name}: cannot set up: KeyError: 'x' ({base}:3)",
    "{head}\n    def setup(self): raise SystemExit(3)": "{name}: cannot set up: SystemExit: 3 ({base}:3)",
}


class Folder:
    """A drop-in folder and a configuration that names what is in it, beside an input and an output of the engine's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, kind: str, name: str, text: str = "") -> None:
        base, methods = KINDS[kind]
        head = f"from pyagent.api import {base.__name__}\nclass It({base.__name__}):"
        text = text.format(head=head) if text else f"{head}\n    {methods}"
        (self.path / f"{name}.py").write_text(text)

    def plan(self, *tables: str) -> Plan:
        text = "[[inputs.mock]]\n[[outputs.discard]]\n" + "".join(f"{table}\n" for table in tables)
        return load_plan([SourceText("a.conf", text)], environ={}, plugin_directories=[self.path])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def runners(agent: Agent, kind: str) -> list[Any]:
    stages = agent.fanout.stages
    found = {"inputs": agent.inputs, "outputs": agent.outputs, "processors": stages.before}
    return [runner for runner in found.get(kind, stages.aggregators) if runner.plan.origin == "file"]


def problems(agent: Agent) -> list[dict[str, str]]:
    """Without the threads that other tests have left to themselves."""
    found = degraded(status(agent, ReloadState(), "default"))
    return [one for one in found if one["state"] != "thread-given-up"]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
async def test_the_one_that_ran_before_goes_on_and_is_replaced_when_it_is_mended(
    folder: Folder, kind: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = Agent()
    folder.write(kind, "own")
    await agent.apply(folder.plan(f"[[{kind}.own]]"))
    [working] = runners(agent, kind)
    folder.write(kind, "own", text)
    for _ in range(2):
        await agent.apply(folder.plan(f"[[{kind}.own]]"))
        assert runners(agent, kind) == [working]
        file = folder.path / "own.py"
        reason = BROKEN[text].format(file=file, base=file.name, name=f"{kind}.own")
        [problem] = problems(agent)
        assert problem["state"] == "plugin-broken"
        assert reason in problem["text"]
        assert problem["text"].endswith("; the one before it goes on")
        assert problem["text"] in caplog.messages
    folder.write(kind, "own", f"# mended\n{{head}}\n    {KINDS[kind][1].replace('{', '{{').replace('}', '}}')}")
    await agent.apply(folder.plan(f"[[{kind}.own]]"))
    [mended] = runners(agent, kind)
    assert mended is not working
    assert problems(agent) == []
    await agent.apply(folder.plan())
    assert runners(agent, kind) == []
    await agent.stop()


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
async def test_at_the_start_the_others_run(folder: Folder, kind: str, text: str) -> None:
    agent = Agent()
    folder.write(kind, "own", text)
    folder.write(kind, "other")
    await agent.apply(folder.plan(f"[[{kind}.own]]", f"[[{kind}.other]]"))
    assert [runner.plan.name for runner in runners(agent, kind)] == ["other"]
    [problem] = problems(agent)
    assert problem["text"].endswith("; it is left out")
    await agent.stop()


async def test_a_processor_that_goes_on_keeps_its_place(folder: Folder) -> None:
    agent = Agent()
    names = ("one", "two", "three")
    for name in names:
        folder.write("processors", name)
    tables = [f"[[processors.{name}]]\norder = {order}" for order, name in enumerate(names)]
    await agent.apply(folder.plan(*reversed(tables)))
    folder.write("processors", "one", "import nosuchlibrary")
    folder.write("processors", "two", "{head}\n    def setup(self): raise SystemExit(3)")
    await agent.apply(folder.plan(*reversed(tables)))
    assert [runner.plan.name for runner in runners(agent, "processors")] == list(names)
    await agent.stop()


async def test_each_table_keeps_its_own(folder: Folder) -> None:
    """Of three inputs of one plugin: one is changed, one has an alias, one is gone."""
    agent = Agent()
    folder.write("inputs", "own")
    await agent.apply(folder.plan("[[inputs.own]]", "[[inputs.own]]\nalias = 'b'", "[[inputs.own]]\nalias = 'c'"))
    first, second, _ = runners(agent, "inputs")
    folder.write("inputs", "own", "import nosuchlibrary")
    await agent.apply(folder.plan("[[inputs.own]]\ninterval = '1h'", "[[inputs.own]]\nalias = 'b'"))
    assert runners(agent, "inputs") == [first, second]
    await agent.stop()


async def test_where_nothing_is_left_a_reload_changes_nothing_and_says_why(folder: Folder) -> None:
    text = "[[inputs.own]]\n[[outputs.discard]]"
    folder.write("inputs", "own", "{head}\n    def setup(self): raise SystemExit(3)")
    plan = load_plan([SourceText("a.conf", text)], environ={}, plugin_directories=[folder.path])
    agent = Agent()
    with pytest.raises(ConfigError, match=r"no input can be started: a.conf:1: inputs.own: cannot set up: SystemExit"):
        await agent.apply(plan)
    folder.write("outputs", "own", "{head}\n    def setup(self): raise SystemExit(3)")
    text = "[[inputs.mock]]\n[[outputs.own]]"
    plan = load_plan([SourceText("a.conf", text)], environ={}, plugin_directories=[folder.path])
    with pytest.raises(ConfigError, match=r"no output can be started: a.conf:2: outputs.own: cannot set up"):
        await agent.apply(plan)


OPTIONS = """from pyagent.api import Input, Options
class Own(Options, frozen=True):
    n: int = 0
    def __post_init__(self):
        {code}
class It(Input[Own]):
    def gather(self, acc): pass
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "cannot read its options: SystemExit: 3"),
        ("{}['x']", "cannot read its options: KeyError: 'x' (own.py:5)"),
        ("__import__('time').sleep(1)", "cannot read its options: it takes more than 0.05 s"),
    ],
)
def test_options_may_do_anything(folder: Folder, code: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.config.registry.IMPORT_DEADLINE", 0.05 if "sleep" in code else 10.0)
    (folder.path / "own.py").write_text(OPTIONS.format(code=code))
    [broken] = folder.plan("[[inputs.own]]").broken
    assert broken.reason.startswith(f"a.conf:3: inputs.own: {reason}")
    deadline = time.monotonic() + 30
    while any("cannot read its options" in what for what, _ in given_up()) and time.monotonic() < deadline:
        time.sleep(0.01)


STORE = """from pyagent.api import SecretStore
class It(SecretStore):
    def get(self, key): {get}
    def setup(self): {setup}
"""


@pytest.mark.parametrize(
    ("get", "setup", "reason"),
    [
        ("raise SystemExit(3)", "pass", "cannot read the secret 'k' of the store 's': SystemExit: 3 (own.py:3)"),
        ("pass", "raise SystemExit(3)", "a.conf:3: secretstores.own: cannot set up: SystemExit: 3 (own.py:4)"),
    ],
)
def test_secret_stores_may_do_anything(folder: Folder, get: str, setup: str, reason: str) -> None:
    (folder.path / "own.py").write_text(STORE.format(get=get, setup=setup))
    output = "[[outputs.influxdb_v2]]\ntoken = '@{s:k}'\nurls = ['http://x']\nbucket = 'b'\norganization = 'o'"
    with pytest.raises(ConfigError) as caught:
        folder.plan("[[secretstores.own]]\nid = 's'", output)
    assert reason in str(caught.value)


async def test_what_nobody_foresaw_refuses_a_configuration_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("pyagent.runtime.loading.load_plan", load)
    loader = Loader(RunSettings(), logging.getLogger("test"))
    with pytest.raises(ConfigError, match="BUG: cannot load the configuration: ZeroDivisionError: on purpose"):
        await loader.plan(())

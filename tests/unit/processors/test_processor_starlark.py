"""processors.starlark and aggregators.starlark beside what their cases say: places of the script, calls that do not end, reloads."""

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, PyagentError
from pyagent.config import Plan, SourceText, load_plan
from pyagent.testing import make_aggregator, make_processor, process, run_processor, summed_up
from pyagent_plugins.aggregators import starlark as aggregator
from pyagent_plugins.processors.starlark import Starlark


def load(text: str) -> Plan:
    return load_plan([SourceText("c.conf", f"[[inputs.mem]]\n[[outputs.discard]]\n{text}")], environ={})


APPLY = "def apply(metric):\n    return metric\n"


def metric(name: str = "m", value: int = 1) -> Metric:
    return Metric(name, {"a": "b"}, {"v": value}, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of source or script must be set"),
        ({"source": APPLY, "script": "x.star"}, "both source and script are set"),
        ({"script": "/nowhere/x.star"}, "cannot read /nowhere/x.star: No such file"),
        ({"source": "x = 1"}, "apply is not defined"),
        ({"source": "def apply(metric):\n    return y"}, "source:2:12: undefined: y"),
        ({"source": APPLY, "constants": {"state": 1}}, "the name 'state' is reserved"),
    ],
)
def test_what_cannot_be_used(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_processor(Starlark, options)


def test_a_script_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.star"
    path.write_bytes(b"x = '\xff'")
    with pytest.raises(ConfigError, match="it is not UTF-8"):
        make_processor(Starlark, {"script": str(path)})


def test_a_script_in_a_file_may_have_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.star"
    path.write_text("\ufeff" + APPLY)
    assert run_processor(Starlark, [metric()], {"script": str(path)}) == [metric()]


def test_a_call_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.starlark.options.CALL", 0.05)
    source = 'def apply(metric):\n    if metric.name == "m":\n        for i in range(1 << 60):\n            pass\n    return metric\n'
    processor = make_processor(Starlark, {"source": source})
    with pytest.raises(PyagentError, match=r"it did not end within 0.05 s \(source:3\)"):
        process(processor, [metric()])
    assert process(processor, [metric("other")]) == [metric("other")]


def test_what_a_script_keeps_is_its_own() -> None:
    source = (
        'def apply(metric):\n    if "last" in state:\n        state["last"].fields["v"] = 99\n'
        '    state["last"] = metric\n    return metric\n'
    )
    processor = make_processor(Starlark, {"source": source})
    [first] = processor.process([metric()])  # type: ignore[misc]  # a list
    processor.process([metric()])
    assert first == metric()


def test_each_cause_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    source = 'def apply(metric):\n    if metric.fields["v"] > 5:\n        return metric.x\n    return metric.y\n'
    processor = make_processor(Starlark, {"source": source})
    assert process(processor, [metric(value=value) for value in (1, 9, 1, 9)]) == []
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "Metric has no .y field or method (source:4); the metric is dropped",
        "Metric has no .x field or method (source:3); the metric is dropped",
    ]


def test_it_runs_in_a_thread_of_its_own_with_a_deadline() -> None:
    text = f"[[processors.starlark]]\nsource = '''{APPLY}'''\n[[aggregators.starlark]]\nsource = 'x'\n[[processors.rename]]"
    plan = load(text)
    assert [one.isolation for one in plan.processors] == ["thread", "inline"]
    assert [one.isolation for one in plan.aggregators] == ["thread"]


def test_a_reload_sees_that_the_script_has_changed(tmp_path: Path) -> None:
    script = tmp_path / "x.star"
    script.write_text(APPLY)
    text = f'[[processors.starlark]]\nscript = "{script}"\n'
    before = load(text).processors[0].identity
    assert load(text).processors[0].identity == before
    script.write_text(APPLY + "# changed\n")
    os.utime(script, ns=(1, 1))
    assert load(text).processors[0].identity != before


ADDS = (
    'def add(metric):\n    state["n"] = state.get("n", 0) + metric.fields["v"]\n'
    "def push():\n    {push}\n"
    "def reset():\n    state.clear()\n"
)


def test_an_aggregator_goes_on_after_a_metric_that_it_fails_on(caplog: pytest.LogCaptureFixture) -> None:
    made = make_aggregator(
        aggregator.Starlark, {"source": ADDS.format(push='return Metric("sum", fields={"n": state["n"]})')}
    )
    wrong = Metric("m", {}, {"w": 1}, 7)
    [pushed] = summed_up(made, [metric(value=2), wrong, metric(value=3)])
    assert (pushed.name, pushed.fields) == ("sum", {"n": 5})
    assert 'key "v" not in Fields (source:2); the metric is not summed up' in caplog.text


@pytest.mark.parametrize(
    ("push", "message"),
    [
        ("return 5", "Invalid type returned: starlark.Int"),
        ("return [5]", "Invalid type returned in list: int"),
        ('return fail("no")', "fail: no (source:4); nothing is pushed"),
    ],
)
def test_what_push_returns_and_is_no_metric(push: str, message: str, caplog: pytest.LogCaptureFixture) -> None:
    made = make_aggregator(aggregator.Starlark, {"source": ADDS.format(push=push)})
    assert summed_up(made, [metric()]) == []
    assert message in caplog.text


@pytest.mark.parametrize("missing", ["add", "push", "reset"])
def test_an_aggregator_needs_three_functions(missing: str) -> None:
    source = ADDS.format(push="return None").replace(f"def {missing}(", "def other(")
    with pytest.raises(ConfigError, match=f"{missing} is not defined"):
        make_aggregator(aggregator.Starlark, {"source": source})

"""processors.python: a function in Python, with the rules of plugins from outside."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric
from pyagent.config import Plan, SourceText, load_plan
from pyagent.testing import make_processor, process, run_processor
from pyagent_plugins.processors.python import Python

APPLY = "def apply(metric):\n    return metric\n"


def metric(name: str = "m", **fields: Any) -> Metric:
    return Metric(name, {"a": "b"}, fields or {"v": 1}, 7)


def load(text: str, where: str = "c.conf") -> Plan:
    return load_plan([SourceText(where, f"[[inputs.mem]]\n[[outputs.discard]]\n{text}")], environ={})


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("return metric", ["m"]),
        ("return None", []),
        ("metric.name = 'n'\n    return [metric, Metric('o', {}, {'v': 1}, 1)]", ["n", "o"]),
        ("for name in 'xy':\n        yield Metric(name, metric.tags, metric.fields, metric.time)", ["x", "y"]),
        ("return ()", []),
        ("metric.fields.clear()\n    return metric", []),
    ],
)
def test_what_apply_may_return(body: str, names: list[str]) -> None:
    made = run_processor(Python, [metric()], {"source": f"def apply(metric):\n    {body}\n"})
    assert [one.name for one in made] == names


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return metric.fields['none']", "KeyError: 'none' (source:2)"),
        ("return 5", "apply returned a int, and no metric"),
        ("return [metric, 5]", "apply returned a int in place of a metric"),
        (
            "metric.fields['v'] = [1]\n    return metric",
            "the field 'v' of 'm': a field cannot hold a value of type list",
        ),
        ("metric.name = ''\n    return metric", "a metric without a name"),
        ("while True:\n        yield metric", "apply made more than 10,000 metrics of one"),
        ("raise SystemExit(3)", "SystemExit: 3 (source:2)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (source:2)"),
        ("raise GeneratorExit", "GeneratorExit (source:2)"),
        (
            "metric.fields['v'] = 2**70\n    return metric",
            "the field 'v' of 'm': the integer 1180591620717411303424 does",
        ),
        ("metric.fields['v'] = Uint(2**70)\n    return metric", "the field 'v' of 'm': the integer"),
        ("metric.fields[5] = 1\n    return metric", "the field 5 of 'm': the name of a field is text"),
        ("metric.fields = None\n    return metric", "a metric 'm' whose tags or fields are no dict"),
        ("metric.tags = None\n    return metric", "a metric 'm' whose tags or fields are no dict"),
        ("metric.tags['a'] = 5\n    return metric", "the tag 'a' of 'm': a tag is text, not a int"),
        ("metric.tags['a'] = None\n    return metric", "the tag 'a' of 'm': a tag is text, not None"),
        ("metric.time = 'x'\n    return metric", "the time 'x' of 'm': a metric's time is nanoseconds"),
        ("metric.time = 2**80\n    return metric", "of 'm': it does not fit 64 bits of nanoseconds"),
        ("metric.time = float('inf')\n    return metric", "the time inf of 'm': "),
        ("metric.kind = 'zz'\n    return metric", "the kind 'zz' of 'm': it is no MetricType"),
        ("yield metric\n    raise RuntimeError('no')", "RuntimeError: no (source:3)"),
        ("async def more(): pass\n    return more().close() or 5", "apply returned a int"),
    ],
)
def test_a_metric_that_it_fails_on_goes_on_as_it_was(body: str, message: str, caplog: pytest.LogCaptureFixture) -> None:
    source = f"def apply(metric):\n    {body}\n"
    assert run_processor(Python, [metric(), metric()], {"source": source}) == [metric(), metric()]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert message in record.getMessage()
    assert record.getMessage().endswith("it goes on as it was")


def test_others_are_processed_where_one_fails() -> None:
    source = "def apply(metric):\n    metric.fields['v'] = 1 / metric.fields['v']\n    return metric\n"
    made = run_processor(Python, [metric(v=2), metric(v=0), metric(v=4)], {"source": source})
    assert [one.fields["v"] for one in made] == [0.5, 0, 0.25]


@pytest.mark.parametrize("bad", ["fields['v'] = 2**70", "tags = None", "time = 'x'", "kind = 'zz'"])
def test_one_that_cannot_be_leaves_the_others_alone(bad: str) -> None:
    source = f"def apply(metric):\n    if metric.fields['v'] == 0:\n        metric.{bad}\n    metric.name = 'n'\n    return metric\n"
    made = run_processor(Python, [metric(v=2), metric(v=0), metric(v=4)], {"source": source})
    assert [(one.name, one.fields["v"]) for one in made] == [("n", 2), ("m", 0), ("n", 4)]


def test_what_it_does_later_changes_nothing_that_was_returned() -> None:
    source = "kept = []\n\ndef apply(metric):\n    kept.append(metric)\n    yield metric\n    kept[0].tags = None\n"
    assert run_processor(Python, [metric()], {"source": source}) == [metric()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of source or script must be set"),
        ({"source": APPLY, "script": "x.py"}, "source and script are set"),
        ({"script": "/nowhere/x.py"}, "cannot read /nowhere/x.py: No such file"),
        ({"source": "x = 1"}, r"it defines no function `apply\(metric\)`"),
        ({"source": "x = (\n\n"}, "cannot read source:1"),
        ({"source": "\n\nraise KeyError('x')"}, r"cannot run source: KeyError: 'x' \(source:3\)"),
        ({"source": "raise SystemExit"}, r"cannot run source: SystemExit \(source:1\)"),
        ({"source": "async def apply(metric):\n    return metric"}, "`apply` is `async def`"),
        ({"source": "def apply():\n    return None"}, "`apply` must take one metric"),
        ({"source": "import nothing_of_this_name"}, r"ModuleNotFoundError: .* \(source:1\)"),
    ],
)
def test_what_cannot_be_used(options: dict[str, Any], message: str) -> None:
    known = set(sys.modules)
    with pytest.raises(ConfigError, match=message):
        make_processor(Python, options)
    assert not [name for name in set(sys.modules) - known if name.startswith("pyagent_script")]


def test_constants_secrets_and_state() -> None:
    source = (
        "seen = []\n\ndef apply(metric):\n    seen.append(metric.fields['v'])\n"
        "    metric.fields['sum'] = sum(seen) * factor\n    metric.tags['key'] = key\n    return metric\n"
    )
    options = {"source": source, "constants": {"factor": 10}, "secrets": {"key": "hidden"}}
    processor = make_processor(Python, options)
    [first, second] = process(processor, [metric(v=1), metric(v=2)])
    assert (first.fields["sum"], second.fields["sum"], second.tags["key"]) == (10, 30, "hidden")
    assert "hidden" not in repr(processor.options)


def test_a_file_with_classes_of_the_standard_library(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import ClassVar\n"
        "@dataclass\nclass Kept:\n    last: ClassVar[int] = 0\n    n: int = 5\n\n"
        "def apply(metric):\n    metric.fields['n'] = Kept().n\n    return metric.nothing if metric.name == 'x' else metric\n"
    )
    [made] = run_processor(Python, [metric()], {"script": str(path)})
    assert made.fields["n"] == 5


def test_it_has_what_a_plugin_from_outside_has() -> None:
    [plan] = load(f"[[processors.python]]\nsource = '''{APPLY}'''").processors
    assert (plan.is_external, plan.isolation) == (True, "thread")


def test_a_reload_sees_that_the_file_has_changed(tmp_path: Path) -> None:
    script = tmp_path / "x.py"
    script.write_text(APPLY)
    text = f'[[processors.python]]\nscript = "{script}"\n'
    before = load(text).processors[0].identity
    assert load(text).processors[0].identity == before
    os.utime(script, ns=(1, 1))
    assert load(text).processors[0].identity != before


@pytest.mark.parametrize("option", ['source = "x"', 'script = "/x.py"'])
def test_a_text_from_a_url_may_not_bring_code(option: str) -> None:
    with pytest.raises(ConfigError, match="runs commands or code"):
        load(f"[[processors.python]]\n{option}", "https://influx.example/api/v2/telegrafs/1")

"""The input collectd_python: its module `collectd`, and the text of collectd.conf."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.config import SourceText, load_plan
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import lines, make_input
from pyagent_plugins.inputs.collectd_python import CollectdPython
from pyagent_plugins.inputs.collectd_python.configuration import SyntaxProblem, parse
from pyagent_plugins.inputs.collectd_python.guest import Modules
from pyagent_plugins.inputs.collectd_python.types import OWN, read_types

COUNTING = """
import collectd
settings = {}

def config(block):
    for child in block.children:
        settings[child.key] = child.values
        assert child.parent is block

def read(data=None):
    collectd.Values("gauge", [len(settings)], "one", settings["Name"][0], plugin="counting").dispatch(time=10.0)

collectd.register_config(config)
collectd.register_read(read)
"""


class Run:
    def __init__(self, folder: Path, code: str, name: str = "guest", **options: Any) -> None:
        (folder / f"{name}.py").write_text(code)
        self.input = make_input(CollectdPython, {"module_path": [str(folder)], "modules": [name]} | options)

    def gather(self) -> tuple[list[str], str]:
        acc = InputAccumulator()
        try:
            self.input.gather(acc)
        except PyagentError as error:
            return lines(acc.drain()), str(error)
        return lines(acc.drain()), ""


def test_inputs_with_one_module_do_not_mix(tmp_path: Path) -> None:
    before = list(sys.path), set(sys.modules)
    runs = [Run(tmp_path, COUNTING, module={"guest": {"Name": name}}) for name in ("a", "b")]
    assert [run.gather() for run in runs] == [
        ([f"counting_value,instance=one,type=gauge,type_instance={name} value=1"], "") for name in ("a", "b")
    ]
    assert (list(sys.path), {"guest", "collectd"} & set(sys.modules)) == (before[0], set())


def test_modules_of_one_input_share_collectd(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text("import collectd\ncollectd.shared = 5\n")
    code = """
import collectd
collectd.register_read(lambda: collectd.Values(type="gauge", values=(collectd.shared,)).dispatch())
"""
    run = Run(tmp_path, code, modules=["first", "guest"])
    assert run.gather() == (["python_value,type=gauge value=5"], "")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise KeyError('lost')", "KeyError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("collectd.Values('gauge', [1, 2]).dispatch()", "type gauge needs 1 values, got 2"),
        ("collectd.Values('gauge', 'x').dispatch()", "values must be list or tuple"),
        ("collectd.Values('gauge', ['x']).dispatch()", "could not convert"),
        ("collectd.Values('counter', [-1]).dispatch()", "out of the range of a counter"),
        ("collectd.Values('derive', [1 << 63]).dispatch()", "out of the range of a derive"),
        ("collectd.Values('no such', [1]).dispatch()", "Dataset no such not found"),
        ("collectd.Values('gauge', [1], time='now').dispatch()", "time must be a number"),
        ("collectd.Values(values=[1]).dispatch()", "type not set"),
        ("collectd.Notification(message='x').dispatch()", "severity must be"),
    ],
)
def test_what_fails_is_named_and_harms_no_other(tmp_path: Path, code: str, problem: str) -> None:
    text = f"""
import collectd
def bad():
    {code}
def good():
    collectd.Values("gauge", [2.5]).dispatch()
collectd.register_read(bad, name="bad")
collectd.register_read(good, name="good")
"""
    run = Run(tmp_path, text)
    for _ in range(2):
        metrics, error = run.gather()
        assert metrics == ["python_value,type=gauge value=2.5"]
        assert "'python.bad' failed" in error
        assert problem in error
        assert "\n" not in error


def test_texts_are_taken_as_by_collectd_each_time(tmp_path: Path) -> None:
    text = """
import collectd
def read():
    for plugin in ("one", b"one", "x" * 200, "", "one"):
        collectd.Values("gauge", [1], plugin=plugin, time=1.0).dispatch(host="other")
    collectd.Values("gauge", [1], plugin=[]).dispatch()
collectd.register_read(read)
"""
    run = Run(tmp_path, text)
    names = ["one", "one", "one", "python", "x" * 127]
    for _ in range(2):
        metrics, error = run.gather()
        assert metrics == [f"{name}_value,host=other,type=gauge value=1" for name in names]
        assert "plugin must be a text, and is []" in error


def test_a_module_that_cannot_be_imported_is_an_error_of_each_gather(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (\n")
    run = Run(tmp_path, COUNTING, modules=["broken", "guest"], module={"guest": {"Name": "a"}})
    for _ in range(2):
        metrics, error = run.gather()
        assert len(metrics) == 1
        assert "the module broken cannot be imported" in error


def test_callbacks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    code = """
import collectd
seen = []
def note(kind):
    return lambda *given: seen.append((kind, *given))
collectd.register_init(note("init"), data=1)
collectd.register_shutdown(lambda: collectd.error(repr(len(seen))))
collectd.register_log(note("log"))
collectd.register_notification(note("notification"))
collectd.register_write(note("write"), "data")
def read(data):
    collectd.warning("beware")
    collectd.Notification("gauge", "it is full").dispatch(severity=collectd.NOTIF_FAILURE)
    collectd.Values("gauge").dispatch(values=[1], host="other")
    collectd.Values("if_octets", [1, 2]).dispatch()
    kinds = [one[0] for one in seen]
    assert kinds == ["init", "log", "notification", "write", "write"], kinds
    assert seen[0][1] == 1 and seen[3][2] == "data" and seen[3][1].values == [1.0] and seen[2][1].message == "it is full"
    assert collectd.get_dataset("if_octets")[0][:2] == ("rx", "derive")
    collectd.unregister_read(read)
    try:
        collectd.unregister_read("none")
    except RuntimeError:
        pass
    else:
        raise AssertionError
identifier = collectd.register_read(read, 0, data="x", name="mine")
assert identifier == "python.mine"
"""
    run = Run(tmp_path, code)
    with caplog.at_level(logging.DEBUG):
        assert run.gather() == (
            [
                "python_rx,type=if_octets value=1",
                "python_tx,type=if_octets value=2",
                "python_value,host=other,type=gauge value=1",
            ],
            "",
        )
        assert run.gather() == ([], "")
        asyncio.run(run.input.stop())
    texts = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert texts == ["beware", "notification of python: it is full", "5"]


class Guest:
    """The modules without the input, with a clock of the test's."""

    def __init__(self, folder: Path, code: str, **given: Any) -> None:
        (folder / "timed.py").write_text(code)
        known = {"modules": ["timed"], "module_path": [str(folder)], "blocks": [], "types": OWN, "isolated": False}
        self.now = 0.0
        log = logging.getLogger("test")
        self.modules = Modules({"joins": False, "rates": False} | known | given, log, clock=lambda: self.now)

    def gather(self, now: float) -> list[str]:
        self.now = now
        acc = InputAccumulator()
        self.modules.gather(acc)
        return lines(acc.drain())


def test_a_read_has_its_interval(tmp_path: Path) -> None:
    code = """
import collectd
collectd.register_read(lambda: collectd.Values("gauge", [1]).dispatch(), 30)
collectd.register_read(lambda: collectd.Values("gauge", [2]).dispatch(), name="each")
"""
    guest = Guest(tmp_path, code)
    assert [len(guest.gather(now)) for now in (0.0, 10.0, 19.9, 29.8, 40.0, 60.1, 300.0, 310.0)] == [
        2, 1, 1, 2, 1, 2, 2, 1,
    ]  # fmt: skip


def test_rates_are_those_of_collectd(tmp_path: Path) -> None:
    code = """
import collectd
given = iter([(100.0, (1 << 32) - 10, 50, 30), (110.0, 10, 20, 40), (120.0, 20, 70, 60)])
def read():
    time, counter, derive, absolute = next(given)
    for type, value in (("counter", counter), ("derive", derive), ("absolute", absolute), ("gauge", 7)):
        collectd.Values(type, [value], time=time).dispatch()
collectd.register_read(read)
"""
    guest = Guest(tmp_path, code, rates=True)
    assert [guest.gather(float(now)) for now in range(3)] == [
        ["python_value,type=gauge value=7"],
        ["python_value,type=absolute value=4", "python_value,type=counter value=2", "python_value,type=gauge value=7"],
        [
            "python_value,type=absolute value=6",
            "python_value,type=counter value=1",
            "python_value,type=derive value=5",
            "python_value,type=gauge value=7",
        ],
    ]


def test_joined_values_are_fields(tmp_path: Path) -> None:
    code = """
import collectd
collectd.register_read(lambda: collectd.Values("load", [1, 2.5, float("nan")], plugin="load").dispatch())
"""
    run = Run(tmp_path, code, collectd_parse_multivalue="join")
    assert run.gather() == (["load,type=load midterm=2.5,shortterm=1"], "")


def test_the_text_of_collectd() -> None:
    found = parse("""
# Of a host.
Hostname "here"
LoadPlugin python
<Plugin python>
  ModulePath "/opt/a b"   # a folder
  Import one
  Import "two"
  <Module one>
    Numbers 1 -2.5 0x10 1e3
    Flags TRUE off "true"
    Text "a \\"b\\" \\\\ c" 192.0.2.1:80 \\
       more
    <Server "a">
      Port 80
    </Server>
  </Module>
</Plugin>
<Plugin cpu>
  ReportByCpu true
</Plugin>
""")
    assert (found.module_path, found.imports) == (["/opt/a b"], ["one", "two"])
    assert found.modules == [
        (
            "Module",
            ["one"],
            [
                ("Numbers", [1.0, -2.5, 16.0, 1000.0], []),
                ("Flags", [True, False, "true"], []),
                ("Text", ['a "b" \\ c', "192.0.2.1:80", "more"], []),
                ("Server", ["a"], [("Port", [80.0], [])]),
            ],
        )
    ]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("\n<Module a>\n  Key 1\n", 2, "has no end"),
        ("<Module a>\n</Plugin>\n", 2, "ends the block <Module> of line 1"),
        ("</Module>", 1, "none has begun"),
        ("a 1\nb \\\n 2\nKey\n", 4, "has no value"),
        ('Key "open\n', 1, "a text in quotes has no end"),
        ("Key a > b", 1, "put the value in quotes"),
        ("<Module a\n", 1, "the begin of a block"),
        ("\n\n1 2", 3, "begins with the name"),
        ("<A a>\n" * 51, 51, "more than 50 blocks"),
    ],
)
def test_a_mistake_in_the_text_has_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(SyntaxProblem, match=problem) as caught:
        parse(text)
    assert caught.value.line == line
    with pytest.raises(ConfigError, match=f"cannot read the text of collectd, line {line}: "):
        make_input(CollectdPython, {"config": text, "modules": ["a"]})


def test_a_file_of_collectd_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(COUNTING)
    file = tmp_path / "collectd.conf"
    file.write_text(f"""
<Plugin python>
  ModulePath "{tmp_path}"
  Import counting
  <Module counting>
    Name "x"
  </Module>
</Plugin>
""")
    acc = InputAccumulator()
    make_input(CollectdPython, {"config_file": str(file)}).gather(acc)
    assert lines(acc.drain()) == ["counting_value,instance=one,type=gauge,type_instance=x value=1"]


def test_types_of_a_file() -> None:
    text = "# none\nmine a:GAUGE:0:U, b:DERIVE:U:10\nbad a:NONE:0:U\nshort a\n"
    assert read_types(text) == {"mine": [("a", "gauge", 0.0, None), ("b", "derive", None, 10.0)]}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "there is no module"),
        ({"modules": ["a"], "config_file": "/no/such"}, "cannot read /no/such"),
        ({"modules": ["a"], "types_db": ["/no/such"]}, "cannot read /no/such"),
    ],
)
def test_mistakes(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_input(CollectdPython, options)


@pytest.mark.parametrize(
    "option", ['modules = ["a"]', 'module_path = ["/tmp"]', 'config = "Import a"', 'config_file = "/etc/collectd.conf"']
)
def test_a_text_from_a_url_may_not_say_what_runs(option: str) -> None:
    source = SourceText("http://server/api/v2/telegrafs/1", f"[[inputs.collectd_python]]\n{option}")
    name = option.partition(" ")[0]
    with pytest.raises(
        ConfigError, match=f"the option '{name}' runs commands or code, which a configuration from a URL"
    ):
        load_plan([source], environ={}, testing=True)

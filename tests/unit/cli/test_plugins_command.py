"""`pyagent plugins`, and the root flags that print the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done

from pyagent.cli import plugins

Run = Callable[..., Done]

SPOOL = '''"""Looks into a spool."""

from typing import Annotated

from pyagent.api import Field, Input, Measurement, Options, option

class SpoolOptions(Options, frozen=True):
    folder: Annotated[str, option("where it is", reads_path=True)]
    depth: Annotated[int, option("how deep", deprecated="folder")] = 2

class Spool(Input[SpoolOptions]):
    measurements = (Measurement("spool", "Files that wait.", {"queue": "its name"}, {"files": Field("int", "1", "their number")}, open=True),)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "spool.py").write_text(SPOOL)
    monkeypatch.setenv("PYAGENT_PLUGIN_DIRECTORY", str(tmp_path))
    return tmp_path


def test_all_are_listed_sorted(pyagent: Run, folder: Path) -> None:
    lines = pyagent("plugins").out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == sorted(names)
    assert {"inputs.mem", "outputs.influxdb_v2", "processors.override", "aggregators.minmax", "parsers.csv"} <= set(
        names
    )
    (spool,) = [line for line in lines if "spool" in line]
    assert spool.split(maxsplit=1) == ["inputs.spool", f"Looks into a spool. [{folder / 'spool.py'}]"]
    assert all(len(line.split()) > 1 for line in lines)
    assert len({line.index(line.split()[1]) for line in lines}) == 1


def test_a_line_fits_the_width_of_a_terminal(pyagent: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, source in {
        "long": '"""Looks at everything that this host has, for as long as anybody wants to know. More."""',
        "colours": "class ColoursOptions:\n  'Options.'\nclass Colours:\n  '''Looks \x1b[31mred\n  in two lines.'''",
        "broken": "class Broken(Input:",
        "nothing": "",
        "escapes": "'''Raw.'''\nx = '\\d'",
        "binary": "\0",
    }.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.setattr(plugins, "has_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    done = pyagent("plugins", "inputs")
    assert done.err == ""
    lines = {line.split()[0]: line for line in done.out.splitlines()}
    assert lines["inputs.mem"].split(maxsplit=1)[1] == "Memory of the host."
    builtin = [line for line in lines.values() if "[" not in line]
    assert len(builtin) >= 9
    assert all(len(line) <= 80 for line in builtin)
    assert not any("..." in line for line in builtin)
    assert " Looks at everythi... [" in lines["inputs.long"]
    assert r" Looks \x1b[31mred... [" in lines["inputs.colours"]
    assert " cannot be importe... [" in lines["inputs.broken"]
    assert " Raw. [" in lines["inputs.escapes"]
    monkeypatch.setenv("COLUMNS", "300")
    assert r"Looks \x1b[31mred in two lines. [" in pyagent("plugins").out
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[36minputs.mem\x1b[0m  " in pyagent("plugins").out
    assert pyagent("plugins", "show", "mem").out.startswith("\x1b[1minputs.mem\x1b[0m (from pyagent)\n")


def test_one_kind(pyagent: Run) -> None:
    names = pyagent("plugins", "outputs").out.split()
    assert "outputs.file" in names
    assert all(name.startswith("outputs.") for name in names)
    assert pyagent("--output-list").out.split() == names
    assert pyagent("--input-list").out == pyagent("plugins", "inputs").out


def test_as_json(pyagent: Run, folder: Path) -> None:
    found = json.loads(pyagent("plugins", "inputs", "--json").out)
    assert {"kind": "inputs", "name": "mem", "from": "pyagent", "text": "Memory of the host."} in found
    spool = {"kind": "inputs", "name": "spool", "from": str(folder / "spool.py"), "text": "Looks into a spool."}
    assert spool in found


def test_deprecated_options(pyagent: Run, folder: Path) -> None:
    done = pyagent("plugins", "inputs", "--deprecated")
    assert "inputs.spool/depth" in done.out
    assert "use folder" in done.out
    assert "inputs.mock/step.min" in done.out
    assert "mem" not in done.out
    assert {"option": "inputs.spool/depth", "use": "folder"} in json.loads(
        pyagent("plugins", "--deprecated", "--json").out
    )
    assert "agent/logtarget" in pyagent("--deprecation-list").out
    assert pyagent("--deprecation-list").out == pyagent("plugins", "--deprecated").out


def test_show(pyagent: Run, folder: Path) -> None:
    page = pyagent("plugins", "show", "inputs.spool").out
    for text in (
        "Looks into a spool.",
        "folder",
        "(required)",
        "where it is",
        "use folder",
        "Measurement spool",
        "tag queue",
    ):
        assert text in page
    assert pyagent("plugins", "inputs.spool").out == pyagent("plugins", "spool").out == page
    document = json.loads(pyagent("plugins", "show", "--json", "spool").out)
    assert document["options"] == [
        {"name": "folder", "type": "string", "required": True, "text": "where it is", "reads_path": True},
        {
            "name": "depth",
            "type": "integer",
            "required": False,
            "default": 2,
            "text": "how deep",
            "deprecated": "folder",
        },
    ]
    (measurement,) = document["measurements"]
    assert measurement["fields"] == {"files": {"type": "int", "unit": "1", "text": "their number", "counter": False}}
    assert (measurement["tags"], measurement["open"]) == ({"queue": "its name"}, True)
    assert "[[inputs.spool]]" in document["sample"]


def test_show_has_the_notes_and_the_sample_of_the_page(pyagent: Run, folder: Path) -> None:
    (folder / "spool.md").write_text(
        "See [the manual](https://example.org/m) and [another](x.md).\n\n```sh\nls `pwd`\n```\n\n"
        f"## Behaviour\n\n- It {'waits and ' * 20}goes on.\n\n| a | b |\n|---|---|\n| `1` | 2 |\n"
    )
    page = pyagent("plugins", "spool").out
    assert "See the manual (https://example.org/m) and another.\n\n  ls `pwd`\n" in page
    assert "\nBehaviour\n  - It waits and" in page
    assert "goes on.\n\n  a  |  b\n  1  |  2\n" in page
    assert max(map(len, page.splitlines())) <= 118
    assert page.index("Measurement spool") < page.index("Behaviour") < page.index("  [[inputs.spool]]")


def test_the_page_in_markdown(pyagent: Run, folder: Path) -> None:
    page = pyagent("plugins", "page", "inputs.spool").out
    assert page.startswith("# inputs.spool\n\nLooks into a spool.\n\n```toml\n[[inputs.spool]]\n")
    assert "| `files` | int | 1 | their number |" in page


def test_show_takes_every_plugin(pyagent: Run) -> None:
    for name in [line.split()[0] for line in pyagent("plugins").out.splitlines()]:
        done = pyagent("plugins", "show", name)
        assert (done.status, done.err) == (0, ""), name
        assert done.out.startswith(name)


def test_a_name_of_several_kinds(pyagent: Run) -> None:
    assert [document["kind"] for document in json.loads(pyagent("plugins", "show", "file", "--json").out)] == [
        "inputs",
        "outputs",
    ]


def test_usage(pyagent: Run, folder: Path) -> None:
    done = pyagent("--usage", "mem")
    assert done.status == 0
    assert "[[inputs.mem]]" in done.out
    assert "# collect_extended = false" in done.out
    spool = pyagent("-usage=inputs.spool").out
    assert '  folder = ""\n' in spool
    assert "depth" not in spool
    assert 'data_format = "csv"' in pyagent("--usage", "csv").out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--usage", "nope"), ("nope",)),
        (("--usage", "memm"), ("did you mean inputs.mem?",)),
        (("plugins", "show", "outputs.mem"), ("outputs.mem",)),
        (("plugins", "show"), ("KIND.NAME",)),
        (("plugins", "page"), ("plugins page KIND.NAME",)),
        (("plugins", "page", "memm"), ("did you mean inputs.mem?",)),
        (("plugins", "nope"), ("nope",)),
        (("plugins", "input"), ("did you mean inputs?",)),
        (("plugins", "inputs.memm"), ("did you mean inputs.mem?",)),
        (("plugins", "inputs", "mem"), ("mem",)),
        (("plugins", "--nope"), ("--nope",)),
    ],
)
def test_mistakes(pyagent: Run, words: tuple[str, ...], named: tuple[str, ...]) -> None:
    done = pyagent(*words)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("E! ")
    assert all(text in done.err for text in named)


def test_a_plugin_that_cannot_be_imported(pyagent: Run, folder: Path) -> None:
    (folder / "dream.py").write_text("from pyagent.api import Input\nimport no_such_library\nclass D(Input): pass\n")
    assert "inputs.dream" in pyagent("plugins", "inputs").out
    done = pyagent("plugins", "show", "dream")
    assert done.status == 1
    assert "no_such_library" in done.err
    listed = pyagent("plugins", "--deprecated")
    assert listed.status == 0
    assert "no_such_library" in listed.err

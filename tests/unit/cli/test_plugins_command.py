"""`pyagent plugins`, and the root flags that print the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done

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
    assert spool.split() == ["inputs.spool", str(folder / "spool.py")]


def test_one_kind(pyagent: Run) -> None:
    names = pyagent("plugins", "outputs").out.split()
    assert "outputs.file" in names
    assert all(name.startswith("outputs.") for name in names)
    assert pyagent("--output-list").out.split() == names
    assert pyagent("--input-list").out == pyagent("plugins", "inputs").out


def test_as_json(pyagent: Run, folder: Path) -> None:
    found = json.loads(pyagent("plugins", "inputs", "--json").out)
    assert {"kind": "inputs", "name": "mem", "from": "pyagent"} in found
    assert {"kind": "inputs", "name": "spool", "from": str(folder / "spool.py")} in found


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
    assert measurement["fields"] == {"files": {"type": "int", "unit": "1", "text": "their number"}}
    assert (measurement["tags"], measurement["open"]) == ({"queue": "its name"}, True)


def test_show_takes_every_plugin(pyagent: Run) -> None:
    for name in pyagent("plugins").out.split():
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
        (("plugins", "nope"), ("nope",)),
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

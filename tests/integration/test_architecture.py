"""docs/architecture.md against the code: its pictures are current, what it names is there, and a metric goes the way it shows."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

# Notes which of the files a run enters first, from the moment on at which the input gathers. The agent ends by os._exit.
FOLLOWED = """
import json, os, sys, threading

root, files, result, configuration = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3], sys.argv[4]
entered = []


def note(frame, event, argument):
    name = frame.f_code.co_filename
    if event == "call" and name.startswith(root) and (entered or frame.f_code.co_name == "gather"):
        found = next((file for file in files if name.startswith(f"{root}/{file}")), None)
        if found is not None and found not in entered:
            entered.append(found)


def end(status):
    sys.setprofile(None)
    with open(result, "w") as file:
        json.dump(entered, file)
    leave(status)


leave, os._exit = os._exit, end
threading.setprofile(note)
sys.setprofile(note)
from pyagent import cli

end(cli.main(["--once", "--config", configuration]))
"""


@pytest.fixture(scope="module")
def pictures(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", root / "scripts/pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pictures_are_current(root: Path, pictures: ModuleType) -> None:
    for name, picture in pictures.PICTURES.items():
        assert (root / "docs/images" / name).read_text() == picture(), "run: python scripts/pictures.py"


def test_a_metric_goes_the_way_that_the_picture_shows(root: Path, pictures: ModuleType, tmp_path: Path) -> None:
    configuration = tmp_path / "agent.conf"
    configuration.write_text(
        '[[inputs.mem]]\n[[processors.override]]\n  name_suffix = "_x"\n'
        f'[[outputs.file]]\n  files = ["{tmp_path}/written"]\n'
    )
    way = [file for _, _, file in pictures.WAY]
    result = tmp_path / "entered"
    command = [sys.executable, "-c", FOLLOWED, str(root), json.dumps(way), str(result), str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "written").read_text().startswith("mem_x,")
    assert json.loads(result.read_text()) == way


def test_every_room_is_in_the_table(root: Path, pictures: ModuleType) -> None:
    page = (root / "docs/architecture.md").read_text()
    rooms = {folder.name for folder in (root / "agent/pyagent").iterdir() if (folder / "__init__.py").exists()}
    assert rooms == set(re.findall(r"^\| `agent/pyagent/(\w+)`", page, re.MULTILINE))
    assert rooms == pictures.ROOMS.keys() | pictures.ASIDE.keys()


def test_what_it_names_is_there(root: Path, pictures: ModuleType) -> None:
    page = (root / "docs/architecture.md").read_text()
    named = re.findall(r"`((?:agent|plugins|tests)/[\w/.]+)`", page)
    named += [file for _, _, file in (*pictures.WAY, *pictures.BESIDE.values())]
    assert len(named) > 30
    assert not [one for one in named if not (root / one).exists()]

"""Modules of one table's folders, beside those of the same names of another's."""

import importlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from pyagent.kit.guest_modules import GuestModules

MAIN = """
import importlib, os.path
import a_helper
from a_package import inner
def later():
    import a_late
    from a_package import late_inner
    return a_late.NAME, late_inner.NAME, a_helper.NAME, inner.NAME
def asked(name):
    return importlib.import_module(name).NAME
"""


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name in ("one", "two"):
        folder = found[name] = tmp_path / name
        (folder / "a_package").mkdir(parents=True)
        (folder / "a_space").mkdir()
        (folder / "a_main.py").write_text(MAIN)
        (folder / "a_package" / "__init__.py").write_text("")
        for module in ("a_helper", "a_late", "a_package/inner", "a_package/late_inner", "a_space/within", "fractions"):
            (folder / f"{module}.py").write_text(f"from threading import Lock\nNAME = {name!r}\n")
        (folder / "a_package" / "relative.py").write_text("from . import inner\nfrom .late_inner import NAME\n")
    return found


def loaded(modules: GuestModules, name: str = "a_main") -> ModuleType:
    with modules.imports(name):
        return importlib.import_module(name)


def test_each_has_its_own(folders: dict[str, Path]) -> None:
    before, path = set(sys.modules), list(sys.path)
    tables = {name: GuestModules([str(folder)]) for name, folder in folders.items()}
    mains = {name: loaded(modules) for name, modules in tables.items()}
    for name, main in mains.items():
        for _ in range(2):
            assert main.later() == (name,) * 4
        with tables[name].finds():
            for module in ("a_helper", "a_late", "a_package.inner", "a_package.relative", "a_space.within"):
                assert main.asked(module) == name
        assert main is loaded(tables[name])
    assert sys.path == path
    assert not {name for name in set(sys.modules) - before if name.startswith("a_")}


def test_a_thread_of_its_own_finds_its_own(folders: dict[str, Path]) -> None:
    mains = {name: loaded(GuestModules([str(folder)])) for name, folder in folders.items()}
    found: dict[str, tuple[str, ...]] = {}

    def work(name: str) -> None:
        found[name] = mains[name].later()

    threads = [threading.Thread(target=work, args=(name,)) for name in mains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: (name,) * 4 for name in mains}


def test_nobody_else_finds_them(folders: dict[str, Path]) -> None:
    modules = GuestModules([str(folders["one"])])
    loaded(modules)
    with modules.finds(), pytest.raises(ModuleNotFoundError):
        exec("import a_helper", {})
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("a_helper")


def test_what_is_named_counts_more_than_what_is_imported_and_last_less(folders: dict[str, Path]) -> None:
    import fractions

    modules = GuestModules([str(folders["one"])])
    assert loaded(modules, "fractions").NAME == "one"
    assert sys.modules["fractions"] is fractions
    assert importlib.import_module("fractions") is fractions
    main = folders["two"] / "a_last.py"
    main.write_text("import fractions, a_helper\n")
    beside = loaded(GuestModules([], [str(folders["two"])]), "a_last")
    assert (beside.fractions, beside.a_helper.NAME) == (fractions, "two")


def test_a_module_of_a_shared_package_is_none_of_the_other_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("all", "one", "two"):
        (tmp_path / name / "a_shared").mkdir(parents=True)
        if name != "all":
            (tmp_path / name / "a_shared" / "part.py").write_text(f"NAME = {name!r}")
            (tmp_path / name / "a_user.py").write_text("from a_shared import part\nimport a_shared.part as again\n")
    (tmp_path / "all" / "a_shared" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "all"))
    shared = importlib.import_module("a_shared")
    for name in ("one", "two"):
        user = loaded(GuestModules([str(tmp_path / name)]), "a_user")
        assert (name, name) == (user.part.NAME, user.again.NAME)
        assert not hasattr(shared, "part")
    del sys.modules["a_shared"]


def test_an_import_that_fails_leaves_nothing(folders: dict[str, Path]) -> None:
    (folders["one"] / "a_broken.py").write_text("import a_helper\nraise ValueError('no')\n")
    modules = GuestModules([str(folders["one"])])
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            loaded(modules, "a_broken")
    assert not {"a_broken", "a_helper"} & set(sys.modules)


def test_an_import_that_does_not_end_is_told(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyagent.kit.guest_modules._LONGEST_WAIT", 0)
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with GuestModules([str(folders["one"])]).imports():
            held.set()
            free.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        with pytest.raises(Exception, match="set isolate = true there"):
            loaded(GuestModules([str(folders["two"])]))
    finally:
        free.set()
        thread.join()


def test_alone_its_folders_are_those_of_python(folders: dict[str, Path]) -> None:
    code = (
        "import sys; from pyagent.kit.guest_modules import GuestModules; modules = GuestModules(sys.argv[1:2], sys.argv[2:],"
        " alone=True)\nwith modules.imports('a_main'): import a_main\nprint(a_main.later()); print(sys.path[0], sys.path[-1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, folders.values())],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout.splitlines() == [str(("one",) * 4), f"{folders['one']} {folders['two']}"]

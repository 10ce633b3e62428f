"""Names become classes: builtin modules, drop-in files, entry points; and what is not a plugin harms no other."""

import os
import sys
import threading
from pathlib import Path

import pytest
from loading import INPUT, OUTPUT, Load

from pyagent.api import ConfigError
from pyagent.config import registry
from pyagent.config.registry import PluginBroken, Registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of builtin plugins of the test's own."""
    root = tmp_path / "site" / "own_plugins"
    for kind in ("inputs", "outputs"):
        (root / kind).mkdir(parents=True)
        (root / kind / "__init__.py").touch()
    (root / "__init__.py").touch()
    monkeypatch.syspath_prepend(root.parent)
    yield root
    for name in [name for name in sys.modules if name.startswith("own_plugins")]:
        del sys.modules[name]


def find(package: Path, kind: str, name: str, *folders: Path) -> registry.PluginRef:
    return Registry(folders, package.name).find(kind, name)  # type: ignore[arg-type]  # the tests' own names


def broken(load: Load, text: str) -> str:
    """The reason why a drop-in input `bad` cannot be used, beside one that can."""
    (load.folder / "bad.py").write_text(text)
    plan = load("[[inputs.nothing]]\n[[inputs.bad]]")
    assert [entry.name for entry in plan.inputs] == ["nothing"]
    (entry,) = plan.broken
    assert (entry.kind, entry.name, entry.location) == ("inputs", "bad", "a.conf:2")
    assert entry.reason.startswith("a.conf:2: inputs.bad: ")
    assert "\n" not in entry.reason
    return entry.reason.removeprefix("a.conf:2: inputs.bad: ").replace(str(load.folder), "")


def test_a_builtin_plugin_is_its_module(package: Path) -> None:
    (package / "inputs" / "one.py").write_text(INPUT)
    (package / "inputs" / "two.py").write_text("raise RuntimeError('not asked for')")
    found = find(package, "inputs", "one")
    assert (found.plugin.__name__, found.origin) == ("Nothing", "builtin")
    assert "own_plugins.inputs.two" not in sys.modules


def test_a_builtin_plugin_may_be_a_folder(package: Path) -> None:
    (package / "inputs" / "one").mkdir()
    (package / "inputs" / "one" / "part.py").write_text(INPUT)
    (package / "inputs" / "one" / "__init__.py").write_text("from own_plugins.inputs.one.part import Nothing")
    assert find(package, "inputs", "one").plugin.__name__ == "Nothing"


@pytest.mark.parametrize("name", ["_private", "__init__", "one.part", "../x", "", "a b", "Ünicode", "os"])
def test_names_that_are_no_plugins(package: Path, tmp_path: Path, name: str) -> None:
    (package / "inputs" / "_private.py").write_text(INPUT)
    with pytest.raises(ConfigError, match="undefined but requested input: "):
        find(package, "inputs", name, tmp_path)


def test_a_missing_library_names_what_to_install(package: Path) -> None:
    (package / "inputs" / "postgresql.py").write_text("import psycopg_that_is_missing.sql")
    with pytest.raises(ConfigError) as caught:
        find(package, "inputs", "postgresql")
    assert str(caught.value).startswith(
        "cannot load inputs.postgresql: the Python library 'psycopg_that_is_missing' is missing; "
        f"{sys.executable} -m pip install psycopg_that_is_missing"
    )


def test_the_name_of_a_library_for_pip_is_the_projects_own(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (package / "inputs" / "postgresql.py").write_text("import psycopg")
    with pytest.raises(ConfigError, match=rf"{sys.executable} -m pip install 'psycopg\[binary\]'"):
        find(package, "inputs", "postgresql")


def test_a_builtin_plugin_that_does_not_import_is_an_error(package: Path) -> None:
    (package / "inputs" / "one.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match=r"^cannot load inputs\.one: ZeroDivisionError: division by zero$"):
        find(package, "inputs", "one")


def test_a_name_that_is_taken_twice_names_both_files(package: Path, tmp_path: Path) -> None:
    (package / "inputs" / "one.py").write_text(INPUT)
    (tmp_path / "one.py").write_text(INPUT)
    with pytest.raises(ConfigError) as caught:
        find(package, "inputs", "one", tmp_path)
    assert str(package / "inputs" / "one.py") in str(caught.value)
    assert str(tmp_path / "one.py") in str(caught.value)


def test_two_folders_with_one_name(tmp_path: Path, package: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        (folder / "one.py").write_text(INPUT)
    with pytest.raises(ConfigError, match=r"a/one\.py and by .*b/one\.py"):
        find(package, "inputs", "one", *folders)


def test_an_input_may_share_its_name_with_an_output(package: Path, tmp_path: Path) -> None:
    (package / "outputs" / "one.py").write_text(OUTPUT)
    (tmp_path / "one.py").write_text(INPUT)
    assert find(package, "outputs", "one", tmp_path).origin == "builtin"
    assert find(package, "inputs", "one", tmp_path).origin == "file"


def test_a_missing_folder_is_an_empty_one(load: Load, tmp_path: Path) -> None:
    folders = [tmp_path / "nowhere", load.folder]
    assert load("[[inputs.nothing]]", plugin_directories=folders).inputs[0].origin == "file"


def test_a_plugin_of_another_platform_is_warned_about(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    text = INPUT.replace("import Input", "import About, Input").replace(
        "    def gather", '    about = About(platforms=("linux", "darwin"))\n    def gather'
    )
    (load.folder / "here.py").write_text(text)
    monkeypatch.setattr("sys.platform", "linux")
    assert load("[[inputs.here]]").warnings == ()
    monkeypatch.setattr("sys.platform", "freebsd")
    wanted = "a.conf:1: inputs.here: it is for Linux and macOS, and may not work here (freebsd)"
    assert load("[[inputs.here]]").warnings == (wanted,)


def test_a_private_base_in_the_file_is_no_second_plugin(load: Load) -> None:
    (load.folder / "based.py").write_text(
        "from pyagent.api import Input\nclass _Base(Input):\n    def gather(self, acc): pass\nclass Based(_Base): pass\n"
    )
    assert load("[[inputs.based]]").inputs[0].plugin.__name__ == "Based"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("x = 1", "/bad.py must define exactly one subclass of Input; it defines none"),
        (
            INPUT + "class More(Nothing): pass",
            "/bad.py must define exactly one subclass of Input; it defines More, Nothing",
        ),
        (INPUT.replace("Nothing", "_Nothing"), "/bad.py must define exactly one subclass of Input; it defines none"),
        (OUTPUT, "/bad.py must define exactly one subclass of Input; it defines none"),
        ("\nx = = 1", "cannot import /bad.py: line 2: invalid syntax"),
        ("\n\n1 / 0", "cannot import /bad.py: line 3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(3)", "cannot import /bad.py: line 2: SystemExit: 3"),
        ("raise KeyboardInterrupt", "cannot import /bad.py: line 1: KeyboardInterrupt"),
        (
            "import nosuchlibrary.part",
            "cannot import /bad.py: the Python library 'nosuchlibrary' is missing; " + sys.executable,
        ),
        ("from pyagent.api import Nothing", "cannot import /bad.py: cannot import name 'Nothing' from 'pyagent.api'"),
    ],
)
def test_a_broken_plugin_from_outside_harms_no_other(load: Load, text: str, wanted: str) -> None:
    assert broken(load, text).startswith(wanted)


@pytest.mark.parametrize(
    ("declared", "wanted"),
    [
        ("x: 'Unknown' = 1", "its options cannot be read: name 'Unknown' is not defined"),
        ("x: complex = 1", "its options cannot be read: an option cannot be of type <class 'complex'>"),
    ],
)
def test_options_that_make_no_sense_harm_no_other(load: Load, declared: str, wanted: str) -> None:
    text = f"from pyagent.api import Input, Options\nclass O(Options, frozen=True):\n    {declared}\nclass B(Input[O]): pass\n"
    assert broken(load, text).startswith(f"/bad.py: {wanted}")


def test_an_import_that_hangs_is_given_up(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "IMPORT_DEADLINE", 0.05)
    text = "import threading\nthreading.Event().wait(30)"
    assert broken(load, text) == "cannot import /bad.py: it takes more than 0.05 s"
    threads = threading.active_count()
    assert broken(load, text) == "cannot import /bad.py: it takes more than 0.05 s"
    assert threading.active_count() == threads  # it is not tried again until the file changes


def test_where_nothing_is_left_the_reason_is_the_error(load: Load) -> None:
    (load.folder / "bad.py").write_text("x = 1")
    assert load.refused("[[inputs.bad]]").startswith("a.conf:1: inputs.bad: ")


def test_a_file_is_imported_once_while_it_is_unchanged(load: Load) -> None:
    plans = load("[[inputs.nothing]]\n[[inputs.nothing]]").inputs
    assert plans[0].plugin is plans[1].plugin
    assert load("[[inputs.nothing]]").inputs[0].plugin is plans[0].plugin


# Entry points, of a distribution that is made here.


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "third"
    info = site / "third-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[pyagent.inputs]\nspool = third_spool\nspool_class = third_spool:Nothing\nbad = third_spool:x\n"
        "nothing = third_spool\nlost = third_lost\n"
    )
    (site / "third_spool.py").write_text(INPUT + "x = 1\n")
    monkeypatch.syspath_prepend(site)
    yield site
    sys.modules.pop("third_spool", None)


@pytest.mark.parametrize("name", ["spool", "spool_class"])
def test_entry_points(package: Path, distribution: Path, name: str) -> None:
    found = find(package, "inputs", name)
    assert (found.plugin.__name__, found.origin) == ("Nothing", "entry point")


def test_entry_points_that_are_no_plugins(package: Path, distribution: Path) -> None:
    with pytest.raises(PluginBroken, match="is neither a module nor a subclass of Input"):
        find(package, "inputs", "bad")
    with pytest.raises(PluginBroken, match=r"the entry point third_lost of third: .*'third_lost' is missing"):
        find(package, "inputs", "lost")


def test_a_distribution_that_comes_later_is_found(package: Path, distribution: Path) -> None:
    later = distribution / "fourth-1.0.dist-info"
    assert "later" not in Registry(package=package.name).names("inputs")
    later.mkdir()
    (later / "METADATA").write_text("Metadata-Version: 2.1\nName: fourth\nVersion: 1.0\n")
    (later / "entry_points.txt").write_text("[pyagent.inputs]\nlater = third_spool\n")
    changed = distribution.stat().st_mtime_ns + 1_000_000_000  # some clocks of files stand still for milliseconds
    os.utime(distribution, ns=(changed, changed))
    assert "later" in Registry(package=package.name).names("inputs")
    assert find(package, "inputs", "later").plugin.__name__ == "Nothing"


def test_an_entry_point_and_a_file_of_one_name(load: Load, distribution: Path) -> None:
    message = load.refused("[[inputs.nothing]]")
    assert "nothing.py and by the entry point third_spool of third" in message


def test_names_are_listed(package: Path, distribution: Path, load: Load) -> None:
    (package / "inputs" / "one.py").write_text(INPUT)
    names = Registry([load.folder], package.name).names("inputs")
    assert names == ["bad", "full", "lost", "nothing", "nowhere", "one", "spool", "spool_class"]

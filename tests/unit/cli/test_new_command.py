"""`pyagent new`: what it writes works as it is written, and it writes over nothing."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done

from pyagent.cli.new import KINDS
from pyagent.cli.new_cases import CASES
from pyagent.config.catalog import Catalog
from pyagent.config.declared import declared_options
from pyagent.testing.cases import Case, expected_files, find_cases

Run = Callable[..., Done]
MADE = [
    (("input",), "inputs"),
    (("input", "--async"), "inputs"),
    (("input", "--service"), "inputs"),
    (("processor", "--async"), "processors"),
    *(((kind,), kinds) for kind, kinds in KINDS.items() if kind != "input"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def make(pyagent: Run, words: tuple[str, ...], name: str) -> Done:
    return pyagent("new", words[0], name, *words[1:])


@pytest.mark.parametrize(("words", "kind"), MADE, ids=[" ".join(words) for words, _ in MADE])
def test_what_is_written_passes_as_it_is(
    pyagent: Run, here: Path, words: tuple[str, ...], kind: str, check_case: Callable[[Case], None]
) -> None:
    done = make(pyagent, words, "my_own2")
    assert (done.status, done.err) == (0, "")
    written = {line.removeprefix("written: ") for line in done.out.splitlines() if line.startswith("written: ")}
    there = {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}
    assert written == there
    assert {"plugins/my_own2.py", f"tests/plugins/{kind}/my_own2/first/telegraf.conf"} <= there
    assert not [path for path in there if "xample" in (here / path).read_text()]
    (case,) = find_cases("tests/plugins", plugin_directories=["plugins"])
    assert case.label == f"{kind}/my_own2/first"
    assert case.expected or case.exchange or expected_files(case)
    check_case(case)
    catalog = Catalog([here / "plugins"])
    (entry,) = catalog.find(f"{kind}.my_own2")
    plugin = catalog.load(entry)
    assert plugin.__name__ == "MyOwn2"
    assert list(declared_options(plugin.options_type))
    assert kind != "inputs" or plugin.measurements  # type: ignore[attr-defined]
    assert catalog.summary(entry)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("parser", "metric"), ("input", "true"), ("input", "input"), ("input", "async"), ("processor", "example")],
)
def test_every_name_works(pyagent: Run, here: Path, kind: str, name: str, check_case: Callable[[Case], None]) -> None:
    assert pyagent("new", kind, name).err == ""
    (case,) = find_cases("tests/plugins", plugin_directories=["plugins"])
    check_case(case)


def test_what_comes_next_can_be_typed_as_it_is_shown(pyagent: Run, here: Path) -> None:
    (here / "a b").mkdir()
    shown = pyagent("new", "input", "queue", "--directory", "a b").out
    assert "Next:  cd 'a b'; pytest tests\n" in shown
    assert (
        f"cd 'a b/tests/plugins/inputs/queue/first'; pyagent --config telegraf.conf --plugin-directory '{here}/a b/plugins'"
        in shown
    )
    for words in (("output",), ("input", "--service"), ("input", "--async")):
        assert "--test" not in make(pyagent, words, f"one_{len(words)}{words[-1].strip('-')}").out


def test_a_case_that_is_wrong_is_told(pyagent: Run, here: Path, check_case: Callable[[Case], None]) -> None:
    pyagent("new", "input", "queue")
    (here / "tests/plugins/inputs/queue/first/expected.out").write_text("queue,path=sample.txt lines=2i,size=14i\n")
    (case,) = find_cases("tests/plugins", plugin_directories=["plugins"])
    with pytest.raises(pytest.fail.Exception, match="lines"):
        check_case(case)


def test_the_shared_files_are_python_and_written_once(pyagent: Run, here: Path) -> None:
    pyagent("new", "input", "one")
    for name in ("conftest.py", "test_plugins.py"):
        ast.parse((here / "tests" / name).read_text())
        (here / "tests" / name).write_text("# mine\n")
    done = pyagent("new", "parser", "two")
    assert done.status == 0
    assert "tests/conftest.py is as it was; its line pytest_plugins must name" in done.out
    assert (here / "tests/conftest.py").read_text() == (here / "tests/test_plugins.py").read_text() == "# mine\n"


def test_in_the_project_it_goes_where_plugins_are(pyagent: Run, here: Path) -> None:
    (here / "plugins/pyagent_plugins/inputs").mkdir(parents=True)
    done = pyagent("new", "input", "queue")
    assert (here / "plugins/pyagent_plugins/inputs/queue.py").is_file()
    assert (here / "tests/plugins/inputs/queue/first/expected.out").is_file()
    assert not (here / "tests/conftest.py").exists()
    assert "make docs-plugins" in done.out


@pytest.mark.parametrize(
    "there", ["plugins/queue.py", "tests/plugins/inputs/queue", "tests/plugins/inputs/queue/first/telegraf.conf"]
)
def test_nothing_is_written_over(pyagent: Run, here: Path, there: str) -> None:
    (here / there).parent.mkdir(parents=True, exist_ok=True)
    (here / there).symlink_to("nowhere")
    done = pyagent("new", "input", "queue")
    assert (done.status, done.out) == (1, "")
    assert f"E! cannot write {there}" in done.err
    assert "is there already" in done.err
    assert [path for path in here.rglob("*") if not path.is_dir()] == [here / there]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("input", "mem"), "cannot make inputs.mem: there is a plugin of this name; choose another one"),
        (("input", "My-Queue"), "a name is of small letters, digits and _, a letter first; write my_queue"),
        (("input", "../queue"), "write queue"),
        (("input", "9"), "choose another one"),
        (("inputs", "queue"), "did you mean input?"),
        (("thing", "queue"), "it is one of input, output, processor, aggregator, parser, serializer"),
        (("output", "queue", "--async"), "--async is for inputs and processors, --service for inputs"),
        (("processor", "queue", "--service"), "leave it out"),
        (("input", "queue", "--async", "--service"), "leave out --async"),
        (("input", "queue", "--directory", "nowhere"), "cannot write into nowhere: there is no such folder"),
    ],
)
def test_mistakes(pyagent: Run, here: Path, words: tuple[str, ...], named: str) -> None:
    done = pyagent("new", *words)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("E! cannot ")
    assert named in done.err
    assert list(here.iterdir()) == []


def test_every_template_has_a_case(root: Path) -> None:
    templates = {path.stem for path in (root / "agent/pyagent/cli/templates").glob("[a-z]*.py")}
    assert templates == CASES.keys() == {"async_input", "async_processor", "service_input", *KINDS}

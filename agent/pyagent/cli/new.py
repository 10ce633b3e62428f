"""`pyagent new`: a plugin with its options, a case and a test, which pass as they are written."""

import argparse
import keyword
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

from pyagent.cli.arguments import CommandParser
from pyagent.cli.new_cases import CASES
from pyagent.plugin_kinds import PLUGIN_KINDS

_EPILOG = """\
  pyagent new input queue               plugins/queue.py, and a case of it below tests/plugins
  pyagent new input queue --async       one that waits for answers, such as those of a server
  pyagent new input queue --service     one that listens, and hands on what it receives
  pyagent new processor rooms --async   one that asks for what it adds
  pyagent new output archive            also processor, aggregator, parser and serializer"""
KINDS = {traits.singular: kind for kind, traits in PLUGIN_KINDS.items() if kind != "secretstores"}
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_FIXTURES = "pyagent.testing.pytest_plugin"
_CONFTEST = f"""\
\"\"\"The fixture `check_case` and the flag `--update-cases` of pyagent.\"\"\"

pytest_plugins = ["{_FIXTURES}"]
"""
_TEST = """\
\"\"\"Every folder plugins/KIND/NAME/CASE beside this file: a configuration, what the plugin reads, and what it must emit.\"\"\"

from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent.testing.cases import Case, find_cases

HERE = Path(__file__).parent


@pytest.mark.parametrize("case", find_cases(HERE / "plugins", plugin_directories=[HERE.parent / "plugins"]), ids=str)
def test_case(case: Case, check_case: Callable[[Case], None]) -> None:
    check_case(case)
"""


class NewError(Exception):
    """Why nothing was written, and what to do."""


def configure(parser: CommandParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("kind", help=", ".join(KINDS), metavar="KIND")
    parser.add_argument("name", help="its name in a configuration: [[inputs.NAME]]", metavar="NAME")
    parser.add_argument(
        "--async", action="store_true", dest="is_async", help="an input or a processor that is async def"
    )
    parser.add_argument("--service", action="store_true", help="an input that listens between the gathers")
    parser.add_argument("--directory", default=".", metavar="DIR", help="where to write (default: here)")


def run(arguments: argparse.Namespace) -> int:
    try:
        template = _template(arguments.kind, is_async=arguments.is_async, service=arguments.service)
        lines = write(template, arguments.name, Path(arguments.directory))
    except NewError as error:
        print(f"E! {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"E! cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def _template(kind: str, *, is_async: bool, service: bool) -> str:
    """Which of the templates is meant. Raises NewError."""
    from pyagent.config.options import suggest

    if kind not in KINDS:
        near = suggest(kind.removesuffix("s"), KINDS)
        hint = f"did you mean {near}?" if near else f"it is one of {', '.join(KINDS)}"
        raise NewError(f"cannot make a plugin of the kind {kind!r}: there is no such kind; {hint}")
    if (service and kind != "input") or (is_async and kind not in ("input", "processor")):
        raise NewError(
            f"cannot make a plugin of the kind {kind!r} so: --async is for inputs and processors, --service for inputs; "
            "leave it out"
        )
    if is_async and service:
        raise NewError("cannot make one input of both: what listens is asynchronous anyway; leave out --async")
    return f"async_{kind}" if is_async else "service_input" if service else kind


def write(template: str, name: str, folder: Path) -> list[str]:
    """Write the files of a new plugin below `folder`; returns what to print. Raises NewError, OSError.

    Nothing that is there is changed: where a file of the plugin is, nothing is written at all. The two files that all plugins
    of a folder share, `tests/conftest.py` and `tests/test_plugins.py`, stay as they are where they are.
    """
    kind = KINDS[template.rpartition("_")[2]]
    _check_name(kind, name)
    if not folder.is_dir():
        raise NewError(f"cannot write into {folder}: there is no such folder; make it first")
    # In the project itself plugins lie in a package, and one test runs all cases.
    package = folder / "plugins/pyagent_plugins"
    inside = package.is_dir()
    plugin = (package / kind if inside else folder / "plugins") / f"{name}.py"
    case = folder / "tests/plugins" / kind / name / "first"
    source = resources.files("pyagent.cli.templates").joinpath(f"{template}.py").read_text(encoding="utf-8")
    files = {plugin: source.replace("Example", _class_name(name, source)).replace("example", name)}
    files |= {case / path: text.replace("example", name) for path, text in CASES[template].items()}
    if there := next((path for path in (*files, case.parent) if path.exists() or path.is_symlink()), None):
        raise NewError(f"cannot write {there}: it is there already; choose another name, or remove it")
    shared = {} if inside else {folder / "tests/conftest.py": _CONFTEST, folder / "tests/test_plugins.py": _TEST}
    files |= {path: text for path, text in shared.items() if not path.exists()}
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return [*(f"written: {path}" for path in files), *_next(folder, plugin, case, files, template, inside=inside)]


def _check_name(kind: str, name: str) -> None:
    from pyagent.config.catalog import Catalog

    if not _NAME.fullmatch(name):
        hint = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        raise NewError(
            f"cannot name a plugin {name!r}: a name is of small letters, digits and _, a letter first"
            + (f"; write {hint}" if hint else "; choose another one")
        )
    if any(entry.name == name for entry in Catalog().entries(kind)):  # type: ignore[arg-type]  # one of them
        raise NewError(f"cannot make {kind}.{name}: there is a plugin of this name; choose another one")


def _class_name(name: str, source: str) -> str:
    """`MyQueue` for `my_queue`; none that the source has for something else, such as `Metric`."""
    title = "".join(word.capitalize() for word in name.split("_"))
    return f"{title}Plugin" if keyword.iskeyword(title) or re.search(rf"\b{title}\b", source) else title


def _next(
    folder: Path, plugin: Path, case: Path, written: Mapping[Path, str], template: str, *, inside: bool
) -> Iterator[str]:
    conftest = folder / "tests/conftest.py"
    if (
        not inside
        and conftest not in written
        and _FIXTURES not in conftest.read_text(encoding="utf-8", errors="replace")
    ):
        yield f'{conftest} is as it was; its line pytest_plugins must name "{_FIXTURES}"'
    yield ""
    if inside:
        yield f"Next:  pytest tests/plugins -k {plugin.stem}; make docs-plugins"
        return
    place = "" if folder == Path() else f"cd {shlex.quote(str(folder))}; "
    yield f"Next:  {place}pytest tests"
    if template not in ("input", "parser"):
        return  # a gather shows nothing of the others, or asks a server that the case brings along
    plugins = shlex.quote(str(plugin.parent.absolute()))
    yield f"       cd {shlex.quote(str(case))}; pyagent --config telegraf.conf --plugin-directory {plugins} --test"

"""Every input that has a `data_format` takes every parser: what one makes of a file, a listener makes of a request."""

import contextlib

import pytest
from format_cases import PARSERS, FormatCase, format_cases
from serving import serving

from pyagent.api import Input
from pyagent.config.catalog import Catalog
from pyagent.lineprotocol import parse
from pyagent.testing import gather, lines, make_input
from pyagent_plugins.inputs.file import File
from pyagent_plugins.inputs.http_listener_v2 import HTTPListenerV2

CASES = format_cases()


def of_one(found: list[str], name: str) -> list[str]:
    """Without the names that metrics have of their input, and without times."""
    texts = (line.removeprefix(name) if line[len(name) :][:1] in (" ", ",") else line for line in found)
    return sorted(texts)


def test_every_parser_has_a_case() -> None:
    assert {case.name for case in CASES} == set(PARSERS), "a case below tests/plugins/parsers is missing"


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_listener_takes_what_a_file_holds(case: FormatCase, tmp_path_factory: pytest.TempPathFactory) -> None:
    with contextlib.chdir(case.folder):
        path = tmp_path_factory.mktemp("data") / "data"
        path.write_bytes(case.data)
        pulled = await gather(make_input(File, {**case.options, "files": [str(path)]}))
        assert pulled
        async with serving(HTTPListenerV2, case.options) as served:
            answer = await served.post("/telegraf", case.data)
            assert (answer.status, answer.body) == (204, b"")
            pushed = parse("\n".join(served.lines()).encode("utf-8", "surrogateescape"), 0).metrics
    pulled = [metric for metric in pulled if metric.fields]
    assert of_one(lines(pushed), "http_listener_v2") == of_one(lines(pulled), "file")


@pytest.mark.parametrize("case", {case.name: case for case in CASES}.values(), ids=str)
def test_all_inputs_that_parse_have_its_options(case: FormatCase) -> None:
    """The others differ in how the data come, not in what reads them: the engine makes all of their parsers."""
    with contextlib.chdir(case.folder):
        for plugin in parsing_inputs():
            made = make_input(plugin, {**case.options, **NEEDED.get(plugin.__name__, {})})
            assert made.new_parser().parse(case.data), plugin


NEEDED: dict[str, dict[str, object]] = {
    "DirectoryMonitor": {"directory": "in", "finished_directory": "out"},
    "Exec": {"commands": ["true"]},
    "Execd": {"command": ["true"]},
}


def parsing_inputs() -> list[type[Input]]:  # type: ignore[type-arg]  # of any options
    loaded = [Catalog().load(entry) for entry in Catalog().entries("inputs")]
    return [plugin for plugin in loaded if plugin.options_type.parses]

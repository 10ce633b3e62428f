"""The pages of plugins: those in docs/plugins are the ones that the declarations and the notes make."""

import re
from pathlib import Path

import pytest

from pyagent.config.catalog import Catalog
from pyagent.config.description import Notes, describe_plugin, read_notes
from pyagent.config.page import builtin_pages, plugin_page, with_differences

REMEDY = "run `make docs-plugins` and commit what it writes"
SPOOL = '''"""Looks into a spool.

It opens no file.
"""

from typing import Annotated

from pyagent.api import Field, Input, Measurement, Options, Secret, option

class Server(Options, frozen=True):
    host: Annotated[str, option("its name")]

class SpoolOptions(Options, frozen=True):
    folder: Annotated[str, option("a | b, or *", reads_path=True)]
    key: Annotated[Secret, option("to get in")] = Secret("hidden")
    depth: Annotated[int, option("how deep", deprecated="folder")] = 2
    servers: Annotated[list[Server], option("others")] = []

class Spool(Input[SpoolOptions]):
    measurements = (
        Measurement("spool", "files that wait", {"queue": "its name"}, {"files": Field("int", "1", "their number")}, open=True),
        Measurement("plain", fields={"ok": Field("bool", "", "it works"), "n": Field("int", "", "gone by", counter=True)}),
    )
'''
NOTES = """\
By hand.

```sh
## no heading
```

## Options

`folder` is one.

## Metrics

Two of them.

## Behaviour

Good.
"""


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return builtin_pages(Catalog())


def test_there_is_a_page_for_each_plugin_and_no_other(root: Path, made: dict[str, str]) -> None:
    folder = root / "docs/plugins"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.md")}
    assert there == made.keys(), f"docs/plugins is not what the plugins are: {REMEDY}"


@pytest.mark.parametrize("path", ["index.md", *(f"{e.kind}/{e.name}.md" for e in Catalog().entries())])
def test_the_page_is_current(root: Path, made: dict[str, str], path: str) -> None:
    file = root / "docs/plugins" / path
    if path not in made:
        pytest.skip("the plugin does not come with the agent")
    assert file.read_text() == made[path], f"docs/plugins/{path} is not what the declarations say: {REMEDY}"


def test_the_same_choices_are_named_in_one_order(root: Path) -> None:
    """To Python's `typing` they are one type: the page of each would have the order of the plugin that was imported first."""
    orders: dict[frozenset[str], set[str]] = {}
    for file in sorted((root / "plugins/pyagent_plugins").rglob("*.py")):
        for choices in re.findall(r"Annotated\[\s*Literal\[([^]]*)\]", file.read_text()):
            words = [word.strip() for word in choices.split(",") if word.strip()]
            orders.setdefault(frozenset(words), set()).add(", ".join(words))
    assert len(orders) > 20
    assert [one for one in orders.values() if len(one) > 1] == []


def test_the_list_of_differences_is_current(root: Path) -> None:
    page = (root / "docs/differences.md").read_text()
    assert page == with_differences(Catalog(), page), f"docs/differences.md is not what the notes say: {REMEDY}"


def test_links_of_notes_hold_in_the_list_of_differences(root: Path) -> None:
    page = with_differences(Catalog(), (root / "docs/differences.md").read_text())
    listed = page[page.index("made by `make docs-plugins`") :]
    assert "**[parsers.avro](plugins/parsers/avro.md#differences-from-telegraf)**\n\n- " in listed
    links = [link for link in re.findall(r"\]\(([^)]+)\)", listed) if "://" not in link]
    assert "plugins/parsers/openmetrics.md" in links, "inputs.prometheus says ../parsers/openmetrics.md"
    assert not [link for link in links if not (root / "docs" / link.partition("#")[0]).is_file()]


def test_a_page_without_a_place_for_the_differences() -> None:
    with pytest.raises(ValueError, match="no place for the differences"):
        with_differences(Catalog(), "# Other")


def test_notes_lie_beside_plugins(root: Path, made: dict[str, str]) -> None:
    folder = root / "plugins/pyagent_plugins"
    notes = {str(path.relative_to(folder)) for path in folder.rglob("*.md")}
    assert notes <= made.keys(), "notes are named after the plugin, and lie beside its file or folder"


def test_every_builtin_plugin_declares_what_it_emits() -> None:
    catalog = Catalog()
    texts = [
        text
        for entry in catalog.entries("inputs")
        for measurement in describe_plugin(catalog, entry).measurements
        for text in (measurement.name, measurement.text, *measurement.tags.values())
        if entry.origin == "pyagent"
    ]
    assert all(texts)


def test_a_page_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "spool.py").write_text(SPOOL)
    (tmp_path / "spool.md").write_text(NOTES)
    catalog = Catalog([tmp_path])
    (entry,) = catalog.find("inputs.spool")
    page = plugin_page(catalog, entry)
    assert re.findall(r"^#+ .*", page, re.MULTILINE) == [
        "# inputs.spool",
        "## no heading",
        "## Options",
        "## Metrics",
        "### `spool`",
        "### `plain`",
        "## Behaviour",
    ]
    assert page.index("Looks into a spool.") < page.index("By hand.") < page.index("[[inputs.spool]]")
    assert "It opens no file." not in page
    assert r"| `folder` | string | required | a \| b, or \* (reads files) |" in page
    assert '| `key` | secret | `"***"` | to get in |' in page
    assert "| `depth` | integer | `2` | how deep (deprecated: use folder) |" in page
    assert "| `servers.host` | string | required | its name |" in page
    assert "Files that wait. Further fields and tags may appear." in page
    assert "| `queue` | its name |" in page
    assert "| `files` | int | 1 | their number |" in page
    assert (
        "| field | type | meaning |\n| --- | --- | --- |\n| `ok` | bool | it works |\n| `n` | int, counter | gone by |\n"
        in page
    ), "no unit, no column"
    assert "](" not in page, "there is nothing to link to"
    linked = plugin_page(catalog, entry, "../")
    assert "[the options of all inputs](../index.md#options-of-all-inputs)" in linked
    assert "(../../configuration.md#what-a-text-from-a-url-can-do)" in linked


def test_what_is_out_of_the_ordinary_is_said(tmp_path: Path) -> None:
    about = 'about = About(stability="beta", platforms=("linux", "darwin", "other"), since="0.2")'
    for name, line in {"told": about, "text": 'about = "mine"', "plain": ""}.items():
        source = SPOOL.replace("import Field", "import About, Field")
        (tmp_path / f"{name}.py").write_text(source.replace("    measurements", f"    {line}\n    measurements"))
    catalog = Catalog([tmp_path])
    pages = {name: plugin_page(catalog, *catalog.find(name)) for name in ("told", "text", "plain")}
    text = "Beta: options and metrics may still change. For Linux, macOS and other only. Since 0.2."
    assert f"Looks into a spool.\n\n{text}\n\nIt opens no file." in pages["told"]
    assert "Looks into a spool.\n\nIt opens no file." in pages["text"]
    assert "Looks into a spool.\n\nIt opens no file." in pages["plain"]


def test_without_notes_the_docstring_is_the_text(tmp_path: Path) -> None:
    (tmp_path / "spool.py").write_text(SPOOL)
    catalog = Catalog([tmp_path])
    assert "Looks into a spool.\n\nIt opens no file.\n" in plugin_page(catalog, *catalog.find("spool"))


def test_a_sample_by_hand_comes_first(tmp_path: Path) -> None:
    (tmp_path / "spool.py").write_text(SPOOL)
    (tmp_path / "spool.md").write_text('```toml\n[[inputs.spool]]\n  folder = "/x"\n```\n')
    catalog = Catalog([tmp_path])
    page = plugin_page(catalog, *catalog.find("spool"))
    assert page.index('folder = "/x"') < page.index("## Options") < page.index("## Sample configuration")


def test_notes_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    assert read_notes(None) == read_notes(tmp_path) == read_notes(tmp_path / "none.md") == Notes()


def test_notes_of_a_folder_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {entry.label: entry for entry in Catalog().entries("inputs", "outputs")}
    for label in ("inputs.postgresql", "outputs.influxdb_v2", "inputs.exec"):
        assert describe_plugin(Catalog(), found[label]).notes.lead, label

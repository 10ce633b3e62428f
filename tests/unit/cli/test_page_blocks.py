"""Every block of commands of the pages is tried, or says why not; and what tries them is right about what it compares."""

import re
from pathlib import Path

import pytest
from page_blocks import Block, differs, pages, session

SHELLS = ("sh", "bash", "console", "shell")


def blocks(root: Path) -> list[Block]:
    return [block for page in pages(root) for block in Block.of(page)]


def test_every_block_of_commands_is_run_or_has_a_reason(root: Path) -> None:
    commands = [block for block in blocks(root) if block.language in SHELLS]
    assert len(commands) > 30
    assert not [block.place for block in commands if block.how() is None], "see tests/integration/page_blocks.py"
    assert not [block.place for block in commands if block.language != "sh"], "commands are ```sh"


def test_a_test_that_is_named_is_there(root: Path) -> None:
    named = [(block.place, how["by"]) for block in blocks(root) if (how := block.how()) and how["by"]]
    assert named
    assert not [(place, by) for place, by in named if not (root / by).is_file()]


def test_other_blocks_say_what_they_are(root: Path) -> None:
    """A block of commands without its language, or an indented one, would be seen by no test."""
    assert not [block.place for block in blocks(root) if not block.language]
    indented = re.compile(r"(?<=\n\n) {4}(?:sudo |pyagent |systemctl |curl |make |git |pip |python3? |export )")
    outside = {page: re.sub(r"(?ms)^```.*?^```$", "", page.read_text()) for page in pages(root)}
    assert not [page.name for page, text in outside.items() if indented.search(text)]


def test_comments_that_are_no_markers_are_found(root: Path) -> None:
    """A misspelt marker must not be a block that nobody runs."""
    alike = re.compile(r"^<!-- (?:not )?run.*$", re.MULTILINE)
    for page in pages(root):
        markers = [block for block in Block.of(page) if block.how()]
        assert len(alike.findall(page.read_text())) == len(markers), page.name


def test_a_page_is_one_session_for_each_place(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- prepare\necho a\n-->\n<!-- run -->\n```sh\necho b\n```\n\n<!-- output -->\n```text\nb\n```\n\n"
        "<!-- not run: no -->\n```sh\nrm -r /\n```\n\n<!-- prepare\necho c\n-->\n"
        "<!-- run on a host, in the background: http://x -->\n```sh\necho d\n```\n\n<!-- output -->\n```text\nd\n```\n"
    )
    assert [(block.text, block.line) for block in session(page, host=False)] == [
        ("echo a\n", 2),
        ("echo b\n", 6),
        ("b\n", 11),
    ]
    assert [block.text for block in session(page, host=True)] == ["echo c\n", "echo d\n", "d\n"]


@pytest.mark.parametrize(
    ("shown", "printed", "missing"),
    [
        ("created  bucket x", "created          bucket x", None),
        ("took 3 ms\nlast", "took 12.5 ms\nmore\nlast", None),
        ("a ... z", "a b c z", None),
        ("_value  ▁▂█  1 to 2", "_value  ▃▃▁  7.5 to 20", None),
        ("one\ntwo", "two\none", "two"),
        ("2 points", "2 pints", "2 points"),
        ("a.c", "abc", "a.c"),
    ],
)
def test_what_is_shown_is_compared_loosely(shown: str, printed: str, missing: str | None) -> None:
    assert differs(shown, printed) == missing

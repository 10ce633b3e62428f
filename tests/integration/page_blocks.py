"""The blocks of code of the pages, and what is to be done with those that are commands.

A comment stands on the line before the fence of each block of commands (```sh), and says how it is tried:

    <!-- run -->                       by test_page_commands.py: in a folder of its own, with an embedded server
    <!-- run on a terminal -->         the same, its output shown on a terminal
    <!-- run in the background: URL -->   the same, not waited for: the next begins when URL answers
    <!-- run on a host -->             by tests/system/test_pages_on_a_host.py: as root of a Debian that has booted; likewise
    <!-- run on a host, in the background: URL -->
    <!-- run by tests/... -->          by that test, which reads the page, or does the same
    <!-- not run: REASON -->

A block of ```python may be run likewise; it finds a `token` there. The blocks of a page are one session: folder and exported variables go from one to the next. `<!-- output -->` before a
block of text: the block of commands before it prints that. Numbers are any numbers there, `...` is anything, and lines
may be missing. `<!-- prepare` and `-->`, each on a line of its own, hold commands that a reader has no need of.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HOW = re.compile(
    r"(?P<run>run)(?P<host> on a host)?(?P<terminal> on a terminal)?(?:,? in the background: (?P<until>\S+))?|run by (?P<by>tests/\S+)|not run: (?P<reason>.+)"
)
_PIECE = re.compile(
    r"^<!-- prepare\n(?P<prepare>.*?)^-->$"
    r"|^(?:<!-- (?P<comment>[^\n]*) -->\n)?(?P<indent> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, or what prepares one."""

    page: Path
    line: int
    """Of its first line."""
    language: str
    comment: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page.name}:{self.line}"

    def how(self) -> re.Match[str] | None:
        """What the comment says; `prepare` runs as the blocks around it do."""
        return HOW.fullmatch(self.comment)

    @classmethod
    def of(cls, page: Path) -> list[Self]:
        """All of a page, in order."""
        text = page.read_text()
        found = []
        for match in _PIECE.finditer(text):
            if match["prepare"] is not None:
                kind, body, start = "prepare", match["prepare"], match.start("prepare")
            else:
                kind, body, start = match["language"], match["text"], match.start("text")
            found.append(cls(page, text.count("\n", 0, start) + 1, kind, match["comment"] or "", body))
        return found


def pages(root: Path) -> list[Path]:
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]


def session(page: Path, *, host: bool) -> list[Block]:
    """What is run of a page, in order, with the outputs and preparations that belong to it."""
    chosen: list[Block] = []
    belongs = False  # whether the last block of commands was one of these
    waiting: list[Block] = []
    for block in Block.of(page):
        how = block.how()
        if block.language == "prepare":
            waiting.append(block)
        elif block.comment == "output":
            chosen += [block] if belongs else []
        elif how is not None:
            belongs = how["run"] is not None and (how["host"] is not None) == host
            chosen += [*waiting, block] if belongs else []
            waiting = []
    return chosen


def differs(expected: str, printed: str) -> str | None:
    """The first line of a page that was not printed, in its order; None where all were."""
    rest = iter(printed.splitlines())
    for line in filter(None, map(str.strip, expected.splitlines())):
        pattern = _pattern(line)
        if not any(pattern.fullmatch(one.strip()) for one in rest):
            return line
    return None


def _pattern(line: str) -> re.Pattern[str]:
    parts = re.split(r"(\.\.\.|…|[▁-█]+|\d+(?:\.\d+)?|\s+)", line)
    loose = {"...": ".*", "…": ".*"}
    made = ""
    for part in parts:
        if part in loose:
            made += loose[part]
        elif re.fullmatch(r"[▁-█]+", part):
            made += r"[▁-█ ]+"
        elif re.fullmatch(r"\d+(?:\.\d+)?", part):
            made += r"\d+(?:\.\d+)?"
        elif part.isspace():
            made += r"\s+"
        else:
            made += re.escape(part)
    return re.compile(made)


def wrapped(text: str, state: str) -> str:
    """A script for bash: the block, in the folder and with the variables that the block before it left in `state`."""
    return (
        "set -euo pipefail\n"
        f'if [ -e {state}/variables ]; then . {state}/variables; cd "$(cat {state}/folder)"; fi\n'
        f"trap 'export -p >{state}/variables; pwd >{state}/folder' DEBUG EXIT\n"  # DEBUG: one in the background does not end
        f"{text}\n"
    )

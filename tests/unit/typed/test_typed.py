"""Types of what plugins use, as mypy sees them: right uses pass, and each mistake is found on its line.

In the files here a line ends in `# E: [code]` where mypy is to find an error, several codes with commas between them, and in
`# N: type` where it is to reveal a type.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*uses*.py"))
_FOUND = re.compile(r"(?P<path>.+?):(?P<line>\d+): (?P<level>error|note): (?P<text>.*?)(?:  \[(?P<code>[a-z-]+)\])?")
_REVEALED = re.compile(r'Revealed type is "(.*)"')
_EXPECTED = re.compile(r"  # (?:E: \[(?P<codes>.*)\]|N: (?P<type>.*))")

Findings = dict[int, set[str]]
"""Codes of errors, and types that are revealed, by the line."""


def expected(path: Path) -> Findings:
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if mark := _EXPECTED.search(line):
            found[number] = set(mark["codes"].split(", ")) if mark["codes"] else {f"it is {mark['type']}"}
    return found


@pytest.fixture(scope="module")
def reported(root: Path) -> dict[str, Findings]:
    """What mypy says of all files, by their names."""
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--no-pretty", "--show-error-codes"]
    done = subprocess.run([*command, *FILES], cwd=root, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    found: dict[str, Findings] = defaultdict(lambda: defaultdict(set))
    for line in done.stdout.splitlines():
        if (one := _FOUND.fullmatch(line)) is None:
            continue
        path = Path(one["path"])
        findings = found[path.name][int(one["line"])]
        if one["level"] == "error":
            findings.add(one["code"])
        elif revealed := _REVEALED.fullmatch(one["text"]):
            own = f"tests.unit.typed.{path.stem}."
            findings.add(f"it is {revealed[1].removeprefix(own)}")
    return {name: {line: codes for line, codes in one.items() if codes} for name, one in found.items()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_mypy_finds_what_the_file_says(path: Path, reported: dict[str, Findings]) -> None:
    assert reported.get(path.name) == expected(path)

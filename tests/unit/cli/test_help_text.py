"""The help: the same on every Python, as wide as the terminal, each flag and command in it, and in the documentation."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyagent import cli
from pyagent.cli.arguments import Choices, CommandParser
from pyagent.cli.help_text import help_text
from pyagent.cli.run_flags import run_parser, whole_parser

TEXT = """\
Do something with queues.

Usage: pyagent x list|drop [NAME] [MORE ...] [FLAGS]

Examples:
  pyagent x list

Actions:
  list  print them
  drop  delete one

Arguments:
  NAME  the queue
  MORE  more queues, each of them with a text that is too long for
        one line

Flags:
  --json      print one JSON document
  -h, --help  print this help and exit

Configuration:
  --config FILE                a file
  --another-flag-that-is-quite-long FILE
                               another file
"""


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "66")
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def parser() -> CommandParser:
    parser = CommandParser(prog="pyagent x", description="Do something with queues.", epilog="  pyagent x list")
    parser.add_argument("action", choices=Choices(list="print them", drop="delete one"))
    parser.add_argument("name", nargs="?", metavar="NAME", help="the queue")
    text = "more queues, each of them with a text that is too long for one line"
    parser.add_argument("more", nargs="*", metavar="MORE", help=text)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--secret", action="store_true", help=argparse.SUPPRESS)
    parser.group("Configuration")
    parser.add_argument("--config", metavar="FILE", help="a file")
    parser.add_argument("--another-flag-that-is-quite-long", metavar="FILE", help="another file")
    return parser


def test_the_layout(parser: CommandParser, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argparse.HelpFormatter, "__init__", None)  # argparse's own has no part in it
    assert parser.format_help() == TEXT
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["list", "-h"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == parser.format_help()


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0"}, False),
        ({"CLICOLOR_FORCE": "1", "TERM": "dumb"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours(
    parser: CommandParser,
    environment: dict[str, str],
    colours: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    parser.print_help()
    text = capsys.readouterr().out
    assert ("  \x1b[36m--config\x1b[0m FILE " in text) is colours
    assert ("\x1b[1mFlags:\x1b[0m\n" in text) is colours
    assert re.sub(r"\x1b\[\d*m", "", text) == parser.format_help()


@pytest.mark.parametrize("columns", ["20", "80", "500"])
def test_the_width(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    lines = help_text(run_parser()).partition("Commands")[2].splitlines()
    widest = max(len(line) for line in lines if line.startswith(" " * 20))
    assert widest <= {"20": 66, "80": 80, "500": 100}[columns]
    assert columns != "80" or len(lines) < 112


def parsers() -> Iterator[CommandParser]:
    whole = whole_parser()
    yield whole
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def test_each_flag_is_in_the_help_and_in_the_documentation(root: Path) -> None:
    page = (root / "docs" / "configuration.md").read_text()
    for parser in parsers():
        text = parser.format_help()
        assert "Examples:" in text or parser.prog in ("pyagent version",)
        for actions in parser.groups.values():
            for action in actions:
                flag = action.option_strings[-1]
                told = f"{parser.prog} {flag}"
                assert action.help, told
                assert (re.search(rf"^  (\S+, )*{flag}\b(?!-)", text, re.MULTILINE) is None) == (
                    action.help == argparse.SUPPRESS
                ), told
                assert re.search(rf"`[^`\n]*{flag}\b(?!-)", page), f"{told} is not in docs/configuration.md"


def test_each_command_is_in_the_help_and_in_the_documentation(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = (root / "docs" / "configuration.md").read_text()
    text = run_parser().format_help()
    for name, summary in cli.COMMANDS.items():
        assert f"\n  {name:<10}  {summary}\n" in text
        assert f"`pyagent {name}" in page


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_each_command_has_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "version":
        assert cli.main([name, "--help"]) == 0
        return
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(cli.sentence(cli.COMMANDS[name]) + "\n\nUsage: pyagent " + name)

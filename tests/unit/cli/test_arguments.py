"""Arguments as Go programs take them."""

import argparse
from collections.abc import Iterator

import pytest

from pyagent.api.units import joined
from pyagent.cli import COMMANDS
from pyagent.cli.arguments import Choices, CommandParser
from pyagent.cli.run_flags import whole_parser


@pytest.fixture(autouse=True)
def nothing_of_argparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """How argparse reads words and what it calls within itself differ between releases of Python."""

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("argparse parses")

    for name in ("parse_known_args", "parse_intermixed_args", "parse_known_intermixed_args", "_parse_known_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, forbidden)


@pytest.fixture
def parser() -> CommandParser:
    parser = CommandParser(prog="pyagent")
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--number", type=int)
    return parser


@pytest.mark.parametrize(
    ("words", "test"),
    [
        (["-test"], True),
        (["--test=true"], True),
        (["-test=T"], True),
        (["-test=1"], True),
        (["--test=false"], False),
        (["--test", "--test=0"], False),
        (["--test=false", "-test"], True),
        ([], False),
    ],
)
def test_switches(parser: CommandParser, words: list[str], test: bool) -> None:
    assert parser.parse_args(words).test is test


def test_values(parser: CommandParser) -> None:
    given = parser.parse_args(["-config=a=b", "--config", "c", "-config", "-", "--config=--test", "--number", "-2"])
    assert given.config == ["a=b", "c", "-", "--test"]
    assert given.number == -2
    assert parser.parse_args(["-config", "-.5", "--config", "-nope", "--config="]).config == ["-.5", "-nope", ""]
    assert parser.parse_args([]).config == []


def test_the_folder_of_the_socket_is_not_how_an_agent_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="x")
    parser.add_argument("--socket")
    with pytest.raises(SystemExit):
        parser.parse_args(["--runtime-directory", "/run/x"])
    assert "name the socket in it: --socket DIR/control.sock" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--test=maybe"], "invalid value 'maybe' for --test: write true or false"),
        (["--tset"], "unknown flag '--tset'; did you mean --test?"),
        (["-tset"], "unknown flag '-tset'; did you mean --test?"),
        (["--Test"], "unknown flag '--Test'; did you mean --test?"),
        (["--tes"], "unknown flag '--tes'; did you mean --test?"),
        (["---test"], "unknown flag '---test'; did you mean --test?"),
        (["--tokn=hunter22"], "unknown flag '--tokn'"),
        (["--=x"], "unknown flag '--'"),
        (["--config"], "--config has no value; write --config CONFIG"),
        (["-config", "-test"], "--config has no value; write --config CONFIG"),
        (["-config", "--config=x"], "--config has no value; write --config CONFIG"),
        (["-config", "-h"], "--config has no value; write --config CONFIG"),
        (["--config", "--", "x"], "--config has no value; write --config CONFIG"),
        (["--number", "abc"], "invalid value 'abc' for --number: write a whole number"),
        (["--number="], "invalid value '' for --number: write a whole number"),
        ([f"-{'t0ken' * 10}=="], "unknown flag '-t0'... of 51 characters"),
        (["extra"], "unknown argument 'extra'"),
        (["a.conf"], "unknown argument 'a.conf'; write --config before the name of a configuration"),
        (["--", "--test"], "unknown argument '--test'"),
        (["-5"], "unknown argument '-5'"),
    ],
)
def test_mistakes(parser: CommandParser, words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"E! {joined(line, 'see pyagent --help')}\n"


@pytest.fixture
def words_parser() -> CommandParser:
    parser = CommandParser(prog="pyagent x")
    parser.add_argument("action", choices=Choices(list="print", drop="delete"))
    parser.add_argument("name", nargs="?", metavar="NAME")
    parser.add_argument("more", nargs="*", metavar="MORE")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--to", default="")
    parser.set_defaults(other=7)
    return parser


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list"], ("list", None, [], False, "")),
        (["-json", "list", "a"], ("list", "a", [], True, "")),
        (["drop", "-to", "-1", "a", "-json=t", "b", "-2"], ("drop", "a", ["b", "-2"], True, "-1")),
        (["--", "list", "--json", "--", "-x"], ("list", "--json", ["--", "-x"], False, "")),
        (["list", "", "-"], ("list", "", ["-"], False, "")),
    ],
)
def test_words_and_flags_in_any_order(
    words_parser: CommandParser, words: list[str], expected: tuple[object, ...]
) -> None:
    given = words_parser.parse_args(words)
    assert (given.action, given.name, given.more, given.json, given.to) == expected
    assert given.other == 7


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "no action is given; write one of list, drop"),
        (["lst"], "unknown action 'lst'; did you mean list?"),
        (["nope"], "unknown action 'nope'; write one of list, drop"),
        (["drop", "-secret"], "unknown flag '-secret'; write -- before a word that begins with a dash"),
    ],
)
def test_mistakes_of_words(
    words_parser: CommandParser, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        words_parser.parse_args(words)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"E! {joined(line, 'see pyagent x --help')}\n"


def test_flags_before_a_command(parser: CommandParser) -> None:
    words = ["-test", "-config", "x y", "-number=-1", "word", "-config", "--x", "--"]
    flags = ["--test", "--config=x y", "--number=-1"]
    assert parser.split(words, command=True) == (flags, ["word", "-config", "--x", "--"])
    assert parser.split(["-test", "--", "-x"], command=True) == (["--test"], ["-x"])


def parsers() -> Iterator[CommandParser]:
    """The agent's, and each command's."""
    whole = whole_parser()
    yield whole
    for action in whole._actions:
        if isinstance(action.choices, dict):
            yield from action.choices.values()


def test_every_flag_of_every_command_takes_one_dash() -> None:
    found = {parser.prog: parser for parser in parsers()}
    assert found.keys() == {"pyagent", *(f"pyagent {name}" for name in COMMANDS)}
    for parser in found.values():
        for name, action in parser._flags.items():
            flag = action.option_strings[-1]
            for given in (f"-{name}", f"--{name}"):
                if action.nargs == 0:
                    assert parser.split([given]) == parser.split([f"{given}=true"]) == ([flag], [])
                    assert parser.split([given, f"{given}=false"]) == ([], [])
                else:
                    assert parser.split([given, "-7"]) == parser.split([f"{given}=-7"]) == ([f"{flag}=-7"], [])

"""Arguments as Go programs take them."""

import pytest

from pyagent.cli.arguments import Parser, two_dashes


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="pyagent")
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
def test_switches(parser: Parser, words: list[str], test: bool) -> None:
    assert parser.parse_args(words).test is test
    assert parser.parse_args(parser.plain(words)).test is test


def test_values(parser: Parser) -> None:
    given = parser.parse_args(["-config=a=b", "--config", "c", "-config", "-", "--number", "-2"])
    assert given.config == ["a=b", "c", "-"]
    assert given.number == -2


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--test=maybe"], ("--test", "'maybe'")),
        (["--tset"], ("'--tset'", "did you mean --test?")),
        (["--Test"], ("'--Test'",)),
        (["--config"], ("--config",)),
        (["--number", "abc"], ("--number", "'abc'")),
        (["extra"], ("'extra'",)),
    ],
)
def test_mistakes(parser: Parser, words: list[str], named: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("E! ")
    assert all(text in line for text in named)


def test_what_follows_two_dashes_stays() -> None:
    assert two_dashes(["-a", "-ab", "-1", "--", "-ab"]) == ["-a", "--ab", "-1", "--", "-ab"]

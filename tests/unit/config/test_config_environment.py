"""References to environment variables, with every oddity of the grammar that configurations may lean on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.config.environment import MAX_DEPTH, expand, strip_comments
from pyagent.config.source import SourceText
from pyagent.config.toml import parse_document

ENVIRON = {"VAR": "foobar", "EMPTY": "", "OTHER": "$VAR"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$VAR", "foobar"),
        ("${VAR}", "foobar"),
        ("$VAR-x", "foobar-x"),
        ("$VARx", "$VARx"),
        ("$UNSET", "$UNSET"),
        ("${UNSET}", "${UNSET}"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${UNSET:-d}", "d"),
        ("${UNSET-d}", "d"),
        ("${UNSET:-}", ""),
        ("${UNSET:-${VAR}}", "foobar"),
        ("${UNSET:-a${EMPTY:-b${VAR}}c}", "abfoobarc"),
        ("${VAR:+x}", "x"),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${UNSET:+x}", ""),
        ("${UNSET+x}", ""),
        ("${EMPTY?m}", ""),
        ("${VAR:?m}", "foobar"),
        ("$$VAR", "$VAR"),
        ("$${VAR}", "${VAR}"),
        ("x$$y", "x$y"),
        ("$$", "$"),
        ("$1", "$1"),
        ("${1}", "${1}"),
        ("^foo$", "^foo$"),
        ("(a$|b)", "(a$|b)"),
        ("${", "${"),
        ("${VAR", "${VAR"),
        ("${}", "${}"),
        ("${VAR-}}", "foobar}"),
        ("${UNSET:-x} and ${UNSET}", "x and "),
        ("${UNSET:-x} and $UNSET$$ }", "x and $ }"),
        ("${UNSET:-x} and $UNSET$$", "x and $UNSET$"),
        ("${UNSET:-x}\n${UNSET}", "x\n${UNSET}"),
        ("${UNSET:-x} ${1} z", "${UNSET:-x} ${1} z"),
        ("${UNSET} ${VAR:-x}", "${UNSET} foobar"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("${UNSET:-a:?b}", "a:?b"),
        ("\\$VAR", "\\foobar"),
        ("$OTHER", "$VAR"),
        ("${EMPTY:-$OTHER}", "$VAR"),
    ],
)
def test_grammar(text: str, wanted: str) -> None:
    assert expand(text, ENVIRON) == wanted


@pytest.mark.parametrize("text", ["${UNSET:?set $VAR}", "${EMPTY:?set $VAR}", "${UNSET?set $VAR}"])
def test_a_required_variable_that_is_missing(text: str) -> None:
    with pytest.raises(ValueError, match=r"required variable (UNSET|EMPTY) is missing a value: set foobar"):
        expand(text, ENVIRON)


def test_a_required_variable_inside_of_a_default_is_asked_for_too() -> None:
    with pytest.raises(ValueError, match="required variable MISSING"):
        expand("${UNSET:-${MISSING:?m}}", ENVIRON)


def test_without_escapes_a_dollar_before_a_reference_stays() -> None:
    assert expand("$$VAR ${VAR}", ENVIRON, escapes=False) == "$foobar foobar"


@pytest.mark.parametrize("strict_env", [True, False])
def test_references_nested_too_deeply_are_refused_with_their_place(strict_env: bool) -> None:
    text = "a = 1\nb = '" + "${A:-" * 20_000 + "}" * 20_000 + "'\n"
    with pytest.raises(ConfigError, match=r"^x\.conf:2: .*nested too deeply: more than 100 levels"):
        parse_document(SourceText("x.conf", text), {}, strict_env=strict_env)


def test_the_deepest_references_that_are_allowed() -> None:
    assert expand("${A:-" * MAX_DEPTH + "x" + "}" * MAX_DEPTH, {}) == "x"


@pytest.mark.parametrize(
    ("part", "wanted"), [("${A:-x}", "x"), ("${A:-$A}", ""), ("${A", "${A"), ("${A:-", "${A:-"), ("$${", "${")]
)
def test_many_references_take_linear_time(part: str, wanted: str) -> None:
    # Each squared would be hours.
    assert expand(part * 100_000, {}) == wanted * 100_000


def test_blanks_without_a_comment_take_linear_time() -> None:
    assert strip_comments(" " * 1_000_000 + "x") == " " * 1_000_000 + "x"


@given(st.text("${}:-+?A1 \n", max_size=20), st.sampled_from([{}, {"A": "x"}, {"A": ""}, {"A": "$A"}]))
def test_any_text_is_expanded_or_refused(text: str, environ: dict[str, str]) -> None:
    try:
        result = expand(text, environ)
    except ValueError:
        assert "?" in text
        return
    if "$" not in text:
        assert result == text


@given(st.text("abAB ,=\n", max_size=20), st.dictionaries(st.sampled_from(["A", "B"]), st.text(max_size=3)))
def test_text_between_references_is_kept(text: str, environ: dict[str, str]) -> None:
    assert expand(f"{text}$${text}", environ) == f"{text}${text}"


@dataclass(frozen=True)
class Plain:
    """A reference without an operator, `$A` or `${A}`."""

    name: str
    braces: bool

    @property
    def source(self) -> str:
        return f"${{{self.name}}}" if self.braces else f"${self.name}"


@dataclass(frozen=True)
class Operator:
    """`${A:-word}` and the like; the word is made of parts itself."""

    name: str
    operator: str
    word: tuple["Part", ...]

    @property
    def source(self) -> str:
        return f"${{{self.name}{self.operator}{source(self.word)}}}"


Part = str | Plain | Operator
"""Text is never empty and begins with what no name may hold; "$$" is a part of its own."""


def source(parts: Sequence[Part]) -> str:
    return "".join(part if isinstance(part, str) else part.source for part in parts)


def model(parts: Sequence[Part], environ: Mapping[str, str], *, inner: bool = False) -> str:
    """What a line of these parts means. From the first operator up to the last brace, what is not set is empty."""
    first = next((i for i, part in enumerate(parts) if isinstance(part, Operator)), len(parts))
    last = max((i for i, part in enumerate(parts) if "}" in source([part])), default=-1)
    result = ""
    for index, part in enumerate(parts):
        empty = inner or first <= index <= last
        if isinstance(part, str):
            result += "$" if part == "$$" else part
        elif isinstance(part, Plain):
            result += environ.get(part.name, "" if empty else part.source)
        else:
            word = model(part.word, environ, inner=True)
            value = environ.get(part.name)
            there = bool(value) if part.operator[0] == ":" else value is not None
            if part.operator[-1] == "?" and not there:
                raise ValueError(part.name)
            result += word if (part.operator[-1] == "+") == there and part.operator[-1] != "?" else value or ""
    return result


names = st.sampled_from(["A", "B", "_c1"])
simple: st.SearchStrategy[Part] = st.one_of(
    st.sampled_from(["$$", " ", "-", ".a", "/B", "%é", ":-", "?"]), st.builds(Plain, names, st.booleans())
)
operators = st.sampled_from([":-", "-", ":+", "+", ":?", "?"])
anything: st.SearchStrategy[Part] = st.recursive(
    simple, lambda inner: st.builds(Operator, names, operators, st.lists(inner, max_size=3).map(tuple)), max_leaves=4
)


@given(
    st.lists(st.lists(simple | anything, max_size=5), max_size=2),
    st.dictionaries(names, st.sampled_from(["", "x", "$A", "${B}", "}"]), max_size=2),
)
def test_references_against_the_model(lines: list[list[Part]], environ: dict[str, str]) -> None:
    text = "\n".join(map(source, lines))
    try:
        wanted = "\n".join(model(line, environ) for line in lines)
    except ValueError:
        with pytest.raises(ValueError, match="required variable"):
            expand(text, environ)
    else:
        assert expand(text, environ) == wanted


def test_comments_go_and_strings_stay(shared: Path) -> None:
    folder = shared / "corpus/telegraf/config/testdata"
    text = (folder / "envvar_comments.toml").read_text()
    assert strip_comments(text) == (folder / "envvar_comments_expected.toml").read_text()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a = 1 # ${X:?m}\nb = 2", "a = 1\nb = 2"),
        ("# one\r\n# two\r\n", "\r\n\r\n"),
        ("a = '#' # '\n", "a = '#'\n"),
        ('a = "\\"#" # x', 'a = "\\"#"'),
        ('a = """\n# kept\n""""#gone', 'a = """\n# kept\n""""'),
        ("a = '''\n# kept ' \n''' # gone", "a = '''\n# kept ' \n'''"),
        ('a = "unclosed # part\n# gone', 'a = "unclosed # part\n'),
        ('a = """unclosed\n# part', 'a = """unclosed\n# part'),
    ],
)
def test_comments(text: str, wanted: str) -> None:
    assert strip_comments(text) == wanted


@given(st.text("ab#'\"\\ \n=", max_size=30))
def test_comments_keep_the_number_of_lines(text: str) -> None:
    assert strip_comments(text).count("\n") == text.count("\n")

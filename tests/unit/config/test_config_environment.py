"""References to environment variables, with every oddity of the grammar that configurations may lean on."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.config.environment import expand, strip_comments

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

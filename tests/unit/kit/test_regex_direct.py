"""The quick first try at an expression, beside the engine that decides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.kit.regex import compile_regex
from pyagent.kit.regex_direct import compile_direct


@pytest.mark.parametrize(
    ("pattern", "text", "groups"),
    [
        (r"(\S+) (\d+)", "a b 7", None),  # it would have to go back, or on
        (r"(\S+) (\d+)", "ab 7", ("ab", "7")),
        (r"(.*?) \[(\w+)\]", "a [ b [c]", None),
        (r"(.*?) \[(\w+)\]", "a b [c]", ("a b", "c")),
        (r"(.*) end", "an end end", ("an end",)),
        (r"(?:(a+)|(b))x", "bx", (None, "b")),
        (r"(?i:(ab)+)c", "abABc", ("AB",)),
        (r"(?i:[a-f]+)(F*)", "abcF", ("",)),
        (r"x(\.[a-z]+)*(\.?)", "x.a.b.", (".b", ".")),
        ("(a|ab)(c|bcd)", "abcd", ("a", "bcd")),
        ("", "x", ()),
    ],
)
def test_a_match_is_the_one_that_the_engine_finds(
    pattern: str, text: str, groups: tuple[str | None, ...] | None
) -> None:
    direct = compile_direct(pattern)
    assert direct is not None
    match = direct.match(text)
    assert (match.groups() if match else None) == groups
    if match is not None:
        assert compile_regex(pattern).find(text) == (match[0], *match.groups(""))


@pytest.mark.parametrize("pattern", ["(a*)*b", "(?:a|aa)+b", "(?:.*)+", "(.*.*.*.*x)"])
def test_what_could_take_for_ever_is_left_to_the_engine(pattern: str) -> None:
    assert compile_direct(pattern) is None


def test_no_text_takes_long() -> None:
    """This ends at all, which a plain match would not do."""
    direct = compile_direct(" ".join([r"(\S*a\S*)"] * 12) + " end")
    assert direct is not None
    assert direct.match(" ".join(["a" * 1000] * 13)) is None


def test_a_pattern_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not closed"):
        compile_direct("(a")


ATOMS = st.sampled_from(["a", "b", " ", ".", r"\d", r"\S", "[ab]", "[^a]", "[a-c ]", r"\b", "(?i:A)"])


def patterns(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "+?", "{1,3}", "{0,2}?"])).map(
            lambda it: f"({it[0]}){it[1]}"
        ),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?"])).map(lambda it: f"(?:{it[0]}){it[1]}"),
    )


@given(st.recursive(ATOMS, patterns, max_leaves=10), st.text("abcA1 .\n", max_size=12))
def test_it_is_never_wrong(pattern: str, text: str) -> None:
    direct = compile_direct(pattern)
    if direct is not None and (match := direct.match(text)) is not None:
        try:
            regex = compile_regex(pattern)
        except ValueError:
            return  # without the linear engine
        assert regex.find(text) == (match[0], *match.groups(""))

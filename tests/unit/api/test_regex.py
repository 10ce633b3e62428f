"""Regular expressions as Go reads them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api.regex import compile_regex


def found(pattern: str, text: str) -> bool:
    return compile_regex(pattern).search(text) is not None


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("^cpu$", ["cpu"], ["cpu\n", "\ncpu", "CPU"]),
        ("(?m)^cpu$", ["cpu\n", "a\ncpu"], ["cpua"]),
        (r"\Acpu\z", ["cpu"], ["cpu\n"]),
        ("a.b", ["axb", "aäb"], ["a\nb"]),
        ("(?s)a.b", ["a\nb"], []),
        ("(?s:a.)(?-s:b.)", ["a\nbx"], ["a\nb\n"]),
        (r"^\w+$", ["a_1"], ["ä", ""]),
        (r"^\d+$", ["12"], ["\u0661\u0662"]),
        (r"^\s$", [" ", "\t"], ["\xa0", "\v"]),
        (r"\bä", ["aä"], ["ä"]),  # ä is no letter of a word
        (r"^\D$", ["x", "\u0661"], ["1"]),
        (r"^[^\d]$", ["x", "\n"], ["1"]),
        (r"^[\W]$", ["ä", "-"], ["a"]),
        ("a(?i)b|c", ["ab", "aB", "C"], ["AB"]),
        ("(?i)ÄB", ["äb"], []),
        ("(?i)[a-c]", ["B"], ["D"]),
        ("(?i)^[^a]$", ["b"], ["a", "A"]),
        ("(?i-s:A)a", ["aa"], ["aA"]),
        ("(?U)^(a+)$", ["aa"], []),
        ("[[:alpha:]][[:^digit:]]", ["ab"], ["a1"]),
        (r"^[]a\-z]$", ["]", "-", "z"], ["b"]),
        ("^[a-]$", ["-", "a"], ["b"]),
        ("[[.]", ["[", "."], ["a"]),
        (r"^\pL+$", ["aÄж"], ["a1"]),
        (r"^\p{Lu}\P{Lu}$", ["Aa"], ["AA"]),
        (r"^\p{^L}$", ["1"], ["a"]),
        (r"^[\pN_]$", ["1", "_", "\u0663"], ["a"]),
        (r"\Qa+b\E+", ["a+bb"], ["aab"]),
        (r"\Qa.b", ["a.b"], ["axb"]),
        (r"\x41\x{1F431}\101", ["A🐱A"], []),
        (r"\.\-\/\_", [".-/_"], []),
        ("a{2,3}$", ["aaa"], ["a"]),
        ("a{,3}", ["a{,3}"], ["aaa"]),
        ("{", ["{"], []),
        ("(?P<n>a)(?<m>b)(?P<n>c)(?P<1>d)", ["abcd"], []),
        ("^(|a)*$", ["aa", ""], ["b"]),
        ("^*a$+", ["a"], []),
        ("", ["", "x"], []),
        ("x*?y??", ["xy"], []),
    ],
)
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    for text in yes:
        assert found(pattern, text), text
    for text in no:
        assert not found(pattern, text), text


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("(a", "a ( is not closed"),
        ("a)", "a ) closes nothing"),
        ("[a", "a [ is not closed"),
        ("[z-a]", "a range of characters goes from a lower to a higher one"),
        ("[a-\\d]", "a range of characters goes from a lower to a higher one"),
        ("*a", "nothing stands before '*' that it could repeat"),
        ("a**", "nothing stands before '*' that it could repeat"),
        ("a++", "nothing stands before '+' that it could repeat"),
        ("a|*", "nothing stands before '*' that it could repeat"),
        ("(?i)*", "nothing stands before '*' that it could repeat"),
        ("a{1001}", "{1001} is no count"),
        ("a{3,2}", "{3,2} is no count"),
        ("(?=a)", "this kind of group, (?..., is not in RE2's syntax"),
        ("(?<!a)b", "this kind of group"),
        ("(?>a)", "this kind of group"),
        ("(?x)a", "this kind of group"),
        (r"(a)\1", r"\1 is no escape"),
        (r"a\Z", r"\Z is no escape"),
        ("a\\", "it ends with a backslash"),
        (r"\p{Greek}", r"\p{Greek} is not known; general categories such as \p{L} and \p{Lu} are"),
        ("[[:foo:]]", "[:foo:] is no class"),
        ("(" * 200, "groups are nested too deeply"),
    ],
)
def test_patterns_that_are_none(pattern: str, wanted: str) -> None:
    with pytest.raises(
        ValueError, match="cannot read the regular expression " + re.escape(f"{pattern[:100]!r}: {wanted}")
    ):
        compile_regex(pattern)


@given(st.text("ab.*+?|()[]{}^$\\-,:1dQEpLisU<P>", max_size=15), st.text("ab1\n", max_size=6))
def test_any_pattern_is_compiled_or_refused(pattern: str, text: str) -> None:
    reason = ""
    try:
        compile_regex(pattern).search(text)
    except ValueError as error:
        reason = str(error)
    assert not reason or reason.startswith("cannot read the regular expression ")


@given(st.text(max_size=10))
def test_escaped_text_matches_itself(text: str) -> None:
    for quoted in (re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", text), rf"\Q{text}\E" if "\\" not in text else None):
        if quoted is not None:
            assert compile_regex(rf"\A(?:{quoted})\z").search(text)

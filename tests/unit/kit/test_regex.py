"""Regular expressions as Go reads them."""

import re
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.kit import regex
from pyagent.kit.regex import compile_regex, compile_template


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As where google-re2 is not installed."""
    monkeypatch.setitem(sys.modules, "re2", None)
    regex._short.cache_clear()
    yield
    regex._short.cache_clear()


@pytest.fixture(params=["re2", "re"])
def engine(request: pytest.FixtureRequest) -> None:
    if request.param == "re":
        request.getfixturevalue("no_library")
    else:
        pytest.importorskip("re2", reason="google-re2 is not installed")


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
@pytest.mark.usefixtures("engine")
def test_patterns(pattern: str, yes: list[str], no: list[str]) -> None:
    if pattern == "^(|a)*$" and sys.modules["re2"] is None:
        return  # refused without the library: see below
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
        ("[[:foo:]]", "[:foo:] is no class"),
        ("(" * 200, "groups are nested too deeply"),
    ],
)
@pytest.mark.usefixtures("engine")
def test_patterns_that_are_none(pattern: str, wanted: str) -> None:
    with pytest.raises(
        ValueError, match="cannot read the regular expression " + re.escape(f"{pattern[:100]!r}: {wanted}")
    ):
        compile_regex(pattern)


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("cpu", 1 << 20),
        ("^a.*b$", 1 << 20),
        ("a.*b", 1414),
        ("^a.*b.*c$", 1414),
        (r"^(\d{1,3}\.){3}\d+", 74_074),
        ("a|b*", 1000),
    ],
)
def test_without_the_library_the_text_is_bounded(pattern: str, longest: int) -> None:
    compile_regex(pattern).search("x" * longest)
    with pytest.raises(ValueError, match=f"is too long for this regular expression, which takes {longest} without"):
        compile_regex(pattern).search("x" * (longest + 1))


@pytest.mark.usefixtures("no_library")
@pytest.mark.parametrize(
    "pattern", ["(a+)+", "^(a|a)*$", "(a?){25}a", "(x+x+)+y", "a?" * 30, "a*" * 6, r"\p{Greek}", "(?:a{2,3}){4,}"]
)
def test_without_the_library_what_could_take_for_ever_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"google-re2|general categories"):
        compile_regex(pattern)


def test_with_the_library_time_is_linear_and_scripts_are_known() -> None:
    pytest.importorskip("re2", reason="google-re2 is not installed")
    assert not found("(x+x+)+y", "x" * 100_000)
    assert found(r"\p{Greek}", "\u03b1")
    assert found("^caf.$", "caf\udce9")
    with pytest.raises(ValueError, match="cannot read the regular expression"):
        compile_regex(r"\p{Nowhere}")


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


@pytest.mark.parametrize(
    ("pattern", "template", "text", "wanted"),
    [
        ("a", "b", "xyz", None),
        ("a", "b", "banana", "bbnbnb"),
        ("a*", "-", "baaac", "-b-c-"),
        ("", "-", "äb", "-ä-b-"),
        (r"\b", "|", "ab cd", "|ab| |cd|"),
        ("^", "-", "ab", "-ab"),
        ("(?m)^", "-", "a\nb", "-a\n-b"),
        ("$", "-", "ab", "ab-"),
        ("[^ä]", "", "aäb🐱", "ä"),
        (r"(\d+)-(?P<n>\w)?", "<${n}$1$3$$${2}$01${x}$1x>", "7-a 8-", "<a7$a> <8$>"),
        ("a", "$", "a", "$"),
        ("a", "${1", "a", "${1"),
        ("a", "$-$0", "a", "$-a"),
        ("(a)(b)?", "${1", "ab", "${1"),
        ("(?P<n>a)|(?P<n>b)", "<$n>", "ab", "<a><b>"),
        (".", "x", "a\udcffä", "xxx"),
        ("a", "x", "a\udcffä", "x\udcffä"),
    ],
)
@pytest.mark.usefixtures("engine")
def test_replacing(pattern: str, template: str, text: str, wanted: str | None) -> None:
    compiled = compile_regex(pattern)
    assert compiled.replace(text, compile_template(compiled, template)) == wanted


@pytest.mark.usefixtures("engine")
def test_groups() -> None:
    compiled = compile_regex(r"(?P<host>[^:]+)(:(\d+))?")
    assert compiled.groups == ("host", "", "")
    assert compiled.find("ä:80") == ("ä:80", "ä", ":80", "80")
    assert compiled.find("\udcffx") == ("\udcffx", "\udcffx", "", "")
    assert compiled.find(":") is None


@given(st.text(alphabet="ab \nä\udcff🐱", max_size=12), st.sampled_from(["a*", "", r"\b", "(a|ä)b?", "[^a]", "(?m)$"]))
def test_both_engines_replace_alike(text: str, pattern: str) -> None:
    pytest.importorskip("re2", reason="google-re2 is not installed")
    linear = compile_regex(pattern)
    bounded = regex._Bounded(regex.Translator(pattern))
    template = compile_template(linear, "<$0|$1>")
    assert linear.replace(text, template) == bounded.replace(text, template)
    assert linear.find(text) == bounded.find(text)

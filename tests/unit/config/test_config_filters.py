"""Patterns as the library that Telegraf uses reads them, and the filter options of a table."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.config.filters import read_filters
from pyagent.config.plan import FilterOptions
from pyagent.config.source import SourceText
from pyagent.config.table_view import Diagnostics, TableView
from pyagent.config.toml import parse_document
from pyagent.kit.glob import compile_patterns


def matches(pattern: str, text: str, separators: str = "") -> bool:
    return compile_patterns([pattern], separators)(text)


@pytest.mark.parametrize(
    ("pattern", "separators", "yes", "no"),
    [
        ("cpu", "", "cpu", "cpu0 acpu CPU"),
        ("cpu*", "", "cpu cpu0 cpu.x", "acpu"),
        ("*cpu", "", "cpu acpu", "cpu0"),
        ("c*u", "", "cu cpu cxyu", "c u cpux"),
        ("c?u", "", "cpu ceu", "cu cppu"),
        ("*", "", "a abc", ""),
        ("a*b*c", "", "abc axbxc abcbc", "ab ac abcd"),
        ("[abc]x", "", "ax bx", "dx x abx"),
        ("[a-c]x", "", "ax cx", "dx"),
        ("[!abc]x", "", "dx", "ax x"),
        ("[!a-c]x", "", "dx", "bx"),
        ("[^a]x", "", "^x ax", "bx"),
        ("[ab\\]]x", "", "]x ax", "\\x"),
        ("{cpu,mem}*", "", "cpu mem cpu0 memx", "disk"),
        ("{cpu,mem", "x", "cpu mem", "cpu,mem"),
        ("{c{a,b},d*}", "", "ca cb d dx", "cd"),
        ("{a,}b*", "", "ab b bx", "cb"),
        ("a,b*", "", "a,b", "a b"),
        ("a}b*", "", "a}b", "ab"),
        ("a\\*b*", "", "a*b a*bc", "axb"),
        ("a\\?[b]", "", "a?b", "axb"),
        ("a.*", "", "a.b a.", "axb"),
        ("a+(b)*", "", "a+(b)", "aab"),
        ("*.cpu", ".", "a.cpu .cpu", "a.b.cpu"),
        ("**.cpu", ".", "a.cpu a.b.cpu", "cpu"),
        ("a.*.c", ".", "a.b.c a..c", "a.b.b.c a.c"),
        ("a?c", ".", "abc", "a.c"),
        ("*_*", "._", "a_b", "a.b_c a_b_c"),
        ("a-b", "-", "a-b", "ab"),
        ("[!a].x", ".", "b.x", "a.x"),
        ("äö*", "", "äö äöü", "ä"),
        ("a\nb*", "", "a\nb a\nbc", "ab"),
    ],
)
def test_patterns(pattern: str, separators: str, yes: str, no: str) -> None:
    for text in yes.split(" "):
        assert matches(pattern, text, separators), text
    for text in no.split(" ") if no else ():
        assert not matches(pattern, text, separators), text


@pytest.mark.parametrize("pattern", ["{cpu,mem}", "a\\b", "cpu", "a}", "é"])
def test_a_list_of_plain_text_is_compared_as_it_is(pattern: str) -> None:
    assert matches(pattern, pattern)
    assert not matches(pattern, "cpu" if pattern != "cpu" else "mem")


def test_one_pattern_makes_patterns_of_the_whole_list() -> None:
    either = compile_patterns(["{cpu,mem}", "x*"])
    assert [either(name) for name in ("cpu", "mem", "xy", "{cpu,mem}", "disk")] == [True, True, True, False, False]


def test_oddities_of_the_library() -> None:
    assert matches("?", "")
    assert not matches("a?", "a")
    assert matches("ab*ba", "aba")
    assert matches("a.**.c", "a.c", ".")
    assert not matches("a.*.c", "a.c", ".")


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("[abc", "a [ is not closed"),
        ("[", "a [ is not closed"),
        ("[]", "[] holds no character"),
        ("[!]", "[] holds no character"),
        ("[a-", "a range must be one of the form [a-z]"),
        ("[a-zA-Z]", "a range must be one of the form [a-z]"),
        ("[z-a]", "in the range z-a the second character comes before the first"),
    ],
)
def test_patterns_that_are_none(pattern: str, wanted: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"cannot read the pattern {pattern!r}: {wanted}")):
        compile_patterns([pattern])


def model(pattern: str, text: str) -> bool:
    """What `*` and `?` mean, by the book: no regular expressions."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(model(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and model(pattern[1:], text[1:])


@given(st.text("ab*?", min_size=1, max_size=8), st.text("ab", max_size=10))
def test_patterns_against_the_model(pattern: str, text: str) -> None:
    wanted = model(pattern, text)
    parts = [part for part in re.split(r"\*+", pattern) if part]
    if pattern == "?" or (
        len(parts) == 2 and "?" not in pattern and not pattern.startswith("*") and not pattern.endswith("*")
    ):
        # The oddities: they only ever match more.
        wanted = wanted or not text if pattern == "?" else text.startswith(parts[0]) and text.endswith(parts[1])
    if "*" in pattern or "?" in pattern:
        assert matches(pattern, text) == wanted
        # Alternatives take the way without atomic groups.
        assert compile_patterns([f"{{{pattern},{pattern}}}", "x*"])(text) in (wanted, model(pattern, text))


class Glob:
    """Patterns by the book, separators, classes, alternatives and escapes among it: what is left of a text after each way
    to match a pattern's beginning."""

    def __init__(self, separators: str) -> None:
        self._separators = separators

    def matches(self, tokens: Sequence[object], text: str) -> bool:
        ends = {0}
        for token in tokens:
            ends = {end for start in ends for end in self._ends(token, text, start)}
        return len(text) in ends

    def _ends(self, token: object, text: str, start: int) -> Iterator[int]:
        if token in ("*", "**"):
            yield start
            for end in range(start, len(text)):
                if token == "*" and text[end] in self._separators:
                    return
                yield end + 1
        elif token == "?":
            if start < len(text) and text[start] not in self._separators:
                yield start + 1
        elif isinstance(token, frozenset):
            if start < len(text) and (text[start] in token) != ("!" in token):
                yield start + 1
        elif isinstance(token, tuple):
            for choice in token:
                if text.startswith(choice, start):
                    yield start + len(choice)
        elif text.startswith(str(token)[-1:], start):
            yield start + 1


def written(token: object) -> str:
    if isinstance(token, frozenset):
        return f"[{'!' * ('!' in token)}{''.join(sorted(token - {'!'}))}]"
    return f"{{{','.join(token)}}}" if isinstance(token, tuple) else str(token)


classes = st.builds(
    lambda letters, negated: letters | ({"!"} if negated else set()),
    st.frozensets(st.sampled_from("ab."), min_size=1),
    st.booleans(),
)
words = st.sampled_from(["a", "ab", "b.", "ba"])
tokens = st.one_of(
    st.sampled_from(["*", "**", "?"]),
    st.sampled_from(["a", "b", ".", "\\*", "\\a", "\\["]),
    classes,
    st.lists(words, min_size=2, max_size=3).map(tuple),
)


def texts_for(token: object) -> st.SearchStrategy[str]:
    """Texts of which most match a token by itself."""
    if isinstance(token, tuple):
        return st.sampled_from(token)
    if token in ("*", "**"):
        return st.text("ab.", max_size=2)
    return st.sampled_from("ab.") if token == "?" or isinstance(token, frozenset) else st.just(str(token)[-1:])


parts = tokens.flatmap(lambda token: st.tuples(st.just(token), texts_for(token)))


@given(
    st.lists(parts, min_size=2, max_size=5), st.sampled_from(["", "", "", "a", "."]), st.sampled_from(["", ".", ".b"])
)
def test_patterns_with_everything_against_the_model(
    pairs: list[tuple[object, str]], more: str, separators: str
) -> None:
    pattern, text = [token for token, _ in pairs], "".join(piece for _, piece in pairs) + more
    runs = [token in ("*", "**") for token in pattern]
    glued = any(first and second for first, second in pairwise(runs))
    text_around_one_run = runs.count(True) == 1 and not any(
        t == "?" or isinstance(t, frozenset | tuple) for t in pattern
    )
    assume(not glued and not text_around_one_run)  # `***`, and the oddity of `ab*ba`
    # The second pattern makes globs of both, and matches none of these texts.
    found = compile_patterns(["".join(map(written, pattern)), "x*"], separators)(text)
    assert found == Glob(separators).matches(pattern, text)


@given(st.text("ab*?[]!-{},\\.", max_size=12), st.text("ab.", max_size=6), st.sampled_from(["", "."]))
def test_any_pattern_is_compiled_or_refused(pattern: str, text: str, separators: str) -> None:
    try:
        matcher = compile_patterns([pattern], separators)
    except ValueError:
        assert "[" in pattern
        return
    assert matcher(text) is matcher(text)


@given(
    st.lists(st.lists(parts, min_size=1, max_size=4), min_size=1, max_size=4),
    st.text("ab.", max_size=6),
    st.sampled_from(["", ".", ".b"]),
)
def test_many_patterns_answer_as_each_alone(many: list[list[tuple[object, str]]], other: str, separators: str) -> None:
    """So many are put into one automaton; the others match nothing here."""
    patterns = ["".join(written(token) for token, _ in pairs) for pairs in many]
    alone = [compile_patterns([pattern, "x*"], separators) for pattern in patterns]
    together = compile_patterns([*patterns, *(f"x{number}*" for number in range(101))], separators)
    for text in (other, *("".join(piece for _, piece in pairs) for pairs in many)):
        assert together(text) == any(matcher(text) for matcher in alone)


def test_many_runs_do_not_take_for_ever() -> None:
    assert not matches("*a" * 40 + "*b", "a" * 4000)


# Options.


def view(text: str) -> TableView:
    document = parse_document(SourceText("a.conf", f"[[inputs.x]]\n{text}"), {})
    table = document.data["inputs"]["x"][0]
    return TableView(
        document=document, path=("inputs", "x", 0), label="inputs.x", table=table, diagnostics=Diagnostics()
    )


def test_every_filter() -> None:
    given = read_filters(
        view(
            """
            namepass = ["a*"]
            namepass_separator = "."
            namedrop = ["b"]
            namedrop_separator = "_"
            fieldinclude = ["f"]
            fieldexclude = ["g"]
            taginclude = ["t"]
            tagexclude = ["u"]
            tagdrop = {k = ["v"]}
            metricpass = 'name == "a"'
            [inputs.x.tagpass]
            k = ["w*", "x"]
            l = []
            """
        )
    )
    assert given == FilterOptions(
        namepass=("a*",),
        namepass_separator=".",
        namedrop=("b",),
        namedrop_separator="_",
        tagpass={"k": ("w*", "x"), "l": ()},
        tagdrop={"k": ("v",)},
        metricpass='name == "a"',
        fieldinclude=("f",),
        fieldexclude=("g",),
        taginclude=("t",),
        tagexclude=("u",),
    )


def test_nothing_set_is_no_filter() -> None:
    assert read_filters(view("namepass = []\ntagpass = {}\nmetricpass = ''")) == FilterOptions()


def test_old_names_are_added_and_told() -> None:
    given = view("fieldinclude = ['c']\npass = ['a']\nfieldpass = ['b']\ndrop = ['d']\nfielddrop = ['e']")
    filters = read_filters(given)
    assert filters.fieldinclude == ("a", "b", "c")
    assert filters.fieldexclude == ("d", "e")
    assert [line.partition(" is dep")[0] for line in given.diagnostics.errors] == [
        "a.conf:3: inputs.x: the option 'pass'",
        "a.conf:4: inputs.x: the option 'fieldpass'",
        "a.conf:5: inputs.x: the option 'drop'",
        "a.conf:6: inputs.x: the option 'fielddrop'",
    ]


@pytest.mark.parametrize(
    ("text", "option", "what"),
    [
        ("namepass = ['a', 5]", "namepass", "an integer"),
        ("namedrop = [0.5]", "namedrop", "a float"),
        ("fieldexclude = [['a']]", "fieldexclude", "a list"),
        ("pass = [true]", "pass", "a boolean"),
        ("taginclude = [2020-01-01]", "taginclude", "a date or a time"),
        ("tagpass = {cpu = ['a', 1]}", "tagpass.cpu", "an integer"),
        ("tagdrop = {cpu = [{a = 1}]}", "tagdrop.cpu", "a table"),
    ],
)
def test_elements_of_another_type_are_an_error(text: str, option: str, what: str) -> None:
    """Left out of account, they would let through what they were to keep out."""
    with pytest.raises(ConfigError) as caught:
        read_filters(view(text))
    wanted = f"a.conf:2: inputs.x: the option {option!r} must be a list of strings; {what} is in it: put it in quotes"
    assert str(caught.value) == wanted


def test_tables_where_lists_should_be_are_left_out() -> None:
    given = view("namepass = {a = 'b'}\ntagpass = {k = {v = 'w'}, l = ['x']}")
    assert read_filters(given) == FilterOptions(tagpass={"l": ("x",)})
    assert given.diagnostics.warnings == [
        "a.conf:2: inputs.x: the option 'namepass' is ignored: it must be a list of strings, not a table",
        "a.conf:3: inputs.x: the option 'tagpass.k' is ignored: it must be a list of strings, not a table",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("namepass = 'a'", "a.conf:2: inputs.x: the option 'namepass' must be a list of strings, not a string"),
        ("namepass = ['[a']", "a.conf:2: inputs.x: the option 'namepass': cannot read the pattern '[a'"),
        (
            "tagpass = ['a']",
            "a.conf:2: inputs.x: the option 'tagpass' must be a table of lists, as in [inputs.x.tagpass]",
        ),
        ("tagpass = {a = 'b'}", "a.conf:2: inputs.x: the option 'tagpass.a' must be a list of strings, not a string"),
        ("[inputs.x.tagdrop]\na = ['[']", "a.conf:3: inputs.x: the option 'tagdrop.a': cannot read the pattern '['"),
        (
            "metricpass = 'nam == 1'",
            "a.conf:2: inputs.x: the option 'metricpass': cannot use the expression: there is no variable 'nam'; there are "
            "name, tags, fields, time; did you mean 'name'? (at character 1)",
        ),
    ],
)
def test_filters_that_are_refused(text: str, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_filters(view(text))
    assert str(caught.value).startswith(wanted)

"""Expressions of `metricpass`: what they give, what is refused before anything runs, and what fails when it runs.

cel_cases.txt says for each expression what cel-go 0.31 makes of it, in the environment that Telegraf gives it.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import Metric, Uint
from pyagent.cel import ERRORS, Expression, ExpressionError, explain_failure

CASES = [line.split(maxsplit=1) for line in Path(__file__).with_name("cel_cases.txt").read_text().splitlines()]
METRIC = Metric(
    "cpu",
    {"host": "Hugin", "source": "myserver@mycompany.com", "status": "ok"},
    {
        "value": 15.0,
        "id": "24cxnwr3480k",
        "on": True,
        "count": 18,
        "errors": 29,
        "total": Uint(129),
        "neg": -5,
        "frac": 2.5,
        "text": "äöü x",
    },
    1682379015_000000042,
)


def outcome(text: str) -> tuple[str, str]:
    """What becomes of an expression, and the reason where there is one."""
    try:
        expression = Expression(text)
    except ExpressionError as error:
        return "refused", str(error)
    try:
        return "true" if expression(METRIC) else "false", ""
    except ERRORS as error:
        return "fails", explain_failure(error)


@pytest.mark.parametrize("wanted", ["true", "false", "fails", "refused"])
def test_expressions_give_what_cel_go_gives(wanted: str) -> None:
    texts = [text for kind, text in CASES if kind == wanted]
    assert len(texts) > 30
    assert {text: found for text in texts if (found := outcome(text)[0]) != wanted} == {}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "name ==",
            "the expression ends where a value should be: a name, a number, a 'text', true, false, null, or something "
            "in brackets (at character 8)",
        ),
        ('name == "a" && )', "there is ')' where a value should be"),
        ('name == "a" and true', "there is 'and' where an operator or the end should be (at character 13)"),
        ('name == "a', 'the text "a is not closed; end it with " (at character 9)'),
        ("name = 1", "a single = means nothing; write == (at character 6)"),
        ("(true", "the expression ends where ')' should be (at character 6)"),
        ("nmae == 1", "there is no variable 'nmae'; there are name, tags, fields, time; did you mean 'name'?"),
        ("name.startswith('c')", "there is no function 'startswith'; did you mean 'startsWith'? (at character 6)"),
        ("name == 5", "'==' cannot be applied to (string, int) (at character 6)"),
        ("name.contains(5)", "'contains' cannot be applied to string.(int) (at character 6)"),
        ("math.greatest(name, 5) == 5", "'math.greatest' cannot be applied to (string, int)"),
        ("fields.on", "it gives dyn, and must give a bool; compare it with something (at character 1)"),
        ("name.size()", "it gives int, and must give a bool"),
        ("name.x == 1", "string has no parts to select by '.x'"),
        ("name.all(x, true)", "all goes through a list or a map, and this is string"),
        ("fields.all(1, true)", "the first argument of all must be a new name"),
        ("name && true", "this is string where a bool should be"),
        ("has(name)", "has() takes a selection such as fields.x"),
        ("if == 1", "the name 'if' is reserved by the language"),
        ("9223372036854775808 > 0", "the number 9223372036854775808 does not fit 64 bits"),
        ("1e999 > 0.0", "the number 1e999 is too large"),
        ('"\\q" == ""', r"\q is no escape; write \\q for a backslash, or r'...' for text without escapes"),
        ('"\\ud800" == ""', r"\ud800 is no character"),
        ('name.matches("[a")', "cannot read the regular expression '[a': a [ is not closed (at character 14)"),
        (
            'duration("1d") > duration("1h")',
            "the string '1d' cannot be converted to google.protobuf.Duration: write numbers with the units",
        ),
        ('"%d".format(["a"]) == ""', "%d of format takes int, uint, double, not string"),
        ("google.protobuf.Timestamp{} == time", "messages of protocol buffers cannot be made here"),
        (f"{'(' * 200}true{')' * 200}", "it is nested too deeply; make it simpler"),
        (f"1{' + 1' * 1000} == 1", "it is nested too deeply; make it simpler"),
        ("true &&\n  nome == 'x'", "(at line 2, character 3 of the expression)"),
    ],
)
def test_what_is_refused_is_told_with_its_place(text: str, wanted: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(text)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("fields.nope > 1", "there is no key 'nope'"),
        ("fields.id > 1", "'>' cannot be applied to (string, int)"),
        ("fields.count / 0 == 1", "division by zero"),
        ("fields.count * 9223372036854775807 > 0", "the integer leaves its 64 bits"),
        ("uint(fields.neg) > 0u", "the unsigned integer leaves its 64 bits"),
        ("int(fields.id) == 1", "the string '24cxnwr3480k' cannot be converted to int"),
        ('time.getHours("Nowhere/City") == 1', "unknown time zone 'Nowhere/City'"),
        ("fields.value && true", "15.0 is no bool"),
        ("[1, 2][fields.count] == 1", "the index 18 is not within the list"),
        ("{[1]: 2} == {}", "a list or a map cannot be a key of a map"),
        ("fields.id.substring(20) == ''", "the position 20 is not within the text"),
        ('timestamp("9999-12-31T23:59:59Z") + duration("1s") > time', "the time is not between year 1 and year 9999"),
    ],
)
def test_what_fails_says_why(text: str, wanted: str) -> None:
    with pytest.raises(ERRORS) as caught:
        Expression(text)(METRIC)
    assert explain_failure(caught.value) == wanted


def test_hundreds_of_alternatives_are_fine() -> None:
    either = Expression(" || ".join(f'name == "n{number}"' for number in range(1000)))
    assert not either(METRIC)
    assert either(Metric("n999", {}, {}, 0))


def test_text_over_several_lines_and_comments() -> None:
    assert Expression('// the one\r\nname ==\n  "cpu" // only\n')(METRIC)
    assert Expression("\"\"\"a\r\nb\"\"\" == '''a\nb'''")(METRIC)


def test_an_evaluation_leaves_nothing_for_the_next() -> None:
    expression = Expression('fields.exists(k, k == "x" && fields.map(v, fields[v]).exists(v, v == 1))')
    assert expression(Metric("m", {}, {"x": 1}, 0))
    assert not expression(Metric("m", {}, {"y": 1}, 0))
    assert not expression(Metric("m", {}, {}, 0))


PIECES = [
    *(
        [
            "name",
            "tags",
            "fields",
            "time",
            "fields.count",
            "fields.id",
            "tags.host",
            "fields.nope",
            "x",
            "1",
            "-1",
            "0u",
            "1.5",
            "'a'",
            "b'a'",
            "r'\\d'",
            "true",
            "null",
        ]
    ),
    *(
        [
            "&&",
            "||",
            "!",
            "==",
            "!=",
            "<",
            ">",
            "<=",
            ">=",
            "+",
            "-",
            "*",
            "/",
            "%",
            "in",
            "?",
            ":",
            ".",
            ",",
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
        ]
    ),
    *(
        [
            "size(",
            "has(",
            ".all(x,",
            ".map(x,",
            ".matches(",
            ".format([",
            "math.greatest(",
            "int(",
            "string(",
            "duration(",
            "timestamp(",
            "type(",
        ]
    ),
    *("\n", '"', "`", "\\", "//", "=", "&", "0x", "1e", "ä", "\x00", "\ud800"),
]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=25).map(" ".join)))
def test_any_text_is_an_expression_or_refused_in_one_line(text: str) -> None:
    found, reason = outcome(text)
    assert "\n" not in reason
    assert bool(reason) is (found in ("fails", "refused"))


LEAVES = st.sampled_from(
    [
        "name",
        "tags",
        "fields",
        "time",
        "fields.count",
        "fields.id",
        "fields.value",
        "tags.host",
        "1",
        "2u",
        "1.5",
        "'a'",
        "true",
        "[1]",
        "{}",
    ]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "in", "&&", "||"]), inner
        ).map(lambda t: f"({' '.join(t)})"),
        st.tuples(
            inner, st.sampled_from(["size()", "reverse()", "getHours()", "exists(x, x == 1)", "map(x, x)", "y"])
        ).map(".".join),
        st.tuples(
            st.sampled_from(["size", "int", "uint", "double", "string", "bool", "type", "dyn", "math.abs"]), inner
        ).map(lambda t: f"{t[0]}({t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} ? {t[1]} : {t[2]})"),
        st.tuples(inner, inner).map(lambda t: f"{t[0]}[{t[1]}]"),
    ),
    max_leaves=12,
)


@given(TREES, TREES)
def test_well_formed_text_gives_a_bool_or_fails_with_a_reason(one: str, other: str) -> None:
    text = f"dyn({one}) == {other} || true"
    if outcome(text)[0] != "refused":
        assert outcome(text) == ("true", "")  # whatever fails, the other side decides
        assert outcome(f"dyn({one}) == {other} && false") == ("false", "")


def test_is_imported_where_a_configuration_uses_it_and_nowhere_else() -> None:
    code = "import sys, pyagent.cli.run, pyagent.runtime.process; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "pyagent.config.filters" in modules
    assert not [name for name in modules if name.startswith("pyagent.cel") or name == "pyagent.kit.regex"]

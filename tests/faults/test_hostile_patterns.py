"""Patterns and expressions of a configuration that somebody else may edit, on texts that anybody may send.

Each case runs in a process of its own, which is ended after a minute of work and may not take half a gigabyte: what is right takes
milliseconds and a few megabytes, what is wrong takes hours or all there is.
"""

import pytest
from hostile import run

GLOBS = [
    (["*cpu*load*avg"], ".", "cpuload" * 8000),
    (["*a*a*a*a*a*a*b"], ".", "a" * 60_000),
    (["**a*[!x]?????x"], ".", "ab" * 30_000),
    (["a*b**c*d**e*f"], ".", "abcde." * 10_000),
    (["{a,a}" * 40 + "*x"], "", "a" * 40 + "b"),
    (["{a,b,c}" * 30 + "*x"], "", "abc" * 10_000),
    (["{aa,a}" * 60 + "*x"], "", "a" * 10_000),
    (["*{aa,a}" * 30 + "x"], "", "ab" * 10_000),
    (["{*a,*b}" * 30 + "x*"], "", "ab" * 10_000),
    (["{" * 40 + "a,a" + "}" * 40 + "*"], "", "b" * 10_000),
    (["{?,?}" * 40], "", "a" * 41),
]


@pytest.mark.parametrize(("patterns", "separators", "text"), GLOBS, ids=[patterns[0][:14] for patterns, _, _ in GLOBS])
def test_a_name_is_matched_in_linear_time(patterns: list[str], separators: str, text: str) -> None:
    code = f"from pyagent.kit.glob import compile_patterns as c; print(c({patterns!r}, {separators!r})({text!r}))"
    assert run(code) == "False"


@pytest.mark.parametrize("pattern", ["{" * 20_000 + "*", "*{ab,a}" * 300])
def test_a_glob_that_is_too_much_is_refused(pattern: str) -> None:
    code = f"""
from pyagent.kit.glob import compile_patterns
try:
    compile_patterns([{pattern!r}])
except ValueError as error:
    print(error)
"""
    assert "braces" in run(code)


@pytest.mark.parametrize(
    "pattern", ["/etc/" + "{a,a}" * 40, "/etc/" + "{b,c}" * 40, "{" * 20_000 + "}" * 20_000, "/etc/{a}" * 5000]
)
def test_files_are_looked_for_by_a_bounded_number_of_patterns(pattern: str) -> None:
    code = f"""
from pyagent.kit.globpath import match_files
try:
    print(match_files({pattern!r}))
except ValueError as error:
    print(error)
"""
    assert run(code)


def test_a_name_of_a_file_is_matched_in_linear_time() -> None:
    code = """
import os, tempfile
from pyagent.kit.globpath import match_files
with tempfile.TemporaryDirectory() as folder:
    open(os.path.join(folder, "a" * 250), "w").close()
    print(match_files(folder + "/" + "*a" * 20 + "*b"))
"""
    assert run(code) == "[]"


def test_a_list_of_very_many_patterns_is_loaded_in_linear_time() -> None:
    """Each kind of them, in each list of a plugin."""
    code = """
from pyagent.api import Metric
from pyagent.config.plan import FilterOptions
from pyagent.pipeline.filters import compile_selection
forms = ("m{}*", "*{}m", "*m{}*x", "m.{}?", "m{}[0-9]", "m{}{{a,b}}*", "m{}{{aa,b}}*", "m.*.{}", "a.**.{}.*")
for form in forms:
    patterns = tuple(map(form.format, range(20_000)))
    options = FilterOptions(namepass=patterns, namepass_separator=".", tagpass={"t": patterns}, fieldexclude=patterns)
    selection = compile_selection(options)
    for name in ("m7", "m.7.7", "a.b.c.7.d", "nothing"):
        selection.select([Metric(name, {"t": name}, {"f": 1}, 0)])
print("done")
"""
    assert run(code) == "done"


def test_answers_about_long_names_are_not_kept() -> None:
    """10,000 names of 64 kB are 640 MB."""
    code = """
from pyagent.api import Metric
from pyagent.config.plan import FilterOptions
from pyagent.pipeline.filters import compile_selection
options = FilterOptions(namepass=("*y",), tagpass={"t": ("*y",)}, fieldexclude=("*y",), tagexclude=("*y",))
selection = compile_selection(options)
for number in range(10_000):
    name = f"{number:064000}"
    assert not selection.select([Metric(name, {"t": name}, {"f": 1}, 0)])
    selection.modify([Metric(name, {name: name}, {name: 1}, 0)])
for number in range(100_000):
    selection.modify([Metric("m", {}, {f"{number:0400}": 1}, 0)])
print("done")
"""
    assert run(code) == "done"


LIST = f"[{','.join(map(str, range(100)))}]"
SHARED = "[[1]]" + ".map(x, [x, x])" * 60
EXPRESSIONS = {
    "nested macros": f"{LIST}.all(a, {LIST}.all(b, {LIST}.all(c, {LIST}.all(d, {LIST}.all(e, true)))))",
    "texts that double": "['ab']" + ".map(x, x + x)" * 60 + "[0] == 'x'",
    "quotes that double": "['\"']" + ".map(x, strings.quote(x))" * 60 + "[0] == 'x'",
    "fixed texts": "'a'" + ".replace('a', 'aaaaaaaaaaaaaaaa')" * 20 + " == 'x'",
    "replace": "tags.long.replace('x', tags.long) == 'x'",
    "join": f"[{','.join(['tags.long'] * 50)}].join(tags.long) == 'x'",
    "split": "tags.long.split('').all(x, tags.long.split('').all(y, true))",
    "lists of lists": f"{SHARED} == {SHARED}",
    "lists of lists in a text": f"'%s'.format([{SHARED}]) == 'x'",
    "lists of lists in a message": f"dyn({SHARED}).startsWith('x')",
    "patterns in a round": "tags.long.split('').exists(x, tags.long.matches('(x+x+)+y'))",
    "patterns of the metric": "tags.long.split('').exists(x, tags.long.matches('y' + x))",
    "despite": f"{LIST}.all(a, {LIST}.all(b, {LIST}.all(c, {LIST}.all(d, 1/0 == 1)))) || true",
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_has_a_bound(name: str) -> None:
    """Its metrics pass, told once; and those that cost little are judged as ever."""
    code = f"""
import logging
from pyagent.api import Metric
from pyagent.pipeline.metricpass import passing
logging.basicConfig(format="%(message)s")
passes = passing({EXPRESSIONS[name]!r}, logging.getLogger("test"))
metrics = [Metric("m", {{"long": "x" * 64_000}}, {{"v": 1}}, 0)] * 1000
print(len(passes(metrics)))
"""
    done = run(code)
    assert done == "1000"


@pytest.mark.parametrize(
    "text",
    [
        "[1]" + "".join(".map(a, {a: a})" for _ in range(60)) + " == []",
        " || ".join(f"name == 'n{number}'" for number in range(5000)),
        "(" * 50_000,
        "1" * 200_000,
        "double('1" + "1" * 90_000 + "x') > 1.0",
    ],
    ids=["types that double", "many", "brackets", "too long", "digits"],
)
def test_an_expression_is_read_in_time(text: str) -> None:
    code = f"""
from pyagent.cel import Expression, ExpressionError
try:
    Expression({text!r})
except ExpressionError as error:
    assert len(str(error)) < 1000, len(str(error))
print("done")
"""
    assert run(code) == "done"


PATTERNS = ["(a+)+$", "^(a|a)*$", "(a?){25}a{25}", "a?" * 30 + "a" * 30, "(.*)(.*)(.*)(.*)x", "(x+x+)+y", "^(a*)*b"]


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_regular_expression_takes_no_more_than_a_moment(pattern: str, library: bool) -> None:
    if library:
        pytest.importorskip("re2", reason="google-re2 is not installed")
    code = f"""
import sys
if not {library}:
    sys.modules["re2"] = None
from pyagent.kit.regex import compile_regex
for text in ("a" * 24 + "!", "a" * 60_000 + "!"):
    try:
        compile_regex({pattern!r}).search(text)
    except ValueError as error:
        assert not {library} and "google-re2" in str(error), error
print("done")
"""
    assert run(code) == "done"


def test_numbers_and_keys_of_documents_are_read_in_linear_time() -> None:
    code = """
from pyagent.api import Duration
from pyagent.kit import gjson, numbers
digits = "1" * 200_000 + "x"
for pattern in (numbers._FLOAT, numbers._HEX_FLOAT):
    assert not pattern.fullmatch(digits) and not pattern.fullmatch("0x" + digits)
for value in (digits, "1" * 200_000):
    try:
        Duration(value)
    except ValueError:
        pass
assert not gjson.compile_pattern("*a*a*a*a*a*b").fullmatch("a" * 200_000)
print("done")
"""
    assert run(code) == "done"

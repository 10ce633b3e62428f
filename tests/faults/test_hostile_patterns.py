"""Patterns and expressions of a configuration that somebody else may edit, on texts that anybody may send.

Each case runs in a process of its own, which is ended after half a minute and may not take half a gigabyte: what is right takes
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
    code = f"from pyagent.api.glob import compile_patterns as c; print(c({patterns!r}, {separators!r})({text!r}))"
    assert run(code) == "False"


@pytest.mark.parametrize("pattern", ["{" * 20_000 + "*", "*{ab,a}" * 300])
def test_a_glob_that_is_too_much_is_refused(pattern: str) -> None:
    code = f"""
from pyagent.api.glob import compile_patterns
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
from pyagent.api.files import match_files
try:
    print(match_files({pattern!r}))
except ValueError as error:
    print(error)
"""
    assert run(code)


def test_a_name_of_a_file_is_matched_in_linear_time() -> None:
    code = """
import os, tempfile
from pyagent.api.files import match_files
with tempfile.TemporaryDirectory() as folder:
    open(os.path.join(folder, "a" * 250), "w").close()
    print(match_files(folder + "/" + "*a" * 20 + "*b"))
"""
    assert run(code) == "[]"


def test_answers_about_long_names_are_not_kept() -> None:
    """10,000 names of 64 kB are 640 MB."""
    code = """
from pyagent.api import Metric
from pyagent.config.plan import FilterOptions
from pyagent.pipeline.selection import compile_selection
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

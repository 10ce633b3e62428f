"""Every key that tomli returns has a line, and it is the line where the key stands."""

import datetime
import json
import re
from typing import Any

import tomli
from hypothesis import given, reject
from hypothesis import strategies as st

from pyagent.config.positions import Path, last_key, line_numbers, statement_lines


def paths(value: Any, path: Path = ()) -> set[Path]:
    found = {path} if path else set()
    if isinstance(value, dict):
        for key, item in value.items():
            found |= paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= paths(item, (*path, index))
    return found


def check(text: str) -> dict[Path, int]:
    """Every path has a line within the text, and a key's own name or an element's bracket is near it."""
    lines = line_numbers(text)
    wanted = paths(tomli.loads(text))
    assert wanted == set(lines)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
    rows = re.split(r"(?<=\n)", text)
    for path, span in statement_lines(text).items():
        assert list(tomli.loads("".join(rows[span.start : span.stop]))) == [path[-1]], "its lines, and no others"
        assert lines[path] == span.start + 1
    return lines


def test_lines_of_an_ordinary_configuration() -> None:
    lines = check(
        "# comment\n"
        "[agent]\n"
        '  interval = "10s" # every\n'
        "\n"
        "[[inputs.mem]]\n"
        "[[inputs.file]]\r\n"
        "  files = [ # several\r\n"
        '    "a",\r\n'
        "    'b',\n"
        "  ]\n"
        '  data = """\n'
        "# no comment\n"
        'key = "no key"\n'
        '"""\n'
        "  [inputs.file.tags]\n"
        '    "dc.name" = "x"\n'
        "[[inputs.mem]]\n"
        'tags = { room = "lab", rack = { row = 1 } }\n'
    )
    assert lines["agent",] == 2
    assert lines["inputs", "mem", 1, "tags", "rack", "row"] == 18
    assert lines["agent", "interval"] == 3
    assert lines["inputs",] == 5
    assert lines["inputs", "mem"] == 5
    assert lines["inputs", "mem", 0] == 5
    assert lines["inputs", "mem", 1] == 17
    assert lines["inputs", "file", 0, "files"] == 7
    assert lines["inputs", "file", 0, "files", 1] == 9
    assert lines["inputs", "file", 0, "data"] == 11
    assert lines["inputs", "file", 0, "tags", "dc.name"] == 16
    assert lines["inputs", "mem", 1, "tags", "rack", "row"] == 18


def test_a_table_that_is_declared_after_its_child_has_its_own_line() -> None:
    assert check("[a.b]\nx = 1\n[a]\ny = 2\n")["a",] == 3


def test_nested_arrays_of_tables_count_from_zero_in_each_parent() -> None:
    lines = check("[[a]]\n[[a.b]]\n[[a.b]]\n[[a]]\n[[a.b]]\nx = 1\n")
    assert lines["a", 0, "b", 1] == 3
    assert lines["a", 1, "b", 0, "x"] == 6


def test_values_that_look_like_structure() -> None:
    check(
        "a = ''''b''''\n"
        'c = """"d""""\n'
        'e = "x # \\" ] }"\n'
        "f = 1979-05-27 07:32:00\n"
        "g = [[1, 2], [], [[]]]\n"
        'h = [{a = 1, b.c = "]"}, {}]\n'
        "\"i\\u0041\" . 'j k' = +1_0.5e3\n"
        "l = '''\n[x]\ny = 1'''\n"
        "m = { n = [\n1, # one\n2 ], }\n"
    )


def test_the_last_key_before_a_fault_and_where_it_stood_before() -> None:
    assert last_key('a = 1\n[t]\nb = "x"\nb = "y"') == (("t", "b"), 4, 3)
    assert last_key("a = [1,\n2]\na = [\n{b = 1},\n[3]]") == (("a",), 3, 1)
    assert last_key('a = 1\nb = "unclosed') == (("b",), 2, None)
    assert last_key("") is None


# Documents of every kind that TOML has, with the layout chosen at random.

bare = st.text("abcAZ019_-", min_size=1, max_size=4)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
quoted = texts.map(lambda text: json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f"))
keys = st.one_of(bare, quoted)
strings = st.one_of(
    quoted,
    st.text("ab#'\"\\]}, \n=", max_size=8)
    .filter(lambda text: "'''" not in text and not text.endswith("'"))
    .map("'''{}'''".format),
    st.text("ab#' ]}=\n", max_size=8).map('"""{}"""'.format),
    st.text('ab#"\\ ]}=', max_size=8).map("'{}'".format),
)
scalars = st.one_of(
    strings,
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["true", "false", "inf", "-nan", "0xff", "1_000"]),
    st.datetimes(min_value=datetime.datetime(1000, 1, 1)).map(lambda moment: moment.isoformat(" ")),
)
space = st.sampled_from(["", " ", "\n", " # no ] comment }\n", "\r\n\t"])


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(space, values, space), max_size=3).map(
        lambda items: "[" + ",".join("".join(item) for item in items) + "]"
    )


def tables(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(keys, values), max_size=3).map(
        lambda items: "{" + ", ".join(f"{key} = {value}" for key, value in items) + "}"
    )


values = st.recursive(scalars, lambda inner: st.one_of(arrays(inner), tables(inner)), max_leaves=6)
dotted = st.lists(keys, min_size=1, max_size=3).map(" . ".join)
statements = st.one_of(
    st.tuples(dotted, values).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    dotted.map("[{}]".format),
    dotted.map("[[ {} ]]".format),
    st.just("# [comment] = 1"),
    st.just(""),
)


@given(st.lists(statements, max_size=8).map("\n".join))
def test_every_key_has_a_line(text: str) -> None:
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError:
        last_key(text)  # must not fail either, whatever is wrong
        return
    check(text)


@given(st.lists(st.tuples(bare, values), max_size=5, unique_by=lambda pair: pair[0]))
def test_a_key_stands_on_its_line(pairs: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in pairs)
    try:
        tomli.loads(text)
    except tomli.TOMLDecodeError:
        reject()  # a key twice in an inline table
    lines = check(text)
    for key, _ in pairs:
        assert text.split("\n")[lines[key,] - 1].startswith(f"{key} = ")


@given(st.text("[]{}=.,'\"#\\ \nab1", max_size=30))
def test_text_that_is_no_toml_does_no_harm(text: str) -> None:
    last_key(text)

"""Paths into documents. The examples are those of gjson's own description."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.kit.gjson import MISSING, compile_path

DOCUMENT: Any = {
    "name": {"first": "Tom", "last": "Anderson"},
    "age": 37,
    "children": ["Sara", "Alex", "Jack"],
    "fav.movie": "Deer Hunter",
    "friends": [
        {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"], "ok": True},
        {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"], "ok": False},
        {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"]},
    ],
    "deep": [[1, [2]], 3],
    "vals": [1, 0, None, "", "x", True, False],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("name.last", "Anderson"),
        ("name.first", "Tom"),
        ("age", 37),
        ("children", ["Sara", "Alex", "Jack"]),
        ("children.0", "Sara"),
        ("children.3", MISSING),
        ("children.first", MISSING),
        ("friends.1.first", "Roger"),
        ("child*.2", "Jack"),
        ("c?ildren.0", "Sara"),
        (r"fav\.movie", "Deer Hunter"),
        ("fav.movie", MISSING),
        ("friends.#", 3),
        ("friends.#.age", [44, 68, 47]),
        ("friends.#.ok", [True, False]),
        ("age.#", MISSING),
        ('friends.#(last="Murphy").first', "Dale"),
        ('friends.#(last="Murphy")#.first', ["Dale", "Jane"]),
        ('friends.#(last=="Nobody").first', MISSING),
        ('friends.#(last=="Nobody")#.first', []),
        ("friends.#(age>45)#.last", ["Craig", "Murphy"]),
        ("friends.#(age<=44)#.last", ["Murphy"]),
        ("friends.#(age!=44)#.first", ["Roger", "Jane"]),
        ("friends.#(age>=68)#.first", ["Roger"]),
        ("friends.#(age<47)#.first", ["Dale"]),
        ('friends.#(first%"D*").last', "Murphy"),
        ('friends.#(first!%"D*").last', "Craig"),
        ("friends.#(ok==true)#.first", ["Dale"]),
        ("friends.#(ok==false)#.first", ["Roger"]),
        ("friends.#(ok)#.first", ["Dale", "Roger"]),
        ('friends.#(nets.#(=="fb"))#.first', ["Dale", "Roger"]),
        ('children.#(!%"*a*")', "Alex"),
        ('children.#(%"*a*")#', ["Sara", "Jack"]),
        ("vals.#(==~true)#", [1, "x", True]),
        ("vals.#(==~false)#", [0, None, "", False]),
        ("vals.#(==~null)#", [None]),
        ("vals.#(==~*)#", [1, 0, None, "", "x", True, False]),
        ("name|last", "Anderson"),
        ('friends.#(last="Murphy")#|0.first', "Dale"),
        ('friends.#(last="Murphy")#|first', MISSING),
        ("friends.#.first|1", "Roger"),
        ("children|@reverse", ["Jack", "Alex", "Sara"]),
        ("children.@reverse.0", "Jack"),
        ("name.@keys", ["first", "last"]),
        ("name.@values", ["Tom", "Anderson"]),
        ("deep.@flatten", [1, [2], 3]),
        ('deep.@flatten:{"deep":true}', [1, 2, 3]),
        ("@this.age", 37),
        ("name.@reverse", {"last": "Anderson", "first": "Tom"}),
    ],
)
def test_paths(path: str, found: Any) -> None:
    assert compile_path(path)(DOCUMENT) == found


@pytest.mark.parametrize("path", ["a.#(b", 'a.#(b=="c)', "@upper", "{a,b}", "[a,b]", 'a.#(b=="c"d)'])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="cannot read the path"):
        compile_path(path)


@given(st.text('abfriends.#()|@*?"\\=<>%!~01', max_size=20))
def test_any_path_gives_something_or_an_error(path: str) -> None:
    try:
        find = compile_path(path)
    except ValueError:
        return
    find(DOCUMENT)

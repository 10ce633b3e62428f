"""Texts that are no TOML, and the one line that says so; references in strings and in whole texts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent.api import ConfigError
from pyagent.config import SourceText
from pyagent.config.toml import Document, parse_document, printable_line


def parse(text: str, environ: dict[str, str] | None = None, **settings: bool) -> Document:
    return parse_document(SourceText("t.conf", text), environ or {}, **settings)


def refusal(text: str, environ: dict[str, str] | None = None, **settings: bool) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, environ, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a = 1\nb =\n", "t.conf:2: cannot read the TOML: the value is missing; write b = "),
        ("[a]\nx = 1\nx = 2\n", "t.conf:3: cannot read the TOML: 'x' is already set on line 2"),
        ("[[a.b]]\n[a.b]\n", "t.conf:2: cannot read the TOML: the table [a.b] is already set on line 1; write [[a.b]]"),
        ("[a]\n\n[a]\n", "t.conf:3: cannot read the TOML: the table [a] is already set on line 1"),
        ("a = [\n1]\na = [\n2]\n", "t.conf:3: cannot read the TOML: 'a' is already set on line 1"),
        ("a = 1\n[a]\n", "t.conf:2: cannot read the TOML: the table [a] is already set on line 1"),
        ("[i.f]\n[[i.f]]\n", "t.conf:2: cannot read the TOML: the table [i.f] is already set on line 1"),
        (
            "a = [1,\n2\n",
            "t.conf:2: cannot read the TOML: a comma or the closing ] is missing here in the list of 'a', which",
        ),
        ('a = """\n\n', "t.conf:1: cannot read the TOML: the text of 'a' that begins with three quotes is not closed"),
        (
            "[agent]\nn = $SIZE\n",
            't.conf:2: cannot read the TOML: environment references are replaced inside of strings only; put it in quotes: n = "$NAME"',
        ),
        ("\ufffe\n", "t.conf:1: cannot read the TOML: every line is a table"),
        ("\na = " + "9" * 5000, "t.conf:2: cannot read the TOML: "),
        ("a = " + "[" * 5000 + "]" * 5000, "t.conf:1: cannot read the TOML: it is nested too deeply"),
    ],
)
def test_what_is_no_toml(text: str, wanted: str) -> None:
    assert refusal(text).startswith(wanted)


def test_strict_references_are_replaced_in_values_only() -> None:
    environ = {"A": 'x", evil = "1', "K": "key"}
    document = parse('a = "$A"\nb = ["$K", {c = "${K}"}]\n"$K" = 1\n', environ)
    assert document.data == {"a": 'x", evil = "1', "b": ["key", {"c": "key"}], "$K": 1}


def test_loose_references_are_replaced_anywhere_but_in_comments() -> None:
    environ = {"N": "5", "K": "key"}
    document = parse('# ${M:?m}\n$K = ${N} # ${M:?m}\na = "$K"\n', environ, strict_env=False)
    assert document.data == {"key": 5, "a": "key"}
    assert document.at(("key",)) == "t.conf:2"


def test_old_references_know_no_escape() -> None:
    assert parse('a = "$$A"', {"A": "x"}, old_env=True).data == {"a": "$x"}
    assert parse('a = "$$A"', {"A": "x"}, old_env=True, strict_env=False).data == {"a": "$x"}


@pytest.mark.parametrize("strict_env", [True, False])
def test_a_required_variable_names_its_line(strict_env: bool) -> None:
    message = refusal('a = 1\nb = ["x",\n"${M:?set it}"]', strict_env=strict_env)
    name = "b: " if strict_env else ""
    assert message == f"t.conf:3: {name}required variable M is missing a value: set it"


@pytest.mark.parametrize("reference", ["${BIG}", "$BIG", "${BIG:-x}", "${NONE:-$BIG}", "${BIG:+$BIG}"])
@pytest.mark.parametrize("strict_env", [True, False])
def test_a_long_value_that_is_named_often(strict_env: bool, reference: str) -> None:
    """A hundred kilobytes, twenty thousand times: the text stays small, what it becomes would not."""
    text = "a = 1\nb = '''\n" + f"{reference} " * 20_000 + "'''"
    name = "b: " if strict_env else ""
    line = 2 if strict_env else 3
    assert refusal(text, {"BIG": "x" * 100_000}, strict_env=strict_env) == (
        f"t.conf:{line}: {name}the variable BIG, of 100,000 characters, does not fit: values may make a configuration "
        "4,194,304 characters longer in all; name it less often, or give it a shorter value"
    )


@pytest.mark.parametrize("strict_env", [True, False])
def test_values_of_a_configuration_are_counted_together(strict_env: bool) -> None:
    lines = [f'k{number} = "${{BIG}}"' for number in range(100)]
    big = {"BIG": "x" * 100_000}
    if strict_env:  # else the parser reads all of it, which takes a while
        assert len(parse("\n".join(lines[:41]), big).data) == 41
    assert refusal("\n".join(lines), big, strict_env=strict_env).startswith("t.conf:42: ")


def test_what_variables_make_of_a_text_from_a_url_is_no_more_than_it_may_be_itself() -> None:
    with pytest.raises(ConfigError, match=r"it has more than 5,000 plugins"):
        parse_document(SourceText("http://h/x", "$T\n" * 600), {"T": "[[inputs.mem]]\n" * 10}, strict_env=False)


@pytest.mark.parametrize("strict_env", [True, False])
def test_references_nested_without_end(strict_env: bool) -> None:
    text = "a = '" + "${A:-" * 3000 + "}" * 3000 + "'"
    assert "nested too deeply" in refusal(text, strict_env=strict_env)


def test_the_recorded_files_with_references(shared: Path) -> None:
    folder = shared / "corpus/telegraf/config/testdata"
    environ = {"MY_TEST_SERVER": "192.168.1.1", "PORT": "9999", "COMMAND": 'say "hi" # now'}
    for name in ("envvar_non_string.conf", "envvar_non_string_multiline.conf"):
        text = (folder / name).read_text()
        assert parse(text, environ, strict_env=False).data["inputs"]["memcached"][0]["port"] == 9999
        assert "in quotes" in refusal(text, environ)
    data = parse((folder / "envvar_valid_multiline.conf").read_text(), environ).data
    assert data["inputs"]["memcached"][0]["command"].strip() == 'say "hi" # now'


@given(st.text("[]{}=.,'\"#\\$ \nab1é\ud83d\x00", max_size=40), st.booleans())
def test_any_text_is_read_or_refused_with_its_line(text: str, strict_env: bool) -> None:
    try:
        parse(text, {"a": "b"}, strict_env=strict_env)
    except ConfigError as error:
        place, _, _ = str(error).partition(": ")
        assert 1 <= int(place.removeprefix("t.conf:")) <= text.count("\n") + 1
        str(error).encode()


def test_one_line() -> None:
    assert printable_line("a\n b\x1b[0m \ud800") == "a b\\x1b[0m \\ud800"


@pytest.mark.parametrize(
    "text",
    ["[[inputs.mem]]\n" * 5001, "[a.b]\n" * 50_001, "x = [" + "1," * 50_001 + "]", "x = {" + "a=1," * 25_001 + "}"],
)
def test_a_text_from_a_url_has_a_bound_on_what_is_in_it(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^http://server/x:1: cannot use the configuration: it has more than 5,000 plugins"
    ):
        parse_document(SourceText("http://server/x", text), {})


def test_a_text_of_a_thousand_plugins_is_taken_from_a_url() -> None:
    text = '[[inputs.mem]]\n  alias = "x"\n  namepass = ["a", "b", "c"]\n' * 1000
    assert len(parse_document(SourceText("http://server/x", text), {}).data["inputs"]["mem"]) == 1000

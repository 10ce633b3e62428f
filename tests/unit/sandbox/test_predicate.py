"""The predicate of a delete, with the words of InfluxDB's parser."""

import pytest

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.resources.predicate import Rule, check_expression, parse_predicate


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", []),
        ('a="1"', [Rule("a", True, "1")]),
        ("a=b AND c!=-5 and d<>1.5", [Rule("a", True, "b"), Rule("c", False, "-5"), Rule("d", False, "1.5")]),
        ('(a="1" AND (b="2" AND c="3"))', [Rule("a", True, "1"), Rule("b", True, "2"), Rule("c", True, "3")]),
        ('"my tag"="a\\"b"', [Rule("my tag", True, 'a"b')]),
        ("name=true", [Rule("name", True, "true")]),
        ("t=5m", [Rule("t", True, "5m")]),
    ],
)
def test_rules(text: str, rules: list[Rule]) -> None:
    assert parse_predicate(text) == rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('_field="f"', "delete by field is not supported"),
        (" ", "found EOF, expected identifier, string, number, bool at line 1, char 2"),
        ('a="b" AND', "found EOF, expected identifier, string, number, bool at line 1, char 10"),
        ('AND a="b"', "found AND, expected identifier, string, number, bool at line 1, char 1"),
        ("name=a", "found NAME, expected identifier, string, number, bool at line 1, char 1"),
        ("a=5x", "invalid duration"),
    ],
)
def test_what_a_second_reading_refuses(text: str, message: str) -> None:
    rules = parse_predicate(text)
    with pytest.raises(InfluxError) as refused:
        check_expression(text, rules)
    assert refused.value.message in (message, f"invalid request; error parsing predicate: {message}")


@pytest.mark.parametrize("text", ["", 'a="1"', '(a="1" AND b=-5)', "a=5m", "a=true", '_field!="f"'])
def test_what_a_second_reading_takes(text: str) -> None:
    check_expression(text, parse_predicate(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a="1" OR b="2"', "the logical operator OR is not supported yet at position 6"),
        ('a="1" b="2"', "the logical operator 0 is invalid"),
        ("(", "extra ( seen"),
        ('((a="1")', "extra ( seen"),
        ('a="1")', "extra ) seen"),
        ("a=~/x/", 'operator: "=~" at position: 1 is not supported yet'),
        ("a>1", 'invalid operator ">" at position: 1'),
        ("host.name=1", 'invalid operator "." at position: 4'),
        ("a", 'invalid operator "EOF" at position: 1'),
        ("5=a", "bad tag key, at position 0"),
        ("user=a", "bad logical expression, at position 0"),
        ("=a", "bad logical expression, at position 0"),
        ("a=", 'bad tag value: "", at position 2'),
        ("a='b'", 'bad tag value: "b", at position 2'),
        ("a=select", 'bad tag value: "", at position 2'),
        ('_field="f" OR', "the logical operator OR is not supported yet at position 11"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(InfluxError) as refused:
        parse_predicate(text)
    assert refused.value.message == message

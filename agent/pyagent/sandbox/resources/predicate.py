"""The predicate of a delete: comparisons of tags with text, all of which must hold."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pyagent.sandbox.errors import InfluxError, invalid

_TOKEN: Final = re.compile(
    r"""(?P<SPACE>\s+)|"(?P<IDENT>(?:\\.|[^"\\\n])*)"|'(?P<STRING>(?:\\.|[^'\\\n])*)'|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"""
    r"""|(?P<NUMBER>\d+\.\d*|\.\d+)|(?P<DURATIONVAL>\d+[A-Za-zµ][A-Za-zµ0-9]*)|(?P<INTEGER>\d+)"""
    r"""|(?P<operator>=~|!~|!=|<>|[<>]=?|::|[-+*/%&|^(),;:.=])|(?P<ILLEGAL>.)""",
    re.DOTALL,
)
_WORDS: Final = (
    "ALL ALTER ANALYZE AND ANY AS ASC BEGIN BY CARDINALITY CREATE CONTINUOUS DATABASE DATABASES DEFAULT DELETE DESC "
    "DESTINATIONS DIAGNOSTICS DISTINCT DROP DURATION END EVERY EXACT EXPLAIN FALSE FIELD FOR FROM GRANT GRANTS GROUP "
    "GROUPS IN INF INSERT INTO KEY KEYS KILL LIMIT MEASUREMENT MEASUREMENTS NAME OFFSET ON OR ORDER PASSWORD POLICY "
    "POLICIES PRIVILEGES QUERIES QUERY READ REPLICATION RESAMPLE RETENTION REVOKE SELECT SERIES SET SHARD SHARDS "
    "SHOW SLIMIT SOFFSET STATS SUBSCRIPTION SUBSCRIPTIONS TAG TO TRUE USER USERS VALUES WHERE WITH WRITE"
)
_KEYWORDS: Final = frozenset(_WORDS.split())


_OPERANDS: Final = ("IDENT", "STRING", "NUMBER", "INTEGER", "DURATIONVAL", "TRUE", "FALSE")
_OPERATORS: Final = ("AND", "OR", "=", "!=")
_DURATION: Final = re.compile(r"(?:\d+(?:ns|ms|[uµsmhdw]))+")


class Rule(NamedTuple):
    key: str
    equal: bool
    value: str


class _Token(NamedTuple):
    kind: str
    """As InfluxQL prints it: an operator itself, a keyword in capitals, or such as IDENT."""
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    for found in _TOKEN.finditer(text):
        kind = str(found.lastgroup)
        value = found[kind]
        if kind == "SPACE":
            continue
        if kind == "word":
            kind, value = (value.upper(), "") if value.upper() in _KEYWORDS else ("IDENT", value)
        elif kind == "operator":
            kind, value = "!=" if value == "<>" else value, ""
        elif kind in ("IDENT", "STRING"):
            value = re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] == "n" else escaped[1], value)
        yield _Token(kind, value, found.start())


def parse_predicate(text: str) -> list[Rule]:
    """The rules that must all hold.

    Raises:
        InfluxError: it is not a conjunction of comparisons of tags with text.
    """
    return _Parser(text).logical() if text else []


def check_expression(text: str, rules: list[Rule]) -> None:
    """InfluxDB reads the same text a second time, as InfluxQL; `rules` are those that the first reading found.

    Raises:
        InfluxError: it is no expression of InfluxQL, or names a field.
    """
    if text:
        _check_influxql([*_tokens(text), _Token("EOF", "", len(text))])
    if any(rule.key == "_field" and rule.equal for rule in rules):
        raise InfluxError("not implemented", "delete by field is not supported")


def _check_influxql(tokens: list[_Token]) -> None:
    is_operand = True
    for token in tokens:
        if is_operand and token.kind in _OPERANDS:
            if token.kind == "DURATIONVAL" and not _DURATION.fullmatch(token.text):
                raise invalid("invalid request; error parsing predicate: invalid duration")
            is_operand = False
        elif is_operand and token.kind not in ("(", "-", "+"):
            found = f"found {token.text or token.kind}, expected identifier, string, number, bool"
            raise invalid(f"invalid request; error parsing predicate: {found} at line 1, char {token.at + 1}")
        elif token.kind in _OPERATORS:
            is_operand = True
        elif not is_operand and token.kind != ")":
            return  # what is behind the expression is not read


class _Parser:
    """InfluxDB's own reading, with its mistakes: two comparisons side by side need the AND only for the operator's sake."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), _Token("EOF", "", len(text))]
        self._next = 0
        self._open = 0

    def _take(self) -> _Token:
        token = self._tokens[min(self._next, len(self._tokens) - 1)]
        self._next += 1
        return token

    def logical(self) -> list[Rule]:
        parts: list[list[Rule]] = []
        joined = False
        while True:
            token = self._take()
            if token.kind in ("NUMBER", "INTEGER", "NAME", "IDENT"):
                self._next -= 1
                parts.append([self._rule()])
            elif token.kind == "AND":
                joined = True
            elif token.kind == "OR":
                raise invalid(f"the logical operator OR is not supported yet at position {token.at}")
            elif token.kind == "(":
                self._open += 1
                before = self._open
                parts.append(self.logical())
                if self._open != before - 1:
                    raise invalid("extra ( seen")
            elif token.kind in (")", "EOF"):
                self._open -= token.kind == ")"
                if self._open < 0:
                    raise invalid("extra ) seen")
                if len(parts) > 1 and not joined:
                    raise invalid("the logical operator 0 is invalid")
                return [rule for part in parts for rule in part]
            else:
                raise invalid(f"bad logical expression, at position {token.at}")

    def _rule(self) -> Rule:
        key, operator = self._take(), self._take()
        if key.kind not in ("IDENT", "NAME"):
            raise invalid(f"bad tag key, at position {key.at}")
        if operator.kind in ("=~", "!~"):
            raise invalid(f'operator: "{operator.kind}" at position: {operator.at} is not supported yet')
        if operator.kind not in ("=", "!="):
            raise invalid(f'invalid operator "{operator.kind}" at position: {operator.at}')
        sign, value = "", self._take()
        while value.kind == "-":
            sign, value = "-", self._take()
        if value.kind in ("TRUE", "FALSE"):
            value = value._replace(text=value.kind.lower())
            sign = ""
        elif value.kind not in ("IDENT", "DURATIONVAL", "NUMBER", "INTEGER"):
            shown = value.text.replace("\\", "\\\\").replace('"', '\\"')
            raise invalid(f'bad tag value: "{shown}", at position {value.at}')
        return Rule(key.text or "name", operator.kind == "=", sign + value.text)

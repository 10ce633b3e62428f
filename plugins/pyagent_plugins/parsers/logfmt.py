"""Lines of `key=value` pairs, as many programs log them.

Each line is a metric, and each pair a field, or a tag. A value takes the first type that fits: integer, float, boolean,
text. What is no such line is an error, as in Telegraf, and costs all of the data that came with it.
"""

import re
from typing import Annotated

from pyagent.api import FieldValue, Metric, Options, ParseError, Parser, option
from pyagent.kit.filter import name_filter
from pyagent.kit.numbers import guess_value
from pyagent.kit.page_room import check_room
from pyagent.kit.records import read_pairs

__all__ = ["Logfmt", "LogfmtOptions"]


class LogfmtOptions(Options, frozen=True):
    logfmt_tag_keys: Annotated[list[str], option("keys that are tags, wildcards allowed")] = []


# Possessive, so that a text that is no such line costs no more than one pass.
_PAIR = re.compile(
    r"""[\0-\ ]*+([^\0-\ ="]++)(?:="((?:[^"\\]++|\\.)*+)"|=([^\0-\ ="]*+)(?=[\0-\ ]|\Z)|(?=[\0-\ ]|\Z))""", re.DOTALL
)
_BLANKS = "".join(map(chr, range(33)))
_NO_TEXT = re.compile("[\ud800-\udfff\ufffd]")
"""In a key: what is not UTF-8."""


class Logfmt(Parser[LogfmtOptions]):
    def setup(self) -> None:
        self._is_tag = name_filter(self.options.logfmt_tag_keys, names=("logfmt_tag_keys", ""), include_all=False)
        self._has_tags = bool(self.options.logfmt_tag_keys)

    def parse(self, data: bytes) -> list[Metric]:
        check_room(len(data), data.count(b"\n"), data.count(b"="))
        if read_pairs is not None:
            metrics = read_pairs(
                data, self.measurement, dict(self.default_tags), self._role, guess_value, _plain_unquoted, self.now
            )
            if metrics is not None:
                return metrics
        return self.reference(data)

    def _role(self, key: str) -> int:
        """As `pyagent.kit.records.read_pairs` wants it."""
        return int(self._has_tags and self._is_tag(key))

    def reference(self, data: bytes) -> list[Metric]:
        """What `parse` makes of any data, in Python alone."""
        text = data.decode("utf-8", "surrogateescape")
        now, name, default, is_tag = self.now, self.measurement, self.default_tags, self._is_tag
        metrics = []
        for number, line in enumerate(text.split("\n"), start=1):
            fields: dict[str, FieldValue] = {}
            tags: dict[str, str] = {}
            scan = _PAIR.scanner(line).match  # type: ignore[attr-defined]  # typeshed does not know it
            end = 0
            while (pair := scan()) is not None:
                end = pair.end()
                key, quoted, value = pair.groups()
                if not key.isascii() and _NO_TEXT.search(key):
                    raise ParseError(f"column {pair.start(1) + 1}: the key is not UTF-8", number)
                if quoted is not None:
                    value = quoted if "\\" not in quoted else _unquoted(quoted, number, pair.start(2))
                if not value:
                    continue
                if self._has_tags and is_tag(key):
                    tags[key] = value
                else:
                    fields[key] = guess_value(value)
            if end < len(line) and (rest := line[end:].lstrip(_BLANKS)):
                raise ParseError(_mistake(rest, len(line) - len(rest)), number)
            if fields or tags:
                metrics.append(Metric(name, {**default, **tags} if default else tags, fields, now()))
        return metrics


def _mistake(rest: str, column: int) -> str:
    """What is wrong with a pair; `column`: where it begins, from 0."""
    key = re.match(r'[^\0- ="]*', rest)
    length = key.end() if key else 0
    if length and rest[length : length + 2] == '="':
        return f"column {column + length + 2}: the quotes are not closed"
    if length and rest[length : length + 1] == "=":
        value = re.compile(r'[^\0- ="]*').match(rest, length + 1)
        length = value.end() if value else length
    return f"column {column + length + 1}: there is a {rest[length : length + 1]} where none can be"


_ESCAPE = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\(.)", re.DOTALL
)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "'": "'", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONTROL = re.compile("[\0-\x1f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _plain_unquoted(text: str) -> str:
    return _unquoted(text, 0, 0)


def _unquoted(text: str, line: int, column: int) -> str:
    """A quoted value with escapes, which are JSON's."""
    if found := _CONTROL.search(text):
        raise ParseError(f"column {column + found.start() + 1}: a control character within quotes", line)

    def replaced(escape: re.Match[str]) -> str:
        high, low, code, other = escape.groups()
        if high:
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
        if code:
            return _SURROGATE.sub("\ufffd", chr(int(code, 16)))
        if other not in _ESCAPES:
            raise ParseError(f"column {column + escape.start() + 1}: {escape[0][:80]} is no escape", line)
        return _ESCAPES[other]

    return _ESCAPE.sub(replaced, _SURROGATE.sub("\ufffd", text))

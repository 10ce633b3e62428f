"""References to environment variables (reference: telegraf 3.3, 3.4).

`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+other}`, `${NAME+other}`, `${NAME:?message}`,
`${NAME?message}` and `$$` for a dollar sign. Defaults may nest references. What is not set, and what is no reference, stays
as it is: `${1}` of a regular expression, for one.
"""

import re
from collections.abc import Mapping

__all__ = ["expand", "strip_comments"]

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
# The operand is greedy on purpose: up to the line's last brace. The first closing one is then found by counting, and
# what lies behind it is expanded by the rules for nested text.
_NO_ESCAPE = rf"(?P<named>{_NAME})|\{{(?:(?P<braced>{_NAME}(?::?[-+?].*)?)\}}|(?P<invalid>))"
_REFERENCE = re.compile(rf"\$(?:(?P<escaped>\$)|{_NO_ESCAPE})")
_OLD_REFERENCE = re.compile(rf"\$(?:{_NO_ESCAPE})")
_BRACED = re.compile(rf"({_NAME})(:?[-+?])?(.*)")
_BRACE = re.compile(r"\$\{|\}")

# Strings are matched only to step over a # inside of them; a comment takes the blanks before it along.
_COMMENT = re.compile(
    r'("""(?:[^\\]|\\.)*?(?:"{3,5}|\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r')|[ \t]*+#[^\n\r]*+',
    re.DOTALL,
)  # fmt: skip


class _Malformed(Exception):
    pass


def expand(text: str, environ: Mapping[str, str], *, escapes: bool = True) -> str:
    """`text` with its references replaced, once: values are not expanded again.

    `escapes=False`: `$$` is no escape, as before Telegraf 1.27. Raises ValueError for a required variable that is missing.
    """
    if "$" not in text:
        return text

    def replace(match: re.Match[str]) -> str:
        if match.lastgroup == "escaped":
            return "$"
        if match.lastgroup == "named":
            return environ.get(match["named"], match[0])
        if match["braced"] is None:
            return match[0]
        try:
            return _braced(match[0], environ, unset=match[0])
        except _Malformed:
            return match[0]

    return (_REFERENCE if escapes else _OLD_REFERENCE).sub(replace, text)


def _nested(text: str, environ: Mapping[str, str]) -> str:
    """The rules inside a default, and after a reference with an operator: what is not set is empty."""

    def replace(match: re.Match[str]) -> str:
        if match.lastgroup == "escaped":
            return "$"
        if match.lastgroup == "named":
            return environ.get(match["named"], "")
        if match["braced"] is None:
            raise _Malformed
        return _braced(match[0], environ, unset="")

    return _REFERENCE.sub(replace, text)


def _braced(text: str, environ: Mapping[str, str], *, unset: str) -> str:
    end = _closing(text)
    match = _BRACED.fullmatch(text, 2, end)
    assert match is not None
    name, operator, word = match.groups()
    value = environ.get(name)
    if operator is None:
        return unset if value is None else value
    word = _nested(word, environ)
    missing = not value if operator.startswith(":") else value is None
    if operator.endswith("?") and missing:
        raise ValueError(f"required variable {name} is missing a value: {word}")
    if operator.endswith("-") and missing:
        value = word
    if operator.endswith("+") and not missing:
        value = word
    return (value or "") + _nested(text[end + 1 :], environ)


def _closing(text: str) -> int:
    """Index of the brace that closes the reference at the start of `text`, else of the last character."""
    depth = 0
    for match in _BRACE.finditer(text):
        depth += 1 if match[0] == "${" else -1
        if depth == 0:
            return match.start()
    return len(text) - 1


def strip_comments(text: str) -> str:
    """`text` without its comments, so that references inside of them are never looked at. Lines keep their numbers."""
    return _COMMENT.sub(lambda match: match[1] or "", text)

"""Regular expressions as Go has them. No pattern, on no text, takes longer than the text's length allows."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from pyagent.kit.regex import longest_text
from pyagent.sandbox.errors import InfluxError, invalid

_CLASSES: Final[dict[str, str]] = {
    "digit": "0-9", "space": r"\s", "word": r"\w", "alpha": "A-Za-z", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z",
    "xdigit": "0-9A-Fa-f", "punct": r"!-/:-@\[-`{-~", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f", "print": " -~",
    "graph": "!-~", "ascii": r"\x00-\x7f",
}  # fmt: skip
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MEMORY: Final = 8 << 20
"""Bytes that RE2 may take for one expression."""
_LONGEST_TEXT: Final = 16 << 20
"""Characters, that others need not wait long for their turn; a stored text has a million."""


class Regex:
    """Python's `re` runs it where all ways to match are few enough for the length of the text, else google-re2 does.

    `text`: as the script has it. Raises ValueError where it is no regular expression.
    """

    __slots__ = ("_linear", "_longest", "_python", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._linear: Any = None
        try:
            self._python, self._longest = _compiled(text), longest_text(text)
        except ValueError as error:
            self._longest = -1
            try:
                self._re2()  # it knows more, such as scripts
            except InfluxError:
                raise error from None

    def search(self, value: str) -> Any:
        """The first match, with the interface of Python's; None where there is none."""
        return self._python.search(value) if len(value) <= self._longest else self._other(value).search(_plain(value))

    def finditer(self, value: str) -> Iterator[Any]:
        if len(value) <= self._longest:
            return self._python.finditer(value)
        found: Iterator[Any] = self._other(value).finditer(_plain(value))
        return found

    def sub(self, replacement: Callable[[Any], str], value: str) -> str:
        made: list[str] = []
        at = 0
        for found in self.finditer(value):
            made += (value[at : found.start()], replacement(found))
            at = found.end()
        return "".join(made) + value[at:]

    def _other(self, value: str) -> Any:
        if len(value) > _LONGEST_TEXT:
            raise invalid(f"a text of {len(value)} characters is too long for a regular expression")
        return self._re2()

    def _re2(self) -> Any:
        if self._linear is None:
            try:
                import re2
            except ImportError:
                raise invalid(
                    f"the regular expression {self.text[:100]} can match a text in too many ways for this server without "
                    "the library google-re2; install the extra `regex`"
                ) from None
            options = re2.Options()
            options.max_mem, options.log_errors = _MEMORY, False
            try:
                self._linear = re2.compile(self.text, options)
            except re2.error as error:
                raise invalid(f"error parsing regexp: {error}: `{self.text[:100]}`") from None
        return self._linear


def _plain(value: str) -> str:
    """Without what is not Unicode, each with a character in its place."""
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


def _compiled(text: str) -> re.Pattern[str]:
    """Go's syntax; the few spellings that Python has otherwise are translated."""
    changed = re.sub(r"\[:(\w+):\]", lambda found: _CLASSES.get(found[1], found[0]), text)
    changed = re.sub(r"\\([zQE]|[pP](?:\w|\{\^?\w+\}))", _go_escape, changed)
    changed = changed.replace("(?U)", "")
    try:
        return re.compile(changed, re.ASCII)
    except re.error as error:
        raise ValueError(error.msg) from None
    except (OverflowError, RecursionError):
        raise ValueError("it is too large") from None


def _go_escape(found: re.Match[str]) -> str:
    name = found[1]
    if name == "z":
        return r"\Z"
    if name[0] in "pP":
        negated = (name[0] == "P") != ("^" in name)
        kind = name[1:].strip("{}^")
        inner = {
            "L": "A-Za-z\u00aa-\U0002ffff",
            "Lu": "A-Z",
            "Ll": "a-z",
            "N": "0-9",
            "Nd": "0-9",
            "P": r"!-/:-@\[-`{-~",
        }.get(kind)
        if inner is not None:
            return f"[{'^' if negated else ''}{inner}]"
    return found[0]

r"""Regular expressions as Go reads them (RE2's syntax), on texts that come from anybody.

Where the library google-re2 is installed (the extra `regex`), it runs them, in time proportional to the text. Without it, they
are translated for Python's `re`, which goes back and tries again: there a repetition within a repetition is refused, and so
is a text so long that all the ways to match it could take more than a moment.

The translation covers what both understand differently: `$` is the very end of the text, `\d \s \w \b` and their opposites
know ASCII only, `(?i)` may stand anywhere, and there are `[[:alpha:]]`, `\pL`, `\Q...\E`, `\z`, `\x{10FFFF}`, `(?<name>...)`
and `(?U)`. What RE2 has not is refused: references back, looking around, possessive and atomic groups. Without google-re2,
scripts (`\p{Greek}`) are refused too: Python does not know them.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from pyagent.kit.regex_syntax import Translator

__all__ = ["Regex", "Template", "compile_regex", "compile_template", "longest_text"]

Template = Sequence[str | tuple[int, ...]]
"""What takes the place of a match: pieces of text, and groups by number, of which the first that took part counts."""

_MEMORY = 2 << 20
"""Bytes that RE2 may take for one expression."""
_LONGEST = 100_000


class Regex(Protocol):
    """A compiled expression. All that look at a text raise ValueError for one that is too long for it."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups in their order, empty where one has none."""

    @property
    def weight(self) -> int:
        """Steps for each character of a text, at the most (roughly)."""

    def search(self, text: str) -> object | None:
        """A match, None where there is none."""

    def find(self, text: str) -> tuple[str, ...] | None:
        """The first match and the texts of its groups, empty for one that took no part; None where there is no match."""

    def replace(self, text: str, template: Template) -> str | None:
        """The text with all matches replaced, as Go's ReplaceAllString does it; None where there is no match."""


def compile_regex(pattern: str) -> Regex:
    """Raises ValueError for a pattern that is none, and for one that could take for ever."""
    return _short(pattern) if len(pattern) <= 1000 else _compiled(pattern)


def longest_text(pattern: str) -> int:
    """Characters of a text on which Python's `re` tries all ways to match in a moment; 0 where even a short one may take for
    ever. Raises ValueError for a pattern that is none."""
    if len(pattern) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} characters")
    translator = Translator(pattern)
    try:
        translator.translated()
    except RecursionError:
        raise translator.error("groups are nested too deeply") from None
    try:
        return translator.longest_text()
    except ValueError:
        return 0


def _compiled(pattern: str) -> Regex:
    if len(pattern) > _LONGEST:
        raise ValueError(
            f"cannot use the regular expression {pattern[:100]!r}...: it is longer than {_LONGEST} characters"
        )
    try:
        import re2
    except ImportError:
        return _Bounded(Translator(pattern))
    translator = Translator(pattern, properties=False)
    translator.translated()  # it says more clearly what is wrong, and refuses what RE2 takes and Go does not
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        compiled = re2.compile(_bytes(pattern), options)
        re2.purge()  # it would keep 128 of them
    except re2.error as error:
        cause = error.args[0].decode("utf-8", "replace") if error.args else ""
        if "named capture" in cause or "capture group name" in cause:
            return _Bounded(Translator(pattern))  # one name twice, which Go takes
        raise translator.error(cause) from None
    return _Linear(compiled, translator.groups)


# Few: each may take megabytes, and patterns may come with the metrics.
_short = lru_cache(maxsize=16)(_compiled)


def compile_template(regex: Regex, text: str) -> Template:
    """What Go's templates mean: `$1`, `${1}`, `$name` and `${name}` stand for groups, the longest name counts (`$1x` is
    `${1x}`), one that there is not is empty, `$$` is a dollar, and so is one that begins none of these."""
    parts: list[str | tuple[int, ...]] = []
    rest = 0
    for found in _REFERENCE.finditer(text):
        name = found["braced"] or found["name"]
        parts.append(text[rest : found.start()])
        parts.append(_numbers(regex, name) if name else "$")
        rest = found.end()
    parts.append(text[rest:])
    return tuple(part for part in parts if part)


_REFERENCE = re.compile(r"\$(?:\$|\{(?P<braced>\w+)\}|(?P<name>\w+))")


def _numbers(regex: Regex, name: str) -> tuple[int, ...]:
    if name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0"):
        return (int(name),) if len(name) < 9 and int(name) <= len(regex.groups) else ()
    return tuple(number for number, group in enumerate(regex.groups, start=1) if group == name)


def _bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text).encode()  # bytes that are not UTF-8, as Go reads them


_SURROGATE = re.compile("[\ud800-\udfff]")
_Cut = Callable[[int, int], str]


class _Engine:
    """What both engines share: `_search(subject, position)` gives matches, with the spans of groups in the subject."""

    __slots__ = ("_search", "groups", "weight")
    _search: Callable[..., Any]
    groups: tuple[str, ...]
    weight: int

    def search(self, text: str) -> object | None:
        found: object | None = self._search(self._subject(text))
        return found

    def find(self, text: str) -> tuple[str, ...] | None:
        subject = self._subject(text)
        match = self._search(subject)
        if match is None:
            return None
        cut = self._cut(text, subject)
        return tuple(cut(*match.span(group)) for group in range(len(self.groups) + 1))

    def replace(self, text: str, template: Template) -> str | None:
        subject = self._subject(text)
        match = self._search(subject)
        if match is None:
            return None
        cut = self._cut(text, subject)
        pieces = []
        end = position = 0
        while match is not None:
            start, stop = match.span(0)
            pieces.append(cut(end, start))
            if stop > end or start == 0:  # an empty match right behind another one does not count
                pieces += [part if isinstance(part, str) else _group(match, part, cut) for part in template]
            end = stop
            position = max(stop, self._next(subject, position))
            match = self._search(subject, position) if position <= len(subject) else None
        pieces.append(cut(end, len(subject)))
        return "".join(pieces)

    def _subject(self, text: str) -> str | bytes:
        return text

    def _cut(self, text: str, subject: str | bytes) -> _Cut:
        return lambda start, stop: text[start:stop] if start >= 0 else ""

    def _next(self, subject: str | bytes, position: int) -> int:
        """Where the next character begins."""
        return position + 1


def _group(match: Any, numbers: tuple[int, ...], cut: _Cut) -> str:
    for number in numbers:
        start, stop = match.span(number)
        if start >= 0:
            return cut(start, stop)
    return ""


class _Linear(_Engine):
    """Run by RE2, on bytes."""

    __slots__ = ()

    def __init__(self, compiled: Any, groups: Sequence[str]) -> None:
        self._search = compiled.search
        self.groups = tuple(groups)
        self.weight = compiled.programsize

    def _subject(self, text: str) -> bytes:
        return _bytes(text)

    def _cut(self, text: str, subject: str | bytes) -> _Cut:
        if len(text) == len(subject):  # ASCII
            return super()._cut(text, subject)
        places = []
        """Of each byte the number of its character."""
        for number, character in enumerate(text):
            places += [number] * (len(character.encode("utf-8", "surrogatepass")))
        places.append(len(text))
        return lambda start, stop: text[places[start] : places[stop]] if start >= 0 else ""

    def _next(self, subject: str | bytes, position: int) -> int:
        position += 1
        while position < len(subject) and 0x80 <= ord(subject[position : position + 1]) < 0xC0:
            position += 1
        return position


class _Bounded(_Engine):
    """Run by Python's `re`, on texts for which all ways to match are few enough."""

    __slots__ = ("_longest",)

    def __init__(self, translator: Translator) -> None:
        text = translator.translated()
        try:
            self._search = re.compile(text).search
        except (re.error, OverflowError, RecursionError) as error:
            raise translator.error(str(error)) from None
        self._longest = translator.longest_text()
        self.groups = tuple(translator.groups)
        self.weight = 1  # bounded by itself

    def _subject(self, text: str) -> str:
        if len(text) > self._longest:
            raise ValueError(
                f"a text of {len(text)} characters is too long for this regular expression, which takes {self._longest}"
                " without the library google-re2; install the extra `regex`"
            )
        return text

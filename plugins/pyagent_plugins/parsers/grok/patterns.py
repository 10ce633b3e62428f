"""From patterns with `%{NAME:key:modifier}` to regular expressions.

Telegraf reads them in two steps, which shows: what it or the configuration defines stands as text wherever it is named
without a key, and its modifiers hold there; what is named with a key, and all that is logstash's, stands as a group, and
modifiers in it do not hold.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pyagent.kit.regex import Regex, compile_regex
from pyagent.kit.regex_direct import Direct, compile_direct
from pyagent_plugins.parsers.grok.stock import STOCK, TELEGRAF

__all__ = ["Line", "compile_lines", "definitions"]

_MODIFIER = re.compile(r'%\{\w+:(\w+):(ts-".+"|t?s?-?\w+)\}', re.ASCII)
_NAME_ONLY = re.compile(r"%\{(\w+)\}", re.ASCII)
_REFERENCE = re.compile(r"%\{([\w.-]+(?::[\w.-]+(?::[\w.-]+)?)?)\}", re.ASCII)
_VALID = re.compile(r"\w+(?:[-.]\w+)*(?::[-.\w]+(?::(?:string|float|int))?)?", re.ASCII)
_LONGEST = 100_000
_GROUP = re.compile(r"_key([0-9]+)_")


@dataclass(frozen=True, slots=True)
class Line:
    """How lines of one pattern are read."""

    keys: tuple[tuple[int, str, str], ...]
    """Of each group that counts its number from 0, key and modifier, in order; an empty modifier is `string`."""
    regex: Regex | None
    direct: Direct | None

    def find(self, text: str) -> tuple[str, ...] | None:
        """The groups, empty for one that took no part. Raises ValueError where it cannot be told."""
        direct = self.direct
        if direct is not None and len(text) <= direct.longest and (match := direct.match(text)):
            return match.groups("")
        if self.regex is None:
            raise ValueError(_NO_ENGINE)
        found = self.regex.find(text)
        return found[1:] if found is not None else None


_NO_ENGINE = "the pattern can match in too many ways without the library google-re2; install the extra `regex`"


def definitions(lines: Iterable[str]) -> dict[str, str]:
    """Patterns by name, of lines `NAME pattern`; lines with # are comments. Raises ValueError."""
    found = {}
    for line in lines:
        line = line.strip()
        if line and line[0] != "#":
            name, space, pattern = line.partition(" ")
            if not space:
                raise ValueError(f"the custom pattern {name!r} has no regular expression; write NAME, a space, and it")
            found[name] = pattern
    return found


@lru_cache(maxsize=16)
def compile_lines(patterns: tuple[str, ...], custom: tuple[tuple[str, str], ...]) -> tuple[Line, ...]:
    """`custom`: definitions by name. Raises ValueError for what is no pattern."""
    names = [f"GROK_INTERNAL_PATTERN_{number}" for number, pattern in enumerate(patterns) if pattern.strip()]
    own = {**TELEGRAF, **dict(custom)}
    own |= {name: pattern.strip() for name, pattern in zip(names, filter(str.strip, patterns), strict=True)}
    inlined = {name: _inlined(name, own) for name in own}
    plain, modifiers = {}, {}
    for name, pattern in inlined.items():
        plain[name], modifiers[name] = _without_modifiers(pattern)
    known = {**STOCK, **plain}
    for pattern in plain.values():  # also those that no other one needs
        for reference in _REFERENCE.finditer(pattern):
            _checked(reference, known)
    return tuple(_Expansion(known).line(name, modifiers[name]) for name in names)


def _checked(reference: re.Match[str], patterns: Mapping[str, str]) -> list[str]:
    """The words of a reference."""
    if not _VALID.fullmatch(reference[1]):
        raise ValueError(
            f"{reference[0]} is no reference to a pattern: write %{{NAME}}, %{{NAME:key}} or %{{NAME:key:modifier}}"
        )
    words = reference[1].split(":")
    if words[0] not in patterns:
        raise ValueError(f"no pattern found for %{{{words[0]}}}")
    return words


def _inlined(name: str, own: Mapping[str, str]) -> str:
    pattern = own[name]
    for _ in range(20):
        changed = _NAME_ONLY.sub(lambda found: own.get(found[1], found[0]), pattern)
        if changed == pattern:
            return pattern
        if len(changed) > _LONGEST:
            break
        pattern = changed
    raise ValueError(f"the pattern {name} stands for itself, or for more than {_LONGEST} characters")


def _without_modifiers(pattern: str) -> tuple[str, dict[str, str]]:
    """The pattern, and modifiers by key."""
    modifiers: dict[str, str] = {}
    timed = False
    for key, modifier in _MODIFIER.findall(pattern):
        if modifier.startswith("ts"):
            if timed:
                raise ValueError(f"the pattern {pattern[:200]!r} has two times; one may have a modifier ts")
            timed = True
        modifiers[key] = modifier
        pattern = pattern.replace(f":{modifier}}}", "}", 1)
    return pattern, modifiers


class _Expansion:
    """Puts in for each reference what it stands for."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = patterns
        self._keys: list[str] = []
        self._open: list[str] = []

    def line(self, name: str, modifiers: Mapping[str, str]) -> Line:
        pattern = self._expanded(self._patterns[name])
        direct = compile_direct(pattern)
        regex: Regex | None
        try:
            regex = compile_regex(pattern)
        except ValueError:
            if direct is None:
                raise
            regex = None
        groups = regex.groups if regex is not None else direct.groups if direct is not None else ()
        last: dict[str, int] = {}  # of one key twice the last one counts
        for number, group in enumerate(groups):
            if group:
                ours = _GROUP.fullmatch(group)
                last[self._keys[int(ours[1])] if ours else group] = number
        aliases = {re.sub(r"\W", "_", key, flags=re.ASCII): key for key in self._keys}
        keys = tuple((number, aliases.get(key, key), modifiers.get(key, "")) for key, number in last.items())
        return Line(keys, regex, direct)

    def _expanded(self, pattern: str) -> str:
        expanded = _REFERENCE.sub(self._one, pattern)
        if len(expanded) > _LONGEST:
            raise ValueError(f"a pattern stands for more than {_LONGEST} characters")
        return expanded

    def _one(self, reference: re.Match[str]) -> str:
        name, *words = _checked(reference, self._patterns)
        if name in self._open or len(self._open) > 50:
            raise ValueError(f"the pattern {name} stands for itself")
        opening = "(?:"
        if words:
            opening = f"(?P<_key{len(self._keys)}_>"
            self._keys.append(words[0])
        self._open.append(name)
        expanded = self._expanded(self._patterns[name])
        self._open.pop()
        return f"{opening}{expanded})"

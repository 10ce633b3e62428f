"""Names of files by patterns, as Telegraf's inputs understand them (the library doublestar behind its globpath)."""

import os
import re
from collections.abc import Iterator
from itertools import pairwise

__all__ = ["match_files"]

_META = re.compile(r"[*?\[{\\]")


def match_files(pattern: str) -> list[str]:
    r"""The paths that exist and match, in the order of their names; a text without wildcards is a path itself.

    `*` and `?` stand for any run and any one character of a name, `[a-z]` and `[^a-z]` for one of a set, `{a,b}` for
    alternatives, `**` for any number of folders (`/var/log/**.log` is any depth below /var/log), `\` takes the wildcard
    after it as it is. Names that begin with a dot are not special. What cannot be read matches nothing. Raises ValueError
    for a pattern that is none.
    """
    if not _META.search(pattern):
        return [pattern] if os.path.lexists(pattern) else []
    found: dict[str, None] = {}
    for choice in _alternatives(pattern):
        text = choice.replace("**/**", "**").replace("**", "**/**")
        root = "/" if text.startswith("/") else ""
        parts = [part for part in text.split("/") if part]
        found |= dict.fromkeys(_walk(root, [_component(part) for part in parts]))
    return list(found)


_Component = str | re.Pattern[str] | None
"""A name, a pattern for names, or None for any number of folders."""


def _component(text: str) -> _Component:
    if text == "**":
        return None
    if not _META.search(text):
        return text
    regex, position = "", 0
    while position < len(text):
        character = text[position]
        position += 1
        if character == "*":
            regex += ".*"
        elif character == "?":
            regex += "."
        elif character == "[":
            end = text.find("]", position + 1 + (text[position : position + 1] in ("^", "!")))
            if end < 0:
                raise ValueError(f"cannot read the pattern {text!r}: a [ is not closed")
            body = text[position:end].replace("\\", "\\\\").replace("[", "\\[").replace("&&", "&\\&")
            regex += "[" + ("^" + body[1:] if body[0] in "^!" else body) + "]"
            position = end + 1
        elif character == "\\" and position < len(text):
            regex += re.escape(text[position])
            position += 1
        else:
            regex += re.escape(character)
    try:
        return re.compile(regex, re.DOTALL)
    except re.error as error:
        raise ValueError(f"cannot read the pattern {text!r}: {error}") from None


def _walk(folder: str, parts: list[_Component]) -> Iterator[str]:
    part, rest = parts[0], parts[1:]
    if part is None:
        if rest:
            yield from _walk(folder, rest)
        for entry in _entries(folder):
            if not rest:
                yield entry.path
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, parts)
    elif isinstance(part, str):
        path = os.path.join(folder, part)
        if not rest and os.path.lexists(path):
            yield path
        elif rest and os.path.isdir(path):
            yield from _walk(path, rest)
    else:
        for entry in _entries(folder):
            if part.fullmatch(entry.name):
                if not rest:
                    yield entry.path
                elif entry.is_dir():
                    yield from _walk(entry.path, rest)


class _Entry:
    __slots__ = ("_entry", "name", "path")

    def __init__(self, folder: str, entry: "os.DirEntry[str]") -> None:
        self.name = entry.name
        self.path = os.path.join(folder, entry.name)
        self._entry = entry

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        try:
            return self._entry.is_dir(follow_symlinks=follow_symlinks)
        except OSError:
            return False


def _entries(folder: str) -> list[_Entry]:
    """What is in a folder, sorted; nothing where it cannot be read."""
    try:
        with os.scandir(folder or ".") as entries:
            return sorted((_Entry(folder, entry) for entry in entries), key=lambda entry: entry.name)
    except OSError:
        return []


def _alternatives(pattern: str) -> list[str]:
    """The pattern without braces: one for each choice, nested ones too. Raises ValueError for a brace without its other."""
    depth, start, position, commas = 0, 0, 0, []
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif character == "{":
            if depth == 0:
                start, commas = position, [position]
            depth += 1
        elif character == "," and depth == 1:
            commas.append(position)
        elif character == "}" and depth:
            depth -= 1
            if depth == 0:
                bounds = [*commas, position]
                choices = [pattern[a + 1 : b] for a, b in pairwise(bounds)]
                rest = pattern[position + 1 :]
                return [text for choice in choices for text in _alternatives(pattern[:start] + choice + rest)]
        position += 1
    if depth:
        raise ValueError(f"cannot read the pattern {pattern!r}: a {{ is not closed")
    return [pattern]

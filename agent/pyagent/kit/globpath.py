"""Names of files by patterns, as Telegraf's inputs understand them (the library doublestar behind its globpath).

A path of a configuration from a URL, a HostedPath, gives such paths: open them with `pyagent.api.files`.
"""

import os
import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from pyagent.api.hosted import HostedPath

__all__ = ["check_readable", "match_files", "name_matcher"]

_META = re.compile(r"[*?\[{\\]")
_MOST_ALTERNATIVES, _MOST_NESTED = 1000, 50


def match_files(pattern: str) -> list[str]:
    r"""The paths that exist and match, in the order of their names; a text without wildcards is a path itself.

    `*` and `?` stand for any run and any one character of a name, `[a-z]` and `[^a-z]` for one of a set, `{a,b}` for
    alternatives, `**` for any number of folders (`/var/log/**.log` is any depth below /var/log), `\` takes the wildcard
    after it as it is. Names that begin with a dot are not special. What cannot be read matches nothing. Raises ValueError
    for a pattern that is none, and for one whose braces stand for more than 1,000.
    """
    if isinstance(pattern, HostedPath):
        return [HostedPath(path, pattern.guard) for path in match_files(str(pattern))]
    if not _META.search(pattern):
        return [pattern] if os.path.lexists(pattern) else []
    found: dict[str, None] = {}
    for choice in _alternatives(pattern):
        text = choice.replace("**/**", "**").replace("**", "**/**")
        root = "/" if text.startswith("/") else ""
        parts = [part for part in text.split("/") if part]
        found |= dict.fromkeys(_walk(root, [_component(part) for part in parts], set()))
    return list(found)


def name_matcher(pattern: str) -> Callable[[str], bool]:
    r"""A test for single names, without folders: `*`, `?`, `[a-z]`, and `\` before a character that is meant as it is; braces
    are characters. Raises ValueError for a pattern that is none."""
    component = _component(pattern.replace("**", "*"))
    if not isinstance(component, re.Pattern):
        return pattern.__eq__
    regex = component
    return lambda name: regex.fullmatch(name) is not None


def check_readable(pattern: HostedPath) -> None:
    """Raises PermissionError for a path that leads to a secret, and for a pattern that is meant for such paths. What a
    pattern finds besides is checked when it is opened."""
    try:
        choices = list(_alternatives(pattern)) if _META.search(pattern) else [str(pattern)]
    except ValueError:
        return  # whoever uses it says so
    for choice in choices:
        parts = choice.split("/")
        plain = next((index for index, part in enumerate(parts) if _META.search(part)), len(parts))
        folder = "/".join(parts[:plain])
        pattern.guard.check(folder or "/")
        if plain < len(parts) and _matches_a_process(parts[plain]):
            pattern.guard.check(f"{folder}/self")


def _matches_a_process(part: str) -> bool:
    try:
        component = _component(part)
    except ValueError:
        return False
    names = ("self", "thread-self", "1", str(os.getpid()))
    return not isinstance(component, re.Pattern) or any(map(component.fullmatch, names))


_Component = str | re.Pattern[str] | None
"""A name, a pattern for names, or None for any number of folders."""


def _component(text: str) -> _Component:
    if text == "**":
        return None
    if not _META.search(text):
        return text
    regexes, position = [""], 0  # what stands before, between and after the stars
    while position < len(text):
        character = text[position]
        position += 1
        if character == "*":
            regexes.append("")
        elif character == "?":
            regexes[-1] += "."
        elif character == "[":
            end = text.find("]", position + 1 + (text[position : position + 1] in ("^", "!")))
            if end < 0:
                raise ValueError(f"cannot read the pattern {text!r}: a [ is not closed")
            body = text[position:end].replace("\\", "\\\\").replace("[", "\\[")
            body = re.sub(r"([-&|~])\1", r"\1\\\1", body)  # what Python may one day read as a difference of sets
            regexes[-1] += "[" + ("^" + body[1:] if body[0] in "^!" else body) + "]"
            position = end + 1
        elif character == "\\" and position < len(text):
            regexes[-1] += re.escape(text[position])
            position += 1
        else:
            regexes[-1] += re.escape(character)
    # Each part where it comes first, for good, so that no name takes for ever: a*a*a*b.
    between = "".join(f"(?>.*?{part})" for part in regexes[1:-1])
    try:
        return re.compile(regexes[0] + between + (f".*{regexes[-1]}" if regexes[1:] else ""), re.DOTALL)
    except re.error as error:
        raise ValueError(f"cannot read the pattern {text!r}: {error}") from None


def _walk(folder: str, parts: list[_Component], been: set[tuple[str, int]]) -> Iterator[str]:
    """`been`: folders with the number of parts that were looked for in them; several `**` come there on many ways."""
    if (folder, len(parts)) in been:
        return
    part, rest = parts[0], parts[1:]
    if part is None:
        been.add((folder, len(parts)))
        if rest:
            yield from _walk(folder, rest, been)
        for entry in _entries(folder):
            if not rest:
                yield entry.path
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, parts, been)
    elif isinstance(part, str):
        path = os.path.join(folder, part)
        if not rest and os.path.lexists(path):
            yield path
        elif rest and os.path.isdir(path):
            yield from _walk(path, rest, been)
    else:
        for entry in _entries(folder):
            if part.fullmatch(entry.name):
                if not rest:
                    yield entry.path
                elif entry.is_dir():
                    yield from _walk(entry.path, rest, been)


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
    waiting, found = [(pattern, 0)], dict[str, None]()
    while waiting:
        text, start = waiting.pop()
        bounds = _first_braces(text, start)
        if bounds:
            choices = dict.fromkeys(text[a + 1 : b] for a, b in pairwise(bounds))
            rest = text[bounds[-1] + 1 :]
            waiting += [(text[: bounds[0]] + choice + rest, bounds[0]) for choice in reversed(choices)]
        else:
            found[text] = None
        if len(found) + len(waiting) > _MOST_ALTERNATIVES:
            raise ValueError(
                f"cannot use the pattern {pattern[:100]!r}: its braces stand for more than {_MOST_ALTERNATIVES}"
                " patterns; make several of it"
            )
    return list(found)


def _first_braces(pattern: str, position: int) -> list[int]:
    """Where the first brace from `position` on, its commas and the brace that closes it are; nothing without one."""
    depth, bounds = 0, list[int]()
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif character == "{":
            if depth == 0:
                bounds = [position]
            depth += 1
            if depth > _MOST_NESTED:
                raise ValueError(f"cannot read the pattern {pattern[:100]!r}: braces are nested too deeply")
        elif character == "," and depth == 1:
            bounds.append(position)
        elif character == "}" and depth:
            depth -= 1
            if depth == 0:
                return [*bounds, position]
        position += 1
    if depth:
        raise ValueError(f"cannot read the pattern {pattern[:100]!r}: a {{ is not closed")
    return []

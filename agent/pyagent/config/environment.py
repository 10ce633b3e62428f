"""References to environment variables (reference: telegraf 3.3, 3.4).

`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+other}`, `${NAME+other}`, `${NAME:?message}`,
`${NAME?message}` and `$$` for a dollar sign. Defaults may nest references. What is not set, and what is no reference, stays
as it is: `${1}` of a regular expression, for one.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

__all__ = ["MAX_DEPTH", "Room", "allowed_environment", "expand", "names_of", "strip_comments"]

MAX_DEPTH = 100
"""Most references inside of each other."""
_MOST_ADDED = 4 << 20
"""Characters that values may add to one configuration: as many as a file of it may have."""
_MOST_SHOWN = 500
"""Characters of a message that a reference gives."""

_NAME = "[A-Za-z_][A-Za-z0-9_]*"
# `${NAME}` and the beginning of `${NAME:-word}`: where the word ends is found by counting braces.
_BRACED = rf"\{{(?:(?P<plain>{_NAME})\}}|(?P<name>{_NAME})(?P<operator>:?[-+?]))"
_REFERENCE = re.compile(rf"\$(?:(?P<escaped>\$)|(?P<named>{_NAME})|{_BRACED}|(?P<invalid>\{{))")
_OLD_REFERENCE = re.compile(rf"\$(?:(?P<named>{_NAME})|{_BRACED}|(?P<invalid>\{{))")
_BRACE = re.compile(r"\$\{|\}")

# Strings are matched only to step over a # inside of them; a comment takes the blanks before it along.
_COMMENT = re.compile(
    r'("""(?:[^\\]|\\.)*?(?:"{3,5}|\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r')|(?<![ \t])[ \t]*+#[^\n\r]*+',
    re.DOTALL,
)  # fmt: skip


class _Malformed(Exception):
    pass


class Room:
    """What values may still add to one configuration: a text that names a long one often becomes many times itself."""

    def __init__(self) -> None:
        self._left = _MOST_ADDED

    def taken(self, what: str, value: str) -> str:
        """The value, counted. Raises ValueError where there is no room for it, which begins with `what`."""
        self._left -= len(value)
        if self._left < 0:
            raise ValueError(
                f"{what}, of {len(value):,} characters, does not fit: values may make a configuration {_MOST_ADDED:,} "
                "characters longer in all; name it less often, or give it a shorter value"
            )
        return value


def expand(
    text: str,
    environ: Mapping[str, str],
    *,
    escapes: bool = True,
    unset: list[str] | None = None,
    room: Room | None = None,
) -> str:
    """`text` with its references replaced, once: values are not expanded again. It takes time linear in the text.

    `escapes=False`: `$$` is no escape, as before Telegraf 1.27. `unset` gets the names of those that stay as they are.
    `room`: shared by the texts of one configuration. Raises ValueError for a required variable that is missing, for references
    nested deeper than MAX_DEPTH, and for values that there is no room for.
    """
    if "$" not in text:
        return text
    unset = [] if unset is None else unset
    room = room or Room()
    return "\n".join(
        _Line(line, environ, room).expanded(escapes, unset) if "$" in line else line for line in text.split("\n")
    )


class _Line:
    """One line of a text; no reference goes beyond it."""

    def __init__(self, text: str, environ: Mapping[str, str], room: Room) -> None:
        self._text = text
        self._environ = environ
        self._room = room
        self._closings: list[int] = []
        """Where closing braces are."""
        self._pairs: dict[int, int] = {}
        """Which of them closes the reference that begins there."""
        opened: list[int] = []
        for match in _BRACE.finditer(text):
            if match[0] == "${":
                opened.append(match.start())
                continue
            self._closings.append(match.start())
            if opened:
                self._pairs[opened.pop()] = match.start()

    def expanded(self, escapes: bool, unset: list[str]) -> str:
        text, position, result = self._text, 0, []
        reference = _REFERENCE if escapes else _OLD_REFERENCE
        while match := reference.search(text, position):
            result.append(text[position : match.start()])
            position = match.end()
            if match.lastgroup == "escaped":
                result.append("$")
            elif name := match["named"] or match["plain"]:
                value = self._environ.get(name)
                result.append(match[0] if value is None else self._taken(name, value))
                if value is None:
                    unset.append(name)
            elif match["operator"] and self._closings and self._closings[-1] >= position:
                # From here up to the line's last brace all is nested text; if any of it is no reference, none of it is.
                position = self._closings[-1] + 1
                try:
                    result.append(self._nested(match.start(), position, 0))
                except _Malformed:
                    result.append(text[match.start() : position])
            else:
                result.append(match[0])
        result.append(text[position:])
        return "".join(result)

    def _nested(self, position: int, stop: int, depth: int) -> str:
        """The rules inside a default, and after a reference with an operator: what is not set is empty."""
        if depth > MAX_DEPTH:
            raise ValueError(f"environment references are nested too deeply: more than {MAX_DEPTH} levels; use fewer")
        result = []
        while match := _REFERENCE.search(self._text, position, stop):
            result.append(self._text[position : match.start()])
            position = match.end()
            if match.lastgroup == "escaped":
                result.append("$")
            elif name := match["named"] or match["plain"]:
                result.append(self._taken(name, self._environ.get(name, "")))
            else:
                end = self._end(match.start(), stop) if match["operator"] else -1
                if end < position:
                    raise _Malformed
                word = self._nested(position, end, depth + 1)
                result.append(self._value(match["name"], match["operator"], word))
                position = end + 1
        result.append(self._text[position:stop])
        return "".join(result)

    def _end(self, start: int, stop: int) -> int:
        """The brace that closes the reference that begins at `start`, else the last one before `stop`; -1: there is none."""
        end = self._pairs.get(start, stop)
        if end < stop:
            return end
        before = bisect_left(self._closings, stop)
        return self._closings[before - 1] if before else -1

    def _value(self, name: str, operator: str, word: str) -> str:
        value = self._environ.get(name)
        missing = not value if operator.startswith(":") else value is None
        if operator.endswith("?") and missing:
            raise ValueError(f"required variable {name} is missing a value: {word[:_MOST_SHOWN]}")
        if missing == operator.endswith("-") and not operator.endswith("?"):
            return word
        return self._taken(name, value or "")

    def _taken(self, name: str, value: str) -> str:
        return self._room.taken(f"the variable {name}", value)


def strip_comments(text: str) -> str:
    """`text` without its comments, so that references inside of them are never looked at. Lines keep their numbers."""
    return _COMMENT.sub(lambda match: match[1] or "", text)


def names_of(text: str) -> tuple[str, ...]:
    """The names of a list, separated by commas or blanks."""
    return tuple(name for name in re.split(r"[,\s]+", text) if name)


class _Allowed(Mapping[str, str]):
    def __init__(self, environ: Mapping[str, str], patterns: tuple[str, ...]) -> None:
        self._environ = environ
        self._patterns = patterns

    def __getitem__(self, name: str) -> str:
        value = self._environ[name]
        if not any(fnmatchcase(name, pattern) for pattern in self._patterns):
            raise ValueError(
                f"a configuration from a URL may not name the variable {name} here; "
                "add it to PYAGENT_REMOTE_ENVIRONMENT on this host to allow it"
            )
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._environ)

    def __len__(self) -> int:
        return len(self._environ)


def allowed_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables that a text from a URL may name: those of the names and patterns of PYAGENT_REMOTE_ENVIRONMENT, all
    where that is not set. Looking at another one raises ValueError."""
    named = environ.get("PYAGENT_REMOTE_ENVIRONMENT")
    return environ if named is None else _Allowed(environ, names_of(named))

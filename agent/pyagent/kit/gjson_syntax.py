"""How a path of gjson is taken apart, letter by letter as gjson does it."""

import re

from msgspec import Struct

__all__ = ["Query", "Step", "array_path", "name_of_last", "object_path", "selectors", "split_pipe", "squash"]

MODIFIER_NAMES = frozenset(
    (
        "dig",
        "flatten",
        "fromstr",
        "group",
        "join",
        "keys",
        "pretty",
        "reverse",
        "this",
        "tostr",
        "ugly",
        "valid",
        "values",
    )
)
_MODIFIER = re.compile(r"@([^.|:]*)", re.DOTALL)


def _pipes(rest: str) -> bool:
    """Whether what follows a dot is a path of its own: a modifier or a new document."""
    if not rest:
        return False
    if rest[0] == "@":
        name = _MODIFIER.match(rest)
        return name is not None and name[1] in MODIFIER_NAMES
    return rest[0] in "[{"


def object_path(path: str) -> tuple[str, str | None, str | None, bool]:
    """Of a path into an object: its first part, the rest of it, the path behind a pipe, whether the part has wildcards."""
    part, wild, position = "", False, 0
    while position < len(path):
        character = path[position]
        if character == "|":
            return part, None, path[position + 1 :], wild
        if character == ".":
            rest = path[position + 1 :]
            return (part, None, rest, wild) if _pipes(rest) else (part, rest, None, wild)
        if character == "\\":
            # As there: a wildcard right behind the first backslash is none, one behind a later one neither.
            position += 1
            part += path[position : position + 1]
        else:
            wild = wild or character in "*?"
            part += character
        position += 1
    return part, None, None, wild


class Query(Struct):
    path: str
    operator: str
    wanted: str


class Step(Struct):
    """The first part of a path into a list."""

    part: str
    path: str | None = None
    """What follows it."""
    pipe: str | None = None
    counted: bool = False
    """Whether it has a `#`."""
    each: str | None = None
    """The path of `#.path`."""
    query: Query | None = None
    all: bool = False


def array_path(path: str) -> Step:
    step = Step(path)
    position = 0
    while position < len(path):
        character = path[position]
        if character == "|":
            step.part, step.pipe = path[:position], path[position + 1 :]
            return step
        if character == ".":
            step.part, rest = path[:position], path[position + 1 :]
            if not step.counted and _pipes(rest):
                step.pipe = rest
            else:
                step.path = rest
            return step
        if character == "#":
            step.counted = True
            if position == 0 and len(path) > 1:
                if path[1] == ".":
                    step.each = path[2:]
                elif path[1] in "[(":
                    read = _query(path)
                    if read is None:
                        break
                    step.query, end = read
                    position = end - 1
                    step.all = path[end : end + 1] == "#"
        position += 1
    step.part = path
    return step


def _query(path: str) -> tuple[Query, int] | None:
    position, start, depth = 2, 0, 1
    while position < len(path):
        character = path[position]
        if depth == 1 and not start and character in "!=<>%":
            start = position
        elif character == "\\":
            position += 1
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
            if not depth:
                break
        elif character == '"':
            position = _string_end(path, position)
        position += 1
    if depth:
        return None
    blanks = "".join(map(chr, range(33)))
    if not start:
        return Query(path[2:position].strip(blanks), "", ""), position + 1
    wanted = path[start:position].strip(blanks)
    operator = wanted[:2] if wanted[:2] in ("!=", "!%", "<=", ">=") else wanted[:1]
    if wanted.startswith("=="):
        wanted = wanted[1:]
    wanted = wanted[len(operator) :].strip(blanks)
    if len(wanted) >= 2 and wanted[0] == wanted[-1] == '"':
        wanted = re.sub(r"\\(.)", r"\1", wanted[1:-1], flags=re.DOTALL)
    return Query(path[2:start].strip(blanks), operator, wanted), position + 1


def _string_end(text: str, position: int) -> int:
    """The place of the quote that closes the string that begins at `position`, the length of the text without one."""
    position += 1
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return min(position, len(text))


def squash(text: str) -> str:
    """The value with which a text begins."""
    if text[:1] and text[0] not in '"{[(':
        match = re.compile(r"[^,\]}\s:]*").match(text)
        return match[0] if match else ""
    position, depth = 0, 0
    while position < len(text):
        character = text[position]
        if character == '"':
            position = _string_end(text, position)
        elif character in "{[(":
            depth += 1
        elif character in "}])":
            depth -= 1
        position += 1
        if depth <= 0:
            break
    return text[:position]


def split_pipe(path: str) -> tuple[str, str] | None:
    """Both sides of the first pipe of a path, that stands in no query. None without one."""
    if "|" not in path:
        return None
    if path.startswith("{"):
        made = squash(path)
        return (made, path[len(made) + 1 :]) if path[len(made) : len(made) + 1] == "|" else None
    position = 0
    while position < len(path):
        character = path[position]
        if character == "\\":
            position += 1
        elif character == "|":
            return path[:position], path[position + 1 :]
        elif path.startswith((".#(", ".#["), position):
            position += 1 + len(squash("(" + path[position + 3 :])) - 1
        position += 1
    return None


def selectors(path: str) -> tuple[list[tuple[str, str]], str] | None:
    """Names and paths of `{name:path,...}` or `[path,...]`, and what follows it. None where it is not closed."""
    parts: list[tuple[str, str]] = []
    modifier = colon = 0
    depth, start, position = 1, 1, 1
    while position < len(path):
        character = path[position]
        if character == "\\":
            position += 1
        elif character == "@":
            if not modifier and path[position - 1] in ".|":
                modifier = position
        elif character == ":":
            if not modifier and not colon and depth == 1:
                colon = position
        elif character == '"':
            position = _string_end(path, position)
        elif character in "[({":
            depth += 1
        elif character in "])}":
            depth -= 1
        if (character == "," and depth == 1) or depth == 0:
            parts.append((path[start:colon] if colon else "", path[colon + 1 if colon else start : position]))
            modifier, colon, start = 0, 0, position + 1
            if not depth:
                return parts, path[position + 1 :]
        position += 1
    return None


def name_of_last(path: str) -> str:
    """The last component of a path."""
    for position in range(len(path) - 1, -1, -1):
        if path[position] in "|." and not (position and path[position - 1] == "\\"):
            return path[position + 1 :]
    return path

"""The help of a command as text: what it is for, usage, examples, then words and flags in groups.

Made here and not by argparse, whose layout and colours differ between releases of Python.
"""

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from pyagent.cli.words import Choices, word_name
from pyagent.runtime.colours import coloured

__all__ = ["help_text", "usage"]

WIDTHS = (66, 100)
"""Columns: the narrowest and the widest text."""
COLUMN = 31
"""Where the right column begins at the earliest; what is longer on the left has a line for itself."""


class Shown(Protocol):
    """A parser, as far as its help shows it."""

    prog: str
    usage: str | None
    description: str | None
    epilog: str | None
    commands: Mapping[str, str]

    @property
    def words(self) -> Sequence[argparse.Action]: ...
    @property
    def groups(self) -> Mapping[str, Sequence[argparse.Action]]: ...


def help_text(parser: Shown, *, colours: bool = False) -> str:
    """As wide as the terminal, within WIDTHS."""
    layout = _Layout(colours)
    lines = [parser.description or "", "", usage(parser)]
    if parser.epilog:
        lines += ["", layout.title("Examples"), parser.epilog]
    for title, rows in _sections(parser):
        lines += ["", layout.title(title), *layout.table(rows)]
    return "\n".join(lines) + "\n"


def usage(parser: Shown) -> str:
    if parser.usage:
        return f"Usage: {parser.usage}"
    words = []
    for action in parser.words:
        name = "|".join(action.choices) if isinstance(action.choices, Choices) else word_name(action)
        words.append({None: name, "?": f"[{name}]", "*": f"[{name} ...]"}[action.nargs])  # type: ignore[index]
    return " ".join(["Usage:", parser.prog, *words, "[FLAGS]"])


def _sections(parser: Shown) -> Iterator[tuple[str, Mapping[str, str]]]:
    if parser.commands:
        yield f"Commands ({parser.prog} COMMAND --help)", parser.commands
    for action in parser.words:
        if isinstance(action.choices, Choices):
            yield f"{action.dest.capitalize()}s", action.choices.texts
    words = {word_name(action): action.help or "" for action in parser.words if not isinstance(action.choices, Choices)}
    if words:
        yield "Arguments", words
    for title, actions in parser.groups.items():
        if shown := [action for action in actions if action.help != argparse.SUPPRESS]:
            # Help itself comes last.
            yield title, {_flag(action): action.help or "" for action in sorted(shown, key=_is_help)}


def _is_help(action: argparse.Action) -> bool:
    return "--help" in action.option_strings


def _flag(action: argparse.Action) -> str:
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {word_name(action)}"


class _Layout:
    def __init__(self, colours: bool) -> None:
        self._colours = colours
        narrowest, widest = WIDTHS
        self._width = min(max(shutil.get_terminal_size().columns, narrowest), widest)

    def title(self, text: str) -> str:
        return coloured(f"{text}:", "bold") if self._colours else f"{text}:"

    def table(self, rows: Mapping[str, str]) -> Iterator[str]:
        column = min(max(map(len, rows)) + 4, COLUMN)
        for name, text in rows.items():
            lines = self._wrapped(text, column)
            if len(name) + 4 > column or not lines:
                yield f"  {self._name(name)}"
            else:
                yield f"  {self._name(name)}{' ' * (column - 2 - len(name))}{lines.pop(0)}"
            yield from (" " * column + line for line in lines)

    def _wrapped(self, text: str, column: int) -> list[str]:
        return textwrap.wrap(text, self._width - column, break_on_hyphens=False, break_long_words=False)

    def _name(self, name: str) -> str:
        if not self._colours:
            return name
        flag, space, value = name.partition(" ") if not name.startswith("-h,") else (name, "", "")
        return coloured(flag, "cyan") + space + value

"""Questions at the terminal: with a default, from a list, or for a secret that is not shown."""

import getpass
import sys
import textwrap
from collections.abc import Callable, Sequence
from shutil import get_terminal_size
from typing import TypeVar

from pyagent.api import PyagentError
from pyagent.cli.terminal import cut, harmless, some_of

__all__ = ["Missing", "Questions"]

T = TypeVar("T")
SHOWN = 20
"""Names of a list, at the most."""


class Missing(PyagentError):
    """Something was not given, and there is nobody to ask."""


class Questions:
    """Asks where there is a terminal; else what is missing is an error that says how to give it."""

    def __init__(self, *, terminal: bool | None = None) -> None:
        self.terminal = sys.stdin.isatty() and sys.stderr.isatty() if terminal is None else terminal

    def text(self, question: str, default: str = "", *, check: Callable[[str], T]) -> T:
        """An answer that `check` takes: it returns what is made of it, or raises PyagentError, and then it is asked again."""
        while True:
            answer = self._line(f"{question} [{harmless(default)}]: " if default else f"{question}: ") or default
            try:
                return check(answer)
            except PyagentError as error:
                self.say(f"  {error}")

    def choice(self, question: str, names: Sequence[str], default: str = "", *, other: str = "") -> str:
        """One of the names, by number or as it is; with `other` (what it is for) a name of one's own, too. Of very many the
        first are shown, and any may be written."""

        def check(answer: str) -> str:
            if answer.isdecimal() and 1 <= int(answer) <= len(names) and answer not in names:
                return names[int(answer) - 1]
            if answer in names or (other and answer):
                return answer
            if near := some_of(names, answer, most=3) if len(names) > SHOWN and answer else "":
                raise PyagentError(f"there is no such; there are {near}")
            raise PyagentError(f"write a number from 1 to {len(names)}" if names else "write a name")

        self._list(names)
        return self.text(f"{question}{f' ({other})' if other else ''}", default, check=check)

    def choices(self, question: str, names: Sequence[str], default: str, notes: Sequence[str] = ()) -> list[str]:
        """Several of the names, by number or as they are, separated by commas or blanks. `notes`: what stands behind each."""

        def check(answer: str) -> list[str]:
            found = []
            for word in answer.replace(",", " ").split():
                if word.isdecimal() and 1 <= int(word) <= len(names):
                    word = names[int(word) - 1]
                if word not in names:
                    raise PyagentError(f"{harmless(word)!r} is none of them; write names or numbers, such as {default}")
                found.append(word)
            if not found:
                raise PyagentError("choose one at the least")
            return list(dict.fromkeys(found))

        self._list(names, notes)
        return self.text(question, default, check=check)

    def yes(self, question: str, *, default: bool) -> bool:
        def check(answer: str) -> bool:
            if answer.lower() in ("y", "yes", "n", "no"):
                return answer.lower().startswith("y")
            raise PyagentError("write y or n")

        return self.text(f"{question} (y/n)", "y" if default else "n", check=check)

    def secret(self, question: str) -> str:
        """What is typed is not shown. Raises Missing where there is no terminal."""
        if not self.terminal:
            raise Missing(f"cannot ask for {question}: there is no terminal; give it by a file or a variable")
        try:
            while not (answer := getpass.getpass(f"{question}: ", sys.stderr)):
                self.say("  write something, or end with Ctrl-C")
        except EOFError:
            raise Missing("the input has ended before all questions were answered") from None
        return answer

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def explain(self, text: str) -> None:
        """A text of several lines, as wide as the terminal."""
        self.say(textwrap.fill(text, max(get_terminal_size().columns - 1, 40), break_on_hyphens=False))

    def _list(self, names: Sequence[str], notes: Sequence[str] = ()) -> None:
        shown = [harmless(name) for name in names[:SHOWN]]
        width = max(map(len, shown), default=0) if notes else 0
        columns = get_terminal_size().columns - 1
        for number, name in enumerate(shown, 1):
            note = notes[number - 1] if notes else ""
            self.say(cut(f"  {number:>2}  {name:<{width}}  {harmless(note)}".rstrip(), max(columns, 40), "..."))
        if len(names) > SHOWN:
            self.say(f"      and {len(names) - SHOWN:,} more, by name")

    def _line(self, prompt: str) -> str:
        if not self.terminal:
            raise Missing(f"cannot ask {prompt.strip(' :')!r}: there is no terminal")
        # Standard output is for results, which may go into a file.
        print(prompt, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise Missing("the input has ended before all questions were answered")
        return line.strip()

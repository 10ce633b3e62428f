"""Arguments as Go programs take them: one dash or two, `-x=v` or `-x v`, `-x=true` for switches, 1 for every mistake.

argparse declares what there is; it parses nothing and says nothing, for both differ between releases of Python.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from pyagent.booleans import BOOLEANS
from pyagent.cli.words import Choices, word_name

__all__ = ["Choices", "CommandParser"]

_WANTED: dict[Any, str] = {int: "write a whole number", float: "write a number"}


class CommandParser(argparse.ArgumentParser):
    """Takes flags with one value or none, and words with `nargs` of None, '?' or '*'; both in any order.

    Mistakes end the program with one line on standard error, and the status `mistake`.
    """

    mistake = 1

    def __init__(self, **settings: Any) -> None:
        self.commands: Mapping[str, str] = {}
        """What the help lists as commands, and what each is for."""
        self.groups: dict[str, list[argparse.Action]] = {}
        """The flags by the title that they stand below in the help."""
        self.words: list[argparse.Action] = []
        self._flags: dict[str, argparse.Action] = {}
        """By name, without dashes."""
        self._values: dict[str, Any] = {}
        """What `set_defaults` was given."""
        self._group: Any = None
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        with_help = settings.pop("add_help", True)
        super().__init__(allow_abbrev=False, add_help=False, **settings)
        self.group("Flags")
        if with_help:
            self.add_help_flag()

    def group(self, title: str) -> None:
        """The flags that are added from here on stand below this title in the help."""
        self._group = self.add_argument_group(title)
        self.groups[title] = []

    def add_help_flag(self) -> None:
        self.add_argument("-h", "--help", action="help", help="print this help and exit")

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        action: argparse.Action
        if names[0].startswith("-"):
            action = self._group.add_argument(*names, **settings)
            assert action.nargs in (None, 0), f"{names} would take {action.nargs} values"
            self._flags |= {name.lstrip("-"): action for name in action.option_strings}
            self.groups[self._group.title].append(action)
        else:
            action = super().add_argument(*names, **settings)
            assert action.nargs in (None, "?", "*"), f"{names} would take {action.nargs} words"
            self.words.append(action)
        return action

    def set_defaults(self, **values: Any) -> None:
        self._values |= values
        super().set_defaults(**values)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # overloads
        given = argparse.Namespace() if namespace is None else namespace
        for action in (*self._flags.values(), *self.words):
            if argparse.SUPPRESS not in (action.dest, action.default):
                setattr(given, action.dest, action.default)
        for name, value in self._values.items():
            setattr(given, name, value)
        flags, words = self.split(sys.argv[1:] if args is None else args)
        for flag in flags:
            name, _, text = flag.partition("=")
            action = self._flags[name.lstrip("-")]
            action(self, given, [] if action.nargs == 0 else self._value(name, action, text), name)
        self._assign(given, words)
        return given

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Nothing is left over: what is unknown is a mistake."""
        return self.parse_args(args, namespace), []

    def split(self, words: Sequence[str], *, command: bool = False) -> tuple[list[str], list[str]]:
        """The flags, as `--flag=value` and `--switch`, and the other words in their order.

        `--test=false` takes back an earlier `--test`. `command`: the first word that is no flag ends the flags, and what
        follows it stays as it is.
        """
        flags: list[str] = []
        others: list[str] = []
        left = iter(words)
        for word in left:
            if word == "--":
                return flags, [*others, *left]
            if not _is_flag(word):
                if command:
                    return flags, [word, *left]
                others.append(word)
                continue
            given, equals, value = word.partition("=")
            action = self._named(given)
            if action is None:
                self._refuse(given)
            flag = action.option_strings[-1]
            if action.nargs == 0:
                if not equals or self._boolean(flag, value):
                    flags.append(flag)
                else:
                    flags = [earlier for earlier in flags if earlier != flag]
            else:
                flags.append(f"{flag}={value if equals else self._next(flag, action, left)}")
        return flags, others

    def format_usage(self) -> str:
        from pyagent.cli.help_text import usage

        return f"{usage(self)}\n"

    def format_help(self) -> str:
        from pyagent.cli.help_text import help_text

        return help_text(self)

    def print_help(self, file: Any = None) -> None:
        from pyagent.cli.help_text import help_text
        from pyagent.runtime.colours import has_colours

        stream = file or sys.stdout
        stream.write(help_text(self, colours=has_colours(stream)))

    def error(self, message: str) -> NoReturn:
        from pyagent.api.units import joined  # not needed by what is quick to start

        print(f"E! {joined(message, f'see {self.prog} --help')}", file=sys.stderr)
        raise SystemExit(self.mistake)

    def _named(self, word: str) -> argparse.Action | None:
        """The flag that `word` is, with one dash or two."""
        return self._flags.get(word[2:] if word.startswith("--") else word[1:])

    def _refuse(self, word: str) -> NoReturn:
        """Names the flag that was probably meant. What stood behind `=` may be a secret."""
        message = f"unknown flag {_shown(word)}"
        if near := _nearest(word.lstrip("-").lower(), self._flags):
            message += f"; did you mean --{near}?"
        elif "socket" in self._flags and word.lstrip("-") == "runtime-directory":
            message += "; name the socket in it: --socket DIR/control.sock"
        elif self.words:
            message += "; write -- before a word that begins with a dash"
        self.error(message)

    def _boolean(self, flag: str, value: str) -> bool:
        if value not in BOOLEANS:
            self.error(f"invalid value {value!r} for {flag}: write true or false")
        return BOOLEANS[value]

    def _next(self, flag: str, action: argparse.Action, left: Iterator[str]) -> str:
        """The word behind a flag. One that is itself a flag of ours was not meant as its value."""
        value = next(left, "--")
        if value == "--" or (_is_flag(value) and self._named(value.partition("=")[0])):
            self.error(f"{flag} has no value; write {flag} {word_name(action)}")
        return value

    def _value(self, name: str, action: argparse.Action, text: str) -> Any:
        try:
            value = text if action.type is None else action.type(text)  # type: ignore[operator]  # or a registered name
        except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
            self.error(f"invalid value {text!r} for {name}: {_WANTED.get(action.type) or error}")
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = _nearest(text, known)
            hint = f"did you mean {near}?" if near else f"write one of {', '.join(known)}"
            self.error(
                f"invalid value {text!r} for {name}: {hint}"
                if action.option_strings
                else f"unknown {name.lower()} {text!r}; {hint}"
            )
        return value

    def _assign(self, given: argparse.Namespace, words: Sequence[str]) -> None:
        left = list(words)
        for action in self.words:
            many = action.nargs == "*"
            taken = [self._value(word_name(action), action, text) for text in (left if many else left[:1])]
            del left[: len(taken)]
            if taken:
                action(self, given, taken if many else taken[0])
            elif many:
                setattr(given, action.dest, [])
            elif action.nargs is None:
                choices = f"; write one of {', '.join(map(str, action.choices))}" if action.choices else ""
                self.error(f"no {word_name(action)} is given{choices}")
        if left:
            is_file = "config" in self._flags and (os.path.isfile(left[0]) or left[0].endswith((".conf", ".toml")))
            hint = "; write --config before the name of a configuration" if is_file else ""
            self.error(f"unknown argument {_shown(left[0])}{hint}")


def _shown(word: str) -> str:
    """The word as a message may have it: a long one may be a token, of which every 64th begins with a dash. A file is none."""
    return repr(word) if len(word) <= 40 or os.path.exists(word) else f"{word[:3]!r}... of {len(word)} characters"


def _nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or nothing."""
    import difflib

    return next(iter(difflib.get_close_matches(word, known, n=1)), "")


def _is_flag(word: str) -> bool:
    """A lone dash and a negative number are words."""
    return len(word) > 1 and word[0] == "-" and not (word[1].isdecimal() or word[1] == ".")

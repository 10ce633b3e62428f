"""Arguments as Go programs take them: one dash or two, `-x=v` or `-x v`, `-x=true` for switches, 1 for every mistake."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

__all__ = ["Parser", "two_dashes"]

_BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True)
_BOOLEANS |= dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False)


class Parser(argparse.ArgumentParser):
    """argparse without guessing, and with the exit status and the one line of an error that all commands share."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # overloads
        # Words and flags in any order, which argparse takes for a thing of its own.
        rest = any(action.nargs in (argparse.REMAINDER, argparse.PARSER) for action in self._actions)
        parse = self.parse_known_args if rest else self.parse_known_intermixed_args
        known, unknown = parse(args, namespace)
        if unknown:
            self.refuse(unknown[0])
        return known

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        return super().parse_known_args(self.plain(sys.argv[1:] if args is None else args), namespace)

    def error(self, message: str) -> NoReturn:
        print(f"E! {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(1)

    def refuse(self, word: str) -> NoReturn:
        """Names the flag that was probably meant."""
        import difflib

        flags = [flag for action in self._actions for flag in action.option_strings]
        near = difflib.get_close_matches(word.partition("=")[0], flags, n=1)
        self.error(f"unknown flag or argument {word!r}" + (f"; did you mean {near[0]}?" if near else ""))

    def plain(self, words: Sequence[str]) -> list[str]:
        """The words as argparse wants them: `--test=true` is `--test`, and `--test=false` is as if nothing were said."""
        switches = {flag for action in self._actions if action.nargs == 0 for flag in action.option_strings}
        result: list[str] = []
        for word in two_dashes(words):
            flag, equals, value = word.partition("=")
            if not equals or flag not in switches:
                result.append(word)
            elif value not in _BOOLEANS:
                self.error(f"invalid value {value!r} for the flag {flag}: write true or false")
            elif _BOOLEANS[value]:
                result.append(flag)
            else:
                result = [earlier for earlier in result if earlier != flag]
        return result


def two_dashes(words: Iterable[str]) -> list[str]:
    """The words with `-config` written as `--config`; a lone dash, numbers and what follows `--` stay."""
    result, rest = [], False
    for word in words:
        rest = rest or word == "--"
        long = not rest and len(word) > 2 and word[0] == "-" and word[1].isalpha()
        result.append(f"-{word}" if long else word)
    return result

"""Arguments as Go programs take them: one dash or two, `-x=v` or `-x v`, and 1 for every mistake."""

import argparse
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

__all__ = ["Parser", "two_dashes"]


class Parser(argparse.ArgumentParser):
    """argparse without guessing, and with the exit status and the one line of an error that all commands share."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        print(f"E! {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(1)


def two_dashes(words: Iterable[str]) -> list[str]:
    """The words with `-config` written as `--config`; a lone dash, numbers and what follows `--` stay."""
    result, rest = [], False
    for word in words:
        rest = rest or word == "--"
        long = not rest and len(word) > 2 and word[0] == "-" and word[1].isalpha()
        result.append(f"-{word}" if long else word)
    return result

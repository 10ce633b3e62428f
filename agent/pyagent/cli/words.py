"""The words of a command that are no flags."""

import argparse
from collections.abc import Mapping

__all__ = ["Choices", "word_name"]


class Choices(tuple[str, ...]):
    """What a word may be; `texts` says of each what it does."""

    texts: Mapping[str, str]

    def __new__(cls, **texts: str) -> "Choices":
        choices = super().__new__(cls, texts)
        choices.texts = texts
        return choices


def word_name(action: argparse.Action) -> str:
    """How a text calls a word, or the value of a flag."""
    return str(action.metavar or (action.dest if action.choices else action.dest.upper()))

"""Typed options: one declaration gives validation, the sample configuration, the plugin's page and a JSON Schema."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import msgspec

__all__ = ["NoOptions", "Options", "option"]


class Options(msgspec.Struct, kw_only=True, frozen=True):
    """Base of a plugin's options. A field is `name: Annotated[type, option("what it is")] = default`.

    A field without a default is required; a class that has one, and a base with options, is declared with `kw_only=True`, too.
    `__post_init__` may check values against each other and raise ValueError.
    Types: bool, int, float, str, lists and dicts of these, Literal, nested Options, and Duration, Size, Secret.
    """

    parses: ClassVar[bool] = False
    """The plugin parses, in the format that its option `data_format` names: set it where `ParserOptions` cannot be a base."""
    serializes: ClassVar[bool] = False
    """The same of an output that serializes, where `SerializerOptions` cannot be a base."""

    def remarks(self) -> Iterable[tuple[str, str]]:
        """What is allowed and probably not meant, for a warning with file and line: an option, and what is to be said of it."""
        return ()


class NoOptions(Options, frozen=True):
    """The options of a plugin that has none."""


def option(
    text: str,
    *,
    executes: bool = False,
    writes: bool = False,
    reads_path: bool | Callable[[str], Iterable[str]] = False,
    holds_secrets: bool = False,
    deprecated: str | None = None,
    renamed_from: str | Sequence[str] = (),
    no_effect: bool = False,
    ge: float | str | None = None,
    gt: float | str | None = None,
    le: float | str | None = None,
    lt: float | str | None = None,
) -> msgspec.Meta:
    """Describe an option in one line of text, with its effect where it has one.

    `executes`: its value is run as a command or as code. `writes`: its value names what is written to. `reads_path`: its
    value names a file that is read (a function gives the files that a value names); open it with `pyagent.api.files`.
    `holds_secrets`: settings that the plugin passes on, of which those whose names promise a secret are never shown.
    `deprecated`: what to use instead; the option still works and is warned about. `renamed_from`: names that it had before;
    they still work, with a warning. `no_effect`: it is taken because configurations have it, and `text` says why it does
    nothing; a value other than the default is warned about, and samples leave it out.
    `ge`, `gt`, `le`, `lt`: bounds of a number, or of each number of a list; for a duration or a size they may be text ("1s").
    """
    effects: dict[str, Any] = {"executes": executes, "writes": writes, "reads_path": reads_path}
    effects |= {"holds_secrets": holds_secrets, "deprecated": deprecated, "no_effect": no_effect}
    effects["renamed_from"] = (renamed_from,) if isinstance(renamed_from, str) else tuple(renamed_from)
    bounds = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    extra = {name: value for name, value in effects.items() if value}
    return msgspec.Meta(description=text, extra=extra | {k: v for k, v in bounds.items() if v is not None})

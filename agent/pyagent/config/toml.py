"""From the text of one source to its tables, with environment references replaced and the line of every key."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomli

from pyagent.api import ConfigError
from pyagent.config.environment import Room, allowed_environment, expand, strip_comments
from pyagent.config.positions import Path, line_numbers
from pyagent.config.source import SourceText, is_url, settings_place

_OWN_DOLLARS = frozenset({"inputs.diskio.name_templates"})
"""Options in which a dollar sign stands before names of their own: what is not set is none of the environment's."""
_OWN_NAMES = frozenset({"json_transformation"})
"""Options, of any plugin, with `$name` of their own; `${NAME}` is none of it."""
_MOST_TABLES, _MOST_VALUES = 5_000, 50_000
"""Of a text from a URL: its parser holds up everything else."""
_MOST_WARNINGS = 100
"""Of one text, give or take those of one value."""
_ESCAPED_PATH = re.compile(r"[A-Za-z]:[^\b\t\n\f\r]*[\b\t\n\f\r]")
"""A path of Windows of which a part was taken for an escape."""

__all__ = ["Document", "parse_document", "printable_line"]


@dataclass(frozen=True, slots=True)
class Document:
    """The tables of one source."""

    where: str
    data: Mapping[str, Any]
    lines: Mapping[Path, int]
    warnings: Sequence[str] = ()
    """Whole lines: what is probably not meant, and no mistake."""

    @property
    def remote(self) -> bool:
        """It came from a URL: what it may make this host do is limited."""
        return is_url(self.where)

    def at(self, path: Path) -> str:
        """Where a key stands, "FILE:LINE"; where it has no line of its own, what encloses it."""
        return f"{self.where}:{self.line(path)}"

    def line(self, path: Path) -> int:
        """The same without the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: Path, message: str, option: str | None = None) -> ConfigError:
        return ConfigError(printable_line(f"{self.at(path)}: {message}"), option=option)


def printable_line(text: str) -> str:
    """`text` fit for a message: on one line, without control characters or what is not Unicode."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def parse_document(
    source: SourceText, environ: Mapping[str, str], *, strict_env: bool = True, old_env: bool = False
) -> Document:
    """Parse a source. Raises ConfigError "FILE:LINE: ...".

    `strict_env`: references are replaced in string values only, after parsing; else anywhere in the text, before it.
    `old_env`: `$$` is no escape. A source at a URL may name some variables only, where the host's administrator says so.
    """
    text = source.text
    if is_url(source.where):
        environ = allowed_environment(environ)
    warnings: list[str] = []
    if not strict_env:
        text = _expand_text(source.where, strip_comments(text), environ, old_env, warnings)
    if is_url(source.where):
        _check_size(source.where, text)
    try:
        data = tomli.loads(text)
        document = Document(source.where, data, line_numbers(text), warnings)
        return _expanded(document, environ, old_env) if strict_env else document
    except tomli.TOMLDecodeError as error:
        from pyagent.config.mistakes import explain  # for texts that have some

        line, reason = explain(error)
        raise ConfigError(printable_line(f"{source.where}:{line}: cannot read the TOML: {reason}")) from None
    except RecursionError:
        raise ConfigError(f"{source.where}:1: cannot read the TOML: it is nested too deeply") from None
    except ValueError as error:
        # tomli lets this one through: a number of thousands of digits.
        digits = re.search(r"\d{4000}", text)
        line = text.count("\n", 0, digits.start()) + 1 if digits else 1
        raise ConfigError(printable_line(f"{source.where}:{line}: cannot read the TOML: {error}")) from None


def _check_size(where: str, text: str) -> None:
    """Raises ConfigError for a text that would keep the agent busy for many seconds. Nobody writes such a one by hand."""
    if text.count("[[") > _MOST_TABLES or sum(map(text.count, "=,[")) > _MOST_VALUES:
        raise ConfigError(
            f"{where}:1: cannot use the configuration: it has more than {_MOST_TABLES:,} plugins, or "
            f"{_MOST_VALUES:,} keys and values; divide it among several agents"
        )


def _expand_text(where: str, text: str, environ: Mapping[str, str], old_env: bool, warnings: list[str]) -> str:
    room = Room()
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        unset: list[str] = []
        try:
            lines[number - 1] = expand(line, environ, escapes=not old_env, unset=unset, room=room)
        except ValueError as error:
            raise ConfigError(printable_line(f"{where}:{number}: {error}")) from None
        if len(warnings) < _MOST_WARNINGS:
            warnings.extend(
                f"{where}:{number}: {_not_set(name, environ)}" for name in dict.fromkeys(unset[:_MOST_WARNINGS])
            )
    return "\n".join(lines)


def _not_set(name: str, environ: Mapping[str, str]) -> str:
    return f"the variable {name} is not set; set it{settings_place(environ)}, or write $$ for a dollar sign"


def _expanded(document: Document, environ: Mapping[str, str], old_env: bool) -> Document:
    warnings: list[str] = []
    room = Room()

    def walk(value: Any, path: Path) -> Any:
        if isinstance(value, str):
            name = ".".join(part for part in path if isinstance(part, str))
            unset: list[str] = []
            try:
                result = expand(value, environ, escapes=not old_env, unset=unset, room=room)
            except ValueError as error:
                raise document.error(path, f"{name}: {error}") from None
            if "{{" in value or path[-1] in _OWN_NAMES:  # `$name` may be a template's own variable
                unset = [one for one in unset if "${" + one in value]
            if len(warnings) >= _MOST_WARNINGS:
                return result
            for one in dict.fromkeys(unset[:_MOST_WARNINGS]) if name not in _OWN_DOLLARS else ():
                warnings.append(printable_line(f"{document.at(path)}: {name}: {_not_set(one, environ)}"))
            if _ESCAPED_PATH.match(value):
                warnings.append(
                    printable_line(
                        f"{document.at(path)}: {name}: in double quotes, \\t, \\n, \\r, \\b and \\f are no parts of a path; "
                        "put it in single quotes, or write two backslashes"
                    )
                )
            return result
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        return value

    data = walk(document.data, ())
    return Document(document.where, data, document.lines, warnings)

"""From the text of one source to its tables, with environment references replaced and the line of every key."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomli

from pyagent.api import ConfigError
from pyagent.config.environment import allowed_environment, expand, strip_comments
from pyagent.config.positions import Path, last_key, line_numbers
from pyagent.config.source import SourceText, is_url

__all__ = ["Document", "one_line", "parse_document"]


@dataclass(frozen=True, slots=True)
class Document:
    """The tables of one source."""

    where: str
    data: Mapping[str, Any]
    lines: Mapping[Path, int]

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
        return ConfigError(one_line(f"{self.at(path)}: {message}"), option=option)


def one_line(text: str) -> str:
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
    if not strict_env:
        text = _expand_text(source.where, strip_comments(text), environ, old_env)
    try:
        data = tomli.loads(text)
        document = Document(source.where, data, line_numbers(text))
        return _expanded(document, environ, old_env) if strict_env else document
    except tomli.TOMLDecodeError as error:
        line, reason = _explain(error)
        raise ConfigError(one_line(f"{source.where}:{line}: cannot read the TOML: {reason}")) from None
    except RecursionError:
        raise ConfigError(f"{source.where}:1: cannot read the TOML: it is nested too deeply") from None
    except ValueError as error:
        # tomli lets this one through: a number of thousands of digits.
        digits = re.search(r"\d{4000}", text)
        line = text.count("\n", 0, digits.start()) + 1 if digits else 1
        raise ConfigError(one_line(f"{source.where}:{line}: cannot read the TOML: {error}")) from None


def _expand_text(where: str, text: str, environ: Mapping[str, str], old_env: bool) -> str:
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        try:
            lines[number - 1] = expand(line, environ, escapes=not old_env)
        except ValueError as error:
            raise ConfigError(one_line(f"{where}:{number}: {error}")) from None
    return "\n".join(lines)


def _expanded(document: Document, environ: Mapping[str, str], old_env: bool) -> Document:
    def walk(value: Any, path: Path) -> Any:
        if isinstance(value, str):
            try:
                return expand(value, environ, escapes=not old_env)
            except ValueError as error:
                name = ".".join(part for part in path if isinstance(part, str))
                raise document.error(path, f"{name}: {error}") from None
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        return value

    return Document(document.where, walk(document.data, ()), document.lines)


def _explain(error: tomli.TOMLDecodeError) -> tuple[int, str]:
    """Line and reason of a syntax error, with the names that tomli leaves out."""
    last_line = error.doc.rstrip("\n").count("\n") + 1
    line = min(error.lineno, last_line)
    reason = error.msg[:1].lower() + error.msg[1:]
    if table := re.fullmatch(r"Cannot declare \((.*)\) twice", error.msg):
        names = re.findall(r"""'([^']*)'|"([^"]*)\"""", table[1])
        return line, f"the table [{'.'.join(a or b for a, b in names)}] is declared twice"
    if error.msg == "Cannot overwrite a value" and (key := last_key(error.doc[: error.pos])):
        path, line, before = key
        names = [part for part in path if isinstance(part, str)]
        is_header = error.doc.split("\n")[line - 1].lstrip().startswith("[")
        what = f"the table [{'.'.join(names)}]" if is_header else repr(names[-1])
        return line, f"{what} is already set" + (f" on line {before}" if before else "")
    statement = error.doc.split("\n")[line - 1]
    if re.search(r"\$\{?\w", statement) and error.msg.startswith(("Invalid", "Expected")):
        reason += "; environment references are replaced inside of strings only: put it in quotes"
    return line, reason

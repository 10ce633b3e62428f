"""Old names in a configuration's text, replaced by those of today. All else in it stays as it was written.

What is migrated: the filters' old names (reference: telegraf 2.1), `[agent] logtarget`, `[tags]`, `ssl_*`, plugins and options
that have a successor, and every option that its plugin declares as deprecated in favour of another.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import tomli

from pyagent.api import ConfigError
from pyagent.config.catalog import Catalog
from pyagent.config.declared import declared_options
from pyagent.config.positions import line_numbers, statement_lines
from pyagent.config.toml_text import toml_value
from pyagent.plugin_kinds import RUNNING

__all__ = ["Migrated", "migrate"]

_MERGED = {"fieldinclude": ("pass", "fieldpass", "fieldinclude"), "fieldexclude": ("drop", "fielddrop", "fieldexclude")}
_RENAMED = {"ssl_ca": "tls_ca", "ssl_cert": "tls_cert", "ssl_key": "tls_key"}
_GONE = {("inputs", "influxdb_listener"): ("max_line_size",), ("inputs", "http_listener"): ("max_line_size",)}
_SUCCESSORS = {("inputs", "http_listener"): "influxdb_listener"}
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Migrated:
    """The text, and what was done to it: one line each."""

    text: str
    changes: tuple[str, ...]


def migrate(text: str, where: str, catalog: Catalog) -> Migrated:
    """Raises ConfigError for a text that is not TOML, or two settings that contradict each other."""
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise ConfigError(f"cannot migrate {where}: {error}") from None
    editor = _Editor(text, where)
    _agent(editor, data)
    for kind in RUNNING:
        for name, tables in (data.get(kind) or {}).items() if isinstance(data.get(kind), dict) else ():
            several = isinstance(tables, list)
            for index, table in enumerate(tables if several else [tables]):
                if isinstance(table, dict):
                    _plugin(editor, kind, name, table, (kind, name, index) if several else (kind, name), catalog)
    result = editor.result()
    if editor.changes:
        try:
            tomli.loads(result)
        except tomli.TOMLDecodeError as error:
            raise ConfigError(
                f"cannot migrate {where}: it is written in a way that cannot be changed: {error}"
            ) from None
    return Migrated(result, tuple(editor.changes))


def _agent(editor: "_Editor", data: Mapping[str, Any]) -> None:
    agent = data.get("agent")
    if isinstance(agent, dict) and "logtarget" in agent:
        editor.remove(("agent", "logtarget"), "agent: logtarget is left out")
        if agent["logtarget"] == "stderr" and "logfile" in agent:
            editor.remove(("agent", "logfile"), "agent: logfile is left out, since logtarget was 'stderr'")
    if isinstance(data.get("tags"), dict) and "global_tags" not in data:
        editor.header(("tags",), r"\[\s*tags\s*(?=[\].])", "[global_tags", "[tags] is [global_tags]")


def _plugin(editor: "_Editor", kind: str, name: str, table: Mapping[str, Any], path: Path, catalog: Catalog) -> None:
    label = f"{kind}.{name}"
    for new, olds in _MERGED.items():
        if any(old in table for old in olds if old != new):
            values = [value for old in olds for value in _strings(editor, table.get(old, []), label, old)]
            editor.merge(path, [old for old in olds if old in table], new, toml_value(values), label)
    renamed = dict(_RENAMED)
    if name not in [option for key in _SUCCESSORS for option in key]:
        renamed |= _deprecated(catalog, label)
    for old, new in renamed.items():
        if old not in table:
            continue
        if new not in table:
            editor.rename((*path, old), old, new, f"{label}: {old} is {new}")
        elif table[new] == table[old]:
            editor.remove((*path, old), f"{label}: {old} is left out, it is {new}")
        else:
            raise editor.contradiction((*path, old), label, old, new)
    for old in _GONE.get((kind, name), ()):
        if old in table:
            editor.remove((*path, old), f"{label}: {old} is left out, there is no such limit")
    if (kind, name) == ("inputs", "http_listener_v2"):
        _http_listener(editor, table, path, label)
    if successor := _SUCCESSORS.get((kind, name)):
        editor.header(path, rf"\.\s*{name}\s*(?=[\].])", f".{successor}", f"{label} is {kind}.{successor}")


def _http_listener(editor: "_Editor", table: Mapping[str, Any], path: Path, label: str) -> None:
    if isinstance(old := table.get("path"), str):
        paths = list(table.get("paths", []))
        editor.merge(
            path, [key for key in ("path", "paths") if key in table], "paths",
            toml_value(paths if old in paths else [*paths, old]), label,
        )  # fmt: skip
    if isinstance(port := table.get("port"), int):
        address = str(table.get("service_address", ""))
        found = re.search(r":(\d+)$", address)
        if found and int(found[1]) != port:
            raise editor.contradiction((*path, "port"), label, "port", "service_address")
        new = address if found else f"{address or 'tcp://'}:{port}"
        keys = [key for key in ("port", "service_address") if key in table]
        editor.merge(path, keys, "service_address", toml_value(new), label)


def _deprecated(catalog: Catalog, label: str) -> dict[str, str]:
    """Options of the plugin that another one of it stands for."""
    try:
        options = [o for kind in catalog.option_types(catalog.find(label)[0]) for o in declared_options(kind)]
    except ConfigError:
        return {}
    names = {option.name for option in options}
    renamed = {old: option.name for option in options for old in option.renamed_from if old not in names}
    return renamed | {option.name: option.deprecated for option in options if option.deprecated in names}


def _strings(editor: "_Editor", value: Any, label: str, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"cannot migrate {editor.where}: {label}: {name} is no list of strings; correct it first")
    return value


class _Editor:
    """Lines of the text, and what becomes of them."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.changes: list[str] = []
        self._lines = re.split(r"(?<=\n)", text)  # no other character ends a line in TOML
        self._numbers = line_numbers(text)
        self._statements = statement_lines(text)
        self._edits: dict[int, Callable[[str], str]] = {}
        self._removed: set[int] = set()

    def result(self) -> str:
        parts = []
        for number, line in enumerate(self._lines):
            if number not in self._removed:
                parts.append(self._edits[number](line) if number in self._edits else line)
        return "".join(parts)

    def rename(self, path: Path, old: str, new: str, change: str) -> None:
        first = self._numbers[path] - 1
        self._edit(
            first, lambda line: re.sub(rf"(^|[{{,.\s])(['\"]?){re.escape(old)}\2(?=\s*=)", rf"\1{new}", line, count=1)
        )
        self.changes.append(change)

    def remove(self, path: Path, change: str) -> None:
        self._removed.update(self._span(path))
        self.changes.append(change)

    def merge(self, path: Path, olds: list[str], new: str, value: str, label: str) -> None:
        """One line in place of several keys."""
        first, *others = sorted((self._span((*path, old)) for old in olds), key=min)
        for span in others:
            self._removed.update(span)
        self._removed.update(number for number in first if number != min(first))
        indent = re.match(r"\s*", self._lines[min(first)])[0]  # type: ignore[index]  # it matches anything
        end = "\r\n" if self._lines[min(first)].endswith("\r\n") else "\n"
        self._edit(min(first), lambda _: f"{indent}{new} = {value}{end}")
        self.changes.append(f"{label}: {', '.join(old for old in olds if old != new)} is {new}")

    def header(self, path: Path, pattern: str, new: str, change: str) -> None:
        """Of a table and of those below it."""
        for number, line in enumerate(self._lines):
            if line.lstrip().startswith("[") and self._below(path, number + 1):
                self._edit(number, lambda line: re.sub(pattern, new, line, count=1))
        self.changes.append(change)

    def contradiction(self, path: Path, label: str, old: str, new: str) -> ConfigError:
        return ConfigError(
            f"{self.where}:{self._numbers[path]}: {label}: {old} and {new} contradict each other; keep one"
        )

    def _below(self, path: Path, number: int) -> bool:
        return any(line == number and other[: len(path)] == path for other, line in self._numbers.items())

    def _edit(self, number: int, edit: Callable[[str], str]) -> None:
        before = self._edits.get(number)
        self._edits[number] = (lambda line: edit(before(line))) if before else edit

    def _span(self, path: Path) -> range:
        """The lines of a key and its value."""
        if (lines := self._statements.get(path)) is not None:
            return lines
        raise ConfigError(
            f"{self.where}:{self._numbers[path]}: cannot migrate {path[-1]}: give it a line of its own first"
        )

"""Which plugins there are on this host, where each comes from, and what it says about itself."""

import ast
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pyagent.api import ConfigError, Plugin
from pyagent.config.data_format import format_kind
from pyagent.config.plan import PluginKind
from pyagent.config.registry import MOST_SOURCE, Registry, entry_points, is_of_other_kind
from pyagent.plugin_kinds import KINDS, PLUGIN_KINDS
from pyagent.reading import read_file

__all__ = ["Catalog", "CatalogEntry", "about"]


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A plugin that a configuration may name."""

    kind: PluginKind
    name: str
    origin: str
    """`pyagent`, the path of a file, or `entry point MODULE of DISTRIBUTION`."""

    @property
    def label(self) -> str:
        return f"{self.kind}.{self.name}"


class Catalog:
    """`directories`: drop-in folders; `package`: where the plugins that come with the agent are."""

    def __init__(self, directories: Sequence[Path] = (), package: str = "pyagent_plugins") -> None:
        self._package = package
        self._registry = Registry(directories, package)

    @property
    def warnings(self) -> Sequence[str]:
        """One line for each folder that cannot be read."""
        return self._registry.drop_ins.warnings

    def entries(self, *kinds: PluginKind) -> Iterator[CatalogEntry]:
        """The plugins of these kinds (of all where none is given), sorted. Nothing is imported."""
        for kind in sorted(kinds or KINDS):
            for name in self._registry.names(kind):
                if origin := self._origin(kind, name):
                    yield CatalogEntry(kind, name, origin)

    def find(self, label: str) -> list[CatalogEntry]:
        """The plugins that `KIND.NAME` or `NAME` stands for. Raises ConfigError where there is none."""
        kind, dot, name = label.rpartition(".")
        kinds = [each for each in KINDS if not dot or kind in (each, PLUGIN_KINDS[each].singular)]
        found = [entry for entry in self.entries(*kinds) if entry.name == name] if kinds else []
        if not found:
            from pyagent.config.options import suggest

            entries = list(self.entries())
            near = suggest(name, [entry.name for entry in entries])
            best = next((entry.label for entry in entries if entry.name == near), "")
            hint = f"did you mean {best}?" if best else "see pyagent plugins"
            raise ConfigError(f"cannot show {label}: no such plugin is installed; {hint}")
        return found

    def load(self, entry: CatalogEntry) -> type[Plugin[Any]]:
        """Its class. Raises ConfigError where it cannot be imported."""
        return self._registry.find(entry.kind, entry.name).plugin

    def summary(self, entry: CatalogEntry) -> str:
        """The first sentence of what it says about itself, read from its source: nothing of it runs.

        Empty where there is none, or no source that can be read.
        """
        try:
            file = self.source(entry)
            with warnings.catch_warnings(action="ignore"):
                text = _docstring(ast.parse(read_file(file, MOST_SOURCE))) if file else ""
        except SyntaxError as error:
            return f"cannot be imported: {error.msg}" + (f" (line {error.lineno})" if error.lineno else "")
        except (OSError, ValueError, RecursionError, MemoryError):
            return ""  # `show` says what is wrong with it
        return re.split(r"(?<=[.!?])\s|\n\s*\n", text, maxsplit=1)[0].replace("\n", " ").strip()

    def source(self, entry: CatalogEntry) -> Path | None:
        """The file that its class is in, of a package `__init__.py`; None where there is none to be read."""
        if entry.origin == "pyagent":
            spec = importlib.util.find_spec(f"{self._package}.{entry.kind}.{entry.name}")
            return Path(spec.origin) if spec and spec.origin else None
        if not entry.origin.startswith("entry point "):
            return Path(entry.origin)
        for point in entry_points(entry.kind, entry.name):
            place = point.module.replace(".", "/")
            for name in (f"{place}.py", f"{place}/__init__.py"):
                file = Path(str(point.dist.locate_file(name))) if point.dist else None
                if file and file.is_file():
                    return file
        return None

    def option_types(self, entry: CatalogEntry) -> list[type[msgspec.Struct]]:
        """The types that declare what its table may hold: its own, and for one with a `data_format` those of all formats.

        Raises ConfigError where it cannot be imported.
        """
        own = self.load(entry).options_type
        kind = format_kind(own)
        return [own, *self._format_options(kind)] if kind else [own]

    def _format_options(self, kind: PluginKind) -> Iterator[type[msgspec.Struct]]:
        for found in self.entries(kind):
            try:
                yield self.load(found).options_type
            except ConfigError:
                continue  # its library is not installed: its data_format is refused anyway

    def _origin(self, kind: PluginKind, name: str) -> str:
        try:
            if importlib.util.find_spec(f"{self._package}.{kind}.{name}"):
                return "pyagent"
        except (ModuleNotFoundError, ValueError):
            pass
        for file in self._registry.drop_ins.named(name):
            if not is_of_other_kind(file, kind):
                return str(file)
        for point in entry_points(kind, name):
            return f"entry point {point.value} of {point.dist.name if point.dist else '?'}"
        return ""


def _docstring(module: ast.Module) -> str:
    """That of the module, else of its first class that has one and does not hold the options."""
    if text := ast.get_docstring(module):
        return text
    classes = [node for node in module.body if isinstance(node, ast.ClassDef) and not node.name.endswith("Options")]
    return next(filter(None, map(ast.get_docstring, classes)), "")


def about(plugin: type[Plugin[Any]]) -> str:
    """What the plugin is for: the docstring of its module, else its own. Empty where there is none."""
    module = sys.modules.get(plugin.__module__)
    return inspect.cleandoc((module and module.__doc__) or plugin.__dict__.get("__doc__") or "")

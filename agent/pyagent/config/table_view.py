"""One table of the configuration while it is read, and what is to be said about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyagent.api import ConfigError
from pyagent.config.positions import Path
from pyagent.config.toml import Document, printable_line

__all__ = ["Diagnostics", "TableView", "type_name"]


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Warnings and errors that are logged once a plan is made."""

    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """A table, `[agent]` or one `[[kind.name]]`, with its place."""

    document: Document
    path: Path
    label: str
    """`agent`, `inputs.mem`: how messages call it."""
    table: Mapping[str, Any]
    diagnostics: Diagnostics

    @property
    def location(self) -> str:
        return self.document.at(self.path)

    @property
    def line(self) -> int:
        return self.document.line(self.path)

    def at(self, *keys: str | int) -> str:
        return self.document.at((*self.path, *keys))

    def error(self, message: str, *keys: str | int) -> ConfigError:
        """An error at one of its keys, or at the table itself."""
        option = keys[0] if keys else None
        text = f"{self.label}: {message}"
        return self.document.error((*self.path, *keys), text, option if isinstance(option, str) else None)

    def warn(self, message: str, *keys: str | int) -> None:
        self.diagnostics.warnings.append(printable_line(f"{self.at(*keys)}: {self.label}: {message}"))

    def complain(self, message: str, *keys: str | int) -> None:
        """Say something that is worse than a warning and yet does not stop the agent."""
        self.diagnostics.errors.append(printable_line(f"{self.at(*keys)}: {self.label}: {message}"))


_TYPES = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "a list", dict: "a table"}


def type_name(value: object) -> str:
    """What a value of TOML is called: `a string`, `an integer`, `a date`."""
    return _TYPES.get(type(value), "a date or a time")

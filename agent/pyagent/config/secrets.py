"""The secret stores of a configuration, and the references `@{store:key}` to them (reference: telegraf 3.10)."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pyagent.api import ConfigError, SecretStore
from pyagent.api.foreign import call_with_deadline, describe, file_of, plain_text
from pyagent.config.environment import Room
from pyagent.config.table_view import TableView

__all__ = ["Secrets"]

DEADLINE = 10.0
"""Seconds for one value."""
_REFERENCE = re.compile(r"@\{(\w+):(\w+)\}")
_MALFORMED = re.compile(r"@\{[^}]*\}")
_ID = re.compile(r"\w+")


class Secrets:
    """Filled when all sources are read, asked while the plugins' options are."""

    def __init__(self) -> None:
        self.stores: dict[str, SecretStore[Any]] = {}
        self._room = Room()

    def add(self, view: TableView, store: SecretStore[Any]) -> None:
        """Raises ConfigError for an `id` that is missing, wrong, or taken."""
        name = view.table.get("id")
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise view.error('a secret store needs an id of letters, digits and _; add id = "mystore"', "id")
        if name in self.stores:
            raise view.error(f"the id {name!r} is taken by another secret store; give it another one", "id")
        self.stores[name] = store

    def resolve(self, view: TableView, text: str, name: str, path: tuple[str | int, ...]) -> str:
        """`text` with its references replaced. Raises ConfigError for a store or a key that is not there; what only looks
        like a reference stays as it is, with a warning."""
        read: dict[tuple[str, str], str] = {}

        def value(match: re.Match[str]) -> str:
            store, key = match.groups()
            if (store, key) not in read:
                read[store, key] = asked(match)
            try:
                return self._room.taken(f"the secret {key!r} of the store {store!r}", read[store, key])
            except ValueError as error:
                raise view.error(f"the option {name!r}: {error}", *path) from None

        def asked(match: re.Match[str]) -> str:
            store, key = match.groups()
            if store not in self.stores:
                known = ", ".join(sorted(self.stores)) or "none"
                raise view.error(
                    f"the option {name!r} refers to the secret store {store!r}, which is not configured, by {match[0]}; "
                    f"there are {known}",
                    *path,
                )
            try:
                return self._get(store, key)
            except LookupError:
                raise view.error(
                    f"the option {name!r} refers to the secret {key!r}, which the store {store!r} does not have", *path
                ) from None
            except ConfigError as error:
                raise view.error(f"the option {name!r}: {error}", *path) from None

        result = _REFERENCE.sub(value, text)
        if _MALFORMED.search(_REFERENCE.sub("", text)):
            view.warn(
                f"the option {name!r}: @{{...}} that is no reference to a secret, @{{store:key}}, stays as it is", *path
            )
        return result

    def _get(self, store: str, key: str) -> str:
        """Raises LookupError and ConfigError: a store may be anybody's code."""
        plugin = self.stores[store]
        what = f"cannot read the secret {key!r} of the store {store!r}"
        try:
            return call_with_deadline(lambda: plain_text(plugin.get(key)), DEADLINE, what)
        except (LookupError, ConfigError):
            raise
        except TimeoutError:
            raise ConfigError(f"{what}: it takes more than {DEADLINE:g} s") from None
        except BaseException as error:
            raise ConfigError(f"{what}: {describe(error, (file_of(type(plugin)),))}") from None

    def digest(self, table: Mapping[str, Any]) -> str:
        """Of the secrets that a table refers to: it changes when they do. Empty where it refers to none."""
        found = dict.fromkeys(_REFERENCE.findall(json.dumps(table, default=str)))
        if not found or not self.stores:
            return ""
        values = []
        for store, key in found:
            try:
                values.append(self._get(store, key))
            except (LookupError, ConfigError):
                continue
        return hashlib.sha256("\0".join(values).encode("utf-8", "surrogateescape")).hexdigest()

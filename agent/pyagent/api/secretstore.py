"""The contract of a secret store: values by key, which a configuration refers to as `@{store:key}`."""

import os
from pathlib import Path

from pyagent.api.errors import ConfigError
from pyagent.api.plugin import O_co, Plugin
from pyagent.reading import read_file

__all__ = ["SecretFolder", "SecretStore"]

_MOST = 1 << 20
"""Bytes of a secret."""


class SecretStore(Plugin[O_co]):
    """Asked when a configuration is loaded, at the start and at every reload, and by `pyagent secrets`. It reads only, unless
    it defines `set` and `remove`."""

    def get(self, key: str) -> str:
        """The value. Raises LookupError for a key that it does not have, ConfigError where it cannot be read."""
        raise NotImplementedError("the plugin defines no get(self, key)")

    def list(self) -> list[str]:
        """The keys. Raises ConfigError where they cannot be listed."""
        raise NotImplementedError("the plugin defines no list(self)")

    def set(self, key: str, value: str) -> None:
        """Keep a value. Raises ConfigError where that cannot be."""
        raise ConfigError("this store can only be read")

    def remove(self, key: str) -> None:
        """Forget a key. Raises LookupError for one that it does not have, ConfigError where that cannot be."""
        raise ConfigError("this store can only be read")


class SecretFolder:
    """A folder with one file for each secret, named by its key behind `prefix`; for stores that are made of one."""

    def __init__(self, path: Path, prefix: str = "") -> None:
        self._path = path
        self._prefix = prefix

    def get(self, key: str) -> str:
        """The file's text without a line break at its end. Raises LookupError and ConfigError, as a store does."""
        name = self._prefix + key
        if "/" in name or "\0" in name or name in ("", ".", ".."):
            raise ConfigError(f"cannot read the secret {name!r}: it is no name of a file in {self._path}")
        path = self._path / name
        try:
            return read_file(path, _MOST).decode().removesuffix("\n")
        except FileNotFoundError:
            raise LookupError(key) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(f"cannot read the secret {path}: {reason}") from None

    def list(self) -> list[str]:
        """Raises ConfigError."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._path) if entry.is_file())
        except OSError as error:
            raise ConfigError(f"cannot list the secrets in {self._path}: {error.strerror}") from None
        return [name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix)]

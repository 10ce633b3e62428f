"""Secrets of one file, `KEY=value` a line."""

from typing import Annotated

from pyagent.api import ConfigError, Options, SecretStore, option
from pyagent.api.files import read_file


class KeyfileOptions(Options, frozen=True):
    path: Annotated[str, option("the file", reads_path=True)]


class Keyfile(SecretStore[KeyfileOptions]):
    def get(self, key: str) -> str:
        return self._pairs()[key]

    def list(self) -> list[str]:
        return sorted(self._pairs())

    def _pairs(self) -> dict[str, str]:
        try:
            lines = read_file(self.options.path).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the secrets: {error}", option="path") from None
        return dict(line.split("=", 1) for line in lines if "=" in line)

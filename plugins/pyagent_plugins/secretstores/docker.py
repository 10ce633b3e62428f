"""Secrets of a Docker service, or of a Kubernetes volume: a folder with one file for each, named by its key."""

import os
from pathlib import Path
from typing import Annotated

from pyagent.api import ConfigError, Options, SecretStore, option

__all__ = ["Docker", "DockerOptions"]


class DockerOptions(Options, frozen=True):
    path: Annotated[str, option("folder of the secrets", reads_path=True)] = "/run/secrets"
    dynamic: Annotated[bool, option("accepted; files are read at the start and at every reload")] = False


class Docker(SecretStore[DockerOptions]):
    def setup(self) -> None:
        self._folder = Path(self.options.path)
        if not self._folder.is_dir():
            raise ConfigError(f"cannot read the secrets in {self._folder}: there is no such folder", option="path")

    def get(self, key: str) -> str:
        path = self._folder / key
        try:
            return path.read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            raise LookupError(key) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(f"cannot read the secret {path}: {reason}") from None

    def list(self) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(self._folder) if entry.is_file())
        except OSError as error:
            raise ConfigError(f"cannot list the secrets in {self._folder}: {error.strerror}") from None

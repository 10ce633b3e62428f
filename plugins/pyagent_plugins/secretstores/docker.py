"""Secrets of a Docker service or Kubernetes volume.

They lie in a folder with one file for each, named by its key.
"""

from pathlib import Path
from typing import Annotated

from pyagent.api import ConfigError, Options, SecretFolder, SecretStore, option

__all__ = ["Docker", "DockerOptions"]


class DockerOptions(Options, frozen=True):
    path: Annotated[str, option("folder of the secrets", reads_path=True)] = "/run/secrets"
    dynamic: Annotated[bool, option("files are read at the start and at every reload", no_effect=True)] = False


class Docker(SecretStore[DockerOptions]):
    def setup(self) -> None:
        path = Path(self.options.path or "/run/secrets")
        if not path.is_dir():
            raise ConfigError(f"cannot read the secrets in {path}: there is no such folder", option="path")
        self._folder = SecretFolder(path)

    def get(self, key: str) -> str:
        return self._folder.get(key)

    def list(self) -> list[str]:
        return self._folder.list()

"""Credentials that systemd gives to the service (`LoadCredential=`, `SetCredential=`, systemd.exec(5)).

They lie decrypted in $CREDENTIALS_DIRECTORY, one file each, which only the service's account can read. The file's name is
the key; with `prefix`, what stands behind that.
"""

import os
from pathlib import Path
from typing import Annotated

from pyagent.api import ConfigError, Options, SecretFolder, SecretStore, option

__all__ = ["Systemd", "SystemdOptions"]


class SystemdOptions(Options, frozen=True):
    path: Annotated[str, option("folder of the credentials (empty: $CREDENTIALS_DIRECTORY)", reads_path=True)] = ""
    prefix: Annotated[str, option("only credentials whose name begins so; keys are what stands behind it")] = ""


class Systemd(SecretStore[SystemdOptions]):
    def setup(self) -> None:
        folder = self.options.path or os.environ.get("CREDENTIALS_DIRECTORY", "")
        if not folder:
            raise ConfigError(
                "there are no credentials: CREDENTIALS_DIRECTORY is not set; run it as a service with "
                "LoadCredential=NAME:FILE, or give a path"
            )
        self._folder = SecretFolder(Path(folder), self.options.prefix)

    def get(self, key: str) -> str:
        return self._folder.get(key)

    def list(self) -> list[str]:
        return self._folder.list()

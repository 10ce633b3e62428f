"""Credentials that systemd gives to the service.

Its directives are `LoadCredential=` and `SetCredential=` (systemd.exec(5)). They lie decrypted in
$CREDENTIALS_DIRECTORY, one file each, which only the service's account can read. The file's name is the key; with
`prefix`, what stands behind that.
"""

import os
from pathlib import Path
from typing import Annotated

from pyagent.api import About, ConfigError, Options, SecretFolder, SecretStore, option

__all__ = ["Systemd", "SystemdOptions"]


DEFAULT_PREFIX = "telegraf."


class SystemdOptions(Options, frozen=True):
    path: Annotated[str, option("folder of the credentials (empty: $CREDENTIALS_DIRECTORY)", reads_path=True)] = ""
    prefix: Annotated[str, option("what names of credentials begin with; keys are what stands behind it")] = (
        DEFAULT_PREFIX
    )


class Systemd(SecretStore[SystemdOptions]):
    about = About(platforms=("linux",))

    def setup(self) -> None:
        folder = self.options.path or os.environ.get("CREDENTIALS_DIRECTORY", "")
        if not folder:
            raise ConfigError(
                "there are no credentials: CREDENTIALS_DIRECTORY is not set; run it as a service with "
                "LoadCredential=NAME:FILE, or give a path"
            )
        if not os.path.isdir(folder):
            raise ConfigError(f"cannot read the credentials in {folder}: there is no such folder", option="path")
        self._folders = [SecretFolder(Path(folder), self.options.prefix)]
        if self.options.prefix == DEFAULT_PREFIX:
            # Where nobody asked for it, a credential need not be named so.
            self._folders.append(SecretFolder(Path(folder)))

    def get(self, key: str) -> str:
        for folder in self._folders[:-1]:
            try:
                return folder.get(key)
            except LookupError:
                continue
        return self._folders[-1].get(key)

    def list(self) -> list[str]:
        names = [name for folder in reversed(self._folders) for name in folder.list()]
        return sorted({name.removeprefix(self.options.prefix) for name in names})

"""Credentials that systemd gives to the service (`LoadCredential=`, `SetCredential=`, systemd.exec(5)).

They lie decrypted in $CREDENTIALS_DIRECTORY, one file each, which only the service's account can read. The file's name is
the key; with `prefix`, what stands behind that.
"""

import os
from pathlib import Path
from typing import Annotated

from pyagent.api import ConfigError, Options, SecretStore, option

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
        self._folder = Path(folder)

    def get(self, key: str) -> str:
        path = self._folder / (self.options.prefix + key)
        try:
            return path.read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            raise LookupError(key) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(f"cannot read the credential {path}: {reason}") from None

    def list(self) -> list[str]:
        try:
            names = sorted(os.listdir(self._folder))
        except OSError as error:
            raise ConfigError(f"cannot list the credentials in {self._folder}: {error.strerror}") from None
        prefix = self.options.prefix
        return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

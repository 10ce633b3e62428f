"""The instances of the unit, for commands: their names, and the files that hold their settings."""

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pyagent.api import PyagentError
from pyagent.cli.terminal import harmless
from pyagent.reading import read_file
from pyagent.runtime.environment_files import MOST_BYTES, EnvironmentFile, setting

__all__ = ["DIRECTORY", "SettingsError", "SettingsFile", "checked_instance", "is_variable", "settings_file"]

DIRECTORY = "/etc/pyagent"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_LEAST_ROOM = 1 << 16
"""Bytes that must be free where a file of settings is written."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_UNSOUND = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_MARK = "# Made by pyagent provision."
_TOKEN_ID = re.compile(r"^# InfluxDB's ID of the token: ([0-9a-f]{16})$", re.MULTILINE)
_HOST = re.compile(r"^# This host's name in descriptions at InfluxDB: (.+)$", re.MULTILINE)
_SOURCES = ("PYAGENT_CONFIG", "TELEGRAF_CONFIG")
"""The first one wins."""


class SettingsError(PyagentError):
    """A file of settings cannot be read, written, or be what it is asked to be. One line."""


def checked_instance(name: str) -> str:
    """The name, where an instance of the unit may have it. Raises SettingsError."""
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"cannot use '{harmless(name)}' as a name: it becomes pyagent@NAME and a file; "
            "write up to 64 letters, digits, '_', '-' and '.', such as ram"
        )
    return name


def settings_file(name: str, directory: str = "") -> "SettingsFile":
    """The file that commands write for an instance; the unit reads it from DIRECTORY. Raises SettingsError."""
    root = os.environ.get("PYAGENT_ROOT", "")  # tests set it
    earlier = EnvironmentFile.read(f"{root}/etc/telegraf/telegraf-{name}.env")
    # Set there, it would win over another name here.
    wins = any(one.name == _SOURCES[0] for one in earlier.settings)
    return SettingsFile(Path(directory or f"{root}{DIRECTORY}") / f"{name}.env", _SOURCES[0 if wins else 1])


class SettingsFile:
    """NAME.env as it is. Reading it may need root. Raises SettingsError."""

    def __init__(self, path: Path, source_variable: str = _SOURCES[1]) -> None:
        self.path = path
        self.source_variable = source_variable
        """The variable that is to name the configuration."""
        self.text = ""
        self.exists = False
        try:
            self.text = read_file(path, MOST_BYTES).decode("utf-8", "surrogateescape")
            self.exists = True
        except FileNotFoundError:
            pass
        except OSError as error:
            raise SettingsError(_failure("read", path, error)) from None
        self._settings = EnvironmentFile.read(str(path)).settings if self.exists else []

    @property
    def values(self) -> dict[str, str]:
        return {one.name: one.value for one in self._settings}

    @property
    def is_ours(self) -> bool:
        """A command has made it, and not a person."""
        return self.text.startswith(_MARK)

    @property
    def token_id(self) -> str:
        """What InfluxDB calls the token in the file; empty where it does not say."""
        found = _TOKEN_ID.search(self.text) if self.is_ours else None
        return found[1] if found else ""

    @property
    def host(self) -> str:
        """Under which name this host's configuration and token were made; empty where the file does not say."""
        found = _HOST.search(self.text) if self.is_ours else None
        return found[1].strip() if found else ""

    @property
    def source(self) -> str:
        """The configuration that it names: a URL or a path; empty where it names none."""
        return next((value for name in _SOURCES if (value := self.values.get(name))), "")

    def differing(self, wanted: Mapping[str, str]) -> list[str]:
        """The names of `wanted` that have another value here; those that are not here do not differ."""
        values = self.values
        others = [name for name, value in wanted.items() if values.get(name, value) != value]
        if source := next((wanted[name] for name in _SOURCES if name in wanted), ""):
            others += [name for name in _SOURCES if name not in wanted and values.get(name, source) != source]
        return others

    def check_writable(self) -> None:
        """Raises SettingsError where it could not be written."""
        folder = self.path.parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise SettingsError(f"cannot write {harmless(str(self.path))}: {harmless(str(folder))} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            number = errno.EACCES if _is_writable_medium(folder) else errno.EROFS
            raise SettingsError(_failure("write", self.path, OSError(number, os.strerror(number))))
        try:
            # Nothing but a try tells root of a full disk, or of a folder that the kernel alone fills. It has no name: nothing
            # of it is seen, whatever ends this.
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(_LEAST_ROOM))
        except OSError as error:
            raise SettingsError(_failure("write", self.path, error)) from None

    def merged(self, instance: str, wanted: Mapping[str, str], token_id: str, host: str = "") -> str:
        """The text with these settings: other settings that are there stay. Raises SettingsError for a value that no such file
        can hold."""
        for name, value in wanted.items():
            if _UNSOUND.search(value):
                raise SettingsError(
                    f"cannot write {self.path}: the value of {name} has characters that systemd refuses"
                )
        replaced = {*wanted, *(_SOURCES if any(name in wanted for name in _SOURCES) else ())}
        kept = [one for one in self._settings if one.name not in replaced]
        lines = [
            f"{_MARK} Read when the instance starts; after a change: systemctl restart pyagent@{instance}",
            *([f"# InfluxDB's ID of the token: {token_id}"] if token_id else []),
            *([f"# This host's name in descriptions at InfluxDB: {host}"] if host else []),
            *(setting(name, value).text for name, value in wanted.items()),
            *(one.text for one in kept),
        ]
        return "".join(f"{line}\n" for line in lines)

    def write(self, text: str) -> None:
        """All of it or nothing, readable for its owner alone. A file that no command made is kept as NAME.env.old."""
        path = Path(os.path.realpath(self.path))
        new = path.with_name(f".{path.name}.new")
        try:
            if not path.parent.exists():
                path.parent.mkdir(mode=0o750, parents=True)
                # The agent reads its plugins below it as this group.
                with contextlib.suppress(LookupError, PermissionError):
                    shutil.chown(path.parent, group="pyagent")
            if self.exists and not self.is_ours:
                self._save(path.with_name(f"{path.name}.old"), self.text)
            self._save(new, text)
            os.replace(new, path)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink()
            raise SettingsError(_failure("write", self.path, error)) from None

    def remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise SettingsError(_failure("remove", self.path, error)) from None

    @staticmethod
    def _save(path: Path, text: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # what an interrupted run left, and whatever somebody else put there
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(file, "wb") as stream:
            os.fchmod(file, 0o600)
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(file)


def is_variable(name: str) -> bool:
    return _VARIABLE.fullmatch(name) is not None


def _is_writable_medium(folder: Path) -> bool:
    return not os.statvfs(folder).f_flag & os.ST_RDONLY


def _failure(doing: str, path: Path, error: OSError) -> str:
    advice = ""
    if isinstance(error, PermissionError) and os.geteuid() != 0:
        advice = "; run it with sudo, or choose another folder with --settings-directory"
    elif error.errno == errno.EROFS:
        advice = "; choose another folder with --settings-directory"
    return f"cannot {doing} {harmless(str(path))}: {(error.strerror or str(error)).lower()}{advice}"

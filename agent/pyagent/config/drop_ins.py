"""The folders of plugins of one's own: which files are in them, and which of the folders cannot be read."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["DropIns"]

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class DropIns:
    """A missing folder is empty. One that cannot be read is as good as empty, and named in `warnings`: /etc/pyagent is for root
    and the agent's account, but everybody may list the plugins that come with the agent."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._warnings: list[str] = []
        self._files: list[Path] | None = None

    @property
    def warnings(self) -> list[str]:
        """One line for each folder that is there and cannot be read."""
        self._look()
        return self._warnings

    def named(self, name: str) -> list[Path]:
        """The files `NAME.py`."""
        if not _FILE_NAME.fullmatch(name):
            return []
        # os.path: it raises nothing, whatever is in the way. A folder that cannot be listed may be entered.
        return [file for folder in self.folders if os.path.isfile(file := folder / f"{name}.py")]

    def names(self) -> set[str]:
        """The names of all files that may be plugins."""
        return {file.stem for file in self._look() if _FILE_NAME.fullmatch(file.stem) and os.path.isfile(file)}

    def place(self, name: str) -> list[str]:
        """Where a plugin of that name belongs, in words; nothing where there is no such place."""
        if not self.folders or not _FILE_NAME.fullmatch(name):
            return []
        return [f"a plugin of your own is a file such as {self.folders[0] / name}.py"]

    def _look(self) -> list[Path]:
        """All Python files; looked for once."""
        if self._files is None:
            self._files = [
                folder / name for folder in self.folders for name in self._listed(folder) if name.endswith(".py")
            ]
        return self._files

    def _listed(self, folder: Path) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except FileNotFoundError:
            if not os.path.islink(folder):
                return []
            reason = "it is a link to nowhere"
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self._warnings.append(f"cannot read the folder of plugins {folder}: {reason}; those in it are left out")
        return []

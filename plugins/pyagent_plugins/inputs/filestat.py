"""Says which files exist, how large and how old.

Their MD5 sum, too. Names, types and options are those of Telegraf 1.40: a file, or a pattern, that nothing matches gives
`exists=0`.
"""

import hashlib
import os
from typing import Annotated, BinaryIO

from pyagent.api import Accumulator, Field, Input, Measurement, Options, PyagentError, option
from pyagent.api.files import open_file
from pyagent.kit.each import joined_failures
from pyagent.kit.globpath import match_files
from pyagent.kit.shown import quoted

__all__ = ["Filestat", "FilestatOptions"]

_PIECE = 1 << 18


class FilestatOptions(Options, frozen=True):
    files: Annotated[list[str], option("files to look at; wildcards, ** goes into folders", reads_path=True)] = []
    md5: Annotated[bool, option("read each file whole, for its MD5 sum")] = False


class Filestat(Input[FilestatOptions]):
    measurements = (
        Measurement(
            "filestat",
            "A file, or a pattern that nothing matches.",
            tags={"file": "its path, or the pattern"},
            fields={
                "exists": Field("int", "1", "1 if it is there, else 0"),
                "size_bytes": Field("int", "bytes", "its size"),
                "modification_time": Field("int", "ns", "when it was changed, since 1970"),
                "md5_sum": Field("str", "", "with `md5`: the MD5 sum of what it holds, in hexadecimal digits"),
            },
        ),
    )

    def setup(self) -> None:
        self._told: set[str] = set()
        """What was logged of files that are still missing, or still cannot be looked at."""

    def gather(self, acc: Accumulator) -> None:
        failures: list[Exception] = []
        told: set[str] = set()
        for pattern in self.options.files:
            try:
                paths = match_files(pattern)
            except ValueError as error:
                if "**" in pattern:  # as in Telegraf, where any other pattern that is none matches nothing
                    failures.append(PyagentError(str(error)))
                    continue
                paths = []
            if not paths:
                acc.add("filestat", {"exists": 0}, {"file": str(pattern)})
            for path in paths:
                acc.add("filestat", self._fields(path, told, failures), {"file": str(path)})
        self._told = told
        if failures:
            raise joined_failures(failures)

    def _fields(self, path: str, told: set[str], failures: list[Exception]) -> dict[str, int | str]:
        try:
            found = os.stat(path)
        except FileNotFoundError:
            self._tell_once(f"there is no file {quoted(path)}: a link leads to it, or it was just removed", told)
            return {"exists": 0}
        except OSError as error:
            self._tell_once(f"cannot look at {quoted(path)}: {error.strerror}", told)
            return {"exists": 1}
        fields: dict[str, int | str] = {
            "exists": 1,
            "size_bytes": found.st_size,
            "modification_time": found.st_mtime_ns,
        }
        if self.options.md5:
            try:
                with open_file(path) as file:
                    fields["md5_sum"] = _md5(file)
            except OSError as error:
                failures.append(PyagentError(f"cannot read {quoted(path)}: {error.strerror or error}"))
        return fields

    def _tell_once(self, message: str, told: set[str]) -> None:
        told.add(message)
        if message not in self._told:
            self.log.warning("%s", message)


def _md5(file: BinaryIO) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()

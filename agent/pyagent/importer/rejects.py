"""The errors file: each row that was refused, behind a comment with the reason."""

import errno
import os
import re
import stat
from typing import BinaryIO

from pyagent.importer.pieces import ImportFailure, Rejected
from pyagent.lineprotocol.text import to_bytes

__all__ = ["ErrorsFile", "is_comment"]

_COMMENT = (b"# error : ", b'"# error : ')
_SPECIAL = re.compile(r'[",;\t|]')
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REMEDIES = {
    errno.ENOENT: "make its folder, or name another file",
    errno.EACCES: "name a file that you may write",
    errno.EROFS: "name a file on a disk that can be written",
}


def is_comment(row: bytes) -> bool:
    """Whether a row is the reason that stands before another in an errors file, quoted or not."""
    return row.startswith(_COMMENT)


class ErrorsFile:
    """What is there stays. `size`: of an interrupted import, how long the file was when that last made sure of its progress:
    what is behind comes once more. Raises ImportFailure."""

    def __init__(self, path: str, size: int | None = None) -> None:
        self._path = path
        try:
            self._file: BinaryIO = open(path, "ab", buffering=0)  # noqa: SIM115  # open for as long as the import goes
            self._regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
            if size is not None and self._regular and self._size() > size:
                self._file.truncate(size)
        except OSError as error:
            raise self._failed(error) from None

    def add(self, rejected: list[Rejected], name: str, *, is_csv: bool = True) -> None:
        """Append rows; `name`: of their input, where there are several. Raises ImportFailure, and then none counts."""
        if not rejected:
            return
        data = b"".join(_entry(one, name, is_csv=is_csv) for one in rejected)
        before = self._size() if self._regular else 0
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
        except OSError as error:
            if self._regular:
                self._file.truncate(before)
            raise self._failed(error) from None

    @property
    def size(self) -> int | None:
        """Bytes; None where it is no file."""
        return self._size() if self._regular else None

    def sync(self) -> None:
        """Make it outlast a loss of power. Raises ImportFailure."""
        if not self._regular:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        self._file.close()

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def _failed(self, error: OSError) -> ImportFailure:
        reason = (error.strerror or str(error)).lower()
        remedy = (
            "make room, then add --resume"
            if error.errno in _FULL
            else _REMEDIES.get(error.errno or 0, "name another file")
        )
        return ImportFailure(f"cannot write to the errors file {self._path}: {reason}; {remedy}")


def _entry(rejected: Rejected, name: str, *, is_csv: bool) -> bytes:
    where = f"line {rejected.line}" if rejected.line else "some line"
    if name:
        where = f"{name}, {where}"
    reason = " ".join(f"{where}: {rejected.message}".split())
    comment = f"# error : {reason}"
    if is_csv and _SPECIAL.search(comment):  # one cell, whatever separates them
        comment = '"' + comment.replace('"', '""') + '"'
    return to_bytes(comment) + b"\n" + rejected.text + b"\n"

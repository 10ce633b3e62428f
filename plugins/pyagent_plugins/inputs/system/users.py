"""Who is logged in, by utmp(5)."""

import os

from pyagent.api.errors import PyagentError
from pyagent.api.files import read_file

__all__ = ["logged_in"]

_SIZE = 384
"""Bytes of an entry, on all that glibc runs on."""
_USER = 7
"""Type of an entry: somebody is logged in."""
_NAME = slice(44, 76)


def logged_in(path: str) -> list[str] | None:
    """The user of each session; None where this host keeps no account of it, as many do not any more, or hides it.

    Raises PyagentError for a file that is damaged.
    """
    try:
        data = read_file(path)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except OSError as error:
        raise PyagentError(f"cannot read {path}: {error.strerror}") from None
    if len(data) % _SIZE:
        raise PyagentError(f"cannot read {path}: it has {len(data)} bytes, which are no whole entries of {_SIZE}")
    # No two sessions have an entry that is the same to the byte.
    entries = dict.fromkeys(data[start : start + _SIZE] for start in range(0, len(data), _SIZE))
    return [os.fsdecode(one[_NAME].split(b"\0")[0]) for one in entries if int.from_bytes(one[:2], "little") == _USER]

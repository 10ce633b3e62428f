"""What is given on the command line, checked before anything is asked of a server."""

import errno
import re

from pyagent.api import PyagentError
from pyagent.cli.terminal import harmless

__all__ = [
    "ProvisionError",
    "cause_of",
    "checked_bucket",
    "checked_name",
    "checked_password",
    "read_text",
    "retention_seconds",
    "retention_text",
]

_HOUR, _DAY = 3600, 86400
_UNITS = {"h": _HOUR, "d": _DAY, "w": 7 * _DAY, "mo": 30 * _DAY, "y": 365 * _DAY, "m": 60, "s": 1}
_PARTS = re.compile(r"([0-9]+)(mo|[hdwyms])")
_FOR_EVER = ("0", "0s", "inf", "infinite", "never", "forever", "for ever")
_MOST_BYTES = 1 << 16
_LONGEST = 1000 * 365 * _DAY


class ProvisionError(PyagentError):
    """Something cannot be set up. One line."""


def retention_seconds(text: str) -> int:
    """`30d`, `12h`, `2w`, `6mo` (of 30 days), `1y` (of 365), sums of these; 0 for `inf`, `never` and `0`.

    Raises ProvisionError, also for less than the hour that InfluxDB keeps points at the least.
    """
    plain = text.strip().lower()
    if plain in _FOR_EVER:
        return 0
    parts = _PARTS.findall(plain)
    if not parts or "".join(number + unit for number, unit in parts) != plain:
        raise ProvisionError(f"cannot use the retention '{harmless(text)}': write one like 30d, 12h, 6mo, 1y, or inf")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if seconds < _HOUR:
        raise ProvisionError(
            f"cannot use the retention {text!r}: InfluxDB keeps points for 1h at the least, or for ever (inf)"
        )
    if seconds > _LONGEST:
        raise ProvisionError(f"cannot use the retention {text!r}: it is too long; for ever is inf")
    return seconds


def retention_text(seconds: int) -> str:
    """As people write it: `30d`, `1d12h`, `for ever`."""
    if not seconds:
        return "for ever"
    parts = []
    for unit in ("d", "h", "m", "s"):
        number, seconds = divmod(seconds, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts)


def checked_name(name: str, what: str) -> str:
    """The name of an organization, a bucket or a user, as InfluxDB and a configuration can have it. Raises ProvisionError."""
    if not name.strip():
        raise ProvisionError(f"cannot use an empty name for the {what}; write one")
    if name != name.strip() or not name.isprintable():
        raise ProvisionError(
            f"cannot use '{harmless(name)}' as the name of the {what}: it has blanks at its ends, or characters that "
            "are not shown"
        )
    return name


def checked_bucket(name: str) -> str:
    """Raises ProvisionError."""
    checked_name(name, "bucket")
    if name.startswith("_"):
        raise ProvisionError(
            f"cannot use the bucket {name!r}: those that begin with _ are InfluxDB's own; name another"
        )
    if '"' in name:
        raise ProvisionError(f"cannot use the bucket {name!r}: InfluxDB allows no quotation marks in it; name another")
    return name


def checked_password(password: str) -> str:
    """Raises ProvisionError, which does not show it."""
    if not 8 <= len(password.encode("utf-8", "surrogateescape")) <= 72:
        raise ProvisionError("cannot use the password: InfluxDB takes 8 to 72 characters")
    return password


def read_text(path: str) -> str:
    """A small file of text: a secret, a token. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"it has more than {_MOST_BYTES} bytes")
    return data.decode()


def cause_of(error: OSError | ValueError) -> str:
    """Why a file cannot be read as text, or written."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return "it is no text in UTF-8"

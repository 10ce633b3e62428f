"""What a writer is told: checked when it is made, without an import that costs anything."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pyagent.api.errors import ConfigError

__all__ = ["Settings", "WhenFull"]

WhenFull = Literal["block", "raise", "drop_oldest"]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLES = {
    "url": ("INFLUX_HOST",),
    "token": ("INFLUX_TOKEN",),
    "org": ("INFLUX_ORG",),
    "bucket": ("INFLUX_BUCKET", "INFLUX_BUCKET_NAME"),
    "tls_ca": ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    url: str
    token: str
    org: str
    bucket: str
    batch_size: int
    flush_interval: float
    max_points: int
    max_bytes: int
    when_full: WhenFull
    buffer_directory: Path | None
    timeout: float
    close_timeout: float
    gzip: bool
    options: Mapping[str, Any]
    """Further ones of outputs.influxdb_v2: TLS and proxy."""
    on_rejected: Callable[[Any], None] | None

    @property
    def target(self) -> str:
        """Whose points on disk are its own: address, organisation and bucket, never the token."""
        parts = urlsplit(self.url)
        address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")).rstrip("/")
        return " ".join(filter(None, (address, self.org, self.bucket)))


def from_environment(name: str, given: str | None, default: str = "") -> str:
    """What is given, else what the environment has."""
    if given is not None:
        return given
    return next((value for variable in _VARIABLES[name] if (value := os.environ.get(variable))), default)


def check_address(url: str, token: str, bucket: str) -> None:
    """Raises ConfigError."""
    shown = re.sub(r"//.*@", "//", url)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"cannot write to {shown!r}: {error}; correct the url") from None
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/"):
            raise ConfigError(f"cannot write to {shown!r}: it names no socket; give unix:///run/pyagent/NAME.sock")
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"cannot write to {shown!r}: it is no URL; give http://HOST:8086 as url, or set INFLUX_HOST")
    elif not bucket:
        raise ConfigError(f"cannot write to {shown}: no bucket is named; give bucket, or set INFLUX_BUCKET")
    if _CONTROL.search(token):
        raise ConfigError("cannot use the token: it holds a line break or control character; correct it")


def check_bounds(when_full: str, bounds: Mapping[str, float]) -> None:
    """Raises ValueError."""
    if when_full not in ("block", "raise", "drop_oldest"):
        raise ValueError(f"when_full is {when_full!r}; use 'block', 'raise' or 'drop_oldest'")
    for name, value in bounds.items():
        if not value > 0:
            raise ValueError(f"{name} is {value!r}; give a number above 0")

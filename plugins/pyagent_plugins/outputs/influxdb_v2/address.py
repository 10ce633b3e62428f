"""Where a write goes: the URL of each bucket, built as Go's net/url does it (reference: telegraf 6.2)."""

import re
from posixpath import normpath
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from pyagent.api import ConfigError

__all__ = ["WriteAddress", "split_url"]


class WriteAddress:
    """One of `urls`. A user in it is left out: the token takes its place."""

    def __init__(self, text: str, organization: str) -> None:
        """Raises ConfigError."""
        parts = split_url(text, "urls")
        self.socket = unquote(parts.path) if parts.scheme == "unix" else ""
        """The Unix socket to connect to; empty: it is TCP."""
        if self.socket:
            self._base, path, self.name = "http://127.0.0.1", "/api/v2/write", f"unix://{self.socket}"
        else:
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            self._base = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")
            path = quote(normpath("/" + f"{parts.path}/api/v2/write".lstrip("/")), safe="/%:@!$&'()*+,;=~")
            self.name = self._base + path.removesuffix("/api/v2/write")
        """How it is shown: without user and query."""
        self._path = path
        query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] not in ("bucket", "org")]
        self._query = [*query, ("org", organization)]

    def url(self, bucket: str) -> str:
        """The URL to write to this bucket."""
        query = sorted([*self._query, ("bucket", bucket)], key=lambda pair: pair[0])
        return f"{self._base}{self._path}?{urlencode(query)}"


def split_url(text: str, option: str) -> SplitResult:
    """The parts of an http or https URL, or of unix:///PATH. Raises ConfigError."""
    shown = re.sub(r"//.*@", "//", text)
    problem = ""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"cannot use the URL {shown!r}: {error}; correct it", option=option) from None
    if parts.scheme == "unix" and option == "urls":
        problem = "it names no socket" if parts.netloc or not parts.path.startswith("/") else ""
        if problem:
            raise ConfigError(f"cannot use the URL {shown!r}: {problem}; give unix:///run/influxdb.sock", option=option)
        return parts
    if parts.scheme not in ("http", "https"):
        problem = f"unsupported scheme {parts.scheme!r}"
    elif not parts.hostname:
        problem = "it has no host"
    elif re.search(r"[\x00-\x20\x7f]", text):
        problem = "it holds a blank or control character"
    if problem:
        raise ConfigError(f"cannot use the URL {shown!r}: {problem}; give one like http://HOST:8086", option=option)
    return parts

"""Where a write goes: the URL of each bucket, built as Go's net/url does it (reference: telegraf 6.2)."""

from posixpath import normpath
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pyagent.kit.influxdb import split_url

__all__ = ["WriteAddress"]


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
        return f"{self._base}{self._path}?{urlencode(query, errors='surrogateescape')}"

"""One server by HTTP: where it is written to, its databases, and which of its answers are about the batch."""

import base64
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from posixpath import normpath
from typing import Protocol
from urllib.parse import quote, unquote, urlencode

from pyagent.api import Retry, Secret
from pyagent.kit.connect_errors import SPEAKS_HTTPS, wants_https
from pyagent.kit.http_answers import one_line, retry_after
from pyagent.kit.http_client import HttpClient, HttpError, HttpResponse
from pyagent.kit.influxdb import cause, is_about_lines, problem, split_url
from pyagent.kit.shown import quoted

__all__ = ["HANDED_OFF", "HttpNode", "NodeOptions", "Target"]

HANDED_OFF = "hinted handoff queue not empty"
"""Others of the cluster are behind: the write itself is taken."""
_MOST_DATABASES = 10_000
_PASSING = {408, 425, 429}
_ABOUT_THE_REQUEST = ("database is required", "invalid consistency", "unexpected EOF", "EOF", "gzip: ", "http: ")
"""How answers begin that are not about the lines."""
_NOT_ITS_ANSWER = "; these are not the words of InfluxDB 1: correct `urls`, or the proxy before it"


class NodeOptions(Protocol):
    @property
    def username(self) -> Secret: ...
    @property
    def password(self) -> Secret: ...
    @property
    def http_headers(self) -> dict[str, Secret]: ...
    @property
    def content_encoding(self) -> str: ...
    @property
    def write_consistency(self) -> str: ...
    @property
    def skip_database_creation(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Target:
    database: str
    policy: str
    """Retention policy; empty: the database's default."""

    def __str__(self) -> str:
        return f"database {quoted(self.database)}" + (
            f", retention policy {quoted(self.policy)}," if self.policy else ""
        )


class HttpNode:
    def __init__(
        self, url: str, options: NodeOptions, client: Callable[[str], HttpClient], log: logging.Logger
    ) -> None:
        """`client`: makes one, for a unix socket of that path. Raises ConfigError."""
        parts = split_url(url, "urls")
        socket = unquote(parts.path) if parts.scheme == "unix" else ""
        if socket:
            self._base, self.name = "http://127.0.0.1", f"unix://{socket}"
        else:
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            path = normpath(f"/{parts.path.lstrip('/')}").rstrip("/")
            self._base = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port is not None else "")
            self._base += quote(path, safe="/%:@!$&'()*+,;=~")
            self.name = self._base
            """How it is shown: without user and query."""
        password = Secret(unquote(parts.password or ""))  # known from here on, so that no message shows it
        self._user = (options.username.reveal(), options.password.reveal())
        if not any(self._user):
            self._user = unquote(parts.username or ""), password.reveal()
        self._options = options
        self._client = client(socket)
        self._log = log
        self._asked: set[str] = set()
        """Databases that CREATE DATABASE was sent for."""
        self._warned = ""

    async def write(self, target: Target, body: bytes) -> HttpResponse:
        """The answer, where it says what became of the batch. Raises Retry for any other."""
        creates = not self._options.skip_database_creation
        if creates and target.database not in self._asked and (failure := await self._create(target.database)):
            self._warn(f"cannot create the database {quoted(target.database)} at {self.name}: {failure}")
        answer = await self._post(target, body)
        if "database not found" in problem(answer)[1]:
            failure = await self._create(target.database) if creates else "skip_database_creation is set"
            if failure:
                raise Retry(f"{cause(answer)}; it was not created: {failure}; create it", needs_operator=True)
            answer = await self._post(target, body)
        return self._judged(answer)

    async def close(self) -> None:
        await self._client.close()

    def _warn(self, text: str) -> None:
        self._log.log(logging.DEBUG if text == self._warned else logging.WARNING, "%s", text)
        self._warned = text

    async def _post(self, target: Target, body: bytes) -> HttpResponse:
        query = {"db": target.database}
        if target.policy:
            query["rp"] = target.policy
        if self._options.write_consistency not in ("", "one"):
            query["consistency"] = self._options.write_consistency
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._options.content_encoding == "gzip":
            headers["Content-Encoding"] = "gzip"
        return await self._request(f"write?{urlencode(sorted(query.items()), errors='surrogateescape')}", headers, body)

    async def _create(self, database: str) -> str:
        """Why the database was not created; empty: it is there. Raises Retry where the server cannot be reached."""
        if len(self._asked) >= _MOST_DATABASES:
            self._asked.clear()  # a tag may name any number in time
        name = database.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        body = urlencode({"q": f'CREATE DATABASE "{name}"'}, errors="surrogateescape").encode()
        answer = await self._request("query", {"Content-Type": "application/x-www-form-urlencoded"}, body)
        failure = _query_error(answer)
        if answer.status in (200, 403) or failure is None:
            self._asked.add(database)  # who may not create one need not try again
        if failure is None and answer.status == 200:
            return ""
        return f"{answer.status} {failure}" if failure else cause(answer)

    async def _request(self, path: str, headers: dict[str, str], body: bytes) -> HttpResponse:
        """Raises Retry where there is no answer."""
        try:
            return await self._client.request("POST", f"{self._base}/{path}", headers=self._headers(headers), body=body)
        except HttpError as error:
            if error.response is None:
                raise Retry(str(error)) from None
            return error.response  # the status says enough, also where the rest breaks off

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        own = {name: value.reveal() for name, value in self._options.http_headers.items()}
        if any(self._user):
            text = ":".join(self._user).encode("utf-8", "surrogateescape")
            headers["Authorization"] = f"Basic {base64.b64encode(text).decode()}"
        given = {name.lower() for name in own}
        return {name: value for name, value in headers.items() if name.lower() not in given} | own

    def _judged(self, answer: HttpResponse) -> HttpResponse:
        status, (_, message) = answer.status, problem(answer)
        page = "html" in answer.headers.get("Content-Type", "").lower()
        if status == 413 or (200 <= status < 300 and not answer.body):
            return answer
        if wants_https(status, answer.body):
            advice = f"; {SPEAKS_HTTPS}"
        elif status < 300:
            advice = _NOT_ITS_ANSWER
        elif status < 400:
            advice = "; redirects are not followed: put the address that it leads to into `urls`"
        elif status == 401:
            advice = "; correct `username` and `password`"
        elif status == 403:
            advice = f"; give a user that may write there ({one_line(self._user[0], 50) or 'none is set'})"
        elif "retention policy not found" in message:
            advice = "; make the retention policy, or correct `retention_policy`"
        elif HANDED_OFF in message:
            return answer
        elif message.startswith(_ABOUT_THE_REQUEST) or status in _PASSING:
            advice = "" if "EOF" in message or status in _PASSING else "; correct the options of the output"
        elif not page and is_about_lines(answer) and (status in (400, 422) or _names_lines(message)):
            return answer
        else:
            advice = _NOT_ITS_ANSWER if status < 500 else ""
        raise Retry(
            cause(answer) + advice, None if advice else retry_after(answer.headers), needs_operator=bool(advice)
        )


def _names_lines(message: str) -> bool:
    return any(words in message for words in ("partial write", "unable to parse", "points beyond retention policy"))


def _query_error(answer: HttpResponse) -> str | None:
    """What `/query` says went wrong: with any status, in the first result or outside of all. None: nothing."""
    try:
        document = json.loads(answer.text)
        results = document.get("results") or [{}]
        text = results[0].get("error") or document.get("error")
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError, IndexError):
        return None
    return one_line(str(text), 200) if text else None

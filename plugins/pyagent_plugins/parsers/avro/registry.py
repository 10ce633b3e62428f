"""Schemas that a Confluent schema registry has, each asked for once."""

import base64
import json
import threading
import time
from functools import lru_cache
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from pyagent.api.masking import mask_url
from pyagent.kit.tls import client_context, system_context
from pyagent_plugins.parsers.avro.schema import Schema, compile_schema

__all__ = ["SchemaRegistry", "registry"]

_TIMEOUT = 5.0
_PAUSE = 10.0
"""Seconds until a schema that could not be had is asked for again: until then its messages fail at once."""
_MOST_ANSWER = 4 << 20
_MOST_SCHEMAS = 10_000


class SchemaRegistry:
    def __init__(self, url: str, certificate: str) -> None:
        """`certificate`: a file with the authorities to trust, "" for those of the system. Raises OSError and ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("it must be http://HOST or https://HOST")
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._shown = mask_url(url)
        self._context = (
            (client_context(certificate) if certificate else system_context()) if parts.scheme == "https" else None
        )
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if parts.username:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        self._schemas: dict[int, Schema] = {}
        self._failed: dict[int, tuple[float, str]] = {}
        self._turn = threading.Lock()

    def schema(self, number: int) -> Schema:
        """Waits for the registry, 5 s at most, where the schema is not known yet. Raises ValueError."""
        known = self._schemas.get(number)
        if known is not None:
            return known
        with self._turn:
            known = self._schemas.get(number)
            if known is not None:
                return known
            until, cause = self._failed.get(number, (0.0, ""))
            if time.monotonic() < until:
                raise ValueError(cause)
            try:
                found = self._ask(number)
            except (OSError, HTTPException, ValueError, RecursionError) as error:
                cause = f"cannot get the schema {number} from {self._shown}: {_cause(error)}"
                if len(self._failed) >= _MOST_SCHEMAS:
                    self._failed.clear()
                self._failed[number] = (time.monotonic() + _PAUSE, cause)
                raise ValueError(cause) from None
            if len(self._schemas) >= _MOST_SCHEMAS:
                self._schemas.clear()
            self._schemas[number] = found
            return found

    def _ask(self, number: int) -> Schema:
        request = Request(f"{self._url}/schemas/ids/{number}", headers=self._headers)  # noqa: S310  # https or http alone
        with urlopen(request, timeout=_TIMEOUT, context=self._context) as answer:  # noqa: S310
            document: Any = json.loads(answer.read(_MOST_ANSWER))
        if not isinstance(document, dict) or not isinstance(text := document.get("schema"), str):
            raise ValueError("its answer has no text 'schema'")
        return compile_schema(text)


@lru_cache(maxsize=64)
def registry(url: str, certificate: str) -> SchemaRegistry:
    """The same for all parsers that name it. Raises as the class."""
    return SchemaRegistry(url, certificate)


def _cause(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"it answers with status {error.code}"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)

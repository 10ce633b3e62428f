"""Requests to an embedded server's API, for tests."""

import io
import json
from typing import Any

import aiohttp

from pyagent.sandbox import Sandbox


class Api:
    """Requests with one token: (status, decoded JSON or text)."""

    def __init__(self, session: aiohttp.ClientSession, server: Sandbox) -> None:
        self.session = session
        self.server = server
        self.token = server.token

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        status, _, text = await self.full(method, path, body, headers)
        return status, json.JSONDecoder().raw_decode(text)[0] if text.startswith(("{", "[")) else text

    async def full(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, str]:
        raw = json.dumps(body) if isinstance(body, dict | list) else body or b""
        data = io.BytesIO(raw.encode() if isinstance(raw, str) else raw) if raw else None
        given = {"Authorization": f"Token {self.token}", **(headers or {})}
        url = self.server.url + path
        async with self.session.request(method, url, data=data, headers=given, allow_redirects=False) as response:
            return response.status, response.headers, await response.text()

    async def write(self, lines: str | bytes, query: str = "", **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self("POST", f"/api/v2/write?org=home&bucket=monitoring-system{query}", lines, named)

    async def values(self, rest: str = "", bucket: str = "monitoring-system", start: str = "0") -> list[Any]:
        rows = await self.server.query(
            f'from(bucket: "{bucket}") |> range(start: {start}, stop: 2100-01-01T00:00:00Z) {rest}'
        )
        return [row["_value"] for row in rows]


def reason(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["message"]

"""The server within a process: what `pyagent sandbox` runs, and the door for tests and demonstrations."""

import asyncio
import os
import socket
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from aiohttp import web

from pyagent.kit.connections import Connections
from pyagent.kit.http_connection import HttpConnection
from pyagent.kit.scratch import ScratchFolder
from pyagent.sandbox import faults
from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, SandboxError
from pyagent.sandbox.flux.syntax import warm_up
from pyagent.sandbox.flux.tables import TIME
from pyagent.sandbox.flux.values import to_datetime
from pyagent.sandbox.ids import new_id
from pyagent.sandbox.limits import DEFAULT_LIMITS, QueryLimits
from pyagent.sandbox.resources.authorizations import add_authorization
from pyagent.sandbox.resources.buckets import add_bucket, bucket_named
from pyagent.sandbox.resources.query import run_script
from pyagent.sandbox.resources.setup import is_allowed, onboard
from pyagent.sandbox.resources.telegrafs import buckets_of
from pyagent.sandbox.resources.write import store_lines
from pyagent.sandbox.server import make_app
from pyagent.sandbox.state import State

_HEAD_SECONDS = 10.0
AGENTS = Path("/run/pyagent")
"""Where the control sockets of the agents are that run as services."""
EXPIRE_EVERY = 30 * 60.0
"""Seconds between two looks for points that are older than their bucket keeps them."""


class _Connection(HttpConnection):
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is answered as Go does, and is nothing for the log: anybody can send it."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = _Unnamed(status=status, text=f"{status} {HTTPStatus(status).phrase}")
        response.force_close()
        return response


class _Unnamed(web.Response):
    """Without the name of the program, which aiohttp adds to what it answers by itself."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


class _Server(web.Server):
    """Its connections tell when they are idle, so that there is room for new ones."""

    def __call__(self) -> HttpConnection:
        return _Connection(self, _HEAD_SECONDS, loop=asyncio.get_running_loop(), **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server
        return server


class Sandbox:
    """An InfluxDB 2 on a loopback port; see the package's docstring for the contract."""

    def __init__(
        self,
        data: Path | None = None,
        port: int = 0,
        *,
        faults: bool = False,
        limits: QueryLimits = DEFAULT_LIMITS,
        agents: Path = AGENTS,
    ) -> None:
        self._data = data
        self._port = port
        self._faults = faults
        self._limits = limits
        self._agents = agents
        self._scratch: ScratchFolder | None = None
        self._runner: web.AppRunner | None = None
        self._connections: Connections | None = None
        self._state: State | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._operator: Document = {}
        self.port = port
        self.token = self.org = self.org_id = self.bucket = self.bucket_id = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> State:
        if self._state is None:
            raise SandboxError("cannot use the sandbox: it is not running; start it first")
        return self._state

    @property
    def is_set_up(self) -> bool:
        return not is_allowed(self.state)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the data folder and listen.

        Raises:
            SandboxError: the folder or the port cannot be used.
        """
        if self._data is None:
            self._scratch = ScratchFolder("pyagent-sandbox.")
        folder = self._scratch.path if self._scratch is not None else self._data
        assert folder is not None
        self._state = State(folder, keep=self._data is not None, limits=self._limits)
        app = make_app(self._state, with_faults=self._faults, agents=self._agents)
        # Bodies stay as sent: what is wrong with a compressed one is answered in InfluxDB's words.
        self._runner = _Runner(app, auto_decompress=False, access_log=None, shutdown_timeout=1.0)
        try:
            await self._runner.setup()
            listening = socket.create_server(("127.0.0.1", self._port))
        except OSError as error:
            await self.close()
            reason = os.strerror(error.errno or 0)
            raise SandboxError(
                f"cannot listen on 127.0.0.1:{self._port}: {reason}; choose another with --port"
            ) from None
        self._connections = Connections(listening, cast("_Server", self._runner.server), app.logger)
        self._connections.start()
        self.port = int(listening.getsockname()[1])
        self._recall()
        self._sweeper = asyncio.create_task(self._sweep())
        await self._state.in_reader(warm_up)

    def _recall(self) -> None:
        """Know what an earlier life of the folder was set up with; all but the token, which is not kept in clear."""
        documents = self.state.documents
        org = next(iter(documents.all("orgs")), None)
        bucket = next((b for b in documents.all("buckets") if not b["name"].startswith("_")), None)
        if org and bucket:
            self.org, self.org_id = org["name"], org["id"]
            self.bucket, self.bucket_id = bucket["name"], bucket["id"]

    async def close(self) -> None:
        """Stop listening and close the folder; a temporary one is removed."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._connections is not None:
            await self._connections.close()
        if self._runner is not None:
            self._runner.app[faults.FAULTS].close()
            await self._runner.cleanup()
        if self._state is not None:
            await asyncio.to_thread(self._state.close)
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.close)
        self._sweeper = self._runner = self._state = self._connections = None

    async def _sweep(self) -> None:
        while True:
            await self.expire()
            await asyncio.sleep(EXPIRE_EVERY)

    async def expire(self) -> None:
        """Delete what is older than its bucket keeps it."""
        state = self.state
        for bucket in list(state.documents.all("buckets")):
            if bucket["retention"]:
                retention, shard = bucket["retention"] * 10**9, bucket["shard"] * 10**9
                await state.in_writer(partial(state.points.expire, bucket["id"], retention, shard, state.clock()))

    async def setup(
        self,
        org: str = "home",
        bucket: str = "monitoring-system",
        username: str = "admin",
        password: str | None = None,
        token: str | None = None,
        retention: int = 0,
    ) -> None:
        """Make user, organisation, bucket and the operator's token, as POST /api/v2/setup does."""
        try:
            made = await onboard(self.state, username, password or "", org, bucket, retention, token or "")
        except InfluxError as error:
            raise SandboxError(f"cannot set up the sandbox: {error.message}; use another data folder") from None
        self._operator = made["auth"]
        self.token, self.org, self.org_id = made["auth"]["token"], made["org"]["name"], made["org"]["id"]
        self.bucket, self.bucket_id = made["bucket"]["name"], made["bucket"]["id"]

    def _made(self) -> Document:
        if not self.org_id:
            raise SandboxError("cannot use the sandbox: it is empty; call setup() first")
        return {"id": self.org_id, "name": self.org}

    async def add_bucket(self, name: str, retention: int = 0) -> str:
        try:
            made = add_bucket(self.state, self._made(), name, retention)
        except InfluxError as error:
            raise SandboxError(f"cannot make the bucket {name}: {error.message}") from None
        return str(made["id"])

    async def add_telegraf(self, name: str, config: str, description: str = "") -> str:
        key = new_id()
        document = {"id": key, "orgID": self._made()["id"], "name": name, "description": description}
        self.state.documents.put("telegrafs", key, {**document, "config": config, "metadata": _metadata(config)})
        return key

    async def update_telegraf(self, id: str, config: str) -> None:
        kept = self.state.documents.get("telegrafs", id)
        if kept is None:
            raise SandboxError(f"cannot change the telegraf configuration {id}: there is none")
        self.state.documents.put("telegrafs", id, {**kept, "config": config, "metadata": _metadata(config)})

    async def authorize(
        self,
        *,
        read: Iterable[str] = (),
        write: Iterable[str] = (),
        telegrafs: Iterable[str] = (),
        description: str = "",
    ) -> str:
        org = self._made()["id"]

        def permission(action: str, kind: str, key: str) -> Document:
            return {"action": action, "resource": {"type": kind, "id": key, "orgID": org}}

        named = [("read", name) for name in read] + [("write", name) for name in write]
        permissions = [permission(action, "buckets", self._bucket(name)["id"]) for action, name in named]
        permissions += [permission("read", "telegrafs", key) for key in telegrafs]
        _, token = add_authorization(self.state, org, self._operator["userID"], permissions, description)
        return token

    def _bucket(self, name: str | None) -> Document:
        try:
            return bucket_named(self.state, self._made()["id"], name or self.bucket)
        except InfluxError as error:
            raise SandboxError(f"cannot use the bucket {name}: {error.message}") from None

    async def write(self, lines: str | bytes, precision: str = "ns", bucket: str | None = None) -> None:
        body = lines.encode() if isinstance(lines, str) else lines
        try:
            await store_lines(self.state, self._bucket(bucket), body, precision)
        except InfluxError as error:
            raise SandboxError(error.message) from None

    async def query(self, flux: str) -> list[dict[str, object]]:
        try:
            results = await run_script(self.state, self._operator, self._made(), flux, self.state.clock(), [])
        except InfluxError as error:
            raise SandboxError(error.message) from None
        rows: list[dict[str, object]] = []
        for name, tables in results:
            for number, table in enumerate(tables):
                times = {column for column, kind in table.types.items() if kind == TIME}
                for row in table.rows():
                    plain = {
                        column: to_datetime(value) if column in times and value is not None else value
                        for column, value in row.items()
                    }
                    rows.append({"result": name, "table": number, **plain})
        return rows

    async def count(self, measurement: str | None = None, bucket: str | None = None) -> int:
        key = self._bucket(bucket)["id"]
        wanted = measurement.encode("utf-8", "surrogateescape") if measurement is not None else None
        return await self.state.in_reader(lambda: self.state.points.count([key], wanted))

    async def fault(self, **spec: Any) -> None:
        if self._runner is None or not self._faults:
            raise SandboxError("cannot set a fault: the sandbox was made without faults=True")
        try:
            self._runner.app[faults.FAULTS].set.append(faults.Fault(spec))
        except InfluxError as error:
            raise SandboxError(error.message) from None

    async def clear_faults(self) -> None:
        if self._runner is not None:
            self._runner.app[faults.FAULTS].set.clear()


def _metadata(config: str) -> Document:
    """As InfluxDB's page sends it; a text that is not TOML may be stored, too, to see what an agent does with it."""
    try:
        return {"buckets": buckets_of(config)}
    except InfluxError:
        return {"buckets": []}

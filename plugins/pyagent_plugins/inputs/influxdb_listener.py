"""Takes line protocol over InfluxDB 1's HTTP API.

That is `/write`, and what its clients ask before they write. An answer 204 says that the outputs' queues hold the
lines; 400 that they hold all but the bad ones, which it names.
"""

from typing import Annotated, Literal

from pyagent.api import Accumulator, ConfigError, Input, PrecisionName, Secret, option
from pyagent.kit.http_server import (
    HttpListener,
    HttpRefusal,
    ListenerOptions,
    Request,
    Response,
    bad_lines,
    header_text,
    same_secret,
)

__all__ = ["InfluxDBListener", "InfluxDBListenerOptions"]


class InfluxDBListenerOptions(ListenerOptions, frozen=True):
    service_address: Annotated[str, option("where to listen: ':8186', 'host:port' or 'unix:///path'")] = ":8186"
    basic_username: Annotated[str, option("user that a writer must give (with the password empty: no check)")] = ""
    basic_password: Annotated[Secret, option("password that a writer must give")] = Secret("")
    database_tag: Annotated[str, option("tag that keeps the database which a writer named (empty: none)")] = ""
    retention_policy_tag: Annotated[str, option("tag that keeps the retention policy it named (empty: none)")] = ""
    token_shared_secret: Annotated[Secret, option("secret of JSON web tokens (not supported yet)")] = Secret("")
    token_username: Annotated[str, option("user of JSON web tokens (not supported yet)")] = ""
    parser_type: Annotated[Literal["", "internal", "upstream"], option("there is one parser", no_effect=True)] = (
        "internal"
    )


_VERSION = {"X-Influxdb-Version": "1.0"}
"""As Telegraf's listener tells it: clients choose by it how they speak."""
_PRECISIONS: dict[str, PrecisionName] = {
    "": "ns", "n": "ns", "ns": "ns", "u": "us", "us": "us", "µ": "us", "ms": "ms", "s": "s",
}  # fmt: skip
_NO_VALUES = ("", "0", "false")


class InfluxDBListener(Input[InfluxDBListenerOptions]):
    def setup(self) -> None:
        options = self.options
        for name in ("token_shared_secret", "token_username"):
            if getattr(options, name):
                raise ConfigError(f"cannot use {name}: it is not supported yet; use basic_username", option=name)
        self._credentials = (options.basic_username, options.basic_password.reveal())
        self._server = HttpListener(options, self._answer, _refuse, self.log)

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _answer(self, request: Request) -> Response:
        if request.path == "/ping":
            if request.query.get("verbose", "") in _NO_VALUES:
                return Response(204, headers=_VERSION)
            return Response.of_json(200, {"version": "1.0"}, _VERSION)
        self._authenticate(request)
        if request.path == "/query":
            # Clients ask for their database before they write.
            return Response.of_json(200, {"results": []}, _VERSION)
        if request.path != "/write":
            raise HttpRefusal(404, "not found")
        if request.method != "POST":
            raise HttpRefusal(405, "method not allowed", {"Allow": "POST"})
        return await self._write(request)

    def _authenticate(self, request: Request) -> None:
        """By HTTP's basic authentication, or `Token USER:PASSWORD`."""
        if not any(self._credentials):
            return
        scheme, rest = request.credentials()
        user, _, password = rest.partition(":")
        given = (user, password) if scheme == "token" else request.basic_credentials() or ("", "")
        equal = [same_secret(mine, theirs) for mine, theirs in zip(given, self._credentials, strict=True)]
        if not all(equal):
            raise HttpRefusal(401, "authorization failed", {"WWW-Authenticate": 'Basic realm="influxdb"'})

    async def _write(self, request: Request) -> Response:
        options, query = self.options, request.query
        precision = _PRECISIONS.get(query.get("precision", ""))
        if precision is None:
            given = query.get("precision", "")[:50]
            raise HttpRefusal(400, f'invalid precision "{given}" (use n, u, ms or s)')
        named = {options.database_tag: query.get("db"), options.retention_policy_tag: query.get("rp")}
        tags = {tag: value for tag, value in named.items() if tag and value}
        ingested = await request.ingest(self._acc, precision=precision, tags=tags)
        if ingested.errors:
            raise HttpRefusal(400, f"partial write: {bad_lines(ingested)} dropped={ingested.rejected}")
        return Response(204, headers=_VERSION)


def _refuse(refused: HttpRefusal) -> Response:
    message = str(refused)
    headers = {**_VERSION, "X-Influxdb-Error": header_text(message), **refused.headers}
    return Response.of_json(refused.status, {"error": message}, headers)

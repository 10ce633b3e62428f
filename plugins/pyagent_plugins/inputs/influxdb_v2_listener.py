"""Takes line protocol over InfluxDB 2's HTTP API.

Whatever writes to InfluxDB 2's `/api/v2/write` can write to an agent. An answer 204 says that the outputs' queues hold
the lines. Paths are those of Telegraf's plugin of this name; bodies of answers are InfluxDB's.
"""

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from pyagent.api import VERSION, Accumulator, Duration, Input, PrecisionName, Secret, option
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

__all__ = ["InfluxDBV2Listener", "InfluxDBV2ListenerOptions"]


class InfluxDBV2ListenerOptions(ListenerOptions, frozen=True):
    service_address: Annotated[str, option("where to listen: ':8086', 'host:port' or 'unix:///path'")] = ":8086"
    token: Annotated[Secret, option("token that a writer must have (empty: none)")] = Secret("")
    bucket_tag: Annotated[str, option("tag that keeps the bucket which a writer named (empty: none)")] = ""
    max_undelivered_metrics: Annotated[int, option("a full buffer is what limits writers", no_effect=True)] = 0
    parser_type: Annotated[Literal["", "internal", "upstream"], option("there is one parser", no_effect=True)] = (
        "internal"
    )
    use_internal_statistics: Annotated[bool, option("its numbers are those of the agent", no_effect=True)] = True


_PRECISIONS: dict[str, PrecisionName] = {"": "ns", "ns": "ns", "us": "us", "ms": "ms", "s": "s"}
_CODES = {
    400: "invalid",
    401: "unauthorized",
    404: "not found",
    405: "method not allowed",
    408: "request timeout",
    413: "request too large",
    415: "unsupported media type",
    429: "too many requests",
    500: "internal error",
    503: "unavailable",
}


class InfluxDBV2Listener(Input[InfluxDBV2ListenerOptions]):
    def setup(self) -> None:
        self._server = HttpListener(self.options, self._answer, _refuse, self.log)
        self._token = self.options.token.reveal()

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        self._started = time.time()
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _answer(self, request: Request) -> Response:
        match request.path:
            case "/ping":
                return Response(204, headers={"X-Influxdb-Build": "pyagent", "X-Influxdb-Version": VERSION})
            case "/health" | "/api/v2/health":
                return Response.of_json(200, _health())
            case "/ready" | "/api/v2/ready":
                return Response.of_json(200, self._ready())
        self._authenticate(request)
        if request.path != "/api/v2/write":
            raise HttpRefusal(404, "path not found")
        if request.method != "POST":
            raise HttpRefusal(405, "allow: POST", {"Allow": "POST"})
        return await self._write(request)

    def _authenticate(self, request: Request) -> None:
        scheme, token = request.credentials()
        if self._token and not (same_secret(token, self._token) and scheme in ("token", "bearer")):
            raise HttpRefusal(401, "unauthorized access")

    async def _write(self, request: Request) -> Response:
        precision = _PRECISIONS.get(request.query.get("precision", ""))
        if precision is None:
            raise HttpRefusal(400, "invalid precision; valid precision units are ns, us, ms, and s")
        bucket = request.query.get("bucket")
        tags = {self.options.bucket_tag: bucket} if self.options.bucket_tag and bucket else None
        ingested = await request.ingest(self._acc, precision=precision, tags=tags, all_or_nothing=True)
        if ingested.errors:
            raise HttpRefusal(400, "unable to parse " + bad_lines(ingested))
        return Response(204)

    def _ready(self) -> dict[str, str]:
        started = datetime.fromtimestamp(self._started, UTC).isoformat().replace("+00:00", "Z")
        return {"status": "ready", "started": started, "up": str(Duration(int((time.time() - self._started) * 1e9)))}


def _health() -> dict[str, str]:
    return {
        "name": "pyagent",
        "message": "ready for queries and writes",
        "status": "pass",
        "version": VERSION,
        "commit": "",
    }


def _refuse(refused: HttpRefusal) -> Response:
    message = str(refused)
    code = _CODES.get(refused.status, "invalid")
    headers = {"X-Platform-Error-Code": code, "X-Influxdb-Error": header_text(message), **refused.headers}
    return Response.of_json(refused.status, {"code": code, "message": message}, headers)

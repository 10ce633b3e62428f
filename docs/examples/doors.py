"""Doors that report by HTTP when they open or close."""

import json
import time
from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, Metric, QueueFull, fields, option
from pyagent.kit.http_server import HttpListener, HttpRefusal, ListenerOptions, Request, Response


class DoorsOptions(ListenerOptions, frozen=True):
    service_address: Annotated[str, option("where to listen: ':8181', 'host:port' or 'unix:///path'")] = ":8181"


class Doors(Input[DoorsOptions]):
    measurements = (
        Measurement(
            "door", "each report", tags={"door": "which one"}, fields=fields("bool", "", open="whether it is open")
        ),
    )

    def setup(self) -> None:
        self._server = HttpListener(self.options, self._answer, _refuse, self.log)

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _answer(self, request: Request) -> Response:
        try:
            report = json.loads(await request.body())
            metric = Metric("door", {"door": str(report["door"])}, {"open": bool(report["open"])}, time.time_ns())
        except (ValueError, TypeError, KeyError):
            raise HttpRefusal(400, 'the body is not like {"door": "front", "open": true}') from None
        try:
            await self._acc.deliver([metric])
        except QueueFull as full:
            raise HttpRefusal(429, str(full), {"Retry-After": "1"}) from None
        return Response(204)


def _refuse(refused: HttpRefusal) -> Response:
    return Response.of_json(refused.status, {"error": str(refused)}, refused.headers)

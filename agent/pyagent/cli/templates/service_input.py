"""Takes values by HTTP: each POST of `{"name": "...", "value": 1.5}` is a metric."""

import json
import time
from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, Metric, QueueFull, Secret, fields, option
from pyagent.kit.http_server import HttpListener, HttpRefusal, ListenerOptions, Request, Response, same_secret


class ExampleOptions(ListenerOptions, frozen=True):
    service_address: Annotated[str, option("where to listen: ':8181', 'host:port' or 'unix:///path'")] = ":8181"
    token: Annotated[Secret, option("bearer token that a sender must give (empty: none)")] = Secret("")


class Example(Input[ExampleOptions]):
    measurements = (
        Measurement(
            "example",
            "one metric for each request",
            tags={"name": "its name"},
            fields=fields("float", "", value="its value"),
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
        """An answer of 204 says that the outputs' queues hold the metric; a sender repeats what was refused."""
        token = self.options.token.reveal()
        if token and not same_secret(request.credentials()[1], token):
            raise HttpRefusal(401, "the token is missing or wrong")
        try:
            document = json.loads(await request.body())
            name, value = str(document["name"]), float(document["value"])
        except (ValueError, TypeError, KeyError):
            raise HttpRefusal(400, 'the body is not like {"name": "door", "value": 1}') from None
        try:
            await self._acc.deliver([Metric("example", {"name": name}, {"value": value}, time.time_ns())])
        except QueueFull as full:
            raise HttpRefusal(429, str(full), {"Retry-After": "1"}) from None
        return Response(204)


def _refuse(refused: HttpRefusal) -> Response:
    return Response.of_json(refused.status, {"error": str(refused)}, refused.headers)

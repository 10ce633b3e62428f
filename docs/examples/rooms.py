"""The tag `room` for each metric with the tag `sensor`, as a server knows it."""

import json
from typing import Annotated
from urllib.parse import quote

from pyagent.api import Metric, Processor, PyagentError, option
from pyagent.kit.each import for_each
from pyagent.kit.http import HttpOptions, UrlClient

MOST_KNOWN = 10_000


class RoomsOptions(HttpOptions, frozen=True, kw_only=True):
    url: Annotated[str, option("where to ask; the name of the sensor is added")]


class Rooms(Processor[RoomsOptions]):
    max_in_flight = 4

    def setup(self) -> None:
        self._http = UrlClient(self.options, [self.options.url], option="url")
        self._known: dict[str, str] = {}

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        sensors = {metric.tags["sensor"] for metric in metrics if "sensor" in metric.tags}
        await for_each(sorted(sensors - self._known.keys()), self._ask)
        for metric in metrics:
            if room := self._known.get(metric.tags.get("sensor", "")):
                metric.tags["room"] = room
        return metrics

    async def stop(self) -> None:
        await self._http.close()

    async def _ask(self, sensor: str) -> None:
        answer = await self._http.request(self.options.url + quote(sensor, safe=""))
        try:
            room = str(json.loads(answer.body)["room"])
        except (ValueError, TypeError, KeyError):
            raise PyagentError(f"cannot read the room of {sensor!r}: the answer has none") from None
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[sensor] = room

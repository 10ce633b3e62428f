"""Adds the tag `example` to metrics with a tag that a server knows the name of."""

import json
from typing import Annotated
from urllib.parse import quote

from pyagent.api import Metric, Processor, PyagentError, option
from pyagent.kit.each import for_each
from pyagent.kit.http import HttpOptions, UrlClient

MOST_KNOWN = 10_000


class ExampleOptions(HttpOptions, frozen=True, kw_only=True):
    url: Annotated[str, option("where to ask; the value of the tag is added")]
    key: Annotated[str, option("key of the tag to ask for")] = "sensor"


class Example(Processor[ExampleOptions]):
    max_in_flight = 4

    def setup(self) -> None:
        self._http = UrlClient(self.options, [self.options.url], option="url")
        self._known: dict[str, str] = {}

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        """Ask for what is not known yet, all at once."""
        key = self.options.key
        wanted = {metric.tags[key] for metric in metrics if key in metric.tags}
        await for_each(sorted(wanted - self._known.keys()), self._ask)
        for metric in metrics:
            if name := self._known.get(metric.tags.get(key, "")):
                metric.tags["example"] = name
        return metrics

    async def stop(self) -> None:
        await self._http.close()

    async def _ask(self, value: str) -> None:
        answer = await self._http.request(self.options.url + quote(value, safe=""))
        try:
            name = str(json.loads(answer.body)["name"])
        except (ValueError, TypeError, KeyError):
            raise PyagentError(f"cannot read the name of {value!r}: the answer has none") from None
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[value] = name

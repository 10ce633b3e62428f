"""What servers say of themselves: each of the URLs answers with a JSON object of numbers."""

import json
from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, PyagentError, option
from pyagent.kit.each import for_each
from pyagent.kit.http import HttpOptions, UrlClient


class ExampleOptions(HttpOptions, frozen=True, kw_only=True):
    urls: Annotated[list[str], option("where to ask")]


class Example(Input[ExampleOptions]):
    measurements = (Measurement("example", "one metric for each URL", tags={"url": "where it is from"}, open=True),)

    def setup(self) -> None:
        self._http = UrlClient(self.options, self.options.urls)

    async def gather(self, acc: Accumulator) -> None:
        """All at once; one that does not answer costs the others nothing."""
        await for_each(self.options.urls, lambda url: self._ask(url, acc))

    async def stop(self) -> None:
        await self._http.close()

    async def _ask(self, url: str, acc: Accumulator) -> None:
        answer = await self._http.request(url)
        try:
            values = {name: float(value) for name, value in json.loads(answer.body).items()}
        except (ValueError, TypeError, AttributeError):
            raise PyagentError(f"cannot read {url}: its answer is no object of numbers") from None
        acc.add("example", values, {"url": url})

"""How many jobs wait, as each server of a queue says at a URL."""

from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, PyagentError, Secret, fields, option
from pyagent.kit.each import for_each
from pyagent.kit.http import Credentials, HttpOptions, UrlClient


class QueueLengthOptions(HttpOptions, frozen=True):
    urls: Annotated[list[str], option("where the servers show their lengths")] = []
    token: Annotated[Secret, option("a bearer token")] = Secret("")


class QueueLength(Input[QueueLengthOptions]):
    measurements = (Measurement("queue", tags={"url": "the server"}, fields=fields("int", "1", length="jobs waiting")),)

    def setup(self) -> None:
        credentials = Credentials(token=self.options.token)
        self._http = UrlClient(self.options, self.options.urls, credentials=credentials)

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self.options.urls, lambda url: self._ask(url, acc))

    async def _ask(self, url: str, acc: Accumulator) -> None:
        answer = await self._http.request(url)
        if not answer.text.strip().isdecimal():
            raise PyagentError(f"cannot read {url}: it is no number but {answer.text[:50]!r}")
        acc.add("queue", {"length": int(answer.text)}, {"url": url})

    async def stop(self) -> None:
        await self._http.close()

"""Sends line protocol to a URL, by POST."""

from typing import Annotated

from pyagent.api import Batch, ConfigError, Duration, Output, Reject, Retry, Secret, TooLarge, option
from pyagent.kit.http_client import HttpClient, HttpError
from pyagent.kit.tls import TlsOptions


class ExampleOptions(TlsOptions, frozen=True, kw_only=True):
    url: Annotated[str, option("where to send it")]
    token: Annotated[Secret, option("sent as a bearer token (empty: none)")] = Secret("")
    timeout: Annotated[Duration, option("longest time for a whole request", ge="1ms")] = Duration("5s")


class Example(Output[ExampleOptions]):
    def setup(self) -> None:
        if not self.options.url.startswith(("http://", "https://")):
            raise ConfigError("cannot use this url: it must begin with http:// or https://", option="url")
        self._client = HttpClient(timeout=self.options.timeout.seconds, tls=self.options)
        token = self.options.token.reveal()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def destination(self, partition: str | None) -> str:
        return self.options.url

    async def write(self, batch: Batch) -> None:
        """Returns when the batch is delivered; the engine keeps and repeats what ends otherwise."""
        try:
            answer = await self._client.request("POST", self.options.url, headers=self._headers, body=batch.payload())
        except HttpError as error:
            raise Retry(str(error)) from None
        if answer.status == 413:
            raise TooLarge("the receiver takes no batch of this size")
        if answer.status in (400, 422):
            raise Reject(f"the receiver answered {answer.status} {answer.text[:200]}")
        if not 200 <= answer.status < 300:
            raise Retry(f"the receiver answered {answer.status} {answer.reason}", slow=400 <= answer.status < 500)

    async def close(self) -> None:
        await self._client.close()

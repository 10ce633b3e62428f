"""Sends line protocol to a URL, by POST."""

from typing import Annotated

from pyagent.api import Batch, Output, PyagentError, Reject, Retry, Secret, TooLarge, option
from pyagent.api.masking import mask_url
from pyagent.kit.http import Credentials, HttpOptions, UrlClient
from pyagent.kit.http_answers import cause, retry_after


class ExampleOptions(HttpOptions, frozen=True, kw_only=True):
    url: Annotated[str, option("where to send it")]
    token: Annotated[Secret, option("sent as a bearer token (empty: none)")] = Secret("")


class Example(Output[ExampleOptions]):
    def setup(self) -> None:
        credentials = Credentials(token=self.options.token)
        self._client = UrlClient(
            self.options, [self.options.url], option="url", credentials=credentials, verb="write to"
        )

    def destination(self, partition: str | None) -> str:
        return mask_url(self.options.url)

    async def write(self, batch: Batch) -> None:
        """Returns when the batch is delivered; the engine keeps and repeats what ends otherwise."""
        try:
            answer = await self._client.exchange(self.options.url, "POST", body=batch.payload(), follow=False)
        except PyagentError as error:
            raise Retry(str(error)) from None
        if 200 <= answer.status < 300:
            return
        reason = f"cannot write to {mask_url(self.options.url)}: {cause(answer)}"
        if answer.status == 413:
            raise TooLarge(reason)
        if answer.status in (400, 422):
            raise Reject(reason)
        raise Retry(
            reason, retry_after(answer.headers), needs_operator=400 <= answer.status < 500 and answer.status != 429
        )

    async def close(self) -> None:
        await self._client.close()

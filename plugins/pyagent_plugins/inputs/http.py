"""Reads metrics from URLs, in any data format.

All URLs are asked at once; one that fails costs only its own metrics.
"""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pyagent.api import (
    Accumulator,
    ConfigError,
    Input,
    Measurement,
    ParseError,
    PyagentError,
    Secret,
    option,
)
from pyagent.api.errors import TooMuch
from pyagent.api.masking import mask_url
from pyagent.kit.aside import SMALL, Aside, add_parsed
from pyagent.kit.each import for_each
from pyagent.kit.http import Credentials, HttpOptions, UrlClient

__all__ = ["Http", "HttpInputOptions"]


class HttpInputOptions(HttpOptions, frozen=True):
    parses: ClassVar[bool] = True

    urls: Annotated[
        list[str], option("what to ask: http, https, or http+unix:///run/x.sock:/path for a unix socket")
    ] = []
    method: Annotated[str, option("HTTP method")] = "GET"
    body: Annotated[str, option("body of the request")] = ""
    content_encoding: Annotated[Literal["gzip", "identity"], option("compress the body, or not")] = "identity"
    headers: Annotated[dict[str, Secret], option("further headers")] = {}
    username: Annotated[Secret, option("user, by basic authentication")] = Secret("")
    password: Annotated[Secret, option("password of that user")] = Secret("")
    token: Annotated[Secret, option("a bearer token")] = Secret("")
    token_file: Annotated[str, option("file with a bearer token, read for each request", reads_path=True)] = ""
    data_format: Annotated[str, option("format of the answers; it has options of its own")] = "influx"
    success_status_codes: Annotated[list[int], option("statuses of good answers ([]: 200)")] = []

    def remarks(self) -> Iterable[tuple[str, str]]:
        if not self.urls:
            yield "urls", "is empty; nothing is gathered"


class Http(Input[HttpInputOptions]):
    measurements = (
        Measurement(
            "http",
            "What the answers hold, where they give it no name of its own.",
            tags={"url": "the URL, where the metric has no tag of that name"},
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        if options.token and options.token_file:
            raise ConfigError("cannot use both token and token_file: give one of them", option="token_file")
        self._expected = tuple(options.success_status_codes) or (200,)
        self._aside = Aside()
        self._http = UrlClient(
            options,
            options.urls,
            credentials=Credentials(options.username, options.password, options.token, options.token_file),
            headers=options.headers,
        )

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self.options.urls, lambda url: self._read(url, acc))

    async def _read(self, url: str, acc: Accumulator) -> None:
        options = self.options
        answer = await self._http.request(
            url,
            options.method,
            body=options.body.encode(),
            compress=options.content_encoding == "gzip",
            expected=self._expected,
        )
        try:
            parser = self.new_parser()
            size = SMALL + 1 if parser.may_wait else len(answer.body)
            await self._aside.run(
                size,
                lambda: add_parsed(
                    acc, lambda: parser.parse(answer.body), lambda metric: metric.tags.setdefault("url", url)
                ),
            )
        except (ParseError, TooMuch, ValueError) as error:
            raise PyagentError(f"cannot parse what {mask_url(url)} gives: {error}") from None

    async def stop(self) -> None:
        await self._http.close()

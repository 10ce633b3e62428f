"""Sends metrics over HTTP, in any format, to an address of your choice."""

from typing import Annotated, ClassVar, Literal

from pyagent.api import (
    Batch,
    ConfigError,
    Limits,
    Output,
    PyagentError,
    QueueFormat,
    Reject,
    Retry,
    Secret,
    Serialized,
    TooLarge,
    option,
)
from pyagent.api.masking import mask_url
from pyagent.kit.http import Credentials, HttpOptions, HttpResponse, UrlClient
from pyagent.kit.http_answers import cause, retry_after

__all__ = ["Http", "HttpOutputOptions"]


class HttpOutputOptions(HttpOptions, frozen=True):
    serializes: ClassVar[bool] = True
    url: Annotated[str, option("address to send metrics to")] = "http://127.0.0.1:8080/telegraf"
    method: Annotated[str, option("POST, PUT or PATCH")] = "POST"
    username: Annotated[Secret, option("user, by basic authentication")] = Secret("")
    password: Annotated[Secret, option("password of that user")] = Secret("")
    headers: Annotated[dict[str, Secret], option("further headers; they win over those that are set otherwise")] = {}
    content_encoding: Annotated[Literal["", "gzip", "identity"], option("compress the body, or not")] = "identity"
    use_batch_format: Annotated[
        bool, option("one document for a batch, in formats that have such; false: a request for each metric")
    ] = True
    data_format: Annotated[str, option("format of what is sent; it has options of its own")] = "influx"
    non_retryable_statuscodes: Annotated[
        list[int], option("statuses for which a batch is given up, and goes to the quarantine")
    ] = []
    google_application_credentials: Annotated[str, option("key of a Google account; not supported")] = ""
    aws_service: Annotated[str, option("service that requests are signed for; not supported")] = ""
    region: Annotated[str, option("it is for signing, which is not supported", no_effect=True)] = ""
    access_key: Annotated[Secret, option("it is for signing, which is not supported", no_effect=True)] = Secret("")
    secret_key: Annotated[Secret, option("it is for signing, which is not supported", no_effect=True)] = Secret("")
    token: Annotated[Secret, option("it is for signing, which is not supported", no_effect=True)] = Secret("")
    role_arn: Annotated[str, option("it is for signing, which is not supported", no_effect=True)] = ""
    web_identity_token_file: Annotated[str, option("it is for signing, which is not supported", no_effect=True)] = ""
    role_session_name: Annotated[str, option("it is for signing, which is not supported", no_effect=True)] = ""
    profile: Annotated[str, option("it is for signing, which is not supported", no_effect=True)] = ""
    shared_credential_file: Annotated[str, option("it is for signing, which is not supported", no_effect=True)] = ""


_METHODS = ("POST", "PUT", "PATCH")
_PASSING = (408, 425, 429)
_MOST_BODY = 1 << 20


class Http(Output[HttpOutputOptions]):
    def setup(self) -> None:
        options = self.options
        self._method = options.method.upper() or "POST"
        if self._method not in _METHODS:
            text = f"cannot send by the method {options.method!r}: use one of {', '.join(_METHODS)}"
            raise ConfigError(text, option="method")
        if not options.url.lower().startswith(("http://", "https://")):
            # A text from a URL must not reach this host's sockets by it.
            text = f"cannot use the URL {mask_url(options.url)!r}: write http:// or https:// before it"
            raise ConfigError(text, option="url")
        for name in ("google_application_credentials", "aws_service"):
            if getattr(options, name):
                raise ConfigError(
                    f"cannot use {name}: signing requests is not supported; use another way in", option=name
                )
        credentials = Credentials(username=options.username, password=options.password)
        headers: dict[str, Secret | str] = {"Content-Type": "text/plain; charset=utf-8"}
        given = {name.lower() for name in options.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in given}
        self._client = UrlClient(
            options,
            [options.url],
            option="url",
            credentials=credentials,
            headers=headers | dict(options.headers),
            max_body=_MOST_BODY,
            verb="write to",
        )

    def destination(self, partition: str | None) -> str:
        return mask_url(self.options.url)

    def queue_format(self) -> QueueFormat:
        return Serialized(self.serializer, documents=self.options.use_batch_format)

    def limits(self) -> Limits:
        return Limits(write_metrics=0 if self.options.use_batch_format else 1)

    async def write(self, batch: Batch) -> None:
        body, headers = batch.payload(), dict[str, str]()
        if not body:
            return  # nothing of it has a place in the format
        if self.options.content_encoding == "gzip":
            body, headers = batch.payload("gzip"), {"Content-Encoding": "gzip"}
        try:
            answer = await self._client.exchange(
                self.options.url, self._method, body=body, headers=headers, follow=False
            )
        except PyagentError as error:
            raise Retry(str(error)) from None
        if not 200 <= answer.status < 300:
            raise self._refusal(answer, batch)

    async def close(self) -> None:
        await self._client.close()

    def _refusal(self, answer: HttpResponse, batch: Batch) -> Exception:
        reason = f"cannot write to {mask_url(self.options.url)}: {cause(answer)}"
        status = answer.status
        if status in self.options.non_retryable_statuscodes:
            # It was said before that nothing of it is to be tried again.
            return Reject(reason, tuple(range(batch.count)))
        if status == 413:
            return TooLarge(reason)
        if 300 <= status < 400:
            location = mask_url(answer.headers.get("Location", "")) or "not told"
            return Retry(
                f"{reason}; redirects are not followed: put the address that it leads to ({location}) into `url`",
                needs_operator=True,
            )
        if status in (401, 403):
            return Retry(f"{reason}; correct the credentials", needs_operator=True)
        after = retry_after(answer.headers)
        if 400 <= status < 500 and status not in _PASSING:
            advice = "correct `url` or the format, or name the status in `non_retryable_statuscodes`"
            return Retry(f"{reason}; {advice}", after, needs_operator=True)
        return Retry(reason, after)

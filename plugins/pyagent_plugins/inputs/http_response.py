"""Whether URLs answer, how fast, and with what."""

import asyncio
import ipaddress
import time
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from pyagent.api import (
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    PyagentError,
    Secret,
    Size,
    fields,
    option,
)
from pyagent.api.masking import mask_url
from pyagent.kit.each import for_each
from pyagent.kit.http import Credentials, HttpError, HttpOptions, HttpResponse, UrlClient
from pyagent.kit.interfaces import interface_addresses
from pyagent.kit.regex import compile_regex
from pyagent.kit.tls import TlsOptions

__all__ = ["HttpResponseInput", "HttpResponseOptions"]

_NONE = Secret("")
_LEAST_TIMEOUT, _DEFAULT_TIMEOUT = 1.0, 5.0
_MOST_BODY = 32 << 20
_AT_ONCE = 64 << 10
"""Bytes of a body in which the main loop looks for the text itself."""
_RESULTS = {
    "success": 0,
    "response_string_mismatch": 1,
    "body_read_error": 2,
    "connection_failed": 3,
    "timeout": 4,
    "dns_error": 5,
    "response_status_code_mismatch": 6,
}
_OF_FAILURES = {"": "connection_failed", "timeout": "timeout", "dns": "dns_error"}


class HttpResponseOptions(TlsOptions, frozen=True):
    urls: Annotated[list[str], option("what to ask ([]: http://localhost)")] = []
    http_proxy: Annotated[str, option("address of an HTTP proxy (empty: those that the environment names)")] = ""
    response_timeout: Annotated[Duration, option("longest time for a request; less than 1s is 5s")] = Duration("5s")
    method: Annotated[str, option("HTTP method (empty: GET)")] = "GET"
    follow_redirects: Annotated[bool, option("follow redirects; otherwise their status counts")] = False
    headers: Annotated[dict[str, Secret], option("further headers")] = {}
    username: Annotated[Secret, option("user, by basic authentication; with a password only")] = _NONE
    password: Annotated[Secret, option("password of that user")] = _NONE
    token: Annotated[Secret, option("a bearer token")] = _NONE
    bearer_token: Annotated[
        str, option("file with a bearer token, read for each request", reads_path=True, deprecated="token")
    ] = ""
    body: Annotated[str, option("body of the request")] = ""
    body_form: Annotated[
        dict[str, str | list[str]], option("a body of names and values, as a form sends it, where there is no `body`")
    ] = {}
    response_body_field: Annotated[str, option("field that gets the body of the answer (empty: none)")] = ""
    response_body_max_size: Annotated[Size, option("an answer with a larger body has failed (0: 32MiB)", ge=0)] = Size(
        "32MiB"
    )
    response_string_match: Annotated[str, option("regular expression that a body has to match (empty: any)")] = ""
    response_status_code: Annotated[int, option("status that an answer has to have (0: any)")] = 0
    http_header_tags: Annotated[
        dict[str, str], option("headers of the answer that become tags, and the tags' names")
    ] = {}
    interface: Annotated[str, option("network interface to connect from")] = ""
    cookie_auth_url: Annotated[str, option("ask this URL first, and send the cookies that it sets")] = ""
    cookie_auth_method: Annotated[str, option("method of that request (empty: POST)")] = ""
    cookie_auth_username: Annotated[str, option("user of that request, by basic authentication")] = ""
    cookie_auth_password: Annotated[Secret, option("password of that user")] = _NONE
    cookie_auth_headers: Annotated[dict[str, Secret], option("headers of that request")] = {}
    cookie_auth_body: Annotated[Secret, option("body of that request")] = _NONE
    cookie_auth_renewal: Annotated[Duration, option("ask for new cookies so often (0s: never)", ge=0)] = Duration(0)


class HttpResponseInput(Input[HttpResponseOptions]):
    measurements = (
        Measurement(
            "http_response",
            "The answer of each URL, or that there was none.",
            tags={
                "server": "the URL",
                "method": "method of the request",
                "status_code": "status of the answer",
                "result": "success, or what failed",
            },
            fields=fields("float", "s", response_time="until the answer began")
            | fields(
                "int",
                "1",
                http_response_code="status of the answer",
                result_code="0: success; 1: the body does not match; 2: it could not be read; 3: no connection; 4: timeout; "
                "5: the name is not known; 6: another status",
                response_string_match="1: the body matches",
                response_status_code_match="1: it is the expected status",
            )
            | fields("int", "bytes", content_length="size of the body")
            | {"result_type": Field("str", "", "as the tag result")},
            charts=(Chart("Response time", ("response_time",)), Chart("Result", ("result_code",))),
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        if options.bearer_token and options.token:
            raise ConfigError("cannot use both bearer_token and token: give one of them", option="bearer_token")
        self._match = None
        if options.response_string_match:
            try:
                self._match = compile_regex(options.response_string_match)
            except ValueError as error:
                raise ConfigError(str(error), option="response_string_match") from None
        self._most = options.response_body_max_size or _MOST_BODY
        self._method = options.method or "GET"
        form = sorted(options.body_form.items())
        self._body = (options.body or urlencode(form, doseq=True)).encode()
        self._urls = options.urls or ["http://localhost"]
        by_address: dict[str, list[str]] = {}
        for url in self._urls:
            if urlsplit(url).scheme not in ("http", "https"):
                raise ConfigError(
                    f"cannot use the URL {mask_url(url)!r}: write http:// or https:// before it", option="urls"
                )
            by_address.setdefault(self._local_address(url), []).append(url)
        self._clients = {
            url: client
            for address, urls in by_address.items()
            for client in [self._new_client(address, urls)]
            for url in urls
        }

    def _local_address(self, url: str) -> str:
        """The interface's address of the kind that the URL has."""
        if not self.options.interface:
            return ""
        try:
            version = ipaddress.ip_address((urlsplit(url).hostname or "").partition("%")[0]).version
        except ValueError:
            version = 4
        for address in interface_addresses(self.options.interface):
            if ipaddress.ip_address(address).version == version:
                return address
        raise ConfigError(
            f"cannot ask {mask_url(url)!r} from the interface {self.options.interface!r}: it has no address of IPv{version}",
            option="interface",
        )

    def _new_client(self, local_address: str, urls: list[str]) -> UrlClient:
        options = self.options
        timeout = options.response_timeout
        shared = {name: getattr(options, name) for name in TlsOptions.__struct_fields__}
        shared |= {
            name: getattr(options, name)
            for name in HttpResponseOptions.__struct_fields__
            if name.startswith("cookie_auth_")
        }
        asked = HttpOptions(
            **shared,
            timeout=timeout if timeout.seconds >= _LEAST_TIMEOUT else Duration("5s"),
            local_address=local_address,
            use_system_proxy=not options.http_proxy,
            http_proxy_url=options.http_proxy,
        )
        named = bool(options.username and options.password)
        return UrlClient(
            asked,
            urls,
            credentials=Credentials(
                options.username if named else _NONE,
                options.password if named else _NONE,
                options.token,
                options.bearer_token,
            ),
            # What is measured is a new connection each time.
            headers={"Connection": Secret("close")} | options.headers,
            max_body=self._most,
        )

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self._urls, lambda url: self._ask(url, acc))

    async def _ask(self, url: str, acc: Accumulator) -> None:
        tags = {"server": url, "method": self._method}
        found: dict[str, float | int | str] = {}
        start = time.perf_counter()
        answer, failed = None, ""
        try:
            answer = await self._clients[url].exchange(
                url, self._method, body=self._body, follow=self.options.follow_redirects
            )
        except HttpError as error:
            self.log.debug("%s", error)
            failed, answer = _OF_FAILURES[error.reason], error.response
            if answer is not None:
                failed = "body_read_error"
        if answer is not None:
            found["response_time"] = answer.began - start
            found["http_response_code"] = answer.status
            tags["status_code"] = str(answer.status)
            for name, tag in self.options.http_header_tags.items():
                if name in answer.headers:
                    tags[tag] = answer.headers[name]
            found["content_length"] = min(len(answer.body), self._most + 1)
            if not failed:
                failed = await self._judge(url, answer, found)
            elif self._match is not None:
                found["response_string_match"] = 0
        result = failed or "success"
        acc.add(
            "http_response", found | {"result_type": result, "result_code": _RESULTS[result]}, tags | {"result": result}
        )

    async def _judge(self, url: str, answer: HttpResponse, found: dict[str, float | int | str]) -> str:
        """What is wrong with a whole answer, empty where nothing is; adds the fields of it."""
        options = self.options
        result = ""
        if options.response_body_field:
            try:
                found[options.response_body_field] = answer.body.decode()
            except UnicodeDecodeError:
                if self._match is not None:
                    found["response_string_match"] = 0
                return "body_read_error"
        if self._match is not None:
            search, text = self._match.search, answer.text
            try:
                small = len(text) <= _AT_ONCE
                matches = (search(text) if small else await asyncio.to_thread(search, text)) is not None
            except ValueError as error:
                raise PyagentError(f"cannot match what {mask_url(url)} gives: {error}") from None
            found["response_string_match"] = int(matches)
            result = "" if matches else "response_string_mismatch"
        if options.response_status_code > 0:
            matches = answer.status == options.response_status_code
            found["response_status_code_match"] = int(matches)
            result = result if matches else "response_status_code_mismatch"
        return result

    async def stop(self) -> None:
        for client in {id(client): client for client in self._clients.values()}.values():
            await client.close()

"""Takes metrics over HTTP, in any format.

An answer with `http_success_code` says that the outputs' queues hold the metrics.
"""

from typing import Annotated, ClassVar, Literal
from urllib.parse import unquote_to_bytes

from pyagent.api import Accumulator, ConfigError, Input, Secret, option
from pyagent.kit.http_headers import revealed_headers
from pyagent.kit.http_server import (
    HttpListener,
    HttpRefusal,
    ListenerOptions,
    Request,
    Response,
    bad_lines,
    same_secret,
)

__all__ = ["HTTPListenerV2", "HTTPListenerV2Options"]


class HTTPListenerV2Options(ListenerOptions, frozen=True):
    parses: ClassVar[bool] = True
    service_address: Annotated[str, option("where to listen: ':8080', 'tcp://host:port' or 'unix:///path'")] = ":8080"
    paths: Annotated[list[str], option("paths to take metrics on ([]: /telegraf)")] = []
    path_tag: Annotated[bool, option("keep the path in the tag http_listener_v2_path")] = False
    methods: Annotated[list[str], option("HTTP methods to take ([]: POST and PUT)")] = []
    data_source: Annotated[Literal["body", "query"], option("where the metrics are: the body or the query string")] = (
        "body"
    )
    basic_username: Annotated[str, option("user that a sender must give (with the password empty: no check)")] = ""
    basic_password: Annotated[Secret, option("password that a sender must give")] = Secret("")
    http_header_tags: Annotated[
        dict[str, str], option("headers of a request to keep, and the tags to keep them in")
    ] = {}
    http_headers: Annotated[dict[str, Secret], option("headers to add to every answer")] = {}
    data_format: Annotated[str, option("format of the metrics; it has options of its own")] = "influx"
    http_success_code: Annotated[int, option("status of the answer when all is well (0: 204)")] = 204


_PATH_TAG = "http_listener_v2_path"


class HTTPListenerV2(Input[HTTPListenerV2Options]):
    def setup(self) -> None:
        options = self.options
        self._parser = self.parser
        if options.http_success_code != 0 and not 200 <= options.http_success_code <= 299:
            message = f"cannot use http_success_code {options.http_success_code}: give one of 200 to 299"
            raise ConfigError(message, option="http_success_code")
        self._credentials = (options.basic_username, options.basic_password.reveal())
        self._headers = revealed_headers(options.http_headers, "http_headers")
        self._paths = options.paths or ["/telegraf"]
        self._methods = options.methods or ["POST", "PUT"]
        self._server = HttpListener(options, self._answer, self._refuse, self.log, max_body=64 * 2**20)

    async def start(self, acc: Accumulator) -> None:
        self._acc = acc
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def _answer(self, request: Request) -> Response:
        options = self.options
        self._authenticate(request)
        if request.path not in self._paths:
            raise HttpRefusal(404, "http: not found")
        if request.method not in self._methods:
            raise HttpRefusal(405, "http: method not allowed", {"Allow": ", ".join(self._methods)})
        if options.data_source == "query":
            data = unquote_to_bytes(request.raw_query.replace("+", " "))
        else:
            data = await request.body()
        ingested = await request.ingest_data(
            self._acc,
            data,
            self._parser,
            tags=self._tags(request),
            all_or_nothing=True,
        )
        if ingested.errors:
            raise HttpRefusal(400, "http: bad request: " + bad_lines(ingested))
        return Response(options.http_success_code or 204, headers=self._headers)

    def _authenticate(self, request: Request) -> None:
        if not any(self._credentials):
            return
        given = request.basic_credentials() or ("", "")
        equal = [same_secret(mine, theirs) for mine, theirs in zip(given, self._credentials, strict=True)]
        if not all(equal):
            raise HttpRefusal(401, "http: unauthorized", {"WWW-Authenticate": 'Basic realm="pyagent"'})

    def _tags(self, request: Request) -> dict[str, str]:
        options = self.options
        tags = {tag: request.headers.get(header, "") for header, tag in options.http_header_tags.items()}
        if options.path_tag:
            tags[_PATH_TAG] = request.path
        return {tag: value for tag, value in tags.items() if tag and value}

    def _refuse(self, refused: HttpRefusal) -> Response:
        return Response.of_json(refused.status, {"error": str(refused)}, {**self._headers, **refused.headers})

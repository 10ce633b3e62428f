"""outputs.http against a server that answers by a script: what is sent, and what becomes of a batch for each answer."""

import gzip
import json
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, Reject, Retry, TooLarge
from pyagent.testing.outputs import Answer, Raw, ScriptedServer, make_batch, make_output, write
from pyagent_plugins.outputs.http import Http

TIME = 1_700_000_000_000_000_000
METRICS = [Metric("m", {"h": "a"}, {"n": number}, TIME + number) for number in range(3)]
SECRET = "a-word-that-nobody-may-see"


async def sent(*script: Answer | Raw, **options: Any) -> tuple[ScriptedServer, Exception | None]:
    """What one write ends in."""
    async with ScriptedServer(*script) as server:
        plugin = make_output(Http, {"url": f"{server.url}/in?key=1", **options})
        failure: Exception | None = None
        try:
            await write(plugin, make_batch(plugin, METRICS))
        except Exception as error:
            failure = error
        finally:
            await plugin.close()
    assert SECRET not in str(failure)
    assert "\n" not in str(failure)
    return server, failure


async def test_line_protocol_in_one_request() -> None:
    server, error = await sent()
    assert error is None
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/in?key=1")
    assert request.headers["content-type"] == "text/plain; charset=utf-8"
    assert "content-encoding" not in request.headers
    assert request.text == "".join(f"m,h=a n={number}i {TIME + number}\n" for number in range(3))


async def test_a_document_of_json_compressed_with_headers_of_ones_own() -> None:
    server, error = await sent(
        Answer(200, "taken"),
        data_format="json",
        content_encoding="gzip",
        method="put",
        headers={"Content-Type": "application/json", "X-Key": SECRET},
        username="u",
        password=SECRET,
    )
    assert error is None
    [request] = server.requests
    assert request.method == "PUT"
    assert (request.headers["content-type"], request.headers["x-key"]) == ("application/json", SECRET)
    assert request.headers["authorization"].startswith("Basic ")
    document = json.loads(gzip.decompress(request.body))
    assert [metric["fields"] for metric in document["metrics"]] == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_request_for_each_metric_is_the_engines_work() -> None:
    assert make_output(Http, {"use_batch_format": False}).limits().write_metrics == 1
    assert make_output(Http).limits().write_metrics == 0


async def test_nothing_is_sent_where_the_format_has_no_place_for_any() -> None:
    async with ScriptedServer() as server:
        plugin = make_output(Http, {"url": server.url, "data_format": "prometheus"})
        await write(plugin, make_batch(plugin, [Metric("m", {}, {"s": "text"}, TIME)]))
        await plugin.close()
        assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "kind", "after", "needs_operator", "text"),
    [
        (Answer(503, headers={"Retry-After": "7"}), Retry, 7.0, False, "503 Reason"),
        (Answer(429, headers={"Retry-After": "9"}), Retry, 9.0, False, "429 Reason"),
        (Answer(500, '{"error": "out of\\nluck"}'), Retry, None, False, "500 Reason: out of luck"),
        (Answer(401), Retry, None, True, "401 Reason; correct the credentials"),
        (Answer(404), Retry, None, True, "404 Reason; correct `url` or the format, or name the status in"),
        (Answer(302, headers={"Location": "http://u:p@other/x"}), Retry, None, True, "redirects are not followed: put"),
        (Answer(413), TooLarge, None, None, "413 Reason"),
        (Raw(then="close"), Retry, None, False, "the server closed the connection without an answer"),
    ],
)
async def test_answers(
    answer: Answer | Raw, kind: type[Exception], after: float | None, needs_operator: bool | None, text: str
) -> None:
    server, error = await sent(answer, answer)
    assert type(error) is kind
    assert str(error).startswith(f"cannot write to {server.url}/in")
    assert text in str(error)
    assert "u:p@" not in str(error)
    if isinstance(error, Retry):
        assert (error.after, error.needs_operator) == (after, needs_operator)


async def test_statuses_for_which_a_batch_is_given_up() -> None:
    _, error = await sent(Answer(409, "no"), non_retryable_statuscodes=[409, 413])
    assert isinstance(error, Reject)
    assert error.indices == (0, 1, 2)
    _, error = await sent(Answer(413), non_retryable_statuscodes=[409, 413])
    assert isinstance(error, Reject)


async def test_a_login_by_oauth_is_made_again_after_401() -> None:
    async with ScriptedServer(
        Answer(200, '{"access_token": "one", "expires_in": 3600}'),
        Answer(401),
        Answer(200, '{"access_token": "two", "expires_in": 3600}'),
        Answer(204),
    ) as server:
        login = {"client_id": "c", "client_secret": SECRET, "token_url": f"{server.url}/token"}
        plugin = make_output(Http, {"url": f"{server.url}/in", **login})
        with pytest.raises(Retry, match="correct the credentials"):
            await write(plugin, make_batch(plugin, METRICS))
        await write(plugin, make_batch(plugin, METRICS))
        await plugin.close()
        asked = [(request.target, request.headers.get("authorization")) for request in server.requests]
        assert [one for one in asked if one[0] == "/in"] == [("/in", "Bearer one"), ("/in", "Bearer two")]


@pytest.mark.parametrize(
    ("table", "option", "text"),
    [
        ({"method": "GET"}, "method", "cannot send by the method 'GET': use one of POST, PUT, PATCH"),
        ({"url": "ftp://x"}, "url", "write http:// or https:// before it"),
        ({"url": "http+unix:///run/docker.sock:/containers"}, "url", "write http:// or https:// before it"),
        ({"url": "http://"}, "url", "it names no host"),
        ({"aws_service": "execute-api"}, "aws_service", "signing requests is not supported"),
        ({"google_application_credentials": "/k"}, "google_application_credentials", "signing requests is not"),
        ({"data_format": "xml"}, "data_format", "undefined but requested serializer: xml"),
        ({"data_format": "influx", "influx_max_line_bytes": -1}, "influx_max_line_bytes", "must be 0 or more"),
    ],
)
def test_mistakes(table: dict[str, Any], option: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as caught:
        make_output(Http, table)
    assert caught.value.option == option

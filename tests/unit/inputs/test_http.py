"""The input http: formats, tags, and what a failure costs. What is common to all that ask URLs is in kit/test_kit_http.py."""

import gzip
from typing import Any

import pytest

from pyagent.api import ConfigError, PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, gather, lines, make_input
from pyagent.testing.outputs import Answer, ScriptedServer
from pyagent_plugins.inputs.http import Http

WEATHER = "weather,place=here temp=21.5,n=3i 1700000000000000000\n"


async def read(options: dict[str, Any], *answers: Answer) -> tuple[list[str], ScriptedServer]:
    async with ScriptedServer(*answers) as server:
        plugin = make_input(Http, {"urls": [f"{server.url}/x"], **options})
        try:
            metrics = await gather(plugin)
        finally:
            await plugin.stop()
    for metric in metrics:
        if metric.name == "http":  # other names are those of the data
            assert_declared(Http, [metric])
    return [line.replace(server.url, "URL") for line in lines(metrics)], server


async def test_line_protocol_is_the_default() -> None:
    assert (await read({}, Answer(200, WEATHER)))[0] == ["weather,place=here,url=URL/x n=3i,temp=21.5"]


async def test_a_tag_url_of_the_data_stays() -> None:
    assert (await read({}, Answer(200, "m,url=own v=1")))[0] == ["m,url=own v=1"]


async def test_another_format_and_another_request() -> None:
    options = {
        "data_format": "json",
        "json_string_fields": ["name"],
        "method": "POST",
        "body": "all öf it",
        "content_encoding": "gzip",
        "headers": {"X-Key": "abcdef"},
        "success_status_codes": [201],
    }
    found, server = await read(options, Answer(201, '{"a": 1, "name": "srv"}'))
    assert found == ['http,url=URL/x a=1,name="srv"']
    [request] = server.requests
    assert (request.method, gzip.decompress(request.body).decode()) == ("POST", "all öf it")
    assert {name.lower(): value for name, value in request.headers.items()}["x-key"] == "abcdef"


async def test_nothing_is_no_failure() -> None:
    assert (await read({}, Answer(200, "")))[0] == []


async def test_one_that_fails_costs_only_its_own() -> None:
    acc = InputAccumulator(Http.measurements)
    async with (
        ScriptedServer(Answer(200, WEATHER), Answer(200, WEATHER)) as server,
        ScriptedServer(Answer(200, "?")) as bad,
    ):
        urls = [f"{server.url}/a", f"{bad.url}/b", "http://127.0.0.1:1/c", f"{server.url}/d"]
        plugin = make_input(Http, {"urls": urls})
        with pytest.raises(PyagentError) as caught:
            await plugin.gather(acc)
        await plugin.stop()
    assert sorted(str(metric.tags["url"]).rpartition("/")[2] for metric in acc.drain()) == ["a", "d"]
    assert f"cannot parse what {bad.url}/b gives: line 1" in str(caught.value)
    assert "cannot read http://127.0.0.1:1/c: cannot connect to 127.0.0.1:1: Connection refused" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token": "abcd", "token_file": "/x"}, "cannot use both token and token_file: give one of them"),
        ({"urls": ["localhost"]}, "cannot use the URL 'localhost': write http://, https:// or http"),
        ({"data_format": "csv"}, "csv"),
        ({"content_encoding": "zstd"}, "content_encoding"),
        ({"tls_ca": "/none.pem"}, "cannot load tls_ca '/none.pem': No such file or directory"),
    ],
)
def test_options_that_cannot_work(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("+", r"\+")):
        make_input(Http, options)

"""The input nginx: pages that are none, and what the tags say."""

import pytest

from pyagent.api import PyagentError
from pyagent.testing import assert_declared, gather, lines, make_input
from pyagent.testing.outputs import Answer, ScriptedServer
from pyagent_plugins.inputs.nginx import Nginx, _tags

PAGE = """\
Active connections: 585
server accepts handled requests
 85340 85340 35085
Reading: 4 Writing: 135 Waiting: 446
"""
LARGEST = 18446744073709551615


async def read(page: str) -> list[str]:
    async with ScriptedServer(Answer(200, page)) as server:
        plugin = make_input(Nginx, {"urls": [f"{server.url}/status"]})
        try:
            metrics = await gather(plugin)
        finally:
            await plugin.stop()
    assert_declared(Nginx, metrics)
    return [line.replace(str(server.port), "PORT") for line in lines(metrics)]


async def test_a_page() -> None:
    expected = "nginx,port=PORT,server=127.0.0.1 accepts=85340u,active=585u,handled=85340u,reading=4u,requests=35085u,"
    assert await read(PAGE) == [f"{expected}waiting=446u,writing=135u"]
    # Tengine has a fourth number.
    tengine = PAGE.replace("handled requests", "handled requests request_time").replace("35085", "35085 97")
    assert await read(tengine) == [f"{expected}waiting=446u,writing=135u"]
    assert f"requests={LARGEST}u" in (await read(PAGE.replace("35085", str(LARGEST))))[0]


@pytest.mark.parametrize(
    "page",
    [
        "",
        "hello",
        "<html>\n<a href='x:1'>\n",
        PAGE[:60],
        PAGE.replace("446", "many"),
        PAGE.replace("585", "-1"),
        PAGE.replace("446", "9" * 5000) + "x",
    ],
)
async def test_a_page_that_is_none(page: str) -> None:
    with pytest.raises(PyagentError, match=r"it is no status page of nginx but ['\"]"):
        await read(page)


async def test_of_a_server_that_is_none_no_more_is_held_than_a_page_may_have() -> None:
    with pytest.raises(PyagentError, match="the answer is larger than 65536 bytes"):
        await read(PAGE + "x" * 65536)


def test_an_answer_takes_five_seconds_where_the_option_says_less_than_one() -> None:
    plugin = make_input(Nginx, {"urls": ["http://[::1]/x"], "response_timeout": "500ms"})
    assert plugin._http._answer_timeout == 5.0
    assert make_input(Nginx, {"response_timeout": "2s"})._http._answer_timeout == 2.0


def test_tags_of_other_urls() -> None:
    assert _tags("https://[::1]/x") == {"server": "::1", "port": "443"}
    assert _tags("http://Host.example:81/x") == {"server": "host.example", "port": "81"}
    assert _tags("http+unix:///run/nginx.sock:/x") == {}

"""The input nginx with a real nginx, and the kit for HTTP with it."""

import asyncio
import urllib.request

import pytest

from pyagent.api import PyagentError
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import assert_declared, gather, make_input, run_input
from pyagent.testing.servers import Nginx as NginxServer
from pyagent_plugins.inputs.nginx import Nginx


def test_the_status_page(nginx: NginxServer) -> None:
    [metric] = run_input(Nginx, {"urls": [nginx.url]})
    assert_declared(Nginx, [metric])
    assert metric.tags == {"server": "127.0.0.1", "port": str(nginx.port)}
    assert set(metric.fields) == {"active", "accepts", "handled", "requests", "reading", "writing", "waiting"}
    assert (metric.fields["active"], metric.fields["writing"]) == (1, 1)


def test_requests_are_counted(nginx: NginxServer) -> None:
    [before] = run_input(Nginx, {"urls": [nginx.url]})
    for _ in range(3):
        urllib.request.urlopen(nginx.url.replace("stub", "hello")).read()
    [after] = run_input(Nginx, {"urls": [nginx.url]})
    assert int(after.fields["requests"]) - int(before.fields["requests"]) == 4


def test_a_unix_socket(nginx: NginxServer) -> None:
    [metric] = run_input(Nginx, {"urls": [nginx.unix_url], "response_timeout": "2s"})
    assert metric.tags == {}
    assert metric.fields["active"] == 1


async def test_connections_are_kept_between_gathers(nginx: NginxServer) -> None:
    plugin = make_input(Nginx, {"urls": [nginx.url]})
    first, second = [(await gather(plugin))[0] for _ in range(2)]
    await plugin.stop()
    assert int(second.fields["requests"]) - int(first.fields["requests"]) == 1
    assert second.fields["accepts"] == first.fields["accepts"]


def test_others_are_read_where_some_fail(nginx: NginxServer) -> None:
    base, acc = nginx.url.removesuffix("stub"), InputAccumulator(Nginx.measurements)

    async def run() -> None:
        plugin = make_input(Nginx, {"urls": [f"{base}missing", f"{base}notstatus", nginx.url]})
        try:
            await plugin.gather(acc)
        finally:
            await plugin.stop()

    with pytest.raises(PyagentError) as caught:
        asyncio.run(run())
    assert str(caught.value) == (
        f"cannot read {base}missing: the answer's status is 404 (Not Found), not 200; cannot read {base}notstatus: it is no"
        " status page of nginx but 'nothing here'; give the URL of a location that has `stub_status`"
    )
    assert [metric.name for metric in acc.drain()] == ["nginx"]

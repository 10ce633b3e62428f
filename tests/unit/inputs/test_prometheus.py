"""The input prometheus: what it asks for, which tags metrics get, and what a failure costs. Pages are in kit/test_exposition.py."""

import asyncio
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from protobuf_bytes import double, part, varint

from pyagent.api import ConfigError, Metric, MetricType, PyagentError
from pyagent.config import SourceText, load_plan
from pyagent.kit import page_room
from pyagent.kit.exposition import reference
from pyagent.pipeline.inputs.accumulator import InputAccumulator
from pyagent.testing import gather, lines, make_input
from pyagent.testing.outputs import Answer, ScriptedServer
from pyagent_plugins.inputs import prometheus
from pyagent_plugins.inputs.prometheus import Prometheus

PAGE = '# TYPE jobs counter\njobs{queue="a",url="own"} 3\n'


async def read(options: dict[str, Any], *answers: Answer, path: str = "") -> tuple[list[str], ScriptedServer]:
    async with ScriptedServer(*answers) as server:
        plugin = make_input(Prometheus, {"urls": [server.url + path], **options})
        try:
            metrics = await gather(plugin)
        finally:
            await plugin.stop()
    for metric in metrics:
        if metric.name == "prometheus_request":
            metric.fields = {name: 1.5 if name == "response_time" else value for name, value in metric.fields.items()}
    return [line.replace(server.url, "URL") for line in lines(metrics)], server


async def test_the_url_is_a_tag_that_goes_before_a_label() -> None:
    found, server = await read({}, Answer(200, PAGE))
    assert found == ["jobs,queue=a,url=URL/metrics counter=3"]
    assert [request.target for request in server.requests] == ["/metrics"]
    assert (await read({"url_tag": ""}, Answer(200, PAGE)))[0] == ["jobs,queue=a,url=own counter=3"]


async def test_a_bearer_token_goes_before_a_user(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-file\n")
    user = {"username": "me", "password": "pass1234"}
    text = {"bearer_token_string": "of-text", **user}
    both = {"bearer_token": str(tmp_path / "token"), **text}
    for options, wanted in ((both, "Bearer of-file"), (text, "Bearer of-text"), (user, "Basic bWU6cGFzczEyMzQ=")):
        _, server = await read(options, Answer(200, PAGE))
        sent = {name.lower(): value for name, value in server.requests[0].headers.items()}
        assert sent["authorization"] == wanted


async def test_requests_are_measured_where_they_fail_too() -> None:
    on = {"enable_request_metrics": True}
    assert (await read(on, Answer(200, PAGE)))[0] == [
        "jobs,queue=a,url=URL/metrics counter=3",
        "prometheus_request,url=URL content_length=48i,response_time=1.5",
    ]
    acc = InputAccumulator(Prometheus.measurements)
    async with ScriptedServer(Answer(404, "")) as server:
        plugin = make_input(Prometheus, {"urls": [f"{server.url}/none"], **on})
        with pytest.raises(PyagentError, match=r"/none: the answer's status is 404 \(Not Found\), not 200"):
            await plugin.gather(acc)
        await plugin.stop()
    [metric] = acc.drain()
    assert list(metric.fields) == ["response_time"]


async def test_a_page_that_is_too_long_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert (await read({"content_length_limit": "20B"}, Answer(200, PAGE)))[0] == []
    assert "is left out: it is longer than content_length_limit (20 bytes)" in caplog.text
    assert (await read({"content_length_limit": "48B"}, Answer(200, PAGE)))[0] != []


async def test_a_long_page_is_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []

    def read_page(data: bytes, *rest: Any) -> list[Metric]:
        threads.append(threading.current_thread().name)
        return reference(data, *rest)

    monkeypatch.setattr(prometheus, "read", read_page)
    long = "".join(f'jobs{{queue="{number}"}} 1\n' for number in range(3000))
    assert len((await read({"url_tag": ""}, Answer(200, long)))[0]) == 3000
    assert len((await read({"url_tag": ""}, Answer(200, PAGE)))[0]) == 1
    assert threads == ["pyagent-aside", threading.current_thread().name]


async def test_a_page_of_too_many_metrics_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_room, "_MOST", 1000)
    page = "".join(f"m{number} 1\n" for number in range(100))
    with pytest.raises(
        PyagentError, match=r"cannot read http://.*/metrics: it holds too many metrics: they take more than"
    ):
        await read({}, Answer(200, page))


async def test_one_that_fails_costs_only_its_own() -> None:
    acc = InputAccumulator(Prometheus.measurements)
    async with (
        ScriptedServer(Answer(200, PAGE)) as server,
        ScriptedServer(Answer(200, "<html>\n", headers={"Content-Type": "text/html; charset=utf-8"})) as bad,
    ):
        plugin = make_input(Prometheus, {"urls": [server.url, bad.url, "http://me:pass1234@127.0.0.1:1"]})
        with pytest.raises(PyagentError) as caught:
            await plugin.gather(acc)
        await plugin.stop()
    assert len(acc.drain()) == 1
    assert (
        f"cannot read {bad.url}/metrics: line 1: a metric's name cannot begin like '<html>'; the server says that it is"
        in str(caught.value)
    )
    assert "cannot read http://***@127.0.0.1:1/metrics: cannot connect to 127.0.0.1:1" in str(caught.value)
    assert "pass1234" not in str(caught.value)


async def test_a_unix_socket(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().strip("/")
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(asked) + 3}\r\nConnection: close\r\n\r\n{asked} 1\n".encode()
        )
        writer.close()

    path = tmp_path / "s"
    server = await asyncio.start_unix_server(answer, path)
    plugin = make_input(Prometheus, {"urls": [f"unix://{path}", f"unix://{path}?path=/all"]})
    metrics = await gather(plugin)
    await plugin.stop()
    server.close()
    await server.wait_closed()
    assert {(metric.name, metric.tags["url"]) for metric in metrics} == {
        ("metrics", f"unix://{path}"),
        ("all", f"unix://{path}?path=/all"),
    }


OPENMETRICS = b'# TYPE jobs counter\njobs_total 3 1.5 # {trace="t"} 1\n# EOF\n'
SET = part(
    1,
    part(1, "jobs")
    + part(2, 2)
    + part(5, part(2, part(3, double(1, 3.0)) + part(8, part(1, 1) + part(2, 500_000_000)))),
)
"""The same as a MetricSet."""
METRIC = part(4, part(3, double(1, 3.0)))
FAMILY = varint(len(METRIC) + 8) + part(1, "jobs") + part(3, 0) + METRIC
"""The same as a family of Prometheus, without the time."""


@pytest.mark.parametrize(
    ("content_type", "override", "page"),
    [
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", "", OPENMETRICS),
        ("text/plain", "openmetrics-text", OPENMETRICS),
        ("application/openmetrics-protobuf; version=1.0.0", "", SET),
        ("text/plain", "openmetrics-protobuf", SET),
        ("application/vnd.google.protobuf; encoding=delimited", "", FAMILY),
        ("text/plain", "protobuf-delimiter", FAMILY),
        ("application/openmetrics-text", "text", b"# TYPE jobs counter\njobs 3\n"),
    ],
)
async def test_pages_are_read_as_the_server_says_or_the_option(content_type: str, override: str, page: bytes) -> None:
    async with ScriptedServer(Answer(200, page, headers={"Content-Type": content_type})) as server:
        plugin = make_input(Prometheus, {"urls": [server.url], "content_type_override": override})
        [metric] = await gather(plugin)
        await plugin.stop()
    assert (metric.name, metric.fields, metric.kind) == ("jobs", {"counter": 3.0}, MetricType.COUNTER)
    assert (metric.time == 1_500_000_000) == (page in (OPENMETRICS, SET))


async def test_all_addresses_of_a_service_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def looked_up(*_: object, **__: object) -> list[Any]:
        return [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", looked_up, raising=False)
    acc = InputAccumulator(Prometheus.measurements)
    async with ScriptedServer(Answer(200, PAGE)) as server:
        url = f"http://service.example:{server.port}/m"
        plugin = make_input(Prometheus, {"kubernetes_services": [url]})
        with pytest.raises(PyagentError, match=rf"cannot read http://127\.0\.0\.2:{server.port}/m: cannot connect"):
            await plugin.gather(acc)
        await plugin.stop()
    [metric] = acc.drain()
    assert metric.tags == {"queue": "a", "url": url, "address": "127.0.0.1"}


async def test_a_service_without_addresses_costs_only_itself() -> None:
    acc = InputAccumulator(Prometheus.measurements)
    async with ScriptedServer(Answer(200, PAGE)) as server:
        plugin = make_input(Prometheus, {"urls": [server.url], "kubernetes_services": [f"http://{'a' * 70}.invalid/m"]})
        with pytest.raises(PyagentError, match="cannot find the addresses of 'aaa"):
            await plugin.gather(acc)
        await plugin.stop()
    assert len(acc.drain()) == 1


async def test_pages_are_found_by_a_list() -> None:
    async with ScriptedServer(Answer(200, PAGE), Answer(200, PAGE)) as pages:
        groups = [{"targets": [pages.url.removeprefix("http://")], "labels": {"dc": "north", "url": "label"}}]
        async with ScriptedServer(Answer(200, json.dumps(groups)), Answer(200, "{")) as directory:
            discovery = {"enabled": True, "url": directory.url + "/list"}
            plugin = make_input(Prometheus, {"http_service_discovery": discovery})
            assert [metric.tags for metric in await gather(plugin)] == [{"queue": "a", "dc": "north", "url": "label"}]
            plugin._next_query = 0.0
            acc = InputAccumulator(Prometheus.measurements)
            with pytest.raises(
                PyagentError, match="/list: it is no list of targets as Prometheus' HTTP service discovery"
            ):
                await plugin.gather(acc)
            assert len(acc.drain()) == 1, "the last list counts"
            await plugin.stop()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"urls": ["localhost:9100"]}, "cannot use the URL 'localhost:9100"),
        ({"urls": ["http://[::1"]}, "cannot use the URL 'http://[::1': Invalid IPv6 URL"),
        ({"kubernetes_services": ["http://[x"]}, "cannot use the URL"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_input(Prometheus, options)
    assert message in str(caught.value)


def test_what_is_not_supported_is_said_in_one_line() -> None:
    text = """[[inputs.prometheus]]
monitor_kubernetes_pods = true
node_ip = "10.0.0.1"
[inputs.prometheus.consul]
enabled = true
[inputs.prometheus.namespace_annotation_pass]
a = ["b"]
[[outputs.discard]]
"""
    plan = load_plan([SourceText("t.conf", text)], environ={})
    assert [str(one) for one in plan.warnings] == [
        "t.conf:2: inputs.prometheus: the options 'monitor_kubernetes_pods', 'node_ip', 'namespace_annotation_pass' have no"
        " effect: pods of Kubernetes are not looked for; name the pages in urls, or find them by http_service_discovery",
        "t.conf:4: inputs.prometheus: the option 'consul' has no effect: Consul is not asked; name the pages in urls, or find"
        " them by http_service_discovery",
        "t.conf:1: inputs.prometheus: the option 'urls' is empty; nothing is gathered",
    ]

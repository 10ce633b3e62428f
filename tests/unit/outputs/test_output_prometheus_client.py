"""outputs.prometheus_client: what its page shows of the metrics that it was given, and whom it shows it to."""

import asyncio
import base64
import gzip
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pyagent.api import ConfigError, Metric, MetricType, PyagentError
from pyagent.kit.http_client import HttpClient, HttpResponse
from pyagent.kit.prometheus import Names
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent_plugins.outputs.prometheus_client import PrometheusClient
from pyagent_plugins.outputs.prometheus_client.collected import Collected

QUIET = {"listen": "127.0.0.1:0", "collectors_exclude": ["gocollector", "process"]}
HISTOGRAM = {"sum": 53423, "0.05": 24054, "0.1": 33444, "1": 133988, "+Inf": 144320, "count": 144320}
SUMMARY = {"0.01": 3102, "0.5": 4773, "0.99": 76656, "count": 2693, "sum": 17560473}


def metric(
    name: str, fields: dict[str, Any], kind: MetricType = MetricType.UNTYPED, time: int = 0, **tags: str
) -> Metric:
    return Metric(name, tags, fields, time, kind)


@asynccontextmanager
async def serving(*metrics: Metric, **options: Any) -> AsyncIterator[PrometheusClient]:
    output = make_output(PrometheusClient, QUIET | options)
    await output.connect()
    try:
        if metrics:
            await write(output, make_batch(output, metrics))
        yield output
    finally:
        await output.close()


async def ask(output: PrometheusClient, path: str = "/metrics", **headers: str) -> HttpResponse:
    client = HttpClient(proxy=None)
    try:
        given = {"Accept-Encoding": "identity"} | {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request("GET", f"http://127.0.0.1:{output.port}{path}", headers=given)
    finally:
        await client.close()


async def page(*metrics: Metric, **options: Any) -> list[str]:
    """The lines, without those that say what Telegraf's name is."""
    async with serving(*metrics, **options) as output:
        answer = await ask(output)
    assert answer.status == 200
    return [line for line in answer.text.splitlines() if not line.startswith("# HELP")]


class TestVersion1:
    async def test_a_field_is_a_family(self) -> None:
        async with serving(metric("cpu", {"time_idle": 42.0, "on": True}, host="example.org")) as output:
            answer = await ask(output)
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.text == (
            "# HELP cpu_time_idle Telegraf collected metric\n"
            "# TYPE cpu_time_idle untyped\n"
            'cpu_time_idle{host="example.org"} 42\n'
        )

    @pytest.mark.parametrize(
        ("field", "kind", "name"),
        [
            ("value", MetricType.UNTYPED, "untyped"),
            ("counter", MetricType.COUNTER, "counter"),
            ("gauge", MetricType.GAUGE, "gauge"),
        ],
    )
    async def test_names_of_fields_that_are_none(self, field: str, kind: MetricType, name: str) -> None:
        found = await page(metric("cpu", {field: 42}, kind), metric("mem", {"counter": 1}))
        assert found == [f"# TYPE cpu {name}", "cpu 42", "# TYPE mem_counter untyped", "mem_counter 1"]

    async def test_a_histogram(self) -> None:
        assert await page(metric("rpc", HISTOGRAM, MetricType.HISTOGRAM)) == [
            "# TYPE rpc histogram",
            'rpc_bucket{le="0.05"} 24054',
            'rpc_bucket{le="0.1"} 33444',
            'rpc_bucket{le="1"} 133988',
            'rpc_bucket{le="+Inf"} 144320',
            "rpc_sum 53423",
            "rpc_count 144320",
        ]

    async def test_a_summary(self) -> None:
        assert await page(metric("rpc", SUMMARY, MetricType.SUMMARY)) == [
            "# TYPE rpc summary",
            'rpc{quantile="0.01"} 3102',
            'rpc{quantile="0.5"} 4773',
            'rpc{quantile="0.99"} 76656',
            "rpc_sum 1.7560473e+07",
            "rpc_count 2693",
        ]

    async def test_texts_are_labels_and_make_no_series(self) -> None:
        first = metric("cpu", {"counter": 1, "host:name": "a"}, MetricType.COUNTER, 1)
        second = metric("cpu", {"counter": 2, "host:name": "b"}, MetricType.COUNTER, 2)
        assert await page(second, first) == ["# TYPE cpu counter", 'cpu{host_name="b"} 2']
        assert await page(first, string_as_label=False) == ["# TYPE cpu counter", "cpu 1"]

    async def test_all_series_of_a_family_have_all_labels(self) -> None:
        found = await page(metric("m", {"value": 1}, a="x"), metric("m", {"value": 2}, b="y"))
        assert found == ["# TYPE m untyped", 'm{a="",b="y"} 2', 'm{a="x",b=""} 1']

    async def test_names(self) -> None:
        odd = metric("1cpu", {"value": 1})
        found = await page(odd, metric("a.b-ä", {"c/d": 1}, **{"x.y": 'q"\n\\', "ü": "-"}))
        assert found == ["# TYPE a_b___c_d untyped", 'a_b___c_d{x_y="q\\"\\n\\\\"} 1']

    async def test_two_tags_that_become_one_label_are_one_series(self) -> None:
        found = await page(metric("m", {"value": 1}, **{"a.b": "x"}), metric("m", {"value": 2}, a_b="x"))
        assert found == ["# TYPE m untyped", 'm{a_b="x"} 2']


class TestVersion2:
    async def test_fields(self) -> None:
        found = await page(
            metric("prometheus", {"up": 1, "on": True}, MetricType.GAUGE, host="a"),
            metric("prometheus", {"rpc_bucket": 3}, MetricType.HISTOGRAM, le="0.5"),
            metric("prometheus", {"rpc_sum": 9.5, "rpc_count": 4}, MetricType.HISTOGRAM),
            metric_version=2,
        )
        assert found == [
            *("# TYPE on gauge", 'on{host="a"} 1', "# TYPE rpc histogram", 'rpc_bucket{le="0.5"} 3'),
            *('rpc_bucket{le="+Inf"} 4', "rpc_sum 9.5", "rpc_count 4", "# TYPE up gauge", 'up{host="a"} 1'),
        ]

    async def test_an_older_value_changes_nothing(self) -> None:
        async with serving(metric("m", {"f": 1}, time=20), metric_version=2) as output:
            await write(output, make_batch(output, [metric("m", {"f": 2}, time=10)]))
            assert (await ask(output)).text.endswith("m_f 1\n")


@pytest.mark.parametrize("version", [1, 2])
class TestBoth:
    async def test_types_by_name_and_times(self, version: int) -> None:
        types = {"counter": ["*_total"], "gauge": ["m_[a-z]"]}
        metrics = [metric("m", {"a_total": 1, "b": 2, "rest": 3}, time=1_700_000_000_123_456_789)]
        found = await page(*metrics, metric_version=version, metric_types=types, export_timestamp=True)
        assert found == [
            *("# TYPE m_a_total counter", "m_a_total 1 1700000000123", "# TYPE m_b gauge", "m_b 2 1700000000123"),
            *("# TYPE m_rest untyped", "m_rest 3 1700000000123"),
        ]

    async def test_a_family_has_one_type(self, version: int, caplog: pytest.LogCaptureFixture) -> None:
        field = "rpc_sum" if version == 2 else "sum"
        name = "prometheus" if version == 2 else "rpc"
        found = await page(
            metric("m", {"f": 1}, MetricType.COUNTER, a="1"),
            metric("m", {"f": 2}, MetricType.GAUGE, a="2"),
            metric("m", {"f": 3}, MetricType.GAUGE, a="1"),
            metric("rpc", {"count": 7}),
            metric(name, {field: 1.5}, MetricType.SUMMARY),
            metric_version=version,
        )
        assert found == [
            *("# TYPE m_f untyped", 'm_f{a="1"} 3', 'm_f{a="2"} 2'),
            *("# TYPE rpc summary", "rpc_sum 1.5", "rpc_count 0"),
        ]
        assert "'rpc_count' are left out" in caplog.text

    async def test_series_expire(self, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
        now = 1000.0
        monkeypatch.setattr("pyagent_plugins.outputs.prometheus_client.time.monotonic", lambda: now)
        for interval, left in (("60s", ["m_f"]), ("0s", ["m_f", "n_f"])):
            async with serving(metric("n", {"f": 1}), metric_version=version, expiration_interval=interval) as output:
                now += 50
                await write(output, make_batch(output, [metric("m", {"f": 1})]))
                assert "n_f 1" in (await ask(output)).text
                now += 11
                assert re.findall(r"^\w+", (await ask(output)).text, re.MULTILINE) == left

    def test_there_are_not_more_series_than_a_bound(self, version: int, caplog: pytest.LogCaptureFixture) -> None:
        series = Collected(
            names=Names(utf8=False),
            kind=lambda name, kind: kind,
            string_as_label=True,
            first_version=version == 1,
            log=logging.getLogger("test"),
            most=100,
        )
        for number in range(30):
            series.add([metric("m", {"f": 1}, t=f"{number} {step}") for step in range(10)], number, 0.0)
        text = series.page(30.0, 0.0)
        assert 90 <= text.count(b"m_f{") <= 100
        assert b't="29 9"' in text
        assert b't="0 0"' not in text
        assert len(caplog.records) == 1

    async def test_a_successor_has_the_series(self, version: int, tmp_path: Path) -> None:
        table = QUIET | {"metric_version": version, "listen": f"unix://{tmp_path}/s"}
        old = make_output(PrometheusClient, table)
        await write(old, make_batch(old, [metric("m", {"f": 1})]))
        new = make_output(PrometheusClient, table | {"basic_username": "u"})
        other = make_output(PrometheusClient, table | {"string_as_label": False})
        assert b"m_f 1" in new._page()
        assert other._page() == b""


class TestAnswers:
    @pytest.mark.parametrize(("given", "status"), [("u:right", 200), ("u:wrong", 401), ("x:right", 401), ("", 401)])
    async def test_credentials(self, given: str, status: int) -> None:
        async with serving(basic_username="u", basic_password="right", http_headers={"X-Own": "1"}) as output:
            for path in ("/metrics", "/"):
                header = {"Authorization": f"Basic {base64.b64encode(given.encode()).decode()}"} if given else {}
                answer = await ask(output, path, **header)
                assert answer.status == status
                assert answer.headers["X-Own"] == "1"
                assert answer.headers.get("WWW-Authenticate") == (None if status == 200 else 'Basic realm="prometheus"')

    @pytest.mark.parametrize(
        ("networks", "status"), [([], 200), (["127.0.0.0/8"], 200), (["10.0.0.1/8", "::1/128"], 403)]
    )
    async def test_networks(self, networks: list[str], status: int) -> None:
        for listen in ("127.0.0.1:0", ":0"):
            async with serving(ip_range=networks, listen=listen) as output:
                assert (await ask(output)).status == status

    async def test_paths(self) -> None:
        async with serving(metric("m", {"f": 1}), path="/own") as output:
            assert "m_f 1" in (await ask(output, "/own")).text
            assert (await ask(output)).text.strip() == "Telegraf Output Plugin: Prometheus Client"

    async def test_long_pages_are_compressed_where_that_is_asked_for(self) -> None:
        metrics = [metric("m", {"f": number}, t=str(number)) for number in range(100)]
        async with serving(*metrics) as output:
            reader, writer = await asyncio.open_connection("127.0.0.1", output.port)
            writer.write(b"GET /metrics HTTP/1.0\r\nAccept-Encoding: deflate, gzip\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
        assert b"Content-Encoding: gzip" in head
        assert gzip.decompress(body).count(b"m_f{") == 100

    async def test_the_process(self) -> None:
        found = await page(metric("process_open_fds", {"value": 1}), collectors_exclude=["gocollector"])
        names = [line.split()[2] for line in found if line.startswith("# TYPE")]
        assert names == [
            *("process_open_fds", "process_cpu_seconds_total", "process_max_fds"),
            *("process_resident_memory_bytes", "process_start_time_seconds", "process_virtual_memory_bytes"),
        ]
        assert "process_open_fds 1" in found

    async def test_a_unix_socket(self, tmp_path: Path) -> None:
        async with serving(metric("m", {"f": 1}), listen=f"unix://{tmp_path}/s") as output:
            client = HttpClient(unix_socket=f"{tmp_path}/s")
            assert "m_f 1" in (await client.request("GET", "http://x/metrics")).text
            await client.close()
            assert output.destination(None) == f"/metrics on unix://{tmp_path}/s"

    async def test_an_address_in_use(self) -> None:
        async with serving() as output:
            other = make_output(PrometheusClient, QUIET | {"listen": f"tcp://127.0.0.1:{output.port}"})
            with pytest.raises(PyagentError, match="or choose another listen"):
                await other.connect()
            await other.close()


@pytest.mark.parametrize(
    ("options", "option", "message"),
    [
        ({"listen": "vsock://:9273"}, "listen", "vsock is not supported"),
        ({"listen": "nowhere"}, "listen", "it is no address"),
        ({"path": "metrics"}, "path", "a path begins with /"),
        ({"ip_range": ["10.0.0.0/40"]}, "ip_range", "write '192.168.0.0/24'"),
        ({"metric_types": {"gauge": ["[a"]}}, "metric_types", "metric_types.gauge"),
        ({"name_sanitization": "none"}, "name_sanitization", "legacy"),
        ({"tls_cert": "/nowhere.pem"}, "tls_cert", "cannot load tls_cert"),
    ],
)
def test_wrong_options(options: dict[str, Any], option: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make_output(PrometheusClient, options)
    assert caught.value.option == option


@pytest.mark.parametrize("listen", ["", "http://127.0.0.1:9273", "tcp://:9273", "[::1]:9273"])
def test_addresses(listen: str) -> None:
    make_output(PrometheusClient, {"listen": listen}, logging.getLogger("test"))


def test_a_password_without_a_user_is_remarked() -> None:
    def remarked(table: dict[str, Any]) -> list[str]:
        return [name for name, _ in make_output(PrometheusClient, table).options.remarks()]

    assert remarked({"basic_password": "opensesame"}) == ["basic_password"]
    assert remarked({"basic_password": "opensesame", "basic_username": "u"}) == []

"""outputs.prometheus_client scraped by VictoriaMetrics, and over a reload of the agent."""

import asyncio
import signal
import time
from pathlib import Path

import pytest
from agent_process import DEADLINE, running

from pyagent.api import Metric, MetricType
from pyagent.kit.http_client import HttpClient, HttpError
from pyagent.kit.tls import TlsOptions
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent.testing.servers import VictoriaMetrics, free_port
from pyagent_plugins.outputs.prometheus_client import PrometheusClient


class Scraping(VictoriaMetrics):
    """It asks `target` every second."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target

    def command(self) -> list[str]:
        config = self.directory / "scrape.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: agent\n"
            f"  basic_auth: {{username: u, password: p}}\n  static_configs: [{{targets: ['{self._target}']}}]\n"
        )
        return [*super().command(), f"-promscrape.config={config}"]


async def test_victoriametrics_scrapes_it() -> None:
    port = free_port()
    table = {"listen": f"127.0.0.1:{port}", "basic_username": "u", "basic_password": "p", "metric_version": 2}
    output = make_output(PrometheusClient, table)
    await output.connect()
    metrics = [
        Metric("cpu", {"host": 'a "b"\n\\'}, {"usage": 1.5, "note": "x y"}, time.time_ns(), MetricType.GAUGE),
        Metric("prometheus", {"le": "0.5"}, {"rpc_bucket": 3.0}, time.time_ns(), MetricType.HISTOGRAM),
        Metric("prometheus", {}, {"rpc_sum": 9.5, "rpc_count": 4.0}, time.time_ns(), MetricType.HISTOGRAM),
    ]
    await write(output, make_batch(output, metrics))
    server = Scraping(f"127.0.0.1:{port}")
    await asyncio.to_thread(server.start)
    try:
        found = {}
        async with asyncio.timeout(DEADLINE):
            while "rpc_count" not in found:
                await asyncio.sleep(0.2)
                series = await asyncio.to_thread(server.export, '{job="agent"}')
                found = {one["metric"]["__name__"]: one for one in series}
    finally:
        await asyncio.to_thread(server.stop)
        await output.close()
    assert found["cpu_usage"]["values"][-1] == 1.5
    assert found["cpu_usage"]["metric"]["host"] == 'a "b"\n\\'
    assert found["cpu_usage"]["metric"]["note"] == "x y"
    assert found["rpc_sum"]["values"][-1] == 9.5
    assert {"rpc_bucket", "process_open_fds"} <= found.keys()
    assert found["up"]["values"][-1] == 1


async def test_a_reload_that_changes_it_keeps_the_series(tmp_path: Path) -> None:
    port, config = free_port(), tmp_path / "telegraf.conf"

    def configure(path: str) -> None:
        config.write_text(f"""
[agent]
  interval = "1h"
  flush_interval = "1s"
  omit_hostname = true
[[inputs.mock]]
  metric_name = "m"
  [[inputs.mock.constant]]
    name = "v"
    value = 7
[[outputs.prometheus_client]]
  listen = "127.0.0.1:{port}"
  path = "{path}"
  expiration_interval = "1h"
""")

    async def page(path: str) -> str:
        return (await client.request("GET", f"http://127.0.0.1:{port}{path}")).text

    configure("/metrics")
    client = HttpClient(proxy=None)
    async with running("--config", str(config), environ={"PYAGENT_STATE_DIRECTORY": str(tmp_path / "state")}) as agent:
        await agent.logged("first batch of 1 metric written")
        assert "\nm_v 7\n" in await page("/metrics")
        configure("/other")
        agent.signal(signal.SIGHUP)
        await agent.logged("the configuration is reloaded")
        await agent.logged("listening on", times=2)
        assert "\nm_v 7\n" in await page("/other")
        assert "m_v" not in await page("/metrics")
        await client.close()
        assert await agent.terminate() == 0


async def test_tls_with_certificates_of_clients(certificates: Path) -> None:
    class Tls(TlsOptions, frozen=True):
        pass

    files = {"tls_cert": str(certificates / "server.pem"), "tls_key": str(certificates / "key.pem")}
    table = {"listen": "127.0.0.1:0", **files, "tls_allowed_cacerts": [str(certificates / "ca.pem")]}
    output = make_output(PrometheusClient, table)
    await output.connect()
    await write(output, make_batch(output, [Metric("m", {}, {"f": 1}, 1)]))
    url, authority = f"https://127.0.0.1:{output.port}/metrics", str(certificates / "ca.pem")
    known = HttpClient(tls=Tls(tls_ca=authority, **files), proxy=None)
    assert "m_f 1" in (await known.request("GET", url)).text
    await known.close()
    stranger = HttpClient(tls=Tls(tls_ca=authority), proxy=None)
    with pytest.raises(HttpError):
        await stranger.request("GET", url)
    await stranger.close()
    await output.close()

"""outputs.http to real servers: VictoriaMetrics in two formats, and nginx, which takes nothing."""

import asyncio
import time
from typing import Any

import pytest

from pyagent.api import Metric, MetricType, Retry
from pyagent.testing.outputs import make_batch, make_output, write
from pyagent.testing.servers import Nginx, VictoriaMetrics
from pyagent_plugins.outputs.http import Http


@pytest.mark.parametrize(
    ("path", "data_format", "encoding"),
    [("/write", "influx", "gzip"), ("/api/v1/import/prometheus", "prometheus", "identity")],
)
async def test_victoria_metrics(victoria_metrics: VictoriaMetrics, path: str, data_format: str, encoding: str) -> None:
    name = f"http_{data_format}"
    metrics = [Metric(name, {"host": "a"}, {"value": 42.5}, time.time_ns() - 60 * 10**9, MetricType.GAUGE)]
    url = f"{victoria_metrics.url}{path}"
    table: dict[str, Any] = {"url": url, "data_format": data_format, "content_encoding": encoding}
    if data_format == "prometheus":
        table["prometheus_export_timestamp"] = True
    output = make_output(Http, table)
    await write(output, make_batch(output, metrics))
    await output.close()
    [series] = await asyncio.to_thread(victoria_metrics.export, f'{{__name__="{name}_value"}}')
    assert (series["metric"]["host"], series["values"]) == ("a", [42.5])


async def test_nginx_says_what_is_wrong(nginx: Nginx) -> None:
    output = make_output(Http, {"url": f"{nginx.url}/nowhere"})
    with pytest.raises(Retry, match=r"cannot write to .*/nowhere: 40[45] .*; correct `url` or the format"):
        await write(output, make_batch(output, [Metric("m", {}, {"f": 1}, 1)]))
    await output.close()

"""What the doctor looks at."""

import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

from aiohttp import web

from pyagent.cli.doctor.findings import Level, Report

MEM = "[[inputs.mem]]\n"


def output(url: str, bucket: str = "metrics", org: str = "home", token: str = "$INFLUX_TOKEN", more: str = "") -> str:
    return (
        f'[[outputs.influxdb_v2]]\n  urls = ["{url}"]\n  token = "{token}"\n  organization = "{org}"\n'
        f'  bucket = "{bucket}"\n{more}\n'
    )


def wrong(report: Report) -> list[str]:
    return [
        f"{one.check}: {one.text} -> {one.remedy}"
        for one in report.findings
        if one.level in (Level.FAILED, Level.WARNING)
    ]


@asynccontextmanager
async def answering(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


def influxdb(status: int = 204, body: str = "", *, date: float = 0.0, write: int = 204) -> Any:
    """A server that is taken for InfluxDB; `date`: how far its clock is ahead."""

    async def handler(request: web.Request) -> web.StreamResponse:
        headers = {"X-Influxdb-Version": "v2.9.1", "Date": formatdate(time.time() + date, usegmt=True)}
        if request.path == "/ping":
            return web.Response(status=204, headers=headers)
        if request.path == "/api/v2/setup":
            return web.json_response({"allowed": False}, headers=headers)
        if request.path == "/api/v2/write":
            return web.Response(status=status if body else write, text=body, headers=headers)
        return web.json_response({"buckets": [], "orgs": []}, headers=headers)

    return handler


HOST_CHECKS = {"environment", "unit", "rights", "agent", "state", "others"}
"""What is looked at on the host: the cases of test_remedies_host.py."""

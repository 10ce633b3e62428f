"""Liveness, and the map of the API."""

from aiohttp import web

from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.http import Route, caller, no_content, reply, state_of, to_json
from pyagent.sandbox.permissions import RESOURCES, allowed
from pyagent.sandbox.resources.session import LENGTH
from pyagent.sandbox.state import COMMIT, VERSION

_CHECKS = ("bolt", "influxql", "query", "shards", "sqlite")
_SCHEDULER = {"name": "task-scheduler", "status": "pass", "message": "scheduler idle: no scheduled runs"}
_FLAGS = {
    "appMetrics": False,
    "cursorAtEOF": False,
    "newAutoRefresh": True,
    "refreshSingleCell": True,
    "timeFilterFlags": False,
}
_CONFIG = {
    "flux-log-enabled": False,
    "hardening-enabled": False,
    "metrics-disabled": False,
    "no-tasks": True,
    "pprof-disabled": True,
    "query-concurrency": 2,
    "reporting-disabled": True,
    "session-length": LENGTH // 60,
    "strong-passwords": False,
    "ui-disabled": True,
    "use-hashed-tokens": True,
}

_LINKS = {
    "authorizations": "/api/v2/authorizations",
    "backup": "/api/v2/backup",
    "buckets": "/api/v2/buckets",
    "checks": "/api/v2/checks",
    "dashboards": "/api/v2/dashboards",
    "delete": "/api/v2/delete",
    "external": {"statusFeed": "https://www.influxdata.com/feed/json"},
    "flags": "/api/v2/flags",
    "labels": "/api/v2/labels",
    "me": "/api/v2/me",
    "notificationEndpoints": "/api/v2/notificationEndpoints",
    "notificationRules": "/api/v2/notificationRules",
    "orgs": "/api/v2/orgs",
    "plugins": "/api/v2/telegraf/plugins",
    "query": {
        "analyze": "/api/v2/query/analyze",
        "ast": "/api/v2/query/ast",
        "self": "/api/v2/query",
        "suggestions": "/api/v2/query/suggestions",
    },
    "restore": "/api/v2/restore",
    "scrapers": "/api/v2/scrapers",
    "setup": "/api/v2/setup",
    "signin": "/api/v2/signin",
    "signout": "/api/v2/signout",
    "sources": "/api/v2/sources",
    "swagger": "/api/v2/swagger.json",
    "system": {"debug": "/debug/pprof", "health": "/health", "metrics": "/metrics", "ready": "/ready"},
    "tasks": "/api/v2/tasks",
    "telegrafs": "/api/v2/telegrafs",
    "users": "/api/v2/users",
    "variables": "/api/v2/variables",
    "write": "/api/v2/write",
}


async def ping(request: web.Request) -> web.Response:
    return no_content()


async def health(request: web.Request) -> web.Response:
    return reply(
        request,
        {
            "name": "influxdb",
            "status": "pass",
            "message": "healthy",
            "checks": [{"name": name, "status": "pass"} for name in _CHECKS] + [_SCHEDULER],
            "version": VERSION,
            "commit": COMMIT,
        },
    )


async def ready(request: web.Request) -> web.Response:
    state = state_of(request)
    return reply(request, {"status": "ready", "started": state.started, "up": _duration(state.uptime())})


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return (
        (f"{hours}h" if hours else "")
        + (f"{minutes}m" if hours or minutes else "")
        + f"{rest:.9f}".rstrip("0").rstrip(".")
        + "s"
    )


async def metrics(request: web.Request) -> web.Response:
    state = state_of(request)
    lines = [
        "# HELP influxdb_buckets_total Number of total buckets on the server",
        "# TYPE influxdb_buckets_total counter",
        f"influxdb_buckets_total {len(list(state.documents.all('buckets')))}",
        "# HELP influxdb_telegrafs_total Number of total telegraf configurations on the server",
        "# TYPE influxdb_telegrafs_total counter",
        f"influxdb_telegrafs_total {len(list(state.documents.all('telegrafs')))}",
        "# HELP influxdb_uptime_seconds influxdb process uptime in seconds",
        "# TYPE influxdb_uptime_seconds gauge",
        f"influxdb_uptime_seconds {state.uptime():.3f}",
    ]
    response = web.Response(text="\n".join(lines) + "\n")
    response.headers["Content-Type"] = "text/plain; version=0.0.4; charset=utf-8"
    return response


async def links(request: web.Request) -> web.Response:
    return reply(request, _LINKS)


async def flags(request: web.Request) -> web.Response:
    return reply(request, _FLAGS)


async def kinds(request: web.Request) -> web.Response:
    """The types of resources that a permission may name."""
    response = web.Response(text=to_json([*RESOURCES, "instance"]) + "\n")
    response.headers["Content-Type"] = "application/json"
    return response


async def config(request: web.Request) -> web.Response:
    """Those of InfluxDB's flags that have a meaning here, to who may do everything."""
    who = caller(request)
    if not all(allowed(who, action, kind) for kind in RESOURCES for action in ("read", "write")):
        raise InfluxError("unauthorized", "access to /api/v2/config requires operator permissions")
    return reply(request, {"config": {**_CONFIG, "http-bind-address": request.host}})


ROUTES = [
    Route("GET", "/ping", ping),
    Route("HEAD", "/ping", ping),
    Route("*", "/health", health),
    Route("*", "/ready", ready),
    Route("*", "/metrics", metrics),
    Route("*", "/api/v2", links),
    Route("*", "/api/v2/flags", flags),
    Route("*", "/api/v2/resources", kinds),
    Route("GET", "/api/v2/config", config),
]

"""Lists of what this server never has: tasks, dashboards, checks and the like. Pages and clients ask for them."""

from aiohttp import web

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.http import Handler, Route, org_by_name, reply
from pyagent.sandbox.ids import parse_id
from pyagent.sandbox.paging import page_of, paging_links
from pyagent.sandbox.paths import no_assets

_MOST_TASKS, _TASKS = 500, 100


async def tasks(request: web.Request) -> web.Response:
    try:
        shown = _task_filter(request)
    except InfluxError as error:
        raise invalid(f"failed to decode request: {error.message}") from None
    link = "&".join(f"{name}={value}" for name, value in sorted(shown.items()))
    return reply(request, {"links": {"self": f"/api/v2/tasks?{link}"}, "tasks": []})


def _task_filter(request: web.Request) -> dict[str, str]:
    query = request.query
    shown = {name: parse_id(query[name]) for name in ("after", "orgID", "user") if query.get(name)}
    if name := query.get("org"):
        try:
            org = org_by_name(request, name)
        except InfluxError:
            raise invalid(f"org {name} not found or unauthorized: org not found or unauthorized") from None
        shown = {"org": org["name"], "orgID": org["id"], **shown}
    given = query.get("limit") or str(_TASKS)
    if not given.lstrip("+-").isdigit():
        raise invalid(f'strconv.Atoi: parsing "{given}": invalid syntax')
    if not 1 <= int(given) <= _MOST_TASKS:
        raise invalid(f"limit must be between 1 and {_MOST_TASKS}")
    if (kind := query.get("type", "")) not in ("", "basic", "system"):
        raise invalid(f'"{kind}" is not a valid task type')
    return {**shown, "limit": str(int(given))}


async def scrapers(request: web.Request) -> web.Response:
    return reply(request, {"links": {"self": "/api/v2/scrapers"}, "configurations": []})


def _of_org(kind: str, refusal: str) -> Handler:
    """The handler of a list that wants the id of an organisation; `refusal` may have the places of what was given and why."""

    async def find(request: web.Request) -> web.Response:
        given = request.query.get("orgID", "")
        try:
            parse_id(given)
        except InfluxError as error:
            raise invalid(refusal.format(given=given, why=error.message)) from None
        return reply(request, {kind: []})

    return find


async def description(request: web.Request) -> web.Response:
    """Of the API: a file of InfluxDB's pages."""
    return no_assets()


def _refused(what: str) -> Handler:
    async def create(request: web.Request) -> web.Response:
        raise InfluxError("not implemented", f"{what} are not supported by this server")

    return create


def _paged(kind: str, *, bad_org: str) -> Handler:
    """The handler of a list in pages; `bad_org` is said before what is wrong with an `orgID`."""

    async def find(request: web.Request) -> web.Response:
        page, filters = page_of(request), {}
        if given := request.query.get("orgID"):
            try:
                filters["orgID"] = parse_id(given)
            except InfluxError as error:
                raise invalid(bad_org + error.message) from None
        elif given := request.query.get("org"):
            filters["org"] = given
            org_by_name(request, given)
        links = paging_links(page, f"/api/v2/{kind}", filters, 0)
        return reply(request, {"links": links, kind: []} if kind == "dashboards" else {kind: [], "links": links})

    return find


_LISTS = {
    "tasks": ("tasks", tasks),
    "scrapers": ("scrapers", scrapers),
    "dashboards": ("dashboards", _paged("dashboards", bad_org="")),
    "checks": ("checks", _paged("checks", bad_org="orgID is invalid: ")),
    "notificationEndpoints": ("notification endpoints", _paged("notificationEndpoints", bad_org="orgID is invalid: ")),
    "stacks": ("stacks", _of_org("stacks", 'organization id["{given}"] is invalid: {why}')),
    "remotes": ("remotes", _of_org("remotes", "invalid or missing org ID")),
    "replications": ("replications", _of_org("replications", "invalid or missing org ID")),
    "notificationRules": ("notification rules", _paged("notificationRules", bad_org="orgID is invalid: ")),
}
ROUTES = [
    Route("*", "/api/v2/swagger.json", description),
    *(Route("GET", f"/api/v2/{kind}", find) for kind, (_, find) in _LISTS.items()),
    *(Route("POST", f"/api/v2/{kind}", _refused(what)) for kind, (what, _) in _LISTS.items()),
]

"""`/api/v2/orgs`."""

from typing import Any

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.gojson import ID, STRING, TIME, struct
from pyagent.sandbox.http import (
    Route,
    caller,
    id_or_none,
    no_content,
    org_by_name,
    path_id,
    read_struct,
    reply,
    state_of,
)
from pyagent.sandbox.ids import new_id
from pyagent.sandbox.paging import Page, page_of
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.resources.buckets import add_bucket, drop_bucket
from pyagent.sandbox.resources.labels import not_found_page
from pyagent.sandbox.state import State

_NEW = struct("influxdb.Organization", id=ID, name=STRING, description=STRING, createdAt=TIME, updatedAt=TIME)
_CHANGE = struct("influxdb.OrganizationUpdate", Name=STRING, description=STRING)


def org_body(org: Document) -> Document:
    key, name = org["id"], org["name"]
    body: dict[str, Any] = {
        "links": {
            "buckets": f"/api/v2/buckets?org={name}",
            "dashboards": f"/api/v2/dashboards?org={name}",
            "labels": f"/api/v2/orgs/{key}/labels",
            "logs": f"/api/v2/orgs/{key}/logs",
            "members": f"/api/v2/orgs/{key}/members",
            "owners": f"/api/v2/orgs/{key}/owners",
            "secrets": f"/api/v2/orgs/{key}/secrets",
            "self": f"/api/v2/orgs/{key}",
            "tasks": f"/api/v2/tasks?org={name}",
        }
    }
    return {**body, **{name: org[name] for name in ("id", "name", "description", "createdAt", "updatedAt")}}


def add_org(state: State, name: str, description: str = "") -> Document:
    """Make an organisation with its two system buckets.

    Raises:
        InfluxError: no name, or there is one of this name.
    """
    check_org_name(state, name)
    now, key = state.now_text(), new_id()
    org = {"id": key, "name": name, "description": description, "createdAt": now, "updatedAt": now}
    state.documents.put("orgs", key, org)
    day = 86400
    add_bucket(state, org, "_tasks", 3 * day, description="System bucket for task logs", kind="system")
    add_bucket(state, org, "_monitoring", 7 * day, description="System bucket for monitoring logs", kind="system")
    return org


def check_org_name(state: State, name: str) -> None:
    """Raises InfluxError for a name that is empty or taken; spaces around it do not count."""
    if not name.strip():
        raise invalid("org name is empty")
    if any(org["name"].strip() == name.strip() for org in state.documents.all("orgs")):
        raise InfluxError("conflict", f"organization with name {name} already exists")


async def find(request: web.Request) -> web.Response:
    state, who, query, page = state_of(request), caller(request), request.query, page_of(request)
    name, key, user = query.get("org"), id_or_none(query.get("orgID")), id_or_none(query.get("userID"))
    if key is not None:
        org = state.documents.get("orgs", key)
        if org is None:
            raise InfluxError("not found", "organization not found")
        found = [org]
    elif name:
        found = [org_by_name(request, name)]
    elif user is None and allowed(who, "read", "orgs"):
        found = _part(list(state.documents.all("orgs")), page)
    else:
        found = _of_user(state, user or who["userID"], page)
    bodies = [org_body(org) for org in found if allowed(who, "read", "orgs", key=org["id"])]
    return reply(request, {"links": {"self": "/api/v2/orgs"}, "orgs": bodies})


def _part(orgs: list[Document], page: Page) -> list[Document]:
    return orgs[max(0, page.offset) :][: page.limit]


def _of_user(state: State, user: str, page: Page) -> list[Document]:
    """Those that a user is a member or an owner of."""
    of = {member["resource"] for member in state.documents.all("members") if member["user"] == user}
    return _part([org for org in state.documents.all("orgs") if org["id"] in of], page)


def _org(request: web.Request, action: str) -> Document:
    key = path_id(request)
    require(caller(request), action, "orgs", key=key)
    org = state_of(request).documents.get("orgs", key)
    if org is None:
        raise InfluxError("not found", "organization not found")
    return org


async def get(request: web.Request) -> web.Response:
    return reply(request, org_body(_org(request, "read")))


async def create(request: web.Request) -> web.Response:
    body = await read_struct(request, _NEW)
    require(caller(request), "write", "orgs")
    documents, user = state_of(request).documents, caller(request)["userID"]
    with documents.together():
        org = add_org(state_of(request), body.get("name", ""), body.get("description", ""))
        documents.put("members", f"{org['id']}/{user}", {"resource": org["id"], "user": user, "role": "owner"})
    return reply(request, org_body(org), 201)


async def update(request: web.Request) -> web.Response:
    path_id(request)
    body = await read_struct(request, _CHANGE)
    state, org = state_of(request), _org(request, "write")
    changed = dict(org, updatedAt=state.now_text())
    name = str(body.get("Name", org["name"]))
    if name != org["name"]:
        check_org_name(state, name)
        changed["name"] = name
    changed["description"] = body.get("description", org["description"])
    state.documents.put("orgs", org["id"], changed)
    return reply(request, org_body(changed))


async def remove(request: web.Request) -> web.Response:
    try:
        state, org = state_of(request), _org(request, "write")
    except InfluxError as error:
        if error.code != "not found":
            raise
        words = f"error deleting organization id: {path_id(request)}: {error.message}"
        raise InfluxError(error.code, words) from None
    for bucket in [bucket for bucket in state.documents.all("buckets") if bucket["orgID"] == org["id"]]:
        await drop_bucket(state, bucket)
    with state.documents.together():
        for kind in ("authorizations", "telegrafs", "labels"):
            for document in [document for document in state.documents.all(kind) if document["orgID"] == org["id"]]:
                state.documents.delete(kind, document["id"])
        for member in [member for member in state.documents.all("members") if member["resource"] == org["id"]]:
            state.documents.delete("members", f"{org['id']}/{member['user']}")
        state.documents.delete("orgs", org["id"])
    return no_content()


async def secrets(request: web.Request) -> web.Response:
    """An organisation has none."""
    try:
        key = path_id(request)
    except InfluxError as error:
        raise invalid(f"corrupt ID provided: {error.message}") from None
    if state_of(request).documents.get("orgs", key) is None or not allowed(caller(request), "read", "orgs", key=key):
        raise not_found_page()
    require(caller(request), "read", "secrets", key)
    links = {"org": f"/api/v2/orgs/{key}", "self": f"/api/v2/orgs/{key}/secrets"}
    return reply(request, {"links": links, "secrets": []})


ROUTES = [
    Route("GET", "/api/v2/orgs", find),
    Route("POST", "/api/v2/orgs", create),
    Route("GET", "/api/v2/orgs/{id}", get),
    Route("PATCH", "/api/v2/orgs/{id}", update),
    Route("DELETE", "/api/v2/orgs/{id}", remove),
    Route("GET", "/api/v2/orgs/{id}/secrets", secrets),
]

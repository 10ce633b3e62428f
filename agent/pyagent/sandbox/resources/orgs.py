"""`/api/v2/orgs`."""

from typing import Any

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.http import Route, caller, no_content, org_by_name, path_id, read_json, reply, state_of, text_of
from pyagent.sandbox.ids import looks_like_id, new_id
from pyagent.sandbox.paging import page
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.resources.buckets import add_bucket, drop_bucket
from pyagent.sandbox.state import State


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
    if not name.strip():
        raise invalid("org name is empty" if name else "name is empty")
    if state.documents.find("orgs", name=name):
        raise InfluxError("conflict", f"organization with name {name} already exists")
    now, key = state.now_text(), new_id()
    org = {"id": key, "name": name, "description": description, "createdAt": now, "updatedAt": now}
    state.documents.put("orgs", key, org)
    day = 86400
    add_bucket(state, org, "_tasks", 3 * day, description="System bucket for task logs", kind="system")
    add_bucket(state, org, "_monitoring", 7 * day, description="System bucket for monitoring logs", kind="system")
    return org


async def find(request: web.Request) -> web.Response:
    who, query = caller(request), request.query
    if name := query.get("org"):
        found = [org_by_name(request, name)]
    elif (key := query.get("orgID")) and looks_like_id(key):
        org = state_of(request).documents.get("orgs", key.lower())
        if org is None:
            raise InfluxError("not found", "organization not found")
        found = [org]
    else:
        found = page(request, list(state_of(request).documents.all("orgs")))
    bodies = [org_body(org) for org in found if allowed(who, "read", "orgs", key=org["id"])]
    return reply(request, {"links": {"self": "/api/v2/orgs"}, "orgs": bodies})


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
    body = await read_json(request)
    require(caller(request), "write", "orgs")
    with state_of(request).documents.together():
        org = add_org(state_of(request), text_of(body, "name"), text_of(body, "description"))
        user = caller(request)["userID"]
        state_of(request).documents.put(
            "members", f"{org['id']}/{user}", {"resource": org["id"], "user": user, "role": "owner"}
        )
    return reply(request, org_body(org), 201)


async def update(request: web.Request) -> web.Response:
    body = await read_json(request)
    state, org = state_of(request), _org(request, "write")
    changed = dict(org, updatedAt=state.now_text())
    if body.get("name") is not None:
        name = text_of(body, "name")
        if not name.strip():
            raise invalid("name is empty")
        if name != org["name"] and state.documents.find("orgs", name=name):
            raise InfluxError("conflict", f"organization with name {name} already exists")
        changed["name"] = name
    if body.get("description") is not None:
        changed["description"] = text_of(body, "description")
    state.documents.put("orgs", org["id"], changed)
    return reply(request, org_body(changed))


async def remove(request: web.Request) -> web.Response:
    state, org = state_of(request), _org(request, "write")
    for bucket in [bucket for bucket in state.documents.all("buckets") if bucket["orgID"] == org["id"]]:
        await drop_bucket(state, bucket)
    with state.documents.together():
        for kind in ("authorizations", "telegrafs", "labels"):
            for document in [document for document in state.documents.all(kind) if document["orgID"] == org["id"]]:
                state.documents.delete(kind, document["id"])
        state.documents.delete("orgs", org["id"])
    return no_content()


ROUTES = [
    Route("GET", "/api/v2/orgs", find),
    Route("POST", "/api/v2/orgs", create),
    Route("GET", "/api/v2/orgs/{id}", get),
    Route("PATCH", "/api/v2/orgs/{id}", update),
    Route("DELETE", "/api/v2/orgs/{id}", remove),
]

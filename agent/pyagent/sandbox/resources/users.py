"""`/api/v2/users` and `/api/v2/me`: there is the user of the set-up call, who can sign in, and those that were added."""

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.http import Route, caller, path_id, read_json, reply, state_of, text_of
from pyagent.sandbox.ids import new_id
from pyagent.sandbox.permissions import allowed, require, require_active


def user_body(user: Document) -> Document:
    return {"links": {"self": f"/api/v2/users/{user['id']}"}, **{name: user[name] for name in ("id", "name", "status")}}


async def me(request: web.Request) -> web.Response:
    require_active(caller(request))
    user = state_of(request).documents.get("users", caller(request)["userID"])
    if user is None:
        raise not_found("user")
    return reply(request, user_body(user))


async def find(request: web.Request) -> web.Response:
    who, name, key = caller(request), request.query.get("name"), request.query.get("id")
    found = [
        user_body(user)
        for user in state_of(request).documents.all("users")
        if name in (None, user["name"]) and key in (None, user["id"]) and allowed(who, "read", "users", key=user["id"])
    ]
    return reply(request, {"links": {"self": "/api/v2/users"}, "users": found})


async def get(request: web.Request) -> web.Response:
    key = path_id(request)
    require(caller(request), "read", "users", key=key)
    user = state_of(request).documents.get("users", key)
    if user is None:
        raise not_found("user")
    return reply(request, user_body(user))


async def create(request: web.Request) -> web.Response:
    body = await read_json(request)
    require(caller(request), "write", "users")
    documents, name = state_of(request).documents, text_of(body, "name")
    if not name:
        raise invalid("name is empty")
    if documents.find("users", name=name):
        raise InfluxError("conflict", f"user with name {name} already exists")
    key = new_id()
    user = documents.put("users", key, {"id": key, "name": name, "status": "active"})
    return reply(request, user_body(user), 201)


ROUTES = [
    Route("GET", "/api/v2/me", me),
    Route("GET", "/api/v2/users", find),
    Route("POST", "/api/v2/users", create),
    Route("GET", "/api/v2/users/{id}", get),
]

"""`/api/v2/users` and `/api/v2/me`: the users, their passwords, and what they may do."""

import asyncio
import binascii
from base64 import b64decode

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.gojson import ID, STRING, struct, text
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_struct, reply, state_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.paging import page_of
from pyagent.sandbox.permissions import (
    allowed,
    check_password,
    check_strength,
    hash_password,
    member_permissions,
    require,
    user_permissions,
)
from pyagent.sandbox.state import State

USER = struct("influxdb.User", id=ID, name=STRING, oauthID=STRING, status=text("influxdb.Status"))
_CHANGE = struct("influxdb.UserUpdate", name=STRING, status=text("influxdb.Status"))
_PASSWORD = struct("tenant.passwordSetRequest", password=STRING)
_NEW_PASSWORD = struct("tenant.passwordResetRequestBody", password=STRING)
_STATUS = ("active", "inactive")
INSTANCE = "0000000000000001"
"""The id that stands for the whole server where the user of the set-up call is made its owner."""


def user_body(user: Document, *, with_logs: bool = False) -> Document:
    path = f"/api/v2/users/{user['id']}"
    links = {"logs": f"{path}/logs", "self": path} if with_logs else {"self": path}
    body = {"links": links, "id": user["id"], "name": user["name"]}
    return {**body, **({"oauthID": user["oauthID"]} if user.get("oauthID") else {}), "status": user["status"]}


def permissions_of(state: State, user: str) -> list[Document]:
    """What a user may do by being owner or member of organisations and buckets, or owner of the server."""
    found: list[Document] = []
    for member in state.documents.all("members"):
        if member["user"] == user:
            kind = next((kind for kind in ("orgs", "buckets") if state.documents.get(kind, member["resource"])), "")
            kind = "instance" if member["resource"] == INSTANCE else kind
            found += member_permissions(kind, member["resource"], member["role"])
    return found + user_permissions(user)


def basic_credentials(authorization: str) -> tuple[str, str] | None:
    """(name, password) of a header of the scheme Basic."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        given = b64decode(encoded.strip(), validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return None
    name, colon, password = given.partition(":")
    return (name, password) if colon else None


def _user(request: web.Request, key: str, action: str) -> Document:
    require(caller(request), action, "users", key=key)
    user = state_of(request).documents.get("users", key)
    if user is None:
        raise not_found("user")
    return user


async def me(request: web.Request) -> web.Response:
    return reply(request, user_body(_user(request, caller(request)["userID"], "read")))


async def find(request: web.Request) -> web.Response:
    documents, key, name = state_of(request).documents, request.query.get("id"), request.query.get("name")
    page = page_of(request)
    users = [user for user in documents.all("users") if user["id"] > page.after][:: -1 if page.descending else 1]
    users = users[max(0, page.offset) :][: page.limit]
    if key or name:
        user = documents.get("users", parse_id(key)) if key else documents.find("users", name=name)
        if user is None:
            raise not_found("user")
        users = [user]
    found = [user_body(user) for user in users if allowed(caller(request), "read", "users", key=user["id"])]
    return reply(request, {"links": {"self": "/api/v2/users"}, "users": found})


async def get(request: web.Request) -> web.Response:
    return reply(request, user_body(_user(request, path_id(request), "read")))


async def permissions(request: web.Request) -> web.Response:
    key = path_id(request)
    require(caller(request), "read", "users", key=key)
    return reply(request, permissions_of(state_of(request), key))


def _check_name(state: State, name: str) -> None:
    if not name:
        raise InfluxError("empty value", "key required")
    if state.documents.find("users", name=name):
        raise InfluxError("conflict", f"user with name {name} already exists")


async def create(request: web.Request) -> web.Response:
    body = await read_struct(request, USER, code="internal error", prefix="")
    require(caller(request), "write", "users")
    state, key = state_of(request), body.get("id") or new_id()
    user = {"name": "", "oauthID": "", **body, "id": key, "status": body.get("status") or "active"}
    _check_name(state, user["name"])
    if state.documents.get("users", key):
        raise InfluxError("conflict", f"user with ID {key} already exists")
    return reply(request, user_body(state.documents.put("users", key, user)), 201)


async def update(request: web.Request) -> web.Response:
    key, state = path_id(request), state_of(request)
    changes = await read_struct(request, _CHANGE, code="internal error", prefix="")
    if changes.get("status", "active") not in _STATUS:
        raise invalid("invalid status: must be active or inactive")
    user = _user(request, key, "write")
    if changes.get("name", user["name"]) != user["name"]:
        _check_name(state, changes["name"])
    return reply(request, user_body(state.documents.put("users", key, {**user, **changes})))


async def remove(request: web.Request) -> web.Response:
    documents, key = state_of(request).documents, _user(request, path_id(request), "write")["id"]
    with documents.together():
        documents.delete("users", key)
        for member in [member for member in documents.all("members") if member["user"] == key]:
            documents.delete("members", f"{member['resource']}/{key}")
    return no_content()


async def _set_password(state: State, key: str, password: str) -> web.Response:
    check_strength(password)
    hashed = await asyncio.to_thread(hash_password, password)  # slow by design
    user = state.documents.get("users", key)
    if user is None:
        raise InfluxError("forbidden", "your userID is incorrect")
    state.documents.put("users", key, {**user, "password": hashed})
    return no_content()


def _routed_user(request: web.Request) -> str:
    try:
        return parse_id(request.match_info.get("id", ""))
    except InfluxError:
        raise InfluxError("internal error", "invalid user ID provided in route") from None


async def set_password(request: web.Request) -> web.Response:
    """What `influx user password` calls, and `influx user create --password`."""
    password = (await read_struct(request, _PASSWORD, prefix="")).get("password", "")
    key = _routed_user(request)
    require(caller(request), "write", "users", key=key)
    return await _set_password(state_of(request), key, password)


async def _change_password(request: web.Request, key: str | None) -> web.Response:
    """Of the path's user without `key`; who does it shows the old password, which takes a session in place of a token."""
    wrong = "error decoding password reset request: "
    credentials = basic_credentials(request.headers.get("Authorization", ""))
    if credentials is None:
        raise InfluxError("internal error", f"{wrong}invalid basic auth")
    try:
        password = (await read_struct(request, _NEW_PASSWORD)).get("password", "")
    except InfluxError as error:
        raise InfluxError("internal error", wrong + error.message.removeprefix("failed to unmarshal json: ")) from None
    key = key or _routed_user(request)
    require(caller(request), "write", "users", key=key)
    user = state_of(request).documents.get("users", key)
    if user is None:
        raise InfluxError("forbidden", "your userID is incorrect")
    kept = user.get("password")
    if not kept or not await asyncio.to_thread(check_password, credentials[1], kept):
        raise InfluxError("forbidden", "your username or password is incorrect")
    return await _set_password(state_of(request), key, password)


async def change_password(request: web.Request) -> web.Response:
    return await _change_password(request, None)


async def change_own_password(request: web.Request) -> web.Response:
    return await _change_password(request, caller(request)["userID"])


ROUTES = [
    Route("GET", "/api/v2/me", me),
    Route("PUT", "/api/v2/me/password", change_own_password),
    Route("GET", "/api/v2/users", find),
    Route("POST", "/api/v2/users", create),
    Route("PUT", "/api/v2/users/password", change_password),
    Route("GET", "/api/v2/users/{id}", get),
    Route("PATCH", "/api/v2/users/{id}", update),
    Route("DELETE", "/api/v2/users/{id}", remove),
    Route("GET", "/api/v2/users/{id}/permissions", permissions),
    Route("PUT", "/api/v2/users/{id}/password", change_password),
    Route("POST", "/api/v2/users/{id}/password", set_password),
]

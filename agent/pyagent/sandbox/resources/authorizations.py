"""`/api/v2/authorizations`: tokens and their permissions. A token is shown once, when it is made; kept is its hash.

`/private/legacy/authorizations` (`influx v1 auth`) has the users of InfluxDB 1: their tokens are names, and they
have passwords.
"""

import asyncio
from typing import NamedTuple

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.gojson import ID, STRING, list_of, struct, text
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_struct, reply, state_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.permissions import (
    RESOURCES,
    allowed,
    check_password,
    check_strength,
    describe,
    hash_password,
    hash_token,
    new_token,
    require,
)
from pyagent.sandbox.state import State

_STATUS = ("active", "inactive")
_INSTANCE = "instance"
_RESOURCE = struct("influxdb.Resource", type=text("influxdb.ResourceType"), id=ID, orgID=ID)
_PERMISSION = struct("influxdb.Permission", action=text("influxdb.Action"), resource=_RESOURCE)
_NEW = struct(
    "authorization.postAuthorizationRequest",
    status=text("influxdb.Status"),
    orgID=ID,
    userID=ID,
    description=STRING,
    permissions=list_of(_PERMISSION),
)
_NEW_V1 = struct(_NEW.name, token=STRING, **(_NEW.fields or {}))
_PASSWORD = struct("authorization.passwordSetRequest", password=STRING)
_CHANGE = struct("influxdb.AuthorizationUpdate", status=text("influxdb.Status"), description=STRING)


class _Kind(NamedTuple):
    """Where authorizations are kept, and their path."""

    documents: str
    path: str


_TOKENS = _Kind("authorizations", "/api/v2/authorizations")
V1 = _Kind("authorizations-v1", "/private/legacy/authorizations")


def _kind(request: web.Request) -> _Kind:
    return V1 if request.path.startswith(V1.path) else _TOKENS


def add_authorization(
    state: State,
    org: str,
    user: str,
    permissions: list[Document],
    description: str = "",
    token: str = "",
    status: str = "active",
) -> tuple[Document, str]:
    """Make an authorization; (what is kept, the token)."""
    token = token or new_token()
    hashed = hash_token(token)
    if state.documents.find("authorizations", hash=hashed):
        raise InfluxError("conflict", "token already exists")
    now, key = state.now_text(), new_id()
    kept = {
        "id": key, "hash": hashed, "status": status, "description": description, "orgID": org, "userID": user,
        "permissions": permissions, "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    return state.documents.put("authorizations", key, kept), token


def _add_v1(state: State, name: str, kept: Document) -> Document:
    for permission in kept["permissions"]:
        resource = permission["resource"]
        if resource["type"] == "buckets" and "id" in resource and not state.documents.get("buckets", resource["id"]):
            raise InfluxError("not found", "bucket not found when creating auth")
    if state.documents.find(V1.documents, token=name):
        raise InfluxError("conflict", "token already exists")
    now, key = state.now_text(), new_id()
    return state.documents.put(
        V1.documents, key, {"id": key, "token": name, **kept, "createdAt": now, "updatedAt": now}
    )


def _permission_body(state: State, permission: Document) -> Document:
    given = permission["resource"]
    resource = {name: given[name] for name in ("type", "id", "orgID") if given.get(name)}
    if "id" in resource and given["type"] in ("buckets", "orgs", "users"):
        named = state.documents.get(given["type"], given["id"])
        if named is None:
            return {"action": permission["action"], "resource": resource}
        resource["name"] = named["name"]
    if "orgID" in resource and (org := state.documents.get("orgs", given["orgID"])):
        resource["org"] = org["name"]
    return {"action": permission["action"], "resource": resource}


def body_of(state: State, kept: Document, token: str = "", kind: _Kind = _TOKENS) -> Document:
    org, user = state.documents.get("orgs", kept["orgID"]), state.documents.get("users", kept["userID"])
    return {
        "id": kept["id"],
        "token": token or kept.get("token", ""),
        "status": kept["status"],
        "description": kept["description"],
        "orgID": kept["orgID"],
        "org": org["name"] if org else "",
        "userID": kept["userID"],
        "user": user["name"] if user else "",
        "permissions": [_permission_body(state, permission) for permission in kept["permissions"]],
        "links": {"self": f"{kind.path}/{kept['id']}", "user": f"/api/v2/users/{kept['userID']}"},
        "createdAt": kept["createdAt"],
        "updatedAt": kept["updatedAt"],
    }


def _check(permissions: list[Document]) -> None:
    if not permissions:
        raise invalid("authorization must include permissions")
    for permission in permissions:
        if permission.get("resource", {}).get("type") not in (*RESOURCES, _INSTANCE):
            raise invalid("invalid resource type for permission: unknown resource type for permission")
        if permission.get("action") not in ("read", "write"):
            raise invalid("invalid action type for permission: unknown action for permission")


def _words(permission: Document) -> str:
    resource = permission["resource"]
    return describe(permission["action"], resource["type"], resource.get("orgID"), resource.get("id"))


async def create(request: web.Request) -> web.Response:
    kind, state, who = _kind(request), state_of(request), caller(request)
    body = await read_struct(request, _NEW_V1 if kind is V1 else _NEW, prefix="invalid json structure: ")
    org, user, permissions = body.get("orgID", ""), body.get("userID") or who["userID"], body.get("permissions", [])
    status, description = body.get("status") or "active", body.get("description", "")
    _check(permissions)
    if not org:
        raise invalid("org id required: invalid ID")
    if status not in _STATUS:
        raise invalid("invalid status: must be active or inactive")
    if kind is V1 and not body.get("token"):
        raise invalid("token required for v1 user authorization type")
    require(who, "write", "authorizations", org)
    require(who, "write", "users", key=user)
    for permission in permissions:
        resource, words = permission["resource"], _words(permission)
        if not allowed(who, permission["action"], resource["type"], resource.get("orgID"), resource.get("id")):
            raise InfluxError("forbidden", f"permission {words} is not allowed: {words} is unauthorized")
    if any(permission["resource"]["type"] == _INSTANCE for permission in permissions):
        reason = "authorizations cannot be created with the instance type, it is only used during setup"
        raise InfluxError("internal error", reason)
    for permission in permissions:
        if permission["resource"].get("orgID", org) != org:
            raise invalid(f"permission {_words(permission)} is not for org id {org}")
    if state.documents.get("users", user) is None or state.documents.get("orgs", org) is None:
        raise invalid("unable to create token")
    if kind is V1:
        given = {"orgID": org, "userID": user, "permissions": permissions, "description": description, "status": status}
        return reply(request, body_of(state, _add_v1(state, body["token"], given), kind=V1), 201)
    kept, token = add_authorization(state, org, user, permissions, description, status=status)
    return reply(request, body_of(state, kept, token), 201)


def _readable(who: Document, kept: Document) -> bool:
    of_user = allowed(who, "read", "users", key=kept["userID"])
    return of_user and allowed(who, "read", "authorizations", kept["orgID"], kept["id"])


async def find(request: web.Request) -> web.Response:
    kind, state, query = _kind(request), state_of(request), request.query
    wanted = {name: parse_id(query[name]) for name in ("userID", "orgID", "id") if query.get(name)}
    for name, of in (("user", "users"), ("org", "orgs")):
        if (given := query.get(name)) and f"{name}ID" not in wanted:
            named = state.documents.find(of, name=given)
            if named is None:
                raise not_found("user" if name == "user" else f'organization name "{given}"')
            wanted[f"{name}ID"] = named["id"]
    every = state.documents.all(kind.documents)
    if key := wanted.pop("id", None):
        every, wanted = [_kept(state, kind, key)], {}
    elif kind is V1 and (token := query.get("token")):
        every, wanted = [_known(state.documents.find(V1.documents, token=token))], {}
    found = [
        body_of(state, kept, kind=kind)
        for kept in every
        if all(kept[name] == value for name, value in wanted.items()) and _readable(caller(request), kept)
        if state.documents.get("users", kept["userID"]) and state.documents.get("orgs", kept["orgID"])
    ]
    return reply(request, {"links": {"self": kind.path}, "authorizations": found})


def _known(kept: Document | None) -> Document:
    if kept is None:
        raise not_found("authorization")
    return kept


def _kept(state: State, kind: _Kind, key: str) -> Document:
    return _known(state.documents.get(kind.documents, key))


def _authorization(request: web.Request, action: str) -> Document:
    kept = _kept(state_of(request), _kind(request), path_id(request))
    require(caller(request), action, "authorizations", kept["orgID"], kept["id"])
    require(caller(request), action, "users", key=kept["userID"])
    return kept


def _whole(request: web.Request, kept: Document) -> web.Response:
    """The answer; that of a token whose organisation or user is gone is an error."""
    state = state_of(request)
    for kind, key, what in (("orgs", "orgID", "organization"), ("users", "userID", "user")):
        if state.documents.get(kind, kept[key]) is None:
            raise not_found(what)
    return reply(request, body_of(state, kept, kind=_kind(request)))


async def get(request: web.Request) -> web.Response:
    return _whole(request, _authorization(request, "read"))


async def update(request: web.Request) -> web.Response:
    path_id(request)
    changes = await read_struct(request, _CHANGE, code="internal error", prefix="")
    _authorization(request, "read")
    state, kept = state_of(request), _authorization(request, "write")
    if changes.get("status", "active") not in _STATUS:
        raise invalid("encodeAuthorization: unknown authorization status")
    changed = {**kept, **changes, "updatedAt": state.now_text()}
    return _whole(request, state.documents.put(_kind(request).documents, kept["id"], changed))


async def remove(request: web.Request) -> web.Response:
    key = _authorization(request, "write")["id"]
    state_of(request).documents.delete(_kind(request).documents, key)
    state_of(request).known_passwords.pop(key, None)
    return no_content()


async def set_password(request: web.Request) -> web.Response:
    """What `influx v1 auth set-password` and `create --password` call."""
    state, password = state_of(request), (await read_struct(request, _PASSWORD, prefix="")).get("password", "")
    try:
        key = path_id(request)
    except InfluxError:
        raise InfluxError("internal error", "invalid authorization ID provided in route") from None
    require(caller(request), "write", "users", key=_kept(state, V1, key)["userID"])
    check_strength(password)
    hashed = await asyncio.to_thread(hash_password, password)
    state.documents.put(V1.documents, key, {**_kept(state, V1, key), "password": hashed})
    state.known_passwords.pop(key, None)
    return no_content()


def user_of_v1(state: State, name: str, password: str) -> Document | None:
    """The authorization of a user of InfluxDB 1, None where there is none of this name.

    Raises:
        InfluxError: the password is another.
    """
    kept = state.documents.find(V1.documents, token=name)
    if kept is None:
        return None
    short = hash_token(password)
    if state.known_passwords.get(kept["id"]) != short:  # the long way is slow by design, and a writer comes often
        if not kept.get("password") or not check_password(password, kept["password"]):
            raise InfluxError("unauthorized", "Unauthorized")
        state.known_passwords[kept["id"]] = short
    return kept


ROUTES = [
    *(
        Route(method, f"{kind.path}{rest}", handler)
        for kind in (_TOKENS, V1)
        for method, rest, handler in (
            ("GET", "", find),
            ("POST", "", create),
            ("GET", "/{id}", get),
            ("PATCH", "/{id}", update),
            ("DELETE", "/{id}", remove),
        )
    ),
    Route("POST", f"{V1.path}/{{id}}/password", set_password),
]

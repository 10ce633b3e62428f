"""`/api/v2/authorizations`: tokens and their permissions. A token is shown once, when it is made; kept is its hash."""

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.gojson import ID, STRING, list_of, struct, text
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_struct, reply, state_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.permissions import RESOURCES, allowed, describe, hash_token, new_token, require
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
_CHANGE = struct("influxdb.AuthorizationUpdate", status=text("influxdb.Status"), description=STRING)


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


def body_of(state: State, kept: Document, token: str = "") -> Document:
    org, user = state.documents.get("orgs", kept["orgID"]), state.documents.get("users", kept["userID"])
    return {
        "id": kept["id"],
        "token": token,
        "status": kept["status"],
        "description": kept["description"],
        "orgID": kept["orgID"],
        "org": org["name"] if org else "",
        "userID": kept["userID"],
        "user": user["name"] if user else "",
        "permissions": [_permission_body(state, permission) for permission in kept["permissions"]],
        "links": {"self": f"/api/v2/authorizations/{kept['id']}", "user": f"/api/v2/users/{kept['userID']}"},
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
    body = await read_struct(request, _NEW, prefix="invalid json structure: ")
    state, who = state_of(request), caller(request)
    org, user, permissions = body.get("orgID", ""), body.get("userID") or who["userID"], body.get("permissions", [])
    status, description = body.get("status") or "active", body.get("description", "")
    _check(permissions)
    if not org:
        raise invalid("org id required: invalid ID")
    if status not in _STATUS:
        raise invalid("invalid status: must be active or inactive")
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
    kept, token = add_authorization(state, org, user, permissions, description, status=status)
    return reply(request, body_of(state, kept, token), 201)


def _readable(who: Document, kept: Document) -> bool:
    of_user = allowed(who, "read", "users", key=kept["userID"])
    return of_user and allowed(who, "read", "authorizations", kept["orgID"], kept["id"])


async def find(request: web.Request) -> web.Response:
    state, query = state_of(request), request.query
    wanted = {name: parse_id(query[name]) for name in ("userID", "orgID", "id") if query.get(name)}
    for name, kind in (("user", "users"), ("org", "orgs")):
        if (given := query.get(name)) and f"{name}ID" not in wanted:
            named = state.documents.find(kind, name=given)
            if named is None:
                raise not_found("user" if name == "user" else f'organization name "{given}"')
            wanted[f"{name}ID"] = named["id"]
    every = state.documents.all("authorizations")
    if key := wanted.pop("id", None):
        every, wanted = [_kept(state, key)], {}
    found = [
        body_of(state, kept)
        for kept in every
        if all(kept[name] == value for name, value in wanted.items()) and _readable(caller(request), kept)
        if state.documents.get("users", kept["userID"]) and state.documents.get("orgs", kept["orgID"])
    ]
    return reply(request, {"links": {"self": "/api/v2/authorizations"}, "authorizations": found})


def _kept(state: State, key: str) -> Document:
    kept = state.documents.get("authorizations", key)
    if kept is None:
        raise not_found("authorization")
    return kept


def _authorization(request: web.Request, action: str) -> Document:
    kept = _kept(state_of(request), path_id(request))
    require(caller(request), action, "authorizations", kept["orgID"], kept["id"])
    require(caller(request), action, "users", key=kept["userID"])
    return kept


def _whole(state: State, kept: Document) -> Document:
    """The answer; that of a token whose organisation or user is gone is an error."""
    for kind, key, what in (("orgs", "orgID", "organization"), ("users", "userID", "user")):
        if state.documents.get(kind, kept[key]) is None:
            raise not_found(what)
    return body_of(state, kept)


async def get(request: web.Request) -> web.Response:
    return reply(request, _whole(state_of(request), _authorization(request, "read")))


async def update(request: web.Request) -> web.Response:
    path_id(request)
    changes = await read_struct(request, _CHANGE, code="internal error", prefix="")
    _authorization(request, "read")
    state, kept = state_of(request), _authorization(request, "write")
    if changes.get("status", "active") not in _STATUS:
        raise invalid("encodeAuthorization: unknown authorization status")
    changed = {**kept, **changes, "updatedAt": state.now_text()}
    return reply(request, _whole(state, state.documents.put("authorizations", kept["id"], changed)))


async def remove(request: web.Request) -> web.Response:
    state_of(request).documents.delete("authorizations", _authorization(request, "write")["id"])
    return no_content()


ROUTES = [
    Route("GET", "/api/v2/authorizations", find),
    Route("POST", "/api/v2/authorizations", create),
    Route("GET", "/api/v2/authorizations/{id}", get),
    Route("PATCH", "/api/v2/authorizations/{id}", update),
    Route("DELETE", "/api/v2/authorizations/{id}", remove),
]

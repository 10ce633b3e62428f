"""`/api/v2/authorizations`: tokens and their permissions. A token is shown once, when it is made; kept is its hash."""

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_json, reply, state_of, text_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.permissions import RESOURCES, allowed, describe, hash_token, new_token, require
from pyagent.sandbox.state import State

_STATUS = ("active", "inactive")


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


def _permissions(body: Document) -> list[Document]:
    given = body.get("permissions")
    if not given:
        raise invalid("authorization must include permissions")
    if not isinstance(given, list):
        raise invalid("invalid json structure: json: cannot unmarshal into field permissions")
    return [_permission(one) for one in given]


def _permission(given: object) -> Document:
    resource = given.get("resource") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(resource, dict):
        raise invalid("invalid json structure: json: cannot unmarshal into field permissions")
    if resource.get("type") not in (*RESOURCES, "instance"):
        raise invalid(f"unknown resource type for permission: {resource.get('type') or ''}".rstrip())
    if given.get("action") not in ("read", "write"):
        raise invalid("unknown action for permission")
    kept = {"type": resource["type"]}
    for name in ("id", "orgID"):
        if value := resource.get(name):
            kept[name] = parse_id(value if isinstance(value, str) else "")
    return {"action": given["action"], "resource": kept}


async def create(request: web.Request) -> web.Response:
    body = await read_json(request, prefix="invalid json structure: ")
    state, who = state_of(request), caller(request)
    permissions = _permissions(body)
    if not (given := text_of(body, "orgID")):
        raise invalid("org id required: invalid ID")
    org, status = parse_id(given), text_of(body, "status") or "active"
    if status not in _STATUS:
        raise invalid(f"invalid status value {status}: must be active or inactive")
    user = parse_id(text_of(body, "userID")) if body.get("userID") else who["userID"]
    require(who, "write", "authorizations", org)
    require(who, "write", "users", key=user)
    for permission in permissions:
        resource = permission["resource"]
        wanted = (permission["action"], resource["type"], resource.get("orgID"), resource.get("id"))
        if not allowed(who, *wanted):
            text = describe(*wanted)
            raise InfluxError("forbidden", f"permission {text} is not allowed: {text} is unauthorized")
    if state.documents.get("orgs", org) is None:
        raise not_found("organization")
    if state.documents.get("users", user) is None:
        raise not_found("user")
    kept, token = add_authorization(state, org, user, permissions, text_of(body, "description"), status=status)
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
    found = [
        body_of(state, kept)
        for kept in state.documents.all("authorizations")
        if all(kept[name] == value for name, value in wanted.items()) and _readable(caller(request), kept)
    ]
    return reply(request, {"links": {"self": "/api/v2/authorizations"}, "authorizations": found})


def _authorization(request: web.Request, action: str) -> Document:
    kept = state_of(request).documents.get("authorizations", path_id(request))
    if kept is None:
        raise not_found("authorization")
    require(caller(request), action, "authorizations", kept["orgID"], kept["id"])
    require(caller(request), action, "users", key=kept["userID"])
    return kept


async def get(request: web.Request) -> web.Response:
    return reply(request, body_of(state_of(request), _authorization(request, "read")))


async def update(request: web.Request) -> web.Response:
    body = await read_json(request)
    state, kept = state_of(request), _authorization(request, "write")
    changed = dict(kept, updatedAt=state.now_text())
    if body.get("status") is not None:
        changed["status"] = text_of(body, "status")
        if changed["status"] not in _STATUS:
            raise invalid(f"invalid status value {changed['status']}: must be active or inactive")
    if body.get("description") is not None:
        changed["description"] = text_of(body, "description")
    state.documents.put("authorizations", kept["id"], changed)
    return reply(request, body_of(state, changed))


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

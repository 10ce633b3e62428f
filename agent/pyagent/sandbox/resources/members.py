"""Members and owners of organisations, buckets and telegraf configurations."""

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import invalid, not_found
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_json, reply, state_of, text_of
from pyagent.sandbox.ids import parse_id
from pyagent.sandbox.permissions import require
from pyagent.sandbox.resources.users import user_body

_WHAT = {"orgs": "organization", "buckets": "bucket", "telegrafs": "telegraf configuration"}


def _resource(request: web.Request, action: str) -> tuple[str, str, str]:
    """(kind, id, role) of the path, after the caller's permission was checked."""
    kind, key, role = request.path.split("/")[3], path_id(request), request.path.split("/")[5].removesuffix("s")
    found = state_of(request).documents.get(kind, key)
    if found is None:
        raise not_found(_WHAT[kind])
    if kind == "orgs":
        require(caller(request), action, "orgs", key=key)
    else:
        require(caller(request), action, kind, found["orgID"], key)
    return kind, key, role


def _body(user: Document, role: str) -> Document:
    return {"role": role, **user_body(user)}


async def find(request: web.Request) -> web.Response:
    documents = state_of(request).documents
    kind, key, role = _resource(request, "read")
    mapped = [
        member["user"] for member in documents.all("members") if (member["resource"], member["role"]) == (key, role)
    ]
    users = [_body(user, role) for number in mapped if (user := documents.get("users", number))]
    return reply(request, {"links": {"self": f"/api/v2/{kind}/{key}/{role}s"}, "users": users})


async def add(request: web.Request) -> web.Response:
    body = await read_json(request)
    documents = state_of(request).documents
    _, key, role = _resource(request, "write")
    if not (given := text_of(body, "id")):
        raise invalid("user id missing or invalid")
    user = documents.get("users", parse_id(given))
    if user is None:
        raise not_found("user")
    documents.put("members", f"{key}/{user['id']}", {"resource": key, "user": user["id"], "role": role})
    return reply(request, _body(user, role), 201)


async def remove(request: web.Request) -> web.Response:
    documents = state_of(request).documents
    _, key, _ = _resource(request, "write")
    mapping = f"{key}/{path_id(request, 'user')}"
    if documents.get("members", mapping) is None:
        raise not_found("user to resource mapping")
    documents.delete("members", mapping)
    return no_content()


ROUTES = [
    Route(method, f"/api/v2/{kind}/{{id}}/{role}{rest}", handler)
    for kind in _WHAT
    for role in ("members", "owners")
    for method, rest, handler in (("GET", "", find), ("POST", "", add), ("DELETE", "/{user}", remove))
]

"""Members and owners of organisations, buckets and telegraf configurations."""

from typing import NamedTuple

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, hidden, invalid, not_found
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_struct, reply, state_of
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.resources.users import USER, user_body

_KINDS = ("orgs", "buckets", "telegrafs")


class _Resource(NamedTuple):
    """What the path names. InfluxDB has two handlers for this: that of telegraf configurations looks later and says less."""

    kind: str
    key: str
    role: str
    found: Document | None

    @property
    def org(self) -> str:
        assert self.found is not None
        return self.key if self.kind == "orgs" else str(self.found["orgID"])


def _resource(request: web.Request) -> _Resource:
    _, _, _, kind, _, role, *_ = request.path.split("/")
    try:
        key = path_id(request)
    except InfluxError as error:
        raise error if kind == "telegrafs" else invalid(f"corrupt ID provided: {error.message}") from None
    resource = _Resource(kind, key, role.removesuffix("s"), state_of(request).documents.get(kind, key))
    if kind != "telegrafs" and not (resource.found and _may(request, "read", resource)):
        raise InfluxError("not found", "404 page not found")
    return resource


def _may(request: web.Request, action: str, resource: _Resource) -> bool:
    return allowed(caller(request), action, resource.kind, resource.org, resource.key)


def _body(resource: _Resource, user: Document) -> Document:
    return {"role": resource.role, **user_body(user, with_logs=resource.kind == "telegrafs")}


async def find(request: web.Request) -> web.Response:
    documents, resource = state_of(request).documents, _resource(request)
    kind, key, role, found = resource
    if kind != "telegrafs" and not allowed(caller(request), "read", "orgs", key=resource.org):
        raise InfluxError("not found", "not found")
    wanted = (key, role) if found and _may(request, "read", resource) else None
    mapped = [member["user"] for member in documents.all("members") if (member["resource"], member["role"]) == wanted]
    users = [_body(resource, user) for number in mapped if (user := documents.get("users", number))]
    return reply(request, {"links": {"self": f"/api/v2/{kind}/{key}/{role}s"}, "users": users})


async def add(request: web.Request) -> web.Response:
    documents, resource = state_of(request).documents, _resource(request)
    try:
        body = await read_struct(request, USER, code="internal error", prefix="")
    except InfluxError as error:
        if resource.kind == "telegrafs" and error.code == "internal error":
            raise hidden(f"the body cannot be decoded: {error.message}") from None
        raise
    if not (key := body.get("id")):
        raise invalid("user id missing or invalid")
    user = documents.get("users", key)
    if user is None:
        raise not_found("user")
    if resource.found is None:
        raise not_found("telegraf configuration")
    require(caller(request), "write", resource.kind, resource.org, resource.key)
    mapping = f"{resource.key}/{user['id']}"
    if documents.get("members", mapping):
        raise InfluxError(
            "internal error",
            f"Unexpected error when assigning user to a resource: mapping for user {user['id']} already exists",
        )
    documents.put("members", mapping, {"resource": resource.key, "user": user["id"], "role": resource.role})
    return reply(request, _body(resource, user), 201)


async def remove(request: web.Request) -> web.Response:
    """Who is neither member nor owner is as good as removed."""
    documents, resource = state_of(request).documents, _resource(request)
    mapping = f"{resource.key}/{path_id(request, 'user')}"
    if documents.get("members", mapping) and resource.found:
        require(caller(request), "write", resource.kind, resource.org, resource.key)
        documents.delete("members", mapping)
    return no_content()


ROUTES = [
    Route(method, f"/api/v2/{kind}/{{id}}/{role}{rest}", handler)
    for kind in _KINDS
    for role in ("members", "owners")
    for method, rest, handler in (("GET", "", find), ("POST", "", add), ("DELETE", "/{user}", remove))
]

"""`/api/v2/labels`, and the labels of buckets, telegraf configurations and variables."""

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.gojson import ID, STRING, map_of, struct, text
from pyagent.sandbox.http import (
    Route,
    caller,
    id_or_none,
    json_response,
    no_content,
    path_id,
    read_struct,
    refuse,
    reply,
    state_of,
)
from pyagent.sandbox.ids import new_id
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.state import State

_NEW = struct("influxdb.Label", id=ID, orgID=ID, name=STRING, properties=map_of(STRING))
_CHANGE = struct("influxdb.LabelUpdate", name=STRING, properties=map_of(STRING))
_MAPPING = struct("influxdb.LabelMapping", labelID=ID, resourceID=ID, resourceType=text("influxdb.ResourceType"))
_WHAT = {"buckets": "bucket", "telegrafs": "telegraf configuration", "variables": "variable"}


def label_body(label: Document) -> Document:
    body = {name: label[name] for name in ("id", "orgID", "name")}
    return {**body, "properties": label["properties"]} if label["properties"] else body


def labels_of(state: State, resource: str) -> list[Document]:
    """The labels on a resource, in the order of their ids."""
    mapped = [mapping["label"] for mapping in state.documents.all("labelled") if mapping["resource"] == resource]
    return [label_body(label) for key in sorted(mapped) if (label := state.documents.get("labels", key))]


def _response(label: Document) -> Document:
    return {"links": {"self": f"/api/v2/labels/{label['id']}"}, "label": label_body(label)}


def _label(request: web.Request, key: str, action: str) -> Document:
    label = state_of(request).documents.get("labels", key)
    if label is None:
        raise not_found("label")
    require(caller(request), action, "labels", label["orgID"], key)
    return label


def _require_free(state: State, org: str, name: str, but: str = "") -> None:
    """Raises InfluxError where a label of the organisation has the name, in any case of its letters."""
    for label in state.documents.all("labels"):
        if label["orgID"] == org and label["name"].lower() == name.lower() and label["id"] != but:
            raise InfluxError("conflict", f"label with name {name} already exists")


async def find(request: web.Request) -> web.Response:
    who, org, name = caller(request), id_or_none(request.query.get("orgID")), request.query.get("name", "")
    found = [
        label_body(label)
        for label in state_of(request).documents.all("labels")
        if org in (None, label["orgID"])
        and name.casefold() in ("", label["name"].casefold())
        and allowed(who, "read", "labels", label["orgID"], label["id"])
    ]
    return reply(request, {"links": {"self": "/api/v2/labels"}, "labels": found})


async def create(request: web.Request) -> web.Response:
    body = await read_struct(request, _NEW)
    if not body.get("name"):
        raise invalid("label name is required")
    if not (org := body.get("orgID")):
        raise invalid("orgID is required")
    require(caller(request), "write", "labels", org)
    state, name = state_of(request), body["name"].strip()
    _require_free(state, org, name)
    key, properties = new_id(), body.get("properties") or {}
    label = state.documents.put("labels", key, {"id": key, "orgID": org, "name": name, "properties": properties})
    return reply(request, _response(label), 201)


async def get(request: web.Request) -> web.Response:
    return reply(request, _response(_label(request, path_id(request), "read")))


async def update(request: web.Request) -> web.Response:
    key = path_id(request)
    body = await read_struct(request, _CHANGE, code="internal error", prefix="")
    state, label = state_of(request), dict(_label(request, key, "write"))
    merged = {**label["properties"], **(body.get("properties") or {})}
    label["properties"] = {
        name: value for name, value in merged.items() if value or name not in (body.get("properties") or {})
    }
    if body.get("name"):
        label["name"] = body["name"].strip()
        _require_free(state, label["orgID"], label["name"], key)
        if not label["name"]:
            raise invalid("label name is required")
    state.documents.put("labels", key, label)
    return reply(request, _response(label))


async def remove(request: web.Request) -> web.Response:
    documents, label = state_of(request).documents, _label(request, path_id(request), "write")
    with documents.together():
        for mapping in [mapping for mapping in documents.all("labelled") if mapping["label"] == label["id"]]:
            documents.delete("labelled", f"{mapping['resource']}/{label['id']}")
        documents.delete("labels", label["id"])
    return no_content()


def _kind(request: web.Request) -> str:
    return request.path.split("/")[3]


def _resource(request: web.Request, action: str) -> Document:
    """The bucket, configuration or variable in the path, after the caller's permission for it was checked."""
    kind = _kind(request)
    if kind == "buckets":
        return _labelled_bucket(request, action)
    found = state_of(request).documents.get(kind, path_id(request))
    if found is None:
        raise not_found(_WHAT[kind])
    require(caller(request), action, kind, found["orgID"], found["id"])
    return found


def _labelled_bucket(request: web.Request, action: str) -> Document:
    """A bucket that may not be read is not there."""
    try:
        found = state_of(request).documents.get("buckets", path_id(request))
    except InfluxError as error:
        raise invalid(f"corrupt ID provided: {error.message}") from None
    who = caller(request)
    key = ("orgs", None, found["orgID"]) if found and found["type"] == "system" else None
    if found is None or not allowed(who, "read", *(key or ("buckets", found["orgID"], found["id"]))):
        raise not_found_page()
    require(who, action, "buckets", found["orgID"], found["id"])
    return found


def not_found_page() -> InfluxError:
    return InfluxError("not found", "404 page not found")


async def of_resource(request: web.Request) -> web.Response:
    who, found = caller(request), labels_of(state_of(request), _resource(request, "read")["id"])
    readable = [label for label in found if allowed(who, "read", "labels", label["orgID"], label["id"])]
    return reply(request, {"links": {"self": "/api/v2/labels"}, "labels": readable})


async def attach(request: web.Request) -> web.Response:
    if _kind(request) == "buckets":
        _labelled_bucket(request, "read")
    else:
        path_id(request)
    try:
        body = await read_struct(request, _MAPPING)
    except InfluxError:
        return _unreadable(request)
    if not (key := body.get("labelID")):
        raise invalid("label id is required")
    label = _label(request, key, "write")
    documents, resource = state_of(request).documents, _resource(request, "write")["id"]
    mapping = f"{resource}/{key}"
    if documents.get("labelled", mapping):
        raise InfluxError("conflict", "Cannot add label, label already exists on resource")
    documents.put("labelled", mapping, {"resource": resource, "label": key})
    return reply(request, _response(label), 201)


def _unreadable(request: web.Request) -> web.Response:
    """InfluxDB goes on for a bucket after it said so, and says what is missing too."""
    is_indented = _kind(request) == "buckets"
    answers = [refuse(invalid("Invalid post label map request"), is_indented)]
    if is_indented:
        answers.append(refuse(invalid("label id is required"), is_indented))
    response = json_response("".join(answer.text or "" for answer in answers), 400)
    response.headers["X-Platform-Error-Code"] = "invalid"
    return response


async def detach(request: web.Request) -> web.Response:
    if _kind(request) == "buckets":
        _labelled_bucket(request, "read")
    label = _label(request, path_id(request, "label"), "write")
    resource = _resource(request, "write")["id"]
    state_of(request).documents.delete("labelled", f"{resource}/{label['id']}")
    return no_content()


ROUTES = [
    Route("GET", "/api/v2/labels", find),
    Route("POST", "/api/v2/labels", create),
    Route("GET", "/api/v2/labels/{id}", get),
    Route("PATCH", "/api/v2/labels/{id}", update),
    Route("DELETE", "/api/v2/labels/{id}", remove),
    *(
        Route(method, f"/api/v2/{kind}/{{id}}/labels{rest}", handler)
        for kind in _WHAT
        for method, rest, handler in (("GET", "", of_resource), ("POST", "", attach), ("DELETE", "/{label}", detach))
    ),
]

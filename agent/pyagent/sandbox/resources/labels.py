"""`/api/v2/labels`, and the labels of buckets and telegraf configurations."""

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_json, reply, state_of, text_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.state import State


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


def _properties(body: Document) -> dict[str, str]:
    found = body.get("properties") or {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise invalid("failed to decode request body: json: cannot unmarshal into field properties of type string")
    return found


async def find(request: web.Request) -> web.Response:
    who, org = caller(request), request.query.get("orgID")
    wanted = parse_id(org) if org else None
    found = [
        label_body(label)
        for label in state_of(request).documents.all("labels")
        if wanted in (None, label["orgID"]) and allowed(who, "read", "labels", label["orgID"], label["id"])
    ]
    return reply(request, {"links": {"self": "/api/v2/labels"}, "labels": found})


async def create(request: web.Request) -> web.Response:
    body = await read_json(request)
    state, name = state_of(request), text_of(body, "name").strip()
    if not name:
        raise invalid("label name is required")
    if not (given := text_of(body, "orgID")):
        raise invalid("orgID is required")
    org = parse_id(given)
    require(caller(request), "write", "labels", org)
    if state.documents.find("labels", orgID=org, name=name):
        raise InfluxError("conflict", f"label with name {name} already exists")
    key = new_id()
    label = state.documents.put("labels", key, {"id": key, "orgID": org, "name": name, "properties": _properties(body)})
    return reply(request, _response(label), 201)


async def get(request: web.Request) -> web.Response:
    return reply(request, _response(_label(request, path_id(request), "read")))


async def update(request: web.Request) -> web.Response:
    body = await read_json(request)
    label = dict(_label(request, path_id(request), "write"))
    if name := text_of(body, "name").strip():
        label["name"] = name
    merged = {**label["properties"], **_properties(body)}
    label["properties"] = {name: value for name, value in merged.items() if value}
    state_of(request).documents.put("labels", label["id"], label)
    return reply(request, _response(label))


async def remove(request: web.Request) -> web.Response:
    documents, label = state_of(request).documents, _label(request, path_id(request), "write")
    with documents.together():
        for mapping in [mapping for mapping in documents.all("labelled") if mapping["label"] == label["id"]]:
            documents.delete("labelled", f"{mapping['resource']}/{label['id']}")
        documents.delete("labels", label["id"])
    return no_content()


def _resource(request: web.Request, action: str) -> Document:
    """The bucket or configuration in the path, after the caller's permission for it was checked."""
    kind, key = request.path.split("/")[3], path_id(request)
    found = state_of(request).documents.get(kind, key)
    if found is None:
        raise not_found("bucket" if kind == "buckets" else "telegraf configuration")
    require(caller(request), action, kind, found["orgID"], key)
    return found


async def of_resource(request: web.Request) -> web.Response:
    found = labels_of(state_of(request), _resource(request, "read")["id"])
    return reply(request, {"links": {"self": "/api/v2/labels"}, "labels": found})


async def attach(request: web.Request) -> web.Response:
    body = await read_json(request)
    documents, resource = state_of(request).documents, _resource(request, "write")["id"]
    if not (given := text_of(body, "labelID")):
        raise invalid("label id is required")
    label = _label(request, parse_id(given), "read")
    mapping = f"{resource}/{label['id']}"
    if documents.get("labelled", mapping):
        raise InfluxError("conflict", "Cannot add label, label already exists on resource")
    documents.put("labelled", mapping, {"resource": resource, "label": label["id"]})
    return reply(request, _response(label), 201)


async def detach(request: web.Request) -> web.Response:
    documents, resource = state_of(request).documents, _resource(request, "write")["id"]
    mapping = f"{resource}/{path_id(request, 'label')}"
    if documents.get("labelled", mapping) is None:
        raise not_found("label")
    documents.delete("labelled", mapping)
    return no_content()


ROUTES = [
    Route("GET", "/api/v2/labels", find),
    Route("POST", "/api/v2/labels", create),
    Route("GET", "/api/v2/labels/{id}", get),
    Route("PATCH", "/api/v2/labels/{id}", update),
    Route("DELETE", "/api/v2/labels/{id}", remove),
    *(
        Route(method, f"/api/v2/{kind}/{{id}}/labels{rest}", handler)
        for kind in ("buckets", "telegrafs")
        for method, rest, handler in (("GET", "", of_resource), ("POST", "", attach), ("DELETE", "/{label}", detach))
    ),
]

"""`/api/v2/variables`: what dashboards put in place of `v.name`; they are kept, and used by those who ask for them."""

import re
from typing import Any

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.gojson import ANY, ID, STRING, TIME, list_of, struct
from pyagent.sandbox.http import Route, caller, no_content, org_by_name, path_id, read_struct, reply, state_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.paging import page_of, paging_links
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.resources.labels import labels_of
from pyagent.sandbox.state import State
from pyagent.sandbox.times import rfc3339

_PATH = "/api/v2/variables"
_PROTECTED = (
    "and", "import", "not", "return", "option", "test", "empty", "in", "or", "package", "builtin"
)  # fmt: skip
_VARIABLE = struct(
    "influxdb.Variable",
    id=ID,
    orgID=ID,
    name=STRING,
    description=STRING,
    selected=list_of(STRING),
    arguments=ANY,
    createdAt=TIME,
    updatedAt=TIME,
)
_CHANGE = struct("influxdb.VariableUpdate", name=STRING, selected=list_of(STRING), description=STRING, arguments=ANY)
_ZERO_TIME = -62_135_596_800 * 10**9
"""ns of Go's first moment, which a time that nobody set is."""


def variable_body(state: State, variable: Document) -> Document:
    path = f"{_PATH}/{variable['id']}"
    links = {"self": path, "labels": f"{path}/labels", "org": f"/api/v2/orgs/{variable['orgID']}"}
    return {**variable, "labels": labels_of(state, variable["id"]), "links": links}


def _arguments(body: Document) -> Document | None:
    """`type` and `values` of a variable, the values in the form of their type."""
    given = body.get("arguments")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise invalid(f"json: cannot unmarshal {_json_kind(given)} into Go value of type struct {{ *influxdb.Alias }}")
    kind = given.get("type") or ""
    if not isinstance(kind, str):
        raise invalid(f"json: cannot unmarshal {_json_kind(kind)} into Go struct field .type of type string")
    if kind not in _READ:
        raise invalid(f"unknown VariableArguments type {kind}")
    return {"type": kind, "values": _READ[kind](given.get("values"))}


def _constants(values: Any) -> list[str]:
    if not isinstance(values, list):
        raise invalid(f"error parsing {_go(values)} as VariableConstantArguments")
    for value in values:
        if not isinstance(value, str):
            raise invalid(f"expected variable constant value to be string but received {_go_type(value)}")
    return values


def _map(values: Any) -> dict[str, str]:
    if not isinstance(values, dict):
        raise invalid(f"error parsing {_go(values)} as VariableMapArguments")
    for value in values.values():
        if not isinstance(value, str):
            raise invalid(f"expected variable map value to be string but received {_go_type(value)}")
    return dict(sorted(values.items()))


def _query(values: Any) -> dict[str, str]:
    if not isinstance(values, dict):
        raise invalid(f"error parsing {_go(values)} as VariableQueryArguments")
    for name in ("query", "language"):
        if name not in values:
            raise invalid(f'"{name}" key not present in VariableQueryArguments')
        if not isinstance(values[name], str):
            raise invalid(f'expected "{name}" to be string but received {_go_type(values[name])}')
    return {name: values[name] for name in ("query", "language")}


_READ = {"constant": _constants, "map": _map, "query": _query}


def _json_kind(value: object) -> str:
    known = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    return known.get(type(value), "object")


def _go_type(value: object) -> str:
    known = {bool: "bool", int: "float64", float: "float64", str: "string", list: "[]interface {}"}
    return "%!s(<nil>)" if value is None else known.get(type(value), "map[string]interface {}")


def _go(value: object) -> str:
    """A value as Go prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(_go, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{name}:{_go(value[name])}' for name in sorted(value))}]"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


async def _decode(request: web.Request) -> Document:
    body = await read_struct(request, _VARIABLE, prefix="")
    empty = {"orgID": "", "name": "", "description": "", "selected": None}
    times = {name: rfc3339(body.get(name, _ZERO_TIME)) for name in ("createdAt", "updatedAt")}
    return {**{name: body.get(name, value) for name, value in empty.items()}, "arguments": _arguments(body), **times}


def _check(variable: Document) -> None:
    name = variable["name"]
    if not name:
        raise invalid("missing variable name")
    if not re.match("[a-zA-Z_]", name):
        raise invalid("variable name must start with a letter")
    if variable["arguments"] is None:
        raise invalid("invalid arguments type")
    if name in _PROTECTED:
        raise invalid(f'"{name}" is a protected variable name')


def _same_name(state: State, variable: Document) -> tuple[Document | None, str]:
    """Another variable of this name, whatever its case, and the words for the pair of organisation and name."""
    org, name = variable["orgID"], variable["name"].lower()
    every = state.documents.all("variables")
    return next((one for one in every if (one["orgID"], one["name"].lower()) == (org, name)), None), f"{org}{name}"


def _put(state: State, variable: Document) -> Document:
    same, words = _same_name(state, variable)
    if same and same["id"] != variable["id"]:
        reason = f"variable entity update conflicts with an existing entity for key {words}"
        raise InfluxError("conflict", reason)
    return state.documents.put("variables", variable["id"], variable)


def _variable(request: web.Request, *actions: str) -> Document:
    key = path_id(request)
    found = state_of(request).documents.get("variables", key)
    if found is None:
        raise InfluxError("not found", f'variable not found for key "{key}"')
    for action in ("read", *actions):
        require(caller(request), action, "variables", found["orgID"], key)
    return found


async def find(request: web.Request) -> web.Response:
    state, query, page, filters = state_of(request), request.query, page_of(request), {}
    variables = list(state.documents.all("variables"))
    listed = variables[:: -1 if page.descending else 1][max(0, page.offset) :][: page.limit]
    if given := query.get("orgID"):
        filters["orgID"] = parse_id(given)
    org = filters.get("orgID")
    if name := query.get("org"):
        filters["org"] = name
        try:
            org = org_by_name(request, name)["id"]
        except InfluxError as error:
            raise InfluxError("internal error", f"could not read variables: {error.message}") from None
    if org:
        listed = [one for one in variables if one["orgID"] == org]
    who = caller(request)
    found = [variable_body(state, one) for one in listed if allowed(who, "read", "variables", one["orgID"], one["id"])]
    return reply(request, {"variables": found, "links": paging_links(page, _PATH, filters, len(found))})


async def create(request: web.Request) -> web.Response:
    state, variable = state_of(request), await _decode(request)
    _check(variable)
    if not variable["orgID"]:
        raise invalid("invalid org id for permission: invalid ID")
    require(caller(request), "write", "variables", variable["orgID"])
    same, words = _same_name(state, variable)
    if same:
        raise InfluxError("conflict", f"variable is not unique for key {words}")
    now, key = state.now_text(), new_id()
    made = state.documents.put("variables", key, {"id": key, **variable, "createdAt": now, "updatedAt": now})
    return reply(request, variable_body(state, made), 201)


async def get(request: web.Request) -> web.Response:
    return reply(request, variable_body(state_of(request), _variable(request)))


async def update(request: web.Request) -> web.Response:
    body = await read_struct(request, _CHANGE, prefix="")
    given = {**body, "arguments": _arguments(body)}
    path_id(request)
    changes = {name: value for name, value in given.items() if value is not None and value != ""}
    if not changes:
        raise invalid("no fields supplied in update")
    state, kept = state_of(request), _variable(request, "write")
    if "name" in changes:
        changes["name"] = changes["name"].strip() or kept["name"]
    return reply(request, variable_body(state, _put(state, {**kept, **changes, "updatedAt": state.now_text()})))


async def replace(request: web.Request) -> web.Response:
    state, variable = state_of(request), await _decode(request)
    key = path_id(request)
    _check(variable)
    _variable(request, "write")
    if not variable["orgID"]:
        raise InfluxError("invalid", "bad organization id: invalid ID")
    return reply(request, variable_body(state, _put(state, {"id": key, **variable})))


async def remove(request: web.Request) -> web.Response:
    documents, key = state_of(request).documents, _variable(request, "write")["id"]
    documents.delete("variables", key)
    return no_content()


ROUTES = [
    Route("GET", _PATH, find),
    Route("POST", _PATH, create),
    Route("GET", f"{_PATH}/{{id}}", get),
    Route("PATCH", f"{_PATH}/{{id}}", update),
    Route("PUT", f"{_PATH}/{{id}}", replace),
    Route("DELETE", f"{_PATH}/{{id}}", remove),
]

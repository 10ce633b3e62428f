"""`/api/v2/telegrafs`: the configurations that agents fetch."""

import re
from typing import Any

import tomli
from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, hidden, invalid, not_found
from pyagent.sandbox.gojson import ANY, ID, STRING, list_of, map_of, struct
from pyagent.sandbox.http import Route, caller, no_content, path_id, read_struct, reply, state_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.negotiation import negotiate
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.resources.labels import labels_of
from pyagent.sandbox.state import State
from pyagent.sandbox.wizard import AGENT, INFLUXDB_V2, available, sections

_PLUGIN = struct(
    "influxdb.telegrafPluginDecode", type=STRING, name=STRING, alias=STRING, description=STRING, config=ANY
)
_BODY = struct(
    "influxdb.telegrafConfigDecode",
    id=ID,
    organizationID=ID,
    orgID=ID,
    name=STRING,
    description=STRING,
    config=STRING,
    plugins=list_of(_PLUGIN),
    metadata=map_of(ANY),
)
_OFFERS = ("application/toml", "application/json", "application/octet-stream")


def config_body(state: State, config: Document) -> Document:
    key = config["id"]
    body: dict[str, Any] = {"id": key, "orgID": config["orgID"]}
    body |= {name: config[name] for name in ("name", "description", "config", "metadata") if config[name]}
    path = f"/api/v2/telegrafs/{key}"
    body["labels"] = labels_of(state, key)
    body["links"] = {"self": path, "labels": f"{path}/labels", "members": f"{path}/members", "owners": f"{path}/owners"}
    return body


def _undecodable(cause: str) -> InfluxError:
    # InfluxDB's handlers hide the cause of every body that they cannot decode.
    return hidden(f"the body cannot be decoded: {cause}")


async def _decode(request: web.Request) -> Document:
    """Name, description, config, metadata and orgID of a body, the text generated where the old form `plugins` asks for it.

    Raises:
        InfluxError: the body cannot be read, or names a plugin that has no text.
    """
    try:
        body = await read_struct(request, _BODY, code="internal error", prefix="")
    except InfluxError as error:
        raise error if error.code == "invalid" else _undecodable(error.message) from None
    found: Document = {name: body.get(name, "") for name in ("name", "description", "config")}
    found["orgID"] = body.get("orgID") or body.get("organizationID", "")
    found["metadata"] = _in_order(body.get("metadata", {}))
    if plugins := body.get("plugins"):
        text, buckets = sections(plugins)
        found["config"], found["metadata"] = AGENT + text, {"buckets": buckets}
    elif plugins is not None:
        found["config"], found["metadata"] = AGENT + INFLUXDB_V2, {"buckets": []}
    elif not found["metadata"]:
        found["metadata"] = {"buckets": buckets_of(found["config"])}
    return found


def _in_order(value: Any) -> Any:
    """With the members of objects by their names, as Go writes a map."""
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(item) for item in value] if isinstance(value, list) else value


def buckets_of(config: str) -> list[str]:
    """The buckets that a configuration's influxdb_v2 outputs write to."""
    try:
        outputs = tomli.loads(config).get("outputs", {})
    except tomli.TOMLDecodeError as error:
        # Its own words may quote the text, which may hold tokens.
        place = re.search(r"\((at [a-z0-9, ]+)\)$", str(error))
        raise _undecodable(f"config is not valid TOML{f' {place[1]}' if place else ''}") from None
    written = outputs.get("influxdb_v2", []) if isinstance(outputs, dict) else []
    if not isinstance(written, list):
        raise _undecodable("outputs.influxdb_v2 in config is no list of tables")
    found = [output.get("bucket", "") for output in written if isinstance(output, dict)]
    return [name for name in found if name and isinstance(name, str)]


def _config(request: web.Request, *actions: str) -> Document:
    """What the path names, for those who may read it and do what else they want to."""
    found = state_of(request).documents.get("telegrafs", path_id(request))
    if found is None:
        raise not_found("telegraf configuration")
    for action in ("read", *actions):
        require(caller(request), action, "telegrafs", found["orgID"], found["id"])
    return found


async def find(request: web.Request) -> web.Response:
    state, org = state_of(request), ""
    if given := request.query.get("orgID"):
        try:
            org = parse_id(given)
        except InfluxError as error:
            raise invalid(f"orgID is invalid: {error.message}") from None
    found = [
        config_body(state, config)
        for config in state.documents.all("telegrafs")
        if org in ("", config["orgID"]) and allowed(caller(request), "read", "telegrafs", config["orgID"], config["id"])
    ]
    return reply(request, {"configurations": found})


async def create(request: web.Request) -> web.Response:
    state, config = state_of(request), await _decode(request)
    if not config["orgID"]:
        raise invalid("invalid org id for permission: invalid ID")
    require(caller(request), "write", "telegrafs", config["orgID"])
    key = new_id()
    return reply(request, config_body(state, state.documents.put("telegrafs", key, {"id": key, **config})), 201)


async def get(request: web.Request) -> web.Response:
    config = _config(request)
    kind = negotiate(request.headers.get("Accept"), _OFFERS, _OFFERS[0])
    if kind == "application/json":
        return reply(request, config_body(state_of(request), config))
    response = web.Response(body=config["config"].encode())
    if kind == "application/toml":
        response.headers["Content-Type"] = "application/toml; charset=utf-8"
    else:
        name = config["name"].strip().replace(" ", "_").replace("\r", "").replace("\n", "")
        response.headers["Content-Type"] = kind
        response.headers["Content-Disposition"] = f'attachment; filename="{name}.toml"'
    return response


async def replace(request: web.Request) -> web.Response:
    state, config = state_of(request), await _decode(request)
    kept = _config(request, "write")
    changed = {**config, "id": kept["id"], "orgID": kept["orgID"]}
    state.documents.put("telegrafs", kept["id"], changed)
    return reply(request, config_body(state, changed))


async def remove(request: web.Request) -> web.Response:
    documents, key = state_of(request).documents, _config(request, "write")["id"]
    with documents.together():
        documents.delete("telegrafs", key)
        for member in [member for member in documents.all("members") if member["resource"] == key]:
            documents.delete("members", f"{key}/{member['user']}")
        for mapping in [mapping for mapping in documents.all("labelled") if mapping["resource"] == key]:
            documents.delete("labelled", f"{key}/{mapping['label']}")
    return no_content()


async def plugins(request: web.Request) -> web.Response:
    """The plugins that this server has texts for; InfluxDB's own list is that of an old Telegraf."""
    kind = request.query.get("type", "")
    if kind not in ("", "input", "output", "processor", "aggregator", "bundle"):
        raise _undecodable("outputs.influxdb_v2 in config is no list of tables")
    body: dict[str, Any] = {"version": "1.13.0"}
    if kind:
        body["os"] = "unix" if kind == "bundle" else "linux"
    return reply(request, {**body, "plugins": available(kind)})


ROUTES = [
    Route("GET", "/api/v2/telegraf/plugins", plugins),
    Route("GET", "/api/v2/telegrafs", find),
    Route("POST", "/api/v2/telegrafs", create),
    Route("GET", "/api/v2/telegrafs/{id}", get),
    Route("PUT", "/api/v2/telegrafs/{id}", replace),
    Route("DELETE", "/api/v2/telegrafs/{id}", remove),
]

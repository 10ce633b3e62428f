"""`/api/v2/buckets`."""

from typing import Any

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.http import Route, caller, no_content, org_by_name, path_id, read_json, reply, state_of, text_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.paging import page, paging_links
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.resources.labels import labels_of
from pyagent.sandbox.state import State

HOUR, DAY = 3600, 86400


def may_read(authorization: Document, bucket: Document) -> bool:
    if bucket["type"] == "system":
        return allowed(authorization, "read", "orgs", key=bucket["orgID"])
    return allowed(authorization, "read", "buckets", bucket["orgID"], bucket["id"])


def bucket_body(state: State, bucket: Document) -> Document:
    key, org = bucket["id"], bucket["orgID"]
    body: dict[str, Any] = {"id": key, "orgID": org, "type": bucket["type"]}
    if bucket["description"]:
        body["description"] = bucket["description"]
    body["name"] = bucket["name"]
    if bucket.get("rp"):
        body["rp"] = bucket["rp"]
    body["retentionRules"] = [
        {"type": "expire", "everySeconds": bucket["retention"], "shardGroupDurationSeconds": bucket["shard"]}
    ]
    body |= {"createdAt": bucket["createdAt"], "updatedAt": bucket["updatedAt"]}
    body["links"] = {
        "labels": f"/api/v2/buckets/{key}/labels",
        "members": f"/api/v2/buckets/{key}/members",
        "org": f"/api/v2/orgs/{org}",
        "owners": f"/api/v2/buckets/{key}/owners",
        "self": f"/api/v2/buckets/{key}",
        "write": f"/api/v2/write?org={org}&bucket={key}",
    }
    body["labels"] = labels_of(state, key)
    return body


def shard_duration(retention: int) -> int:
    """The seconds that one shard covers when none are asked for."""
    if retention == 0 or retention >= 180 * DAY:
        return 7 * DAY
    return DAY if retention >= 2 * DAY else HOUR


def check_durations(retention: int, shard: int) -> None:
    if 0 < retention < HOUR:
        raise InfluxError("internal error", "retention policy duration must be at least 1h0m0s")
    if 0 < retention < shard:
        raise InfluxError("internal error", "retention policy duration must be greater than the shard duration")


def add_bucket(
    state: State,
    org: Document,
    name: str,
    retention: int = 0,
    shard: int = 0,
    description: str = "",
    kind: str = "user",
    rp: str = "",
) -> Document:
    """Make a bucket; `retention` and `shard` in seconds, 0: for ever, by the retention.

    Raises:
        InfluxError: the name is not allowed or taken, or the durations do not fit.
    """
    check_name(name, kind)
    if any(bucket["orgID"] == org["id"] and bucket["name"] == name for bucket in state.documents.all("buckets")):
        raise InfluxError("conflict", f"bucket with name {name} already exists")
    shard = max(shard, HOUR) if shard else shard_duration(retention)
    check_durations(retention, shard)
    now, key = state.now_text(), new_id()
    bucket = {
        "id": key, "orgID": org["id"], "type": kind, "description": description, "name": name, "rp": rp, "retention": retention,
        "shard": shard, "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    return state.documents.put("buckets", key, bucket)


def check_name(name: str, kind: str = "user") -> None:
    if not name:
        raise invalid("name is empty")
    if name.startswith("_") and kind != "system":
        raise invalid(f"bucket name {name} is invalid. Buckets may not start with underscore")
    if '"' in name:
        raise invalid(f"bucket name {name} is invalid. Bucket names may not include quotation marks")


async def drop_bucket(state: State, bucket: Document) -> None:
    key = bucket["id"]
    with state.documents.together():
        state.documents.delete("buckets", key)
        for member in [member for member in state.documents.all("members") if member["resource"] == key]:
            state.documents.delete("members", f"{key}/{member['user']}")
    await state.in_writer(lambda: state.points.drop(key))


async def find(request: web.Request) -> web.Response:
    state, who, query = state_of(request), caller(request), request.query
    filters: dict[str, str] = {}
    org_id = name = ""
    if given := query.get("orgID"):
        org_id = filters["orgID"] = parse_id(given)
    if given := query.get("org"):
        filters["org"] = given
        org_id = org_id or org_by_name(request, given)["id"]
    if given := query.get("name"):
        name = filters["bucket"] = given
    if given := query.get("id"):
        key = filters["id"] = parse_id(given)
        bucket = state.documents.get("buckets", key)
        if bucket is None:
            raise not_found("bucket")
        found = [bucket]
    elif name and org_id:
        found = [bucket_named(state, org_id, name)]
    else:
        every = [bucket for bucket in state.documents.all("buckets") if bucket["orgID"] == org_id or not org_id]
        if org_id:
            every.sort(key=lambda bucket: str(bucket["name"]).encode())
        found = page(request, [bucket for bucket in every if bucket["name"] == name or not name])
    bodies = [bucket_body(state, bucket) for bucket in found if may_read(who, bucket)]
    return reply(request, {"links": paging_links(request, "/api/v2/buckets", filters, len(bodies)), "buckets": bodies})


def bucket_named(state: State, org_id: str, name: str) -> Document:
    """The bucket of an organisation.

    Raises:
        InfluxError: there is no such.
    """
    bucket = state.documents.find("buckets", orgID=org_id, name=name)
    if bucket is None:
        raise not_found(f'bucket "{name}"')
    return bucket


def _bucket(request: web.Request, action: str) -> Document:
    bucket = state_of(request).documents.get("buckets", path_id(request))
    if bucket is None:
        raise not_found("bucket")
    who = caller(request)
    if action == "read" and bucket["type"] == "system":
        require(who, "read", "orgs", key=bucket["orgID"])
    else:
        require(who, action, "buckets", bucket["orgID"], bucket["id"])
    return bucket


async def get(request: web.Request) -> web.Response:
    return reply(request, bucket_body(state_of(request), _bucket(request, "read")))


def _rule(body: Document) -> Document:
    rules = body.get("retentionRules") or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise invalid("failed to decode request body: json: cannot unmarshal into field retentionRules")
    if len(rules) > 1:
        raise InfluxError("unprocessable entity", "buckets cannot have more than one retention rule at this time")
    rule = rules[0] if rules else {}
    for name, what in (("everySeconds", "expiration"), ("shardGroupDurationSeconds", "shard-group duration")):
        value = rule.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise invalid(f"failed to decode request body: json: cannot unmarshal into field {name} of type int64")
        if value is not None and value < 0:
            raise InfluxError("unprocessable entity", f"{what} seconds cannot be negative")
    return dict(rule)


async def create(request: web.Request) -> web.Response:
    body = await read_json(request)
    state, given = state_of(request), text_of(body, "orgID")
    if not given:
        raise invalid("organization id must be provided")
    org_id, rule = parse_id(given), _rule(body)
    require(caller(request), "write", "buckets", org_id)
    check_name(text_of(body, "name"))
    org = state.documents.get("orgs", org_id)
    if org is None:
        raise not_found("organization")
    bucket = add_bucket(
        state,
        org,
        text_of(body, "name"),
        rule.get("everySeconds") or 0,
        rule.get("shardGroupDurationSeconds") or 0,
        text_of(body, "description"),
        rp=text_of(body, "rp"),
    )
    user = caller(request)["userID"]
    state.documents.put("members", f"{bucket['id']}/{user}", {"resource": bucket["id"], "user": user, "role": "owner"})
    return reply(request, bucket_body(state, bucket), 201)


async def update(request: web.Request) -> web.Response:
    body = await read_json(request)
    rule = _rule(body)
    state, bucket = state_of(request), _bucket(request, "write")
    changed = dict(bucket, updatedAt=state.now_text())
    if body.get("name") is not None and (name := text_of(body, "name")) != bucket["name"]:
        if bucket["type"] == "system":
            raise invalid("system buckets cannot be renamed")
        check_name(name)
        if state.documents.find("buckets", orgID=bucket["orgID"], name=name):
            raise InfluxError("conflict", "bucket name is not unique")
        changed["name"] = name
    if body.get("description") is not None:
        changed["description"] = text_of(body, "description")
    retention, shard = rule.get("everySeconds"), rule.get("shardGroupDurationSeconds")
    if retention is not None:
        changed["retention"] = retention
        changed["shard"] = shard_duration(retention)
    if shard:
        changed["shard"] = max(shard, HOUR)
    check_durations(changed["retention"], changed["shard"])
    state.documents.put("buckets", bucket["id"], changed)
    return reply(request, bucket_body(state, changed))


async def remove(request: web.Request) -> web.Response:
    bucket = _bucket(request, "write")
    if bucket["type"] == "system":
        raise invalid("system buckets cannot be deleted")
    await drop_bucket(state_of(request), bucket)
    return no_content()


ROUTES = [
    Route("GET", "/api/v2/buckets", find),
    Route("POST", "/api/v2/buckets", create),
    Route("GET", "/api/v2/buckets/{id}", get),
    Route("PATCH", "/api/v2/buckets/{id}", update),
    Route("DELETE", "/api/v2/buckets/{id}", remove),
]

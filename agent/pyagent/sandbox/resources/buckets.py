"""`/api/v2/buckets`."""

from typing import Any

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.gojson import ID, INT64, STRING, list_of, struct
from pyagent.sandbox.http import Route, caller, no_content, org_by_name, path_id, read_struct, reply, state_of
from pyagent.sandbox.ids import new_id, parse_id
from pyagent.sandbox.paging import Page, page_of, paging_links
from pyagent.sandbox.permissions import allowed, require
from pyagent.sandbox.resources.labels import labels_of
from pyagent.sandbox.state import State

HOUR, DAY = 3600, 86400
_LONGEST = (2**63 - 1) // 10**9
"""Seconds that fit into 64 bits of nanoseconds."""

_RULE = {"type": STRING, "everySeconds": INT64, "shardGroupDurationSeconds": INT64}
_NEW = struct(
    "tenant.postBucketRequest",
    orgID=ID,
    name=STRING,
    description=STRING,
    rp=STRING,
    retentionRules=list_of(struct("tenant.retentionRule", **_RULE)),
)
_CHANGE = struct(
    "tenant.bucketUpdate",
    name=STRING,
    description=STRING,
    retentionRules=list_of(struct("tenant.retentionRuleUpdate", **_RULE)),
)


def may_read(authorization: Document, bucket: Document) -> bool:
    if bucket["type"] == "system":
        return allowed(authorization, "read", "orgs", key=bucket["orgID"])
    return allowed(authorization, "read", "buckets", bucket["orgID"], bucket["id"])


def bucket_body(state: State, bucket: Document, *, is_labelled: bool = True) -> Document:
    """A bucket as the API shows it; the answer to a change leaves the labels out."""
    key, org = bucket["id"], bucket["orgID"]
    body: dict[str, Any] = {"id": key, "orgID": org, "type": bucket["type"]}
    if bucket["description"]:
        body["description"] = bucket["description"]
    body["name"] = bucket["name"]
    if bucket.get("rp"):
        body["rp"] = bucket["rp"]
    shard = bucket.get("shownShard", bucket["shard"])
    rule = {"type": "expire", "everySeconds": bucket["retention"], "shardGroupDurationSeconds": shard}
    body["retentionRules"] = [rule] if bucket["retention"] or shard else []
    body |= {"createdAt": bucket["createdAt"], "updatedAt": bucket["updatedAt"]}
    body["links"] = {
        "labels": f"/api/v2/buckets/{key}/labels",
        "members": f"/api/v2/buckets/{key}/members",
        "org": f"/api/v2/orgs/{org}",
        "owners": f"/api/v2/buckets/{key}/owners",
        "self": f"/api/v2/buckets/{key}",
        "write": f"/api/v2/write?org={org}&bucket={key}",
    }
    body["labels"] = labels_of(state, key) if is_labelled else []
    return body


def shard_duration(retention: int) -> int:
    """The seconds that one shard covers when none are asked for."""
    if retention == 0 or retention >= 180 * DAY:
        return 7 * DAY
    return DAY if retention >= 2 * DAY else HOUR


def check_durations(retention: int, shard: int) -> None:
    check_retention(retention)
    if 0 < retention < shard:
        raise InfluxError("internal error", "retention policy duration must be greater than the shard duration")


def check_retention(retention: int) -> None:
    if 0 < retention < HOUR or retention > _LONGEST:
        raise InfluxError("internal error", "retention policy duration must be at least 1h0m0s")


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
    if _is_taken(state, org["id"], name):
        raise InfluxError("conflict", f"bucket with name {name} already exists")
    shard = max(shard, HOUR) if shard else shard_duration(retention)
    check_durations(retention, shard)
    now, key = state.now_text(), new_id()
    bucket = {
        "id": key, "orgID": org["id"], "type": kind, "description": description, "name": name, "rp": rp, "retention": retention,
        "shard": shard, "createdAt": now, "updatedAt": now,
    }  # fmt: skip
    return state.documents.put("buckets", key, bucket)


def _is_taken(state: State, org: str, name: str) -> bool:
    return state.documents.find("buckets", orgID=org, name=name) is not None


def check_name(name: str, kind: str = "user") -> None:
    """Raises InfluxError for a name that a bucket may not have; it may have none."""
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
    page, filters = page_of(request), {}
    org = name = ""
    if given := query.get("orgID"):
        org = filters["orgID"] = parse_id(given)
    if given := query.get("name"):
        name = filters["bucket"] = given
    if given := query.get("id"):
        filters["id"] = parse_id(given)
    if given := query.get("org"):
        filters["org"] = given
    if key := filters.get("id"):
        bucket = state.documents.get("buckets", key)
        if bucket is None:
            raise not_found("bucket")
        found = [bucket]
    else:
        org = org or (org_by_name(request, filters["org"])["id"] if "org" in filters else "")
        if name and org:
            found = [bucket_named(state, org, name)]
        else:
            found = _of_org(state, org, page) if org else _of_all(state, name, page)
    bodies = [bucket_body(state, bucket) for bucket in found if may_read(who, bucket)]
    return reply(request, {"links": paging_links(page, "/api/v2/buckets", filters, len(bodies)), "buckets": bodies})


def _of_all(state: State, name: str, page: Page) -> list[Document]:
    """By id; what the offset passes over counts before the name does."""
    every = list(state.documents.all("buckets"))
    if page.descending:
        every.reverse()
    if page.after:
        last = f"{int(page.after, 16) + 1:016x}"
        every = [one for one in every if (one["id"] <= last if page.descending else one["id"] >= last)]
    return [one for one in every[max(0, page.offset) :] if name in ("", one["name"])][: page.limit]


def _of_org(state: State, org: str, page: Page) -> list[Document]:
    """By name; `after` is where its bucket is passed."""
    every = [one for one in state.documents.all("buckets") if one["orgID"] == org]
    every.sort(key=lambda one: str(one["name"]).encode(), reverse=page.descending)
    found = every[max(0, page.offset) :]
    if page.after:
        place = next((place for place, one in enumerate(found) if one["id"] == page.after), len(found))
        found = found[place + 1 :]
    return found[: page.limit]


def bucket_named(state: State, org_id: str, name: str) -> Document:
    """The bucket of an organisation.

    Raises:
        InfluxError: there is no such.
    """
    bucket = state.documents.find("buckets", orgID=org_id, name=name)
    if bucket is None:
        raise not_found(f'bucket "{name}"')
    return bucket


def _bucket(request: web.Request, key: str, action: str) -> Document:
    bucket = state_of(request).documents.get("buckets", key)
    if bucket is None:
        raise not_found("bucket")
    who = caller(request)
    if action == "read" and bucket["type"] == "system":
        require(who, "read", "orgs", key=bucket["orgID"])
    else:
        require(who, action, "buckets", bucket["orgID"], bucket["id"])
    return bucket


async def get(request: web.Request) -> web.Response:
    return reply(request, bucket_body(state_of(request), _bucket(request, path_id(request), "read")))


def _rule(body: Document) -> dict[str, int]:
    rules = body.get("retentionRules") or []
    if len(rules) > 1:
        raise InfluxError("unprocessable entity", "buckets cannot have more than one retention rule at this time")
    rule = rules[0] if rules else {}
    for name, what in (("everySeconds", "expiration"), ("shardGroupDurationSeconds", "shard-group duration")):
        if rule.get(name, 0) < 0:
            raise InfluxError("unprocessable entity", f"{what} seconds cannot be negative")
    return dict(rule)


async def create(request: web.Request) -> web.Response:
    body = await read_struct(request, _NEW)
    if not (org_id := body.get("orgID")):
        raise invalid("organization id must be provided")
    state, rule, name = state_of(request), _rule(body), body.get("name", "")
    require(caller(request), "write", "buckets", org_id)
    check_name(name)
    org = state.documents.get("orgs", org_id)
    if org is None:
        raise not_found("organization")
    every, shard = rule.get("everySeconds", 0), rule.get("shardGroupDurationSeconds", 0)
    bucket = add_bucket(state, org, name, every, shard, body.get("description", ""), rp=body.get("rp", ""))
    return reply(request, bucket_body(state, bucket), 201)


async def update(request: web.Request) -> web.Response:
    key = path_id(request)
    body = await read_struct(request, _CHANGE)
    rule = _rule(body)
    if "name" in body:
        _bucket(request, key, "read")
    state, bucket = state_of(request), _bucket(request, key, "write")
    changed = dict(bucket, updatedAt=state.now_text(), **_durations(bucket, rule))
    name = str(body.get("name", bucket["name"]))
    if name != bucket["name"]:
        if bucket["type"] == "system":
            raise invalid("system buckets cannot be renamed")
        check_name(name)
        if _is_taken(state, bucket["orgID"], name):
            raise InfluxError("conflict", "bucket name is not unique")
        changed["name"] = name
    changed["description"] = body.get("description", bucket["description"])
    state.documents.put("buckets", bucket["id"], changed)
    return reply(request, bucket_body(state, changed, is_labelled=False))


def _durations(bucket: Document, rule: dict[str, int]) -> dict[str, int]:
    """What a rule changes; a shard's duration is shown as it was asked for.

    Raises:
        InfluxError: the durations do not fit.
    """
    retention, shard = rule.get("everySeconds"), rule.get("shardGroupDurationSeconds")
    check_retention(retention or 0)
    lasting = bucket["retention"] if retention is None else retention
    if (retention, shard) != (None, None) and 0 < lasting < (bucket["shard"] if shard is None else shard):
        words = "shard-group duration must also be updated to be smaller than new retention duration"
        raise InfluxError("unprocessable entity", words)
    changed = {"retention": lasting}
    if shard is not None:
        changed |= {"shard": max(shard, HOUR) if shard else shard_duration(lasting), "shownShard": shard}
    return changed


async def remove(request: web.Request) -> web.Response:
    bucket = _bucket(request, path_id(request), "write")
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

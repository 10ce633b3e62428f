"""`/api/v2/dbrps`: which bucket a database and retention policy of InfluxDB 1 are, by the buckets' names."""

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.http import Route, caller, org_by_name, path_id, reply, state_of
from pyagent.sandbox.ids import parse_id
from pyagent.sandbox.paging import BOOLEANS
from pyagent.sandbox.permissions import allowed, require


def mapping_of(bucket: Document) -> Document:
    """The mapping of a bucket `db/rp`, or `db`, which is its `autogen` and its only default."""
    database, slash, policy = bucket["name"].partition("/")
    return {
        "id": bucket["id"],
        "database": database,
        "retention_policy": policy if slash else "autogen",
        "default": not slash,
        "virtual": True,
        "orgID": bucket["orgID"],
        "bucketID": bucket["id"],
    }


def _id(request: web.Request, name: str, what: str) -> str:
    """An id of the query; empty: there is none."""
    given = request.query.get(name, "")
    try:
        return parse_id(given) if given else ""
    except InfluxError as error:
        raise invalid(f'invalid {what} ID "{given}": {error.message}') from None


def _org(request: web.Request) -> str:
    if key := _id(request, "orgID", "org"):
        return key
    if not (name := request.query.get("org")):
        raise invalid("either 'org' or 'orgID' must be provided")
    try:
        return str(org_by_name(request, name)["id"])
    except InfluxError:
        raise InfluxError("not found", f'invalid org "{name}": org not found') from None


async def find(request: web.Request) -> web.Response:
    query, wanted = request.query, {"orgID": _org(request)}
    wanted |= {"id": _id(request, "id", "dbrp"), "bucketID": _id(request, "bucketID", "bucket")}
    wanted |= {"database": query.get("db", ""), "retention_policy": query.get("rp", "")}
    default = query.get("default", "")
    if default and default not in BOOLEANS:
        raise invalid("invalid default parameter")
    found = []
    for bucket in sorted(state_of(request).documents.all("buckets"), key=lambda one: str(one["name"]).encode()):
        mapping = mapping_of(bucket)
        if default and mapping["default"] != BOOLEANS[default]:
            continue
        if all(value in ("", mapping[name]) for name, value in wanted.items()) and allowed(
            caller(request), "read", "buckets", bucket["orgID"], bucket["id"]
        ):
            found.append(mapping)
    return reply(request, {"content": found})


async def get(request: web.Request) -> web.Response:
    key, org = path_id(request), _org(request)
    bucket = state_of(request).documents.get("buckets", key)
    if bucket is None:
        raise InfluxError("not found", "unable to find DBRP")
    require(caller(request), "read", "buckets", org, key)
    return reply(request, {"content": mapping_of(bucket)})


ROUTES = [Route("GET", "/api/v2/dbrps", find), Route("GET", "/api/v2/dbrps/{id}", get)]

"""`/write` and `/query` of InfluxDB 1, with its credentials and database names."""

import base64
import binascii

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.http import Route, caller, state_of
from pyagent.sandbox.permissions import allowed, is_inactive
from pyagent.sandbox.resources.authorizations import user_of_v1
from pyagent.sandbox.resources.buckets import may_read
from pyagent.sandbox.resources.dbrps import mapping_of
from pyagent.sandbox.resources.write import raw_body, store


def authenticate(request: web.Request) -> Document:
    """The authorization of `u` and `p`, of Basic, or of the word Token; the password is that of `influx v1 auth`, or a token.

    Raises:
        InfluxError: there are no credentials, or they are no active token of an active user.
    """
    credentials = _credentials(request)
    if credentials is None:
        raise InfluxError("unauthorized", "unauthorized access")
    name, secret = credentials
    state = state_of(request)
    found = (user_of_v1(state, name, secret) if name is not None else None) or state.authorization(secret)
    user = state.documents.get("users", found["userID"]) if found else None
    if found is None or is_inactive(found) or user is None or user["status"] == "inactive":
        raise InfluxError("unauthorized", "Unauthorized")
    return found


def _credentials(request: web.Request) -> tuple[str | None, str] | None:
    """(name, password or token); no name where what is given can only be a token."""
    if (name := request.query.get("u")) and (secret := request.query.get("p")):
        return name, secret
    scheme, *given = request.headers.get("Authorization", "").split(" ")
    if scheme == "Token" and len(given) == 1:
        user, colon, secret = given[0].partition(":")
        return None, secret if colon else user
    if scheme.lower() == "basic" and given:
        try:
            named = base64.b64decode(" ".join(given), validate=True).decode("utf-8", "surrogateescape")
        except binascii.Error:
            return None
        name, colon, secret = named.partition(":")
        return (name, secret) if colon else None
    return None


async def write(request: web.Request) -> web.Response:
    who, query = caller(request), request.query
    if not (database := query.get("db")):
        raise invalid("missing db")
    body = await raw_body(request)
    bucket = _mapped(request, who, database, query.get("rp") or "")
    if bucket is None:
        raise InfluxError("not found", "no dbrp mapping found")
    return await store(state_of(request), who, bucket, body, query.get("precision") or "ns")


def _mapped(request: web.Request, who: Document, database: str, policy: str) -> Document | None:
    """The bucket of a database and retention policy, or the database's default, that the caller may read or write."""
    for bucket in state_of(request).documents.all("buckets"):
        mapping = mapping_of(bucket)
        if bucket["orgID"] != who["orgID"] or mapping["database"] != database:
            continue
        if not (mapping["retention_policy"] == policy if policy else mapping["default"]):
            continue
        if may_read(who, bucket) or allowed(who, "write", "buckets", bucket["orgID"], bucket["id"]):
            return bucket
    return None


async def query(request: web.Request) -> web.Response:
    raise InfluxError("not implemented", "InfluxQL is not supported by this server; send Flux to /api/v2/query")


ROUTES = [Route("POST", "/write", write), Route("*", "/query", query)]

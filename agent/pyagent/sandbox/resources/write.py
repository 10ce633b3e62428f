"""`/api/v2/write`, and `/write` of InfluxDB 1 with its database names."""

import base64
import binascii
import sqlite3
from typing import NamedTuple

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.http import Route, caller, find_org, no_content, state_of
from pyagent.sandbox.ids import looks_like_id
from pyagent.sandbox.inflate import check_header, inflate
from pyagent.sandbox.permissions import INACTIVE, allowed, check_password, is_inactive
from pyagent.sandbox.points import PRECISIONS, ParseError, ValueUnreadable, parse
from pyagent.sandbox.resources.buckets import bucket_named
from pyagent.sandbox.state import State
from pyagent.sandbox.store import PartialWrite


async def write(request: web.Request) -> web.Response:
    query = request.query
    precision = query.get("precision") or "ns"
    if precision not in PRECISIONS:
        raise invalid("invalid precision; valid precision units are ns, us, ms, and s")
    name = query.get("bucket")
    if not name:
        raise not_found("bucket")
    body = await _raw(request)
    state, org = state_of(request), find_org(request)
    bucket = None
    if looks_like_id(name):
        bucket = state.documents.get("buckets", name.lower())
    if bucket is None:
        bucket = bucket_named(state, org["id"], name)
    return await _store(state, caller(request), bucket, body, precision)


class _Body(NamedTuple):
    raw: bytes
    is_gzip: bool


async def _raw(request: web.Request) -> _Body:
    """The body as sent; of a compressed one the header is looked at here, and the rest when it is known who may write where."""
    body = _Body(await request.read(), request.headers.get("Content-Encoding") in ("gzip", "x-gzip"))
    if body.is_gzip:
        check_header(body.raw)
    return body


async def _store(state: State, who: Document, bucket: Document, body: _Body, precision: str) -> web.Response:
    if not allowed(who, "write", "buckets", bucket["orgID"], bucket["id"]):
        raise InfluxError(
            "forbidden", "insufficient permissions for write" + (f": {INACTIVE}" if is_inactive(who) else "")
        )
    await store_lines(state, bucket, body.raw, precision, is_gzip=body.is_gzip)
    return no_content()


async def store_lines(state: State, bucket: Document, body: bytes, precision: str, *, is_gzip: bool = False) -> None:
    """Parse line protocol and store it in a bucket.

    Raises:
        InfluxError: a line is refused, and nothing is stored, or some points are, and the others are stored.
    """
    now = state.clock()

    def work() -> None:
        points = parse(inflate(body) if is_gzip else body, now, precision)
        if points:
            state.points.write(bucket["id"], points, bucket["retention"] * 10**9, bucket["shard"] * 10**9, now)

    try:
        await state.in_writer(work)
    except ParseError as error:
        raise invalid(str(error)) from None
    except PartialWrite as error:
        raise InfluxError("unprocessable entity", f"failure writing points to database: {error}") from None
    except (sqlite3.Error, ValueUnreadable) as error:
        raise InfluxError("internal error", f"unexpected error writing points to database: {error}") from None


async def write_v1(request: web.Request) -> web.Response:
    state, query = state_of(request), request.query
    who = _authenticate_v1(request)
    precision = query.get("precision") or "ns"
    database, policy = query.get("db"), query.get("rp")
    if not database:
        raise invalid("missing db")
    body = await _raw(request)
    bucket = _mapped(state, who["orgID"], database, policy)
    if bucket is None:
        raise InfluxError("not found", "no dbrp mapping found")
    return await _store(state, who, bucket, body, precision)


def _mapped(state: State, org: str, database: str, policy: str | None) -> Document | None:
    """The bucket of a database and retention policy: `db/rp`, or `db`, which is `db/autogen` and the default."""
    documents = state.documents
    if policy and (found := documents.find("buckets", orgID=org, name=f"{database}/{policy}")):
        return found
    if policy in (None, "", "autogen") and (found := documents.find("buckets", orgID=org, name=database)):
        return found
    if not policy:
        return next(
            (one for one in documents.all("buckets") if one["orgID"] == org and one["name"].startswith(f"{database}/")),
            None,
        )
    return None


def _authenticate_v1(request: web.Request) -> Document:
    """By `u` and `p`, Basic, or the word Token; a password may be a token."""
    state = state_of(request)
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    user, secret = request.query.get("u", ""), request.query.get("p", "")
    if scheme == "Token":
        user, colon, secret = given.partition(":")
        if not colon:
            user, secret = "", given
    elif scheme.lower() == "basic":
        try:
            user, _, secret = base64.b64decode(given, validate=True).decode("utf-8", "surrogateescape").partition(":")
        except binascii.Error:
            raise InfluxError("unauthorized", "unauthorized access") from None
    found = state.authorization(secret) if secret else None
    if found is None and (known := state.documents.find("users", name=user)) and known.get("password"):
        own = state.documents.find("authorizations", userID=known["id"], status="active")
        if own and check_password(secret, known["password"]):
            found = own
    if found is None:
        raise InfluxError("unauthorized", "unauthorized access")
    return found


ROUTES = [Route("POST", "/api/v2/write", write), Route("POST", "/write", write_v1)]

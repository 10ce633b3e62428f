"""`/api/v2/write`."""

import sqlite3
from typing import NamedTuple

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.http import Route, caller, find_org, no_content, state_of
from pyagent.sandbox.ids import looks_like_id
from pyagent.sandbox.inflate import check_header, inflate
from pyagent.sandbox.permissions import INACTIVE, allowed, is_inactive
from pyagent.sandbox.points import PRECISIONS, UnparsableBody, ValueUnreadable, parse
from pyagent.sandbox.resources.buckets import bucket_named
from pyagent.sandbox.runs import parse_runs
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
    body = await raw_body(request)
    state, org = state_of(request), find_org(request)
    bucket = None
    if looks_like_id(name):
        bucket = state.documents.get("buckets", name.lower())
    if bucket is None:
        bucket = bucket_named(state, org["id"], name)
    return await store(state, caller(request), bucket, body, precision)


class Body(NamedTuple):
    raw: bytes
    is_gzip: bool


async def raw_body(request: web.Request) -> Body:
    """The body as sent; of a compressed one the header is looked at here, and the rest when it is known who may write where."""
    body = Body(await request.read(), request.headers.get("Content-Encoding") in ("gzip", "x-gzip"))
    if body.is_gzip:
        check_header(body.raw)
    return body


async def store(state: State, who: Document, bucket: Document, body: Body, precision: str) -> web.Response:
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
        text = inflate(body) if is_gzip else body
        limits = bucket["retention"] * 10**9, bucket["shard"] * 10**9, now
        runs = parse_runs(text, now, precision)
        if runs is not None and state.points.write_runs(bucket["id"], runs, *limits):
            return
        points = parse(text, now, precision)
        if points:
            state.points.write(bucket["id"], points, *limits)

    try:
        await state.in_writer(work)
    except UnparsableBody as error:
        raise invalid(str(error)) from None
    except PartialWrite as error:
        raise InfluxError("unprocessable entity", f"failure writing points to database: {error}") from None
    except (sqlite3.Error, ValueUnreadable) as error:
        raise InfluxError("internal error", f"unexpected error writing points to database: {error}") from None


ROUTES = [Route("POST", "/api/v2/write", write)]

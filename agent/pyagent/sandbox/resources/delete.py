"""`/api/v2/delete`: the points of a time range, of the series that a predicate chooses."""

from typing import Final

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid, not_found
from pyagent.sandbox.gojson import STRING, GoJSONError, decode, struct
from pyagent.sandbox.gotime import parse_go_time
from pyagent.sandbox.http import Route, caller, find_org, id_or_none, no_content, state_of
from pyagent.sandbox.ids import parse_id
from pyagent.sandbox.permissions import INACTIVE, allowed, is_inactive
from pyagent.sandbox.points import MAX_TIME, MIN_TIME
from pyagent.sandbox.resources.buckets import bucket_named
from pyagent.sandbox.resources.predicate import Rule, check_expression, parse_predicate
from pyagent.sandbox.series import Series
from pyagent.sandbox.times import rfc3339

_REQUEST: Final = struct("http.deleteRequestDecode", start=STRING, stop=STRING, predicate=STRING)


def _time(body: Document, name: str) -> int:
    try:
        time = parse_go_time(body.get(name, ""))
    except ValueError:
        raise invalid(
            f"invalid RFC3339Nano for field {name}, please format your time with RFC3339Nano format, "
            f"example: {'2009-01-02T23:00:00Z' if name == 'start' else '2009-01-01T23:00:00Z'}"
        ) from None
    if time < MIN_TIME or time > MAX_TIME:
        side, bound = ("before", MIN_TIME) if name == "start" else ("after", MAX_TIME)
        raise invalid(f"invalid {name} time, {name} time must not be {side} {rfc3339(bound)}")
    return time


def _decode(raw: bytes) -> tuple[int, int, list[Rule]]:
    """Start, stop and the rules.

    Raises:
        InfluxError: the body is no such request.
    """
    try:
        body = decode(raw, _REQUEST) or {}
        asked = _time(body, "start"), _time(body, "stop"), parse_predicate(body.get("predicate", ""))
    except GoJSONError as error:
        inner = "Invalid delete predicate node request: " if error.is_json else ""
        raise invalid(f"error decoding json body: {inner}{error.message}") from None
    except InfluxError as error:
        raise invalid(f"error decoding json body: {error.message}") from None
    try:
        decode(raw, _REQUEST, whole=True)
    except GoJSONError as error:
        raise invalid(f"error decoding json body for predicate: {error.message}") from None
    check_expression(body.get("predicate", ""), asked[2])
    return asked


async def delete(request: web.Request) -> web.Response:
    start, stop, rules = _decode(await request.read())
    state, org, query = state_of(request), find_org(request), request.query
    name = query.get("bucket", "")
    wanted = parse_id(query["bucketID"]) if query.get("bucketID") else id_or_none(name)
    if wanted:
        bucket = state.documents.get("buckets", wanted)
        if bucket is None:
            raise not_found("bucket")
    elif name:
        bucket = bucket_named(state, org["id"], name)
    else:
        raise invalid("Please provide either bucketID or bucket")
    key = bucket["id"]
    who = caller(request)
    if not allowed(who, "write", "buckets", bucket["orgID"], key):
        raise InfluxError(
            "forbidden", "insufficient permissions to delete" + (f": {INACTIVE}" if is_inactive(who) else "")
        )
    await state.in_writer(lambda: state.points.delete(key, start, stop, lambda series: not _matches(series, rules)))
    return no_content()


def _matches(series: Series, rules: list[Rule]) -> bool:
    tags = dict(series.tags)
    for rule in rules:
        name = rule.key.encode()
        value = series.measurement if rule.key == "_measurement" else tags.get(name, b"")
        if (value == rule.value.encode()) != rule.equal:
            return False
    return True


ROUTES = [Route("POST", "/api/v2/delete", delete)]

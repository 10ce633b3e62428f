"""`/api/v2/query`: Flux."""

import gzip
from typing import Any

from aiohttp import web

from pyagent.sandbox import annotated
from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.extern import statements_of
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.syntax import Node, parse
from pyagent.sandbox.flux.tables import Table
from pyagent.sandbox.flux.values import parse_time
from pyagent.sandbox.http import Route, caller, decode_json, find_org, json_response, state_of, to_json
from pyagent.sandbox.ids import looks_like_id
from pyagent.sandbox.permissions import allowed
from pyagent.sandbox.points import Point
from pyagent.sandbox.resources.buckets import may_read
from pyagent.sandbox.state import State
from pyagent.sandbox.store import PartialWrite

Results = list[tuple[str, list[Table]]]

_COMPRESS_FROM = 1400


class _Request:
    """What the body asks for."""

    def __init__(self, script: str, now: int, dialect: Document, extern: list[Node]) -> None:
        self.script = script
        self.now = now
        self.annotations: list[str] = dialect.get("annotations") or []
        self.delimiter: str = dialect.get("delimiter") or ","
        self.header = dialect.get("header") is not False
        self.extern = extern


async def query(request: web.Request) -> web.StreamResponse:
    try:
        asked = await _decode(request)
        org = find_org(request)
    except InfluxError as error:
        raise invalid(f"failed to decode request body: {error.message}") from None
    state = state_of(request)
    failure = ""
    try:
        results = await run_script(state, caller(request), org, asked.script, asked.now, asked.extern)
    except InfluxError as error:
        if not error.partial:
            raise
        results, failure = error.partial, annotated.error_block(error.message)
    prefer = request.headers.get("Prefer", "")
    if prefer.startswith("return-no-content"):
        return web.Response(status=204)
    text = await state.in_reader(
        lambda: ("".join(annotated.encode(results, asked.annotations, asked.delimiter, asked.header)) + failure).encode(
            "utf-8", "surrogateescape"
        )
    )
    response = web.Response(body=text)
    response.headers["Content-Type"] = "text/csv; charset=utf-8"
    if len(text) > _COMPRESS_FROM and "gzip" in request.headers.get("Accept-Encoding", ""):
        response = web.Response(body=await state.in_reader(lambda: gzip.compress(text, 1, mtime=0)))
        response.headers.update({"Content-Type": "text/csv; charset=utf-8", "Content-Encoding": "gzip"})
    return response


async def _decode(request: web.Request) -> _Request:
    raw = await request.read()
    now = state_of(request).clock()
    if request.content_type == "application/vnd.flux":
        script = raw.decode("utf-8", "surrogateescape")
        if not script:
            raise invalid("request body requires either query or AST")
        return _Request(script, now, {}, [])
    try:
        body = decode_json(raw)
    except ValueError as error:
        hint = "if sending a raw Flux script, set 'Content-Type: application/vnd.flux' in your request headers"
        raise invalid(f"failed parsing request body as JSON; {hint}: {error}") from None
    if not isinstance(body, dict):
        raise invalid("failed parsing request body as JSON: an object is expected")
    script, dialect = body.get("query") or "", body.get("dialect") or {}
    if not isinstance(script, str) or not isinstance(dialect, dict):
        raise invalid("failed parsing request body as JSON: query must be a string and dialect an object")
    if not script:
        raise invalid(
            "request body requires either query or AST"
            if not body.get("ast")
            else "AST is not supported by this server; send query"
        )
    if (kind := body.get("type") or "flux") != "flux":
        raise invalid(f"unknown query type: {kind}")
    _check_dialect(dialect)
    if isinstance(body.get("now"), str):
        now = parse_time(body["now"])
    return _Request(script, now, dialect, statements_of(body.get("extern")))


def _check_dialect(dialect: Document) -> None:
    if len(str(dialect.get("commentPrefix") or "")) > 1:
        raise invalid("invalid dialect comment prefix: must be length 0 or 1")
    if len(str(dialect.get("delimiter") or ",")) != 1:
        raise invalid("invalid dialect delimeter: must be length 1")
    for annotation in dialect.get("annotations") or []:
        if annotation not in annotated.ANNOTATIONS:
            raise invalid(f"unknown dialect annotation type: {annotation}")
    if (form := dialect.get("dateTimeFormat") or "RFC3339") not in ("RFC3339", "RFC3339Nano"):
        raise invalid(f"unknown dialect date time format: {form}")


async def run_script(state: State, who: Document, org: Document, script: str, now: int, extern: list[Node]) -> Results:
    """Run a script for an authorization.

    Raises:
        InfluxError: it cannot be understood or run, or asks for what the authorization may not read.
    """

    def named(name: str, key: str) -> Document | None:
        if key:
            return state.documents.get("buckets", key.lower())
        found = state.documents.find("buckets", orgID=org["id"], name=name)
        return found or (state.documents.get("buckets", name.lower()) if looks_like_id(name) else None)

    def readable(name: str, key: str) -> Document:
        bucket = named(name, key)
        if bucket is None or not may_read(who, bucket):
            what = f'bucket "{name}"' if name else f'bucket with id "{key}"'
            raise InfluxError("not found", f"failed to initialize execute state: could not find {what}")
        return bucket

    def store(name: str, key: str, points: list[Point]) -> None:
        bucket = named(name, key)
        if bucket is None or not allowed(who, "write", "buckets", bucket["orgID"], bucket["id"]):
            raise InfluxError("not found", f'failed to initialize execute state: could not find bucket "{name or key}"')
        durations = bucket["retention"] * 10**9, bucket["shard"] * 10**9
        try:
            state.write_from_thread(lambda: state.points.write(bucket["id"], points, *durations, now))
        except PartialWrite as error:
            raise InfluxError("unprocessable entity", f"failure writing points to database: {error}") from None

    def visible() -> list[Document]:
        found = [
            bucket
            for bucket in state.documents.all("buckets")
            if bucket["orgID"] == org["id"] and may_read(who, bucket)
        ]
        if not found:
            raise InfluxError("not found", f"no buckets found in organization {org['id']}", final=True)
        return sorted(found, key=lambda bucket: str(bucket["name"]).encode())

    def work() -> Results:
        context = Context(Reader(state.points, readable), now, visible, store)
        db = state.points.reader()
        db.execute("BEGIN")  # one view of the points for the whole script
        try:
            return execute(script, context, extern)
        finally:
            db.execute("COMMIT")

    return await state.in_reader(work)


async def analyze(request: web.Request) -> web.Response:
    """Whether a script can be parsed."""
    errors: list[Any] = []
    try:
        body = decode_json(await request.read())
        parse(str(body.get("query", "")) if isinstance(body, dict) else "")
    except ValueError:
        raise invalid("invalid json") from None
    except InfluxError as error:
        errors.append({"line": 1, "column": 1, "character": 0, "message": error.message})
    return json_response(to_json({"errors": errors}) + "\n", 200)


ROUTES = [Route("POST", "/api/v2/query", query), Route("POST", "/api/v2/query/analyze", analyze)]

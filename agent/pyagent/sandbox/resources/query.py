"""`/api/v2/query`: Flux."""

import gzip
import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from aiohttp import web

from pyagent.sandbox import annotated, mediatype
from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, hidden, invalid
from pyagent.sandbox.flux.extern import statements_of
from pyagent.sandbox.flux.library import Context
from pyagent.sandbox.flux.script import execute
from pyagent.sandbox.flux.source import Reader
from pyagent.sandbox.flux.syntax import Node, parse
from pyagent.sandbox.flux.tables import Table
from pyagent.sandbox.gojson import ANY, BOOL, STRING, TIME, GoJSONError, list_of, member_length, struct
from pyagent.sandbox.http import Route, caller, decoded, find_org, json_response, read_struct, state_of, to_json
from pyagent.sandbox.ids import looks_like_id
from pyagent.sandbox.limits import check, take
from pyagent.sandbox.permissions import allowed
from pyagent.sandbox.points import Point
from pyagent.sandbox.resources.buckets import may_read
from pyagent.sandbox.state import State
from pyagent.sandbox.store import PartialWrite

Results = list[tuple[str, list[Table]]]
T = TypeVar("T")

_COMPRESS_FROM = 1400
_WRITE_BATCH = 5000
"""Points that a script stores in one go: others write in between."""


_DIALECT = struct(
    "http.QueryDialect",
    header=BOOL,
    delimiter=STRING,
    commentPrefix=STRING,
    dateTimeFormat=STRING,
    annotations=list_of(STRING),
)
_REQUEST = struct("http.QueryRequest", type=STRING, query=STRING, extern=ANY, ast=ANY, dialect=_DIALECT, now=TIME)
_EXTERN_AT = len('{"type":"Package","package":"main","files":[')
"""Where the text of `extern` stands in what InfluxDB's compiler reads."""


class _Request:
    """What the body asks for."""

    def __init__(self, script: str, now: int, dialect: Document, raw: bytes, extern: Any) -> None:
        self.script = script
        self.now = now
        self.annotations: list[str] = dialect.get("annotations") or []
        self.delimiter: str = dialect.get("delimiter") or ","
        self.header = dialect.get("header") is not False
        self._raw = raw
        self._extern = extern

    def statements(self) -> list[Node]:
        """Those of `extern`, which come before the script.

        Raises:
            InfluxError: it is no file of a syntax tree.
        """
        extern, why = self._extern, ""
        if isinstance(extern, dict):
            why = next((f"missing field `{name}`" for name in ("imports", "body") if name not in extern), "")
        elif extern is not None:
            why = f"invalid type: {_rust_kind(extern)}, expected struct File"
        if why:
            column = _EXTERN_AT + (0 if isinstance(extern, list) else member_length(self._raw, "extern"))
            raise invalid(f"compilation failed: extern json parse error: {why} at line 1 column {column}")
        return statements_of(extern)


def _rust_kind(value: object) -> str:
    """A JSON value that is no object, as InfluxDB's compiler names it."""
    if isinstance(value, bool):
        return f"boolean `{str(value).lower()}`"
    if isinstance(value, str):
        return f'string "{value}"'
    return (
        "sequence"
        if isinstance(value, list)
        else f"{'integer' if isinstance(value, int) else 'floating point'} `{value}`"
    )


async def query(request: web.Request) -> web.StreamResponse:
    try:
        asked = await _decode(request)
        org = find_org(request)
    except InfluxError as error:
        raise invalid(f"failed to decode request body: {error.message}") from None
    prefer = request.headers.get("Prefer", "")
    with_data = not prefer.startswith("return-no-content")
    takes_gzip = "gzip" in request.headers.get("Accept-Encoding", "")
    run = script_run(state_of(request), caller(request), org, asked.script, asked.now, asked.statements)

    def answer() -> tuple[bytes, bool]:
        text = _encoded(run, asked, with_data=with_data)
        if takes_gzip and len(text) > _COMPRESS_FROM:
            return gzip.compress(text, 1, mtime=0), True
        return text, False

    def is_wanted() -> bool:
        return request.transport is not None and not request.transport.is_closing()

    try:
        body, is_gzip = await in_turn(state_of(request), answer, is_wanted)
    except InfluxError:
        if prefer == "return-no-content":  # its 204 is sent before the script runs
            return web.Response(status=204)
        raise
    if prefer == "return-no-content":
        return web.Response(status=204)
    response = web.Response(body=body)
    response.headers["Content-Type"] = "text/csv; charset=utf-8"
    if is_gzip:
        response.headers["Content-Encoding"] = "gzip"
    return response


def _encoded(run: Callable[[], Results], asked: _Request, *, with_data: bool) -> bytes:
    """The results, and behind them what ended the script early; not `with_data`: only that.

    Raises:
        InfluxError: the script ended before its first table.
    """
    failure = ""
    try:
        results = run()
    except InfluxError as error:
        if not error.partial:
            raise
        results, failure = error.partial, annotated.error_block(error.message)
    parts: list[bytes] = []
    if with_data:
        for text in annotated.encode(results, asked.annotations, asked.delimiter, asked.header):
            parts.append(text.encode("utf-8", "surrogateescape"))
            take(2 * len(parts[-1]))  # it will be copied once
    parts.append(failure.encode("utf-8", "surrogateescape"))
    return b"".join(parts)


async def _decode(request: web.Request) -> _Request:
    raw = await request.read()
    now = state_of(request).clock()
    if why := mediatype.refusal(request.headers.get("Content-Type") or "application/json"):
        raise invalid(why)
    if request.content_type == "application/vnd.flux":
        script = raw.decode("utf-8", "surrogateescape")
        if not script:
            raise invalid("request body requires either query or AST")
        return _Request(script, now, {}, b"", None)
    try:
        body = await decoded(raw, _REQUEST)
    except GoJSONError as error:
        hint = "if sending a raw Flux script, set 'Content-Type: application/vnd.flux' in your request headers"
        raise invalid(f"failed parsing request body as JSON; {hint}: {error.message}") from None
    script, dialect = body.get("query", ""), body.get("dialect", {})
    if not script and body.get("ast") is None:
        raise invalid("request body requires either query or AST")
    if (kind := body.get("type") or "flux") != "flux":
        raise invalid(f"unknown query type: {kind}")
    _check_dialect(dialect)
    if not script:
        raise invalid("AST is not supported by this server; send query")
    return _Request(script, body.get("now", now), dialect, raw, body.get("extern"))


def _check_dialect(dialect: Document) -> None:
    if len(dialect.get("commentPrefix", "").encode()) > 1:
        raise invalid("invalid dialect comment prefix: must be length 0 or 1")
    if len((dialect.get("delimiter") or ",").encode()) != 1:
        raise invalid("invalid dialect delimeter: must be length 1")
    for annotation in dialect.get("annotations") or []:
        if annotation not in annotated.ANNOTATIONS:
            raise invalid(f"unknown dialect annotation type: {annotation}")
    if (form := dialect.get("dateTimeFormat") or "RFC3339") not in ("RFC3339", "RFC3339Nano"):
        raise invalid(f"unknown dialect date time format: {form}")


async def run_script(state: State, who: Document, org: Document, script: str, now: int, extern: list[Node]) -> Results:
    """Run a script for an authorization.

    Raises:
        InfluxError: it cannot be understood or run, asks for what the authorization may not read, or passes its bounds.
    """
    return await in_turn(state, script_run(state, who, org, script, now, lambda: extern))


async def in_turn(state: State, work: Callable[[], T], is_wanted: Callable[[], bool] = lambda: True) -> T:
    """Do a query's work when it is its turn, within its bounds, and as long as its answer is wanted."""
    return await state.queries.run(lambda budget: budget.run(work, state.points.reader()), is_wanted)


def script_run(
    state: State, who: Document, org: Document, script: str, now: int, extern: Callable[[], list[Node]]
) -> Callable[[], Results]:
    """What runs a script for an authorization, in a query's thread."""

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
            for at in range(0, len(points), _WRITE_BATCH):
                check()
                batch = points[at : at + _WRITE_BATCH]
                state.write_from_thread(partial(state.points.write, bucket["id"], batch, *durations, now))
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
            return execute(script, context, extern())
        finally:
            db.execute("COMMIT")

    return work


async def analyze(request: web.Request) -> web.Response:
    """Whether a script can be parsed."""
    body = await read_struct(request, _REQUEST, prefix="invalid json: ")
    if body.get("type", "") != "flux":
        raise hidden("the type of the script is not flux")
    errors: list[Document] = []
    try:
        await in_turn(state_of(request), lambda: parse(body.get("query", "")))
    except InfluxError as error:
        place = re.match(r"(?:compilation failed: )?error @(\d+):(\d+)-\d+:\d+: ", error.message)
        line, column = (int(place[1]), int(place[2])) if place else (1, 1)
        message = error.message[place.end() :] if place else error.message
        errors.append({"line": line, "column": column, "character": 0, "message": message})
    return json_response(to_json({"errors": errors}) + "\n", 200)


ROUTES = [Route("POST", "/api/v2/query", query), Route("POST", "/api/v2/query/analyze", analyze)]

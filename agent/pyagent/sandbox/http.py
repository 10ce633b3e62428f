"""How requests are read and answers written: JSON as Go writes it, in the two layouts that InfluxDB's handlers use."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.gojson import GoJSONError, Shape, decode
from pyagent.sandbox.ids import looks_like_id, parse_id

if TYPE_CHECKING:
    from pyagent.sandbox.state import State

STATE: "Final[web.AppKey[State]]" = web.AppKey("state")
CALLER: Final[ContextVar[Document]] = ContextVar("caller")
"""The authorization that makes the request that is being answered."""

_LONG: Final = 2**18

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_INDENTED: Final = (
    "/api/v2/setup",
    "/api/v2/signin",
    "/api/v2/signout",
    "/api/v2/orgs",
    "/api/v2/buckets",
    "/api/v2/authorizations",
    "/api/v2/users",
    "/api/v2/me",
    "/api/v2/labels",
    "/api/v2/config",
    "/api/v2/dashboards",
    "/api/v2/dbrps",
    "/api/v2/remotes",
    "/api/v2/replications",
    "/api/v2/stacks",
    "/private/legacy/authorizations",
)


class Route(NamedTuple):
    method: str
    path: str
    handler: Handler


def state_of(request: web.Request) -> "State":
    return request.app[STATE]


def caller(request: web.Request) -> Document:
    """The authorization that made the request."""
    return CALLER.get()


def is_indented(path: str) -> bool:
    """Whether this path's handlers write JSON indented by tabs, as some of InfluxDB's do."""
    return path.startswith(_INDENTED)


def to_json(value: object, indented: bool = False) -> str:
    text = json.dumps(
        value, ensure_ascii=False, separators=(",", ": ") if indented else (",", ":"), indent="\t" if indented else None
    )
    text = re.sub(r"[\u2028\u2029<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def reply(request: web.Request, value: object, status: int = 200) -> web.Response:
    """A JSON answer in the layout of the request's path."""
    indented = is_indented(request.path)
    return json_response(to_json(value, indented) + ("" if indented else "\n"), status)


def json_response(text: str, status: int) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/json", charset="utf-8")


def refuse(error: InfluxError, indented: bool) -> web.Response:
    response = json_response(to_json({"code": error.code, "message": error.message}, indented), error.status)
    response.headers["X-Platform-Error-Code"] = error.code
    return response


def no_content() -> web.Response:
    return web.Response(status=204)


def decode_json(raw: bytes) -> Any:
    """JSON as Go's decoder reads it: what is not Unicode becomes the replacement character.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return _unicode(json.loads(raw.decode("utf-8", "replace")))
    except RecursionError:
        raise ValueError("exceeded max depth") from None


def _unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if not value.isascii() else value
    if isinstance(value, list):
        return [_unicode(item) for item in value]
    if isinstance(value, dict):
        return {_unicode(name): _unicode(item) for name, item in value.items()}
    return value


async def read_json(
    request: web.Request, *, code: str = "invalid", prefix: str = "failed to unmarshal json: "
) -> Document:
    """The body as a JSON object.

    Raises:
        InfluxError: it is not one; `code` and `prefix` are those that the path's handler in InfluxDB has for it.
    """
    raw = await request.read()
    try:
        value = decode_json(raw)
    except ValueError as error:
        raise InfluxError(code, prefix + _go_words(raw, error)) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InfluxError(code, f"{prefix}json: cannot unmarshal {_kind(value)} into Go value")
    return value


async def read_struct(
    request: web.Request, shape: Shape, *, code: str = "invalid", prefix: str = "failed to unmarshal json: "
) -> Document:
    """The body as one of Go's structs: the members that are there, known and not null.

    Raises:
        InfluxError: it is none; `code` and `prefix` are those that the path's handler in InfluxDB has for it.
    """
    try:
        return await decoded(await request.read(), shape)
    except GoJSONError as error:
        raise InfluxError(error.code or code, prefix + error.message) from None


async def decoded(raw: bytes, shape: Shape) -> Document:
    """A body as a struct; a long one is read in a thread, and holds up nobody.

    Raises:
        GoJSONError: it is none.
    """
    if len(raw) < _LONG:
        return decode(raw, shape) or {}
    return await asyncio.to_thread(decode, raw, shape) or {}


def _go_words(raw: bytes, error: ValueError) -> str:
    """What Go's decoder says of a text that is not JSON."""
    text = raw.decode("utf-8", "replace")
    at = error.pos if isinstance(error, json.JSONDecodeError) else len(text)
    if not text.strip():
        return "EOF"
    if at >= len(text.rstrip()) or "Unterminated" in str(error):
        return "unexpected EOF"
    return f"invalid character '{text[at]}' looking for beginning of value"


def path_id(request: web.Request, name: str = "id") -> str:
    return parse_id(request.match_info[name])


def id_or_none(text: str | None) -> str | None:
    """An id, or None where the text is none."""
    return text.lower() if text and looks_like_id(text) else None


def text_of(document: Document, name: str) -> str:
    """A member that must be text or absent.

    Raises:
        InfluxError: it is something else.
    """
    value: Any = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid(
            f"failed to unmarshal json: json: cannot unmarshal {_kind(value)} into field {name} of type string"
        )
    return value


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    return {int: "number", float: "number", list: "array", dict: "object"}.get(type(value), "value")


def find_org(request: web.Request) -> Document:
    """The organisation that the request's `orgID`, or its `org` by id or name, names.

    Raises:
        InfluxError: none is named, or there is no such.
    """
    documents, query = state_of(request).documents, request.query
    name = query.get("org", "")
    key = id_or_none(name)
    if given := query.get("orgID"):
        key = parse_id(given)
    if key is not None:
        org = documents.get("orgs", key)
        if org is None:
            raise InfluxError("not found", "organization not found")
        return org
    if not name:
        raise invalid("Please provide either orgID or org")
    return org_by_name(request, name)


def org_by_name(request: web.Request, name: str) -> Document:
    """The organisation of a name; spaces around it do not count.

    Raises:
        InfluxError: there is no such.
    """
    for org in state_of(request).documents.all("orgs"):
        if org["name"].strip() == name.strip():
            return org
    raise InfluxError("not found", f'organization name "{name}" not found')

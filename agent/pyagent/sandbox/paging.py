"""`limit`, `offset`, `after` and the links of a paged list."""

from urllib.parse import urlencode

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import invalid
from pyagent.sandbox.ids import looks_like_id

MAX_PAGE = 100
DEFAULT_PAGE = 20


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise invalid(f"{name} is invalid") from None


def options(request: web.Request) -> tuple[int, int]:
    """(limit, offset).

    Raises:
        InfluxError: one is not a number or out of bounds.
    """
    offset, limit = _number(request, "offset", 0), _number(request, "limit", DEFAULT_PAGE)
    if not 1 <= limit <= MAX_PAGE:
        raise invalid(f"limit must be between 1 and {MAX_PAGE}")
    return limit, offset


def page(request: web.Request, documents: list[Document]) -> list[Document]:
    """The part of a list that the request asks for."""
    limit, offset = options(request)
    if after := request.query.get("after"):
        if not looks_like_id(after):
            raise invalid("decoding after: invalid ID")
        documents = [document for document in documents if document["id"] > after.lower()]
    if request.query.get("descending") in ("true", "1", "t"):
        documents = documents[::-1]
    return documents[offset : offset + limit]


def paging_links(request: web.Request, path: str, filters: dict[str, str], count: int) -> dict[str, str]:
    """prev, self and next, as far as there are such pages."""
    limit, offset = options(request)
    values = {**filters, "descending": "true" if request.query.get("descending") in ("true", "1", "t") else "false"}
    values |= {name: request.query[name] for name in ("after", "sortBy") if request.query.get(name)}

    def link(start: int) -> str:
        return f"{path}?{urlencode(sorted({**values, 'limit': str(limit), 'offset': str(start)}.items()))}"

    links = {"prev": link(max(0, offset - limit))} if offset > 0 else {}
    links["self"] = link(offset)
    if count >= limit:
        links["next"] = link(offset + limit)
    return links

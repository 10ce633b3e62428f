"""`limit`, `offset`, `after`, `descending` and the links of a paged list."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.ids import parse_id

MAX_PAGE: Final = 100
DEFAULT_PAGE: Final = 20
BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""As Go's strconv.ParseBool reads them."""


class Page(NamedTuple):
    """What a request asks for of a list."""

    limit: int = DEFAULT_PAGE
    offset: int = 0
    after: str = ""
    """An id; empty: from the start."""
    sort: str = ""
    descending: bool = False


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if not text:
        return default
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise invalid(f"{name} is invalid")
    return int(text)


def page_of(request: web.Request) -> Page:
    """The page that a request asks for.

    Raises:
        InfluxError: a parameter is not of its kind or out of bounds.
    """
    query = request.query
    offset = _number(request, "offset", 0)
    try:
        after = parse_id(query["after"]) if query.get("after") else ""
    except InfluxError as error:
        raise invalid(f"decoding after: {error.message}") from None
    limit = _number(request, "limit", DEFAULT_PAGE)
    if not 1 <= limit <= MAX_PAGE:
        raise invalid(f"limit must be between 1 and {MAX_PAGE}")
    descending = query.get("descending") or "false"
    if descending not in BOOLEANS:
        raise invalid("descending is invalid")
    return Page(limit, offset, after, query.get("sortBy", ""), BOOLEANS[descending])


def paging_links(page: Page, path: str, filters: dict[str, str], count: int) -> dict[str, str]:
    """prev, self and next, as far as there are such pages; `count` is that of the answer."""
    values = {**filters, "descending": str(page.descending).lower(), "limit": str(page.limit)}
    values |= {name: value for name, value in (("after", page.after), ("sortBy", page.sort)) if value}

    def link(start: int) -> str:
        return f"{path}?{urlencode(sorted({**values, 'offset': str(start)}.items()))}"

    links = {"prev": link(max(0, page.offset - page.limit))} if page.offset > 0 else {}
    links["self"] = link(page.offset)
    if count >= page.limit:
        links["next"] = link(page.offset + page.limit)
    return links

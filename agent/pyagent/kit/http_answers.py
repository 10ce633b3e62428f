"""What an HTTP answer says about itself, for outputs: when to come back, and why it refused.

answer = await client.request("POST", url, body=batch.payload())
if answer.status >= 300:
raise Retry(f"cannot write to {url}: {cause(answer)}", retry_after(answer.headers))
"""

import json
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from pyagent.api import redact
from pyagent.kit.http_client import HttpResponse

__all__ = ["cause", "document", "one_line", "problem", "retry_after"]

_LONGEST_PAUSE = 600.0


def document(answer: HttpResponse) -> dict[str, Any] | None:
    """The object of JSON that the body is; None where it is none."""
    try:
        found = json.loads(answer.text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def problem(answer: HttpResponse, *, header: str = "") -> tuple[str, str]:
    """A code and a message, or empty strings: the `code`, and `message` or `error`, of an object of JSON; else a plain text, or
    the header of that name."""
    found = document(answer)
    if found is None:
        plain = answer.headers.get("Content-Type", "").startswith("text/plain")
        found = {"message": answer.text if plain else answer.headers.get(header, "") if header else ""}
    return str(found.get("code") or ""), str(found.get("message") or found.get("error") or "")


def cause(answer: HttpResponse, *, header: str = "") -> str:
    """Status and words in one line."""
    code, message = problem(answer, header=header)
    return f"{answer.status} {one_line(code or answer.reason, 60)}" + (f": {one_line(message, 300)}" if message else "")


def one_line(text: str, limit: int) -> str:
    """`text` without secrets, line breaks and terminal codes, cut at `limit` characters."""
    text = redact(text[:65_536])[: 10 * limit]  # a server may say a megabyte
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, by a number or by a date, 600 at the most; None where it does not ask."""
    text = headers.get("Retry-After", "")
    try:
        seconds = float(text)
    except ValueError:
        try:
            # By the server's own clock, where it tells: ours may be wrong.
            now = headers.get("Date")
            seconds = _http_date(text) - (_http_date(now) if now else time.time())
        except ValueError:
            return None
    return min(seconds, _LONGEST_PAUSE) if seconds > 0 else None


def _http_date(text: str) -> float:
    date = parsedate_to_datetime(text)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()

"""What an answer says about itself and about the lines of the batch (reference: influxdb_v2 4.2 and 4.3)."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice

from pyagent.api import Batch, redact
from pyagent.api.http import HttpResponse

__all__ = ["PARTIAL_WRITE", "cause", "named_lines", "one_line", "problem", "retry_after", "suspected_lines"]

PARTIAL_WRITE = re.compile(r"(failure writing points to database: )?partial write: ")
_LONGEST_PAUSE = 600.0
_CONFLICT = re.compile(r'input field "(.*?)" on measurement "(.*?)" is type (\w+), already exists as type')
_TOO_LONG = re.compile(r'input field "(.*?)" on measurement "(.*?)" is too long, \d+ > (\d{1,9})\b')
_RETENTION = re.compile(r"violates a Retention Policy (Lower|Upper) Bound at (\S+?),? ?(?:dropped=|,|\s|$)")


def problem(answer: HttpResponse) -> tuple[str, str]:
    """A code and a message, or empty strings. InfluxDB 2's JSON, or InfluxDB 1's."""
    try:
        document = json.loads(answer.text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        plain = answer.headers.get("Content-Type", "").startswith("text/plain")
        document = {"message": answer.text if plain else answer.headers.get("X-Influx-Error", "")}
    return str(document.get("code") or ""), str(document.get("message") or document.get("error") or "")


def cause(answer: HttpResponse) -> str:
    """Status and words in one line."""
    code, message = problem(answer)
    return f"{answer.status} {one_line(code or answer.reason, 60)}" + (f": {one_line(message, 300)}" if message else "")


def one_line(text: str, limit: int) -> str:
    """`text` without secrets, line breaks and terminal codes, cut at `limit` characters."""
    text = " ".join("".join(c if c.isprintable() else " " for c in redact(text)).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, by a number or by a date; None where it does not ask."""
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


def named_lines(message: str, batch: Batch) -> tuple[int, ...]:
    """Indices of the lines that `message` names: "unable to parse '<line>': <reason>", one after the other.

    A line with an unbalanced quote swallows those behind it: then the first of the lines named is meant.
    """
    if partial := PARTIAL_WRITE.match(message):
        message = message[partial.end() :]
    if not message.startswith("unable to parse '"):
        return ()
    known: dict[str, list[int]] = {}
    for index, row in enumerate(_rows(batch)):
        # As JSON shows it: each byte that is not UTF-8 becomes U+FFFD.
        text = re.sub("[\udc80-\udcff]", "\ufffd", row.decode("utf-8", "surrogateescape")).lstrip(" \t")
        known.setdefault(text, []).append(index)
    found: set[int] = set()
    position = 0
    while start := re.compile(r"(?:^|\n)unable to parse '").search(message, position):
        position = start.end()
        # The longest text that is a line of ours and ends as the server ends it is meant; else the longest that a line break
        # ends: what follows was swallowed. A text that is none of ours is passed over.
        ends = [(end[0] != "\n", end.start()) for end in islice(re.compile("': |\n").finditer(message, position), 20)]
        for _, end in sorted(ends, reverse=True):
            if indices := known.get(message[position:end]):
                found.update(indices)
                position = end
                break
    return tuple(sorted(found))


def suspected_lines(message: str, batch: Batch) -> tuple[int, ...]:
    """Indices of the lines that a partial write may have refused: those of the measurement, field and type that it names,
    with a text as long as it names, or with a time beyond the bound that it names. The server has stored all others; of
    these it does not say."""
    if conflict := _CONFLICT.search(message):
        field, measurement, type_ = conflict.groups()
        return tuple(
            index
            for index, row in enumerate(_rows(batch))
            if (parts := _parts(row)) and parts[0] == measurement and (field, type_) in parts[1]
        )
    if long := _TOO_LONG.search(message):
        field, measurement, most = long.groups()
        return tuple(
            index
            for index, row in enumerate(_rows(batch))
            if len(row) > int(most)
            and (parts := _parts(row))
            and parts[0] == measurement
            and (field, "string") in parts[1]
        )
    if bound := _RETENTION.search(message):
        try:
            limit = int(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", bound[2])).timestamp() * 1e9)
        except ValueError:
            return ()
        early = bound[1] == "Lower"
        return tuple(
            index
            for index, row in enumerate(_rows(batch))
            if (time_ns := _time(row)) is not None and (time_ns < limit if early else time_ns > limit)
        )
    return ()


def _rows(batch: Batch) -> list[bytes]:
    """Each metric's text, without its last line break."""
    rows = batch.payload().removesuffix(b"\n").split(b"\n")
    if len(rows) != batch.count:  # some text has line breaks
        rows = [batch.lines(i, i + 1).payload().removesuffix(b"\n") for i in range(batch.count)]
    return rows


def _parts(row: bytes) -> tuple[str, set[tuple[str, str]]] | None:
    """The measurement, and the fields with the names of their types."""
    text = row.decode("utf-8", "replace")
    match = re.match(r"((?:\\.|[^\\, ])+)(?:,(?:\\.|[^\\ ])*)? ", text, re.DOTALL)
    if match is None:
        return None
    return _plain(match[1]), set(_fields(text, match.end()))


def _fields(text: str, position: int) -> Iterator[tuple[str, str]]:
    field = re.compile(r'((?:\\.|[^\\=, ])+)=("(?:\\.|[^\\"])*"|[^, ]*)(,?)', re.DOTALL)
    while match := field.match(text, position):
        value = match[2]
        last = value[-1:]
        if last == '"':
            type_ = "string"
        elif last in ("i", "u"):
            type_ = "integer" if last == "i" else "unsigned"
        else:
            type_ = "boolean" if value[:1] in "tTfF" else "float"
        yield _plain(match[1]), type_
        if not match[3]:
            return
        position = match.end()


def _time(row: bytes) -> int | None:
    match = re.search(rb" (-?\d{1,19})$", row)
    return int(match[1]) if match else None


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)

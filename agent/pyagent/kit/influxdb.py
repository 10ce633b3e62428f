"""What outputs to InfluxDB share, whichever version: URLs, and what an answer says about itself and the lines of the batch
(reference: influxdb_v2 4.2 and 4.3)."""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from urllib.parse import SplitResult, urlsplit

from pyagent.api import Batch, ConfigError, PartialWrite, Reject
from pyagent.kit import http_answers
from pyagent.kit.http_client import HttpResponse

__all__ = [
    "PARTIAL_WRITE",
    "cause",
    "is_about_lines",
    "named_lines",
    "problem",
    "refusal",
    "split_url",
    "suspected_lines",
]

PARTIAL_WRITE = re.compile(r"(failure writing points to database: )?partial write: ")
_ERROR_HEADER = "X-Influx-Error"
_LONGEST_MESSAGE = 16_384
"""Characters of a message about a batch that are looked at; the lines that it names are looked for in all of it."""
_FIELD = 'input field "'
_MEASUREMENT = '" on measurement "'
_CONFLICT = re.compile(r'" is type (\w++), already exists as type')
_TOO_LONG = re.compile(r'" is too long, \d++ > (\d{1,9})\b')
_DROPPED = re.compile(r"\bdropped=(\d{1,9})\b")
_TOO_OLD = "points beyond retention policy"
_RETENTION = re.compile(r"violates a Retention Policy (Lower|Upper) Bound at ([^\s,]++)")


def problem(answer: HttpResponse) -> tuple[str, str]:
    """A code and a message, or empty strings. InfluxDB 2's JSON, or InfluxDB 1's."""
    return http_answers.problem(answer, header=_ERROR_HEADER)


def cause(answer: HttpResponse) -> str:
    """Status and words in one line."""
    return http_answers.cause(answer, header=_ERROR_HEADER)


def is_about_lines(answer: HttpResponse) -> bool:
    """Whether a refusal may be about the lines: InfluxDB has written it (its headers, or a JSON object as it writes them), or
    VictoriaMetrics has (a text that names the line), and not a proxy or another program."""
    if any(name.lower().startswith(("x-influx", "x-platform-error-code")) for name in answer.headers):
        return True
    if answer.text.startswith('remoteAddr: "'):  # how each answer of VictoriaMetrics begins
        return "influx line" in answer.text[:_LONGEST_MESSAGE]
    document = http_answers.document(answer) or {}
    return isinstance(document.get("error"), str) or all(
        isinstance(document.get(key), str) for key in ("code", "message")
    )


def refusal(reason: str, message: str, batch: Batch) -> Reject:
    """What to raise for an answer that is about the lines: `message` says that some are stored, and maybe which are not."""
    named = named_lines(message, batch)
    if PARTIAL_WRITE.match(message) is None:
        return Reject(reason, named or None)
    suspects = named or suspected_lines(message, batch)
    numbers = _DROPPED.findall(message)
    if not suspects and not numbers:
        return Reject(reason)
    dropped = max(int(numbers[-1]) if numbers else 1, len(named))
    if dropped >= batch.count:
        suspects = tuple(range(batch.count))
    return PartialWrite(reason, dropped, suspects)


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
    message = message[:_LONGEST_MESSAGE]
    field, measurement, rest = _named_field(message)
    if conflict := _CONFLICT.match(rest):
        return _lines_with(batch, measurement, (field, conflict[1]))
    if long := _TOO_LONG.match(rest):
        return _lines_with(batch, measurement, (field, "string"), int(long[1]))
    if _TOO_OLD in message and (numbers := _DROPPED.findall(message)):
        # InfluxDB 1 names no bound, but what is beyond it is what is oldest.
        times = sorted((_time(row) or 0, index) for index, row in enumerate(_rows(batch)))
        return tuple(sorted(index for _, index in times[: int(numbers[-1])]))
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


def _named_field(message: str) -> tuple[str, str, str]:
    """The first field that a message names, its measurement, and what stands behind them; empty where it names none.

    `input field "f" on measurement "m" is ...`. Without a pattern: one that looks for two names of any text takes for ever.
    """
    _, _, text = message.partition(_FIELD)
    field, _, text = text.partition(_MEASUREMENT)
    ends = [end for what in ('" is type ', '" is too long, ') if (end := text.find(what)) >= 0]
    return (field, text[: min(ends)], text[min(ends) :]) if ends else ("", "", "")


def _lines_with(batch: Batch, measurement: str, field: tuple[str, str], longer_than: int = 0) -> tuple[int, ...]:
    """Indices of the lines of a measurement that have a field of this name and type."""
    return tuple(
        index
        for index, row in enumerate(_rows(batch))
        if len(row) > longer_than and (parts := _parts(row)) and parts[0] == measurement and field in parts[1]
    )


def _rows(batch: Batch) -> list[bytes]:
    """Each metric's text, without its last line break."""
    rows = batch.payload().removesuffix(b"\n").split(b"\n")
    if len(rows) != batch.count:  # some text has line breaks
        rows = [batch.slice(i, i + 1).payload().removesuffix(b"\n") for i in range(batch.count)]
    return rows


def _parts(row: bytes) -> tuple[str, Iterator[tuple[str, str]]] | None:
    """The measurement, and the fields with the names of their types, to be gone through once."""
    text = row.decode("utf-8", "replace")
    match = re.match(r"((?:\\.|[^\\, ])+)(?:,(?:\\.|[^\\ ])*)? ", text, re.DOTALL)
    if match is None:
        return None
    return _plain(match[1]), _fields(text, match.end())


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


def split_url(text: str, option: str) -> SplitResult:
    """The parts of an http or https URL, or of unix:///PATH. Raises ConfigError."""
    shown = re.sub(r"//.*@", "//", text)
    problem = ""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"cannot use the URL {shown!r}: {error}; correct it", option=option) from None
    if parts.scheme == "unix" and option == "urls":
        problem = "it names no socket" if parts.netloc or not parts.path.startswith("/") else ""
        if problem:
            raise ConfigError(f"cannot use the URL {shown!r}: {problem}; give unix:///run/influxdb.sock", option=option)
        return parts
    if parts.scheme not in ("http", "https"):
        problem = f"unsupported scheme {parts.scheme!r}"
    elif not parts.hostname:
        problem = "it has no host"
    elif re.search(r"[\x00-\x20\x7f]", text):
        problem = "it holds a blank or control character"
    if problem:
        raise ConfigError(f"cannot use the URL {shown!r}: {problem}; give one like http://HOST:8086", option=option)
    return parts

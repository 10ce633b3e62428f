"""Whether metrics written to a bucket would be taken, and where the newest ones are.

One request tells most: a write whose body is a comment. Nothing is stored, and all checks of a write are made.
"""

import csv
import difflib
import gzip
import io
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from pyagent.cli.doctor.findings import Report
from pyagent.cli.doctor.gathering import YEAR_2000, local_time
from pyagent.cli.doctor.reach import Server
from pyagent.cli.terminal import some_of, span
from pyagent.kit.http_client import HttpError, HttpResponse

__all__ = ["Target", "look_at_bucket"]

PROBE = "pyagent_probe"
"""The measurement of `--probe`."""
_COMMENT = b"# pyagent doctor"
_SHORTEST_TOKEN = 20
_MOST_BYTES = 8 << 20
"""Of a batch that is tried."""
_PAGE, _MOST_NAMES = 100, 10_000
_LEAST_AHEAD = 5.0
"""Seconds that a point may be ahead: clocks differ by some."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an output writes, with what it sends."""

    organization: str
    bucket: str
    token: str
    host: str
    """The tag `host` of its metrics; empty: they have none."""
    interval: float
    """Seconds between two metrics of a series."""
    compressed: bool = True
    """Bodies are."""
    batch: int = 0
    """Bytes of a full batch; 0: it is not tried whether one passes."""
    oldest: float = 0.0
    """Seconds since the epoch, of the oldest metric that is gathered; 0: unknown."""
    oldest_of: str = ""
    """The input that gathers it."""


async def look_at_bucket(report: Report, server: Server, target: Target, *, probe: bool = False) -> None:
    """The checks of an output, in the order in which one explains the next."""
    if problem := _token_problem(target.token):
        report.failed("token", *problem)
        report.skipped("write", "without a token nothing can be written")
        return
    try:
        report.busy(f"asking whether bucket {target.bucket!r} takes metrics")
        if not await _takes(report, server, target) or not await _passes(report, server, target):
            return
        if not server.version:
            report.skipped("points", "only InfluxDB 2 is asked what a bucket holds")
            return
        days = await _readable(report, server, target)
        if probe and not await _probe(report, server, target, readable=days is not None):
            return
        if days is None:
            report.skipped("points", "the newest points are not looked at: the token may not read")
            return
        report.busy("looking for the newest points")
        await _newest(report, server, target, days)
    except HttpError as error:
        report.failed("server", f"{server.place.base}: {error}", "look at the server's log, and at a proxy before it")


def _token_problem(token: str) -> tuple[str, str] | None:
    """What can be seen without asking, and what to do."""
    where = "put it into the environment file of the unit as {}=..., then restart"
    if not token:
        return "there is no token", f"set `token`, or {where.format('INFLUX_TOKEN')}"
    if token.startswith("$"):
        name = token.strip("${}")
        return f"the variable {name} is not set, its name was sent as the token", where.format(name)
    if token != token.strip() or token[0] in "\"'" or token[-1] in "\"'":
        return "the token has quotes or blanks around it", "remove them"
    if not (token.isascii() and token.isprintable()):
        return "the token has characters that no token has", "copy it anew"
    return None


async def _takes(report: Report, server: Server, target: Target) -> bool:
    """W, the harmless write."""
    path = "/api/v2/write?" + urlencode({"org": target.organization, "bucket": target.bucket})
    answer = await server.ask("POST", path, token=target.token, body=_COMMENT)
    message = _message(answer)
    if answer.status == 204:
        report.ok("write", f"bucket {target.bucket!r} of {target.organization!r} takes metrics with this token")
        return True
    if answer.status == 401:
        await _unauthorized(report, server, target, message)
    elif answer.status == 403 and "inactive" in message:
        report.failed(
            "token", "the token is switched off", "activate it on InfluxDB's page API Tokens, or make another"
        )
    elif answer.status == 403:
        report.failed(
            "write",
            f"the token may not write to bucket {target.bucket!r}",
            "make a token for this bucket (a bucket that was deleted and made again needs a new one)",
        )
    elif answer.status == 404 and "bucket" in message:
        names = await _names(server, "/api/v2/buckets", {"org": target.organization}, target, "buckets")
        names = [name for name in names if not name.startswith("_")]
        report.failed(
            "bucket",
            f"there is no bucket {target.bucket!r} in {target.organization!r} that this token may see"
            f"{_listed(names, target.bucket)}",
            _nearest(target.bucket, names, "bucket")
            or "make the bucket, or correct `bucket`; upper and lower case count",
        )
    elif answer.status == 404 and "organization" in message:
        names = await _names(server, "/api/v2/orgs", {}, target, "orgs")
        report.failed(
            "organization",
            f"there is no organization {target.organization!r}{_listed(names, target.organization)}",
            _nearest(target.organization, names, "organization")
            or "correct `organization`: it is neither the user nor an e-mail address; its ID will do as well",
        )
    elif answer.status == 400 and not target.organization:
        report.failed("organization", "no organization is named", "set `organization`")
    elif answer.status in (411, 413, 502, 504) and not answer.headers.get("X-Influxdb-Version"):
        report.failed(
            "write",
            f"something between here and InfluxDB refuses the write: {answer.status} {answer.reason}",
            "look at the settings of the proxy: it must let bodies of some megabytes pass",
        )
    elif answer.status >= 500:
        report.failed(
            "write", f"InfluxDB fails: {answer.status} {message}", "look at its log and its disk, then restart it"
        )
    elif not answer.headers.get("X-Influxdb-Version"):
        report.failed(
            "write", f"it is not InfluxDB that answers: {answer.status} {answer.reason}", "correct `urls`, or the proxy"
        )
    elif answer.status == 404 and urlsplit(server.place.base).path.strip("/"):
        parts = urlsplit(server.place.base)
        report.failed(
            "write",
            f"InfluxDB does not know the path {parts.path!r}: {answer.status} {message}",
            f"write urls = [{f'{parts.scheme}://{parts.netloc}'!r}]",
        )
    else:
        report.failed("write", f"InfluxDB refuses: {answer.status} {message}", "look at the server's log")
    return False


async def _passes(report: Report, server: Server, target: Target) -> bool:
    """Whether a full batch, compressed as the output sends it, passes all that is between here and the server."""
    size = min(target.batch, _MOST_BYTES)
    if not size:
        return True
    report.busy("trying the size of a full batch")

    async def refusal(size: int, *, compressed: bool) -> str:
        body = _comment(size)
        headers = {"Content-Encoding": "gzip"} if compressed else {}
        path = "/api/v2/write?" + urlencode({"org": target.organization, "bucket": target.bucket})
        sent = gzip.compress(body, 1) if compressed else body
        try:
            answer = await server.ask("POST", path, token=target.token, body=sent, headers=headers)
        except HttpError as error:
            return str(error)
        return "" if answer.status == 204 else f"{answer.status} {_message(answer)}"

    if not (refused := await refusal(size, compressed=target.compressed)):
        report.ok("batch", f"a full batch passes, {size / 1024:,.0f} KiB")
        return True
    if target.compressed and (small := await refusal(len(_COMMENT), compressed=True)):
        report.failed(
            "batch",
            f"something between here and the server does not pass compressed bodies: {small}",
            'write content_encoding = "identity", or let the proxy pass them',
        )
        return False
    report.failed(
        "batch",
        f"a full batch of {size / 1024:,.0f} KiB is refused, a small one is not: {refused}",
        "raise the limit of the proxy (nginx: client_max_body_size), or lower metric_batch_size",
    )
    return False


def _comment(size: int) -> bytes:
    """Lines of that many bytes that no server stores, and that compress as metrics do."""
    lines, length, number = [_COMMENT], len(_COMMENT), 0
    while length < size:
        number += 1
        lines.append(b"# pyagent doctor,host=%d usage=%d %d" % (number % 7, number * 7919 % 10007, 10**18 + number))
        length += len(lines[-1]) + 1
    return b"\n".join(lines)


async def _unauthorized(report: Report, server: Server, target: Target, message: str) -> None:
    known = await server.ask("GET", "/api/v2/authorizations?limit=1", token=target.token)
    if known.status == 200:
        report.failed("write", f"the token is known here, and lacks a right: {message}", "make a token for this bucket")
        return
    hint = f"; it is only {len(target.token)} characters long" if len(target.token) < _SHORTEST_TOKEN else ""
    report.failed(
        "token",
        f"this server does not know the token{hint}",
        "copy the whole token again, of this server; put it into the environment file of the unit, then restart",
    )


async def _readable(report: Report, server: Server, target: Target) -> float | None:
    """Seconds that the bucket keeps points (0: for ever); None where the token may not read it."""
    path = "/api/v2/buckets?" + urlencode({"org": target.organization, "name": target.bucket})
    answer = await server.ask("GET", path, token=target.token)
    found = _list(answer, "buckets")
    if answer.status != 200 or not found:
        report.note(
            "read", "the token may write and not read: all an agent needs, but pages and Grafana need one that may read"
        )
        return None
    rules = found[0].get("retentionRules") or [{}]
    kept = float(rules[0].get("everySeconds") or 0)
    report.ok("read", f"the token may read it; it keeps points {f'for {span(kept)}' if kept else 'for ever'}")
    age = time.time() - target.oldest if target.oldest else 0.0
    if kept and age > kept:
        report.warning(
            "retention",
            f"{target.oldest_of} gathers metrics that are {span(age)} old, and the bucket keeps them for {span(kept)}: "
            "they are dropped",
            "keep points for longer, or leave old ones out",
        )
    return kept


async def _probe(report: Report, server: Server, target: Target, *, readable: bool) -> bool:
    now = time.time_ns()
    path = "/api/v2/write?" + urlencode({"org": target.organization, "bucket": target.bucket})
    tag = f",host={target.host}" if target.host and not set(target.host) & set(" ,=\\") else ""
    answer = await server.ask("POST", path, token=target.token, body=f"{PROBE}{tag} value=1i {now}".encode())
    if answer.status != 204:
        report.failed(
            "probe", f"a point is refused: {answer.status} {_message(answer)}", "look at InfluxDB's log and disk"
        )
        return False
    if not readable:
        report.ok(
            "probe", f"a point {PROBE!r} was taken; whether it is there cannot be seen, for the token may not read"
        )
        return True
    rows = await _query(
        server, target, f'|> range(start: -1m) |> filter(fn: (r) => r._measurement == "{PROBE}") |> last()'
    )
    if rows:
        report.ok("probe", f"a point {PROBE!r} was written and read back")
    else:
        report.failed(
            "probe", f"a point {PROBE!r} was taken and is not there", "compare the clocks, and the bucket's retention"
        )
    return bool(rows)


async def _newest(report: Report, server: Server, target: Target, kept: float) -> None:
    """The newest points of this host, those of 1970 and of the future included, and whether two write them."""
    own = f"|> filter(fn: (r) => r.host == {_flux_string(target.host)})" if target.host else ""
    whose = f"of host {target.host!r}" if target.host else "in the bucket"
    rows = await _query(
        server,
        target,
        f"|> range(start: 1970-01-01T00:00:00Z, stop: 2262-01-01T00:00:00Z) {own}"
        f' |> filter(fn: (r) => r._measurement != "{PROBE}") |> last()'
        ' |> keep(columns: ["_time", "_measurement", "_field"]) |> group()',
    )
    if rows is None:
        report.skipped("points", "the newest points cannot be seen: the query was refused")
        return
    found = [(when, row) for row in rows if (when := _seconds(row.get("_time", ""))) is not None]
    times = sorted(found, key=lambda one: one[0])
    if not times:
        keeps = f"; the bucket keeps {span(kept)}: older ones are dropped, with 204" if kept else ""
        report.note("points", f"there are no points {whose}{keeps}", "start the agent, and look again")
        return
    now = time.time()
    past = [row["_measurement"] for when, row in times if when < YEAR_2000]
    ahead = [(when - now, row["_measurement"]) for when, row in times if when > now + _LEAST_AHEAD]
    present = [(when, row) for when, row in times if YEAR_2000 <= when <= now + _LEAST_AHEAD]
    if past:
        report.warning(
            "points",
            f"{_some(past)}: points of 1970: times in seconds or milliseconds were sent as nanoseconds",
            "give the precision with which they are written",
        )
    if ahead:
        most = max(seconds for seconds, _ in ahead)
        report.warning(
            "points",
            f"{_some(name for _, name in ahead)}: points up to {span(most)} in the future, which no page shows"
            f"{local_time(most)}",
            "convert times to UTC, and delete the points that are ahead",
        )
    if present:
        age, newest = now - present[-1][0], present[-1][1]
        report.ok("points", f"the newest point {whose} is of {span(age)} ago ({newest['_measurement']})")
        if age < 10 * target.interval + 60:
            await _writers(report, server, target, newest)


async def _writers(report: Report, server: Server, target: Target, series: dict[str, str]) -> None:
    """Two agents that do the same: a series has more than one point in an interval."""
    conditions = {"_measurement": series["_measurement"], "_field": series["_field"]}
    if target.host:
        conditions["host"] = target.host
    chosen = " and ".join(f"r.{name} == {_flux_string(value)}" for name, value in conditions.items())
    every = max(round(target.interval), 1)
    rows = await _query(
        server,
        target,
        f"|> range(start: -{12 * every + 60}s) |> filter(fn: (r) => {chosen})"
        f" |> aggregateWindow(every: {every}s, fn: count, createEmpty: false)",
    )
    counts = sorted(int(row["_value"]) for row in rows or () if row.get("_value", "").isdigit())
    if counts and counts[len(counts) // 2] > 1:
        report.warning(
            "writers",
            f"{series['_measurement']} has {counts[len(counts) // 2]} points in each {every} s: two agents gather the same",
            "stop one of them: systemctl list-units 'pyagent@*' telegraf.service",
        )


async def _query(server: Server, target: Target, flux: str) -> list[dict[str, str]] | None:
    """The rows; None where it is refused."""
    text = f"from(bucket: {_flux_string(target.bucket)}) {flux}"
    answer = await server.ask(
        "POST",
        "/api/v2/query?" + urlencode({"org": target.organization}),
        token=target.token,
        body=text.encode(),
        headers={"Content-Type": "application/vnd.flux", "Accept": "application/csv"},
    )
    return list(_rows(answer.text)) if answer.status == 200 else None


def _flux_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("${", "\\${")  # it would be an expression


def _rows(text: str) -> Iterator[dict[str, str]]:
    """Of all tables of an answer without annotations: each has a head of its own."""
    head: list[str] = []
    for row in csv.reader(io.StringIO(text)):
        if not row:
            head = []
        elif not head:
            head = row
        else:
            yield dict(zip(head, row, strict=False))


def _seconds(text: str) -> float | None:
    """RFC 3339 as seconds since the epoch."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp()
    except ValueError:
        return None


async def _names(server: Server, path: str, query: dict[str, str], target: Target, what: str) -> list[str]:
    """Of all that the token may see; the server gives them in pages."""
    names: list[str] = []
    while len(names) < _MOST_NAMES:
        page = {**query, "limit": str(_PAGE), "offset": str(len(names))}
        found = _list(await server.ask("GET", f"{path}?{urlencode(page)}", token=target.token), what)
        names += [str(one.get("name", "")) for one in found]
        if len(found) < _PAGE:
            break
    return names


def _list(answer: HttpResponse, what: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(answer.body)[what]
    except (ValueError, TypeError, KeyError):
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _message(answer: HttpResponse) -> str:
    try:
        text = str(json.loads(answer.body)["message"])
    except (ValueError, TypeError, KeyError):
        text = answer.reason
    return " ".join(text.split())[:200]


def _listed(names: list[str], wanted: str) -> str:
    return f" (there are {some_of(names, wanted, repr)})" if names else ""


def _nearest(wanted: str, names: list[str], option: str) -> str:
    lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(wanted.lower(), lower, n=1)
    return f"write {option} = {lower[near[0]]!r}" if near else ""


def _some(names: Iterable[str]) -> str:
    found = list(dict.fromkeys(names))
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")

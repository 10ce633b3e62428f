"""`/api/v2/delete`: the points of a time range, of the series that a predicate chooses."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError, invalid
from pyagent.sandbox.flux.values import parse_time
from pyagent.sandbox.http import Route, caller, find_org, no_content, read_json, state_of, text_of
from pyagent.sandbox.ids import looks_like_id, parse_id
from pyagent.sandbox.permissions import INACTIVE, allowed, is_inactive
from pyagent.sandbox.points import MAX_TIME, MIN_TIME
from pyagent.sandbox.resources.buckets import bucket_named
from pyagent.sandbox.store import Series
from pyagent.sandbox.times import rfc3339

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<paren>[()])|(?P<operator>=~|!~|!=|=|<>|[<>]=?)|\"(?P<quoted>(?:\\.|[^\"\\])*)\""
    r"|(?P<string>'(?:\\.|[^'\\])*')|(?P<word>-?[\w.]+)|(?P<other>\S))"
)


class Rule(NamedTuple):
    key: str
    equal: bool
    value: str


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        assert found is not None
        kind = str(found.lastgroup)
        value = found[kind]
        word = value.upper() if kind == "word" and value.upper() in ("AND", "OR") else ""
        yield _Token(word or kind, re.sub(r"\\(.)", r"\1", value) if kind == "quoted" else value, found.start(kind))
        at = found.end()
    yield _Token("end", "", len(text))


def parse_predicate(text: str) -> list[Rule]:
    """The rules that must all hold.

    Raises:
        InfluxError: it is not a conjunction of comparisons of tags with text.
    """
    rules: list[Rule] = []
    depth = 0
    tokens = _tokens(text)
    for token in tokens:
        if token.kind == "OR":
            raise invalid(f"the logical operator OR is not supported yet at position {token.at}")
        if token.text == "(" and token.kind == "paren":
            depth += 1
        elif token.text == ")" and token.kind == "paren":
            depth -= 1
            if depth < 0:
                raise invalid("extra ) seen")
        elif token.kind in ("word", "quoted"):
            rules.append(_rule(token, next(tokens), tokens))
        elif token.kind not in ("AND", "end"):
            raise invalid(f"bad logical expression, at position {token.at}")
    if depth > 0:
        raise invalid("extra ( seen")
    return rules


def _rule(key: _Token, operator: _Token, tokens: Iterator[_Token]) -> Rule:
    if operator.text in ("=~", "!~") and operator.kind == "operator":
        raise invalid(f'operator: "{operator.text}" at position: {operator.at} is not supported yet')
    if operator.kind != "operator" or operator.text not in ("=", "!=", "<>"):
        raise invalid(f'invalid operator "{operator.text}" at position: {operator.at}')
    value = next(tokens, _Token("end", "", operator.at + 1))
    if value.kind not in ("word", "quoted"):
        raise invalid(f'bad tag value: "{value.text}", at position {value.at}')
    if key.text == "_field" and operator.text == "=":
        raise InfluxError("not implemented", "delete by field is not supported")
    return Rule(key.text, operator.text == "=", value.text)


def _time(body: Document, name: str) -> int:
    try:
        time = int(parse_time(text_of(body, name)))
    except InfluxError:
        raise invalid(
            f"invalid RFC3339Nano for field {name}, please format your time with RFC3339Nano format, "
            f"example: {'2009-01-02T23:00:00Z' if name == 'start' else '2009-01-01T23:00:00Z'}"
        ) from None
    if time < MIN_TIME or time > MAX_TIME:
        side, bound = ("before", MIN_TIME) if name == "start" else ("after", MAX_TIME)
        raise invalid(f"invalid {name} time, {name} time must not be {side} {rfc3339(bound)}")
    return time


async def delete(request: web.Request) -> web.Response:
    body = await read_json(request, prefix="error decoding json body: ")
    try:
        start, stop = _time(body, "start"), _time(body, "stop")
        rules = parse_predicate(text_of(body, "predicate"))
    except InfluxError as error:
        if error.code == "invalid":
            raise invalid(f"error decoding json body: {error.message}") from None
        raise
    state, org, query = state_of(request), find_org(request), request.query
    given, name = query.get("bucketID"), query.get("bucket")
    if not given and not name:
        raise invalid("Please provide either bucketID or bucket")
    if given or looks_like_id(name or ""):
        bucket = state.documents.get("buckets", parse_id(given or name or ""))
        if bucket is None:
            raise InfluxError("not found", "bucket not found")
    else:
        bucket = bucket_named(state, org["id"], name or "")
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

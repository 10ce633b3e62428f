"""The embedded server's API beyond what the recording shows: permissions on every call, writes, retention, deletes, the old paths."""

import base64
import gzip
import json
import logging
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from sandbox_api import Api, reason

from pyagent.sandbox import Sandbox
from pyagent.sandbox.server import routes

NOW = datetime.now(UTC).replace(microsecond=0)
NS = int(NOW.timestamp()) * 10**9


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with Sandbox() as server, aiohttp.ClientSession() as session:
        await server.setup()
        yield Api(session, server)


@pytest.mark.parametrize(
    ("lines", "message", "kept"),
    [
        (f"m f=1 {NS}\nm f=2i {NS}\nm f=3 {NS + 1}", 'field type conflict: input field "f" on measurement "m" is type integer, '
         "already exists as type float dropped=1", [1.0, 3.0]),
        (f'm f=1,s="{"x" * 1048577}" {NS}\nm f=2 {NS}', 'input field "s" on measurement "m" is too long, 1048577 > 1048576 dropped=1',
         [2.0]),
        (f"m time=1 {NS}\nm f=2 {NS}", 'invalid field name: input field "time" on measurement "m" is invalid dropped=1', [2.0]),
    ],
    ids=["another type", "too long", "a field named time"],
)  # fmt: skip
async def test_partial_writes_keep_the_good_points(api: Api, lines: str, message: str, kept: list[float]) -> None:
    status, text = reason(await api.write(lines))
    assert (status, text) == (422, f"failure writing points to database: partial write: {message}")
    assert await api.values() == kept


async def test_a_field_named_time_is_stripped_and_reported(api: Api) -> None:
    status, text = reason(await api.write(f"m f=1,time=2 {NS}"))
    assert status == 422
    assert 'Field "time" has been stripped from point. dropped=0 for database:' in text
    assert await api.values() == [1.0]


async def test_types_are_fixed_per_shard_and_measurement(api: Api) -> None:
    week = 7 * 86400 * 10**9
    assert (await api.write(f"m f=1 {NS}\nother f=1i {NS}"))[0] == 204
    assert (await api.write(f"m f=1i {NS - 2 * week}"))[0] == 204
    assert (await api.write(f"m,host=x f=1i {NS}"))[0] == 422


async def test_fields_of_one_point_merge_and_the_last_value_wins(api: Api) -> None:
    assert (await api.write(f"m,b=2,a=1 f=1,g=1 {NS}\nm,a=1,b=2 g=2,h=3 {NS}"))[0] == 204
    assert (await api.write(f"m,a=1,b=2 f=4 {NS}"))[0] == 204
    assert await api.values() == [4.0, 2.0, 3.0]
    assert await api.server.count() == 1


async def test_precision_and_times_outside(api: Api) -> None:
    assert (await api.write("m f=1 1\nm f=2 -1", "&precision=ms"))[0] == 204
    assert [
        row["_time"] for row in await api.server.query('from(bucket: "monitoring-system") |> range(start: -100)')
    ] == [
        datetime(1969, 12, 31, 23, 59, 59, 999000, UTC),
        datetime(1970, 1, 1, 0, 0, 0, 1000, UTC),
    ]
    status, text = reason(await api.write("m f=1 9223372036854775807", "&precision=s"))
    assert (status, text.rpartition("': ")[2]) == (400, "time outside range -9223372036854775806 - 9223372036854775806")


async def test_retention_refuses_and_deletes_what_is_too_old(api: Api) -> None:
    await api.server.add_bucket("hour", 3600)
    old = NS - 2 * 3600 * 10**9
    status, answer = await api("POST", "/api/v2/write?org=home&bucket=hour", f"m f=1 {old}\nm f=2 {NS}")
    assert status == 422
    assert "dropped 1 points outside retention policy of duration 1h0m0s - oldest point m at " in answer["message"]
    assert await api.values(bucket="hour") == [2.0]
    later = NS + 3 * 3600 * 10**9
    api.server.state.clock = lambda: later
    await api.server.expire()
    assert await api.values(bucket="hour") == []


async def test_compressed_bodies(api: Api) -> None:
    packed = gzip.compress(f"m f=1 {NS}\n".encode()) + gzip.compress(f"m f=2 {NS + 1}".encode())
    assert (await api.write(packed, Content_Encoding="gzip"))[0] == 204
    assert await api.values() == [1.0, 2.0]
    damaged = packed[:30] + b"\0\0\0\0" + packed[34:]
    assert reason(await api.write(damaged, Content_Encoding="gzip")) == (
        400,
        "unable to read data: gzip: invalid checksum",
    )
    assert (await api.write(b"", Content_Encoding="gzip"))[0] == 500
    bomb = gzip.compress(b"\n" * (65 * 2**20), 1)
    assert reason(await api.write(bomb, Content_Encoding="gzip")) == (
        413,
        "unable to read data: points batch is too large",
    )


@pytest.mark.parametrize(
    ("predicate", "left"),
    [
        ('_measurement="m" AND host="a"', [2.0, 3.0]),
        ('_measurement="m"', [3.0]),
        ('host!="a"', [1.0]),
        ('(_measurement=m and host=b)', [1.0, 3.0]),
        ("", []),
    ],
)  # fmt: skip
async def test_delete(api: Api, predicate: str, left: list[float]) -> None:
    await api.write(f"m,host=a f=1 {NS}\nm,host=b f=2 {NS}\nn f=3 {NS}")
    body = {"start": "1970-01-01T00:00:00Z", "stop": NOW.isoformat().replace("+00:00", "Z"), "predicate": predicate}
    assert await api("POST", "/api/v2/delete?org=home&bucket=monitoring-system", body) == (204, "")
    assert await api.values() == left


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"start": "x", "stop": "y"}, 400, "error decoding json body: invalid RFC3339Nano for field start, please format your time "
         "with RFC3339Nano format, example: 2009-01-02T23:00:00Z"),
        ({"predicate": 'a="b" OR c="d"'}, 400, "error decoding json body: the logical operator OR is not supported yet at position 6"),
        ({"predicate": 'a=~/b/'}, 400, 'error decoding json body: operator: "=~" at position: 1 is not supported yet'),
        ({"predicate": "a='b'"}, 400, "error decoding json body: bad tag value: \"b\", at position 2"),
        ({"predicate": '(a="b"'}, 400, "error decoding json body: extra ( seen"),
        ({"predicate": '_field="f"'}, 501, "delete by field is not supported"),
    ],
)  # fmt: skip
async def test_deletes_that_are_refused(api: Api, body: dict[str, str], status: int, message: str) -> None:
    whole = {"start": "1970-01-01T00:00:00Z", "stop": "2100-01-01T00:00:00Z", **body}
    assert reason(await api("POST", "/api/v2/delete?org=home&bucket=monitoring-system", whole)) == (status, message)


async def test_old_write_path_and_its_ways_to_sign_in(api: Api) -> None:
    plain = "Basic " + base64.b64encode(f"admin:{api.server.token}".encode()).decode()
    ways = [
        ({}, f"&u=any&p={api.server.token}"),
        ({"Authorization": plain}, ""),
        ({"Authorization": f"Token a:{api.server.token}"}, ""),
    ]
    for number, (headers, query) in enumerate(ways):
        path = f"{api.server.url}/write?db=monitoring-system&precision=h{query}"
        async with api.session.post(path, data=f"m f=1 {number + 1}", headers=headers) as response:
            assert response.status == 204
    assert await api.server.count() == 3
    for headers in ({"Authorization": f"Bearer {api.server.token}"}, {}, {"Authorization": "Basic !"}):
        async with api.session.post(
            f"{api.server.url}/write?db=monitoring-system", data="m f=1", headers=headers
        ) as response:
            assert response.status == 401
    await api.server.add_bucket("telegraf/week")
    assert (await api("POST", "/write?db=telegraf&rp=week", "m f=1"))[0] == 204
    assert reason(await api("POST", "/write?db=telegraf&rp=day", "m f=1")) == (404, "no dbrp mapping found")
    assert reason(await api("POST", "/write", "m f=1")) == (400, "missing db")


async def test_a_token_may_do_what_it_says_and_no_more(api: Api) -> None:
    server = api.server
    other = await server.add_bucket("other")
    config = await server.add_telegraf("ram", "")
    api.token = await server.authorize(read=["other"], write=["monitoring-system"], telegrafs=[config])
    assert (await api.write("m f=1"))[0] == 204
    assert (await api("POST", "/api/v2/write?org=home&bucket=other", "m f=1"))[0] == 403
    query = {"query": 'from(bucket: "other") |> range(start: -1h)'}
    assert (await api("POST", "/api/v2/query?org=home", query))[0] == 200
    query = {"query": 'from(bucket: "monitoring-system") |> range(start: -1h)'}
    assert (await api("POST", "/api/v2/query?org=home", query))[0] == 404
    query = {"query": "buckets()"}
    assert "other" in (await api("POST", "/api/v2/query?org=home", query))[1]
    query = {"query": 'from(bucket: "other") |> range(start: -1h) |> to(bucket: "other")'}
    assert (await api("POST", "/api/v2/query?org=home", query))[0] == 404
    assert [bucket["name"] for bucket in (await api("GET", "/api/v2/buckets"))[1]["buckets"]] == ["other"]
    body = {"start": "1970-01-01T00:00:00Z", "stop": "2100-01-01T00:00:00Z"}
    assert (await api("POST", "/api/v2/delete?org=home&bucket=other", body))[0] == 403
    for method, path, body in (
        ("DELETE", f"/api/v2/buckets/{other}", None),
        ("PATCH", f"/api/v2/buckets/{other}", {"name": "x"}),
        ("POST", "/api/v2/buckets", {"orgID": server.org_id, "name": "x"}),
        ("POST", "/api/v2/orgs", {"name": "x"}),
        ("PATCH", f"/api/v2/orgs/{server.org_id}", {"name": "x"}),
        ("GET", f"/api/v2/orgs/{server.org_id}", None),
        ("PUT", f"/api/v2/telegrafs/{config}", {"config": ""}),
        ("DELETE", f"/api/v2/telegrafs/{config}", None),
        ("POST", "/api/v2/telegrafs", {"orgID": server.org_id, "config": ""}),
        ("POST", "/api/v2/labels", {"orgID": server.org_id, "name": "x"}),
        ("POST", "/api/v2/users", {"name": "x"}),
        ("POST", "/api/v2/authorizations", {"orgID": server.org_id, "permissions": [{"action": "read", "resource": {"type": "buckets"}}]}),
    ):  # fmt: skip
        status, answer = await api(method, path, body)
        assert (status, answer["code"]) == (401, "unauthorized"), (method, path)
    assert reason(await api("GET", f"/api/v2/buckets/{server.bucket_id}/members")) == (404, "404 page not found")


async def test_no_token_gives_more_than_its_maker_has(api: Api) -> None:
    server = api.server
    user = (await api("GET", "/api/v2/me"))[1]["id"]
    org = {"orgID": server.org_id}
    body = {**org, "permissions": [
        {"action": "write", "resource": {"type": "authorizations", **org}},
        {"action": "write", "resource": {"type": "users", "id": user}},
    ]}  # fmt: skip
    status, answer = await api("POST", "/api/v2/authorizations", body)
    assert status == 201
    api.token = answer["token"]
    body = {**org, "permissions": [{"action": "read", "resource": {"type": "buckets", **org}}]}
    status, answer = await api("POST", "/api/v2/authorizations", body)
    assert (status, answer["code"]) == (403, "forbidden")


async def test_labels_and_members(api: Api) -> None:
    server = api.server
    config = await server.add_telegraf("ram", "")
    status, made = await api(
        "POST", "/api/v2/labels", {"orgID": server.org_id, "name": "prod", "properties": {"color": "red"}}
    )
    assert (status, made["label"]["properties"]) == (201, {"color": "red"})
    label = made["label"]["id"]
    for path in (f"/api/v2/telegrafs/{config}", f"/api/v2/buckets/{server.bucket_id}"):
        assert (await api("POST", f"{path}/labels", {"labelID": label}))[0] == 201
        assert [one["name"] for one in (await api("GET", f"{path}/labels"))[1]["labels"]] == ["prod"]
        assert [one["name"] for one in (await api("GET", path, None, {"Accept": "application/json"}))[1]["labels"]] == [
            "prod"
        ]
        assert await api("DELETE", f"{path}/labels/{label}") == (204, "")
        assert (await api("GET", f"{path}/labels"))[1]["labels"] == []
        _, user = await api("POST", "/api/v2/users", {"name": f"user of {path}"})
        assert (await api("POST", f"{path}/members", {"id": user["id"]}))[1]["role"] == "member"
        assert [one["id"] for one in (await api("GET", f"{path}/members"))[1]["users"]] == [user["id"]]
        assert await api("DELETE", f"{path}/members/{user['id']}") == (204, "")
    assert await api("DELETE", f"/api/v2/labels/{label}") == (204, "")
    assert (await api("GET", f"/api/v2/labels/{label}"))[0] == 404


async def test_paging(api: Api) -> None:
    for number in range(25):
        await api.server.add_bucket(f"b{number:02}")
    _, first = await api("GET", "/api/v2/buckets?org=home")
    assert (len(first["buckets"]), set(first["links"])) == (20, {"self", "next"})
    _, second = await api("GET", first["links"]["next"])
    assert (len(second["buckets"]), set(second["links"])) == (8, {"prev", "self"})
    names = [bucket["name"] for bucket in first["buckets"] + second["buckets"]]
    assert names == sorted(names)
    assert reason(await api("GET", "/api/v2/buckets?limit=101")) == (400, "limit must be between 1 and 100")


async def test_organisations(api: Api) -> None:
    status, made = await api("POST", "/api/v2/orgs", {"name": "second"})
    assert status == 201
    assert reason(await api("POST", "/api/v2/orgs", {"name": "second"})) == (
        422,
        "organization with name second already exists",
    )
    assert (await api("PATCH", f"/api/v2/orgs/{made['id']}", {"name": "third"}))[1]["name"] == "third"
    assert await api("DELETE", f"/api/v2/orgs/{made['id']}") == (204, "")
    assert (await api("GET", f"/api/v2/orgs/{made['id']}"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("GET", "/api/v2/buckets/zz", None, 400, "id must have a length of 16 bytes"),
        ("GET", "/api/v2/telegrafs?orgID=zz", None, 400, "orgID is invalid: id must have a length of 16 bytes"),
        ("POST", "/api/v2/query?org=home", "{", 400, None),
        ("POST", "/api/v2/query?org=home", {"query": "buckets()", "type": "influxql"}, 400,
         "failed to decode request body: unknown query type: influxql"),
        ("POST", "/api/v2/query?org=home", {"query": "buckets()", "dialect": {"annotations": ["x"]}}, 400,
         "failed to decode request body: unknown dialect annotation type: x"),
        ("POST", "/api/v2/query?org=home", {"query": "buckets()", "extern": {"imports": [], "body": [{"type": "Nope"}]}}, 400,
         "cannot decode extern: Nope is not supported by this server"),
        ("POST", "/api/v2/query?org=home", '{"query": "buckets()", "extern": {"imports": []}}', 400,
         "compilation failed: extern json parse error: missing field `body` at line 1 column 59"),
        ("POST", "/api/v2/buckets", [], 400, None),
        ("POST", "/api/v2/authorizations", {}, 400, "authorization must include permissions"),
        ("GET", "/api/v2/telegrafs/0123456789abcdef/nothing", None, 404, "path not found"),
        ("GET", "/api/v2/telegraf/plugins?type=nope", None, 500, "An internal error has occurred - check server logs"),
    ],
)  # fmt: skip
async def test_refusals_have_influxdbs_form(
    api: Api, method: str, path: str, body: Any, status: int, message: str | None
) -> None:
    got, headers, text = await api.full(method, path, body)
    answer = json.loads(text)
    assert (got, list(answer)) == (status, ["code", "message"])
    assert headers["X-Platform-Error-Code"] == answer["code"]
    assert message in (None, answer["message"])


_METHODS = {"code": "method not allowed", "message": "allow: OPTIONS, POST"}
_NO_PATH = {"code": "not found", "message": "path not found"}


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "body"),
    [
        ("DELETE", "/api/v2/setup", 405, None, ""),
        ("HEAD", "/api/v2/buckets", 405, None, ""),
        ("PUT", "/api/v2/orgs/0123456789abcdef/", 405, None, ""),
        ("OPTIONS", "/api/v2/nope", 405, None, ""),
        ("GET", "/api/v2/buckets/0123456789abcdef/log", 404, "text/plain", "404 page not found\n"),
        ("GET", "/api/v2/buckets/0123456789abcdef/labels/1/2", 404, "application/json", _NO_PATH),
        ("PUT", "/api/v2/buckets/0123456789abcdef/labels", 405, "application/json", {**_METHODS, "message": "allow: "}),
        ("GET", "/api/v2/query", 405, "application/json", _METHODS),
        ("GET", "/api/v2/query/nope", 404, "application/json", _NO_PATH),
        ("GET", "/write", 405, "application/json", _METHODS),
        ("GET", "/api/v2/tasks/", 301, "text/html", None),
        ("POST", "/api/v2/query/", 307, None, ""),
        ("OPTIONS", "/write", 200, None, ""),
        ("POST", "/ping", 405, "text/plain", "Method Not Allowed\n"),
        ("OPTIONS", "/ping", 200, None, ""),
        ("GET", "/api/v2/nope", 404, "application/json", _NO_PATH),
        ("DELETE", "/private/legacy/authorizations", 405, None, ""),
        ("GET", "/api/v2/stacks/x/y", 404, "text/plain", "404 page not found\n"),
        ("GET", "/api/v2/swagger.json", 404, "text/plain", "no assets included in binary\n"),
        ("POST", "/", 404, "text/plain", "no assets included in binary\n"),
        ("DELETE", "/ready", 200, "application/json", None),
        ("PUT", "/api/v2/flags", 200, "application/json", None),
    ],
)  # fmt: skip
async def test_paths_and_methods_without_a_handler(
    api: Api, method: str, path: str, status: int, kind: str | None, body: Any
) -> None:
    got, headers, text = await api.full(method, path)
    assert (got, headers.get("Content-Type", "").partition(";")[0] or None) == (status, kind)
    assert body in (None, json.loads(text) if text.startswith("{") else text)
    assert headers.get("X-Platform-Error-Code") == (body["code"] if isinstance(body, dict) else None)
    assert "Server" not in headers


async def test_lists_of_what_is_not_there(api: Api) -> None:
    for kind in ("tasks", "dashboards", "checks", "notificationRules", "notificationEndpoints"):
        status, answer = await api("GET", f"/api/v2/{kind}?org=home")
        assert (status, answer[kind]) == (200, [])
        assert (await api("POST", f"/api/v2/{kind}", {}))[0] == 501
    for kind in ("stacks", "remotes", "replications"):
        assert await api("GET", f"/api/v2/{kind}?orgID={api.server.org_id}") == (200, {kind: []})
        assert (await api("GET", f"/api/v2/{kind}"))[0] == 400
    assert (await api("GET", "/private/legacy/authorizations"))[1]["authorizations"] == []
    assert reason(await api("GET", "/api/v2/tasks?limit=0")) == (
        400,
        "failed to decode request: limit must be between 1 and 500",
    )
    assert reason(await api("GET", "/query?q=SHOW+DATABASES"))[0] == 501


async def test_long_bodies(api: Api) -> None:
    query = {"query": f'import "array" array.from(rows: [{{a: "{"x" * 2**19}"}}])'}
    status, answer = await api("POST", "/api/v2/query?org=home", query)
    assert (status, len(answer) > 2**19) == (200, True)
    assert reason(await api("POST", "/api/v2/buckets", f'["{"x" * 2**19}"')) == (
        400,
        "failed to unmarshal json: unexpected EOF",
    )


async def test_databases_of_the_buckets_names(api: Api) -> None:
    await api.server.add_bucket("telegraf/week")
    _, answer = await api("GET", "/api/v2/dbrps?org=home&db=telegraf")
    named = [(one["database"], one["retention_policy"], one["default"]) for one in answer["content"]]
    assert named == [("telegraf", "week", False)]
    assert reason(await api("POST", "/write?db=telegraf", "m f=1")) == (404, "no dbrp mapping found")
    assert (await api("GET", "/api/v2/dbrps?org=home&default=true&db=telegraf"))[1]["content"] == []
    assert reason(await api("GET", "/api/v2/dbrps")) == (400, "either 'org' or 'orgID' must be provided")


async def test_slashes_at_the_end_of_a_path(api: Api) -> None:
    assert (await api("GET", "/api/v2/buckets/"))[0] == 200
    assert (await api("GET", f"/api/v2/orgs/{api.server.org_id}/"))[0] == 200


async def test_plugins_body_of_the_page(api: Api) -> None:
    plugins = (await api("GET", "/api/v2/telegraf/plugins?type=input"))[1]["plugins"]
    assert {"mem", "cpu", "tail"} <= {plugin["name"] for plugin in plugins}
    body = {
        "orgID": api.server.org_id,
        "name": "x",
        "plugins": [{"type": "input", "name": plugin["name"]} for plugin in plugins],
    }
    status, made = await api("POST", "/api/v2/telegrafs", body)
    assert status == 201
    import tomli

    assert set(tomli.loads(made["config"])["inputs"]) == {plugin["name"] for plugin in plugins}


async def test_long_answers_are_compressed_for_those_who_ask(api: Api) -> None:
    times = (NOW - timedelta(seconds=number) for number in range(100))
    await api.write("\n".join(f"m f=1 {int(time.timestamp())}" for time in times), "&precision=s")
    body = {"query": 'from(bucket: "monitoring-system") |> range(start: -1h)'}
    _, headers, text = await api.full("POST", "/api/v2/query?org=home", body, {"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    assert text.count("\r\n") == 102


ODD = [b"", b"null", b"[]", b"{", b"[" * 5000, b"\xff", b'"\\ud800"', b"{}"]
NAMES = ["name", "orgID", "org", "bucket", "username", "password", "token", "retentionRules", "retentionPeriodSeconds", "permissions",
         "status", "userID", "config", "metadata", "plugins", "labelID", "id", "properties", "query", "dialect", "extern", "start",
         "predicate"]  # fmt: skip
VALUES = [None, 5, True, [], {}, "\ud800", "x", [1], [{}], {"a": 1}, 2**70]


async def test_odd_bodies_are_refused_everywhere_and_nothing_breaks(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """What InfluxDB's own handlers answer with 500 is a refusal in its words; a fault of ours would be logged."""
    chance = random.Random(1)
    paths = [
        (route.method.replace("*", "POST"), re.sub(r"\{\w+\}", api.server.bucket_id, route.path))
        for route in routes()
        if route.method != "GET"
    ]
    for method, path in paths:
        bodies = [
            *ODD,
            *(
                json.dumps({name: chance.choice(VALUES) for name in chance.sample(NAMES, 6)}).encode()
                for _ in range(12)
            ),
        ]
        for body in bodies if method != "DELETE" else []:
            await api(method, path + "?org=home&bucket=monitoring-system&db=monitoring-system", body)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []

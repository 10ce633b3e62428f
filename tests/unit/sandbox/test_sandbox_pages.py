"""The pages' server side, without a browser: what is served, to whom, and what other sites' pages cannot do."""

import asyncio
import gzip
import io
import json
import re
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import tomli

from pyagent.runtime.control import ControlServer
from pyagent.runtime.log import component_logger
from pyagent.sandbox import Sandbox, pages

STATIC = Path(pages.__file__).parent / "static"
PASSWORD = "correct horse"
BASIC = {"Authorization": f"Basic {b64encode(f'admin:{PASSWORD}'.encode()).decode()}"}


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as made:
        await made.setup(password=PASSWORD)
        yield made


@pytest.fixture
async def client(server: Sandbox) -> AsyncIterator[aiohttp.ClientSession]:
    """As a browser: it keeps cookies."""
    async with aiohttp.ClientSession(server.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as made:
        yield made


async def ask(client: aiohttp.ClientSession, method: str, path: str, **more: Any) -> tuple[int, Any, str]:
    async with client.request(method, path, **more) as response:
        return response.status, response.headers, await response.text(errors="replace")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/ui/app.js", "text/javascript; charset=utf-8"),
        ("/ui/style.css", "text/css; charset=utf-8"),
        ("/ui/icon.svg", "image/svg+xml"),
        ("/ui/uplot-license.txt", "text/plain; charset=utf-8"),
    ],
)
async def test_everybody_may_see_the_files_and_nothing_can_be_put_into_them(
    client: aiohttp.ClientSession, path: str, kind: str
) -> None:
    status, headers, text = await ask(client, "GET", path)
    assert (status, headers["Content-Type"]) == (200, kind)
    assert text
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in headers
    status, _, text = await ask(client, "GET", path, headers={"If-None-Match": headers["ETag"]})
    assert (status, text) == (304, "")
    status, head, text = await ask(client, "HEAD", path)
    assert (status, text, head["ETag"]) == (200, "", headers["ETag"])


@pytest.mark.parametrize(
    "path", ["/ui/nothing.js", "/ui/..%2ffiles.py", "/ui/%2e%2e/files.py", "/ui/__init__.py", "/ui/"]
)
async def test_nothing_else_is_a_file(client: aiohttp.ClientSession, path: str) -> None:
    from yarl import URL

    status, _, text = await ask(client, "GET", str(URL(path, encoded=True)))
    assert (status, text) == (404, "no assets included in binary\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_calls_of_the_pages_paths_are_answered_as_before(
    server: Sandbox, client: aiohttp.ClientSession, method: str
) -> None:
    for path in ("/", "/ui/app.js", "/nope"):
        status, _, text = await ask(client, method, path, headers={"Authorization": f"Token {server.token}"})
        assert (status, text) == (404, "no assets included in binary\n")


async def test_the_files_ask_no_one_else_and_hold_nothing_that_the_policy_refuses() -> None:
    for path in STATIC.iterdir():
        text = path.read_text()
        if path.name.startswith("uplot"):
            continue
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", text)) - {"http://www.w3.org/2000/svg"}
        assert not addresses, path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text), path
        assert not re.search(r"localStorage|sessionStorage|document\.cookie", text), path
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"\son\w+=|style=|<style|<script>", page)
    assert sum(path.stat().st_size for path in STATIC.iterdir()) < 120 * 1024


def test_what_a_page_imports_is_there() -> None:
    for path in STATIC.glob("*.js"):
        for name in re.findall(r'from "\./([\w.]+)"', path.read_text()):
            assert (STATIC / name).is_file(), f"{path.name} imports {name}"
    for name in re.findall(r'"/ui/([^"]+)"', (STATIC / "index.html").read_text()):
        assert (STATIC / name).is_file()


async def test_sign_in_gives_a_cookie_that_scripts_cannot_read_and_sign_out_ends_it(
    client: aiohttp.ClientSession,
) -> None:
    assert (await ask(client, "GET", "/api/v2/me"))[0] == 401
    status, headers, text = await ask(client, "POST", "/api/v2/signin", headers=BASIC)
    assert (status, text) == (204, "")
    cookie = headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/api/"} <= {part.strip() for part in cookie.split(";")}
    assert (await ask(client, "GET", "/api/v2/me"))[0] == 200
    assert (await ask(client, "POST", "/api/v2/signout"))[0] == 204
    old = {"Cookie": cookie.partition(";")[0]}
    assert (await ask(client, "GET", "/api/v2/me", headers=old))[0] == 401


async def test_a_session_ends_when_it_is_not_used(server: Sandbox, client: aiohttp.ClientSession) -> None:
    await ask(client, "POST", "/api/v2/signin", headers=BASIC)
    cookie = {"Cookie": f"influxdb-oss-session={next(iter(server.state.sessions))}"}
    now = server.state.clock()
    server.state.clock = lambda: now + 3599 * 10**9
    assert (await ask(client, "GET", "/api/v2/me", headers=cookie))[0] == 200
    server.state.clock = lambda: now + (3599 + 3601) * 10**9
    assert (await ask(client, "GET", "/api/v2/me", headers=cookie))[0] == 401
    assert not server.state.sessions


FOREIGN = [
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
    {"Origin": "https://example.org"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "rebound.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda one: next(iter(one.values())))
async def test_pages_of_others_cannot_use_the_session(
    server: Sandbox, client: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    await ask(client, "POST", "/api/v2/signin", headers=BASIC)
    url = f"/api/v2/write?org=home&bucket={server.bucket}"
    for method, path in (("POST", url), ("GET", "/api/v2/authorizations"), ("POST", "/api/v2/signout")):
        status, answered, _ = await ask(client, method, path, data=b"m f=1" if path == url else None, headers=headers)
        assert status in (401, 403), (method, path)
        assert "Access-Control-Allow-Credentials" not in answered
    assert await server.count() == 0
    own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    assert (await ask(client, "POST", url, data=b"m f=1", headers=own))[0] == 204
    # With a token, which no browser adds by itself, pages of this machine may call as before.
    if headers.get("Origin", "").startswith("http://"):
        token = {"Authorization": f"Token {server.token}"}
        assert (await ask(client, "POST", url, data=b"m f=2", headers=headers | token))[0] == 204


SET_UP = {"username": "admin", "password": PASSWORD, "org": "home", "bucket": "b"}


async def test_set_up_by_a_page_gives_a_session_and_no_token() -> None:
    async with (
        Sandbox() as server,
        aiohttp.ClientSession(server.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client,
    ):
        status, headers, text = await ask(client, "POST", "/api/sandbox/setup", json=SET_UP)
        assert (status, text) == (204, "")
        assert "HttpOnly" in headers["Set-Cookie"]
        status, _, text = await ask(client, "GET", "/api/v2/buckets?name=b")
        assert status == 200
        assert '"name": "b"' in text
        assert (await ask(client, "POST", "/api/sandbox/setup", json=SET_UP))[0] == 422


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"password": ""}, 422, "password"),
        ({"password": "short"}, 400, "between 8 and 72"),
        ({"username": ""}, 422, "username"),
        ({"org": 3}, 400, "org"),
    ],
)
async def test_set_up_by_a_page_refuses(change: dict[str, Any], status: int, words: str) -> None:
    async with Sandbox() as server, aiohttp.ClientSession(server.url) as client:
        answer = await ask(client, "POST", "/api/sandbox/setup", json=SET_UP | change)
        assert answer[0] == status
        assert words in answer[2]
        assert not server.is_set_up


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda one: next(iter(one.values())))
async def test_pages_of_others_cannot_set_up(headers: dict[str, str]) -> None:
    async with Sandbox() as server, aiohttp.ClientSession(server.url) as client:
        assert (await ask(client, "POST", "/api/sandbox/setup", json=SET_UP, headers=headers))[0] == 403
        assert not server.is_set_up


async def asked(client: aiohttp.ClientSession, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """In a session."""
    await ask(client, "POST", "/api/v2/signin", headers=BASIC)
    status, _, text = await ask(client, "GET" if body is None else "POST", path, json=body, headers=headers)
    return status, json.loads(text)


OWN_CALLS = [
    ("GET", "/api/sandbox/plugins"),
    ("POST", "/api/sandbox/configuration"),
    ("POST", "/api/sandbox/check"),
    ("POST", "/api/sandbox/upload?bucket=BUCKET"),
    ("GET", "/api/sandbox/agents"),
]


@pytest.mark.parametrize(("method", "path"), OWN_CALLS)
async def test_the_pages_calls_need_a_session_or_a_token_that_may(
    server: Sandbox, client: aiohttp.ClientSession, method: str, path: str
) -> None:
    narrow = await server.authorize(read=[server.bucket])
    path = path.replace("BUCKET", server.bucket_id)
    body = {} if method == "POST" else None
    for headers in ({}, {"Authorization": f"Token {narrow}"}, {"Authorization": "Token nope"}):
        assert (await ask(client, method, path, json=body, headers=headers))[0] in (401, 403)
    await ask(client, "POST", "/api/v2/signin", headers=BASIC)
    foreign = {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}
    assert (await ask(client, method, path, json=body, headers=foreign))[0] == 401


async def test_the_installed_inputs_with_sample_options_and_units(client: aiohttp.ClientSession) -> None:
    status, answer = await asked(client, "/api/sandbox/plugins")
    assert status == 200
    inputs = {one["name"]: one for one in answer["inputs"]}
    mem = inputs["mem"]
    assert mem["text"] == "Memory of the host."
    assert "[[inputs.mem]]" in mem["sample"]
    assert mem["measurements"]["mem"]["used"] == "bytes"
    (option,) = mem["options"]
    assert (option["name"], option["type"], option["default"]) == ("collect_extended", "boolean", False)
    types = {one["name"]: one["type"] for one in inputs["postgresql"]["options"]}
    assert (types["databases"], types["max_idle"], types["max_lifetime"]) == ("list of string", "integer", "duration")
    options = {one["name"]: one.get("choices") for one in inputs["http_listener_v2"]["options"]}
    assert options["data_source"] == ["body", "query"]
    assert "parser_type" not in {one["name"] for one in inputs["influxdb_v2_listener"]["options"]}, "it has no effect"


async def test_a_text_of_what_is_chosen_is_one_that_an_agent_takes(client: aiohttp.ClientSession) -> None:
    chosen = [
        {"name": "mem", "options": {"collect_extended": True}},
        {"name": "postgresql", "options": {"address": "host=x password=${PW}", "databases": ['a"b'], "max_idle": 2}},
    ]
    body = {"bucket": 'b${x}"', "org": "home", "inputs": chosen}
    status, answer = await asked(client, "/api/sandbox/configuration", body)
    assert status == 200
    made = tomli.loads(answer["config"])
    assert made["outputs"]["influxdb_v2"][0]["bucket"] == 'b$${x}"'
    assert made["outputs"]["influxdb_v2"][0]["token"] == "$INFLUX_TOKEN"
    assert made["outputs"]["influxdb_v2"][0]["urls"] == [str(client._base_url).rstrip("/")]
    assert made["inputs"]["mem"] == [{"collect_extended": True}]
    assert made["inputs"]["postgresql"] == [{"address": "host=x password=${PW}", "databases": ['a"b'], "max_idle": 2}]
    assert await asked(client, "/api/sandbox/check", {"config": answer["config"]}) == (200, {"mistakes": []})


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ("mem", "list of objects"),
        ([{"name": "memm"}], "did you mean inputs.mem?"),
        ([{"name": "mem", "options": {"nope": 1}}], "names of its options"),
        ([{"name": "mem", "options": [1]}], "names of its options"),
        ([{"name": "mem", "options": {"collect_extended": None}}], "no value of TOML"),
    ],
)
async def test_what_cannot_be_chosen_is_refused(client: aiohttp.ClientSession, inputs: Any, words: str) -> None:
    status, answer = await asked(client, "/api/sandbox/configuration", {"bucket": "b", "org": "o", "inputs": inputs})
    assert (status, words in answer["message"]) == (400, True)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[[inputs.mem]]\n  nope = 1", "line 2: "),
        ("[[", "line 1: "),
        ("", "it has no inputs"),
    ],
)
async def test_mistakes_are_told_with_their_line(client: aiohttp.ClientSession, config: str, words: str) -> None:
    status, answer = await asked(client, "/api/sandbox/check", {"config": config})
    assert status == 200
    assert words in answer["mistakes"][0]


ANNOTATED = """\
#group,false,false,true,true,false,false,true,true,true
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#default,last,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,host
,,0,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-01-02T00:00:00Z,1.5,used,mem,a
,,0,2026-01-01T00:00:00Z,2026-02-01T00:00:00Z,2026-01-02T00:00:10Z,2.5,used,mem,a
"""


async def uploaded(
    client: aiohttp.ClientSession, server: Sandbox, body: str | bytes, name: str = "points.csv", **query: str
) -> tuple[int, Any]:
    await ask(client, "POST", "/api/v2/signin", headers=BASIC)
    data = body.encode() if isinstance(body, str) else body
    params = {"bucket": server.bucket_id, "name": name} | query
    status, _, text = await ask(client, "POST", "/api/sandbox/upload", params=params, data=io.BytesIO(data))
    return status, json.loads(text)


@pytest.mark.parametrize(
    ("body", "name", "query", "measurement", "points"),
    [
        (ANNOTATED, "points.csv", {}, "mem", 2),
        (gzip.compress(ANNOTATED.encode()), "points.csv.gz", {}, "mem", 2),
        ("m,host=a f=1,g=2i 1767312000\nm,host=a f=2 1767312010\n", "x.lp", {"precision": "s"}, "m", 2),
        ("time,room,degrees\n2026-01-02T00:00:00Z,kitchen,21.5\n", "C:\\folder\\../weather.csv", {}, "weather", 1),
        ("time,degrees\n2026-01-02T00:00:00Z,21.5\n", "..", {}, "upload", 1),
    ],
    ids=["annotated", "compressed", "line protocol", "no annotations", "no name"],
)
async def test_files_that_are_uploaded(
    server: Sandbox,
    client: aiohttp.ClientSession,
    body: str | bytes,
    name: str,
    query: dict[str, str],
    measurement: str,
    points: int,
) -> None:
    status, answer = await uploaded(client, server, body, name, **query)
    assert (status, answer["written"], answer["refused"], answer["failure"]) == (200, points, 0, "")
    assert await server.count(measurement) == points


async def test_rows_that_are_refused_cost_no_others_and_are_told(
    server: Sandbox, client: aiohttp.ClientSession
) -> None:
    _, answer = await uploaded(client, server, ANNOTATED.replace(",1.5,", ",x,"), "points.csv")
    assert (answer["written"], answer["refused"]) == (1, 1)
    assert answer["reasons"][0].startswith("line 5: ")
    _, answer = await uploaded(client, server, "mem,host=a used=1i 1767312020000000000\nmem ok=1\n", "x.lp")
    assert (answer["written"], answer["refused"]) == (1, 1)
    assert "already exists as type float" in answer["reasons"][0]
    many = "".join(f"m f=x{number}\n" for number in range(100))
    _, answer = await uploaded(client, server, many, "x.lp")
    assert (answer["written"], answer["refused"], len(answer["reasons"])) == (0, 100, 20)


async def test_what_no_file_of_points_is_is_told_with_its_own_name(
    server: Sandbox, client: aiohttp.ClientSession
) -> None:
    _, answer = await uploaded(client, server, b"PK\x03\x04" + bytes(100), "table.xlsx")
    assert answer["failure"].startswith("table.xlsx: it is no text")
    assert "spreadsheets" in answer["failure"]
    assert "/tmp" not in json.dumps(answer)


async def test_a_small_file_that_becomes_a_large_one_is_ended(
    server: Sandbox, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyagent.sandbox.pages.uploads.MOST_LINES", 1 << 20)
    large = gzip.compress(b"".join(b"m f=1 %d\n" % number for number in range(300_000)), 1)
    _, answer = await uploaded(client, server, large, "x.lp.gz")
    assert "more than 1 MiB of line protocol" in answer["failure"]
    assert answer["written"] < 300_000
    assert await server.count() == answer["written"]


@pytest.mark.parametrize(
    ("query", "status"),
    [({"bucket": "0123456789abcdef"}, 404), ({"bucket": "x"}, 400), ({"precision": "h"}, 400)],
)
async def test_uploads_that_are_refused(
    server: Sandbox, client: aiohttp.ClientSession, query: dict[str, str], status: int
) -> None:
    assert (await uploaded(client, server, "m f=1", **query))[0] == status
    other = await server.add_bucket("other")
    token = {"Authorization": f"Token {await server.authorize(write=['other'])}"}
    for bucket, expected in ((other, 200), (server.bucket_id, 403)):
        path = f"/api/sandbox/upload?bucket={bucket}&name=x.lp"
        assert (await ask(client, "POST", path, data=b"m f=1", headers=token))[0] == expected


async def test_the_agents_of_this_host_are_asked_and_one_that_fails_harms_no_other(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("dead", "ended", "garbage", "ram"):
        (tmp_path / name).mkdir()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "dead" / "control.sock"))
    configuration = {"waiting": "<b>", "last_reload_ok": True}
    document = {"configuration": configuration, "outputs": [], "inputs": []}
    control = ControlServer(tmp_path / "ram" / "control.sock", lambda: dict(document), component_logger("control"), {})

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")
        writer.close()

    garbage = await asyncio.start_unix_server(nonsense, tmp_path / "garbage" / "control.sock")
    await control.start()
    async with Sandbox(agents=tmp_path) as server, aiohttp.ClientSession(server.url) as client:
        await server.setup()
        token = {"Authorization": f"Token {server.token}"}
        status, _, text = await ask(client, "GET", "/api/sandbox/agents", headers=token)
    await control.close()
    garbage.close()
    assert status == 200
    found = {one["instance"]: one for one in json.loads(text)["agents"]}
    assert list(found) == ["dead", "garbage", "ram"]
    assert found["dead"]["error"] == "cannot ask the agent: it does not run any more"
    assert found["garbage"]["error"].startswith("cannot ask the agent: ")
    assert found["ram"]["status"]["problems"] == ["waiting for the configuration: <b>"]


async def test_a_host_without_agents_has_none(tmp_path: Path) -> None:
    async with Sandbox(agents=tmp_path / "nothing") as server, aiohttp.ClientSession(server.url) as client:
        await server.setup()
        token = {"Authorization": f"Token {server.token}"}
        assert json.loads((await ask(client, "GET", "/api/sandbox/agents", headers=token))[2]) == {"agents": []}

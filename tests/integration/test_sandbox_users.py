"""Who may do what in the embedded server: users and their passwords, sessions, members and owners, tokens, variables."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from sandbox_api import Api, reason

from pyagent.sandbox import Sandbox

NOBODY = "0000000000000009"
PASSWORD = "longenough1"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    jar = aiohttp.CookieJar(unsafe=True)  # cookies of an address, not a name
    async with Sandbox() as server, aiohttp.ClientSession(cookie_jar=jar) as session:
        await server.setup(password="my-password")
        yield Api(session, server)


async def user_of(api: Api, name: str, password: str = "", **members: str) -> str:
    status, made = await api("POST", "/api/v2/users", {"name": name, **members})
    assert status == 201
    if password:
        assert await api("POST", f"/api/v2/users/{made['id']}/password", {"password": password}) == (204, "")
    return str(made["id"])


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


async def sign_in(api: Api, name: str, password: str) -> int:
    return (await api("POST", "/api/v2/signin", None, {"Authorization": basic(name, password)}))[0]


async def in_session(api: Api, method: str, path: str, body: Any = None, authorization: str = "") -> tuple[int, Any]:
    return await api(method, path, body, {"Authorization": authorization})


async def token_of(api: Api, *permissions: dict[str, Any], org: str = "", **members: str) -> tuple[str, str]:
    """(id, token)."""
    body = {"orgID": org or api.server.org_id, "permissions": list(permissions), **members}
    status, made = await api("POST", "/api/v2/authorizations", body)
    assert status == 201, made
    return made["id"], made["token"]


def permission(action: str, kind: str, **resource: str) -> dict[str, Any]:
    return {"action": action, "resource": {"type": kind, **resource}}


async def test_users_are_made_changed_and_deleted(api: Api) -> None:
    user = await user_of(api, "first", oauthID="z")
    path = f"/api/v2/users/{user}"
    body = {"links": {"self": path}, "id": user, "name": "first", "oauthID": "z", "status": "active"}
    assert await api("GET", path) == (200, body)
    assert await api("PATCH", path, {"name": "second"}) == (200, {**body, "name": "second"})
    assert await api("PATCH", path, {"status": "inactive"}) == (200, {**body, "name": "second", "status": "inactive"})
    assert await api("PATCH", path, {}) == (200, {**body, "name": "second", "status": "inactive"})
    assert (await api("GET", "/api/v2/users?name=second"))[1]["users"][0]["id"] == user
    assert (await api("GET", f"/api/v2/users?id={user}"))[1]["users"][0]["name"] == "second"
    assert [one["name"] for one in (await api("GET", "/api/v2/users?limit=1"))[1]["users"]] == ["admin"]
    assert await api("DELETE", path) == (204, "")
    assert reason(await api("GET", path)) == (404, "user not found")


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "answer"),
    [
        ("POST", "", {}, "empty value", (400, "key required")),
        ("POST", "", {"name": "admin"}, "conflict", (422, "user with name admin already exists")),
        ("GET", "?name=nope", None, "not found", (404, "user not found")),
        ("GET", f"?id={NOBODY}", None, "not found", (404, "user not found")),
        ("GET", "?id=bad", None, "invalid", (400, "id must have a length of 16 bytes")),
        ("PATCH", "/{user}", {"name": "admin"}, "conflict", (422, "user with name admin already exists")),
        ("PATCH", "/{user}", {"name": ""}, "empty value", (400, "key required")),
        ("PATCH", "/{user}", {"status": "asleep"}, "invalid", (400, "invalid status: must be active or inactive")),
        ("PATCH", f"/{NOBODY}", {"name": "x"}, "not found", (404, "user not found")),
        ("DELETE", f"/{NOBODY}", None, "not found", (404, "user not found")),
        ("DELETE", "/bad", None, "invalid", (400, "id must have a length of 16 bytes")),
        ("POST", "/{user}/password", {"password": "short"}, "invalid",
         (400, "passwords must be between 8 and 72 characters long")),
        ("POST", "/{user}/password", {"password": "x" * 73}, "invalid",
         (400, "passwords must be between 8 and 72 characters long")),
        ("POST", f"/{NOBODY}/password", {"password": PASSWORD}, "forbidden", (403, "your userID is incorrect")),
        ("POST", "/bad/password", {"password": PASSWORD}, "internal error", (500, "invalid user ID provided in route")),
        ("PUT", "/{user}/password", {"password": PASSWORD}, "internal error",
         (500, "error decoding password reset request: invalid basic auth")),
    ],
)  # fmt: skip
async def test_refusals_of_users(
    api: Api, method: str, path: str, body: Any, code: str, answer: tuple[int, str]
) -> None:
    user = await user_of(api, "someone")
    status, found = await api(method, f"/api/v2/users{path.format(user=user)}", body)
    assert (found["code"], reason((status, found))) == (code, answer)


async def test_a_user_signs_in_and_may_do_what_members_may(api: Api) -> None:
    org = api.server.org_id
    user = await user_of(api, "guest", PASSWORD)
    assert await sign_in(api, "guest", "wrong-password") == 401
    assert await sign_in(api, "guest", PASSWORD) == 204
    assert (await in_session(api, "GET", "/api/v2/me"))[1]["name"] == "guest"
    assert (await in_session(api, "GET", "/api/v2/buckets"))[1]["buckets"] == []
    assert (await in_session(api, "GET", "/api/v2/users"))[1]["users"][0]["id"] == user
    assert (await api("POST", f"/api/v2/orgs/{org}/members", {"id": user}))[1]["role"] == "member"
    assert len((await in_session(api, "GET", "/api/v2/buckets"))[1]["buckets"]) == 3
    assert reason(await in_session(api, "POST", "/api/v2/buckets", {"orgID": org, "name": "x"})) == (
        401,
        f"write:orgs/{org}/buckets is unauthorized",
    )
    assert await api("DELETE", f"/api/v2/orgs/{org}/members/{user}") == (204, "")
    assert (await in_session(api, "GET", "/api/v2/buckets"))[1]["buckets"] == []
    await api("POST", f"/api/v2/orgs/{org}/owners", {"id": user})
    assert (await in_session(api, "POST", "/api/v2/buckets", {"orgID": org, "name": "x"}))[0] == 201
    assert (await in_session(api, "POST", "/api/v2/orgs", {"name": "x"}))[0] == 401
    assert await sign_in(api, "admin", "my-password") == 204
    assert (await in_session(api, "POST", "/api/v2/orgs", {"name": "x"}))[0] == 201


async def test_passwords_are_changed_by_those_who_know_them(api: Api) -> None:
    user = await user_of(api, "guest", PASSWORD)
    assert await sign_in(api, "guest", PASSWORD) == 204
    good, bad = (basic("guest", one) for one in (PASSWORD, "wrong-password"))
    for path in ("/api/v2/me/password", f"/api/v2/users/{user}/password"):
        refused = await in_session(api, "PUT", path, {"password": "another-one"}, bad)
        assert reason(refused) == (403, "your username or password is incorrect")
    assert await in_session(api, "PUT", "/api/v2/me/password", {"password": "another-one"}, good) == (204, "")
    assert [await sign_in(api, "guest", one) for one in (PASSWORD, "another-one")] == [401, 204]


@pytest.mark.parametrize("how", ["inactive", "deleted"])
async def test_the_tokens_of_a_user_end_with_him(api: Api, how: str) -> None:
    user = await user_of(api, "guest", PASSWORD)
    await api("POST", f"/api/v2/orgs/{api.server.org_id}/members", {"id": user})
    key, token = await token_of(api, permission("read", "buckets"), userID=user)
    assert await sign_in(api, "guest", PASSWORD) == 204
    given = {"Authorization": f"Token {token}"}
    assert (await api("GET", "/api/v2/buckets", None, given))[0] == 200
    if how == "inactive":
        await api("PATCH", f"/api/v2/users/{user}", {"status": "inactive"})
    else:
        await api("DELETE", f"/api/v2/users/{user}")
    for header in (given, {"Authorization": ""}):
        assert reason(await api("GET", "/api/v2/buckets", None, header)) == (403, "User is inactive")
    listed = [one["id"] for one in (await api("GET", "/api/v2/authorizations"))[1]["authorizations"]]
    assert (key in listed) == (how == "inactive")
    members = (await api("GET", f"/api/v2/orgs/{api.server.org_id}/members"))[1]["users"]
    assert len(members) == (how == "inactive")


async def test_what_a_user_may_do_is_listed(api: Api) -> None:
    org, user = api.server.org_id, await user_of(api, "guest")
    own = [permission(action, "users", id=user) for action in ("read", "write")]
    path = f"/api/v2/users/{user}/permissions"
    assert await api("GET", path) == (200, own)
    await api("POST", f"/api/v2/buckets/{api.server.bucket_id}/members", {"id": user})
    assert (await api("GET", path))[1] == [permission("read", "buckets", id=api.server.bucket_id), *own]
    await api("POST", f"/api/v2/orgs/{org}/owners", {"id": user})
    found = (await api("GET", path))[1]
    assert permission("write", "buckets", orgID=org) in found
    assert permission("read", "orgs", id=org) in found


async def test_new_organisations_have_an_owner_and_nothing_else_has(api: Api) -> None:
    org, me = api.server.org_id, (await api("GET", "/api/v2/me"))[1]["id"]
    _, bucket = await api("POST", "/api/v2/buckets", {"orgID": org, "name": "x"})
    _, config = await api("POST", "/api/v2/telegrafs", {"orgID": org, "name": "x"})
    _, second = await api("POST", "/api/v2/orgs", {"name": "second"})
    for path, owners in (
        (f"orgs/{org}", [me]),
        (f"orgs/{second['id']}", [me]),
        (f"buckets/{bucket['id']}", []),
        (f"buckets/{api.server.bucket_id}", []),
        (f"telegrafs/{config['id']}", []),
    ):
        assert [one["id"] for one in (await api("GET", f"/api/v2/{path}/owners"))[1]["users"]] == owners, path
        assert (await api("GET", f"/api/v2/{path}/members"))[1]["users"] == [], path


@pytest.mark.parametrize("kind", ["orgs", "buckets", "telegrafs"])
async def test_members(api: Api, kind: str) -> None:
    server, user = api.server, await user_of(api, "guest")
    keys = {"orgs": server.org_id, "buckets": server.bucket_id}
    path = f"/api/v2/{kind}/{keys.get(kind) or await server.add_telegraf('x', '')}/members"
    links = {"self": f"/api/v2/users/{user}"} | ({"logs": f"/api/v2/users/{user}/logs"} if kind == "telegrafs" else {})
    body = {"role": "member", "links": links, "id": user, "name": "guest", "status": "active"}
    assert await api("POST", path, {"id": user}) == (201, body)
    assert (await api("GET", path))[1] == {"links": {"self": path}, "users": [body]}
    twice = f"Unexpected error when assigning user to a resource: mapping for user {user} already exists"
    assert reason(await api("POST", path, {"id": user})) == (500, twice)
    assert reason(await api("POST", path, {"id": NOBODY})) == (404, "user not found")
    assert reason(await api("POST", path, {})) == (400, "user id missing or invalid")
    assert reason(await api("DELETE", f"{path}/bad")) == (400, "id must have a length of 16 bytes")
    assert await api("DELETE", f"{path}/{user}") == (204, "")
    assert await api("DELETE", f"{path}/{user}") == (204, ""), "nobody is left to remove"
    assert (await api("GET", path))[1]["users"] == []
    missing, bad = f"/api/v2/{kind}/{NOBODY}/owners", f"/api/v2/{kind}/bad/owners"
    if kind == "telegrafs":
        assert (await api("GET", missing))[1]["users"] == []
        assert reason(await api("POST", missing, {"id": user})) == (404, "telegraf configuration not found")
        assert reason(await api("GET", bad)) == (400, "id must have a length of 16 bytes")
    else:
        assert reason(await api("GET", missing)) == (404, "404 page not found")
        assert reason(await api("GET", bad)) == (400, "corrupt ID provided: id must have a length of 16 bytes")


async def test_a_token_without_rights_sees_nothing(api: Api) -> None:
    org, bucket = api.server.org_id, api.server.bucket_id
    me = (await api("GET", "/api/v2/me"))[1]["id"]
    _, api.token = await token_of(api, permission("write", "buckets", id=bucket))
    assert reason(await api("GET", "/api/v2/me")) == (401, f"read:users/{me} is unauthorized")
    for kind in ("users", "buckets", "orgs", "authorizations", "labels", "variables"):
        status, found = await api("GET", f"/api/v2/{kind}")
        assert (status, found[kind]) == (200, []), kind
    flux = {"query": "buckets()"}
    refused = await api("POST", "/api/v2/query?org=home", flux)
    assert (refused[1]["code"], reason(refused)) == (
        "not found",
        (404, f"no buckets found in organization {org}"),
    )


async def test_an_inactive_token_sees_nothing_and_says_why(api: Api) -> None:
    key, token = await token_of(api, *(permission(action, "buckets") for action in ("read", "write")))
    status, kept = await api("PATCH", f"/api/v2/authorizations/{key}", {"status": "inactive", "description": "off"})
    assert (status, kept["status"], kept["description"], kept["token"]) == (200, "inactive", "off", "")
    api.token = token
    refused = await api.write("m f=1")
    assert refused[1]["code"] == "forbidden"
    assert reason(refused) == (403, "insufficient permissions for write: token is inactive")
    assert (await api("GET", "/api/v2/buckets"))[1]["buckets"] == []
    for path in ("/api/v2/me", f"/api/v2/buckets/{api.server.bucket_id}", f"/api/v2/users/{NOBODY}"):
        assert reason(await api("GET", path)) == (401, "token is inactive"), path


async def test_tokens_are_bound_to_their_organisation(api: Api) -> None:
    org = api.server.org_id
    _, second = await api("POST", "/api/v2/orgs", {"name": "second"})
    other = second["id"]
    body = {"orgID": other, "permissions": [permission("read", "buckets", orgID=org)]}
    assert reason(await api("POST", "/api/v2/authorizations", body)) == (
        400,
        f"permission read:orgs/{org}/buckets is not for org id {other}",
    )
    _, api.token = await token_of(api, permission("read", "buckets", orgID=other), org=other)
    assert (await api("GET", "/api/v2/buckets?org=home"))[1]["buckets"] == []


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ({"permissions": []}, (400, "authorization must include permissions")),
        ({"permissions": [permission("nope", "buckets")]},
         (400, "invalid action type for permission: unknown action for permission")),
        ({"permissions": [permission("read", "nope")]},
         (400, "invalid resource type for permission: unknown resource type for permission")),
        ({"permissions": [permission("read", "buckets", id="bad")]},
         (400, "invalid json structure: id must have a length of 16 bytes")),
        ({"userID": "bad"}, (400, "invalid json structure: id must have a length of 16 bytes")),
        ({"orgID": None}, (400, "org id required: invalid ID")),
        ({"status": "asleep"}, (400, "invalid status: must be active or inactive")),
        ({"userID": NOBODY}, (400, "unable to create token")),
        ({"orgID": NOBODY}, (400, "unable to create token")),
    ],
)  # fmt: skip
async def test_refusals_of_tokens(api: Api, members: dict[str, Any], answer: tuple[int, str]) -> None:
    body = {"orgID": api.server.org_id, "permissions": [permission("read", "buckets")], **members}
    assert reason(await api("POST", "/api/v2/authorizations", body)) == answer


async def test_variables(api: Api) -> None:
    org = api.server.org_id
    path = "/api/v2/variables"
    values = {"query": "buckets()", "language": "flux"}
    given = {"orgID": org, "name": "bucket", "arguments": {"type": "query", "values": {**values, "extra": 1}}}
    status, made = await api("POST", path, given)
    own = f"{path}/{made['id']}"
    assert (status, made) == (201, {
        "id": made["id"], "orgID": org, "name": "bucket", "description": "", "selected": None,
        "arguments": {"type": "query", "values": values}, "createdAt": made["createdAt"], "updatedAt": made["createdAt"],
        "labels": [], "links": {"self": own, "labels": f"{own}/labels", "org": f"/api/v2/orgs/{org}"},
    })  # fmt: skip
    links = {"self": f"{path}?descending=false&limit=20&offset=0&orgID={org}"}
    assert await api("GET", f"{path}?orgID={org}") == (200, {"variables": [made], "links": links})
    assert await api("GET", own) == (200, made)
    _, changed = await api("PATCH", own, {"name": " b2 ", "selected": ["x"]})
    assert (changed["name"], changed["selected"], changed["arguments"]) == ("b2", ["x"], made["arguments"])
    constant = {"orgID": org, "name": "b2", "arguments": {"type": "constant", "values": ["x", "y"]}}
    _, replaced = await api("PUT", own, constant)
    assert (replaced["arguments"], replaced["selected"]) == (constant["arguments"], None)
    _, label = await api("POST", "/api/v2/labels", {"orgID": org, "name": "l"})
    assert (await api("POST", f"{own}/labels", {"labelID": label["label"]["id"]}))[0] == 201
    assert [one["name"] for one in (await api("GET", own))[1]["labels"]] == ["l"]
    assert await api("DELETE", own) == (204, "")
    assert reason(await api("GET", own)) == (404, f'variable not found for key "{made["id"]}"')


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        ({"name": ""}, (400, "missing variable name")),
        ({"name": "1st"}, (400, "variable name must start with a letter")),
        ({"name": "option"}, (400, '"option" is a protected variable name')),
        ({"name": "KNOWN"}, (422, "variable is not unique for key {org}known")),
        ({"orgID": None}, (400, "invalid org id for permission: invalid ID")),
        ({"arguments": None}, (400, "invalid arguments type")),
        ({"arguments": {"type": "nope", "values": []}}, (400, "unknown VariableArguments type nope")),
        ({"arguments": {"type": "map", "values": [1, "a"]}}, (400, "error parsing [1 a] as VariableMapArguments")),
        ({"arguments": {"type": "map", "values": {"a": 1}}},
         (400, "expected variable map value to be string but received float64")),
        ({"arguments": {"type": "query", "values": {"query": "x"}}},
         (400, '"language" key not present in VariableQueryArguments')),
    ],
)  # fmt: skip
async def test_refusals_of_variables(api: Api, members: dict[str, Any], answer: tuple[int, str]) -> None:
    org = api.server.org_id
    body = {"orgID": org, "name": "known", "arguments": {"type": "constant", "values": []}}
    assert (await api("POST", "/api/v2/variables", body))[0] == 201
    status, message = answer
    found = await api("POST", "/api/v2/variables", {**body, "name": "another", **members})
    assert reason(found) == (status, message.format(org=org))


async def test_users_of_influxdb_1_write_with_their_passwords(api: Api) -> None:
    server, path = api.server, "/private/legacy/authorizations"
    body = {"orgID": server.org_id, "permissions": [permission("write", "buckets", id=server.bucket_id)]}
    assert reason(await api("POST", path, body)) == (400, "token required for v1 user authorization type")
    status, made = await api("POST", path, {**body, "token": "old", "description": "d"})
    own = f"{path}/{made['id']}"
    assert (status, made["token"], made["links"]["self"]) == (201, "old", own)
    assert reason(await api("POST", path, {**body, "token": "old"})) == (422, "token already exists")
    missing = {"orgID": server.org_id, "permissions": [permission("write", "buckets", id=NOBODY)], "token": "new"}
    assert reason(await api("POST", path, missing)) == (404, "bucket not found when creating auth")

    async def write(password: str, name: str = "old") -> int:
        basic_write = (
            await api("POST", "/write?db=monitoring-system", "m f=1", {"Authorization": basic(name, password)})
        )[0]
        in_url = f"/write?db=monitoring-system&u={name}&p={password}"
        assert (await api("POST", in_url, "m f=1", {"Authorization": ""}))[0] == basic_write
        return basic_write

    assert await write(PASSWORD) == 401, "it has no password yet"
    assert reason(await api("POST", f"{own}/password", {"password": "short"}))[0] == 400
    assert reason(await api("POST", f"{path}/{NOBODY}/password", {"password": PASSWORD}))[0] == 404
    assert await api("POST", f"{own}/password", {"password": PASSWORD}) == (204, "")
    assert [await write(password) for password in (PASSWORD, "wrong", PASSWORD)] == [204, 401, 204]
    assert await write(server.token) == 401, "a token is no password of a user of this name"
    assert await write(server.token, "another") == 204
    assert await api("POST", f"{own}/password", {"password": "another-one"}) == (204, "")
    assert [await write(password) for password in (PASSWORD, "another-one")] == [401, 204]
    assert (await api("GET", f"{path}?token=old"))[1]["authorizations"][0]["description"] == "d"
    assert reason(await api("GET", f"{path}?token=nope")) == (404, "authorization not found")
    assert (await api("PATCH", own, {"status": "inactive"}))[1]["status"] == "inactive"
    assert await write("another-one") == 401
    assert await api("DELETE", own) == (204, "")
    assert (await api.full("GET", path))[
        2
    ] == '{\n\t"links": {\n\t\t"self": "' + path + '"\n\t},\n\t"authorizations": []\n}'
    assert made["id"] not in {one["id"] for one in (await api("GET", "/api/v2/authorizations"))[1]["authorizations"]}

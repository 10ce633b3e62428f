"""`/api/v2/setup`: the one call that makes a new server usable."""

import asyncio

from aiohttp import web

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError
from pyagent.sandbox.gojson import DURATION, INT64, STRING, struct
from pyagent.sandbox.http import Route, read_struct, reply, state_of
from pyagent.sandbox.ids import new_id
from pyagent.sandbox.permissions import check_strength, hash_password, operator_permissions
from pyagent.sandbox.resources.authorizations import add_authorization
from pyagent.sandbox.resources.buckets import add_bucket, bucket_body, check_name, check_retention
from pyagent.sandbox.resources.orgs import add_org, check_org_name, org_body
from pyagent.sandbox.resources.users import INSTANCE, user_body
from pyagent.sandbox.state import State

_REQUEST = struct(
    "influxdb.OnboardingRequest",
    username=STRING,
    password=STRING,
    org=STRING,
    bucket=STRING,
    retentionPeriodSeconds=INT64,
    retentionPeriodHrs=DURATION,
    token=STRING,
)


def is_allowed(state: State) -> bool:
    return not any(state.documents.all("users")) and not any(state.documents.all("orgs"))


async def check(request: web.Request) -> web.Response:
    return reply(request, {"allowed": is_allowed(state_of(request))})


async def onboard(
    state: State, username: str, password: str, org: str, bucket: str, retention: int = 0, token: str = ""
) -> Document:
    """Make the first user, organisation, bucket and the operator's token; `retention` in seconds. The answer of the API.

    Raises:
        InfluxError: a value is missing or refused, or it has been done before.
    """
    if not is_allowed(state):
        raise InfluxError("conflict", "onboarding has already been completed")
    missing = [name for name, value in (("username", username), ("org", org), ("bucket", bucket)) if not value]
    if missing:
        raise InfluxError("unprocessable entity", f"onboarding failed: missing required fields [{','.join(missing)}]")
    if password:
        check_strength(password)
    hashed = await asyncio.to_thread(hash_password, password) if password else ""
    if not is_allowed(state):
        raise InfluxError("conflict", "onboarding has already been completed")
    check_org_name(state, org)
    check_name(bucket)
    check_retention(retention)
    documents = state.documents
    with documents.together():
        new_org = add_org(state, org)
        new_bucket = add_bucket(state, new_org, bucket, retention)
        key = new_id()
        user = documents.put("users", key, {"id": key, "name": username, "status": "active", "password": hashed})
        for resource in (new_org["id"], INSTANCE):
            documents.put("members", f"{resource}/{key}", {"resource": resource, "user": key, "role": "owner"})
        kept, token = add_authorization(state, new_org["id"], key, operator_permissions(), f"{username}'s Token", token)
    authorization = {
        "id": kept["id"],
        "token": token,
        "hashedToken": kept["hash"],
        **{
            name: kept[name]
            for name in ("status", "description", "orgID", "userID", "permissions", "createdAt", "updatedAt")
        },
        "links": {"self": f"/api/v2/authorizations/{kept['id']}", "user": f"/api/v2/users/{key}"},
    }
    return {
        "user": user_body(user),
        "bucket": bucket_body(state, new_bucket),
        "org": org_body(new_org),
        "auth": authorization,
    }


def _retention(body: Document) -> int:
    """In seconds; the old member has nanoseconds, whatever its name says."""
    seconds, nanoseconds = body.get("retentionPeriodSeconds", 0), body.get("retentionPeriodHrs", 0)
    return int(seconds) if seconds > 0 else -(-int(nanoseconds) // 10**9)


async def create(request: web.Request) -> web.Response:
    body = await read_struct(request, _REQUEST, code="internal error", prefix="")
    user, password, org, bucket = (body.get(name, "") for name in ("username", "password", "org", "bucket"))
    retention, token = _retention(body), body.get("token", "")
    answer = await onboard(state_of(request), user, password, org, bucket, retention, token)
    return reply(request, answer, 201)


ROUTES = [Route("GET", "/api/v2/setup", check), Route("POST", "/api/v2/setup", create)]

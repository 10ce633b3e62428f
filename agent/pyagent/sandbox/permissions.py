"""Tokens, and what they allow."""

import base64
import hashlib
import secrets
from typing import Final

from pyagent.sandbox.documents import Document
from pyagent.sandbox.errors import InfluxError

RESOURCES: Final = (
    "authorizations", "buckets", "dashboards", "orgs", "sources", "tasks", "telegrafs", "users", "variables", "scrapers",
    "secrets", "labels", "views", "documents", "notificationRules", "notificationEndpoints", "checks", "dbrp", "notebooks",
    "annotations", "remotes", "replications",
)  # fmt: skip

_ACTIONS: Final = ("read", "write")
INACTIVE: Final = "token is inactive"
"""InfluxDB's words for one that was switched off; a write has them behind its own."""


def operator_permissions() -> list[Document]:
    """What the token of the set-up call may do: everything."""
    return [{"action": action, "resource": {"type": kind}} for kind in RESOURCES for action in _ACTIONS]


def member_permissions(kind: str, key: str, role: str) -> list[Document]:
    """What an owner or a member may do: of the whole server (`instance`), of an organisation or of a bucket."""
    if kind == "instance":
        return [{"action": action, "resource": {"type": kind}} for action in _ACTIONS]
    if kind == "orgs":
        actions = _ACTIONS if role == "owner" else ("read",)
        return [
            {"action": action, "resource": {"type": of, "id" if of == "orgs" else "orgID": key}}
            for of in RESOURCES
            for action in actions
        ]
    if kind == "buckets" and role == "member":
        return [{"action": "read", "resource": {"type": kind, "id": key}}]
    return []


def user_permissions(user: str) -> list[Document]:
    """What every user may do: read and change himself."""
    return [{"action": action, "resource": {"type": "users", "id": user}} for action in _ACTIONS]


def new_token() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(64)).decode()


def hash_token(token: str) -> str:
    """The form in which a token is kept, as InfluxDB 2.9 writes it."""
    digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
    return "$influxdb2-sha256$" + base64.urlsafe_b64encode(digest).decode()


def check_strength(password: str) -> None:
    """Raises InfluxError for a password that is too short or too long."""
    if not 8 <= len(password.encode("utf-8", "surrogateescape")) <= 72:
        raise InfluxError("invalid", "passwords must be between 8 and 72 characters long")


def hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=2**12, r=8, p=1)
    return f"scrypt${salt.hex()}${digest.hex()}"


def check_password(password: str, kept: str) -> bool:
    _, salt, digest = kept.split("$")
    found = hashlib.scrypt(password.encode("utf-8", "surrogateescape"), salt=bytes.fromhex(salt), n=2**12, r=8, p=1)
    return secrets.compare_digest(found.hex(), digest)


def allowed(authorization: Document, action: str, kind: str, org: str | None = None, key: str | None = None) -> bool:
    """Whether the authorization's permissions cover one action on one resource."""
    if is_inactive(authorization):
        return False
    for permission in authorization["permissions"]:
        if permission["action"] != action:
            continue
        resource = permission["resource"]
        if resource["type"] == "instance":
            return True
        if resource["type"] != kind:
            continue
        of_org, of_id = resource.get("orgID"), resource.get("id")
        if of_org is None and of_id is None:
            return True
        if of_id is None and org is not None and of_org == org:
            return True
        if of_id is not None and of_id == key:
            return True
    return False


def is_inactive(authorization: Document) -> bool:
    """Whether the token was switched off."""
    return authorization.get("status") == "inactive"


def require_active(authorization: Document) -> None:
    """Raises InfluxError for a token that was switched off."""
    if is_inactive(authorization):
        raise InfluxError("unauthorized", INACTIVE)


def describe(action: str, kind: str, org: str | None = None, key: str | None = None) -> str:
    """A permission as it stands in messages, such as `read:orgs/ID/telegrafs/ID`."""
    path = [kind] if org is None else ["orgs", org, kind]
    return f"{action}:{'/'.join(path if key is None else [*path, key])}"


def require(authorization: Document, action: str, kind: str, org: str | None = None, key: str | None = None) -> None:
    """Raises InfluxError when it is not allowed."""
    require_active(authorization)
    if not allowed(authorization, action, kind, org, key):
        raise InfluxError("unauthorized", f"{describe(action, kind, org, key)} is unauthorized")

"""InfluxDB 2's management API, as far as setting up an agent needs it: what is there, what it is, and making it."""

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar
from urllib.parse import quote

from pyagent.influxdb import documents
from pyagent.influxdb.connection import Answer, Connection, InfluxDBError
from pyagent.influxdb.documents import Authorization, Bucket, Hosted, Organization, Rights
from pyagent.influxdb.recognition import address_hint

__all__ = ["CUSTOM", "Management", "remedy"]

_PAGE = 100
_DAY, _HOUR = 86400, 3600
PROBE = "# probe"
"""A comment as line protocol: all checks of a write are made, and nothing is stored."""

CUSTOM = "custom token"
"""A token of chosen rights, by InfluxDB's word."""

P = ParamSpec("P")
T = TypeVar("T")


def _understood(method: Callable[P, T]) -> Callable[P, T]:
    """An answer that lacks what InfluxDB's has, or has it in another form, is an InfluxDBError as well."""

    @wraps(method)
    def call(*arguments: P.args, **keywords: P.kwargs) -> T:
        try:
            return method(*arguments, **keywords)
        except (AttributeError, KeyError, TypeError, ValueError):
            management: Any = arguments[0]
            raise InfluxDBError(
                f"cannot use {management.url}: it does not answer as InfluxDB 2 does; {address_hint(management.url)}"
            ) from None

    return call


class Management:
    """One server, called with one token, or as one user. Calls block, and raise InfluxDBError.

    `tls_ca`: a PEM file of authorities to trust, in place of the system's.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        username: str = "",
        password: str = "",
        tls_ca: str = "",
        timeout: float = 10.0,
    ) -> None:
        self.connection = Connection(
            url, token=token, username=username, password=password, tls_ca=tls_ca, timeout=timeout
        )
        self.url = self.connection.url
        self.signs_in = bool(username)
        """Called as a user, not with a token."""

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def url_of(self, configuration: str) -> str:
        """Where an agent reads the configuration of this ID."""
        return f"{self.url}/api/v2/telegrafs/{configuration}"

    # Organizations and buckets ----------------------------------------------------------------------------------------

    @_understood
    def set_up(self, *, username: str, password: str, org: str, bucket: str, retention: int) -> str:
        """Make the first user, organization and bucket of a server that has none; the operator's token."""
        body = {"username": username, "password": password, "org": org, "bucket": bucket}
        answer = self._ask(
            "set up the server", "POST", "/api/v2/setup", body={**body, "retentionPeriodSeconds": retention}
        )
        return str(answer.body["auth"]["token"])

    @_understood
    def organizations(self) -> list[Organization]:
        """Those that the token may see."""
        found = self._pages("list the organizations", "/api/v2/orgs", "orgs", {})
        return [Organization(one["id"], one["name"]) for one in found]

    @_understood
    def organization(self, name: str) -> Organization | None:
        """The organization of this name or ID. None: there is none, or the token may not see it."""
        for query in ({"org": name}, {"orgID": name}) if _is_id(name) else ({"org": name},):
            try:
                found = self._ask("look for the organization", "GET", "/api/v2/orgs", query=query).body.get("orgs")
            except InfluxDBError as error:
                if error.status != 404:
                    raise
            else:
                if found:
                    return Organization(found[0]["id"], found[0]["name"])
        return None

    @_understood
    def buckets(self, org: Organization) -> list[Bucket]:
        """Those that the token may see, without the server's own."""
        found = self._pages("list the buckets", "/api/v2/buckets", "buckets", {"orgID": org.id})
        return [bucket for one in found if not (bucket := documents.bucket(one)).is_system]

    @_understood
    def bucket(self, org: Organization, name: str) -> Bucket | None:
        """The bucket of this name or ID. None: there is none, or the token may not see it."""
        doing = f"look for the bucket {name!r}"
        try:
            query = {"orgID": org.id, "name": name}
            found = self._ask(doing, "GET", "/api/v2/buckets", query=query).body.get("buckets") or []
        except InfluxDBError as error:
            if error.status != 404:
                raise
            found = []
        if not found and _is_id(name):
            try:
                found = [self._ask(doing, "GET", f"/api/v2/buckets/{name}").body]
            except InfluxDBError as error:
                if error.status != 404:
                    raise
        return documents.bucket(found[0]) if found else None

    @_understood
    def create_bucket(self, org: Organization, name: str, retention: int) -> Bucket:
        rules = [{"type": "expire", "everySeconds": retention}]
        doing = f"create the bucket {name!r}"
        try:
            answer = self._ask(
                doing, "POST", "/api/v2/buckets", body={"orgID": org.id, "name": name, "retentionRules": rules}
            )
        except InfluxDBError as error:
            # Somebody else made it meanwhile.
            if error.status != 422 or (found := self.bucket(org, name)) is None:
                raise
            return found
        return documents.bucket(answer.body)

    @_understood
    def change_retention(self, bucket: Bucket, retention: int) -> Bucket:
        """The duration of its shards goes with it: one longer than the retention is refused."""
        rule = {"type": "expire", "everySeconds": retention, "shardGroupDurationSeconds": _shard(retention)}
        path = f"/api/v2/buckets/{bucket.id}"
        doing = f"change the retention of the bucket {bucket.name!r}"
        return documents.bucket(self._ask(doing, "PATCH", path, body={"retentionRules": [rule]}).body)

    # Configurations ---------------------------------------------------------------------------------------------------

    @_understood
    def configurations(self, org: Organization | None = None) -> list[Hosted]:
        """Those that the token may read."""
        query = {"orgID": org.id} if org else {}
        answer = self._ask("list the Telegraf configurations", "GET", "/api/v2/telegrafs", query=query)
        return [documents.hosted(one) for one in answer.body.get("configurations") or []]

    @_understood
    def configuration(self, id: str) -> Hosted | None:
        """None: there is no such."""
        try:
            answer = self._ask(f"read the configuration {id}", "GET", f"/api/v2/telegrafs/{quote(id, safe='')}")
        except InfluxDBError as error:
            if error.status == 404:
                return None
            raise
        return documents.hosted(answer.body)

    @_understood
    def create_configuration(
        self, org: Organization, name: str, description: str, text: str, metadata: Mapping[str, Any]
    ) -> Hosted:
        body = {"orgID": org.id, "name": name, "description": description, "config": text, "metadata": dict(metadata)}
        return documents.hosted(
            self._ask(f"create the configuration {name!r}", "POST", "/api/v2/telegrafs", body=body).body
        )

    @_understood
    def change_configuration(self, kept: Hosted, text: str, metadata: Mapping[str, Any]) -> Hosted:
        """Another text. Name and description stay: the server takes what is sent for all that there is."""
        body: dict[str, Any] = {"orgID": kept.org_id, "name": kept.name, "description": kept.description}
        body |= {"config": text, "metadata": dict(metadata)}
        doing = f"change the configuration {kept.name!r}"
        return documents.hosted(self._ask(doing, "PUT", f"/api/v2/telegrafs/{kept.id}", body=body).body)

    def delete_configuration(self, kept: Hosted) -> None:
        self._ask(f"delete the configuration {kept.name!r}", "DELETE", f"/api/v2/telegrafs/{kept.id}")

    # Tokens -----------------------------------------------------------------------------------------------------------

    @_understood
    def authorizations(self, org: Organization) -> list[Authorization]:
        answer = self._ask("list the tokens", "GET", "/api/v2/authorizations", query={"orgID": org.id})
        return [documents.authorization(one) for one in answer.body.get("authorizations") or []]

    @_understood
    def authorize(self, org: Organization, description: str, rights: Rights) -> tuple[Authorization, str]:
        """Make a token; (what is kept of it, the token, which the server shows this once)."""
        permissions = [
            {"action": action, "resource": {"type": kind, "id": id, "orgID": org.id}}
            for action, kind, id in sorted(rights, reverse=True)
        ]
        body = {"orgID": org.id, "description": description, "permissions": permissions}
        answer = self._ask("make a token", "POST", "/api/v2/authorizations", body=body)
        return documents.authorization(answer.body), str(answer.body["token"])

    def describe_authorization(self, id: str, description: str) -> None:
        """Another description for a token."""
        self._ask("name a token", "PATCH", f"/api/v2/authorizations/{id}", body={"description": description})

    def delete_authorization(self, id: str) -> None:
        """Harmless where there is none."""
        try:
            self._ask("delete a token", "DELETE", f"/api/v2/authorizations/{id}")
        except InfluxDBError as error:
            if error.status != 404:
                raise

    def is_operator(self) -> bool | None:
        """Whether this connection has an operator's token; None where the server does not tell."""
        try:
            self._ask("read the server's settings", "GET", "/api/v2/config")
        except InfluxDBError as error:
            return False if error.status in (401, 403) else None
        return True

    def token_kind(self, org: Organization) -> str:
        """Which of InfluxDB's kinds of token this connection has: `operator token`, `all-access token` or `custom token`.

        Two harmless reads tell: the server's settings are for an operator alone, and whoever may manage the organization's
        tokens sees at least its own among them. Empty where the server does not tell (before 2.2 it has no settings to read).
        """
        if (is_operator := self.is_operator()) is not False:
            return "operator token" if is_operator else ""
        try:
            return "all-access token" if self.authorizations(org) else CUSTOM
        except InfluxDBError as error:
            return CUSTOM if error.status in (401, 403, 404) else ""

    def may_write(self, org: str, bucket: str) -> bool:
        """Whether this connection's token may write to the bucket, both by name or ID. Nothing is stored."""
        try:
            query = {"org": org, "bucket": bucket}
            self._ask("try a write", "POST", "/api/v2/write", query=query, body=PROBE)
        except InfluxDBError as error:
            if error.status in (401, 403, 404):
                return False
            raise
        return True

    def may_read(self, configuration: str) -> bool:
        """Whether this connection's token may read the configuration."""
        try:
            return self.configuration(configuration) is not None
        except InfluxDBError as error:
            if error.status in (401, 403):
                return False
            raise

    # ------------------------------------------------------------------------------------------------------------------

    def _ask(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | str | None = None,
    ) -> Answer:
        try:
            answer = self.connection.call(method, path, query=query, body=body)
        except InfluxDBError as error:
            raise InfluxDBError(
                f"cannot {doing} at {self.url}: {error}{remedy(error)}", status=error.status, message=error.message
            ) from None
        if answer.status != 204 and not isinstance(answer.body, dict):
            raise InfluxDBError(f"cannot {doing} at {self.url}: the answer is not InfluxDB's; check the address")
        return answer

    def _pages(self, doing: str, path: str, name: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        offset = 0
        while True:
            answer = self._ask(doing, "GET", path, query={**query, "limit": str(_PAGE), "offset": str(offset)})
            found = answer.body.get(name) or []
            yield from found
            offset += _PAGE
            if len(found) < _PAGE:
                return


def remedy(error: InfluxDBError) -> str:
    """The end of a message about a call that was refused; empty where there is nothing to say."""
    if error.status == 401 and error.message in ("unauthorized access", ""):
        return "; the token, or user and password, are not known there: check them"
    if error.status in (401, 403):
        return "; the token may not do this: use an operator or all-access token, or sign in with --user"
    return ""


def _shard(retention: int) -> int:
    """The seconds of a shard that InfluxDB itself chooses."""
    if retention == 0 or retention >= 180 * _DAY:
        return 7 * _DAY
    return _DAY if retention >= 2 * _DAY else _HOUR


def _is_id(text: str) -> bool:
    return len(text) == 16 and all(c in "0123456789abcdefABCDEF" for c in text)

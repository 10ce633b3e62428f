"""InfluxDB 2's management API, as far as setting up an agent needs it: what is there, what it is, and making it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar
from urllib.parse import quote

from pyagent.influxdb.connection import Answer, Connection, InfluxDBError, one_line

__all__ = ["Authorization", "Bucket", "Hosted", "Management", "Organization", "Rights", "ServerState", "server_state"]

_PAGE = 100
_DAY, _HOUR = 86400, 3600
PROBE = "# probe"
"""A comment as line protocol: all checks of a write are made, and nothing is stored."""


@dataclass(frozen=True, slots=True)
class ServerState:
    version: str
    """Such as `2.9.1`; empty where it does not say."""
    is_set_up: bool


@dataclass(frozen=True, slots=True)
class Organization:
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Bucket:
    id: str
    org_id: str
    name: str
    retention: int
    """Seconds that points are kept; 0: for ever."""
    is_system: bool = False


@dataclass(frozen=True, slots=True)
class Hosted:
    """A Telegraf configuration that the server hosts."""

    id: str
    org_id: str
    name: str
    description: str
    text: str = field(repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def buckets(self) -> list[str]:
        """Names or IDs of the buckets that it writes to, as the metadata have them."""
        found = self.metadata.get("buckets")
        return [str(name) for name in found] if isinstance(found, list) else []


Rights = frozenset[tuple[str, str, str]]
"""(`read` or `write`, kind of resource, its ID; empty: all of the kind)."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """A token without the token: the server shows that once, when it is made."""

    id: str
    org_id: str
    description: str
    is_active: bool
    rights: Rights


def server_state(url: str, *, tls_ca: str = "", timeout: float = 10.0) -> ServerState:
    """Ask, without any token, what listens there. Raises InfluxDBError where it is no InfluxDB 2, with what it is instead."""
    with Connection(url, tls_ca=tls_ca, timeout=timeout) as connection:
        try:
            answer = connection.call("GET", "/api/v2/setup")
        except InfluxDBError as error:
            if not error.status:
                raise InfluxDBError(f"cannot reach InfluxDB at {connection.url}: {error}") from None
            raise InfluxDBError(_other_server(connection, error)) from None
    if isinstance(answer.body, dict) and isinstance(answer.body.get("allowed"), bool):
        return ServerState(answer.headers.get("x-influxdb-version", "").removeprefix("v"), not answer.body["allowed"])
    kind = answer.headers.get("content-type", "")
    what = "a web page, perhaps that of a login or a proxy" if "html" in kind else "something else"
    raise InfluxDBError(
        f"cannot use {connection.url}: it answers with {what}, not as InfluxDB 2 does; {_address_hint(connection.url)}"
    )


def _address_hint(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, slash, _ = rest.partition("/")
    return f"write the address without a path: {scheme}://{host}" if slash else "check host and port"


def _other_server(connection: Connection, error: InfluxDBError) -> str:
    url = connection.url
    if error.status == 503:
        return f"cannot use {url}: it is not ready yet ({error}); try again"
    if 300 <= error.status < 400:
        return f"cannot use {url}: it redirects to another address; write the one that it leads to"
    major = error.version.partition(".")[0]
    if major.isdecimal() and major != "2":
        return (
            f"cannot use {url}: it is InfluxDB {error.version}, which hosts no Telegraf configurations; InfluxDB 2 does"
        )
    if "unsupported path" in error.body:
        return f"cannot use {url}: it is VictoriaMetrics, which hosts no Telegraf configurations; InfluxDB 2 does"
    return f"cannot use {url}: it does not answer as InfluxDB 2 does ({error}); {_address_hint(url)}"


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
                f"cannot use {management.url}: it does not answer as InfluxDB 2 does; {_address_hint(management.url)}"
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
        self._connection = Connection(
            url, token=token, username=username, password=password, tls_ca=tls_ca, timeout=timeout
        )
        self.url = self._connection.url

    def close(self) -> None:
        self._connection.close()

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
        return [bucket for one in found if not (bucket := _bucket(one)).is_system]

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
        return _bucket(found[0]) if found else None

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
        return _bucket(answer.body)

    @_understood
    def change_retention(self, bucket: Bucket, retention: int) -> Bucket:
        """The duration of its shards goes with it: one longer than the retention is refused."""
        rule = {"type": "expire", "everySeconds": retention, "shardGroupDurationSeconds": _shard(retention)}
        path = f"/api/v2/buckets/{bucket.id}"
        doing = f"change the retention of the bucket {bucket.name!r}"
        return _bucket(self._ask(doing, "PATCH", path, body={"retentionRules": [rule]}).body)

    # Configurations ---------------------------------------------------------------------------------------------------

    @_understood
    def configurations(self, org: Organization | None = None) -> list[Hosted]:
        """Those that the token may read."""
        query = {"orgID": org.id} if org else {}
        answer = self._ask("list the Telegraf configurations", "GET", "/api/v2/telegrafs", query=query)
        return [_hosted(one) for one in answer.body.get("configurations") or []]

    @_understood
    def configuration(self, id: str) -> Hosted | None:
        """None: there is no such."""
        try:
            answer = self._ask(f"read the configuration {id}", "GET", f"/api/v2/telegrafs/{quote(id, safe='')}")
        except InfluxDBError as error:
            if error.status == 404:
                return None
            raise
        return _hosted(answer.body)

    @_understood
    def create_configuration(
        self, org: Organization, name: str, description: str, text: str, metadata: Mapping[str, Any]
    ) -> Hosted:
        body = {"orgID": org.id, "name": name, "description": description, "config": text, "metadata": dict(metadata)}
        return _hosted(self._ask(f"create the configuration {name!r}", "POST", "/api/v2/telegrafs", body=body).body)

    @_understood
    def change_configuration(self, kept: Hosted, text: str, metadata: Mapping[str, Any]) -> Hosted:
        """Another text. Name and description stay: the server takes what is sent for all that there is."""
        body: dict[str, Any] = {"orgID": kept.org_id, "name": kept.name, "description": kept.description}
        body |= {"config": text, "metadata": dict(metadata)}
        doing = f"change the configuration {kept.name!r}"
        return _hosted(self._ask(doing, "PUT", f"/api/v2/telegrafs/{kept.id}", body=body).body)

    def delete_configuration(self, kept: Hosted) -> None:
        self._ask(f"delete the configuration {kept.name!r}", "DELETE", f"/api/v2/telegrafs/{kept.id}")

    # Tokens -----------------------------------------------------------------------------------------------------------

    @_understood
    def authorizations(self, org: Organization) -> list[Authorization]:
        answer = self._ask("list the tokens", "GET", "/api/v2/authorizations", query={"orgID": org.id})
        return [_authorization(one) for one in answer.body.get("authorizations") or []]

    @_understood
    def authorize(self, org: Organization, description: str, rights: Rights) -> tuple[Authorization, str]:
        """Make a token; (what is kept of it, the token, which the server shows this once)."""
        permissions = [
            {"action": action, "resource": {"type": kind, "id": id, "orgID": org.id}}
            for action, kind, id in sorted(rights, reverse=True)
        ]
        body = {"orgID": org.id, "description": description, "permissions": permissions}
        answer = self._ask("make a token", "POST", "/api/v2/authorizations", body=body)
        return _authorization(answer.body), str(answer.body["token"])

    def delete_authorization(self, id: str) -> None:
        """Harmless where there is none."""
        try:
            self._ask("delete a token", "DELETE", f"/api/v2/authorizations/{id}")
        except InfluxDBError as error:
            if error.status != 404:
                raise

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
            answer = self._connection.call(method, path, query=query, body=body)
        except InfluxDBError as error:
            raise InfluxDBError(
                f"cannot {doing} at {self.url}: {error}{_remedy(error)}", status=error.status, message=error.message
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


def _remedy(error: InfluxDBError) -> str:
    if error.status == 401 and error.message in ("unauthorized access", ""):
        return "; the token, or user and password, are not known there: check them"
    if error.status in (401, 403):
        return "; the token may not do this: use an operator or all-access token, or sign in with --user"
    return ""


def _bucket(one: Mapping[str, Any]) -> Bucket:
    rules = one.get("retentionRules") or [{}]
    is_system = one.get("type") == "system" or str(one["name"]).startswith("_")
    return Bucket(one["id"], one.get("orgID", ""), one["name"], int(rules[0].get("everySeconds") or 0), is_system)


def _hosted(one: Mapping[str, Any]) -> Hosted:
    metadata = one.get("metadata")
    return Hosted(
        one["id"],
        one.get("orgID", ""),
        one.get("name", ""),
        one.get("description", ""),
        one.get("config", ""),
        metadata if isinstance(metadata, dict) else {},
    )


def _authorization(one: Mapping[str, Any]) -> Authorization:
    rights = frozenset(
        (one_line(str(each["action"])), str(each["resource"].get("type")), str(each["resource"].get("id") or ""))
        for each in one.get("permissions") or []
    )
    return Authorization(
        one["id"], one.get("orgID", ""), one.get("description", ""), one.get("status") == "active", rights
    )


def _shard(retention: int) -> int:
    """The seconds of a shard that InfluxDB itself chooses."""
    if retention == 0 or retention >= 180 * _DAY:
        return 7 * _DAY
    return _DAY if retention >= 2 * _DAY else _HOUR


def _is_id(text: str) -> bool:
    return len(text) == 16 and all(c in "0123456789abcdefABCDEF" for c in text)

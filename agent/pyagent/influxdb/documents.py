"""What the management API has, as far as it matters here: made of the JSON of its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyagent.influxdb.connection import one_line

__all__ = ["Authorization", "Bucket", "Hosted", "Organization", "Rights", "authorization", "bucket", "hosted"]


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


def bucket(one: Mapping[str, Any]) -> Bucket:
    rules = one.get("retentionRules") or [{}]
    is_system = one.get("type") == "system" or str(one["name"]).startswith("_")
    return Bucket(one["id"], one.get("orgID", ""), one["name"], int(rules[0].get("everySeconds") or 0), is_system)


def hosted(one: Mapping[str, Any]) -> Hosted:
    metadata = one.get("metadata")
    return Hosted(
        one["id"],
        one.get("orgID", ""),
        one.get("name", ""),
        one.get("description", ""),
        one.get("config", ""),
        metadata if isinstance(metadata, dict) else {},
    )


def authorization(one: Mapping[str, Any]) -> Authorization:
    rights = frozenset(
        (one_line(str(each["action"])), str(each["resource"].get("type")), str(each["resource"].get("id") or ""))
        for each in one.get("permissions") or []
    )
    return Authorization(
        one["id"], one.get("orgID", ""), one.get("description", ""), one.get("status") == "active", rights
    )

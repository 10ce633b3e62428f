"""One InfluxDB 2 server: its setup, the Telegraf configurations that it hosts, queries."""

# influxdb-client is typed in parts only.
# mypy: allow-untyped-calls

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

from influxdb_client.client.exceptions import InfluxDBError as ClientError
from influxdb_client.client.flux_csv_parser import FluxQueryException
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.authorizations_service import AuthorizationsService
from influxdb_client.service.setup_service import SetupService
from influxdb_client.service.telegrafs_service import TelegrafsService
from urllib3.exceptions import HTTPError

from pyagent.influxdb.connection import InfluxDBError
from pyagent.kit.tls import client_context

__all__ = ["Configuration", "InfluxDB"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A hosted Telegraf configuration and the token that InfluxDB's page makes for it: write to the bucket, read the text."""

    name: str
    id: str
    url: str
    token: str = field(repr=False)


class InfluxDB:
    """A server at `url`. Calls block. `timeout`: seconds for one of them."""

    def __init__(self, url: str, token: str = "", org: str = "", *, timeout: float = 10.0) -> None:
        self.url = url.rstrip("/")
        self.org = org
        self._timeout = timeout
        self._client = self._open(token)

    def setup(self, *, org: str, bucket: str, username: str, password: str) -> None:
        """Set up a server that is empty, and act with the operator's token from now on. Raises InfluxDBError."""
        request = {"username": username, "password": password, "org": org, "bucket": bucket}
        with self._in_one_line("cannot set up InfluxDB"):
            answer = SetupService(self._client.api_client).post_setup(request)
        self._client.close()
        self.org = org
        self._client = self._open(str(answer.auth.token))

    def create_configuration(self, name: str, bucket: str, text: str, *, plugin: str) -> Configuration:
        """Do what the page "Create a Telegraf configuration" does, request by request, with the editor's text for one plugin.

        Raises InfluxDBError.
        """
        with self._in_one_line(f"cannot create the Telegraf configuration {name!r}"):
            target = self._bucket(bucket)
            output = {"urls": [self.url], "token": "$INFLUX_TOKEN", "organization": self.org, "bucket": bucket}
            service = TelegrafsService(self._client.api_client)
            made = service.post_telegrafs(
                {
                    "name": name,
                    "description": "",
                    "agent": {"collectionInterval": 10_000},
                    "orgID": target.org_id,
                    "plugins": [
                        {"type": "output", "name": "influxdb_v2", "config": output},
                        {"type": "input", "name": plugin},
                    ],
                }
            )
            token = self._authorize(made, target)
            # The server's own text for this plugin, where it has one, gives way to the editor's.
            before, _, _ = made.config.partition(f"[[inputs.{plugin}]]")
            body = self._client.api_client.sanitize_for_serialization(made)
            service.put_telegrafs_id(made.id, {**body, "config": before + text})
        return Configuration(name, made.id, f"{self.url}/api/v2/telegrafs/{made.id}", token)

    def query(self, flux: str) -> list[dict[str, Any]]:
        """The rows of a query: columns by name, `table` and `result` among them, times as aware datetimes.

        Raises InfluxDBError.
        """
        with self._in_one_line("cannot query InfluxDB"):
            return [record.values for table in self._client.query_api().query(flux) for record in table.records]

    def has_rows(self, flux: str) -> bool:
        """Whether a query gives anything: what the page's "Listen for Data" asks. Raises InfluxDBError."""
        dialect = {"header": False, "annotations": []}
        with self._in_one_line("cannot query InfluxDB"):
            return bool(self._client.query_api().query_raw(flux, dialect=dialect).data.strip())

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self, token: str) -> InfluxDBClient:
        tls = client_context() if self.url.startswith("https:") else None
        return InfluxDBClient(self.url, token, org=self.org, timeout=int(self._timeout * 1000), ssl_context=tls)

    def _bucket(self, name: str) -> Any:
        found = self._client.buckets_api().find_bucket_by_name(name)
        if found is None:
            raise InfluxDBError(f"cannot find the bucket {name!r} of the organisation {self.org!r}")
        return found

    def _authorize(self, configuration: Any, bucket: Any) -> str:
        org = bucket.org_id
        request = {
            "orgID": org,
            "description": f"WRITE {bucket.name} bucket / READ {configuration.name} telegraf config",
            "permissions": [
                {"action": "write", "resource": {"type": "buckets", "id": bucket.id, "orgID": org}},
                {"action": "read", "resource": {"type": "telegrafs", "id": configuration.id, "orgID": org}},
            ],
        }
        return str(AuthorizationsService(self._client.api_client).post_authorizations(request).token)

    @contextmanager
    def _in_one_line(self, failure: str) -> Iterator[None]:
        try:
            yield
        except (ApiException, ClientError, FluxQueryException, HTTPError, OSError) as error:
            raise InfluxDBError(f"{failure} at {self.url}: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    """The server's own message where it sent one. The client's texts span lines."""
    if isinstance(error, ApiException) and error.status is not None:
        try:
            message = json.loads(error.body or "")["message"]
        except (ValueError, KeyError, TypeError):
            message = error.reason
        return f"{error.status} {message}"
    return " ".join(str(error).split()) or type(error).__name__

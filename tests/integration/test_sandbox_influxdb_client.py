"""influxdb-client, as it is, against the embedded server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from influxdb_client import (
    Authorization,
    BucketRetentionRules,
    InfluxDBClient,
    Permission,
    PermissionResource,
    Point,
    TelegrafPluginRequest,
    TelegrafsService,
    WriteOptions,
)
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from pyagent.sandbox import Sandbox

TOML = '[[outputs.influxdb_v2]]\n  bucket = "monitoring-system"\n[[inputs.mem]]\n'


class Background:
    """A sandbox whose loop runs in a thread, for clients that block."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with Sandbox() as self.server:
            await self.server.setup()
            self._ready.set()
            await self._stop.wait()

    def __enter__(self) -> Sandbox:
        self._thread.start()
        assert self._ready.wait(30)
        return self.server

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)


@pytest.fixture
def server() -> Iterator[Sandbox]:
    with Background() as running:
        yield running


@pytest.fixture
def client(server: Sandbox) -> Iterator[InfluxDBClient]:
    with InfluxDBClient(server.url, server.token, org="home") as made:
        yield made


def rows(client: InfluxDBClient, script: str) -> list[dict[str, object]]:
    return [record.values for table in client.query_api().query(script) for record in table.records]


READ = 'from(bucket: "monitoring-system") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "m")'


def test_liveness(client: InfluxDBClient) -> None:
    assert client.ping()
    assert client.version().startswith("v2.")
    assert client.build() == "OSS"
    assert client.ready().status == "ready"
    with pytest.deprecated_call():
        assert client.health().status == "pass"


@pytest.mark.parametrize("gzip", [False, True])
def test_synchronous_writer_and_queries(server: Sandbox, gzip: bool) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    with InfluxDBClient(server.url, server.token, org="home", enable_gzip=gzip) as client:
        write = client.write_api(write_options=SYNCHRONOUS)
        point = (
            Point("m").tag("host", "a b").field("f", 1.5).field("i", 2).field("s", 'x "y"').field("b", True).time(now)
        )
        write.write("monitoring-system", record=[point, "m,host=z f=2 " + str(int(now.timestamp()) * 10**9)])
        found = rows(client, READ)
        assert {(row["host"], row["_field"], row["_value"]) for row in found} == {
            ("a b", "f", 1.5), ("a b", "i", 2), ("a b", "s", 'x "y"'), ("a b", "b", True), ("z", "f", 2.0),
        }  # fmt: skip
        assert {row["_time"] for row in found} == {now}
        raw = client.query_api().query_raw(READ).data.decode()
        assert raw.startswith("#datatype,string,long")
        assert [
            record["_value"]
            for record in client.query_api().query_stream(READ + ' |> filter(fn: (r) => r.host == "z")')
        ] == [2.0]


def test_batching_writer(client: InfluxDBClient) -> None:
    failures: list[object] = []
    with client.write_api(
        WriteOptions(batch_size=500, flush_interval=200), error_callback=lambda *given: failures.append(given)
    ) as write:
        for number in range(2_000):
            write.write(
                "monitoring-system", record=f"m,n={number % 7} f={number}i {1_700_000_000_000_000_000 + number}"
            )
    found = rows(
        client, 'from(bucket: "monitoring-system") |> range(start: 2023-01-01T00:00:00Z) |> group() |> count()'
    )
    assert not failures
    assert [row["_value"] for row in found] == [2_000]


def test_errors_reach_the_client(client: InfluxDBClient) -> None:
    write = client.write_api(write_options=SYNCHRONOUS)
    with pytest.raises(ApiException) as caught:
        write.write("monitoring-system", record="not line protocol")
    assert (caught.value.status, caught.value.message) == (
        400,
        "unable to parse 'not line protocol': invalid field format",
    )
    with pytest.raises(ApiException) as caught:
        write.write("nope", record="m f=1")
    assert (caught.value.status, caught.value.message) == (404, 'bucket "nope" not found')
    with pytest.raises(ApiException) as caught:
        client.query_api().query('from(bucket: "nope") |> range(start: -1h)')
    assert caught.value.status == 404


def test_query_parameters(client: InfluxDBClient) -> None:
    client.write_api(write_options=SYNCHRONOUS).write("monitoring-system", record="m,host=a f=1\nm,host=b f=2")
    found = client.query_api().query(
        "from(bucket: which) |> range(start: since) |> filter(fn: (r) => r.host == host and r._value >= least)",
        params={"which": "monitoring-system", "since": timedelta(hours=-1), "host": "b", "least": 1.5},
    )
    assert [record["_value"] for table in found for record in table.records] == [2.0]


def test_buckets(client: InfluxDBClient) -> None:
    buckets = client.buckets_api()
    made = buckets.create_bucket(
        bucket_name="week", retention_rules=BucketRetentionRules(type="expire", every_seconds=604800)
    )
    assert buckets.find_bucket_by_name("week").id == made.id
    assert {bucket.name for bucket in buckets.find_buckets().buckets} >= {"week", "monitoring-system", "_tasks"}
    made.name = "month"
    made.retention_rules[0].every_seconds = 30 * 86400
    changed = buckets.update_bucket(made)
    assert (changed.name, changed.retention_rules[0].every_seconds) == ("month", 30 * 86400)
    buckets.delete_bucket(made)
    assert buckets.find_bucket_by_name("month") is None


def test_authorizations(server: Sandbox, client: InfluxDBClient) -> None:
    org = client.organizations_api().find_organizations(org="home")[0]
    allowed = Permission(
        action="write", resource=PermissionResource(type="buckets", id=server.bucket_id, org_id=org.id)
    )
    made = client.authorizations_api().create_authorization(
        authorization=Authorization(org_id=org.id, description="writes", permissions=[allowed])
    )
    with InfluxDBClient(server.url, made.token, org="home") as narrow:
        narrow.write_api(write_options=SYNCHRONOUS).write("monitoring-system", record="m f=1")
        with pytest.raises(ApiException):
            narrow.query_api().query(READ)
        listed = client.authorizations_api().find_authorizations()
        assert {one.description: one.token for one in listed} == {"admin's Token": "", "writes": ""}
        made.status = "inactive"
        client.authorizations_api().update_authorization(made)
        with pytest.raises(ApiException) as caught:
            narrow.write_api(write_options=SYNCHRONOUS).write("monitoring-system", record="m f=1")
        assert caught.value.status == 403
        assert "insufficient permissions for write: token is inactive" in caught.value.body
        with pytest.raises(ApiException) as caught:
            narrow.users_api().me()
        assert caught.value.status == 401
        assert "token is inactive" in caught.value.body
    client.authorizations_api().delete_authorization(made)
    assert len(client.authorizations_api().find_authorizations()) == 1


def test_telegrafs(server: Sandbox, client: InfluxDBClient) -> None:
    service = TelegrafsService(client.api_client)
    request = TelegrafPluginRequest(name="ram", org_id=server.org_id, config=TOML, metadata={})
    made = service.post_telegrafs(request)
    assert made.metadata == {"buckets": ["monitoring-system"]} or made.metadata.buckets == ["monitoring-system"]
    assert [one.config for one in service.get_telegrafs(org_id=server.org_id).configurations] == [TOML]
    text = client.api_client.call_api(
        f"/api/v2/telegrafs/{made.id}", "GET", {}, [], {"Accept": "application/toml"}, response_type="str", auth_settings=[],
        _return_http_data_only=True,
    )  # fmt: skip
    assert text == TOML
    request.config = TOML + "# changed\n"
    assert service.put_telegrafs_id(made.id, request).config == TOML + "# changed\n"
    service.delete_telegrafs_id(made.id)
    assert service.get_telegrafs(org_id=server.org_id).configurations == []


def test_delete(client: InfluxDBClient) -> None:
    write = client.write_api(write_options=SYNCHRONOUS)
    write.write("monitoring-system", record="m,host=a f=1\nm,host=b f=2")
    past, future = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    client.delete_api().delete(past, future, '_measurement="m" AND host="a"', bucket="monitoring-system")
    assert [row["host"] for row in rows(client, READ)] == ["b"]


@pytest.fixture
async def running() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        await server.setup()
        yield server


async def test_asynchronous_writer(running: Sandbox) -> None:
    async with InfluxDBClientAsync(running.url, running.token, org="home", enable_gzip=True) as client:
        assert await client.ping()
        assert await client.write_api().write(
            "monitoring-system", record=[Point("m").field("f", 1), Point("n").field("f", 2)]
        )
        assert ",m\r\n" in await client.query_api().query_raw(READ)
    assert await running.count() == 2


async def test_asynchronous_queries(running: Sandbox) -> None:
    pytest.importorskip(
        "aiocsv", reason="influxdb-client reads answers with aiocsv: pip install 'influxdb-client[async]'"
    )
    await running.write("m f=2")
    async with InfluxDBClientAsync(running.url, running.token, org="home") as client:
        tables = await client.query_api().query(READ)
        assert [record["_value"] for table in tables for record in table.records] == [2]
        stream = await client.query_api().query_stream(READ)
        assert [record["_value"] async for record in stream] == [2]

"""inputs.postgresql against a real server; what Telegraf gave for the same configurations is in the recordings."""

import asyncio
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from real_servers import running

from pyagent.api import PyagentError, redact
from pyagent.testing import assert_declared, gather, lines, make_input
from pyagent.testing.servers import PostgresServer, free_port
from pyagent_plugins.inputs import postgresql as module
from pyagent_plugins.inputs.postgresql import Postgresql

RECORDED = ["default", "databases", "ignored", "outputaddress", "password"]
NOWHERE = "host=127.0.0.1 port={port} user=postgres sslmode=disable"

Make = Callable[..., Postgresql]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGOPTIONS", "PGSERVICE", "PGAPPNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[PostgresServer]:
    """Of this file alone: its tests add a role, views and databases."""
    yield from running(lambda: PostgresServer(["app_production", "testing"]))


@pytest.fixture(scope="module")
def server(own_postgresql: PostgresServer) -> PostgresServer:
    """The server, with a user `monitor` who needs the password s3cret."""
    own_postgresql.execute("CREATE ROLE monitor LOGIN PASSWORD 's3cret'")
    rules = own_postgresql.directory / "data" / "pg_hba.conf"
    rules.write_text("host all monitor 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    before = time.monotonic()
    own_postgresql.execute("SELECT pg_reload_conf()")
    while time.monotonic() < before + 30:
        try:
            psycopg.connect(own_postgresql.address, user="monitor", password="wrong").close()
        except psycopg.OperationalError:
            return own_postgresql
    raise AssertionError("the new access rules do not apply")


@pytest.fixture
def address(server: PostgresServer) -> str:
    return f"host=127.0.0.1 port={server.port} user=postgres sslmode=disable dbname=postgres"


@pytest.fixture(scope="module")
def version(server: PostgresServer) -> int:
    """The server's major version."""
    with psycopg.connect(server.address) as connection:
        return connection.info.server_version // 10000


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Make plugins that are stopped when the test ends."""
    made: list[Postgresql] = []

    def make_postgresql(address: str, **options: Any) -> Postgresql:
        plugin = make_input(Postgresql, {"address": address, **options})
        assert isinstance(plugin, Postgresql)
        made.append(plugin)
        return plugin

    yield make_postgresql
    for plugin in made:
        await plugin.stop()


@asynccontextmanager
async def observer(address: str) -> AsyncIterator[Callable[..., Awaitable[list[Any]]]]:
    """A connection of the test's own: yields a function that gives the rows of a query."""
    connection = await psycopg.AsyncConnection.connect(address, autocommit=True, application_name="observer")

    async def rows(query: str, *parameters: object) -> list[Any]:
        cursor = await connection.execute(query.encode(), parameters or None)
        return await cursor.fetchall()

    try:
        yield rows
    finally:
        await connection.close()


async def settled(rows: Callable[..., Awaitable[list[Any]]], query: str, expected: list[Any]) -> None:
    """Wait until a query gives what is expected: the server takes a moment to end a session."""
    deadline = time.monotonic() + 30
    while (found := await rows(query)) != expected:
        assert time.monotonic() < deadline, f"{query}: {found}, not {expected}"


SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pyagent' AND backend_type = 'client backend'"


NOT_IN_ALL = {"buffers_backend", "buffers_backend_fsync", "parallel_workers_launched", "parallel_workers_to_launch"}
"""Gone with PostgreSQL 17, there from 18; the recordings are of 15."""


def shapes(recorded: list[str], without: set[str]) -> list[tuple[str, dict[str, str]]]:
    """Lines as series and types of fields, sorted: the values differ from server to server."""
    result = []
    for line in recorded:
        match = re.fullmatch(r"((?:\\.|[^ ])+) (.*)", line)
        assert match is not None, line
        types = {}
        for pair in match[2].split(","):
            name, value = pair.split("=")
            if name in without:
                continue
            types[name] = value if name == "datname" else "int" if value.endswith("i") else f"float {float(value) >= 0}"
        result.append((match[1], types))
    return sorted(result, key=str)


@pytest.mark.parametrize("name", RECORDED)
async def test_series_and_types_are_as_recorded(
    name: str, server: PostgresServer, version: int, shared: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    folder = shared / "golden/telegraf/postgresql"
    options = tomllib.loads((folder / f"{name}.conf").read_text())["inputs"]["postgresql"][0]
    monkeypatch.setenv("PGPORT", str(server.port))
    plugin = make(**options)
    metrics = await gather(plugin)
    without = NOT_IN_ALL if version >= 17 else set()
    assert shapes(lines(metrics), without) == shapes((folder / f"{name}.out").read_text().splitlines(), without)
    assert_declared(plugin, metrics)


def test_it_works_on_uvloop(address: str) -> None:
    uvloop = pytest.importorskip("uvloop", reason="uvloop is missing; pip install uvloop")

    async def run() -> int:
        plugin = make_input(Postgresql, {"address": address})
        try:
            return len(await gather(plugin)) + len(await gather(plugin))
        finally:
            await plugin.stop()

    assert uvloop.run(run()) == 2 * 7


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
async def test_a_url_with_a_password(server: PostgresServer, make: Make, scheme: str) -> None:
    plugin = make(f"{scheme}://monitor:s3cret@localhost:{server.port}/testing?sslmode=disable&work_mem=4%20MB")
    metrics = await gather(plugin)
    tag = f"dbname=testing host=localhost port={server.port} user=monitor work_mem='4 MB'"
    assert {metric.tags["server"] for metric in metrics} == {tag}
    assert metrics[-1].tags["db"] == "testing"


async def test_databases_are_names_and_not_sql(address: str, make: Make) -> None:
    names = ["testing", "it's", "x'); DROP DATABASE testing; --", 'quo"te', "back\\slash", "%s"]
    for prepared in (True, False):
        metrics = await gather(make(address, databases=names, prepared_statements=prepared))
        assert [metric.tags["db"] for metric in metrics] == ["testing", "postgres"]
        metrics = await gather(make(address, ignored_databases=names, prepared_statements=prepared))
        assert {metric.tags["db"] for metric in metrics} == {"postgres", "app_production", "template0", "template1"}


async def test_a_socket_and_settings_of_the_server(server: PostgresServer, make: Make) -> None:
    path = f"{server.socket_directory}/.s.PGSQL.{server.port}"
    address = f"host={path} user=postgres statement_timeout=12345 work_mem='4 MB'"
    plugin = make(address)
    assert {metric.tags["server"] for metric in await gather(plugin)} == {address}
    assert plugin._connection is not None
    cursor = await plugin._connection.execute(
        "SELECT current_setting('statement_timeout'), current_setting('work_mem')"
    )
    assert await cursor.fetchone() == ("12345ms", "4MB")


async def test_what_the_address_does_not_say_comes_from_the_environment(
    server: PostgresServer, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(server.port))
    monkeypatch.setenv("PGUSER", "monitor")
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    monkeypatch.setenv("PGDATABASE", "testing")
    monkeypatch.setenv("PGAPPNAME", "named")
    plugin = make("sslmode=disable")
    metrics = await gather(plugin)
    assert metrics[-1].tags == {"server": "", "db": "testing"}
    assert plugin._connection is not None
    cursor = await plugin._connection.execute(
        "SELECT current_user, current_database(), current_setting('application_name')"
    )
    assert await cursor.fetchone() == ("monitor", "testing", "named")


async def test_the_connection_is_kept_and_stop_closes_it(address: str, make: Make) -> None:
    plugin = make(address)
    async with observer(address) as rows:
        await settled(rows, SESSIONS, [])
        await gather(plugin)
        [first] = await rows(SESSIONS)
        await gather(plugin)
        assert await rows(SESSIONS) == [first]
        await plugin.stop()
        await settled(rows, SESSIONS, [])
        await plugin.stop()


async def test_max_idle_0_closes_after_each_gather(address: str, make: Make) -> None:
    await gather(make(address, max_idle=0))
    async with observer(address) as rows:
        await settled(rows, SESSIONS, [])


async def test_a_connection_older_than_max_lifetime_is_replaced(
    address: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    plugin = make(address, max_lifetime="1m")
    async with observer(address) as rows:
        await gather(plugin)
        [first] = await rows(SESSIONS)
        now += 59
        await gather(plugin)
        assert await rows(SESSIONS) == [first]
        now += 1
        await gather(plugin)
        await settled(rows, f"{SESSIONS} AND pid = {first[0]}", [])
        [second] = await rows(SESSIONS)
        assert second != first


@pytest.mark.parametrize(
    ("prepared", "mode", "expected"),
    [
        (True, "", True),
        (False, "", False),
        (True, "default_query_exec_mode=simple_protocol", False),
        (True, "pool_max_conns=3", True),
    ],
)
async def test_prepared_statements(
    address: str, version: int, make: Make, prepared: bool, mode: str, expected: bool, caplog: pytest.LogCaptureFixture
) -> None:
    plugin = make(f"{address} {mode}", prepared_statements=prepared)
    await gather(plugin)
    assert plugin._connection is not None
    cursor = await plugin._connection.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False)
    views = 3 if version >= 17 else 2
    assert await cursor.fetchone() == (views if expected else 0,)
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == (
        ["address: pool_max_conns: not settings of PostgreSQL or libpq; ignored"] if "pool" in mode else []
    )


async def test_a_refused_port(make: Make) -> None:
    plugin = make(NOWHERE.format(port=(port := free_port())))
    with pytest.raises(PyagentError) as raised:
        await gather(plugin)
    assert str(raised.value) == (
        f"cannot connect to PostgreSQL (host=127.0.0.1 port={port} user=postgres): Connection refused; "
        "check that it runs, and host and port in address"
    )


async def test_several_addresses_that_fail_in_different_ways(server: PostgresServer, make: Make) -> None:
    plugin = make(f"host=127.0.0.1,127.0.0.1 port={free_port()},{server.port} user=nobody_here sslmode=disable")
    with pytest.raises(PyagentError) as raised:
        await gather(plugin)
    assert re.fullmatch(
        r"cannot connect to PostgreSQL \(host=127.0.0.1,127.0.0.1 port=\d+,\d+ user=nobody_here\): "
        r'connection to server at "127.0.0.1", port \d+ failed: Connection refused, '
        r'connection to server at "127.0.0.1", port \d+ failed: FATAL: role "nobody_here" does not exist; '
        r"check user, password and dbname in address",
        str(raised.value),
    )


@pytest.mark.parametrize(
    ("account", "cause"),
    [
        ("user=nobody_here", 'FATAL: role "nobody_here" does not exist'),
        ("user=monitor password=Wr0ngPass", 'FATAL: password authentication failed for user "monitor"'),
        ("user=monitor", "fe_sendauth: no password supplied"),
        ("user=postgres dbname=no_such", 'FATAL: database "no_such" does not exist'),
    ],
)
async def test_a_refused_account(server: PostgresServer, make: Make, account: str, cause: str) -> None:
    plugin = make(f"host=127.0.0.1 port={server.port} {account}")  # "localhost" may be two addresses
    with pytest.raises(PyagentError) as raised:
        await gather(plugin)
    message = str(raised.value)
    assert message.endswith(f"): {cause}; check user, password and dbname in address")
    assert "\n" not in message
    assert "Wr0ngPass" not in message
    assert "Wr0ngPass" not in redact("the log line says Wr0ngPass") or "password" not in account


@pytest.mark.parametrize(
    ("setting", "cause"),
    [
        ("hots=1", 'FATAL: unrecognized configuration parameter "hots"; see the server\'s log'),
        ("sslmode=require", "server does not support SSL, but SSL was required; check that it runs, and host and port"),
        ("sslmode=odd", 'invalid sslmode value: "odd"'),
        ("connect_timeout=soon", "bad value for connect_timeout: 'soon'"),
    ],
)
async def test_a_wrong_setting(server: PostgresServer, make: Make, setting: str, cause: str) -> None:
    plugin = make(f"host=127.0.0.1 port={server.port} user=postgres {setting}")
    with pytest.raises(PyagentError, match=re.escape(f"): {cause}")) as raised:
        await gather(plugin)
    assert "\n" not in str(raised.value)


async def test_an_unknown_host(make: Make) -> None:
    with pytest.raises(PyagentError, match=r"failed to resolve host 'nowhere.invalid': .*; check that it runs"):
        await gather(make("host=nowhere.invalid user=postgres"))


async def test_a_server_that_does_not_answer_ends_the_attempt(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel takes the connection, and nobody speaks.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = NOWHERE.format(port=silent.getsockname()[1])
        with monkeypatch.context() as patch:
            patch.setattr(module, "CONNECT_LIMIT", 0.01)
            with pytest.raises(PyagentError, match=r"not done within 0.01 s; check host and port in address"):
                await gather(make(address))
        left, _ = silent.accept()
        with left:
            left.setblocking(False)
            # What was sent before, then the end: the attempt was given up.
            while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(left, 4096), 30):
                pass
        with pytest.raises(PyagentError, match=r"connection timeout expired; check that it runs"):
            await gather(make(f"{address} connect_timeout=2"))


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    if not PostgresServer.installed():
        pytest.skip("PostgreSQL is missing; apt install postgresql")
    with PostgresServer() as server:
        yield server


async def test_a_server_that_goes_and_comes_back(own_server: PostgresServer, make: Make) -> None:
    def stop(mode: str) -> None:
        control = [str(own_server.bin / "pg_ctl"), "-D", str(own_server.directory / "data")]
        own_server.run([*control, "-m", mode, "-w", "stop"])
        process = own_server._process
        assert process is not None
        assert process.stdin is not None
        # In this order: with its input closed first, the server's guard would clear its folder away.
        process.wait(30)
        process.stdin.close()

    def start() -> None:
        own_server._launch()
        assert own_server._wait_until_it_answers()

    plugin = make(f"host=127.0.0.1 port={own_server.port} user=postgres sslmode=disable")
    assert len(await gather(plugin)) == 5

    stop("immediate")
    for _ in range(2):
        with pytest.raises(PyagentError, match=r"cannot connect to PostgreSQL .*: Connection refused; "):
            await gather(plugin)
    start()
    assert len(await gather(plugin)) == 5

    # Gone and back between two gathers: not a failure.
    stop("fast")
    start()
    assert len(await gather(plugin)) == 5


async def test_a_session_that_an_operator_ended_is_made_again(address: str, make: Make) -> None:
    plugin = make(address)
    await gather(plugin)
    async with observer(address) as rows:
        assert await rows(f"SELECT pg_terminate_backend(pid) FROM ({SESSIONS}) sessions") == [(True,)]
        await settled(rows, SESSIONS, [])
        assert len(await gather(plugin)) == 7


VIEWS = """
CREATE SCHEMA slow;
CREATE VIEW slow.pg_stat_database AS SELECT *, pg_sleep(600)::text AS slept FROM pg_catalog.pg_stat_database;
CREATE SCHEMA denied;
CREATE VIEW denied.pg_stat_database AS SELECT 1/0 AS datid, 'x' AS datname;
CREATE SCHEMA seventeen;
CREATE VIEW seventeen.pg_stat_bgwriter AS
    SELECT buffers_clean, maxwritten_clean, buffers_alloc, stats_reset FROM pg_catalog.pg_stat_bgwriter;
CREATE VIEW seventeen.pg_stat_checkpointer AS
    SELECT 1::bigint AS num_timed, 2::bigint AS num_requested, 3.5::float8 AS write_time, 4::float8 AS sync_time,
           5::bigint AS buffers_written, now() AS stats_reset;
CREATE SCHEMA other;
CREATE VIEW other.pg_stat_bgwriter AS SELECT 7::smallint AS buffers_clean;
CREATE VIEW other.pg_stat_checkpointer AS SELECT 8 AS what_nobody_knows;
CREATE SCHEMA before;
CREATE VIEW before.pg_stat_bgwriter AS SELECT 7::smallint AS buffers_clean;
CREATE VIEW other.pg_stat_database AS
    SELECT 1::oid AS datid, 'db'::name AS datname, 2.5::numeric AS num, true AS flag, 'text' AS txt, now() AS at,
           interval '1 hour' AS span, NULL::bigint AS nothing, '\\x6162'::bytea AS raw, 1.5::real AS half;
"""


@pytest.fixture(scope="module")
def views(server: PostgresServer) -> str:
    """Schemas whose views stand before those of the server, as other versions and other states would have them."""
    server.execute(VIEWS, "app_production")
    return f"host=127.0.0.1 port={server.port} user=postgres sslmode=disable dbname=app_production search_path="


async def test_postgresql_17_keeps_the_names_of_its_checkpoint_fields(views: str, make: Make) -> None:
    plugin = make(f"{views}seventeen,pg_catalog", databases=["none"])
    metrics = await gather(plugin)
    assert_declared(plugin, metrics)
    [writer] = metrics
    assert writer.tags["db"] == "app_production"
    assert {name: value for name, value in writer.fields.items() if "checkpoint" in name} == {
        "checkpoints_timed": 1,
        "checkpoints_req": 2,
        "checkpoint_write_time": 3.5,
        "checkpoint_sync_time": 4.0,
        "buffers_checkpoint": 5,
    }
    assert writer.fields.keys() >= {"buffers_clean", "maxwritten_clean", "buffers_alloc"}
    assert "stats_reset" not in writer.fields


async def test_other_servers_and_columns_nobody_knows(views: str, make: Make) -> None:
    database, writer = await gather(make(f"{views}other,pg_catalog", outputaddress="db01"))
    assert writer.fields == {"buffers_clean": 7}
    assert writer.tags == {"server": "db01", "db": "postgres"}
    assert database.tags == {"server": "db01", "db": "db"}
    assert database.fields == {
        "datid": 1, "datname": "db", "num": 2.5, "flag": True, "txt": "text", "span": "1:00:00", "raw": "ab", "half": 1.5
    }  # fmt: skip
    assert {type(value) for value in database.fields.values()} == {int, float, bool, str}


async def test_a_server_of_another_make_without_a_view_of_checkpoints(views: str, version: int, make: Make) -> None:
    if version >= 17:
        pytest.skip(f"a server without pg_stat_checkpointer is missing: PostgreSQL {version} always has it")
    [writer] = await gather(make(f"{views}before,pg_catalog", databases=["none"]))
    assert writer.fields == {"buffers_clean": 7}


async def test_names_in_a_database_without_an_encoding(server: PostgresServer, make: Make) -> None:
    server.execute("CREATE DATABASE plain ENCODING SQL_ASCII TEMPLATE template0")
    try:
        plugin = make(f"host=127.0.0.1 port={server.port} user=postgres dbname=plain", databases=["plain"])
        database, writer = await gather(plugin)
        assert (database.tags["db"], database.fields["datname"], writer.tags["db"]) == ("plain", "plain", "plain")
        await plugin.stop()
    finally:
        server.execute("DROP DATABASE plain WITH (FORCE)")


async def test_a_query_that_fails(views: str, make: Make) -> None:
    plugin = make(f"{views}denied,pg_catalog")
    with pytest.raises(PyagentError) as raised:
        await gather(plugin)
    assert str(raised.value).startswith("cannot read from PostgreSQL (host=127.0.0.1 port=")
    assert str(raised.value).endswith("): division by zero")
    assert plugin._connection is None


# Before it sleeps, a statement is parsed; a cancellation that arrives between the two is lost, as PostgreSQL documents.
SLEEPERS = f"SELECT count(*) FROM ({SESSIONS} AND wait_event = 'PgSleep') sessions"


async def test_a_cancelled_gather_leaves_no_connection(views: str, address: str, make: Make) -> None:
    plugin = make(f"{views}slow,pg_catalog")
    async with observer(address) as rows:
        await settled(rows, SESSIONS, [])
        running = asyncio.create_task(gather(plugin))
        await settled(rows, SLEEPERS, [(1,)])
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await settled(rows, SESSIONS, [])
    assert plugin._connection is None


async def test_a_gather_that_takes_too_long_ends(
    views: str, address: str, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: dict[float, asyncio.Timeout] = {}
    timeout = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda limit: limits.setdefault(limit, timeout(limit)))
    plugin = make(f"{views}slow,pg_catalog")
    async with observer(address) as rows:
        running = asyncio.create_task(gather(plugin))
        await settled(rows, SLEEPERS, [(1,)])
        limits[module.QUERY_LIMIT].reschedule(0)
        with pytest.raises(PyagentError, match=r"no answer within 30 s$"):
            await running
        await settled(rows, SESSIONS, [])


def test_without_psycopg_the_error_says_what_to_install() -> None:
    code = """
import logging, sys
sys.modules["psycopg"] = None
from pyagent.api import ConfigError
from pyagent_plugins.inputs.postgresql import Postgresql, PostgresqlOptions
try:
    Postgresql(PostgresqlOptions(), logging.getLogger())
except ConfigError as error:
    print(error)
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert f"; {sys.executable} -m pip install 'psycopg[binary]'" in printed
    assert printed.count("\n") == 1


def test_importing_the_plugin_does_not_import_psycopg() -> None:
    code = "import sys, pyagent_plugins.inputs.postgresql; assert 'psycopg' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Activity of a PostgreSQL server.

The views are pg_stat_database, pg_stat_bgwriter and, from PostgreSQL 17, pg_stat_checkpointer; any user may read them.
Options, tags and names are those of Telegraf 1.40. Every column of the views becomes a field, so newer servers give
more than is declared here.
"""

import asyncio
import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pyagent.api import (
    Accumulator,
    Chart,
    ConfigError,
    Duration,
    Field,
    Input,
    Measurement,
    Options,
    PyagentError,
    Secret,
    counters,
    fields,
    option,
    redact,
)
from pyagent.api.files import readable_path
from pyagent.api.hosted import HostedPath
from pyagent.kit.libraries import how_to_install
from pyagent_plugins.inputs.postgresql.address import (
    FILES,
    SECRETS,
    connection_parameters,
    database_of,
    files_of_address,
    parse_address,
)

if TYPE_CHECKING:
    import psycopg

CONNECT_LIMIT = 60.0
"""Seconds for a connection in all, name look-ups included."""
QUERY_LIMIT = 30.0
"""Seconds for the queries of one gather."""


class PostgresqlOptions(Options, frozen=True):
    address: Annotated[
        str,
        option(
            "the server as a URL, postgres://user:password@host:port/dbname?sslmode=disable, or as key=value pairs; "
            "what it does not say comes from PGUSER, ~/.pgpass and so on, as in libpq",
            reads_path=files_of_address,
        ),
    ] = ""
    outputaddress: Annotated[str, option("value of the tag server; default: the address without its secrets")] = ""
    databases: Annotated[list[str], option("the only databases to report; default: all")] = []
    ignored_databases: Annotated[list[str], option("databases not to report; not together with databases")] = []
    prepared_statements: Annotated[bool, option("false behind PgBouncer with pool_mode = transaction")] = True
    max_lifetime: Annotated[Duration, option("age at which the connection is replaced; 0s: never")] = Duration(0)
    max_idle: Annotated[int, option("0: close the connection after each gather")] = 1
    max_open: Annotated[int, option("there is one connection", no_effect=True)] = 1


MEASUREMENT = Measurement(
    "postgresql",
    "One metric for each database, one for objects shared by all (db=postgres_global), one for the background writer.",
    tags={
        "server": "outputaddress, else the address without its secrets",
        "db": "the database; for the background writer, the one that address names, else postgres",
    },
    fields={"datname": Field("str", "", "name of the database")}
    | counters("int", "bytes", temp_bytes="written to temporary files by queries")
    | counters(
        "float",
        "ms",
        active_time="spent running statements",
        blk_read_time="spent reading blocks (with track_io_timing)",
        blk_write_time="spent writing blocks (with track_io_timing)",
        checkpoint_sync_time="spent syncing files in checkpoints",
        checkpoint_write_time="spent writing files in checkpoints",
        idle_in_transaction_time="spent idle in a transaction",
        session_time="spent by sessions",
    )
    | fields("int", "1", datid="identifier (OID) of the database", numbackends="connections now")
    | counters(
        "int",
        "1",
        blks_hit="blocks found in the buffer cache",
        blks_read="blocks read from disk",
        buffers_alloc="buffers allocated",
        buffers_backend="buffers written by backends themselves (before 17)",
        buffers_backend_fsync="times a backend had to sync a file itself (before 17)",
        buffers_checkpoint="buffers written by checkpoints",
        buffers_clean="buffers written by the background writer",
        checkpoints_req="checkpoints that were requested",
        checkpoints_timed="checkpoints that were due",
        checksum_failures="pages with a wrong checksum (with data checksums)",
        conflicts="queries cancelled by recovery on a standby",
        deadlocks="deadlocks",
        maxwritten_clean="times the background writer stopped at bgwriter_lru_maxpages",
        parallel_workers_launched="parallel workers launched (from 18)",
        parallel_workers_to_launch="parallel workers planned (from 18)",
        sessions="sessions begun",
        sessions_abandoned="sessions lost with their client",
        sessions_fatal="sessions ended by fatal errors",
        sessions_killed="sessions ended by an operator",
        temp_files="temporary files made by queries",
        tup_deleted="rows deleted",
        tup_fetched="rows fetched by index scans",
        tup_inserted="rows inserted",
        tup_returned="rows returned by sequential scans and index entries by index scans",
        tup_updated="rows updated",
        xact_commit="transactions committed",
        xact_rollback="transactions rolled back",
    ),
    open=True,
    charts=(
        Chart("Connections", ("numbackends",), overview=True),
        Chart("Transactions", ("xact_commit", "xact_rollback"), overview=True),
        Chart("Blocks found in the buffer cache, and read", ("blks_hit", "blks_read")),
        Chart("Rows read", ("tup_returned", "tup_fetched")),
        Chart("Rows written", ("tup_inserted", "tup_updated", "tup_deleted")),
        Chart("Deadlocks and conflicts", ("deadlocks", "conflicts")),
        Chart("Temporary files: bytes", ("temp_bytes",)),
        Chart("Time spent by sessions", ("active_time", "idle_in_transaction_time")),
        Chart("Time spent reading and writing blocks", ("blk_read_time", "blk_write_time")),
        Chart("Checkpoints", ("checkpoints_timed", "checkpoints_req")),
        Chart("Buffers written", ("buffers_checkpoint", "buffers_clean", "buffers_backend")),
    ),
)

# PostgreSQL 17 moved these columns to a view of their own and renamed them: the fields keep their names.
CHECKPOINTER = """
SELECT num_timed AS checkpoints_timed, num_requested AS checkpoints_req, write_time AS checkpoint_write_time,
       sync_time AS checkpoint_sync_time, buffers_written AS buffers_checkpoint
FROM pg_stat_checkpointer"""


class ConnectionLost(PyagentError):
    """The server closed a connection that was open."""


class Row(NamedTuple):
    fields: Mapping[str, Any]
    database: str | None
    """None: the row is about the server."""


class Postgresql(Input[PostgresqlOptions]):
    measurements = (MEASUREMENT,)

    def setup(self) -> None:
        options = self.options
        if options.databases and options.ignored_databases:
            raise ConfigError(
                "databases and ignored_databases cannot be used together; keep one of them", option="ignored_databases"
            )
        try:
            import psycopg
        except ImportError as error:
            raise ConfigError(
                f"cannot use PostgreSQL: the library psycopg does not load ({str(error).splitlines()[0]}); "
                f"{how_to_install('psycopg')}"
            ) from None
        known = frozenset(default.keyword.decode() for default in psycopg.pq.Conninfo.get_defaults())
        # An empty address and a bare "localhost" mean the same, as in Telegraf.
        text = "host=localhost sslmode=disable" if options.address in ("", "localhost") else options.address
        pairs, self._name = parse_address(text)
        parameters, prepare, ignored = connection_parameters(pairs, known)
        if ignored:
            self.log.warning("address: %s: not settings of PostgreSQL or libpq; ignored", ", ".join(ignored))
        for key in SECRETS:
            # A password that is as well a word of every message hides nothing, and masking it would hide the messages.
            if (value := parameters.get(key, "")) and value not in f"{self._name} inputs.postgresql":
                Secret(value)
        # Those that a configuration from a URL names are looked at again whenever libpq reads them.
        self._files: dict[str, HostedPath] = {}
        if isinstance(options.address, HostedPath):
            guard, named = options.address.guard, files_of_address(options.address)
            self._files = {
                key: HostedPath(path, guard) for key, path in parameters.items() if key in FILES and path in named
            }
        self._conninfo = psycopg.conninfo.make_conninfo("", **parameters)
        self._prepare_threshold = 0 if options.prepared_statements and prepare else None
        self._server = options.outputaddress or self._name
        self._database = database_of(self._server)
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._connected_at = 0.0

    async def gather(self, acc: Accumulator) -> None:
        lifetime = self.options.max_lifetime.seconds
        if 0 < lifetime <= monotonic() - self._connected_at:
            await self.stop()
        rows = None
        try:
            if self._connection is not None:
                try:
                    rows = await self._read(self._connection)
                except ConnectionLost:
                    # The server was restarted between two gathers, perhaps long ago: no failure if it is there again.
                    await self.stop()
            if rows is None:
                self._connection = await self._connect()
                self._connected_at = monotonic()
                rows = await self._read(self._connection)
        except BaseException:
            # Cancellation too: nobody knows what state the connection is in.
            await self.stop()
            raise
        for row in rows:
            database = self._database if row.database is None else row.database
            acc.add("postgresql", row.fields, {"server": self._server, "db": database})
        if self.options.max_idle <= 0:
            await self.stop()

    async def stop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connect(self) -> "psycopg.AsyncConnection[tuple[Any, ...]]":
        import psycopg

        try:
            with ExitStack() as stack:
                files = {key: stack.enter_context(readable_path(path)) for key, path in self._files.items()}
                conninfo = psycopg.conninfo.make_conninfo(self._conninfo, **files)
                async with asyncio.timeout(CONNECT_LIMIT):
                    return await psycopg.AsyncConnection.connect(
                        conninfo, autocommit=True, prepare_threshold=self._prepare_threshold
                    )
        except TimeoutError:
            cause, advice = f"not done within {CONNECT_LIMIT:g} s", "check host and port in address"
        except OSError as error:
            cause, advice = error.strerror or str(error), "correct the files in address"
        except psycopg.Error as error:
            cause, advice = connect_failure(str(error))
        raise PyagentError(f"cannot connect to PostgreSQL ({self._name}): {cause}; {advice}")

    async def _read(self, connection: "psycopg.AsyncConnection[tuple[Any, ...]]") -> list[Row]:
        import psycopg

        try:
            async with asyncio.timeout(QUERY_LIMIT):
                return await self._query_all(connection)
        except TimeoutError:
            cause = f"no answer within {QUERY_LIMIT:g} s"
        except psycopg.Error as error:
            cause = redact(error.diag.message_primary or str(error).partition("\n")[0])
            if connection.broken:
                raise ConnectionLost(f"cannot read from PostgreSQL ({self._name}): {cause}") from None
        raise PyagentError(f"cannot read from PostgreSQL ({self._name}): {cause}")

    async def _query_all(self, connection: "psycopg.AsyncConnection[tuple[Any, ...]]") -> list[Row]:
        import psycopg

        query, names = "SELECT * FROM pg_stat_database", None
        if self.options.databases:
            query, names = query + " WHERE datname = ANY(%s)", self.options.databases
        elif self.options.ignored_databases:
            # As in Telegraf, this leaves out the row of shared objects too: its datname is NULL.
            query, names = query + " WHERE datname <> ALL(%s)", self.options.ignored_databases
        rows = [
            Row(row, _text(row["datname"]) if row.get("datname") is not None else "postgres_global")
            for row in await _query(connection, query, names)
        ]
        for writer in await _query(connection, "SELECT * FROM pg_stat_bgwriter"):
            if "checkpoints_timed" not in writer:
                try:
                    for checkpointer in await _query(connection, CHECKPOINTER):
                        writer |= checkpointer
                except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
                    pass  # a server of another make
            rows.append(Row(writer, None))
        return rows


async def _query(
    connection: "psycopg.AsyncConnection[tuple[Any, ...]]", query: str, names: list[str] | None = None
) -> list[dict[str, Any]]:
    async with connection.cursor() as cursor:
        # Bytes, for psycopg asks for a literal str, and these are put together: of literals.
        await cursor.execute(query.encode(), None if names is None else (names,))
        columns = [column.name for column in cursor.description or ()]
        return [
            {name: field for name, value in zip(columns, row, strict=True) if (field := _field(value)) is not None}
            for row in await cursor.fetchall()
        ]


def _field(value: Any) -> Any:
    """A column's value as a field; None leaves it out, times too (stats_reset and the like), as Telegraf does."""
    if value is None or isinstance(value, datetime):
        return None
    return value if isinstance(value, bool | int | float | str | bytes | Decimal) else str(value)


def _text(name: str | bytes) -> str:
    # psycopg gives bytes where the database's encoding is SQL_ASCII, which is none.
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name


_ATTEMPT = re.compile(r"(?:- host: .*?, hostaddr: (?:None|'[^']*'): )?(?:connection (?:failed|is bad): )?")
_TCP_SERVER = re.compile(r"connection to server at .*? failed: ")


def connect_failure(text: str) -> tuple[str, str]:
    """The cause in one line, and what to do. Of several addresses with the same cause it names none."""
    first, *more = text[:8192].splitlines() or [""]
    attempts = [line for line in more if line.startswith("- host: ")] or [first]
    causes = dict.fromkeys(" ".join(_ATTEMPT.sub("", line, count=1).split()) for line in attempts)
    plain = dict.fromkeys(_TCP_SERVER.sub("", cause) for cause in causes)
    cause = redact(", ".join(plain if len(plain) == 1 else causes))
    if re.search(r'password|authentication|pg_hba|role "|database "', cause):
        return cause, "check user, password and dbname in address"
    return cause, "see the server's log" if "FATAL" in cause else "check that it runs, and host and port in address"

"""Statistics of Redis, Valkey and KeyDB.

And of whatever else speaks their protocol; and values that commands give.
"""

import re
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pyagent.api import (
    Accumulator,
    Chart,
    ConfigError,
    FieldValue,
    Input,
    Measurement,
    Options,
    PyagentError,
    Secret,
    counters,
    fields,
    option,
)
from pyagent.api.masking import mask_url
from pyagent.kit.connection import Connection, ServerAddress, connected
from pyagent.kit.each import for_each
from pyagent.kit.resp import Answer, Refused, ask
from pyagent.kit.tls import TlsOptions, system_context

__all__ = ["Command", "Redis", "RedisOptions"]


class Command(Options, frozen=True):
    command: Annotated[
        list[str | int | float | bool], option("the command and its arguments, each of them one item", executes=True)
    ]
    field: Annotated[str, option("field for the answer")]
    type: Annotated[Literal["string", "integer", "float"], option("type of that field")]


_Choice = Annotated[
    bool | None, option("true: speak TLS, false: do not (not given: where another option of TLS is set)")
]


class RedisOptions(TlsOptions, frozen=True):
    servers: Annotated[
        list[str],
        option("tcp://[USER:PASSWORD@]HOST[:PORT] or unix:///PATH ([]: the one of this host)"),
    ] = []
    username: Annotated[Secret, option("user, for servers with more than one; goes before that of the URL")] = Secret(
        ""
    )
    password: Annotated[Secret, option("password; goes before that of the URL")] = Secret("")
    commands: Annotated[list[Command], option("commands whose answers become fields of redis_commands")] = []
    tls_enable: _Choice = None  # type: ignore[assignment]  # not given is neither of the two

    def remarks(self) -> Iterable[tuple[str, str]]:
        if any("://" not in server for server in self.servers):
            yield "servers", "has an address without tcp:// or unix:// before it; tcp:// is taken"


_TIMEOUT = 5.0
_PORT = 6379
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OF_SERVER = ("lru_clock", "uptime_in_seconds", "redis_version")
_RENAMED = {"uptime_in_seconds": "uptime", "connected_clients": "clients"}
_REPLICA = re.compile(r"slave\d+")
_COMMAND_INTEGERS = ("calls", "usec", "rejected_calls", "failed_calls")

_INTEGERS_LISTED = """
    active_defrag_hits active_defrag_key_hits active_defrag_key_misses active_defrag_misses active_defrag_running
    allocator_active allocator_allocated allocator_resident allocator_rss_bytes aof_current_rewrite_time_sec aof_enabled
    aof_last_cow_size aof_last_rewrite_time_sec aof_rewrite_in_progress aof_rewrite_scheduled blocked_clients
    client_recent_max_input_buffer client_recent_max_output_buffer clients clients_in_timeout_table cluster_enabled
    connected_slaves evicted_keys expire_cycle_cpu_milliseconds expired_keys expired_time_cap_reached_count
    instantaneous_ops_per_sec io_threaded_reads_processed io_threaded_writes_processed keyspace_hits keyspace_misses
    latest_fork_usec lazyfree_pending_objects loading lru_clock master_repl_offset maxmemory mem_aof_buffer
    mem_clients_normal mem_clients_slaves mem_fragmentation_bytes mem_not_counted_for_evict mem_replication_backlog
    migrate_cached_sockets module_fork_in_progress module_fork_last_cow_size number_of_cached_scripts pubsub_channels
    pubsub_patterns rdb_bgsave_in_progress rdb_changes_since_last_save rdb_current_bgsave_time_sec
    rdb_last_bgsave_time_sec rdb_last_cow_size rdb_last_save_time rdb_last_save_time_elapsed rejected_connections
    repl_backlog_active repl_backlog_first_byte_offset repl_backlog_histlen repl_backlog_size rss_overhead_bytes
    second_repl_offset slave_expires_tracked_keys sync_full sync_partial_err sync_partial_ok total_commands_processed
    total_connections_received total_net_input_bytes total_net_output_bytes total_reads_processed total_system_memory
    total_writes_processed tracking_clients tracking_total_items tracking_total_keys tracking_total_prefixes
    unexpected_error_replies uptime used_memory used_memory_dataset used_memory_lua used_memory_overhead
    used_memory_peak used_memory_rss used_memory_scripts used_memory_startup
"""
_FLOATS_LISTED = """
    allocator_frag_bytes allocator_frag_ratio allocator_rss_ratio expired_stale_perc instantaneous_input_kbps
    instantaneous_output_kbps mem_fragmentation_ratio rss_overhead_ratio used_cpu_sys used_cpu_sys_children
    used_cpu_user used_cpu_user_children used_memory_dataset_perc used_memory_peak_perc
"""
_TEXTS_LISTED = """
    aof_last_bgrewrite_status aof_last_write_status maxmemory_policy rdb_last_bgsave_status redis_version
"""
_INTEGERS, _FLOATS, _TEXTS = (frozenset(listed.split()) for listed in (_INTEGERS_LISTED, _FLOATS_LISTED, _TEXTS_LISTED))
"""The types of fields, whatever a value looks like. Others are what they look like."""

_WHERE = {
    "server": "host of the server",
    "port": "its port",
    "socket": "path, where it is asked on a unix socket",
    "replication_role": "master or slave",
}


@dataclass(frozen=True)
class _Server:
    address: ServerAddress
    username: str
    password: str

    @property
    def tags(self) -> dict[str, str]:
        if self.address.scheme == "unix":
            return {"socket": self.address.path}
        return {"server": self.address.host, "port": str(self.address.port)}


class Redis(Input[RedisOptions]):
    measurements = (
        Measurement(
            "redis",
            "What a server says of itself by `INFO`. Numbers and texts that are not named here come as they look.",
            tags=_WHERE,
            fields=fields(
                "int",
                "1",
                clients="clients that are connected",
                blocked_clients="of them those that wait, in BLPOP for example",
                connected_slaves="replicas that are connected",
                instantaneous_ops_per_sec="commands in a second, just now",
                rdb_changes_since_last_save="changes since the last save",
                pubsub_channels="channels that somebody listens to",
            )
            | counters(
                "int",
                "1",
                total_commands_processed="commands",
                total_connections_received="connections that were opened",
                rejected_connections="connections refused, as there were too many",
                keyspace_hits="reads that found their key",
                keyspace_misses="reads that did not",
                evicted_keys="keys evicted to make room",
                expired_keys="keys that expired",
                sync_full="replicas that had to be filled anew",
            )
            | counters("int", "bytes", total_net_input_bytes="received", total_net_output_bytes="sent")
            | fields(
                "int",
                "bytes",
                used_memory="allocated by the server",
                used_memory_rss="of it in memory, as the system sees it",
                used_memory_peak="most that was ever allocated",
                maxmemory="most that it may use; 0: any",
            )
            | fields("int", "s", uptime="since the start", rdb_last_save_time_elapsed="since the last save")
            | counters("float", "s", used_cpu_sys="CPU time in the kernel", used_cpu_user="CPU time outside of it")
            | fields(
                "float",
                "1",
                keyspace_hitrate="share of reads that found their key, since the start",
                mem_fragmentation_ratio="memory as the system sees it, by what is allocated",
            )
            | fields("str", "", redis_version="version of the server"),
            charts=(
                Chart("Commands", ("total_commands_processed",)),
                Chart("Reads", ("keyspace_hits", "keyspace_misses"), stacked=True),
                Chart("Memory", ("used_memory", "used_memory_rss", "maxmemory")),
                Chart("Clients", ("clients", "blocked_clients")),
                Chart("Received and sent", ("total_net_input_bytes", "total_net_output_bytes")),
                Chart("Keys evicted and expired", ("evicted_keys", "expired_keys")),
            ),
            open=True,
        ),
        Measurement(
            "redis_keyspace",
            "The keys of each database.",
            tags=_WHERE | {"database": "db0, and so on"},
            fields=fields("int", "1", keys="keys", expires="of them those that will expire")
            | fields("int", "ms", avg_ttl="mean time until they do"),
            open=True,
        ),
        Measurement(
            "redis_cmdstat",
            "Each command that was used.",
            tags=_WHERE | {"command": "the command"},
            fields=counters(
                "int",
                "1",
                calls="calls",
                rejected_calls="calls refused before they ran",
                failed_calls="calls that failed",
            )
            | counters("int", "us", usec="CPU time")
            | fields("float", "us", usec_per_call="mean CPU time of a call"),
        ),
        Measurement(
            "redis_latency_percentiles_usec",
            "How long each command took.",
            tags=_WHERE | {"command": "the command"},
            fields=fields("float", "us", **{"p50": "median", "p99": "of 99 %", "p99.9": "of 99.9 %"}),
        ),
        Measurement(
            "redis_errorstat",
            "Each kind of error that was answered.",
            tags=_WHERE | {"err": "first word of the error"},
            fields=counters("int", "1", total="errors"),
        ),
        Measurement(
            "redis_replication",
            "Each replica of a server.",
            tags=_WHERE
            | {"replica_id": "its number", "replica_ip": "address", "replica_port": "port", "state": "state"},
            fields=fields("int", "bytes", offset="how far it has read")
            | fields("int", "s", lag="since it was last heard of"),
            open=True,
        ),
        Measurement(
            "redis_commands",
            "Answers of `commands`.",
            tags={key: _WHERE[key] for key in ("server", "port", "socket")},
            open=True,
        ),
    )

    def setup(self) -> None:
        options = self.options
        self._tls: ssl.SSLContext | None = None
        if options.tls_enable is not False:
            self._tls = options.ssl_context() or (system_context() if options.tls_enable else None)
        self._servers = [self._server(text) for text in options.servers or ["tcp://localhost"]]

    def _server(self, text: str) -> _Server:
        full = text if "://" in text else f"tcp://{text}"
        try:
            parts = urlsplit(full)
            username, password = unquote(parts.username or ""), unquote(parts.password or "")
        except ValueError as error:
            raise ConfigError(f"cannot use the address {mask_url(text)!r}: {error}", option="servers") from None
        if parts.scheme not in ("tcp", "unix"):
            raise ConfigError(
                f"cannot use the address {mask_url(text)!r}: it begins with neither tcp:// nor unix://",
                option="servers",
            )
        plain = f"unix://{parts.path}" if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
        return _Server(
            ServerAddress.of(plain, default_port=_PORT),
            self.options.username.reveal() or username,
            self.options.password.reveal() or password,
        )

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self._servers, partial(self._ask, acc))

    async def _ask(self, acc: Accumulator, server: _Server) -> None:
        name = self.options.tls_server_name
        async with connected(server.address, timeout=_TIMEOUT, tls=self._tls, server_name=name) as connection:
            try:
                if server.password:
                    await ask(connection, "AUTH", *([server.username] if server.username else ()), server.password)
                text = await ask(connection, "INFO", "ALL")
            except Refused as error:
                advice = (
                    "; correct username and password"
                    if str(error).startswith(("WRONGPASS", "NOAUTH", "ERR AUTH"))
                    else ""
                )
                connection.fail(f"the server says {_without(str(error), server.password)!r}{advice}")
            if not isinstance(text, bytes):
                connection.fail("the answer to INFO is no text")
            _Info(acc, server.tags).read(text.decode("utf-8", "replace"))
            await self._ask_commands(acc, server, connection)

    async def _ask_commands(self, acc: Accumulator, server: _Server, connection: Connection) -> None:
        """One that fails costs the others nothing."""
        found: dict[str, FieldValue] = {}
        failures = []
        for command in self.options.commands:
            words = [_word(word) for word in command.command]
            try:
                found[command.field] = _value(await ask(connection, *words), command.type)
            except (Refused, ValueError) as error:
                cause = f"the server says {str(error)!r}" if isinstance(error, Refused) else str(error)
                failures.append(f"the command for the field {command.field!r}: {cause}")
        if found:
            acc.add("redis_commands", found, server.tags)
        if failures:
            raise PyagentError(f"cannot read {server.address}: {'; '.join(failures[:10])}")


class _Info:
    """Reads an answer to `INFO`."""

    def __init__(self, acc: Accumulator, tags: dict[str, str]) -> None:
        self._acc = acc
        self._tags = tags
        self._lines: dict[str, Callable[[str, str], None]] = {
            "Keyspace": self._keyspace,
            "Commandstats": self._command,
            "Latencystats": self._latency,
            "Errorstats": self._error,
        }

    def read(self, text: str) -> None:
        section = ""
        found: dict[str, FieldValue] = {}
        for line in text.splitlines():
            if line.startswith("#"):
                section = line[2:].strip() or section
                continue
            name, colon, value = line.partition(":")
            value = value.strip()
            if not colon or (section == "Server" and name not in _OF_SERVER) or name.startswith("master_replid"):
                continue
            if name == "mem_allocator" or name.endswith("_human"):
                continue
            if section in self._lines and name not in _RENAMED:
                self._lines[section](name, value)
            elif section == "Replication" and _REPLICA.match(name):
                self._replica(name, value)
            elif name == "role" and not _INTEGER.fullmatch(value):
                self._tags["replication_role"] = value
            else:
                key = _RENAMED.get(name, name)
                found[key] = _typed(key, value.removesuffix("%"))
        saved = found.get("rdb_last_save_time")
        if isinstance(saved, int):
            found["rdb_last_save_time_elapsed"] = int(time.time()) - saved
        hits, misses = found.get("keyspace_hits", 0), found.get("keyspace_misses", 0)
        reads = hits + misses if isinstance(hits, int) and isinstance(misses, int) else 0
        if found:
            found["keyspace_hitrate"] = float(hits) / reads if reads else 0.0
            self._acc.add("redis", found, self._tags)

    def _add(self, name: str, found: dict[str, FieldValue], more: dict[str, str]) -> None:
        if found:
            self._acc.add(name, found, self._tags | more)

    def _keyspace(self, name: str, line: str) -> None:
        if "keys=" in line:
            self._add("redis_keyspace", _integers(line), {"database": name})

    def _command(self, name: str, line: str) -> None:
        found = {key: value for key, value in _integers(line).items() if key in _COMMAND_INTEGERS}
        found |= _floats(line, ("usec_per_call",))
        if name.startswith("cmdstat"):
            self._add("redis_cmdstat", found, {"command": name.removeprefix("cmdstat_")})

    def _latency(self, name: str, line: str) -> None:
        if name.startswith("latency_percentiles_usec"):
            found = _floats(line, ("p50", "p99", "p99.9"))
            command = name.removeprefix("latency_percentiles_usec_")
            self._add("redis_latency_percentiles_usec", found, {"command": command})

    def _error(self, name: str, line: str) -> None:
        total = _integers(line).get("count")
        if total is not None:
            self._add("redis_errorstat", {"total": total}, {"err": name.removeprefix("errorstat_")})

    def _replica(self, name: str, line: str) -> None:
        texts = dict(_pairs(line))
        tags = {"replica_id": name.lstrip("slave"), "replication_role": "slave"}
        tags |= {f"replica_{key}": texts[key] for key in ("ip", "port") if key in texts}
        tags |= {"state": texts["state"]} if "state" in texts else {}
        found = {key: value for key, value in _integers(line).items() if key not in ("ip", "port", "state")}
        self._add("redis_replication", found, tags)


def _pairs(line: str) -> Iterable[tuple[str, str]]:
    for item in line.split(","):
        key, equals, value = item.partition("=")
        if equals and "=" not in value:
            yield key, value


def _integers(line: str) -> dict[str, FieldValue]:
    return {key: int(value) for key, value in _pairs(line) if _INTEGER.fullmatch(value) and abs(int(value)) < 2**63}


def _floats(line: str, names: tuple[str, ...]) -> dict[str, FieldValue]:
    return {key: float(value) for key, value in _pairs(line) if key in names and _FLOAT.fullmatch(value)}


def _typed(name: str, text: str) -> FieldValue:
    if name in _TEXTS:
        return text
    if _INTEGER.fullmatch(text) and -(2**63) <= (number := int(text)) < 2**63:
        return float(number) if name in _FLOATS else number
    if _FLOAT.fullmatch(text):
        value = float(text)
        return int(value) if name in _INTEGERS and abs(value) < 2**63 else value
    if name in _INTEGERS:
        return 0
    return 0.0 if name in _FLOATS else text


def _word(word: str | float | bool) -> str:
    return str(int(word)) if isinstance(word, bool) else str(word)


def _value(answer: Answer, kind: str) -> FieldValue:
    """Raises ValueError."""
    if answer is None:
        raise ValueError("there is nothing, not even an empty text")
    if isinstance(answer, list):
        raise ValueError("the answer is a list")
    if isinstance(answer, int):
        if kind == "string":
            raise ValueError("the answer is an integer, and the type is string")
        return answer if kind == "integer" else float(answer)
    text = answer.decode("utf-8", "replace")
    if kind == "string":
        return text
    if kind == "integer" and _INTEGER.fullmatch(text) and -(2**63) <= (number := int(text)) < 2**63:
        return number
    if kind == "float" and _FLOAT.fullmatch(text):
        return float(text)
    raise ValueError(f"the answer {text[:80]!r} is no {kind}")


def _without(text: str, secret: str) -> str:
    return text.replace(secret, "***") if secret else text

"""Statistics of memcached servers."""

import re
from typing import Annotated

from pyagent.api import Accumulator, Chart, Field, Input, Measurement, fields, option
from pyagent.kit.connection import ServerAddress, connected
from pyagent.kit.each import for_each
from pyagent.kit.shown import quoted
from pyagent.kit.tls import TlsOptions, system_context

__all__ = ["Memcached", "MemcachedOptions"]


class MemcachedOptions(TlsOptions, frozen=True):
    servers: Annotated[
        list[str], option("servers, HOST or HOST:PORT ([], without unix_sockets: the one of this host)")
    ] = []
    unix_sockets: Annotated[list[str], option("paths of unix sockets of servers")] = []
    enable_tls: Annotated[bool, option("speak TLS")] = False


_TIMEOUT = 5.0
_INTEGER = re.compile(r"[0-9]{1,19}")
_PORT = 11211

_COUNTERS = {
    "auth_cmds": "attempts to log in",
    "auth_errors": "attempts to log in that failed",
    "bytes_read": "bytes received",
    "bytes_written": "bytes sent",
    "cas_badval": "cas with another value than the stored one's",
    "cas_hits": "cas that stored",
    "cas_misses": "cas of keys that there are not",
    "cmd_flush": "flushes",
    "cmd_get": "reads",
    "cmd_set": "writes",
    "cmd_touch": "touches",
    "conn_yields": "times that a connection had to let others go first",
    "decr_hits": "decrements",
    "decr_misses": "decrements of keys that there are not",
    "delete_hits": "deletions",
    "delete_misses": "deletions of keys that there are not",
    "evicted_active": "evicted items that had been used lately",
    "evicted_unfetched": "evicted items that were never read",
    "evictions": "items evicted to make room",
    "expired_unfetched": "expired items that were never read",
    "extstore_compact_lost": "objects lost by compaction of the external store",
    "extstore_compact_rescues": "objects rescued by compaction",
    "extstore_compact_resc_cold": "rarely used objects rescued by compaction",
    "extstore_compact_resc_old": "older objects rescued by compaction",
    "extstore_compact_skipped": "compactions that were skipped",
    "extstore_page_allocs": "pages allocated in the external store",
    "extstore_page_evictions": "pages evicted from it",
    "extstore_page_reclaims": "evicted pages that were used again",
    "extstore_objects_evicted": "objects evicted from it",
    "extstore_objects_read": "objects read from it",
    "extstore_objects_written": "objects written to it",
    "extstore_bytes_evicted": "bytes evicted from it",
    "extstore_bytes_written": "bytes written to it",
    "extstore_bytes_read": "bytes read from it",
    "get_expired": "reads of items that had expired",
    "get_flushed": "reads of items that had been flushed",
    "get_hits": "reads that found their key",
    "get_misses": "reads that did not",
    "incr_hits": "increments",
    "incr_misses": "increments of keys that there are not",
    "listen_disabled_num": "times that no more connections were accepted",
    "reclaimed": "items stored in the memory of expired ones",
    "rejected_connections": "connections refused, as there were too many",
    "store_no_memory": "writes refused for want of memory",
    "store_too_large": "writes refused, as the value was too large",
    "total_connections": "connections opened",
    "total_items": "items stored since the start",
    "touch_hits": "touches of keys that there are",
    "touch_misses": "touches of keys that there are not",
}
_COUNTS = {
    "accepting_conns": "1: connections are accepted",
    "connection_structures": "structures for connections",
    "curr_connections": "connections that are open",
    "curr_items": "items stored",
    "extstore_pages_free": "free pages of the external store",
    "extstore_pages_used": "used pages of it",
    "extstore_objects_used": "objects in it",
    "extstore_io_queue": "operations that wait for it",
    "hash_is_expanding": "1: the hash table is growing",
    "hash_power_level": "size of the hash table, as a power of 2",
    "max_connections": "most connections at a time",
    "threads": "worker threads",
}
_SIZES = {
    "bytes": "used for items",
    "extstore_bytes_used": "used in the external store",
    "extstore_bytes_fragmented": "of it fragmented",
    "extstore_limit_maxbytes": "most that it may use",
    "hash_bytes": "used for hash tables",
    "limit_maxbytes": "most that items may use",
}


class Memcached(Input[MemcachedOptions]):
    measurements = (
        Measurement(
            "memcached",
            "What a server says of itself. It leaves out what its version or its settings do not have.",
            tags={"server": "HOST:PORT, or the path of the socket"},
            fields={
                name: Field("int", "bytes" if "bytes" in name else "1", text, counter=True)
                for name, text in _COUNTERS.items()
            }
            | fields("int", "1", **_COUNTS)
            | fields("int", "bytes", **_SIZES)
            | fields("int", "s", uptime="since the server was started"),
            charts=(
                Chart("Reads", ("get_hits", "get_misses"), stacked=True),
                Chart("Commands", ("cmd_get", "cmd_set", "cmd_touch")),
                Chart("Memory used for items, and the most", ("bytes", "limit_maxbytes")),
                Chart("Items", ("curr_items",)),
                Chart("Evicted to make room", ("evictions", "evicted_unfetched")),
                Chart("Connections that are open", ("curr_connections",)),
                Chart("Received and sent", ("bytes_read", "bytes_written")),
            ),
        ),
    )

    def setup(self) -> None:
        options = self.options
        context = options.ssl_context()
        self._tls = (context or system_context()) if options.enable_tls else None
        servers = options.servers or ([] if options.unix_sockets else [f":{_PORT}"])
        self._servers = [ServerAddress.of(text, default_port=_PORT) for text in servers]
        self._servers += [ServerAddress("unix", path=path) for path in options.unix_sockets]

    async def gather(self, acc: Accumulator) -> None:
        await for_each(self._servers, lambda server: self._ask(server, acc))

    async def _ask(self, server: ServerAddress, acc: Accumulator) -> None:
        found: dict[str, int] = {}
        async with connected(
            server, timeout=_TIMEOUT, tls=self._tls, server_name=self.options.tls_server_name
        ) as connection:
            await connection.send(b"stats\r\n")
            while (line := await connection.line()) != b"END":
                words = line.decode("utf-8", "replace").split(" ", 2)
                if len(words) != 3 or words[0] != "STAT":
                    connection.fail(f"the answer to `stats` has the line {quoted(line[:80])}")
                if words[1] in _FIELDS and _INTEGER.fullmatch(words[2]):
                    found[words[1]] = int(words[2])
        acc.add("memcached", found, {"server": str(server)})


_FIELDS = frozenset(Memcached.measurements[0].fields)

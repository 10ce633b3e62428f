"""An embedded server that answers as InfluxDB 2 does: for the first run, for tests and for demonstrations.

Programmatic use, inside a running event loop:

    from pyagent.sandbox import Sandbox

    async with Sandbox() as server:                      # in a temporary folder, on a free loopback port
        await server.setup(org="home", bucket="monitoring-system")
        config = await server.add_telegraf("ram", toml)  # its id; the agent fetches server.url + "/api/v2/telegrafs/" + id
        token = await server.authorize(write=["monitoring-system"], telegrafs=[config])
        ...
        rows = await server.query('from(bucket: "monitoring-system") |> range(start: -1h) |> last()')

Signatures:

    Sandbox(data: Path | None = None, port: int = 0, *, faults: bool = False, limits: QueryLimits = QueryLimits(),
            agents: Path = Path("/run/pyagent"))
        data: folder of the database (made when missing; None: a temporary one, removed at the end);
        port: 0 chooses a free one; faults: the door /sandbox/faults is open to the operator's token;
        limits: of queries (timeout in seconds, memory_bytes, concurrency, queue_size);
        agents: folder of the running agents' control sockets, which the page of the agents asks.
    async start() / async close()                    what `async with` does; a closed one can be started again on its folder
    url: str                                         "http://127.0.0.1:PORT", no slash at the end
    port: int
    token: str                                       the operator's token, org: str, org_id: str, bucket: str, bucket_id: str:
                                                     known after setup()
    async setup(org="home", bucket="monitoring-system", username="admin", password=None, token=None, retention=0) -> None
        what POST /api/v2/setup does; retention in seconds, 0 keeps for ever; token: used verbatim, else a random one.
    async add_bucket(name, retention=0) -> str       its id
    async add_telegraf(name, config, description="") -> str            its id
    async update_telegraf(id, config) -> None
    async authorize(*, read=(), write=(), telegrafs=(), description="") -> str
        a new token: read and write name buckets, telegrafs are ids of configurations that it may read.
    async write(lines, precision="ns", bucket=None) -> None            str or bytes of line protocol; raises SandboxError
    async query(flux) -> list[dict[str, object]]     one dict per row: the columns, and "result" and "table"; times are
                                                     datetime (UTC); raises SandboxError with InfluxDB's message
    async count(measurement=None, bucket=None) -> int                   points (series and time; not fields) that are stored
    async fault(**spec) -> None                      the same as POST /sandbox/faults with this JSON; see docs/sandbox.md
    async clear_faults() -> None

None of these needs another process; the agent under test may be one, or run in the same loop.
"""

from pyagent.sandbox.embedded import Sandbox
from pyagent.sandbox.errors import SandboxError
from pyagent.sandbox.limits import QueryLimits

__all__ = ["QueryLimits", "Sandbox", "SandboxError"]

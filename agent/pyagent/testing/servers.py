"""Real servers for tests and demonstrations: from Debian's packages, on free loopback ports, in temporary folders.

    with PostgresServer() as pg:
        connect(pg.address)

Each server is a context manager, and `start()`/`stop()` can be called by hand. A server ends with the `with` block, and
also when the process that started it dies in whatever way: a small shell stands between the two and ends the server
when its standard input closes. Programs are never downloaded; `ServerMissing` names the package that has them.
"""

import base64
import contextlib
import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyagent.testing.nats_servers import NatsCluster, NatsServer
from pyagent.testing.server_process import (
    LOOPBACK,
    Server,
    ServerError,
    ServerMissing,
    find_program,
    free_port,
    kill_child,
)

__all__ = [
    "SERVERS",
    "InfluxDB1",
    "Memcached",
    "Mosquitto",
    "NatsCluster",
    "NatsServer",
    "Nginx",
    "NodeExporter",
    "PostgresServer",
    "Redis",
    "Server",
    "ServerError",
    "ServerMissing",
    "VictoriaMetrics",
    "free_port",
]


class PostgresServer(Server):
    """PostgreSQL with user `postgres`, no password, and the databases that it is given.

    `address` is a libpq URI of the database `postgres`, `port` the TCP port on 127.0.0.1, `socket_directory` the folder
    of its Unix socket.
    """

    name = "PostgreSQL"
    stop_signal = "INT"  # "fast shutdown": ends sessions that are still open

    def __init__(self, databases: Sequence[str] = ()) -> None:
        super().__init__()
        self.databases = tuple(databases)
        self.bin = self._find()
        if os.geteuid() == 0:  # PostgreSQL refuses root
            self.user = "postgres" if _has_account("postgres") else "nobody"

    @staticmethod
    def installed() -> bool:
        """Tell whether a server can be started here."""
        try:
            PostgresServer._find()
        except ServerMissing:
            return False
        return True

    @property
    def address(self) -> str:
        return self.address_of("postgres")

    def address_of(self, database: str) -> str:
        """Return a libpq URI of one database."""
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}?sslmode=disable"

    @property
    def socket_directory(self) -> Path:
        return self.directory

    def variables(self) -> dict[str, str]:
        return super().variables() | {"SERVER": self.address}

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Run SQL with psql. Raises ServerError with psql's words."""
        self.run([str(self.bin / "psql"), "-Xqw", "-v", "ON_ERROR_STOP=1", "-c", sql, self.address_of(database)])

    def prepare(self) -> None:
        data = str(self.directory / "data")
        initdb = [str(self.bin / "initdb"), "-D", data, "-U", "postgres", "-A", "trust"]
        self.run([*initdb, "--no-sync", "-E", "UTF8", "--locale", "C"])

    def command(self) -> list[str]:
        listen = ["-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-k", str(self.directory)]
        durability = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
        return [str(self.bin / "postgres"), "-D", str(self.directory / "data"), *listen, *durability]

    def answers(self) -> bool:
        command = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, env=self._environment(), stdin=subprocess.DEVNULL).returncode == 0  # noqa: S603

    def started(self) -> None:
        for database in self.databases:
            self.execute(f'CREATE DATABASE "{database}"')

    @staticmethod
    def _find() -> Path:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_of, reverse=True)
        on_path = shutil.which("postgres")
        if on_path:
            folders.append(Path(on_path).resolve().parent)
        for folder in folders:
            if all((folder / program).exists() for program in ("postgres", "initdb", "psql", "pg_isready")):
                return folder
        raise ServerMissing("cannot start PostgreSQL: its server programs are missing; apt install postgresql")


class VictoriaMetrics(Server):
    """VictoriaMetrics: `url` takes InfluxDB's `/api/v2/write`, and `/api/v1/export` gives the points back."""

    name = "VictoriaMetrics"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        data = f"-storageDataPath={self.directory / 'data'}"
        memory = "-memory.allowedBytes=256MiB"
        program = find_program("victoria-metrics", self.name, "victoria-metrics")
        return [program, "-retentionPeriod=100y", f"-httpListenAddr=127.0.0.1:{self.port}", data, memory]

    def answers(self) -> bool:
        return _status(f"{self.url}/health") == 200

    def export(self, match: str) -> list[dict[str, Any]]:
        """Return the series that a selector such as `{__name__=~"mem_.*"}` gives: metric, values, timestamps (ms)."""
        with LOOPBACK.open(f"{self.url}/internal/force_flush", timeout=30) as answer:
            answer.read()
        query = urllib.parse.urlencode({"match[]": match})
        with LOOPBACK.open(f"{self.url}/api/v1/export?{query}", timeout=30) as answer:
            return [json.loads(line) for line in answer]


class InfluxDB1(Server):
    """InfluxDB 1: `url` takes `/write` and `/query`. `databases` exist from the start."""

    name = "InfluxDB 1"

    def __init__(self, databases: Sequence[str] = ()) -> None:
        super().__init__()
        self.databases = tuple(databases)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        program = find_program("influxd", self.name, "influxdb")
        config = self.directory / "influxdb.conf"
        folder = self.directory
        config.write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
[monitor]
store-enabled = false
""")
        return [program, "run", "-config", str(config)]

    def answers(self) -> bool:
        return _status(f"{self.url}/ping") == 204

    def started(self) -> None:
        for database in self.databases:
            query = f"q=CREATE+DATABASE+{database}".encode()
            with LOOPBACK.open(f"{self.url}/query", query, timeout=30) as answer:
                answer.read()


class Nginx(Server):
    """nginx with its status page at `url` and, on a unix socket, at `unix_url`."""

    name = "nginx"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/stub"

    @property
    def unix_url(self) -> str:
        return f"http+unix://{self.directory}/nginx.sock:/stub"

    def command(self) -> list[str]:
        program = find_program("nginx", self.name, "nginx-light")
        config = self.directory / "nginx.conf"
        folders = " ".join(
            f"{kind}_temp_path {self.directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(f"""
daemon off; master_process off; pid {self.directory}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
  access_log off; {folders}
  server {{
    listen 127.0.0.1:{self.port}; listen unix:{self.directory}/nginx.sock;
    location /stub {{ stub_status; }}
    location /hello {{ return 200 "hello"; }}
    location /notstatus {{ return 200 "nothing here"; }}
  }}
}}
""")
        return [program, "-p", str(self.directory), "-e", "stderr", "-c", str(config)]

    def answers(self) -> bool:
        return _status(self.url) == 200

    def variables(self) -> dict[str, str]:
        return super().variables() | {"SERVER": f"http://127.0.0.1:{self.port}"}

    def recorded(self) -> dict[str, str]:
        return {"127.0.0.1:18510": f"127.0.0.1:{self.port}", "18510": str(self.port), "DIR": str(self.directory)}


class NodeExporter(Server):
    """Prometheus' exporter of a host: `url` is its page, with metrics of a few kinds and of itself."""

    name = "prometheus-node-exporter"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/metrics"

    def command(self) -> list[str]:
        program = find_program(self.name, self.name, self.name)
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        collectors = [f"--collector.{one}" for one in ("disable-defaults", "loadavg", "meminfo", "stat")]
        return [program, listen, *collectors]

    def answers(self) -> bool:
        return _status(self.url) == 200


class Redis(Server):
    """Two of redis-server: one at `address` and at the unix socket `socket`, with the password `sekret` and the user `reader`
    (`readpw`), and a replica of it at `replica`, without a password. They have a few keys, and an error in their statistics.
    """

    name = "redis-server"
    _BOTH = """
"$1" "$4/redis.conf" & first=$!
(
    while [ ! -e "$4/loaded" ]; do sleep 0.05; done
    exec "$1" --port "$3" --bind 127.0.0.1 --save "" --dir "$4" --replicaof 127.0.0.1 "$2" --masterauth sekret \\
        --repl-timeout 90000
) & second=$!
trap 'kill $first $second' TERM
wait $first $second
"""
    _LOAD = (
        *("SET key1 hello", "SET num 42", "SET flt 3.5", "RPUSH list a b c", "SET tmp x EX 1000", "XADD st * a b"),
        *("GET key1", "GET missing", "SELECT 3", "SET other 1", "GET"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.replica_port = free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def replica(self) -> str:
        return f"127.0.0.1:{self.replica_port}"

    @property
    def socket(self) -> str:
        return f"{self.directory}/redis.sock"

    def command(self) -> list[str]:
        program = find_program("redis-server", self.name, "redis-server")
        (self.directory / "redis.conf").write_text(f"""
port {self.port}
bind 127.0.0.1
save ""
appendonly no
dir {self.directory}
requirepass sekret
user reader on >readpw ~* +@all
unixsocket {self.socket}
unixsocketperm 777
latency-tracking yes
repl-diskless-sync-delay 0
repl-ping-replica-period 86400
repl-timeout 90000
""")  # no ping to the replica: it would be in the statistics of commands, sooner or later
        ports = [str(self.port), str(self.replica_port)]
        return ["/bin/sh", "-c", self._BOTH, "both", program, *ports, str(self.directory)]

    def answers(self) -> bool:
        if not (self.directory / "loaded").exists():
            if "+OK" not in self.ask("AUTH sekret"):
                return False
            self.ask("AUTH sekret", *self._LOAD)
            (
                self.directory / "loaded"
            ).touch()  # the replica then takes all of it at once, as one that comes later does
        return "state=online" in self.ask("AUTH sekret", "INFO replication")

    def variables(self) -> dict[str, str]:
        return super().variables() | {
            "SERVER": self.address,
            "REPLICA": self.replica,
            "REPLICA_PORT": str(self.replica_port),
        }

    def recorded(self) -> dict[str, str]:
        return {"18500": str(self.port), "18501": str(self.replica_port), "DIR": str(self.directory)}

    def ask(self, *commands: str) -> str:
        """All answers, as they come; none where there is nobody."""
        text = ""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.settimeout(60)
            connection.sendall("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
            while data := connection.recv(65536):
                text += data.decode("utf-8", "replace")
        return text


class Memcached(Server):
    """Two of memcached: one at `address`, and one at the unix socket `socket`."""

    name = "memcached"
    _BOTH = """
"$1" -s "$3/mc.sock" -a 0777 -m 16 & first=$!
"$1" -l 127.0.0.1 -p "$2" -U 0 -m 16 & second=$!
trap 'kill $first $second' TERM
wait $first $second
"""

    def __init__(self) -> None:
        super().__init__()
        if os.geteuid() == 0:  # it refuses root
            self.user = "nobody"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def socket(self) -> str:
        return f"{self.directory}/mc.sock"

    def command(self) -> list[str]:
        program = find_program("memcached", self.name, "memcached")
        return ["/bin/sh", "-c", self._BOTH, "both", program, str(self.port), str(self.directory)]

    def answers(self) -> bool:
        if not os.path.exists(self.socket):
            return False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def recorded(self) -> dict[str, str]:
        return {"127.0.0.1:18520": self.address, "DIR": str(self.directory)}


class Mosquitto(Server):
    """The MQTT broker mosquitto at `url`, for the user `mon` with the password `monpw`. What it holds survives `kill`."""

    name = "mosquitto"

    def __init__(self, tls: Path | None = None) -> None:
        """`tls`: a folder with server.pem, key.pem and ca.pem."""
        super().__init__()
        self._tls = tls
        if os.geteuid() == 0:  # it gives root's rights up for an account that it names itself
            self.user = "nobody"

    @property
    def url(self) -> str:
        return f"{'ssl' if self._tls else 'tcp'}://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        salt, rounds = b"salt of test", 101
        digest = hashlib.pbkdf2_hmac("sha512", b"monpw", salt, rounds)
        hashed = "$".join(("$7", str(rounds), base64.b64encode(salt).decode(), base64.b64encode(digest).decode()))
        passwords = self.directory / "passwords"
        passwords.write_text(f"mon:{hashed}\n")
        passwords.chmod(0o644)

    def command(self) -> list[str]:
        program = find_program("mosquitto", self.name, "mosquitto")
        config = self.directory / "mosquitto.conf"
        tls = ""
        if self._tls is not None:
            for name in ("server.pem", "key.pem", "ca.pem"):
                copy = self.directory / name
                copy.write_bytes((self._tls / name).read_bytes())
                copy.chmod(0o644)
            tls = f"certfile {self.directory}/server.pem\nkeyfile {self.directory}/key.pem\ncafile {self.directory}/ca.pem\n"
        config.write_text(f"""
listener {self.port} 127.0.0.1
{tls}allow_anonymous false
password_file {self.directory}/passwords
persistence true
persistence_location {self.directory}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
""")
        return [program, "-c", str(config)]

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def kill(self) -> None:
        """End it at once, in the middle of what it does; its folder stays."""
        assert self._process is not None
        kill_child(self._process, "mosquitto")
        self._end()

    def start_again(self) -> None:
        """On the same port, with what it had. Raises ServerError."""
        self._launch()
        if not self._wait_until_it_answers():
            raise ServerError(f"cannot start {self.name} again; its last words:\n{self.log_tail()}")

    def recorded(self) -> dict[str, str]:
        return {"127.0.0.1:18650": f"127.0.0.1:{self.port}"}


SERVERS: dict[str, Callable[[], Server]] = {
    "postgresql": lambda: PostgresServer(["app_production", "testing"]),
    "victoria-metrics": VictoriaMetrics,
    "influxdb": lambda: InfluxDB1(["test"]),
    "nginx": Nginx,
    "memcached": Memcached,
    "prometheus-node-exporter": NodeExporter,
    "redis": Redis,
    "mosquitto": Mosquitto,
    "nats-server": NatsServer,
}
"""Those that a case may name (`server = "postgresql"` in its case.toml), each started once for all cases of a file. A project
with plugins of its own adds its servers here, in its conftest.py."""


def _status(url: str) -> int | None:
    try:
        with LOOPBACK.open(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _version_of(folder: Path) -> tuple[int, ...]:
    parts = folder.parent.name.split(".")
    return tuple(int(part) if part.isdigit() else 0 for part in parts)

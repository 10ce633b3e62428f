"""Real servers for tests and demonstrations: from Debian's packages, on free loopback ports, in temporary folders.

    with PostgresServer() as pg:
        connect(pg.address)

Each server is a context manager, and `start()`/`stop()` can be called by hand. A server ends with the `with` block, and
also when the process that started it dies in whatever way: a small shell stands between the two and ends the server
when its standard input closes. Programs are never downloaded; `ServerMissing` names the package that has them.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 15.0
_LOOPBACK = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # a proxy of the environment is not for 127.0.0.1

# The guard ends when the server ends, with its status; and it ends the server, and removes the folder that it is in, when
# its own standard input closes: at stop(), and when the process holding the other end dies. `$1` is the signal, the rest
# is the command.
_GUARD = """
exec 3<&0
signal=$1; shift
"$@" </dev/null 3<&- & server=$!
trap 'kill -s "$signal" $server' TERM
(read -r _ <&3; kill -s "$signal" $server) 2>/dev/null & watcher=$!
exec 3<&-
wait $server; status=$?
while kill -0 $server 2>/dev/null; do wait $server; status=$?; done
kill $watcher 2>/dev/null
wait $watcher && folder=$PWD && cd / && rm -rf -- "$folder"
exit $status
"""


class ServerError(RuntimeError):
    """A server could not be started."""


class ServerMissing(ServerError):
    """The program of a server is not installed; the message names the package."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """One server process. A subclass says which command, and how to tell that it answers."""

    name: str
    stop_signal = "TERM"
    user: str | None = None  # the account that the process runs as; None: ours

    port: int
    directory: Path

    def __init__(self) -> None:
        self._folder: str | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Write what the server needs into `directory`."""

    def command(self) -> list[str]:
        """Return the command that serves on `port` in the foreground. Raises ServerMissing."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether the server does its work."""
        raise NotImplementedError

    def started(self) -> None:
        """Do what is to be done once, after the first answer."""

    def start(self) -> None:
        """Start the server and return when it answers. Raises ServerMissing, ServerError."""
        # Not TMPDIR for root: it may lie where the server's own account cannot go.
        self._folder = tempfile.mkdtemp(prefix="pyagent-", dir="/tmp" if os.geteuid() == 0 else None)  # noqa: S108
        self.directory = Path(self._folder)
        try:
            if self.user is not None:
                account = pwd.getpwnam(self.user)
                os.chown(self.directory, account.pw_uid, account.pw_gid)
            for attempt in range(3):  # another process may take the free port first
                self.port = free_port()
                if attempt == 0:
                    self.prepare()
                self._launch()
                if self._wait_until_it_answers():
                    self.started()
                    return
                self._end()
            raise ServerError(f"cannot start {self.name}: it ended at once; its last words:\n{self.log_tail()}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and remove its folder; harmless when it does not run."""
        self._end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that the server wrote."""
        path = self.directory / "log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def run(self, command: Sequence[str]) -> None:
        """Run a command of the server's package to its end, as the server's account. Raises ServerError."""
        done = subprocess.run(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env=self._environment(),
            timeout=_START_TIMEOUT,
            user=self.user,
            group=self._group(),
            extra_groups=self._extra_groups(),
        )
        if done.returncode:
            text = done.stdout.decode(errors="replace").strip()
            raise ServerError(f"cannot run {Path(command[0]).name} for {self.name}: {text}")

    def _launch(self) -> None:
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                ["/bin/sh", "-c", _GUARD, "guard", self.stop_signal, *self.command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C is for us; we end the server in our own order
                user=self.user,
                group=self._group(),
                extra_groups=self._extra_groups(),
            )

    def _wait_until_it_answers(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while self._process.poll() is None:
            if self.answers():
                return True
            if time.monotonic() > deadline:
                raise ServerError(
                    f"cannot start {self.name}: no answer on port {self.port} in {_START_TIMEOUT:.0f} s; its last "
                    f"words:\n{self.log_tail()}"
                )
            time.sleep(0.05)
        return False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory), "LC_ALL": "C"}

    def _group(self) -> int | None:
        return None if self.user is None else pwd.getpwnam(self.user).pw_gid

    def _extra_groups(self) -> list[int] | None:
        return None if self.user is None else []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


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
        program = _program("victoria-metrics", self.name, "victoria-metrics")
        return [program, "-retentionPeriod=100y", f"-httpListenAddr=127.0.0.1:{self.port}", data, memory]

    def answers(self) -> bool:
        return _status(f"{self.url}/health") == 200

    def export(self, match: str) -> list[dict[str, Any]]:
        """Return the series that a selector such as `{__name__=~"mem_.*"}` gives: metric, values, timestamps (ms)."""
        with _LOOPBACK.open(f"{self.url}/internal/force_flush", timeout=30) as answer:
            answer.read()
        query = urllib.parse.urlencode({"match[]": match})
        with _LOOPBACK.open(f"{self.url}/api/v1/export?{query}", timeout=30) as answer:
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
        program = _program("influxd", self.name, "influxdb")
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
            with _LOOPBACK.open(f"{self.url}/query", query, timeout=30) as answer:
                answer.read()


def _program(name: str, what: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ServerMissing(f"cannot start {what}: the program {name} is missing; apt install {package}")
    return found


def _status(url: str) -> int | None:
    try:
        with _LOOPBACK.open(url, timeout=5) as answer:
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

"""The processes of the demonstration: they end with us, in whatever way we end."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pyagent.kit.scratch import ScratchFolder
from pyagent.testing.servers import PostgresServer, ServerError

__all__ = [
    "BUCKET",
    "MEM",
    "ORG",
    "Child",
    "ChildDied",
    "EmbeddedInfluxDB",
    "PostgresSearch",
    "declared_units",
    "host_load",
    "postgresql_section",
    "program",
    "temporary_folder",
]

ORG, BUCKET = "home", "monitoring-system"
POLL = 0.02
START_TIMEOUT, STOP_TIMEOUT = 20.0, 10.0
_FOLDER = "pyagent-demo-"
_SET_PARENT_DEATH_SIGNAL = 1  # prctl(2)

MEM = "[[inputs.mem]]\n  # no configuration\n"

LOAD = """\
[[inputs.file]]
  files = ["/proc/loadavg"]
  name_override = "system"
  fieldinclude = ["load*"]
  data_format = "csv"
  csv_delimiter = " "
  csv_header_row_count = 0
  csv_column_names = ["load1", "load5", "load15", "tasks", "last"]
  csv_column_types = ["float", "float", "float", "string", "int"]
"""
"""The host's load as the plugin `system` gives it, for an agent that has no such plugin."""

WIZARD_ADDRESS = "host=localhost user=postgres sslmode=disable"
"""What InfluxDB's page puts into a new configuration for PostgreSQL."""


class ChildDied(Exception):
    """A process ended that should not have; the text holds its last words."""


class Child:
    """`pyagent WORDS` in a process of its own, its output in FOLDER/NAME.log.

    `settings` is added to our environment, from which other agents' settings are taken out.
    Start it while no other thread runs: between fork and exec the child asks the kernel to be told of our death.
    """

    def __init__(self, name: str, words: Sequence[str], folder: Path, settings: Mapping[str, str]) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [*program(), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**_environment(), **settings},
                process_group=0,  # Ctrl-C is for us; we end them in our own order
                preexec_fn=_die_with_parent(),
            )

    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        """Raises ChildDied."""
        status = self._process.poll()
        if status is not None:
            last = "\n".join(self.output().splitlines()[-15:])
            raise ChildDied(f"the process {self.name!r} ended with status {status}; its last words:\n{last}")

    def stop(self) -> None:
        """End it and wait for it: the kind way first, so that an agent writes what it has."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class EmbeddedInfluxDB(Child):
    """`pyagent sandbox` on a free loopback port, empty; `url` once it answers. Raises ChildDied."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            "sandbox",
            ["sandbox", "--port", "0", "--data", str(folder / "influxdb"), "--agents", str(folder / "run")],
            folder,
            {},
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not (url := re.search(r"http://127\.0\.0\.1:\d+", self.output())):
            self.check()
            if time.monotonic() > deadline:
                self.stop()
                raise ChildDied(f"cannot start the embedded InfluxDB: it did not answer within {START_TIMEOUT:g} s")
            time.sleep(POLL)
        self.url = url[0]


class PostgresSearch:
    """Finds a PostgreSQL, or starts one, in the background: a few seconds that the first agent need not wait for."""

    def __init__(self) -> None:
        self.address = ""
        """For the configuration; empty where there is none."""
        self.note = ""
        """What was found, for people."""
        self._server: PostgresServer | None = None
        self._thread: threading.Thread | None = None
        self._reported = False
        self._work: threading.Thread | None = None
        self._enough = threading.Event()

    @property
    def begun(self) -> bool:
        return self._thread is not None

    def begin(self) -> None:
        self.note = "looking for a PostgreSQL ..."
        self._thread = threading.Thread(target=self._search)
        self._thread.start()

    def has_just_ended(self) -> bool:
        """Whether the search ended since this was last asked; its thread has then gone."""
        if self._reported or self._thread is None or self._thread.is_alive():
            return False
        self._thread.join()
        self._reported = True
        return True

    def begin_work(self) -> None:
        """Give a server of our own something to do, so that there is something to see."""
        if self._server is not None:
            self._work = threading.Thread(target=_work, args=(self.address, self._enough))
            self._work.start()

    def stop(self) -> None:
        self._enough.set()
        for thread in (self._thread, self._work):
            if thread is not None:
                thread.join()
        if self._server is not None:
            self._server.stop()

    def _search(self) -> None:
        try:
            import psycopg
        except ImportError:
            self.note = "PostgreSQL is left out: psycopg is missing; pip install 'psycopg[binary]'"
            return
        try:
            psycopg.connect(WIZARD_ADDRESS, connect_timeout=2).close()
            self.address, self.note = WIZARD_ADDRESS, "PostgreSQL: the one on localhost"
            return
        except psycopg.Error:
            pass
        self.note = "starting a PostgreSQL ..."
        try:
            server = PostgresServer()
            server.start()
        except (ServerError, OSError) as error:
            self.note = f"PostgreSQL is left out, none answers at localhost: {error}"
        else:
            self._server = server
            self.address = server.address
            self.note = f"PostgreSQL: one of our own, on 127.0.0.1:{server.port}, with a few transactions a second"


def _work(address: str, enough: threading.Event) -> None:
    """Some rows written and read each second, more and fewer in turn, until it is enough or the server goes."""
    import psycopg

    with suppress(psycopg.Error), psycopg.connect(address, autocommit=True, application_name="demo") as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS visits (id serial PRIMARY KEY, page text, at timestamptz)")
        second = 0
        while not enough.wait(1.0):
            second += 1
            for number in range(1 + second % 30 // 6):
                connection.execute("INSERT INTO visits (page, at) VALUES (%s, now())", (f"/{number}",))
                connection.execute("SELECT count(*) FROM visits WHERE page = %s", (f"/{number}",))


def postgresql_section(address: str) -> str:
    """The text that InfluxDB's page has for PostgreSQL, with another address."""
    return f'[[inputs.postgresql]]\n  address = "{address}"\n  prepared_statements = true\n'


def host_load() -> tuple[str, tuple[str, ...]]:
    """Sections for the load of the host, by the plugins for it that there are, and the names of these."""
    from pyagent.config.catalog import Catalog

    options = {"system": "", "cpu": "  percpu = false\n"}
    there = [entry.name for entry in Catalog().entries("inputs") if entry.name in options]
    text = "".join(f"[[inputs.{name}]]\n{options[name]}" for name in there)
    if "system" not in there and os.path.exists("/proc/loadavg"):
        text += LOAD
    return text, tuple(there)


def declared_units(*inputs: str) -> dict[tuple[str, str], str]:
    """Measurement and field -> unit, as the plugins declare them; those that cannot be loaded declare none."""
    from pyagent.api import ConfigError, Input
    from pyagent.config.catalog import Catalog

    catalog = Catalog()
    units: dict[tuple[str, str], str] = {}
    for entry in catalog.entries("inputs"):
        if entry.name not in inputs:
            continue
        with suppress(ConfigError):
            plugin = catalog.load(entry)
            for measurement in plugin.measurements if issubclass(plugin, Input) else ():
                units |= {(measurement.name, name): field.unit for name, field in measurement.fields.items()}
    return units


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that goes in the end, together with those of demonstrations that were killed."""
    folder = ScratchFolder(_FOLDER)
    try:
        yield folder.path
    finally:
        folder.close()


def program() -> list[str]:
    """What a user would start: the command beside this Python, where it is installed."""
    command = Path(sys.executable).with_name("pyagent")
    return [str(command)] if os.access(command, os.X_OK) else [sys.executable, "-m", "pyagent"]


def _environment() -> dict[str, str]:
    """Ours without what would lead an agent to another configuration or service manager."""
    others = ("INFLUX_TOKEN", "TELEGRAF_", "PYAGENT_CONFIG", "PYAGENT_INSTANCE", "PYAGENT_STATE", "PYAGENT_RUNTIME")
    services = ("NOTIFY_SOCKET", "STATE_DIRECTORY", "RUNTIME_DIRECTORY")
    return {name: value for name, value in os.environ.items() if not name.startswith(others + services)}


def _die_with_parent() -> Callable[[], object] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)

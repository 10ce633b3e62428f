"""What all tests share: where the reference data lies, certificates, and real servers, each started once per run and only when used.

A test whose server or data is missing is skipped and says what to install. With PYAGENT_REQUIRE_SERVERS=1, as in
continuous integration, it fails instead: there a skip would hide that nothing was tried.
"""

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from real_servers import running
from real_servers import unavailable as skip_or_fail

from pyagent.hooks import known_secrets
from pyagent.testing.servers import (
    InfluxDB1,
    Memcached,
    Mosquitto,
    NatsCluster,
    NatsServer,
    Nginx,
    PostgresServer,
    VictoriaMetrics,
)

pytest_plugins = ["pyagent.testing.pytest_plugin"]

ROOT = Path(__file__).resolve().parent.parent

# How long an example takes says more about the machine than about the code. `make faults` tries many.
settings.register_profile("pyagent", deadline=None, max_examples=30)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile("long" if os.environ.get("PYAGENT_LONG_FAULTS") else "pyagent")


def pytest_collection() -> None:
    """Thousands of tests are objects that stay: looking through them again and again costs a quarter of the time."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """For `-n auto`, one more than there are processors: each worker waits now and then, for a process, a port or a clock."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What scripts/stages.py names once more, after all stages."""
    path = os.environ.get("PYAGENT_TEST_FAILURES")
    if path and not hasattr(terminalreporter.config, "workerinput"):
        with Path(path).open("a") as file:
            for report in (*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")):
                file.write(f"{report.nodeid}\n")


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """A secret of one test must not mask the words of another's messages."""
    before = set(known_secrets)
    yield
    known_secrets.clear()
    known_secrets.update(before)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data and recordings beside the project."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"the reference data is missing: {folder} is not there")
    return folder


@pytest.fixture(scope="session")
def unavailable() -> Callable[[str], None]:
    """Skips the test that asks, with a reason, or fails it where everything has to be there."""
    return skip_or_fail


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, another-ca.pem, server.pem (of 127.0.0.1 and influx.example), key.pem and locked.pem."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(command: str) -> None:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)

    try:
        for name in ("ca", "another-ca"):
            subject = f"-subj /CN={name} -days 30 -keyout {name}.key -out {name}.pem"
            openssl(f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes {subject}")
    except FileNotFoundError:
        pytest.skip("the program openssl is missing: apt install openssl")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:influx.example")
    openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout key.pem -out request")
    openssl("x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem")
    openssl("pkcs8 -topk8 -in key.pem -out locked.pem -passout pass:open-sesame")
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server with the databases postgres, app_production and testing."""
    yield from running(lambda: PostgresServer(["app_production", "testing"]))


@pytest.fixture(scope="session")
def victoria_metrics() -> Iterator[VictoriaMetrics]:
    """A VictoriaMetrics server: `.url` + `/api/v2/write`, `/api/v1/export`."""
    yield from running(VictoriaMetrics)


@pytest.fixture(scope="session")
def influxd_1() -> Iterator[InfluxDB1]:
    """An InfluxDB 1 server: `.url` + `/write?db=test`, `/query`."""
    yield from running(lambda: InfluxDB1(["test"]))


@pytest.fixture(scope="session")
def nginx() -> Iterator[Nginx]:
    """nginx with its status page at `.url` and `.unix_url`."""
    yield from running(Nginx)


@pytest.fixture(scope="session")
def memcached() -> Iterator[Memcached]:
    """A memcached server at `.address`."""
    yield from running(Memcached)


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    """An MQTT broker at `.url`, user `mon`, password `monpw`; one for each test, which may `kill` it and `start_again`."""
    yield from running(Mosquitto)


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    """A nats-server with JetStream at `.url`, user `mon`, password `monpw`; one for each test."""
    yield from running(NatsServer)


@pytest.fixture
def nats_cluster() -> Iterator[NatsCluster]:
    """Three nats-servers with JetStream at `.urls`, user `mon`, password `monpw`; three for each test."""
    yield from running(NatsCluster)

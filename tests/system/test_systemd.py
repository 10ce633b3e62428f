"""The agent as a service, on a Debian that boots under systemd, installed by `make install`."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from container import Container, booting

from pyagent.sandbox import Sandbox
from pyagent.testing.servers import PostgresServer, free_port

pytestmark = [pytest.mark.system, pytest.mark.timeout(1500)]

RELEASE = 13
"""Debian's today; test_other_debian.py boots the one before it."""

# As InfluxDB's page "Create a Telegraf configuration" writes it.
PAGE = """\
# Configuration for telegraf agent
[agent]
  interval = "10s"
  round_interval = true
  metric_batch_size = 1000
  metric_buffer_limit = 10000
  collection_jitter = "0s"
  flush_interval = "10s"
  flush_jitter = "0s"
  precision = ""
  debug = false
  quiet = false
  logfile = ""
  hostname = ""
  omit_hostname = false
[[outputs.influxdb_v2]]
  urls = ["{url}"]
  token = "$INFLUX_TOKEN"
  organization = "home"
  bucket = "monitoring-system"
"""
RAM = PAGE + "[[inputs.mem]]\n"
POSTGRES = PAGE + '[[inputs.postgresql]]\n  address = "{address}"\n'
COUNTER = """
from pyagent.api import Input


class Counter(Input):
    n = 0

    def gather(self, acc):
        self.n += 1
        acc.add("counter", {"n": self.n})
"""

# As the tutorials have it.
TELEGRAF_UNIT = """
[Unit]
After=network.target

[Service]
Type=simple
User=telegraf
EnvironmentFile=/etc/telegraf/telegraf-%i.env
ExecStart=/usr/bin/telegraf --config ${TELEGRAF_CONFIG}
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
HANGING = """
import time

from pyagent.api import Input


class Hanging(Input):
    def gather(self, acc):
        acc.add("hanging", {"n": 1})
        time.sleep(1e6)
"""
# While its C code sleeps, no other Python code of the process runs.
HOLDING = """
import ctypes
from pathlib import Path

from pyagent.api import Input


class Holding(Input):
    def gather(self, acc):
        hold = Path("/var/lib/pyagent/ram/hold")
        if hold.exists():
            hold.unlink()
            ctypes.PyDLL(None).sleep(1000)
        acc.add("holding", {"n": 1})
"""


@dataclass
class Instance:
    """One agent's configuration on a server, and the instance of the unit that uses it."""

    host: Container
    server: Sandbox
    name: str
    config: str
    token: str

    @property
    def unit(self) -> str:
        return f"pyagent@{self.name}"

    @property
    def url(self) -> str:
        return f"{self.server.url}/api/v2/telegrafs/{self.config}"

    async def show(self, name: str) -> str:
        return await self.host("systemctl", "show", self.unit, "--value", "--property", name)

    async def journal(self) -> str:
        return await self.host("journalctl", "--no-pager", "--output=cat", f"--unit={self.unit}")

    async def points(self, measurement: str, more_than: int = 0) -> int:
        """Wait until the server has more than so many points; returns how many."""
        count = -1

        async def enough() -> bool:
            nonlocal count
            count = await self.server.count(measurement)
            return count > more_than

        await self.until(enough)
        return count

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(90):
                while not await condition():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            status = await self.host("systemctl", "status", "--no-pager", "--full", self.unit, check=False)
            pytest.fail(f"it did not come to that within 90 s:\n{status}\n{await self.journal()}")


@pytest.fixture(scope="module")
def booted(unavailable: Callable[[str], None]) -> Iterator[Container]:
    yield from booting(lambda: Container(RELEASE), unavailable)


@pytest.fixture
async def host(booted: Container) -> AsyncIterator[Container]:
    """The container, with nothing of an earlier test in it."""
    yield booted
    await booted("systemctl", "stop", "pyagent@*", "pyagent.target", check=False)
    await booted(
        "sh", "-c", "systemctl disable pyagent@ram pyagent@postgres; systemctl reset-failed; journalctl --rotate"
    )
    await booted("sh", "-c", "rm -rf /etc/telegraf /etc/pyagent/*.env /etc/pyagent/plugins.d/* /var/lib/pyagent/*")
    await booted(
        "sh",
        "-c",
        "journalctl --vacuum-time=1s; rm -rf /etc/systemd/system/pyagent@.service.d; systemctl daemon-reload",
    )


@asynccontextmanager
async def hosting(
    host: Container, port: int = 0, data: Path | None = None
) -> AsyncIterator[Callable[..., Awaitable[Instance]]]:
    """A server; what it gives makes an instance with a configuration on it and the token that only it may use."""
    async with Sandbox(data, port) as server:
        await server.setup(org="home", bucket="monitoring-system")

        async def make(name: str, text: str, **values: str) -> Instance:
            config = await server.add_telegraf(name, text.format(url=server.url, **values))
            token = await server.authorize(write=["monitoring-system"], telegrafs=[config])
            return Instance(host, server, name, config, token)

        yield make


async def test_from_the_pasted_lines_to_points_in_the_bucket(host: Container, postgresql: PostgresServer) -> None:
    async with hosting(host) as make:
        ram = await make("ram", RAM)
        postgres = await make("postgres", POSTGRES, address=postgresql.address)
        host.write("/etc/telegraf/telegraf-ram.env", f"export INFLUX_TOKEN={ram.token}\ntelegraf --config {ram.url}\n")
        host.write("/etc/pyagent/postgres.env", f"INFLUX_TOKEN={postgres.token}\nTELEGRAF_CONFIG={postgres.url}\n")

        await host("systemctl", "start", "pyagent@ram", "pyagent@postgres")
        before = await ram.points("mem")
        await ram.points("postgresql")
        status = await host("systemctl", "status", "--no-pager", "pyagent@ram", "pyagent@postgres")
        assert status.count("Active: active (running)") == 2
        assert "gathering mem" in await ram.show("StatusText")
        assert "gathering postgresql" in await postgres.show("StatusText")

        # The schedule goes on, and a reload follows the edited text in the same process.
        pid = await ram.show("MainPID")
        await ram.points("mem", more_than=before)
        await ram.server.update_telegraf(ram.config, RAM.format(url=ram.server.url) + '  name_override = "memory"\n')
        await host("systemctl", "reload", "pyagent@ram")
        reloaded = await ram.points("memory")
        assert await ram.show("MainPID") == pid

        # A text that does not load changes nothing.
        await ram.server.update_telegraf(ram.config, RAM.format(url=ram.server.url) + "[[inputs.memm]]\n")
        refused = await host("sh", "-c", "systemctl reload pyagent@ram || echo it failed with $?", check=False)
        assert "it failed with 1" in refused
        journal = await host("journalctl", "-u", "pyagent@ram", "-o", "cat", "--no-pager")
        assert "E! cannot reload the configuration: " in journal
        await ram.points("memory", more_than=reloaded)
        assert await ram.show("ActiveState") == "active"
        assert await ram.show("MainPID") == pid

        # A restart reads the text anew, in a new process.
        await ram.server.update_telegraf(ram.config, RAM.format(url=ram.server.url) + '  name_override = "again"\n')
        await host("systemctl", "restart", "pyagent@ram")
        assert await ram.show("MainPID") != pid
        await ram.points("again")

        # Enabled, it comes up with the machine; what is not enabled does not.
        await host("systemctl", "enable", "pyagent@ram")
        count = await ram.server.count("again")
        await host.reboot()
        await ram.points("again", more_than=count)
        assert await postgres.show("ActiveState") == "inactive"

        await host("systemctl", "stop", "pyagent@ram")
        assert await ram.show("Result") == "success"
        assert await ram.show("ExecMainStatus") == "0"
        assert await ram.show("NRestarts") == "0"
        for instance in (ram, postgres):
            assert instance.token not in await host("journalctl", "--no-pager")


async def test_it_waits_for_a_server_that_comes_later(host: Container, tmp_path: Path) -> None:
    port = free_port()
    async with hosting(host, port, tmp_path) as make:
        ram = await make("ram", RAM)
    host.write("/etc/telegraf/telegraf-ram.env", f"INFLUX_TOKEN={ram.token}\nTELEGRAF_CONFIG={ram.url}\n")

    await host("systemctl", "start", "pyagent@ram")
    assert await ram.show("ActiveState") == "active"

    async def waits() -> bool:
        return (await ram.show("StatusText")).startswith("waiting for the configuration: ")

    await ram.until(waits)
    assert str(port) in await ram.show("StatusText")
    await ram.server.start()
    try:
        await ram.points("mem")
    finally:
        await host("systemctl", "stop", "pyagent@ram")
        await ram.server.close()
    assert await ram.show("NRestarts") == "0"


async def test_an_instance_without_settings_waits_and_says_so(host: Container) -> None:
    await host("systemctl", "start", "pyagent@ram")
    ram = Instance(host, Sandbox(), "ram", "", "")

    async def waits() -> bool:
        return (await ram.show("StatusText")).startswith("waiting for the configuration: ")

    await ram.until(waits)
    assert await ram.show("ActiveState") == "active"
    status = await ram.show("StatusText")
    assert "/etc/telegraf/telegraf-ram.env (not there) and /etc/pyagent/ram.env (not there)" in status
    assert "systemctl restart pyagent@ram" in status

    # The watchdog is on as the unit is installed, and it is fed while there is nothing to do either.
    assert await ram.show("WatchdogUSec") == "1min"
    fed = int(await ram.show("WatchdogTimestampMonotonic"))

    async def fed_again() -> bool:
        return int(await ram.show("WatchdogTimestampMonotonic")) > fed

    await ram.until(fed_again)


async def test_no_token_of_an_environment_file_gets_into_the_journal(host: Container) -> None:
    lines = [
        "\ufeff# my settings",
        "$ export INFLUX_TOKEN=s3cret-1==",
        "INFLUX_TOKEN: s3cret-2==",
        "s3cret-3-s3cret==",
        "export INFLUX_TOKEN='s3cret-4",
        "TOKEN=s3cret-5\x07",
    ]
    host.write("/etc/pyagent/ram.env", "\n".join(lines) + "\n")
    ram = Instance(host, Sandbox(), "ram", "", "")
    await host("systemctl", "start", "pyagent@ram")

    async def waits() -> bool:
        return "/etc/pyagent/ram.env (lines 2, 3, 4, 5, 6 not understood)" in await ram.show("StatusText")

    await ram.until(waits)
    journal = await host("journalctl", "--no-pager")
    assert "/etc/pyagent/ram.env:3: not understood and left out" in journal
    assert "s3cret" not in journal
    assert "s3cret" not in await host("systemctl", "show", "pyagent@ram")

    # A mark of the byte order, and both of the page's lines on one.
    async with hosting(host) as make:
        ram = await make("ram", RAM)
        host.write(
            "/etc/pyagent/ram.env", f"\ufeffexport INFLUX_TOKEN={ram.token} && sudo telegraf --config {ram.url}\n"
        )
        await host("systemctl", "restart", "pyagent@ram")
        await ram.points("mem")
        assert ram.token not in await host("journalctl", "--no-pager")
        await host("systemctl", "stop", "pyagent@ram")


async def test_instances_with_an_account_of_their_own(host: Container) -> None:
    folder = "/etc/systemd/system/pyagent@.service.d"
    async with hosting(host) as make:
        ram = await make("ram", RAM + "[[inputs.counter]]\n")
        host.write("/etc/pyagent/ram.env", f"INFLUX_TOKEN={ram.token}\nTELEGRAF_CONFIG={ram.url}\n")
        host.write("/etc/pyagent/plugins.d/counter.py", COUNTER, mode=0o644)
        await host("systemctl", "start", "pyagent@ram")  # its state is taken over
        await ram.points("counter")
        await host("install", "-D", "-t", folder, "-m", "644", "/opt/pyagent/share/pyagent/drop-ins/account.conf")
        await host("systemctl", "daemon-reload")
        before = await ram.server.count("counter")
        await host("systemctl", "restart", "pyagent@ram")
        await ram.points("counter", more_than=before)
        uid = (await process_facts(ram))["Uid"].split()[0]
        assert uid != await host("id", "-u", "pyagent")
        assert (await host("stat", "--format=%u", "/var/lib/pyagent/ram/")) == uid
        await host("systemctl", "stop", "pyagent@ram")
        await host("rm", "-r", "/var/lib/pyagent/ram", "/var/lib/private/pyagent")


async def test_a_killed_agent_comes_back(host: Container) -> None:
    async with hosting(host) as make:
        ram = await make("ram", RAM)
        host.write("/etc/pyagent/ram.env", f"INFLUX_TOKEN={ram.token}\nPYAGENT_CONFIG={ram.url}\n")
        await host("systemctl", "start", "pyagent@ram")
        before = await ram.points("mem")
        await host("systemctl", "kill", "--signal=KILL", "pyagent@ram")
        await ram.points("mem", more_than=before)
        assert await ram.show("NRestarts") == "1"
        await host("systemctl", "stop", "pyagent@ram")


async def test_a_token_that_systemd_hands_over(host: Container) -> None:
    folder = "/etc/systemd/system/pyagent@.service.d"
    await host("mkdir", "-p", folder)
    host.write(f"{folder}/token.conf", "[Service]\nLoadCredential=influx:/etc/pyagent/ram.token\n", mode=0o644)
    await host("systemctl", "daemon-reload")
    async with hosting(host) as make:
        text = RAM.replace('"$INFLUX_TOKEN"', '"@{{host:influx}}"') + '[[secretstores.systemd]]\n  id = "host"\n'
        ram = await make("ram", text)
        host.write("/etc/pyagent/ram.token", ram.token + "\n")
        # Only root may read that file; the environment has the token for the configuration's URL alone.
        host.write("/etc/pyagent/ram.env", f"INFLUX_TOKEN={ram.token}\nPYAGENT_CONFIG={ram.url}\n")
        await host("systemctl", "start", "pyagent@ram")
        await ram.points("mem")
        assert ram.token not in await ram.journal()
        await host("systemctl", "stop", "pyagent@ram")
        await host("rm", "/etc/pyagent/ram.token")


async def test_an_agent_that_hangs_is_started_again(host: Container) -> None:
    await short_watchdog(host)
    async with hosting(host) as make:
        ram = await make("ram", RAM.replace('interval = "10s"', 'interval = "1s"'))
        host.write("/etc/pyagent/ram.env", f"INFLUX_TOKEN={ram.token}\nPYAGENT_CONFIG={ram.url}\n")
        await host("systemctl", "start", "pyagent@ram")
        # Fed for longer than the watchdog waits, and its status line says what it does.
        before = await ram.points("mem")
        await ram.points("mem", more_than=before + 5)
        assert await ram.show("NRestarts") == "0"

        async def says_how_much() -> bool:
            return "metrics/s" in await ram.show("StatusText")

        await ram.until(says_how_much)
        before = await ram.server.count("mem")
        await host("systemctl", "kill", "--signal=STOP", "pyagent@ram")
        await started_again_by_the_watchdog(ram)
        await ram.points("mem", more_than=before)
        await host("systemctl", "stop", "pyagent@ram")


async def test_a_plugin_that_hangs_is_isolated_and_one_that_holds_the_interpreter_is_not(host: Container) -> None:
    await short_watchdog(host)
    async with hosting(host) as make:
        text = RAM.replace('interval = "10s"', 'interval = "1s"') + "[[inputs.hanging]]\n[[inputs.holding]]\n"
        ram = await make("ram", text)
        host.write("/etc/pyagent/ram.env", f"INFLUX_TOKEN={ram.token}\nPYAGENT_CONFIG={ram.url}\n")
        host.write("/etc/pyagent/plugins.d/hanging.py", HANGING, mode=0o644)
        host.write("/etc/pyagent/plugins.d/holding.py", HOLDING, mode=0o644)
        await host("systemctl", "start", "pyagent@ram")
        before = await ram.points("mem")
        await ram.points("mem", more_than=before + 5)

        async def says_what_hangs() -> bool:
            return "inputs.hanging" in await ram.show("StatusText")

        await ram.until(says_what_hangs)
        assert await ram.show("NRestarts") == "0"

        host.write("/var/lib/pyagent/ram/hold", "")
        await started_again_by_the_watchdog(ram)
        before = await ram.server.count("holding")
        await ram.points("holding", more_than=before)
        await host("systemctl", "stop", "pyagent@ram")
        # What hangs does not hold up the stop either.
        assert await ram.show("Result") == "success"


async def short_watchdog(host: Container) -> None:
    folder = "/etc/systemd/system/pyagent@.service.d"
    await host("mkdir", "-p", folder)
    host.write(f"{folder}/short.conf", "[Service]\nWatchdogSec=3\nRestartSec=1\n", mode=0o644)
    await host("systemctl", "daemon-reload")


async def started_again_by_the_watchdog(instance: Instance) -> None:
    """Wait until systemd has started it again for the first time, and see that it did so for want of a sign of life."""

    async def restarted() -> bool:
        return await instance.show("NRestarts") == "1"

    await instance.until(restarted)
    assert "Watchdog timeout" in await instance.journal()


async def test_it_is_confined_and_still_reads_what_it_measures(host: Container) -> None:
    async with hosting(host) as make:
        ram = await make("ram", RAM + "[[inputs.counter]]\n")
        host.write("/etc/pyagent/ram.env", f"INFLUX_TOKEN={ram.token}\nTELEGRAF_CONFIG={ram.url}\n")
        host.write("/etc/pyagent/plugins.d/counter.py", COUNTER, mode=0o644)
        await host("systemctl", "start", "pyagent@ram")
        await ram.points("mem")
        await ram.points("counter")
        facts = await process_facts(ram)
        assert facts["NoNewPrivs"] == "1"
        assert facts["Seccomp"] == "2"
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
        assert facts["Uid"].split()[0] == await host("id", "-u", "pyagent")
        pid = await ram.show("MainPID")
        limits = await host("cat", f"/proc/{pid}/limits")
        assert next(line.split()[-3:-1] for line in limits.splitlines() if "core file" in line) == ["0", "0"]
        account = ("setpriv", "--reuid=pyagent", "--regid=pyagent", "--clear-groups")
        seen = await host("nsenter", "-t", pid, "-m", *account, "ls", "/proc")
        assert pid in seen.split()
        assert "1" not in seen.split()  # root's
        modes = await host(
            "stat",
            "--format=%n %U %a",
            "/etc/pyagent",
            "/var/lib/pyagent/ram",
            "/run/pyagent/ram",
            "/run/pyagent/ram.env",
        )
        assert modes.splitlines() == [
            "/etc/pyagent root 750",
            "/var/lib/pyagent/ram pyagent 750",
            "/run/pyagent/ram pyagent 750",
            "/run/pyagent/ram.env root 600",
        ]
        await host("systemctl", "stop", "pyagent@ram")


async def test_man_and_the_shells_find_what_the_command_line_says(host: Container) -> None:
    found = "man/man1/pyagent.1 bash-completion/completions/pyagent zsh/site-functions/_pyagent fish/vendor_completions.d/pyagent.fish"
    for file in found.split():
        text = await host("cat", f"/usr/local/share/{file}")
        assert "quarantine" in text
        assert "config-url-watch-interval" in text.replace("\\-", "-")
    # What made them is not there when the agent runs.
    left = await host("sh", "-c", "ls /opt/pyagent/lib/python3*/site-packages /opt/pyagent/bin")
    assert not any(name in left for name in ("argparse", "shtab", "setuptools", "packaging"))


async def test_an_account_without_rights_can_try_a_configuration(host: Container) -> None:
    host.write("/srv/ram.conf", "[[inputs.mem]]\n[[outputs.discard]]\n", mode=0o644)
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    assert "> mem,host=" in await host(*nobody, "pyagent", "--test", "--config", "/srv/ram.conf")
    # Its folder of plugins is closed to everybody else: one warning.
    for words in ("plugins", "plugins show mem", "config create", "config schema", "--sample-config", "--usage mem"):
        said = await host("sh", "-c", f"{' '.join(nobody)} pyagent {words} 2>&1 >/dev/null")
        assert said == (
            "W! cannot read the folder of plugins /etc/pyagent/plugins.d: Permission denied; those in it are left out"
        )


async def test_the_settings_of_an_instance_are_used_by_commands(host: Container) -> None:
    host.write(
        "/srv/ram.conf", "[[inputs.mem]]\n[inputs.mem.tags]\nroom = '${ROOM}'\n[[outputs.discard]]\n", mode=0o644
    )
    host.write("/etc/telegraf/telegraf-ram.env", "export ROOM=hall\ntelegraf --config /srv/ram.conf\n")
    host.write("/etc/pyagent/ram.env", "ROOM=kitchen\n")
    assert "> mem,host=" in (tested := await host("pyagent", "--test", "--instance", "ram"))
    assert "room=kitchen" in tested
    assert 'room = "kitchen"' in await host("pyagent", "config", "show", "--instance", "ram")
    nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups pyagent"
    said = await host("sh", "-c", f"{nobody} --test --instance ram 2>&1 || true")
    assert said == (
        "E! cannot read the settings of pyagent@ram: /etc/telegraf/telegraf-ram.env: Permission denied; run it with sudo"
    )
    assert "no agent runs as pyagent@NAME" in await host("sh", "-c", "pyagent status 2>&1 || true")

    # One that runs needs no name; of two one has to be named.
    await host("systemctl", "start", "pyagent@ram")
    assert "instance ram" in await host("pyagent", "status")
    assert "> mem,host=" in await host("pyagent", "--test")
    assert await host("pyagent", "reload") == "the configuration is reloaded"
    said = await host("sh", "-c", f"{nobody} status 2>&1 || true")
    assert said.endswith("/run/pyagent/ram/control.sock: Permission denied; run it with sudo")
    host.write("/etc/pyagent/disk.env", "TELEGRAF_CONFIG=/srv/ram.conf\nROOM=cellar\n")
    await host("systemctl", "start", "pyagent@disk")
    said = await host("sh", "-c", "pyagent status 2>&1 || true")
    assert said == "E! several agents run: disk, ram; name one, such as: pyagent status --instance disk"
    assert "instance disk" in await host("pyagent", "status", "--instance", "disk")
    steps = await host("/root/pyagent/scripts/next-steps", "pyagent 0.0.9")
    assert "systemctl restart pyagent@disk pyagent@ram" in steps


@pytest.mark.parametrize(("drop_in", "fact", "value"), [("ping", "CapEff", 1 << 13), ("sudo", "NoNewPrivs", 0)])
async def test_a_drop_in_gives_what_it_promises(host: Container, drop_in: str, fact: str, value: int) -> None:
    folder = "/etc/systemd/system/pyagent@.service.d"
    await host("install", "-D", "-t", folder, "-m", "644", f"/opt/pyagent/share/pyagent/drop-ins/{drop_in}.conf")
    await host("systemctl", "daemon-reload")
    await host("systemctl", "start", "pyagent@ram")
    facts = await process_facts(Instance(host, Sandbox(), "ram", "", ""))
    assert int(facts[fact], 16) == value


async def process_facts(instance: Instance) -> dict[str, str]:
    """`/proc/PID/status` of the instance's process."""
    text = await instance.host("cat", f"/proc/{await instance.show('MainPID')}/status")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


async def test_each_line_of_the_journal_comes_once_over_restarts_and_kills(host: Container) -> None:
    text = PAGE.replace('flush_interval = "10s"', 'flush_interval = "1s"\n  buffer_strategy = "disk"')
    text += '[[inputs.journald]]\n  identifiers = ["numbered"]\n'
    logged = 0

    async def log(count: int) -> None:
        nonlocal logged
        numbers = f"seq -f 'line %.0f' {logged + 1} {logged + count}"
        # Through the socket, many of them in the same microsecond, and through a program's standard output.
        await host("sh", "-c", f"{numbers} | {'logger' if logged // 500 % 2 else 'systemd-cat'} -t numbered")
        logged += count

    async with hosting(host) as make:
        ram = await make("ram", text)
        host.write("/etc/telegraf/telegraf-ram.env", f"INFLUX_TOKEN={ram.token}\nTELEGRAF_CONFIG={ram.url}\n")

        async def found() -> list[int]:
            query = 'from(bucket: "monitoring-system") |> range(start: -1h) |> filter(fn: (r) => r._field == "message")'
            rows = await ram.server.query(query)
            return sorted(
                int(str(row["_value"]).removeprefix("line ")) for row in rows if row["_measurement"] == "journald"
            )

        async def all_found() -> bool:
            return len(await found()) >= logged

        # Without the right to read it: the remedy, which mends it.
        await host("systemctl", "start", "pyagent@ram")

        async def told() -> bool:
            return "give the unit the drop-in journal.conf" in await ram.journal()

        await ram.until(told)
        await log(10)
        folder = "/etc/systemd/system/pyagent@.service.d"
        await host("install", "-D", "-t", folder, "-m", "644", "/opt/pyagent/share/pyagent/drop-ins/journal.conf")
        await host("systemctl", "daemon-reload")
        for _ in range(2):
            await host("systemctl", "restart", "pyagent@ram")
            await log(500)
            await ram.until(all_found)
            await log(500)
            await host("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "pyagent@ram")
            await log(500)
            await host("journalctl", "--rotate")
            await log(500)
        await host("systemctl", "restart", "pyagent@ram")
        await ram.until(all_found)
        await host("systemctl", "stop", "pyagent@ram")
        await log(500)
        await host("systemctl", "start", "pyagent@ram")
        await ram.until(all_found)
        assert await found() == list(range(1, logged + 1))


async def test_a_unit_written_for_telegraf_runs_as_it_is(host: Container) -> None:
    async with hosting(host) as make:
        ram = await make("ram", RAM)
        try:
            assert "is this agent now" in await host("pyagent", "link", "--as", "telegraf")
            host.write("/etc/systemd/system/telegraf@.service", TELEGRAF_UNIT, 0o644)
            host.write("/etc/telegraf/telegraf-ram.env", f"INFLUX_TOKEN={ram.token}\nTELEGRAF_CONFIG={ram.url}\n")
            await host("systemctl", "daemon-reload")
            await host("systemctl", "start", "telegraf@ram")
            await ram.points("mem")
            assert await host("systemctl", "show", "telegraf@ram", "--value", "--property=User") == "telegraf"
            await host("systemctl", "stop", "telegraf@ram")
            # The line that InfluxDB's page prints. Under a name of its own: of two points of one second one is left.
            by_hand = await make("by_hand", RAM + '  name_override = "by_hand"\n')
            await host("sh", "-c", f"export INFLUX_TOKEN={by_hand.token}; telegraf --config {by_hand.url} --once")
            assert await by_hand.server.count("by_hand") == 1
            await host("pyagent", "link", "--as", "telegraf", "--remove")
            assert "not found" in await host("sh", "-c", "telegraf --version", check=False)
        finally:
            await host("rm", "-f", "/usr/bin/telegraf", "/etc/systemd/system/telegraf@.service")
            await host("systemctl", "daemon-reload")


async def test_the_doctor_finds_what_is_wrong_with_an_instance_and_its_remedies_mend_it(host: Container) -> None:
    async with hosting(host) as make:
        ram = await make("ram", RAM)
        assert "neither /etc/telegraf/telegraf-ram.env nor" in await host("pyagent", "doctor", "ram", check=False)
        host.write("/etc/pyagent/ram.env", f"TELEGRAF_CONFIG={ram.url}\n")
        found = await host("pyagent", "doctor", "ram", check=False)
        assert "it does not run (inactive)" in found
        assert "put INFLUX_TOKEN=... into /etc/pyagent/ram.env" in found
        await host("systemctl", "enable", "--now", ram.unit)
        host.write("/etc/pyagent/ram.env", f"TELEGRAF_CONFIG={ram.url}\nINFLUX_TOKEN={ram.token}\n")
        found = await host("pyagent", "doctor", "ram", check=False)
        assert "does not have INFLUX_TOKEN, which the files set now" in found
        assert f"systemctl restart {ram.unit}.service" in found
        await host("systemctl", "restart", f"{ram.unit}.service")
        await ram.points("mem")
        found = await host("pyagent", "doctor", "ram", "--probe")
        assert "All is well." in found
        assert ram.token not in found
        assert "it runs for" in found
        assert await ram.server.count("pyagent_probe") == 1
        # A file as an editor leaves it that runs as root: the unit's account may not read it.
        output = f'[[outputs.influxdb_v2]]\n  urls = ["{ram.server.url}"]\n  token = "$INFLUX_TOKEN"\n'
        output += f'  organization = "{ram.server.org}"\n  bucket = "{ram.server.bucket}"\n'
        host.write("/etc/pyagent/own.conf", f"[[inputs.mem]]\n{output}")
        host.write("/etc/pyagent/own.env", f"PYAGENT_CONFIG=/etc/pyagent/own.conf\nINFLUX_TOKEN={ram.token}\n")
        await host("sh", "-c", "chown root:root /etc/pyagent/own.conf; chmod 0640 /etc/pyagent/own.conf")
        await host("systemctl", "enable", "pyagent@own")
        document = json.loads(await host("pyagent", "doctor", "own", "--json", check=False))
        (found,) = (one for one in document["findings"] if one["check"] == "rights")
        assert found["text"] == "the account pyagent of the unit may not read the file /etc/pyagent/own.conf"
        await host("sh", "-c", found["remedy"])
        (found,) = (one for one in document["findings"] if one["check"] == "unit")
        await host("sh", "-c", found["remedy"])
        document = json.loads(await host("pyagent", "doctor", "own", "--json", check=False))
        assert [one for one in document["findings"] if one["level"] in ("warning", "failed")] == []
        await host("systemctl", "disable", "--now", "pyagent@own")
        await host("rm", "/etc/pyagent/own.conf", "/etc/pyagent/own.env")


async def test_provision_from_a_new_server_to_points_and_back(host: Container) -> None:
    async with Sandbox() as server:
        where = ("--url", server.url, "--user", "admin", "--password-file", "/root/password")
        host.write("/root/password", "correct-horse\n")
        bucket = ("--org", "home", "--bucket", "monitoring-system")
        await host("pyagent", "provision", "setup", *where, *bucket)
        server._recall()
        told = await host("pyagent", "provision", "ram", *where, *bucket, "--input", "mem", "--start")
        assert "created          /etc/pyagent/ram.env" in told
        assert "started          pyagent@ram (" in told
        ram = Instance(host, server, "ram", "", "")
        await ram.points("mem")
        assert await ram.show("UnitFileState") == "enabled"
        assert (await host("stat", "-c", "%a %U", "/etc/pyagent/ram.env")).split() == ["600", "root"]

        # Again: nothing changes, and the agent goes on.
        pid = await ram.show("MainPID")
        told = await host("pyagent", "provision", "ram", *where, *bucket, "--input", "mem", "--start")
        assert told.count("as it was") == 4
        assert await ram.show("MainPID") == pid

        editor = "EDITOR=sed -i '/inputs.mem/a name_override = \"memory\"'"
        await host("env", editor, "pyagent", "provision", "edit", "ram", *where)
        await host("systemctl", "reload", "pyagent@ram")
        await ram.points("memory")

        await host("pyagent", "provision", "delete", "ram", *where, "--force")
        assert await ram.show("ActiveState") == "inactive"
        assert await ram.show("UnitFileState") == "disabled"
        assert "ram.env" not in await host("ls", "/etc/pyagent")


async def test_uninstall_leaves_settings_and_state_alone(host: Container) -> None:
    """The last one: nothing is installed after it."""
    host.write("/etc/pyagent/ram.env", "INFLUX_TOKEN=abc\n")
    await host("systemctl", "enable", "--now", "pyagent@ram")
    await host("make", "-C", "/root/pyagent", "uninstall")
    left = await host("sh", "-c", "find / -xdev -name '*pyagent*' -not -path '/root/*' -o -lname '*pyagent*' | sort")
    assert left.splitlines() == ["/etc/pyagent", "/var/lib/pyagent"]
    assert await host("cat", "/etc/pyagent/ram.env") == "INFLUX_TOKEN=abc"
    # systemd forgets a unit that is gone when it comes round to it.
    left = await host("systemctl", "list-units", "--all", "--plain", "--no-legend", "pyagent*")
    assert [line for line in left.splitlines() if " not-found inactive dead " not in line] == []
    assert await host("sh", "-c", "systemctl list-unit-files --no-legend 'pyagent*' || true") == ""

"""The servers of services of a host that recordings were made with: Debian's own, each with the recording's configuration."""

import functools
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import xmlrpc.client

from pyagent.testing.server_process import LOOPBACK, Server, ServerMissing, find_program

_DEADLINE = 60.0


class RecordedSupervisor(Server):
    """One program that runs, two of another, one that fails and one that is not started."""

    name = "supervisord"
    _CONFIG = """
[inet_http_server]
port = 127.0.0.1:{port}
username = mon
password = monpw
[supervisord]
nodaemon = true
{user}
identifier = golden
logfile = {folder}/s.log
pidfile = {folder}/s.pid
childlogdir = {folder}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[program:sleeper]
command = /bin/sleep 1000
[program:pair]
command = /bin/sleep 1000
numprocs = 2
process_name = %(program_name)s_%(process_num)s
[program:broken]
command = /bin/false
startretries = 0
[program:idle]
command = /bin/sleep 5
autostart = false
"""
    _STATES = {"sleeper": 20, "pair_0": 20, "pair_1": 20, "broken": 200, "idle": 0}

    def command(self) -> list[str]:
        program = find_program("supervisord", self.name, "supervisor")
        text = self._CONFIG.format(
            port=self.port, folder=self.directory, user="user = root" if os.geteuid() == 0 else ""
        )
        (self.directory / "s.conf").write_text(text)
        return [program, "-c", str(self.directory / "s.conf")]

    def answers(self) -> bool:
        try:
            with xmlrpc.client.ServerProxy(f"http://mon:monpw@127.0.0.1:{self.port}/RPC2") as asked:
                found = asked.supervisor.getAllProcessInfo()
        except OSError:
            return False
        assert isinstance(found, list)
        return {one["name"]: one["state"] for one in found} == self._STATES

    def recorded(self) -> dict[str, str]:
        return {"18760": str(self.port)}


class RecordedFail2ban(Server):
    """Two jails over one log."""

    name = "fail2ban"
    _FILES = {
        "fail2ban.conf": """
[Definition]
loglevel = INFO
logtarget = STDOUT
syslogsocket = auto
socket = {folder}/f.sock
pidfile = {folder}/f.pid
dbfile = None
dbpurgeage = 1d
""",
        # An address of the host's own counts as any other: else newer ones ask the name server for them.
        "jail.conf": """
[DEFAULT]
backend = polling
ignoreself = false
usedns = no
findtime = 1h
bantime = 1h
filter = bad
logpath = {folder}/app.log
enabled = true
[app]
maxretry = 2
[quiet]
maxretry = 50
""",
        "filter.d/bad.conf": """
[Definition]
failregex = ^bad <ADDR>$
datepattern = {{NONE}}
""",
    }
    # What has to be seen of both jails, failed and banned, before the next lines: an address that is banned counts anew.
    _LINES = {
        ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.3"): (("1", "2"), ("3", "0")),
        ("192.0.2.1",): (("2", "2"), ("3", "0")),
    }
    _COUNT = re.compile(r"Currently (?:failed|banned):\s*(\d+)")

    def prepare(self) -> None:
        for name, text in self._FILES.items():
            path = self.directory / "c" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(folder=self.directory))
        (self.directory / "c" / "action.d").mkdir()
        (self.directory / "app.log").touch()

    def command(self) -> list[str]:
        program = find_program("fail2ban-server", self.name, "fail2ban")
        return [program, "-f", "-c", str(self.directory / "c"), "-s", str(self.directory / "f.sock"), "start"]

    def answers(self) -> bool:
        return all(self._counts(jail) == ("0", "0") for jail in ("app", "quiet"))

    def started(self) -> None:
        for lines, counts in self._LINES.items():
            with (self.directory / "app.log").open("a") as log:
                log.writelines(f"bad {address}\n" for address in lines)
            until = time.monotonic() + _DEADLINE
            while (seen := (self._counts("app"), self._counts("quiet"))) != counts:
                assert time.monotonic() < until, f"fail2ban counts {seen}, not {counts}: {self.log_tail()}"
                time.sleep(0.05)

    def _counts(self, jail: str) -> tuple[str, ...]:
        """Addresses that failed, and that are banned."""
        command = ["fail2ban-client", "--socket", str(self.directory / "f.sock"), "status", jail]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEADLINE)
        return tuple(self._COUNT.findall(done.stdout))

    def recorded(self) -> dict[str, str]:
        return {"DIR": str(self.directory)}


class RecordedMonit(Server):
    """It watches one of each."""

    name = "monit"
    _CONFIG = """
set daemon 2
set httpd port {port} and use address 127.0.0.1
  allow mon:monpw
set pidfile {folder}/pid
set statefile {folder}/state
set idfile {folder}/id
check system golden
  if memory usage > 99% then alert
check process sleeper with pidfile {folder}/sleep.pid
check file afile with path {folder}/afile
check directory adir with path {folder}
check filesystem root with path /
check program prog with path "/bin/true"
  if status != 0 then alert
check host me with address 127.0.0.1
  if failed port {port} protocol http request "/_ping" status = 401 then alert
check process gone with pidfile {folder}/none.pid
"""

    def prepare(self) -> None:
        self.directory.chmod(0o755)
        (self.directory / "afile").write_text("x")
        (self.directory / "afile").chmod(0o644)

    def command(self) -> list[str]:
        program = find_program("monit", self.name, "monit")
        config = self.directory / "m.conf"
        config.write_text(self._CONFIG.format(port=self.port, folder=self.directory))
        config.chmod(0o600)
        script = 'sleep 1000 & echo $! >"$2/sleep.pid"; "$1" -I -c "$2/m.conf" & trap "kill %1 %2" TERM; wait %2'
        return ["/bin/sh", "-c", script, "both", program, str(self.directory)]

    def answers(self) -> bool:
        """It has looked at all of them, and at the program twice: the first look starts it."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/_status?format=xml")
        request.add_header("Authorization", "Basic bW9uOm1vbnB3")
        try:
            with LOOPBACK.open(request, timeout=_DEADLINE) as answer:
                text = answer.read().decode()
        except (OSError, urllib.error.URLError):
            return False
        return "<monitor>2</monitor>" not in text and "<started>" in text and "<responsetime>" in text

    def recorded(self) -> dict[str, str]:
        return {"18840": str(self.port)}


class RecordedUps(Server):
    """upsd with one device, of NUT's driver for tests."""

    name = "upsd"
    _DEVICE = """
ups.mfr: Golden
ups.model: G500
ups.serial: S1
ups.status: OL CHRG
ups.load: 13.5
ups.firmware: 1.2
ups.realpower: 40
ups.temperature: 25.5
battery.charge: 100
battery.runtime: 3600
battery.voltage: 27.1
battery.date: 2024/01/02
input.voltage: 230.1
input.frequency: 50
output.voltage: 230
ups.nominal.power: 500
"""
    _BOTH = """
export NUT_CONFPATH="$3" NUT_STATEPATH="$3" NUT_PIDPATH="$3" NUT_ALTPIDPATH="$3"
cd "$3"
"$1" -a dummy $4 -F & first=$!
until [ -S dummy-ups-dummy ]; do kill -0 $first || exit 1; sleep 0.05; done
"$2" $4 -F & second=$!
trap 'kill $first $second' TERM
wait $first $second
"""

    def command(self) -> list[str]:
        # Debian's own upsd is a script that looks into /etc first.
        driver, server = (shutil.which(one, path="/usr/lib/nut:/lib/nut:/usr/sbin") for one in ("dummy-ups", "upsd"))
        if driver is None or server is None:
            raise ServerMissing("cannot start upsd; apt install nut-server")
        for name, text in {
            "ups.conf": '[dummy]\ndriver = dummy-ups\nport = dev.dev\ndesc = "Golden UPS"\n',
            "upsd.conf": f"LISTEN 127.0.0.1 {self.port}\n",
            "upsd.users": "[mon]\npassword = monpw\nupsmon secondary\n",
            "dev.dev": self._DEVICE,
        }.items():
            (self.directory / name).write_text(text)
            (self.directory / name).chmod(0o600)
        user = "-u root" if os.geteuid() == 0 else ""
        return ["/bin/sh", "-c", self._BOTH, "both", driver, server, str(self.directory), user]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), _DEADLINE) as connection:
                connection.sendall(b"LIST VAR dummy\nLOGOUT\n")
                return b"battery.runtime" in b"".join(iter(functools.partial(connection.recv, 4096), b""))
        except OSError:
            return False

    def recorded(self) -> dict[str, str]:
        return {"18880": str(self.port)}

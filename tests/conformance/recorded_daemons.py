"""The daemons of a host that recordings were made with."""

import os
import shutil
import subprocess

from pyagent.testing.server_process import Server, ServerMissing, free_port

_DEADLINE = 60.0

_SERVER = """
server 192.0.2.123 iburst offline
port {ntp}
bindaddress 127.0.0.1
cmdport {port}
bindcmdaddress 127.0.0.1
bindcmdaddress {folder}/c.sock
local stratum 8
allow 127.0.0.1
pidfile {folder}/pid
driftfile {folder}/drift
"""
_CLIENT = """
server 127.0.0.1 port {ntp} iburst minpoll 0 maxpoll 0
port 0
cmdport {second}
bindcmdaddress 127.0.0.1
bindcmdaddress /
pidfile {folder}/pid2
"""
_BOTH = """
"$1" -d -x -f c.conf & first=$!
"$1" -d -x -f c2.conf & second=$!
trap 'kill $first $second' TERM
wait $first $second
"""


class RecordedChrony(Server):
    """Two of chronyd: one with a clock of its own, and a client of it on `second_port`. Neither touches the host's clock."""

    name = "chronyd"
    second_port = 0
    ntp_port = 0

    def prepare(self) -> None:
        if os.geteuid():
            raise ServerMissing("cannot start chronyd: it needs root")
        self.ntp_port, self.second_port = free_port(), free_port()
        values = {
            "ntp": self.ntp_port,
            "port": self.port,
            "second": self.second_port,
            "folder": self.directory,
        }
        for name, text in (("c.conf", _SERVER), ("c2.conf", _CLIENT)):
            (self.directory / name).write_text(text.format(**values))
        shutil.chown(self.directory, "_chrony", "_chrony")
        self.directory.chmod(0o750)

    def command(self) -> list[str]:
        path = shutil.which("chronyd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        if path is None:
            raise ServerMissing("cannot start chronyd; apt install chrony")
        return ["/bin/sh", "-c", f"cd '{self.directory}'{_BOTH}", "both", path]

    def answers(self) -> bool:
        """The client follows the server."""
        command = ["chronyc", "-h", "127.0.0.1", "-p", str(self.second_port), "-c", "tracking"]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEADLINE)
        return found.stdout.startswith("7F000001")

    def recorded(self) -> dict[str, str]:
        ports = {"18690": self.ntp_port, "18691": self.port, "18692": self.second_port}
        return {f"127.0.0.1:{old}": f"127.0.0.1:{port}" for old, port in ports.items()} | {"DIR": str(self.directory)}

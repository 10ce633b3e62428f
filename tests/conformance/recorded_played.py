"""Servers and programs of recordings that no test can have beside the others: packages exclude each other, or newer ones have
lost what was recorded. What they said is played back: the recorded values, in the form that the server's documentation gives.
"""

import os
import socket
import sys
from pathlib import Path

from pyagent.testing.server_process import Server

_SERVICES = Path(__file__).resolve().parents[3] / "shared" / "golden" / "telegraf" / "services"


class PlayedDovecot(Server):
    """The plugin old-stats of Dovecot 2.3, which 2.4 has no more: at a port, and at a unix socket as in its folder."""

    name = "the statistics of Dovecot, as recorded"
    _SERVE = """
import os, socketserver, sys
port, folder = int(sys.argv[1]), sys.argv[2]
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        kind = self.rfile.readline().decode().rstrip("\\n").split("\\t")[1]
        with open(os.path.join(folder, kind), "rb") as file:
            self.wfile.write(file.read())
class Both(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
os.makedirs("run", exist_ok=True)
import threading
local = socketserver.ThreadingUnixStreamServer("run/old-stats", Answer)
threading.Thread(target=local.serve_forever, daemon=True).start()
Both(("127.0.0.1", port), Answer).serve_forever()
"""

    def prepare(self) -> None:
        for kind in ("domain", "global", "ip", "user"):
            lines = (_SERVICES / "dovecot" / kind / "expected.out").read_text().splitlines()
            (self.directory / kind).write_text(self._answer(kind, lines))

    @staticmethod
    def _answer(kind: str, lines: list[str]) -> str:
        """The heading, a line for each, and an empty one; with the two times that become no field."""
        rows: list[str] = []
        for line in lines:
            key, _, fields = line.partition(" ")
            tags = dict(tag.split("=") for tag in key.split(",")[1:])
            values = {name: value.removesuffix("i") for name, value in (one.split("=") for one in fields.split(","))}
            first = [] if kind == "global" else [(kind, tags[kind])]
            times = [("reset_timestamp", "1795472400"), ("last_update", "1795472450.250000")]
            columns = [*first, *times, *values.items()]
            rows = rows or ["\t".join(name for name, _ in columns)]
            rows.append("\t".join(value for _, value in columns))
        return "".join(f"{row}\n" for row in [*rows, ""])

    def command(self) -> list[str]:
        return [sys.executable, "-c", self._SERVE, str(self.port), str(self.directory)]

    def answers(self) -> bool:
        return _takes(self.port)

    def recorded(self) -> dict[str, str]:
        return {"18820": str(self.port), "DIR": os.fspath(self.directory)}


class RecordedConnection(Server):
    """A listener with one connection, over which 100 bytes went."""

    name = "a listener with a connection"
    _SERVE = """
import signal, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    there = socket.create_connection(listener.getsockname())
    here = listener.accept()[0]
    there.sendall(bytes(100))
    here.recv(100, socket.MSG_WAITALL)
    open("ready", "w").close()
    signal.pause()
"""

    def command(self) -> list[str]:
        return [sys.executable, "-c", self._SERVE, str(self.port)]

    def answers(self) -> bool:
        return (self.directory / "ready").exists()

    def recorded(self) -> dict[str, str]:
        return {"18870": str(self.port)}


def _takes(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


_NTPQ = """#!/bin/sh
cat <<'END'
     remote                                   refid      st t when poll reach   delay   offset   jitter
=======================================================================================================
*LOCAL(0)                                .LOCL.           5 l    4   64    1   0.0000   0.0000   0.0000
END
"""
_NO_NTPD = """#!/bin/sh
echo "ntpq: read: Connection refused" >&2
"""
_SMTPCTL = """#!/bin/sh
[ "$*" = "show stats" ] || exit 1
printf '%s\\n' control.session=1 smtp.session=0 smtp.session.inet4=2 uptime=1 uptime.human=1s
"""
_NO_SMTPD = """#!/bin/sh
echo "smtpctl: connect: No such file or directory" >&2
exit 1
"""
_POSTCONF = """#!/bin/sh
[ "$*" = "-h queue_directory" ] && echo "$HOME/spool"
"""
_SS = """#!/bin/sh
case "$*" in
"-in --udp") echo "Recv-Q Send-Q Local Address:Port Peer Address:PortProcess" ;;
"-in --unix") cat <<'END'
Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port
u_str ESTAB 0      0                  * 1057            * 1058
u_str ESTAB 0      0                  * 1058            * 1057
END
;;
*) echo "ss: unrecognized option" >&2; exit 255 ;;
esac
"""
_SYSTEMCTL = """#!/bin/sh
echo "System has not been booted with systemd as init system (PID 1). Can't operate." >&2
echo "Failed to connect to bus: Host is down" >&2
exit 1
"""
_APPEND = """
import contextlib, os, pathlib, time
def is_open(path, process):
    for file in os.scandir(f"/proc/{process}/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(file) == path:
                return True
    return False
print("ready", flush=True)
while not is_open(os.path.realpath("in.log"), os.getppid()):
    time.sleep(0.02)
time.sleep(0.2)  # it looks how long the file is
with pathlib.Path("in.log").open("a") as log:
    log.write("weather,place=new temp=3\\n")
"""
APPEND = "append.py"
"""Of tail/end_append_poll: writes its line once the agent has opened the file."""
_QUEUES = {f"active/{number}": number * 100 for number in (1, 2)}
_QUEUES |= {f"maildrop/{number}": number * 100 for number in (1, 2, 3)}
_QUEUES |= {"incoming/1": 100, "deferred/A/1": 50, "deferred/A/2": 50, "deferred/B/3": 50}
_MAILS = {path: "x" * size for path, size in _QUEUES.items()}
_EMPTY = {f"spool/{queue}/": "" for queue in ("active", "incoming", "maildrop", "deferred")}
"""The package alone makes no folder `hold`."""

_PLANTED = {
    "ntpq": {"bin/ntpq": _NTPQ},
    "ntpq/down": {"bin/ntpq": _NO_NTPD},
    "opensmtpd": {"bin/smtpctl": _SMTPCTL},
    "opensmtpd/down": {"bin/smtpctl": _NO_SMTPD},
    "postfix/default": {"bin/postconf": _POSTCONF, **_EMPTY},
    "postfix/missing_queue": _MAILS,
    "postfix/queue_directory": {**_MAILS, "hold/": ""},
    "postfix/missing_directory": {},
    "socketstat/unix_and_udp": {"bin/ss": _SS},
    "tail/end_append_poll": {APPEND: _APPEND},
    "systemd_units": {"bin/systemctl": _SYSTEMCTL},
}


def planted(plugin: str, case: str) -> dict[str, str] | None:
    """The files that stand for what the recorded program runs or reads, by their path; None: this case has none, {}: it needs
    none."""
    return _PLANTED.get(f"{plugin}/{case}", _PLANTED.get(plugin))

"""The process that recordings of inputs.procstat were made with: one with a child, sockets, and an account of its own."""

import os
from pathlib import Path

from pyagent.testing.server_process import Server, ServerMissing

_WORKER = """
import ctypes, os, pwd, signal, socket
port = int(os.environ["PORT"])
listener = socket.create_server(("127.0.0.1", port))
there = socket.create_connection(("127.0.0.1", port))
here = listener.accept()
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", port))
local = socket.socket(socket.AF_UNIX)
local.bind("w.sock")
local.listen()
child = os.fork()
os.setgid(pwd.getpwnam("games").pw_gid)
if child:
    with open("new.pid", "w") as file:
        file.write(f"{os.getpid()}\\n")
    os.rename("new.pid", "w.pid")
    os.setuid(pwd.getpwnam("games").pw_uid)
    os.waitpid(child, 0)
else:
    os.setuid(pwd.getpwnam("games").pw_uid)
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # ends with its parent
    signal.pause()
"""
_PYTHON = "/usr/bin/python3"


class RecordedWorker(Server):
    """Writes its number to `w.pid` in its folder."""

    name = "the worker of the recordings"

    def prepare(self) -> None:
        if os.geteuid() != 0:
            raise ServerMissing("cannot start a process of another account; run the tests as root")
        (self.directory / "worker.py").write_text(_WORKER)
        # In a file: the cases look for words of the command line, which those that start it would have as well.
        start = f'cd "$1" && PORT="$2" exec {_PYTHON} worker.py golden-worker'
        (self.directory / "start").write_text(start)

    def command(self) -> list[str]:
        return ["/bin/sh", str(self.directory / "start"), str(self.directory), str(self.port)]

    def answers(self) -> bool:
        return Path(self.directory, "w.pid").exists()

    def recorded(self) -> dict[str, str]:
        # Servers of other tests, which run beside these, are nobody's.
        return {"DIR/w.pid": os.fspath(self.directory / "w.pid"), "nobody": "games"}

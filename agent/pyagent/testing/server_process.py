"""A server process of a test or a demonstration, which never outlives the process that started it."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pyagent.kit.scratch import ScratchFolder

__all__ = ["LOOPBACK", "Server", "ServerError", "ServerMissing", "find_program", "free_port", "kill_child"]

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 15.0
_PORTS = 16_384
"""So many ports below those that the system picks are tried."""

# The guard ends when the server ends, with its status; and it ends the server, and removes the folder that it is in, when
# its own standard input closes: at stop(), and when the process holding the other end dies. `$1` is the signal, the rest
# is the command. The trap comes last: a watcher that inherits it may lose a TERM that meets it before it has begun.
_GUARD = """
exec 3<&0
signal=$1; shift
"$@" </dev/null 3<&- & server=$!
(read -r _ <&3; kill -s "$signal" $server) 2>/dev/null & watcher=$!
trap 'kill -s "$signal" $server' TERM
exec 3<&-
wait $server; status=$?
while kill -0 $server 2>/dev/null; do wait $server; status=$?; done
kill $watcher 2>/dev/null
wait $watcher && folder=$PWD && cd / && rm -rf -- "$folder"
exit $status
"""


LOOPBACK = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""For requests to these servers: a proxy of the environment is not for 127.0.0.1."""


class ServerError(RuntimeError):
    """A server could not be started."""


class ServerMissing(ServerError):
    """The program of a server is not installed; the message names the package."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that the system gives to nobody by itself.

    A port that the system picks may belong to a connection of any other process before a server listens on it, and
    while a server that is stopped is to come back.
    """
    picked = _first_picked()
    for _ in range(100):
        port = picked - 1 - secrets.randbelow(_PORTS) if picked > _PORTS + 1024 else 0
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ServerError("cannot find a free port on 127.0.0.1: 100 of them are taken")


def _first_picked() -> int:
    """The first of the ports that the system picks."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 49152  # of IANA, which other systems follow


def kill_child(guard: subprocess.Popen[bytes], name: str) -> None:
    """End the program of this name behind its guard at once, in the middle of what it does."""
    for child in Path(f"/proc/{guard.pid}/task/{guard.pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the other one, which ends with it
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                os.kill(int(child), signal.SIGKILL)
    guard.wait(30)


def find_program(name: str, what: str, package: str) -> str:
    """Its path. Raises ServerMissing with the package that has it."""
    found = shutil.which(name)
    if found is None:
        raise ServerMissing(f"cannot start {what}: the program {name} is missing; apt install {package}")
    return found


class Server:
    """One server process. A subclass says which command, and how to tell that it answers."""

    name: str
    stop_signal = "TERM"
    user: str | None = None  # the account that the process runs as; None: ours

    port: int
    directory: Path

    def __init__(self) -> None:
        self._scratch: ScratchFolder | None = None
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

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Of a broker: publish topics and payloads, in their order, once somebody has subscribed. Blocks."""
        raise NotImplementedError(f"{self.name} publishes nothing for cases")

    def variables(self) -> dict[str, str]:
        """What `${NAME}` stands for in the files of a case that names this server."""
        return {
            "SERVER": f"127.0.0.1:{self.port}",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "SERVER_DIRECTORY": str(self.directory),
        }

    def recorded(self) -> dict[str, str]:
        """Addresses and paths that stand in recordings of such a server, and what they are for this one.

        A server without any takes part in no recorded case.
        """
        return {}

    def start(self) -> None:
        """Start the server and return when it answers. Raises ServerMissing, ServerError."""
        # Not TMPDIR for root: it may lie where the server's own account cannot go.
        self._scratch = ScratchFolder("pyagent-server.", "/tmp" if os.geteuid() == 0 else None)  # noqa: S108
        self.directory = self._scratch.path
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
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that the server wrote."""
        path = self.directory / "log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def run(self, command: Sequence[str], timeout: float = _START_TIMEOUT) -> None:
        """Run a command of the server's package to its end, as the server's account. Raises ServerError."""
        done = subprocess.run(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.directory,
            env=self._environment(),
            timeout=timeout,
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

"""Agents for tests that start hundreds: each is a fork of one process that has imported what every agent does.

A start costs a tenth of one that imports everything anew. What a fork cannot show (the interpreter's own start and end, memory)
is for tests that start the program itself.

    with forked_agents() as command:
        subprocess.run([*command, "--config", "telegraf.conf", "--test"], ...)

The command hands its arguments, environment, folder and standard streams over, and ends with the agent's status.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["forked_agents"]

_LENGTH = struct.Struct("!I")
_IMPORTED = ("asyncio", "uvloop", "pyagent.cli.run", "pyagent.runtime.process", "pyagent.runtime.run_once")
_PLUGINS = ("parsers", "serializers", "processors", "aggregators")

_CLIENT = """
import array, json, os, socket, struct, sys
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
text = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
streams = array.array("i", [0, 1, 2])
server.sendmsg([struct.pack("!I", len(text))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
server.sendall(text)
status = server.recv(4)
sys.exit(struct.unpack("!i", status)[0] if len(status) == 4 else 70)
"""


@contextlib.contextmanager
def forked_agents() -> Iterator[list[str]]:
    """The command that stands for `pyagent`, as words."""
    with tempfile.TemporaryDirectory(prefix="pyagent-forked-") as folder:
        path = Path(folder) / "socket"
        client = Path(folder) / "client.py"
        client.write_text(_CLIENT)
        server = subprocess.Popen([sys.executable, __file__, path], stdin=subprocess.DEVNULL)
        try:
            until = time.monotonic() + 60
            while not path.exists():
                assert server.poll() is None, "the process that agents are forked from has ended"
                assert time.monotonic() < until, "the process that agents are forked from does not begin"
                time.sleep(0.01)
            yield [sys.executable, "-I", "-S", str(client), str(path)]
        finally:
            server.terminate()
            server.wait()


def _serve(path: str) -> None:
    """Returns in a child that is to be an agent; otherwise never."""
    packages = [importlib.import_module(f"pyagent_plugins.{kind}") for kind in _PLUGINS]
    plugins = [
        f"{package.__name__}.{one.name}" for package in packages for one in pkgutil.iter_modules(package.__path__)
    ]
    for name in (*_IMPORTED, *plugins, "pyagent_plugins.inputs.file", "pyagent_plugins.outputs.file"):
        importlib.import_module(name)
    gc.freeze()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{path}.new")
    listening.listen(64)
    Path(f"{path}.new").rename(path)
    while True:
        client, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            _watch(client)
            return
        client.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _watch(client: socket.socket) -> None:
    """Fork the agent and wait for it, or end it when the one who asked is gone. Returns in the agent."""
    length, streams, _, _ = socket.recv_fds(client, _LENGTH.size, 3)
    text = bytearray()
    while len(text) < _LENGTH.unpack(length)[0]:
        text += client.recv(1 << 20)
    arguments, folder, environ = json.loads(text)
    agent = os.fork()
    if agent == 0:
        client.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        sys.argv[1:] = arguments
        return
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(agent)
    readable, _, _ = select.select([ended, client], [], [])
    if client in readable:
        os.kill(agent, signal.SIGKILL)
    _, status = os.waitpid(agent, 0)
    code = os.waitstatus_to_exitcode(status)
    with contextlib.suppress(OSError):
        client.sendall(struct.pack("!i", code if code >= 0 else 128 - code))
    os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
    from pyagent.cli import main

    try:
        code = main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take all apart that was imported before the fork takes ten times as long as the agent has run

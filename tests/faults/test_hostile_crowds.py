"""Clients that connect and stay: however many, the agent has descriptors for its own work, and serves who has something to say."""

import asyncio
import contextlib
import os
import resource
import socket
from pathlib import Path

import pytest
from agent_process import DEADLINE
from host import Host
from outputs import Setup

from pyagent.testing.servers import free_port

_LIMIT = 128
_CROWD = 300


async def crowd(port: int, says: bytes = b"") -> list[socket.socket]:
    """So many clients, which say no more than that."""
    loop, clients = asyncio.get_running_loop(), list[socket.socket]()
    for _ in range(_CROWD):
        client = socket.socket()
        client.setblocking(False)
        with contextlib.suppress(OSError):
            async with asyncio.timeout(DEADLINE):
                await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, says)
        clients.append(client)
    return clients


async def asked(port: int, path: str) -> bytes:
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
    return answer


@pytest.mark.parametrize(
    "says", [b"", b"GET /", b"POST /api/v2/write HTTP/1.1\r\nX: "], ids=["nothing", "a method", "half a head"]
)
async def test_a_crowd_is_in_nobodys_way(tmp_path: Path, says: bytes) -> None:
    health = free_port()
    host = await Host.with_outputs(tmp_path / "host", "red")
    agent = await host.agent(
        Setup((host.writes("red"),), "disk"), environ={"PYAGENT_HEALTH": f"127.0.0.1:{health}"}
    ).start()
    process = agent.process.process
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (_LIMIT, _LIMIT))
    clients = [*await crowd(agent.port, says), *await crowd(health, says)]
    try:
        # The receiver is new to the agent: it needs descriptors to connect, and to write its log.
        for number in range(10):
            assert await agent.feed(f"s{number}", 20)
        await host.oracle.arrived()
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < _LIMIT - 20
        assert (await agent.status())["outputs"]
        assert (await asked(health, "/ready")).startswith(b"HTTP/1.1 200")
        assert agent.logs.count("idle longest") <= 2, "told once for each listener"
    finally:
        for client in clients:
            client.close()
    assert await agent.terminate() == 0
    host.oracle.verdict().check()

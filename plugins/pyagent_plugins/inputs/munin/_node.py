"""A client of munin-node: the names of its plugins, and what they answer.

The protocol: http://guide.munin-monitoring.org/en/latest/master/network-protocol.html
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pyagent.api import PyagentError
from pyagent.kit.connection import Connection, ServerAddress, connected

from ._answers import CONFIG

__all__ = ["NodeClient", "PluginFailed", "node_client"]

_MOST = 16 << 20
_MOST_NODES, _MOST_PLUGINS = 100, 1000
_NAME = re.compile(r"[-\w@.:]+", re.ASCII)


class PluginFailed(PyagentError):
    """One plugin of a node; what it answered was read to its end, and the others can be asked."""


class NodeClient:
    """All methods raise PyagentError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def nodes(self) -> list[str]:
        await self._send("nodes")
        return _names(await self._lines(), _MOST_NODES, self._connection)

    async def plugins(self, node: str) -> list[str]:
        await self._send(f"list {node}")
        return _names((await self._line()).split(), _MOST_PLUGINS, self._connection)

    async def ask(self, plugin: str, question: str) -> str:
        await self._send(f"{'config' if question == CONFIG else 'fetch'} {plugin}")
        lines = await self._lines()
        for line in lines:
            if line.startswith(("# Timed out", "# Bad exit", "# Unknown service")):
                raise PluginFailed(
                    f"cannot read {plugin} of {self._connection.address}: the node says {line[2:]!r}; see its log"
                )
        return "\n".join(lines)

    async def greet(self) -> None:
        """It says who it is, and takes what we can do: without `dirtyconfig` and `multigraph` it hides plugins."""
        line = await self._line()
        if not line.startswith("# munin node at "):
            self._connection.fail(f"it is no munin-node: it begins with {line[:80]!r}")
        await self._send("cap multigraph dirtyconfig")
        line = await self._line()
        if not line.startswith(("cap", "# Unknown command")):  # a node of Munin 1.2 knows no capabilities
            self._connection.fail(f"it answers {line[:80]!r} to `cap`")

    async def _send(self, command: str) -> None:
        await self._connection.send(command.encode() + b"\n")

    async def _line(self) -> str:
        return (await self._connection.line()).decode("utf-8", "surrogateescape")

    async def _lines(self) -> list[str]:
        found = []
        while (line := await self._line()) != ".":
            found.append(line)
        return found


@asynccontextmanager
async def node_client(address: ServerAddress, timeout: float) -> AsyncIterator[NodeClient]:
    """`timeout`: seconds for all that is asked."""
    async with connected(address, timeout=timeout, most=_MOST) as connection:
        client = NodeClient(connection)
        await client.greet()
        yield client


def _names(words: list[str], most: int, connection: Connection) -> list[str]:
    found = list(dict.fromkeys(word for word in words if _NAME.fullmatch(word)))
    if len(found) > most:
        connection.fail(f"it has more than {most} names")
    return found

"""One server by UDP: a datagram for each line, and no answer."""

import asyncio
import re
import socket
from urllib.parse import urlsplit

from pyagent.api import ConfigError, Retry
from pyagent.kit.connect_errors import explained

__all__ = ["SCHEMES", "UdpNode"]

SCHEMES = {"udp": socket.AF_UNSPEC, "udp4": socket.AF_INET, "udp6": socket.AF_INET6}
_SOME = 64
"""Datagrams between two turns of others on the event loop."""


class UdpNode:
    def __init__(self, url: str, local_address: str = "") -> None:
        """Raises ConfigError."""
        shown = re.sub(r"//.*@", "//", url)
        try:
            parts = urlsplit(url)
            self._host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise ConfigError(f"cannot use the URL {shown!r}: {error}; correct it", option="urls") from None
        if not port:
            raise ConfigError(f"cannot use the URL {shown!r}: it names no port; give udp://HOST:8089", option="urls")
        self._port = port
        self._family = SCHEMES[parts.scheme]
        self._local = local_address
        self.name = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._socket: socket.socket | None = None

    async def write(self, lines: list[bytes]) -> None:
        """Send each of them. Raises Retry; what was sent before comes twice then, which InfluxDB stores once."""
        loop = asyncio.get_running_loop()
        try:
            if self._socket is None:
                self._socket = await self._open(loop)
            for number, line in enumerate(lines, 1):
                await loop.sock_sendall(self._socket, line)
                if number % _SOME == 0:
                    await asyncio.sleep(0)
        except OSError as error:
            await self.close()
            raise Retry(f"cannot send to {self.name}: {explained(error)}") from None

    async def _open(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        infos = await loop.getaddrinfo(
            self._host or "localhost", self._port, family=self._family, type=socket.SOCK_DGRAM
        )
        # Nobody tells that an address is the wrong one: IPv4 where there is one.
        family, kind, protocol, _, address = min(infos, key=lambda info: info[0] != socket.AF_INET)
        made = socket.socket(family, kind, protocol)
        try:
            made.setblocking(False)
            if self._local:
                local = urlsplit(f"//{self._local}")
                made.bind((local.hostname or "", local.port or 0))
            made.connect(address)
        except BaseException:
            made.close()
            raise
        return made

    async def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

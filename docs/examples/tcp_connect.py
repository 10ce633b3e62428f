"""How long a TCP server takes to accept a connection."""

import asyncio
from time import perf_counter
from typing import Annotated

from pyagent.api import Accumulator, ConfigError, Duration, Input, Measurement, Options, PyagentError, fields, option


class TcpConnectOptions(Options, frozen=True):
    address: Annotated[str, option("HOST:PORT")] = "localhost:22"
    timeout: Annotated[Duration, option("give up after")] = Duration("5s")


class TcpConnect(Input[TcpConnectOptions]):
    measurements = (
        Measurement("tcp_connect", tags={"address": "HOST:PORT"}, fields=fields("float", "s", duration="time taken")),
    )

    def setup(self) -> None:
        host, _, port = self.options.address.rpartition(":")
        if not host or not port.isdecimal():
            message = f"cannot use {self.options.address!r}: it is not HOST:PORT; write 'localhost:22'"
            raise ConfigError(message, option="address")
        self._host, self._port = host.strip("[]"), int(port)

    async def gather(self, acc: Accumulator) -> None:
        start = perf_counter()
        try:
            async with asyncio.timeout(self.options.timeout.seconds):
                _, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise PyagentError(f"cannot connect to {self.options.address}: {error or 'no answer'}") from None
        acc.add("tcp_connect", {"duration": perf_counter() - start}, {"address": self.options.address})
        writer.close()

"""Messages of a small broker: it sends `NUMBER DATA` in a line, again and again until it gets `NUMBER` in a line."""

import asyncio
from collections.abc import Awaitable
from typing import Annotated

from pyagent.api import Accumulator, Input, Measurement, ParserOptions, PyagentError, option
from pyagent.kit.consumer import Consumer, Message
from pyagent.kit.reconnect import KeptConnection


class ParcelsOptions(ParserOptions, frozen=True):
    port: Annotated[int, option("port of the broker on this host", ge=1, le=65535)] = 7272


class Parcels(Input[ParcelsOptions]):
    measurements = (Measurement("parcels", "what the messages say", open=True),)

    async def start(self, acc: Accumulator) -> None:
        self._room = asyncio.Event()
        self._consumer = Consumer(acc, self.parser, self.log, most=100, on_room=self._room.set)
        self._kept = KeptConnection(self._connect, self.log, f"port {self.options.port}")
        await self._kept.start()

    async def stop(self) -> None:
        if hasattr(self, "_reading"):
            await self._kept.stop()
            await self._consumer.close(1.0)
            self._reading.cancel()

    async def _connect(self) -> Awaitable[str]:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.options.port)
        except OSError as error:
            raise PyagentError(f"cannot connect to port {self.options.port}: {error.strerror}") from None
        self._reading = asyncio.create_task(self._read(reader, writer))
        return self._reading

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        try:
            while line := await reader.readline():
                number, _, data = line.partition(b" ")

                def acknowledge(number: bytes = number) -> None:
                    if not writer.is_closing():
                        writer.write(number + b"\n")

                self._consumer.put(Message(data, f"parcel {number.decode()}", acknowledge))
                if not self._consumer.has_room:
                    self._room.clear()
                    await self._room.wait()
        finally:
            writer.close()
        return "the broker closed it"

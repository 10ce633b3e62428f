"""What door readers send by themselves: one event a line, over TCP."""

from typing import Annotated, ClassVar

from pyagent.api import Accumulator, Input, Measurement, option
from pyagent.kit.socket_server import FramedSocketOptions, SocketServer


class DoorFeedOptions(FramedSocketOptions, frozen=True):
    parses: ClassVar[bool] = True
    service_address: Annotated[str, option("where to listen")] = "tcp://:7171"
    data_format: Annotated[str, option("format of an event")] = "json"


class DoorFeed(Input[DoorFeedOptions]):
    measurements = (Measurement("door_feed", "what the events say", open=True),)

    def setup(self) -> None:
        self._server = SocketServer(self.options, self.options.framing(self.parser), self.parser, self.log)

    async def start(self, acc: Accumulator) -> None:
        await self._server.start(acc)

    async def stop(self) -> None:
        await self._server.stop()

"""Takes metrics over TCP, UDP and unix sockets.

They may be in any format. Nobody is answered: a stream is not read further while the outputs' queues are full, datagrams are
dropped then.
"""

from typing import Annotated, ClassVar, Literal

from pyagent.api import Accumulator, Input, option
from pyagent.kit.socket_server import FramedSocketOptions, SocketServer

__all__ = ["SocketListener", "SocketListenerOptions"]


class SocketListenerOptions(FramedSocketOptions, frozen=True):
    parses: ClassVar[bool] = True

    service_address: Annotated[
        str, option("where to listen: 'tcp://:8094', 'udp://:8094', 'unix:///path', 'unixgram:///path'")
    ] = "tcp://:8094"
    time_source: Annotated[
        Literal["", "metric", "receive_time"], option("times of metrics: as they say, or when they were received")
    ] = "metric"
    data_format: Annotated[str, option("format of the messages; it has options of its own")] = "influx"


class SocketListener(Input[SocketListenerOptions]):
    def setup(self) -> None:
        parser = self.parser
        parser.stamps_received = self.options.time_source == "receive_time"
        self._server = SocketServer(self.options, self.options.framing(parser), parser, self.log)

    async def start(self, acc: Accumulator) -> None:
        await self._server.start(acc)

    async def stop(self) -> None:
        await self._server.stop()

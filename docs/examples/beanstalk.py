"""Jobs that wait in a beanstalkd server."""

from typing import Annotated

from pyagent.api import Accumulator, Duration, Input, Measurement, Options, fields, option
from pyagent.kit.connection import ServerAddress, connected


class BeanstalkOptions(Options, frozen=True):
    server: Annotated[str, option("HOST:PORT, or unix:///PATH")] = "localhost:11300"
    timeout: Annotated[Duration, option("how long it may take")] = Duration("5s")


class Beanstalk(Input[BeanstalkOptions]):
    measurements = (
        Measurement("beanstalk", tags={"server": "the server"}, fields=fields("int", "1", ready="jobs waiting")),
    )

    def setup(self) -> None:
        self._server = ServerAddress.of(self.options.server, default_port=11300, option="server")

    async def gather(self, acc: Accumulator) -> None:
        async with connected(self._server, timeout=self.options.timeout.seconds) as connection:
            await connection.send(b"stats\r\n")
            answer = (await connection.line()).split()
            if len(answer) != 2 or answer[0] != b"OK" or not answer[1].isdigit():
                connection.fail(f"the answer to `stats` begins with {answer!r}")
            text = (await connection.exactly(int(answer[1]))).decode()
        for line in text.splitlines():
            name, _, value = line.partition(": ")
            if name == "current-jobs-ready":
                acc.add("beanstalk", {"ready": int(value)}, {"server": str(self._server)})

"""Gives metrics to a program of your own, which runs beside the agent and reads them from its standard input.

Plugins of others that were made for Telegraf's execd run unchanged. The program is started again when it ends.
"""

import asyncio
import logging
from typing import Annotated

from pyagent.api import (
    Batch,
    Duration,
    NotConnected,
    Output,
    PyagentError,
    QueueFormat,
    Retry,
    Serialized,
    SerializerOptions,
    option,
)
from pyagent.kit.long_running import LongRunning
from pyagent.kit.notices import FewLines
from pyagent.kit.shown import escaped

__all__ = ["Execd", "ExecdOptions"]

_PATIENCE = 4.0
"""Seconds that the program has to read a batch."""
_LOOK = 0.002
_LONGEST_LINE = 8192


class ExecdOptions(SerializerOptions, frozen=True):
    command: Annotated[list[str], option("the program and its arguments", executes=True)] = []
    environment: Annotated[list[str], option("variables, `NAME=VALUE`, besides those of the agent", executes=True)] = []
    restart_delay: Annotated[Duration, option("pause before it is started again when it has ended", ge="0s")] = (
        Duration("10s")
    )
    use_batch_format: Annotated[bool, option("write each batch as one document, in formats that have such")] = False
    ignore_serialization_error: Annotated[
        bool,
        option("a metric that the format cannot hold never costs others, whatever this says", no_effect=True),
    ] = False


class Execd(Output[ExecdOptions]):
    def destination(self, partition: str | None) -> str:
        return self._program.name

    def setup(self) -> None:
        options = self.options
        self._program = LongRunning(
            options.command,
            self._received,
            self.log,
            environment=options.environment,
            restart_delay=options.restart_delay.seconds,
            ended=self._program_ended,
            remedy="install it, or correct `command`",
        )
        self._lines = FewLines(self.log, f"what `{self._program.name}` writes")
        self._rest = b""
        self._begun = b""
        """What the program has read a part of."""
        self._ends = 0

    def queue_format(self) -> QueueFormat:
        return Serialized(self.serializer, documents=self.options.use_batch_format)

    async def connect(self) -> None:
        await self._program.start()
        if not self._program.running:
            raise PyagentError(f"cannot write to `{self._program.name}`: it does not run")

    async def write(self, batch: Batch) -> None:
        """Returns when the program has read it all, or it is in the pipe to it."""
        data = batch.payload()
        ends = self._ends
        if self._begun:
            await self._until_read(ends)
        if data != self._begun:
            self._begun = b""
            try:
                await self._program.write(data, 0.0)
            except PyagentError as error:
                raise NotConnected(str(error)) from None
            self._begun = data
            await self._until_read(ends)
        self._begun = b""

    async def close(self) -> None:
        await self._program.stop()

    async def _until_read(self, ends: int) -> None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        pause = 0.0
        while self._program.unwritten:
            if asyncio.get_running_loop().time() > deadline:
                raise Retry(f"cannot write to `{self._program.name}`: it does not read its standard input")
            await asyncio.sleep(pause)
            pause = min(pause + _LOOK / 4, 10 * _LOOK)
        if self._ends != ends or not self._program.reads:
            self._begun = b""
            raise NotConnected(f"cannot write to `{self._program.name}`: it has ended before it has read all")

    async def _received(self, data: bytes) -> None:
        """What it writes is for the log."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line:
                text = line[:_LONGEST_LINE].decode("utf-8", "backslashreplace").rstrip("\r")
                self._lines.add(logging.INFO, escaped(text))
        self._rest = self._rest[:_LONGEST_LINE]

    def _program_ended(self) -> None:
        self._lines.finish()
        self._rest = self._begun = b""
        self._ends += 1

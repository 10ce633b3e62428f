"""Has a program of your own change metrics, which runs beside the agent: it reads them, and writes what becomes of them.

Metrics go to its standard input and come from its standard output, both in the format that `data_format` names.
"""

import asyncio
from typing import Annotated, ClassVar

from pyagent.api import (
    Duration,
    Metric,
    ParseError,
    ParserOptions,
    Processor,
    PyagentError,
    option,
)
from pyagent.kit.long_running import LongRunning
from pyagent.kit.problems import Problems

__all__ = ["Execd", "ExecdOptions"]

_LONGEST_WAIT = 4.0
"""Seconds for one call, with what is given to the program; the engine gives up a call after 5."""
_SHORTEST_PAUSE = 0.1
_PROOF = 3
"""Calls after which a program is one that answers each metric by one: no more is waited for."""
_SETTLING = 0.2
"""Seconds without anything, after as many metrics as were given."""
_MOST_HELD = 10_000
"""Metrics that the program may have written before nobody reads on."""
_MOST_AT_ONCE = 5_000
"""Metrics beyond those that were given which one call may return, of those that came too late as of the others."""
_LONGEST_LINE = 256 * 1024


class ExecdOptions(ParserOptions, frozen=True):
    serializes: ClassVar[bool] = True
    command: Annotated[list[str], option("the program and its arguments", executes=True)] = []
    environment: Annotated[list[str], option("variables, `NAME=VALUE`, besides those of the agent", executes=True)] = []
    restart_delay: Annotated[Duration, option("pause before it is started again when it has ended", ge="0s")] = (
        Duration("10s")
    )


class Execd(Processor[ExecdOptions]):
    def setup(self) -> None:
        options = self.options
        self._program = LongRunning(
            options.command,
            self._received,
            self.log,
            environment=options.environment,
            restart_delay=options.restart_delay.seconds,
            ended=self._program_ended,
        )
        self._problems = Problems(self.log)
        self._pause = _LONGEST_WAIT
        """Seconds without anything from the program after which nothing more is expected of it."""
        self._exact = 0
        """Calls in a row for which it has written as many metrics as it was given."""
        self._answers: list[Metric] = []
        self._rest = b""
        """The begin of a line, or of a metric in several lines."""
        self._gone = False
        """The program has ended since it was given something."""
        self._came = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def process(self, metrics: list[Metric]) -> list[Metric]:
        await self._program.start()
        encoded, sent, left = [], [], []
        for metric in metrics:
            try:
                encoded.append(self._encoded(metric))
                sent.append(metric)
            except ValueError as error:
                self._problems.add("serialize", f"cannot write a metric for `{self._program.name}`: {error}")
                left.append(metric)
        if late := self._taken(_MOST_AT_ONCE):
            self._pause = min(4 * self._pause, _LONGEST_WAIT)
            self._exact = 0
        began = asyncio.get_running_loop().time()
        self._gone = False
        try:
            if encoded:
                await self._program.write(b"".join(encoded), _LONGEST_WAIT / 2)
        except PyagentError:
            self._answers = late + self._answers
            raise
        answers = await self._answered(len(sent), began)
        if self._gone and not self._program.stopping:
            # It has ended in between: what it has not answered goes on as it was.
            left += sent[len(answers) :]
        return late + answers + left

    async def stop(self) -> None:
        self._room.set()
        await self._program.stop()
        if self._answers:
            self.log.warning("%d metrics that the program wrote too late are dropped", len(self._answers))

    async def _answered(self, wanted: int, began: float) -> list[Metric]:
        """What the program writes, until it is as much as it was given, or nothing more is to be expected."""
        loop = asyncio.get_running_loop()
        longest, last = 0.0, began
        while not self._gone:
            complete = len(self._answers) >= wanted
            if complete and self._exact >= _PROOF:
                break
            pause = min(self._pause, _SETTLING) if complete else self._pause
            left = min(began + _LONGEST_WAIT, last + pause) - loop.time()
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), left)
            except TimeoutError:
                break
            longest, last = max(longest, loop.time() - last), loop.time()
        if self._rest and len(self._answers) < wanted:
            self._parse_rest()
        if len(self._answers) >= wanted:
            self._exact = self._exact + 1 if len(self._answers) == wanted else 0
            self._pause = min(max(4 * longest, self._pause * 0.9, _SHORTEST_PAUSE), _LONGEST_WAIT)
        else:
            # It seems to drop metrics; one that only is slow shows that by what comes too late.
            self._pause = max(self._pause / 2, 4 * longest, _SHORTEST_PAUSE)
        return self._taken(max(wanted, _MOST_AT_ONCE))

    def _taken(self, most: int) -> list[Metric]:
        taken, self._answers = self._answers[:most], self._answers[most:]
        if len(self._answers) < _MOST_HELD:
            self._room.set()
        return taken

    def _encoded(self, metric: Metric) -> bytes:
        serializer = self.serializer
        return serializer.serialize_batch([metric]) if serializer.whole_batch else serializer.serialize(metric)

    async def _received(self, data: bytes) -> None:
        """Whole lines at once where the format is line protocol, else each by itself, as in Telegraf."""
        if self._program.stopping and len(self._answers) >= _MOST_HELD:
            return  # nobody will ask for more
        complete, _, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        if complete:
            if self.parser.line_precision is not None:
                self._parse_lines(complete + b"\n")
            else:
                for line in complete.split(b"\n"):
                    self._parse(line.removesuffix(b"\r"))
        if len(self._rest) > _LONGEST_LINE:
            self._problems.add(
                "long", f"cannot parse what `{self._program.name}` writes: a line is too long; it is dropped"
            )
            self._rest = b""
        self._came.set()
        if len(self._answers) >= _MOST_HELD and not self._program.stopping:
            self._room.clear()
        await self._room.wait()

    def _parse_lines(self, data: bytes) -> None:
        """Where a text of several lines has not come whole, its begin is kept."""
        parsed = self.parser.parse_lines(data, self.parser.line_precision or "ns")
        if parsed.errors and data.count(b'"') % 2 and len(data) + len(self._rest) < _LONGEST_LINE:
            self._rest = data + self._rest
            return
        if parsed.errors:
            self._unreadable(parsed.errors[0])
        self._answers += parsed.metrics

    def _parse(self, line: bytes) -> None:
        if not line:
            return
        try:
            self._answers += self.parser.parse(line + b"\n")  # some formats need it
        except ParseError as error:
            self._unreadable(error)

    def _parse_rest(self) -> None:
        """What has no end of a line and gives metrics."""
        if self.parser.line_precision is None or not self._rest.endswith(b"\n"):
            return
        data, self._rest = self._rest, b""
        parsed = self.parser.parse_lines(data, self.parser.line_precision)
        if parsed.errors:
            self._unreadable(parsed.errors[0])
        self._answers += parsed.metrics

    def _unreadable(self, error: object) -> None:
        self._problems.add("parse", f"cannot parse what `{self._program.name}` writes: {error}")

    def _program_ended(self) -> None:
        self._rest = b""
        self._gone = True
        self._came.set()

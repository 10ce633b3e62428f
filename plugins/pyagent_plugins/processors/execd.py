"""Has a program of your own change metrics, which runs beside the agent: it reads them, and writes what becomes of them.

Metrics go to its standard input and come from its standard output, both in the format that `data_format` names.
"""

import asyncio
from dataclasses import dataclass
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
from pyagent.api.errors import TooMuch
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
_MOST_UNANSWERED = 5_000
"""Metrics that the program may not have answered; beyond, they are not for it to leave out."""
_MOST_AT_ONCE = 2_500
"""Metrics beyond those that were given which one call may return, of those that came too late as of the others."""
_SETTLED = 30.0
"""Seconds after which what was given before an answer is not answered any more."""
_LONGEST_LINE = 256 * 1024


@dataclass(slots=True)
class _Given:
    """A metric that the program was given."""

    time: float
    stamp: int
    """The metric's own time."""
    metric: Metric | None
    """None: it has gone on as it was."""
    open: bool = True
    """It is not answered."""

    def gone_on(self) -> Metric:
        metric, self.metric = self.metric, None
        assert metric is not None
        return metric


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
            remedy="install it, or correct `command`",
        )
        self._problems = Problems(self.log)
        self._pause = _LONGEST_WAIT
        """Seconds without anything after which no more is expected of a program that leaves out metrics, or answers none."""
        self._exact = 0
        """Calls in a row for which it has written as many metrics as it was given."""
        self._filters = False
        """It leaves metrics out: it answered some of those that it was given, and then nothing for long."""
        self._given: list[_Given] = []
        """What is not answered, as far as is known; the oldest first."""
        self._answers: list[Metric] = []
        self._extra = 0
        """Of these, the ones that were taken before, and could not go on."""
        self._came_at = 0.0
        self._rest = b""
        """The begin of a line, or of a metric in several lines."""
        self._gone = False
        """The program has ended since the last call."""
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
        late = self._late()
        if not sent:
            return late + left
        loop = asyncio.get_running_loop()
        began = loop.time()
        given = [_Given(began, metric.time, metric) for metric in sent]
        try:
            await self._program.write(b"".join(encoded), _LONGEST_WAIT / 2)
            self._given += given
            wanted = len(sent) if self._filters else len(self._given)
            await self._until_answered(wanted, began)
            answers = self._taken(max(wanted, _MOST_AT_ONCE))
            self._settle(answers)
            problem = ""
            if self._gone and not self._program.stopping:
                # It has ended in between: what it has not answered goes on as it was.
                left += self._unanswered()
            elif not self._filters and (missing := sum(one.open for one in given)):
                count = f"{len(sent) - missing or 'none'} of {len(sent)} metrics"
                problem = (
                    f"has answered {count} for {loop.time() - began:.1f} s; what is not answered goes on as it was"
                )
                if late or answers or left:
                    left += [one.gone_on() for one in given if one.open]
            elif len(self._given) > _MOST_UNANSWERED:
                problem = f"has answered none of {len(self._given)} metrics; they go on as they were"
                self._filters = False
                left += self._unanswered()
            if problem:
                problem = f"cannot process: `{self._program.name}` {problem}"
                if not (late or answers or left):
                    raise PyagentError(problem)
                self._problems.add("answers", problem)
        except BaseException as error:
            # The agent hands them on as they were, and all others go with the next ones.
            for one in given:
                one.metric = None
            while len(self._given) > _MOST_UNANSWERED and self._given[0].metric is None:
                self._given.pop(0)
            self._answers = late + self._answers
            self._extra += len(late)
            if late and isinstance(error, PyagentError):
                self._problems.add("process", str(error))
                return self._late() + metrics
            raise
        return late + answers + left

    async def stop(self) -> list[Metric]:
        """What the program has written too late, and where it did not end by itself, what it has not answered."""
        self._room.set()
        by_itself = await self._program.stop()
        answers = self._taken(len(self._answers))
        self._settle(answers[self._extra :])
        if by_itself and self._program.status == 0:
            return answers  # it has read all, and what it has not answered it has left out
        return answers + self._unanswered()

    def _late(self) -> list[Metric]:
        """What has come since the last call, and where the program has ended, what it has not answered."""
        late = self._taken(_MOST_AT_ONCE)
        extra, self._extra = min(self._extra, len(late)), max(self._extra - len(late), 0)
        if len(late) > extra and self._given:
            self._exact = 0
            self._pause = min(4 * self._pause, _LONGEST_WAIT) if self._filters else _LONGEST_WAIT
            # So slow, it seems not to leave out metrics.
            self._filters = self._filters and self._pause < _LONGEST_WAIT
        self._settle(late[extra:])
        if self._gone:
            late += self._unanswered()
            self._gone = False
        return late

    async def _until_answered(self, wanted: int, began: float) -> None:
        """Return when the program has written as many metrics as `wanted`, or nothing more is to be expected."""
        loop = asyncio.get_running_loop()
        longest, last, silent = 0.0, began, False
        while not self._gone:
            complete = len(self._answers) >= wanted
            if complete and self._exact >= _PROOF:
                break
            full = bool(self._answers) and not self._filters
            pause = _LONGEST_WAIT if full else self._pause
            if complete:
                pause = min(pause, _SETTLING)
            left = min(began + _LONGEST_WAIT, last + pause) - loop.time()
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), left)
            except TimeoutError:
                silent = loop.time() - last >= _LONGEST_WAIT / 2
                break
            longest, last = max(longest, loop.time() - last), loop.time()
        if self._rest and len(self._answers) < wanted:
            self._parse_rest()
        came = len(self._answers)
        if came >= wanted:
            self._exact = self._exact + 1 if came == wanted else 0
            self._pause = min(max(4 * longest, self._pause * 0.9, _SHORTEST_PAUSE), _LONGEST_WAIT)
            if not self._filters:
                self._pause = _LONGEST_WAIT
        else:
            self._exact = 0
            if came and silent and not self._gone:
                self._filters = True
            self._pause = max(self._pause / 2, 4 * longest, _SHORTEST_PAUSE)

    def _settle(self, answers: list[Metric]) -> None:
        """These have come: at least as many of what was given first are answered, or left out, and all up to the only one that
        has the time of the last of these."""
        if not answers:
            return
        count, last = len(answers), answers[-1].time
        if len(same := [number for number, one in enumerate(self._given, 1) if one.stamp == last]) == 1:
            count = max(count, same[0])
        for one in self._given[:count]:
            one.open = False
        del self._given[:count]
        oldest = self._came_at - _SETTLED
        settled = self._came_at if len(self._given) > _MOST_UNANSWERED else oldest
        while self._given and self._given[0].time < settled:
            self._given.pop(0).open = False

    def _unanswered(self) -> list[Metric]:
        """What was given and is to go on as it was."""
        given, self._given = self._given, []
        return [one.metric for one in given if one.metric is not None]

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
        before = len(self._answers)
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
        if len(self._answers) > before:
            self._came_at = asyncio.get_running_loop().time()
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
        except (ParseError, TooMuch) as error:
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
        self._parse_rest()
        self._rest = b""
        self._gone = True
        self._came.set()
